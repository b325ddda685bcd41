package livekit

import (
	"context"
	"errors"
	"fmt"
	"time"

	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// received is a message, or the end of the link.
type received struct {
	message *lksig.SignalResponse
	err     error
}

// converse serves one link until it is of no use any more, or the context ends. While out is active it waits for the media, and tells when
// everything is back.
func (s *Session) converse(ctx context.Context, l *link, out *outage) loss {
	in := make(chan received)
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.read(l, in, stop)
	}()
	defer func() {
		close(stop)
		l.wait(0) // the reader ends, and Leave can still be written
		<-ended
	}()

	ping := time.NewTicker(s.timing.interval)
	defer ping.Stop()
	media := time.NewTimer(s.client.cfg.JoinTimeout)
	defer media.Stop()
	for {
		if lost, ok := s.look(ctx, l, out); ok {
			return lost
		}
		select {
		case <-ctx.Done():
			return loss{}
		case r := <-in:
			if r.err != nil {
				return loss{cause: r.err, resume: true, reason: signalLost}
			}
			if err := s.handle(ctx, l, r.message); err != nil {
				return lossOf(err)
			}
		case <-ping.C:
			if err := l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_PingReq{PingReq: &lksig.Ping{
				Timestamp: time.Now().UnixMilli(),
			}}}); err != nil {
				return loss{cause: err, resume: true, reason: signalLost}
			}
		case <-media.C:
			if !s.isWhole() {
				return loss{cause: errors.New("signalling is up, media is not")}
			}
		case <-s.wake:
		}
	}
}

// lossOf says what an error of handle means for the session: a request to leave says so itself, anything else needs a new beginning.
func lossOf(err error) loss {
	var said *leaveError
	if errors.As(err, &said) {
		return said.loss()
	}
	return loss{cause: err}
}

func (s *Session) read(l *link, in chan<- received, stop <-chan struct{}) {
	for {
		l.wait(s.timing.patience())
		select {
		case <-stop: // looked at between the two waits, so that converse's is the last word
			return
		default:
		}
		kind, b, err := l.conn.ReadMessage()
		if err == nil && s.skips(b) {
			continue
		}
		var m *lksig.SignalResponse
		if err == nil {
			m, err = decode(kind, b)
		}
		select {
		case in <- received{m, err}:
		case <-stop:
			return
		}
		if err != nil {
			return
		}
	}
}

// look compares what is with what should be: it publishes what is not published yet, and notices media that came up or failed.
func (s *Session) look(ctx context.Context, l *link, out *outage) (loss, bool) {
	if err := s.publishWishes(ctx, l); err != nil {
		return lossOf(fmt.Errorf("publish: %w", err)), true
	}
	if !out.active {
		if s.publisher.state() == pion.PeerConnectionStateFailed {
			return loss{cause: errors.New("publisher: no connectivity"), resume: true, reason: publisherLost}, true
		}
		if s.subscriber.state() == pion.PeerConnectionStateFailed {
			return loss{cause: errors.New("subscriber: no connectivity"), resume: true, reason: subscriberLost}, true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	up := s.mediaUp()
	if s.publisher.state() == pion.PeerConnectionStateConnected && s.publisher.settled() {
		for _, t := range s.ours() {
			if p := t.common(); p.sid != "" && !p.up {
				p.up = true
				t.flows()
				s.notify()
			}
		}
	}
	if !up || s.whole {
		return loss{}, false
	}
	s.whole, s.joined = true, true
	s.notify()
	if out.active {
		out.end(time.Now())
		s.log.Info("the SFU is back", "away", out.restored.Sub(out.since).Round(time.Millisecond), "attempts", out.attempts)
		s.events.put(bridge.SessionEvent{Kind: bridge.Restored})
		if s.silent {
			s.retell()
		}
	}
	return loss{}, false
}

// mediaUp says whether every peer connection that there should be is connected. s.mu is held.
func (s *Session) mediaUp() bool {
	if s.subscriber.state() != pion.PeerConnectionStateConnected && (s.join.Subscribe || s.subscriber != nil) {
		return false
	}
	return s.publisher == nil || s.publisher.state() == pion.PeerConnectionStateConnected
}

func (s *Session) isWhole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.whole
}

// closePeers ends both peer connections.
func (s *Session) closePeers() {
	s.publisher.close()
	s.subscriber.close()
	s.publisher, s.subscriber = nil, nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channel, s.dropped, s.sections = nil, nil, 0
	for _, t := range s.ours() {
		unpublish(t)
		t.common().sender = nil
	}
}
