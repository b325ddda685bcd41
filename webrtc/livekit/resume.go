package livekit

import (
	"context"

	pion "github.com/pion/webrtc/v4"

	"passerelle/webrtc/livekit/lksig"
)

// sync tells a server that still knows us what we have, over a new link. Media that still flows is left alone; the server restarts ICE of the
// subscriber by itself, and we that of a publisher that has failed.
func (s *Session) sync(ctx context.Context, l *link) error {
	s.mu.Lock()
	state := &lksig.SyncState{Subscription: &lksig.UpdateSubscription{TrackSids: s.wantedSIDs(), Subscribe: true}}
	if s.subscriber != nil {
		state.Answer, state.Offer = s.subscriber.answer, s.subscriber.offer
	}
	for _, t := range s.ours() {
		p := t.common()
		if p.sid == "" {
			unpublish(t) // the announcement may not have arrived: publishWishes repeats it
			continue
		}
		r := t.request()
		state.PublishTracks = append(state.PublishTracks, &lksig.TrackPublishedResponse{Cid: p.cid, Track: &lksig.TrackInfo{
			Sid: p.sid, Name: p.name, Type: r.GetType(), Source: p.source, Muted: p.muted, Width: r.GetWidth(), Height: r.GetHeight(),
		}})
	}
	s.mu.Unlock()
	if err := l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_SyncState{SyncState: state}}); err != nil {
		return err
	}
	if p := s.publisher; p != nil {
		if p.state() != pion.PeerConnectionStateConnected {
			if err := s.offer(ctx, l, true); err != nil {
				return err
			}
		} else if p.answered != p.offers {
			p.answered = p.offers // its answer was lost with the link, or the offer was
			if err := s.offer(ctx, l, true); err != nil {
				return err
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	for _, t := range s.ours() {
		t.common().ask() // the state above does not change what the server has
	}
	s.notify()
	return s.sizes(l)
}
