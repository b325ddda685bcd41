package bridge

import "testing"

// TestState has the listener learn of a room's people in any order: a caller whom it was not told of yet is not somebody else.
func TestState(t *testing.T) {
	for _, c := range []struct {
		name   string
		people []string
		others int
	}{
		{"nobody known yet", nil, 0},
		{"the caller alone", []string{"caller"}, 0},
		{"somebody else, the caller not known yet", []string{"camille"}, 1},
		{"both", []string{"camille", "caller"}, 1},
	} {
		r := &room{people: map[string]Participant{}}
		for _, p := range c.people {
			r.people[p] = Participant{Identity: p}
		}
		if others, err := r.state("caller"); others != c.others || err != nil {
			t.Errorf("%s: %d others, %v, want %d", c.name, others, err, c.others)
		}
	}
}
