package journal

import (
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"passerelle/configs"
)

// TestCanonicalForm holds the form in which records are hashed: journals that exist depend on it, and docs/journal.md describes it.
func TestCanonicalForm(t *testing.T) {
	e := Entry{
		Time: time.Date(2026, 3, 14, 12, 0, 0, 123456789, time.UTC), Kind: Call, Call: "c1", Actor: "a", Room: "été", Rule: "r", Outcome: "hung_up",
		Caller: "+33198765432", Called: "1234", Address: "192.0.2.7", Foreign: true, Fields: map[string]string{"b": "2", "a": "<1>"},
	}
	r := e.row("node-1", 7, []byte("0123456789abcdef"))
	const content = "\x00\x00\x00\x1bpasserelle journal record 1\x00\x00\x00\x06node-1\x00\x00\x00\x017\x00\x00\x00\x101773489600123456" +
		"\x00\x00\x00\x04call\x00\x00\x00\x02c1\x00\x00\x00\x01a\x00\x00\x00\x05été\x00\x00\x00\x01r\x00\x00\x00\x07hung_up\x00\x00\x00\x011" +
		"\x00\x00\x00\x0c+3319876****\x00\x00\x00\x20"
	got := string(r.appendContent(nil))
	if len(got) < len(content) || got[:len(content)] != content {
		t.Errorf("got  %q\nwant %q…", got, content)
	}
	var scratch []byte
	for what, c := range map[string][2]string{
		"seal":        {hex.EncodeToString(r.personal[0].seal), "1e7b0bd9d9003e84bef61973f7485800247ed587e87db399a1c509ae2aee5c59"},
		"first hash":  {r.follow(Hash{}, &scratch).String(), "6fe1f341208ede7a6833bf0737e7e54b1063121ab1cad6435e9a4e5a6c885347"},
		"second hash": {r.follow(r.follow(Hash{}, &scratch), &scratch).String(), "2204f1bb3f08a415f9e9cd03f9a0dc86b8e5658e9815b9028c874aa410e26971"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s is %s, want %s", what, c[0], c[1])
		}
	}
	h := Head{Node: "node-1", Number: 2, Seq: 7, Time: e.Time, Shortened: 3, Others: "[]"}
	if got := string(h.content()); got != "\x00\x00\x00\x19passerelle journal head 1\x00\x00\x00\x06node-1\x00\x00\x00\x012\x00\x00\x00\x017\x00\x00\x00\x20"+
		string(make([]byte, 32))+"\x00\x00\x00\x101773489600123456\x00\x00\x00\x013\x00\x00\x00\x02[]" {
		t.Errorf("a head is %q", got)
	}
	s := run{node: "n", first: 1, last: 22, newest: -5, at: 6}
	if got := string(s.content()); got != "\x00\x00\x00\x1bpasserelle journal pruned 1\x00\x00\x00\x01n\x00\x00\x00\x011\x00\x00\x00\x0222\x00\x00\x00\x20"+
		string(make([]byte, 32))+"\x00\x00\x00\x20"+string(make([]byte, 32))+"\x00\x00\x00\x02-5\x00\x00\x00\x016" {
		t.Errorf("a statement is %q", got)
	}
}

// TestEveryKindIsKeptForSomeTime holds the retention against the kinds.
func TestEveryKindIsKeptForSomeTime(t *testing.T) {
	in := map[Kind]int{}
	for _, g := range groups(configs.Keep{}) {
		for _, k := range g.kinds {
			in[k]++
		}
	}
	for _, k := range Kinds() {
		if in[k] != 1 {
			t.Errorf("%s is in %d groups", k, in[k])
		}
	}
	if len(in) != len(Kinds()) {
		t.Errorf("%v", in)
	}
}

func TestHashAsText(t *testing.T) {
	h := Hash{1, 2, 3}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var again Hash
	if err := json.Unmarshal(b, &again); err != nil || again != h {
		t.Errorf("%s became %v, %v", b, again, err)
	}
	for _, bad := range []string{`""`, `"00"`, `"g` + h.String()[1:] + `"`, `7`} {
		if err := json.Unmarshal([]byte(bad), &again); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
