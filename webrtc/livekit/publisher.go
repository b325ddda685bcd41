package livekit

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	pion "github.com/pion/webrtc/v4"

	"passerelle/webrtc"
	"passerelle/webrtc/livekit/lksig"
)

// publisher is the peer connection that we offer, with our track and our data channel. It is of run only; a nil publisher has not been made.
type publisher struct {
	*webrtc.Peer
	sender      *pion.RTPSender
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

// publishWishes brings the track and the data channel to the room that are wanted and not there yet.
func (s *Session) publishWishes(ctx context.Context, l *link) error {
	s.mu.Lock()
	t, d := s.track, s.channel
	wantTrack := t != nil && t.cid == "" && t.refused == nil && s.join.Publish
	var add *lksig.AddTrackRequest
	if wantTrack {
		t.cid = uuid.NewString()
		add = &lksig.AddTrackRequest{
			Cid: t.cid, Name: t.name, Type: lksig.TrackType_AUDIO, Source: lksig.TrackSource_MICROPHONE, Muted: t.muted, DisableRed: true,
		}
	}
	wantChannel := d != nil && !d.made
	s.mu.Unlock()
	if !wantTrack && !wantChannel {
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
	if wantTrack {
		if err := l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_AddTrack{AddTrack: add}}); err != nil {
			return err
		}
		if err := s.addTrack(t, add.Cid); err != nil {
			return err
		}
	}
	return s.offer(ctx, l, false)
}

func (s *Session) makePublisher() error {
	if s.publisher != nil {
		return nil
	}
	media, err := sendingEngine()
	if err != nil {
		return err
	}
	chain, err := senderReports()
	if err != nil {
		return err
	}
	peer, err := s.client.port.NewPeer(media, chain)
	if err != nil {
		return err
	}
	peer.OnConnectionStateChange(func(pion.PeerConnectionState) { s.poke() })
	s.publisher = &publisher{Peer: peer}
	return nil
}

// addTrack puts a new track into the publisher, in place of an earlier one. Its id ties the RTP stream to the request that announced it.
func (s *Session) addTrack(t *Track, cid string) error {
	if s.publisher.sender != nil {
		if err := s.publisher.RemoveTrack(s.publisher.sender); err != nil {
			return err
		}
	}
	local, err := pion.NewTrackLocalStaticRTP(opus().RTPCodecCapability, cid, "passerelle")
	if err != nil {
		return err
	}
	tr, err := s.publisher.AddTransceiverFromTrack(local, pion.RTPTransceiverInit{Direction: pion.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	sender := tr.Sender()
	s.publisher.sender = sender
	if err := checkLevelID(sender); err != nil {
		return err
	}
	s.tracks.Go(func() { // reports about us are not needed here, but somebody has to take them
		b := make([]byte, 512)
		for {
			if _, _, err := sender.Read(b); err != nil {
				return
			}
		}
	})
	t.local.Store(local)
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
