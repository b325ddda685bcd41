package journal

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// entries are cases for reading and writing, and seeds for the fuzzer.
func entries() map[string]Entry {
	many := map[string]string{}
	for i := range maxFields {
		many[strings.Repeat("k", i)] = strings.Repeat("v", i)
	}
	return map[string]Entry{
		"nothing": {Time: time.Unix(0, 0).UTC()},
		"all": {
			Time: time.UnixMicro(1773489600123456).UTC(), Kind: Egress, Call: "c", Actor: "a", Room: "r", Rule: "u", Outcome: "o", Caller: "x", Called: "y",
			Address: "z", Foreign: true, Fields: map[string]string{"k": "v", "": ""},
		},
		"long":        {Time: time.Unix(-1, 0).UTC(), Room: strings.Repeat("é", maxText/2), Fields: many},
		"before 1970": {Time: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), Kind: Node},
	}
}

func same(a, b Entry) bool {
	fields := maps.Equal(a.Fields, b.Fields)
	when := a.Time.Equal(b.Time)
	a.Fields, b.Fields, a.Time, b.Time = nil, nil, time.Time{}, time.Time{}
	return fields && when && a.Kind == b.Kind && a.Call == b.Call && a.Actor == b.Actor && a.Room == b.Room && a.Rule == b.Rule &&
		a.Outcome == b.Outcome && a.Caller == b.Caller && a.Called == b.Called && a.Address == b.Address && a.Foreign == b.Foreign
}

func TestEntryComesBack(t *testing.T) {
	for name, e := range entries() {
		b := appendEntry(nil, &e)
		got, err := readEntry(b)
		if err != nil || !same(got, e) || len(b) > maxEntry {
			t.Errorf("%s: got %+v, %v, %d bytes", name, got, err, len(b))
		}
		for n := range b {
			if got, err := readEntry(b[:n]); err == nil && len(got.Fields) >= len(e.Fields) {
				t.Errorf("%s: %d of %d bytes were taken", name, n, len(b))
			}
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "a\x00b": "ab", "\xff": "?", "a\xff\xfeb": "a?b", "12345678": "12345678", "123456789": "12345678", "1234567é": "1234567",
		"123456é": "123456é", "12345€": "12345€", "123456€": "123456", "1234567\xc3": "1234567?", "\x00\xff\x00\xff": "?", "1234\U0001F600": "1234\U0001F600",
		"12345\U0001F600": "12345",
	} {
		got := clean(in, 8)
		if got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if again := clean(got, 8); again != got {
			t.Errorf("%q: then %q", got, again)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "a\x00", "\xff\xff", "1234567é", "\xf0\x9f\x98"} {
		f.Add(s, 8)
	}
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = n&1023 + utf8.UTFMax
		got := clean(s, n)
		if len(got) > n || !utf8.ValidString(got) || strings.Contains(got, "\x00") || clean(got, n) != got {
			t.Errorf("%q, %d: got %q", s, n, got)
		}
		if len(s) <= n && utf8.ValidString(s) && !strings.Contains(s, "\x00") && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}

func FuzzReadEntry(f *testing.F) {
	for _, e := range entries() {
		f.Add(appendEntry(nil, &e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := readEntry(b)
		if err != nil {
			return
		}
		again, err := readEntry(appendEntry(nil, &e))
		if err != nil || !same(e, again) {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
		var scratch []byte
		r := e.row("n", 1, make([]byte, 16))
		r.hash = r.follow(Hash{}, &scratch)
		if why := r.sealed(0); why != "" {
			t.Error(why)
		}
		if !bytes.Equal(r.appendContent(nil), r.appendContent(nil)) {
			t.Error("the canonical form changes")
		}
	})
}

func TestShortForms(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "+33198765432": "+3319876****", "0198765432": "019876****", "1234": "12**", "123": "1**", "7": "*", "+33 1 98 76 54 32": "+33 1 98 76 ****",
		"01.98.76.54.32": "01.98.76.****", "(01)98-76(54)(32)": "(01)98-76(****", "alice": "a***", "Élodie": "É***", "alice@example.org": "a***@example.org", "@example.org": "@example.org",
		"+33198765432@example.org": "+3319876****@example.org", "sip:+33198765432": "s***", "Alice 0198765432": "A***", "+": "+***", "*": "****",
	} {
		if got := shortName(in); got != want {
			t.Errorf("name %q: got %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"": "", "192.0.2.77": "192.0.2.0/24", "192.0.2.77:5060": "192.0.2.0/24", "2001:db8:1:2:3::4": "2001:db8:1::/48", "[2001:db8:1:2::4]:443": "2001:db8:1::/48",
		"::ffff:192.0.2.77": "192.0.2.0/24", "fe80::1%eth0": "fe80::/48", "meet.example.org": "***.example.org", "alice-pc": "***", "host.192.0.2.1": "***",
		"192.0.2.77.": "***", "meet.example.org:443": "***",
	} {
		if got := shortAddress(in); got != want {
			t.Errorf("address %q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzShortForms(f *testing.F) {
	for _, s := range []string{"+33198765432", "alice@example.org", "192.0.2.7:5060", "[2001:db8::1]:1", "a.b", "1-", "-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = clean(s, maxText)
		for _, short := range []string{shortName(s), shortAddress(s)} {
			if !utf8.ValidString(short) || strings.Contains(short, "\x00") || len(short) > maxText+64 {
				t.Errorf("%q became %q", s, short)
			}
		}
	})
}

func TestCellsAreHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "+33198765432": "+33198765432", "+3319876****": "+3319876****", "=1+1": "'=1+1", "+1+1": "'+1+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)",
		"\t=1": "'\t=1", "1=1": "1=1",
	} {
		if got := harmless(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
