package livekit

import (
	"context"
	"fmt"

	pion "github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

const (
	reliable    = "_reliable" // LiveKit's name for its ordered data channel
	lossy       = "_lossy"    // and for the other, whose packets may be lost
	maxPayload  = 15_000      // LiveKit's advice: what fits into one message everywhere
	maxBuffered = 1 << 20     // bytes that may wait to be sent
)

// DTMFTopic is the topic under which key presses that another telephone gateway sends as LiveKit's SipDTMF are told; the data is the digit.
const DTMFTopic = "lk.sip_dtmf"

// dataChannel is the one that we send on. It is made when it is first needed, because it costs as much memory as a call.
type dataChannel struct {
	made bool // guarded by Session.mu, as is open
	open *pion.DataChannel
}

// Send sends data to everybody in the room, reliably. It returns when the data is on its way.
func (s *Session) Send(ctx context.Context, topic string, data []byte) error {
	if len(data) > maxPayload {
		return fmt.Errorf("send: %d bytes, %d is the most", len(data), maxPayload)
	}
	return s.sendPacket(ctx, &lksig.DataPacket{Value: &lksig.DataPacket_User{User: &lksig.UserPacket{Payload: data, Topic: &topic}}})
}

func (s *Session) sendPacket(ctx context.Context, p *lksig.DataPacket) error {
	b, err := proto.Marshal(p)
	if err != nil {
		return err
	}
	var open *pion.DataChannel
	err = s.await(ctx, func() (bool, error) {
		if s.channel == nil && s.link != nil {
			s.channel = new(dataChannel)
			s.poke()
		}
		if s.channel != nil {
			open = s.channel.open
		}
		return open != nil, nil
	})
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if open.BufferedAmount() > maxBuffered {
		return fmt.Errorf("send: %w: data waits already", bridge.ErrBusy)
	}
	return open.Send(b)
}

// makeChannel puts a data channel into the publisher.
func (s *Session) makeChannel(d *dataChannel) error {
	dc, err := s.publisher.CreateDataChannel(reliable, nil)
	if err != nil {
		return err
	}
	dc.OnOpen(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		d.open = dc
		s.notify()
	})
	s.onDataChannel(dc)
	s.mu.Lock()
	defer s.mu.Unlock()
	d.made = true
	return nil
}

// onDataChannel listens on a data channel of either side.
func (s *Session) onDataChannel(dc *pion.DataChannel) {
	if l := dc.Label(); l != reliable && l != lossy {
		return // what else a server forwards are a participant's own bytes: it could put any sender into them
	}
	dc.OnMessage(func(m pion.DataChannelMessage) {
		if e, ok := parseData(m.Data); ok {
			s.events.put(e)
		}
	})
}

// parseData reads a data packet. What is not for us is not an error: chat, transcriptions and the like travel the same way.
//
// Who sent it is what LiveKit wrote into the packet, whatever the sender had written there: the identity and SID of a participant; the SID alone of a hidden
// one; neither where the server sent it by itself. A LiveKit from before these fields would pass a sender's own words on. It wrote into the user
// packet alone, so a packet in which the two differ is not taken.
func parseData(b []byte) (bridge.SessionEvent, bool) {
	var p lksig.DataPacket
	if proto.Unmarshal(b, &p) != nil {
		return bridge.SessionEvent{}, false
	}
	e := bridge.SessionEvent{Kind: bridge.DataReceived, Participant: bridge.Participant{
		SID: p.GetParticipantSid(), Identity: p.GetParticipantIdentity(),
	}}
	switch {
	case p.GetUser() != nil && p.GetUser().GetParticipantIdentity() != "" && p.GetUser().GetParticipantIdentity() != p.GetParticipantIdentity():
		return bridge.SessionEvent{}, false
	case p.GetUser() != nil:
		e.Topic, e.Data = p.GetUser().GetTopic(), p.GetUser().GetPayload()
	case len(p.GetSipDtmf().GetDigit()) == 1:
		e.Topic, e.Data = DTMFTopic, []byte(p.GetSipDtmf().GetDigit())
	default:
		return bridge.SessionEvent{}, false
	}
	return e, true
}
