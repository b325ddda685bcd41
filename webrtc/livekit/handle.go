package livekit

import (
	"context"
	"errors"
	"fmt"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// handle takes in one message of the server. An error ends the link.
func (s *Session) handle(ctx context.Context, l *link, m *lksig.SignalResponse) error {
	switch m := m.GetMessage().(type) {
	case *lksig.SignalResponse_Offer:
		return s.onOffer(ctx, l, m.Offer)
	case *lksig.SignalResponse_Answer:
		return s.onAnswer(ctx, l, m.Answer)
	case *lksig.SignalResponse_Trickle:
		return s.onTrickle(m.Trickle)
	case *lksig.SignalResponse_Update:
		s.onUpdate(m.Update.GetParticipants())
	case *lksig.SignalResponse_TrackPublished:
		s.onTrackPublished(m.TrackPublished)
	case *lksig.SignalResponse_TrackUnpublished:
		s.onTrackUnpublished(m.TrackUnpublished.GetTrackSid())
	case *lksig.SignalResponse_Mute:
		s.onMute(m.Mute)
	case *lksig.SignalResponse_SpeakersChanged:
		s.onSpeakers(m.SpeakersChanged.GetSpeakers())
	case *lksig.SignalResponse_RoomUpdate:
		s.onRoom(m.RoomUpdate.GetRoom())
	case *lksig.SignalResponse_RequestResponse:
		s.onRequestResponse(m.RequestResponse)
	case *lksig.SignalResponse_Leave:
		return &leaveError{m.Leave}
	case *lksig.SignalResponse_RoomMoved:
		return &leaveError{&lksig.LeaveRequest{Reason: lksig.DisconnectReason_PARTICIPANT_REMOVED}}
	case *lksig.SignalResponse_Join, *lksig.SignalResponse_Reconnect:
		return errors.New("LiveKit began anew in the middle")
	case *lksig.SignalResponse_SubscribedQualityUpdate:
		s.onWanted(m.SubscribedQualityUpdate)
	case *lksig.SignalResponse_SubscriptionResponse:
		s.log.Debug("subscription refused", "track", m.SubscriptionResponse.GetTrackSid(), "error", m.SubscriptionResponse.GetErr())
	}
	// What is left needs no answer: pongs have been noticed by having come; a refreshed token is not needed by who can sign; quality, stream
	// states and subscription permissions change nothing that we could do.
	return nil
}

// onTrickle takes a candidate of the server.
func (s *Session) onTrickle(t *lksig.TrickleRequest) error {
	peer := s.publisher.wire()
	if t.GetTarget() == lksig.SignalTarget_SUBSCRIBER {
		peer = s.subscriber.wire()
	}
	if peer == nil {
		return nil
	}
	if err := peer.AddCandidate(t.GetCandidateInit()); err != nil {
		return fmt.Errorf("candidate: %w", err)
	}
	return nil
}

// onRequestResponse wakes who waits for the answer, or takes a refusal to publish.
func (s *Session) onRequestResponse(r *lksig.RequestResponse) {
	if r.GetReason() == lksig.RequestResponse_QUEUED {
		return
	}
	var err error
	switch r.GetReason() {
	case lksig.RequestResponse_OK:
	case lksig.RequestResponse_NOT_ALLOWED:
		err = fmt.Errorf("%w: by the SFU", bridge.ErrForbidden)
	default:
		err = fmt.Errorf("LiveKit refuses: %s", r.GetReason())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if add := r.GetAddTrack(); add.GetCid() != "" && err != nil {
		if t := s.find(func(t *published) bool { return t.cid == add.GetCid() }); t != nil {
			t.common().refused = err
			unpublish(t)
		}
	}
	if id := r.GetRequestId(); s.asked[id] {
		s.answers[id] = err
	}
	s.notify()
}
