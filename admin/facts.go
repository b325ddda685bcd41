package admin

import (
	"fmt"
	"time"

	"passerelle/bridge/policy"
)

// maxRulesCounted is for how many rules a request may say how many calls run under them.
const maxRulesCounted = 100

// complete fills in what nearly every question leaves out, and answers the problem of what cannot be.
func complete(f *policy.Facts, now time.Time) error {
	if f.At.IsZero() {
		f.At = now
	}
	if f.Direction == "" {
		f.Direction = policy.In
	}
	var faults []fault
	if f.Direction != policy.In && f.Direction != policy.Out {
		faults = append(faults, fault{"direction", "expected in or out"})
	}
	for _, t := range [...]struct{ field, value string }{
		{"protocol", f.Protocol},
		{"trunk", f.Trunk},
		{"transport", f.Transport},
		{"caller", f.Caller},
		{"called", f.Called},
		{"identity", f.Identity},
		{"platform", f.Platform},
		{"link", f.Link},
		{"room", f.Room},
		{"class", f.Class},
	} {
		if !isText(t.value) {
			faults = append(faults, fault{t.field, fmt.Sprintf("expected a text of at most %d bytes on one line", maxText)})
		}
	}
	if len(f.OfRule) > maxRulesCounted {
		faults = append(faults, fault{"of_rule", fmt.Sprintf("expected at most %d rules", maxRulesCounted)})
	}
	negative := f.InRoom < 0 || f.OfSource < 0
	for _, n := range f.OfRule {
		negative = negative || n < 0
	}
	if negative {
		faults = append(faults, fault{"in_room, of_source, of_rule", "expected numbers of calls, not below 0"})
	}
	if len(faults) > 0 {
		return invalid(faults...)
	}
	return nil
}
