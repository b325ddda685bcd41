package policy

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// shownRules is how many rules that do not match Text names in each pass.
const shownRules = 40

// Text is the explanation for people.
func (e Explanation) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nRules: %s, version %.12s\n", e.Call.text(), e.File, e.Decision.Version)
	for i, p := range e.Passes {
		switch {
		case i > 0:
			fmt.Fprintf(&b, "\nThe last rule sends the call to room %s%s. Once more, with the room known:\n", p.Room, ofClass(p.Class))
		case p.Room == "":
			b.WriteString("\nThe room is not known yet.\n")
		default:
			fmt.Fprintf(&b, "\nRoom %s%s.\n", p.Room, ofClass(p.Class))
		}
		p.write(&b)
	}
	b.WriteString("\n" + e.Decision.text(e.Call.Room != ""))
	return b.String()
}

func ofClass(class string) string {
	if class == "" {
		return " (no class)"
	}
	return " (" + class + ")"
}

func (p Pass) write(b *strings.Builder) {
	hidden := 0
	for i, t := range p.Rules {
		if t.Verdict == no.String() && i >= shownRules && i < len(p.Rules)-1 {
			hidden++
			continue
		}
		if hidden > 0 {
			fmt.Fprintf(b, "      … %d rules that do not match …\n", hidden)
			hidden = 0
		}
		why := t.Conditions
		if t.Verdict == no.String() {
			why = why[len(why)-1:]
		}
		fmt.Fprintf(b, "%4d  %-5s  %s (line %d)\n", i+1, t.Verdict, t.Rule, t.Line)
		for _, c := range why {
			fmt.Fprintf(b, "             %s: %s\n", c.Key, c.Text)
		}
	}
	if n := len(p.Rules); n == 0 || p.Rules[n-1].Verdict != yes.String() {
		fmt.Fprintf(b, "      no other rule\n")
	}
}

// text says who calls whom.
func (f Facts) text() string {
	parts := []string{"Call"}
	switch f.Direction {
	case In:
		parts[0] = "Incoming call"
	case Out:
		parts[0] = "Outgoing call"
	}
	for _, p := range []struct{ word, text string }{
		{"by", f.Protocol}, {"trunk", f.Trunk}, {"from", f.Caller}, {"to", f.Called}, {"identity", f.Identity}, {"platform", f.Platform}, {"link", f.Link}, {"over", f.Transport},
	} {
		if p.text != "" {
			parts = append(parts, p.word+" "+p.text)
		} else if p.word == "from" && f.Direction == In && f.Link == "" {
			parts = append(parts, "number withheld")
		}
	}
	if f.Source.IsValid() {
		parts = append(parts, "source "+f.Source.String())
	}
	if f.Encrypted {
		parts = append(parts, "encrypted")
	} else {
		parts = append(parts, "not encrypted")
	}
	if !f.At.IsZero() {
		parts = append(parts, "at "+f.At.Format(time.RFC3339))
	}
	return strings.Join(parts, ", ")
}

// text says what was decided.
func (d Decision) text(inRoom bool) string {
	by := fmt.Sprintf("by rule %q", d.Rule)
	switch {
	case !d.Allowed && d.Rule == "":
		return fmt.Sprintf("Refused: %s: %s\n", d.Refusal.Reason, d.Refusal.Text)
	case !d.Allowed:
		return fmt.Sprintf("Refused %s: %s: %s\n", by, d.Refusal.Reason, d.Refusal.Text)
	case d.Open:
		return "Allowed so far: the rules are asked again when the room is known. At most:\n" + d.Grant.text(inRoom)
	}
	return "Allowed " + by + ":\n" + d.Grant.text(inRoom)
}

// text lists a grant in the words of a file of rules, without what it leaves open.
func (g Grant) text(inRoom bool) string {
	var b strings.Builder
	line := func(key, text string) {
		if text != "" {
			fmt.Fprintf(&b, "  %-12s %s\n", key, text)
		}
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	length := func(d time.Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	if g.Foreign {
		line("foreign", "true")
	}
	switch {
	case g.Room != "":
		line("room", g.Room+", without a PIN")
	case !inRoom:
		line("room", "the caller is asked for a PIN")
	}
	line("lobby", string(g.Lobby))
	line("audio", string(g.Audio))
	line("video", string(g.Video))
	line("content", string(g.Content))
	line("picture", g.Picture.text())
	line("encryption", string(g.Encryption))
	line("codecs", strings.Join(g.Codecs, ", "))
	line("networks", strings.Trim(fmt.Sprint(g.Networks), "[]"))
	line("hosts", strings.Join(g.Hosts, ", "))
	line("origins", strings.Join(g.Origins, ", "))
	line("name", g.Name)
	line("show_number", string(g.ShowNumber))
	line("learn", string(g.Learn))
	line("to caller", strings.Join(g.Notices.Caller, ", "))
	line("to room", strings.Join(g.Notices.Room, ", "))
	line("banner", g.Banner)
	line("duration", length(g.Duration))
	line("idle", length(g.Idle))
	line("max_in_room", number(g.MaxInRoom))
	line("max_source", number(g.MaxSource))
	line("max_rule", number(g.MaxRule))
	line("recording", fmt.Sprint(g.Recording))
	line("keys", cmp.Or(strings.Trim(fmt.Sprint(g.Keys), "[]"), "none"))
	return b.String()
}

func (p Picture) text() string {
	var parts []string
	for _, b := range []struct {
		n    int
		unit string
	}{{p.Height, "lines"}, {p.Rate, "a second"}, {p.Kbps, "kbit/s"}} {
		if b.n > 0 {
			parts = append(parts, fmt.Sprint(b.n, " ", b.unit))
		}
	}
	return strings.Join(parts, ", ")
}
