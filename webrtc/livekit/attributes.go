package livekit

import (
	"context"
	"fmt"

	"passerelle/webrtc/livekit/lksig"
)

// SetAttributes implements bridge.Session. It returns when the room has them, after an outage if need be. The error wraps bridge.ErrForbidden when
// the room does not let us.
func (s *Session) SetAttributes(ctx context.Context, attributes map[string]string) error {
	s.mu.Lock()
	s.request++
	id := s.request
	s.asked[id] = true
	s.mu.Unlock()
	var asked *link
	err := s.await(ctx, func() (bool, error) {
		if err, ok := s.answers[id]; ok {
			return true, err
		}
		if s.link == nil || s.link == asked {
			return false, nil
		}
		asked = s.link
		if err := asked.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_UpdateMetadata{UpdateMetadata: &lksig.UpdateParticipantMetadata{
			Attributes: attributes, RequestId: id,
		}}}); err != nil {
			s.log.Debug("attributes request lost", "error", err) // run notices that the link is broken
		}
		return false, nil
	})
	s.mu.Lock()
	delete(s.asked, id)
	delete(s.answers, id)
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("attributes: %w", err)
	}
	return nil
}
