package opus

import "reflect"

// CopyState makes e go on where another Opus encoder is, options included, and says whether that was possible: what e encodes next fits what from
// has encoded so far. An encoder's state is one block of memory without pointers into itself, and may be copied as such (libopus, opus.h).
func (e *Encoder) CopyState(from any) bool {
	o, ok := from.(*Encoder)
	if !ok {
		return false
	}
	to, state := memory(e), memory(o)
	if len(to) == 0 || len(to) != len(state) {
		return false
	}
	copy(to, state)
	return true
}

// memory is where the binding keeps the state. It does not export it; reading is all that we do to it by name.
func memory(e *Encoder) []byte {
	if mem := reflect.ValueOf(e.enc).Elem().FieldByName("mem"); mem.IsValid() && mem.Kind() == reflect.Slice {
		return mem.Bytes()
	}
	return nil
}
