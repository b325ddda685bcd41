package ivr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestCollector(t *testing.T) {
	for _, c := range []struct {
		name   string
		length int
		keys   string
		want   []string
	}{
		{"ended by #", 0, "1234#", []string{"1234"}},
		{"not ended", 0, "1234", nil},
		{"one digit", 0, "0#", []string{"0"}},
		{"# alone is no PIN", 0, "###", nil},
		{"cleared", 0, "12*34#", []string{"34"}},
		{"cleared to nothing", 0, "12*#", nil},
		{"fixed length", 4, "1234", []string{"1234"}},
		{"fixed length, with # behind", 4, "1234#5678#", []string{"1234", "5678"}},
		{"shorter than fixed", 4, "123#", []string{"123"}},
		{"cleared before its end", 4, "123*4567", []string{"4567"}},
		{"letters are ignored", 0, "1A2B3C4D#", []string{"1234"}},
		{"noise is ignored", 4, "1\x0023 \xff4", []string{"1234"}},
		{"a second one starts anew", 0, "12#34#", []string{"12", "34"}},
		{"longest", 0, strings.Repeat("1", MaxPIN), []string{strings.Repeat("1", MaxPIN)}},
		{"storm", 0, strings.Repeat("1", 2*MaxPIN+1), []string{strings.Repeat("1", MaxPIN), strings.Repeat("1", MaxPIN)}},
		{"length out of bounds", 99, "12#", []string{"12"}},
		{"negative length", -1, "12#", []string{"12"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			collector := NewCollector(c.length)
			var got []string
			for i := range len(c.keys) {
				if pin, complete := collector.Press(c.keys[i]); complete {
					got = append(got, pin.Reveal())
				} else if pin.Reveal() != "" {
					t.Errorf("an incomplete PIN is told: %q", pin.Reveal())
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%q gives %q, want %q", c.keys, got, c.want)
			}
		})
	}
}

func TestCollectorLen(t *testing.T) {
	c := NewCollector(0)
	for i, want := range []int{1, 2, 0, 1, 0} {
		c.Press("12*3#"[i])
		if c.Len() != want {
			t.Errorf("after %q: %d digits, want %d", "12*3#"[:i+1], c.Len(), want)
		}
	}
	c.Press('1')
	typed := c.typed[:1]
	c.Clear()
	if c.Len() != 0 || typed[0] != 0 {
		t.Error("Clear leaves digits in memory")
	}
}

// A PIN must not show itself, whatever is done with it by mistake.
func TestPINHidden(t *testing.T) {
	const digits = "8675309"
	pin := NewPIN(digits)
	type call struct {
		ID  string
		pin PIN
		PIN PIN
		ptr *PIN
	}
	c := call{"1", pin, pin, &pin}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p", "%T", "%!", "%z"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", pin, &pin, c)
	}
	fmt.Fprintln(&out, pin, c, fmt.Errorf("PIN %v, %w", pin, fmt.Errorf("%v", c)))
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&out, nil),
		slog.NewJSONHandler(&out, nil),
	} {
		slog.New(h).Info("tried", "pin", pin, "call", c, "ptr", &pin, slog.Group("g", "pin", pin))
	}
	if err := json.NewEncoder(&out).Encode(map[string]any{"pin": pin, "call": c}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), digits) || strings.Contains(strings.ToLower(out.String()), fmt.Sprintf("%x", digits)) {
		t.Errorf("the PIN shows:\n%s", out.String())
	}
	if !strings.Contains(out.String(), pin.String()) {
		t.Error("nothing tells that there is a PIN")
	}
	if pin.Reveal() != digits || (PIN{}).Reveal() != "" {
		t.Errorf("Reveal: %q", pin.Reveal())
	}
}

func FuzzCollector(f *testing.F) {
	for _, s := range []string{"1234#", "12*34#", "1234567890", strings.Repeat("9", 70), "A#B*"} {
		f.Add(0, []byte(s))
		f.Add(4, []byte(s))
	}
	f.Fuzz(func(t *testing.T, length int, keys []byte) {
		c := NewCollector(length)
		for _, key := range keys {
			pin, complete := c.Press(key)
			digits := pin.Reveal()
			if complete != (digits != "") || len(digits) > MaxPIN || strings.Trim(digits, "0123456789") != "" {
				t.Fatalf("PIN %q, complete %v", digits, complete)
			}
			if complete && key != '#' && len(digits) != c.length {
				t.Fatalf("key %q ended a PIN of %d digits, want %d", key, len(digits), c.length)
			}
			if complete && c.Len() != 0 || c.Len() >= c.length {
				t.Fatalf("%d digits are kept", c.Len())
			}
		}
	})
}
