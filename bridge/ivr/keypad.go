package ivr

import "time"

// prefixTime is how long a * waits for its key.
const prefixTime = 3 * time.Second

// Command is what keys ask for during a call.
type Command int

// The commands of the keypad.
const (
	None       Command = iota
	ToggleMute         // *6
	ToggleHand         // *9
	Quieter            // *4
	Louder             // *5
	HowMany            // *2
	Help               // *1 and *0
	Hint               // * and a key that has no meaning
)

// Keypad reads commands from the keys of one caller. Keys without a * before them mean nothing: people press them by accident.
type Keypad struct {
	star  time.Time // when * was pressed
	armed bool      // and its key is awaited
}

// Press takes one key.
func (k *Keypad) Press(key byte, at time.Time) Command {
	if key == '*' {
		k.star, k.armed = at, true
		return None
	}
	if !k.armed {
		return None
	}
	k.armed = false
	if at.Sub(k.star) > prefixTime {
		return None
	}
	switch key {
	case '6':
		return ToggleMute
	case '9':
		return ToggleHand
	case '4':
		return Quieter
	case '5':
		return Louder
	case '2':
		return HowMany
	case '0', '1':
		return Help
	}
	return Hint
}
