package sdp

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pion "github.com/pion/sdp/v3"
	"go.uber.org/goleak"

	"passerelle/transcode"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ours are abilities as a node has them by default.
func ours() Abilities {
	return Abilities{
		Codecs:      transcode.Codecs(),
		Encryption:  Prefer,
		Suites:      Suites(),
		KeySeed:     bytes.Repeat([]byte{0x5e}, 32),
		Fingerprint: "sha-256 " + strings.TrimSuffix(strings.Repeat("AB:", 32), ":"),
		Address:     netip.MustParseAddr("192.0.2.1"),
		Port:        16384,
		RTCPMux:     true,
		SessionID:   4242,
	}
}

// answerCases is one table for the golden files, the properties and the fuzz seeds: testdata/NAME.offer is answered with these abilities.
var answerCases = []struct {
	name   string
	change func(*Abilities)
}{
	{"baresip", nil}, // these three were sent by baresip 1.0.0
	{"baresip-srtp", nil},
	{"baresip-dtls", nil},
	{"linphone", nil}, // sent by linphone 5.1.65
	{"linphone-avpf", nil},
	{"sipp", func(a *Abilities) { a.Encryption = Off }},
	{"cisco-roomkit", nil},
	{"poly-x30", nil},
	{"yealink", func(a *Abilities) { a.Encryption = Require }},
	{"teams-direct-routing", func(a *Abilities) {
		a.Encryption, a.Fingerprint = Require, ""
		a.Codecs = codecs("PCMA", "G722", "PCMU")
	}},
	{"webrtc", nil},
	{"carrier-100rel", nil},
	{"snom-ipv6-both", func(a *Abilities) { a.Address = netip.MustParseAddr("2001:db8::1") }},
	{"rtpengine-sdes-and-dtls", nil},
	{"sloppy", nil},
	{"l16-intercom", nil},
}

func codecs(names ...string) (list []transcode.Codec) {
	for _, name := range names {
		i := slices.IndexFunc(transcode.Codecs(), func(c transcode.Codec) bool { return c.Name == name })
		list = append(list, transcode.Codecs()[i])
	}
	return list
}

// read returns a file of testdata with the line ends of the wire.
func read(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))
}

func TestAnswerGolden(t *testing.T) {
	for _, c := range answerCases {
		t.Run(c.name, func(t *testing.T) {
			a := ours()
			if c.change != nil {
				c.change(&a)
			}
			offer := read(t, c.name+".offer")
			answer, agreed, st, err := Answer(offer, a, nil)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".golden", string(answer)+"\n"+dump(agreed))
			checkMirror(t, offer, answer)
			checkSyntax(t, answer)
			again, _, _, err := Answer(offer, a, &st)
			if err != nil || !bytes.Equal(again, answer) {
				t.Errorf("the same offer again is answered differently (%v):\n%s", err, again)
			}
		})
	}
}

func TestOfferGolden(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Abilities)
	}{
		{"offer-off", func(a *Abilities) { a.Encryption = Off }},
		{"offer-prefer", nil},
		{"offer-require", func(a *Abilities) { a.Encryption, a.Codecs = Require, codecs("PCMA", "PCMU") }},
		{"offer-dtls", func(a *Abilities) { a.Encryption, a.Suites = Require, nil }},
		{"offer-hold-ipv6", func(a *Abilities) {
			a.Encryption, a.Direction, a.PTime, a.RTCPMux = Off, SendOnly, 40, false
			a.Address, a.Name = netip.MustParseAddr("2001:db8::1"), "gw"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ours()
			if c.change != nil {
				c.change(&a)
			}
			offer, _ := Offer(a, nil)
			golden(t, c.name+".golden", string(offer))
			checkSyntax(t, offer)
		})
	}
}

func TestAcceptGolden(t *testing.T) {
	for _, c := range acceptCases {
		t.Run(c.name, func(t *testing.T) {
			a := ours()
			c.change(&a)
			_, st := Offer(a, nil)
			agreed, _, err := Accept(st, read(t, c.name+".answer"), a)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.name+".golden", dump(agreed))
		})
	}
}

// acceptCases: testdata/NAME.answer answers an offer with these abilities.
var acceptCases = []struct {
	name   string
	change func(*Abilities)
}{
	{"poly-unoffered", func(*Abilities) {}},
	{"asymmetric-pt", func(a *Abilities) { a.Encryption = Off }},
	{"sdes-renumbered", func(a *Abilities) { a.Encryption = Require }},
	{"dtls-active", func(a *Abilities) { a.Encryption, a.Suites = Require, nil }},
	// These were sent by baresip 1.0.0 and linphone 5.1.65 as answers to our offers of testdata.
	{"baresip-off", func(a *Abilities) { a.Encryption = Off }},
	{"baresip-clear", func(*Abilities) {}},
	{"baresip-best-effort", func(*Abilities) {}},
	{"baresip-require", func(a *Abilities) { a.Encryption, a.Codecs = Require, codecs("PCMA", "PCMU") }},
	{"linphone-clear", func(*Abilities) {}},
	{"linphone-require", func(a *Abilities) { a.Encryption, a.Codecs = Require, codecs("PCMA", "PCMU") }},
	{"baresip-answers-dtls", func(a *Abilities) { a.Encryption, a.Suites = Require, nil }},
}

// golden compares with a file of testdata, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, "\r\n", "\n")
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n--- got\n%s\n--- want\n%s", path, got, want)
	}
}

// dump writes an agreement for a golden file, keys included: those of tests are no secrets.
func dump(g Agreed) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("codec %s/%d pt %d", g.Codec.Name, g.Codec.ClockRate, g.Codec.PayloadType)
	for _, c := range g.Receive {
		p("receive %s/%d pt %d", c.Name, c.ClockRate, c.PayloadType)
	}
	p("events send %v receive %v, comfort noise %v", g.SendEvents, g.ReceiveEvents, g.ComfortNoise)
	p("ptime %d maxptime %d", g.PTime, g.MaxPTime)
	p("remote %v rtcp %v mux %v", g.Remote, g.RemoteRTCP, g.RTCPMux)
	p("they hear %v, we hear %v", g.TheyHear, g.WeHear)
	switch s, d := g.Protection.SDES, g.Protection.DTLS; {
	case s != nil:
		p("sdes %s local %x remote %x mki %x", s.Suite, []byte(s.Local), []byte(s.Remote), s.MKI)
	case d != nil:
		p("dtls %s %x active %v id %q", d.Hash, d.Fingerprint, d.Active, d.ID)
	default:
		p("clear")
	}
	return b.String()
}

// checkMirror holds an answer against its offer: as many m-lines, in the same order, of the same kind and transport (RFC 3264, section 6), and at most
// one of them open.
func checkMirror(t testing.TB, offer, answer []byte) {
	t.Helper()
	o, a := mediaLines(offer), mediaLines(answer)
	if len(o) != len(a) {
		t.Fatalf("%d m-lines answer %d:\n%s\n%s", len(a), len(o), offer, answer)
	}
	open := 0
	for i := range o {
		if o[i][0] != a[i][0] || o[i][2] != a[i][2] {
			t.Errorf("m-line %d: %q answers %q", i, a[i], o[i])
		}
		if a[i][1] != "0" {
			open++
			if o[i][1] == "0" {
				t.Errorf("m-line %d: a refused line is answered with a port", i)
			}
		}
		for _, f := range a[i][3:] {
			if !slices.Contains(o[i][3:], f) && len(o[i]) > 3 {
				t.Errorf("m-line %d: format %s was not offered", i, f)
			}
		}
	}
	if open > 1 {
		t.Errorf("%d lines are open:\n%s", open, answer)
	}
}

func mediaLines(body []byte) (list [][]string) {
	for _, line := range strings.FieldsFunc(string(body), func(r rune) bool { return strings.ContainsRune("\r\n\x00", r) }) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "m="); ok {
			list = append(list, strings.Fields(value))
		}
	}
	return list
}

// checkSyntax lets a strict parser read what we wrote. It knows no m=image and no lower-case transport, which we only echo.
func checkSyntax(t testing.TB, body []byte) {
	t.Helper()
	text := strings.NewReplacer("m=image 0 udptl t38", "m=text 0 RTP/AVP 99", "rtp/avp", "RTP/AVP").Replace(string(body))
	var d pion.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		t.Errorf("%v:\n%s", err, body)
	}
}
