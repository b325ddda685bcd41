package livekit

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/media"
	"passerelle/transcode"
	"passerelle/webrtc"
	"passerelle/webrtc/livekit/lksig"
)

// maxWanted bounds the tracks that a session can be subscribed to.
const maxWanted = 10_000

// maxPacket is the size of the buffer that RTP is read into: an Ethernet frame's worth.
const maxPacket = 1500

// subscription is a track that is wanted: one of the sinks is set, and changed while packets come.
type subscription struct {
	sink  atomic.Pointer[media.Sink]
	video atomic.Pointer[bridge.VideoSink]

	// Guarded by Session.mu.
	height int               // of the picture
	rate   int               // of pictures a second; 0: all
	remote *pion.TrackRemote // nil: it has not come yet
	peer   *webrtc.Peer      // that it came by
}

// end takes the sinks off.
func (w *subscription) end() {
	w.sink.Store(nil)
	w.video.Store(nil)
}

// subscriber is the peer connection that the server offers, with the tracks that we hear. It is of run only; a nil subscriber has not been made.
type subscriber struct {
	*webrtc.Peer
	offer, answer *lksig.SessionDescription // the last ones, for a resume
}

func (p *subscriber) state() pion.PeerConnectionState {
	if p == nil {
		return pion.PeerConnectionStateUnknown
	}
	return p.ConnectionState()
}

func (p *subscriber) wire() *webrtc.Peer {
	if p == nil {
		return nil
	}
	return p.Peer
}

func (p *subscriber) close() {
	if p != nil {
		_ = p.Close()
	}
}

// Subscribe implements bridge.Session. The track may not be known yet, and the SFU may be away: the wish is kept, until the
// participant takes the track away. One packet may still be under way when a sink is taken off.
func (s *Session) Subscribe(trackSID string, sink media.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sink == nil {
		s.forgo(trackSID)
		return nil
	}
	w, had, err := s.want(trackSID)
	if err != nil {
		return err
	}
	w.sink.Store(&sink)
	if !had {
		s.tryToSend(func(l *link) error { return sendSubscription(l, true, trackSID) })
	}
	return nil
}

// want finds or makes a subscription. s.mu is held.
func (s *Session) want(trackSID string) (w *subscription, had bool, err error) {
	if w, had = s.wanted[trackSID]; had {
		return w, true, nil
	}
	if len(s.wanted) == maxWanted {
		return nil, false, fmt.Errorf("subscribed to %d tracks already", maxWanted)
	}
	w = new(subscription)
	s.wanted[trackSID] = w
	return w, false, nil
}

// forgo ends a subscription. s.mu is held.
func (s *Session) forgo(trackSID string) {
	if w := s.wanted[trackSID]; w != nil {
		w.end()
		delete(s.wanted, trackSID)
		s.tryToSend(func(l *link) error { return sendSubscription(l, false, trackSID) })
	}
}

// tryToSend sends what follows from a wish. run notices when the link is broken, and sends all wishes over the next. s.mu is held.
func (s *Session) tryToSend(send func(*link) error) {
	if s.link == nil {
		return
	}
	if err := send(s.link); err != nil {
		s.log.Debug("request lost", "error", err)
	}
}

func sendSubscription(l *link, subscribe bool, sids ...string) error {
	return l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_Subscription{Subscription: &lksig.UpdateSubscription{
		TrackSids: sids, Subscribe: subscribe,
	}}})
}

// subscribeAll asks for everything wanted. s.mu is held.
func (s *Session) subscribeAll(l *link) error {
	sids := s.wantedSIDs()
	if len(sids) == 0 {
		return nil
	}
	if err := s.sizes(l); err != nil {
		return err
	}
	return sendSubscription(l, true, sids...)
}

func (s *Session) wantedSIDs() []string {
	sids := make([]string, 0, len(s.wanted))
	for sid := range s.wanted {
		sids = append(sids, sid)
	}
	return sids
}

// onOffer answers the server.
func (s *Session) onOffer(ctx context.Context, l *link, d *lksig.SessionDescription) error {
	if s.subscriber == nil {
		if err := s.makeSubscriber(); err != nil {
			return err
		}
	}
	text, err := s.subscriber.Answer(ctx, d.GetSdp())
	if err != nil {
		return fmt.Errorf("offer: %w", err)
	}
	answer := &lksig.SessionDescription{Type: "answer", Sdp: text, Id: d.GetId()}
	s.subscriber.offer, s.subscriber.answer = d, answer
	return l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_Answer{Answer: answer}})
}

func (s *Session) makeSubscriber() error {
	engine, err := receivingEngine()
	if err != nil {
		return err
	}
	peer, err := s.client.newPeer(engine, receivingChain())
	if err != nil {
		return err
	}
	peer.OnConnectionStateChange(func(pion.PeerConnectionState) { s.poke() })
	peer.OnTrack(func(t *pion.TrackRemote, r *pion.RTPReceiver) {
		if t.Kind() == pion.RTPCodecTypeVideo {
			s.tracks.Go(func() { s.see(peer, t, r) })
		} else {
			s.tracks.Go(func() { s.hear(t) })
		}
	})
	peer.OnDataChannel(s.onDataChannel)
	s.subscriber = &subscriber{Peer: peer}
	return nil
}

// hear hands a track's packets to its sink. One that nobody wants, or that is not Opus, is read and dropped until the server ends it.
func (s *Session) hear(t *pion.TrackRemote) {
	codec, _ := transcode.Lookup("opus", transcode.Rate)
	isOpus := strings.EqualFold(t.Codec().MimeType, pion.MimeTypeOpus)
	sid := t.ID()
	w := s.wish(sid)
	var (
		b     = make([]byte, maxPacket)
		p     rtp.Packet
		frame = media.Frame{Codec: &codec}
	)
	for {
		n, _, err := t.Read(b)
		if err != nil {
			return
		}
		if w == nil || w.sink.Load() == nil {
			if w = s.wish(sid); w == nil {
				continue
			}
		}
		sink := w.sink.Load()
		if sink == nil || !isOpus || p.Unmarshal(b[:n]) != nil || len(p.Payload) == 0 {
			continue
		}
		frame.Payload, frame.Sequence, frame.Timestamp, frame.Marker = p.Payload, p.SequenceNumber, p.Timestamp, p.Marker
		frame.Arrival = time.Now()
		(*sink).WriteFrame(&frame)
	}
}

func (s *Session) wish(sid string) *subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted[sid]
}
