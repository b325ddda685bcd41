package sip

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// outcomes says what each message of testdata/torture, made after the descriptions of RFC 4475, may lead to: the first answer's status, or
// no answer.
func outcomes() map[string]string {
	return map[string]string{
		"badaspec":   "200 400 dropped",
		"badbranch":  "200 400 dropped",
		"baddate":    "100 400",
		"baddn":      "200 400 dropped",
		"badinv01":   "100 400 dropped",
		"badvers":    "505",
		"bcast":      "dropped",
		"bext01":     "420",
		"bigcode":    "dropped",
		"clerr":      "400 dropped",
		"cparam01":   "405",
		"dblreq":     "405",
		"esc01":      "100",
		"esc02":      "501 dropped",
		"escnull":    "405",
		"escruri":    "100 400 dropped",
		"insuf":      "400 dropped",
		"intmeth":    "501 dropped",
		"inv2543":    "400 100 dropped",
		"invut":      "415",
		"longreq":    "100",
		"ltgtruri":   "400 416 dropped",
		"lwsdisp":    "200",
		"lwsruri":    "400 dropped",
		"lwsstart":   "400 505 dropped",
		"mcl01":      "400",
		"mismatch01": "400",
		"mismatch02": "400 501",
		"mpart01":    "405",
		"multi01":    "400",
		"ncl":        "400 dropped",
		"noreason":   "dropped",
		"novelsc":    "416 dropped",
		"quotbal":    "400 dropped",
		"regaut01":   "405",
		"regbadct":   "400 405 dropped",
		"regescrt":   "405",
		"scalar02":   "400 dropped",
		"scalarlg":   "dropped",
		"sdp01":      "406",
		"semiuri":    "200",
		"transports": "200",
		"trws":       "400 505 dropped",
		"unkscm":     "416",
		"unksm2":     "405",
		"wsinv":      "100",
		"zeromf":     "200",
	}
}

func torture(t testing.TB) map[string]string {
	files, err := filepath.Glob("testdata/torture/*.sip")
	if err != nil || len(files) == 0 {
		t.Fatal("no messages", err)
	}
	messages := map[string]string{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		messages[strings.TrimSuffix(filepath.Base(f), ".sip")] = string(b)
	}
	return messages
}

func TestTorture(t *testing.T) {
	t.Parallel()
	want := outcomes()
	s := start(t, nil)
	for name, m := range torture(t) {
		t.Run(name, func(t *testing.T) {
			p := newPhone(t, s)
			p.write(strings.ReplaceAll(m, "%LOCAL%", p.local.String()))
			p.request("OPTIONS", "", "", "") // handled after it, so that its answer comes after what the message was answered at once
			got := "dropped"
			p.next("200 to the OPTIONS after it", func(m string) bool {
				if header(m, "Call-ID") == p.callID {
					return true
				}
				if got == "dropped" && strings.HasPrefix(m, "SIP/2.0 ") {
					got = strings.Fields(m)[1]
				}
				return false
			})
			if !slices.Contains(strings.Fields(want[name]), got) {
				t.Errorf("got %s, want one of %s", got, want[name])
			}
		})
	}
	if len(want) != len(torture(t)) {
		t.Error("the table and the files differ")
	}
}
