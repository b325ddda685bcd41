package admin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"passerelle/bridge"
)

func TestQuery(t *testing.T) {
	q := newQuery("a=1&b=true&at=2026-11-22T10:00:00%2B01:00&l=x&l=y&t=h%C3%A9", "a", "b", "at", "l[]", "t")
	if q.number("a", 5, 0, 9) != 1 || q.number("none", 5, 0, 9) != 5 || !*q.yes("b") || q.yes("none") != nil || q.text("t") != "hé" ||
		!q.time("at").Equal(time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)) || len(q.values["l"]) != 2 || q.err() != nil {
		t.Errorf("%+v: %v", q, q.err())
	}
	q = newQuery("a=10&b=maybe&c=1&t=a%0Ab&at=now&a=2", "a", "b", "at", "t")
	q.number("a", 0, 0, 9)
	q.yes("b")
	q.time("at")
	var p *problem
	if !errors.As(q.err(), &p) || len(p.Errors) != 6 || p.Status != 400 {
		t.Errorf("%+v", p)
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"Camille":                    "Camille",
		"1000":                       "1000",
		"12345":                      "12345",
		"123456":                     "123•56",
		"+33612345678":               "+336••••••78",
		"+33 6 12 34 56 78":          "+33 6 •• •• •• 78",
		"+33 1 •• •• •• 12":          "+33 1 •• •• •• 12",
		"sip:0612345678@pbx.example": "sip:061•••••78@pbx.example",
		"(06) 12-34-56-78 (Paul)":    "(06) 1•-••-••-78 (Paul)",
		"Room 5":                     "Room 5",
		"a\xffb":                     "a\ufffdb",
	} {
		got := mask(in)
		if got != want || mask(got) != got {
			t.Errorf("%q: got %q, want %q; again: %q", in, got, want, mask(got))
		}
	}
}

func FuzzMask(f *testing.F) {
	for _, s := range []string{"+33612345678", "Camille 06 12 34 56 78", "••", "a\xff1234567"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := mask(s)
		if mask(got) != got {
			t.Errorf("%q is masked as %q, and again as %q", s, got, mask(got))
		}
		run, longest := 0, 0
		for _, r := range got {
			if run++; r < '0' || r > '9' {
				run = 0
			}
			longest = max(longest, run)
		}
		if longest > 5 {
			t.Errorf("%q is masked as %q", s, got)
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "state=talking&limit=5", "cursor=" + placeOf(bridge.CallInfo{ID: "x", Began: time.Unix(1, 2)}).cursor(), "a=%zz", "foreign=true&foreign=false", "limit=99999999999999999999", "from=2026-01-01T00:00:00Z;", "%00=%ff", "kind=a&kind=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q := newQuery(raw, "state", "foreign", "limit", "cursor", "from", "kind[]")
		state, limit, p := q.oneOf("state", "a", "b"), q.number("limit", 3, 1, 9), q.place("cursor")
		q.yes("foreign")
		q.time("from")
		err := q.err()
		if limit < 1 || limit > 9 || state != "" && state != "a" && state != "b" {
			t.Errorf("%q: %d %q", raw, limit, state)
		}
		if err == nil && p != nil && p.cursor() == "" {
			t.Errorf("%q", raw)
		}
		if err != nil {
			sound(t, err)
		} else if _, wrong := url.ParseQuery(raw); wrong != nil {
			t.Errorf("%q is taken, though: %v", raw, wrong)
		}
	})
}

// sound holds that a problem can be shown to people.
func sound(t *testing.T, err error) {
	t.Helper()
	p := toProblem(err)
	if p.Status < 400 || p.Status >= 500 || !utf8.ValidString(p.Detail) || len(p.Detail) > 2000 || strings.ContainsFunc(p.Detail, func(r rune) bool { return r < ' ' }) {
		t.Errorf("%+v", p)
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"room":"a"}`, `{}`, ``, `{"room":null}`, `{"x":{"y":[1,2,3]}}`, `[[[[`, `{"room":"\ud800"}`, "{\"\x00\":1}", `{"room":"a"}{}`} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, body string, mayBeEmpty bool) {
		r, err := http.NewRequest("POST", "http://x/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		var to target
		if err := decode(r, &to, mayBeEmpty); err != nil {
			sound(t, err)
		} else if !mayBeEmpty && strings.TrimSpace(body) == "" {
			t.Errorf("%q is taken", body)
		}
	})
}
