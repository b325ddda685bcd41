package livekit

import "passerelle/media"

type discard struct{}

func (discard) WriteFrame(*media.Frame) {}
