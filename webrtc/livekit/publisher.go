package livekit

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/webrtc"
	"passerelle/webrtc/livekit/lksig"
)

// streamID is the media stream that our tracks are in, as SDP names it.
const streamID = "passerelle"

// maxSections bounds the video sections of a publisher's SDP: each new publication is one more, and the far end of a leg can stop and start.
const maxSections = 64

// publisher is the peer connection that we offer, with our tracks and our data channel. It is of run only; a nil publisher has not been made.
type publisher struct {
	*webrtc.Peer
	offers      uint32 // sent
	answered    uint32
	renegotiate bool
}

func (p *publisher) state() pion.PeerConnectionState {
	if p == nil {
		return pion.PeerConnectionStateUnknown
	}
	return p.ConnectionState()
}

func (p *publisher) wire() *webrtc.Peer {
	if p == nil {
		return nil
	}
	return p.Peer
}

func (p *publisher) close() {
	if p != nil {
		_ = p.Close()
	}
}

// settled tells whether the server has answered all that we offered.
func (p *publisher) settled() bool { return p != nil && p.answered == p.offers && !p.renegotiate }

// publishWishes brings the tracks and the data channel to the room that are wanted and not there yet, and takes out those that are not
// wanted any more.
func (s *Session) publishWishes(ctx context.Context, l *link) error {
	s.mu.Lock()
	d := s.channel
	var tracks []outgoing
	var requests []*lksig.AddTrackRequest
	for _, t := range s.ours() {
		p := t.common()
		if p.cid != "" || p.refused != nil || !s.may(p.source) {
			continue
		}
		if _, sound := t.(*Track); !sound {
			if s.sections == maxSections {
				p.refused = fmt.Errorf("%w: published %d times", bridge.ErrBusy, maxSections)
				s.notify()
				continue
			}
			s.sections++
		}
		p.cid = uuid.NewString()
		tracks, requests = append(tracks, t), append(requests, t.request())
	}
	dropped := s.dropped
	s.dropped = nil
	if s.publisher == nil {
		dropped = nil
	}
	wantChannel := d != nil && !d.made
	s.mu.Unlock()
	if len(tracks) == 0 && len(dropped) == 0 && !wantChannel {
		return nil
	}
	if err := s.makePublisher(); err != nil {
		return err
	}
	if wantChannel {
		if err := s.makeChannel(d); err != nil {
			return err
		}
	}
	for _, t := range dropped {
		if err := s.publisher.remove(t); err != nil {
			return err
		}
	}
	for i, t := range tracks {
		if err := l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_AddTrack{AddTrack: requests[i]}}); err != nil {
			return err
		}
		if err := s.publisher.remove(t.common()); err != nil { // an earlier publication
			return err
		}
		if err := t.attach(s.publisher); err != nil {
			return err
		}
	}
	return s.offer(ctx, l, false)
}

// remove takes a track out.
func (p *publisher) remove(t *published) error {
	if t.sender == nil {
		return nil
	}
	sender := t.sender
	t.sender = nil
	return p.RemoveTrack(sender)
}

func (s *Session) makePublisher() error {
	if s.publisher != nil {
		return nil
	}
	media, err := sendingEngine(s.shows.any())
	if err != nil {
		return err
	}
	chain, err := sendingChain(s.shows.any())
	if err != nil {
		return err
	}
	peer, err := s.client.newPeer(media, chain)
	if err != nil {
		return err
	}
	peer.OnConnectionStateChange(func(pion.PeerConnectionState) { s.poke() })
	s.publisher = &publisher{Peer: peer}
	return nil
}

// offer sends an offer, or has onAnswer send one when the answer to the last is still out.
func (s *Session) offer(ctx context.Context, l *link, restartICE bool) error {
	p := s.publisher
	if p.answered != p.offers && !restartICE {
		p.renegotiate = true
		return nil
	}
	text, err := p.Offer(ctx, restartICE)
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	p.offers++
	p.renegotiate = false
	return l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_Offer{Offer: &lksig.SessionDescription{
		Type: "offer", Sdp: text, Id: p.offers,
	}}})
}

// onAnswer takes the server's answer. An older server does not tell to which offer.
func (s *Session) onAnswer(ctx context.Context, l *link, d *lksig.SessionDescription) error {
	p := s.publisher
	if p == nil || p.answered == p.offers || (d.GetId() != 0 && d.GetId() != p.offers) {
		return nil
	}
	if err := p.Accept(d.GetSdp()); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	p.answered = p.offers
	if p.renegotiate {
		return s.offer(ctx, l, false)
	}
	return nil
}
