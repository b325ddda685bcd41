package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestLink makes, lists and takes back links as an admin does.
func TestLink(t *testing.T) {
	t.Setenv("PASSERELLE_CONFIG", "")
	dir := "--journal.dir=" + t.TempDir()
	do := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"link"}, append(args, dir, "--guests.public_url=https://guests.example.org")...), &out)
		return out.String(), err
	}
	out, err := do("new", "--room=r1", "--name=Ana", "--kind=acme", "--uses=3", "--until=2h")
	if err != nil || !regexp.MustCompile(`^https://guests\.example\.org/#[\w-]+\.[\w-]+\.[\w-]+\n$`).MatchString(out) {
		t.Fatalf("new: %q %v", out, err)
	}
	if _, err := do("new", "--room=r2", "--from=3d"); err != nil {
		t.Error(err)
	}
	list, err := do("list")
	if err != nil || !regexp.MustCompile(`acme-\w+ +r1 +Ana .* 0 of 3 +good`).MatchString(list) || !regexp.MustCompile(`r2 +\(asked\) .* 0 +early`).MatchString(list) {
		t.Errorf("list: %s %v", list, err)
	}
	if strings.Contains(list, strings.TrimSpace(out[strings.Index(out, "#")+1:])) {
		t.Error("the list tells the token")
	}
	if _, err := do("revoke", strings.TrimSpace(out)); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if list, err = do("list", "--room=r1"); err != nil || !strings.Contains(list, "revoked") || strings.Contains(list, "r2") {
		t.Errorf("list: %s %v", list, err)
	}
	if out, err = do("rotate"); err != nil || !strings.Contains(out, "signs from now on") {
		t.Errorf("rotate: %q %v", out, err)
	}
	for name, args := range map[string][]string{
		"no room":   {"new"},
		"no such":   {"revoke", "nobody"},
		"no word":   {},
		"a word":    {"shout"},
		"no time":   {"new", "--room=r", "--until=noon"},
		"backwards": {"new", "--room=r", "--from=2h", "--until=2020-01-01"},
	} {
		if out, err := do(args...); err == nil {
			t.Errorf("%s: %q", name, out)
		}
	}
}

func TestParseWhen(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)
	for s, want := range map[string]time.Time{
		"":                     {},
		"2026-11-30":           time.Date(2026, 11, 30, 0, 0, 0, 0, time.Local),
		"2026-11-30 14:05":     time.Date(2026, 11, 30, 14, 5, 0, 0, time.Local),
		"2026-11-30T14:05":     time.Date(2026, 11, 30, 14, 5, 0, 0, time.Local),
		"2026-11-30T14:05:06Z": time.Date(2026, 11, 30, 14, 5, 6, 0, time.UTC),
		"90m":                  at.Add(90 * time.Minute),
		"2d":                   at.AddDate(0, 0, 2),
	} {
		if got, err := parseWhen("until", s, at); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"soon", "2d1", "5000d", "2026-13-01"} {
		if got, err := parseWhen("until", s, at); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
}
