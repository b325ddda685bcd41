package policy

import (
	"fmt"
	"strings"
)

// why says for people how a condition came out.
func (c *condition) why(k *call, v verdict) string {
	if v == maybe {
		return "the room is not known yet; wanted: " + c.wanted(k)
	}
	switch c.key {
	case keyEncrypted:
		return verb(is(k.facts.Encrypted), "media can be encrypted", "media cannot be encrypted")
	case keySource:
		if !k.source.IsValid() {
			return "the source is not known; wanted: " + c.wanted(k)
		}
		return "the source " + k.source.String() + verb(v, " is in ", " is not in ") + c.wanted(k)
	case keyInRoom, keyFromSource:
		where := "in the room"
		if c.key == keyFromSource {
			where = "from this source"
		}
		return fmt.Sprintf("%d other calls are %s; wanted: %s", k.count(c.key), where, c.wanted(k))
	case keyTime:
		return k.when(c) + verb(v, " is in ", " is not in ") + c.wanted(k)
	}
	text := k.text(c.key)
	switch c.key {
	case keyCallerCountry, keyCalledCountry:
		what, number := "the caller", k.facts.Caller
		if c.key == keyCalledCountry {
			what, number = "the called one", k.facts.Called
		}
		switch {
		case number == "":
			return what + "'s country is not known without a number; wanted: " + c.wanted(k)
		case text == "":
			return what + " " + mask(number) + " is in no known country; wanted: " + c.wanted(k)
		}
		if v == yes {
			return what + " " + mask(number) + " is in " + text
		}
		return what + " " + mask(number) + " is in " + text + ", not " + c.wanted(k)
	}
	nothing := "there is none"
	if c.key == keyClass {
		nothing = "the room has none"
	}
	switch wanted := c.wanted(k); {
	case text == "" && v == yes:
		return nothing
	case text == "":
		return nothing + "; wanted: " + wanted
	case text == wanted:
		return text
	default:
		return text + verb(v, " meets ", " is not ") + wanted
	}
}

// verb joins a thing to what it was held against.
func verb(v verdict, yesWord, noWord string) string {
	if v == yes {
		return yesWord
	}
	return noWord
}

// wanted says what a condition asks for, as the file does.
func (c *condition) wanted(k *call) string {
	var words []string
	switch {
	case c.key <= lastText:
		for i := range c.texts {
			words = append(words, c.texts[i].written)
		}
	case c.key == keySource:
		for _, n := range c.nets {
			words = append(words, n.String())
		}
	case c.key == keyEncrypted:
		return fmt.Sprint(c.yes)
	case c.key == keyTime:
		for i := range c.times {
			w := &c.times[i]
			text := w.String()
			if i+1 == len(c.times) || c.times[i+1].zone != w.zone {
				text += " in " + k.set.zones[w.zone].String()
			}
			words = append(words, text)
		}
	case c.low == 0:
		return fmt.Sprintf("below %d", c.high)
	case c.high == 0:
		return fmt.Sprintf("at least %d", c.low)
	default:
		return fmt.Sprintf("at least %d, below %d", c.low, c.high)
	}
	if n := len(words) - 8; n > 1 {
		words = append(words[:8], fmt.Sprint(n, " more"))
	}
	return oneOf(words)
}

// when says what time it is in the zones of a condition.
func (k *call) when(c *condition) string {
	if k.facts.At.IsZero() {
		return "the time is not known and"
	}
	var parts []string
	seen := map[int]bool{}
	for i := range c.times {
		zone := c.times[i].zone
		if seen[zone] {
			continue
		}
		seen[zone] = true
		text := k.facts.At.In(k.set.zones[zone]).Format("Mon 2006-01-02 15:04")
		if k.moment(zone).today {
			text += ", a holiday,"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// mask shows how a number begins.
func mask(number string) string {
	if len(number) <= 6 {
		return number
	}
	r := []rune(number)
	return string(r[:min(len(r), 5)]) + "…"
}
