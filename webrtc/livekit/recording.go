package livekit

import (
	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// Recording implements bridge.Recorded. LiveKit calls a room recorded while a participant with the recorder grant or of the kind EGRESS is in it.
func (s *Session) Recording() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recording
}

// onRoom takes in what the server says about the room itself.
func (s *Session) onRoom(r *lksig.Room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeRecording(r)
}

// takeRecording tells when the room begins or ceases to be recorded. s.mu is held.
func (s *Session) takeRecording(r *lksig.Room) {
	if now := r.GetActiveRecording(); now != s.recording {
		s.recording = now
		s.events.put(bridge.SessionEvent{Kind: bridge.RecordingChanged, Recording: now})
	}
}
