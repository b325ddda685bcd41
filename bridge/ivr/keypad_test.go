package ivr

import (
	"slices"
	"testing"
	"time"
)

func TestKeypad(t *testing.T) {
	for _, c := range []struct {
		keys string
		want []Command
	}{
		{"*6", []Command{None, ToggleMute}},
		{"*9", []Command{None, ToggleHand}},
		{"*4", []Command{None, Quieter}},
		{"*5", []Command{None, Louder}},
		{"*2", []Command{None, HowMany}},
		{"*1", []Command{None, Help}},
		{"*0", []Command{None, Help}},
		{"*3", []Command{None, Hint}},
		{"*7", []Command{None, Hint}},
		{"*8", []Command{None, Hint}},
		{"*#", []Command{None, Hint}},
		{"*A", []Command{None, Hint}},
		{"6", []Command{None}},
		{"#", []Command{None}},
		{"*66", []Command{None, ToggleMute, None}},
		{"**6", []Command{None, None, ToggleMute}},
		{"*6*6", []Command{None, ToggleMute, None, ToggleMute}},
		{"*36", []Command{None, Hint, None}},
	} {
		var k Keypad
		var got []Command
		at := time.Unix(1, 0)
		for i := range len(c.keys) {
			got = append(got, k.Press(c.keys[i], at))
			at = at.Add(500 * time.Millisecond)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.keys, got, c.want)
		}
	}
}

func TestKeypadTimeout(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  Command
	}{
		{0, ToggleMute}, {prefixTime, ToggleMute}, {prefixTime + 1, None}, {time.Hour, None},
	} {
		var k Keypad
		at := time.Unix(1, 0)
		k.Press('*', at)
		if got := k.Press('6', at.Add(c.after)); got != c.want {
			t.Errorf("*, then 6 after %s: %d, want %d", c.after, got, c.want)
		}
		if got := k.Press('6', at.Add(c.after)); got != None {
			t.Errorf("a second 6 is taken as %d", got)
		}
	}
	var k Keypad
	at := time.Unix(1, 0)
	k.Press('*', at)
	k.Press('*', at.Add(2*time.Second))
	if got := k.Press('9', at.Add(4*time.Second)); got != ToggleHand {
		t.Errorf("a second * does not begin anew: %d", got)
	}
}

func FuzzKeypad(f *testing.F) {
	f.Add([]byte("*6*9"), int64(500))
	f.Add([]byte("**1#5*\x00"), int64(4000))
	f.Fuzz(func(t *testing.T, keys []byte, gap int64) {
		var k Keypad
		at := time.Unix(1, 0)
		for i, key := range keys {
			got := k.Press(key, at)
			star := i > 0 && keys[i-1] == '*' && key != '*'
			if got < None || got > Hint || (got != None) != (star && gap%10000 <= prefixTime.Milliseconds()) {
				t.Fatalf("%q with %d ms between: %d for key %d", keys, gap%10000, got, i)
			}
			at = at.Add(time.Duration(gap%10000) * time.Millisecond)
		}
	})
}

func TestDedup(t *testing.T) {
	type press struct {
		way   string
		digit byte
		ms    int
		want  bool
	}
	for name, presses := range map[string][]press{
		"one way":             {{"rtp", '5', 0, true}, {"rtp", '5', 100, true}, {"rtp", '5', 900, true}},
		"two ways":            {{"rtp", '5', 0, true}, {"info", '5', 60, false}, {"rtp", '5', 500, true}, {"info", '5', 540, false}},
		"three ways":          {{"info", '5', 0, true}, {"rtp", '5', 20, false}, {"tone", '5', 90, false}, {"rtp", '6', 100, true}},
		"at the edge":         {{"rtp", '5', 0, true}, {"info", '5', 300, false}},
		"past the edge":       {{"rtp", '5', 0, true}, {"info", '5', 301, true}},
		"other digit":         {{"rtp", '5', 0, true}, {"info", '6', 10, true}, {"info", '5', 20, false}, {"rtp", '6', 20, false}},
		"either may be first": {{"rtp", '5', 0, true}, {"info", '5', 50, false}, {"info", '5', 250, true}, {"rtp", '5', 260, false}},
		"one way lags":        {{"rtp", '5', 0, true}, {"rtp", '5', 100, true}, {"info", '5', 120, false}, {"info", '5', 220, false}},
		"one way loses":       {{"rtp", '5', 0, true}, {"info", '5', 20, false}, {"info", '5', 250, true}, {"rtp", '5', 500, false}, {"info", '5', 520, true}},
		"all keys":            {{"rtp", '*', 0, true}, {"rtp", '#', 0, true}, {"rtp", 'A', 0, true}, {"rtp", 'D', 0, true}, {"info", 'D', 0, false}},
		"no key":              {{"rtp", 'x', 0, false}, {"rtp", 0, 0, false}, {"rtp", 'E', 0, false}},
		"more ways than there are": {
			{"a", '1', 0, true}, {"b", '1', 0, false}, {"c", '1', 0, false}, {"d", '1', 0, false}, {"e", '1', 0, false}, {"a", '1', 0, true},
		},
		"the clock steps back": {{"rtp", '5', 0, true}, {"info", '5', -100, false}, {"rtp", '5', -5000, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var d Dedup
			for i, p := range presses {
				if got := d.Accept(p.way, p.digit, time.Unix(1, 0).Add(time.Duration(p.ms)*time.Millisecond)); got != p.want {
					t.Errorf("press %d, %+v: %v", i, p, got)
				}
			}
		})
	}
}

// One way alone is never doubted, and no way counts more than it brought.
func FuzzDedup(f *testing.F) {
	f.Add([]byte("rtriri"), []byte("555566"), []byte{0, 10, 100, 200, 255, 1})
	f.Fuzz(func(t *testing.T, ways, digits, gaps []byte) {
		var d Dedup
		at := time.Unix(1, 0)
		first, accepted, mixed := "", 0, false
		for i := range min(len(ways), len(digits), len(gaps)) {
			way := string(ways[i : i+1])
			if i == 0 {
				first = way
			}
			mixed = mixed || way != first
			at = at.Add(time.Duration(gaps[i]) * 2 * time.Millisecond)
			got := d.Accept(way, digits[i], at)
			_, isKey := digitIndex(digits[i])
			if got && !isKey || !got && isKey && !mixed {
				t.Fatalf("press %d of %q by %q: %v", i, digits[i], way, got)
			}
			if got {
				accepted++
			}
		}
		if accepted > min(len(ways), len(digits), len(gaps)) {
			t.Fatalf("%d presses of %d", accepted, len(ways))
		}
	})
}
