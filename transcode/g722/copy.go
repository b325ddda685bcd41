package g722

// CopyState makes e go on where another G.722 encoder is, and says whether from is one: what e encodes next fits what from has encoded so far.
func (e *Encoder) CopyState(from any) bool {
	o, ok := from.(*Encoder)
	if ok {
		*e = *o
	}
	return ok
}
