package guest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	pion "github.com/pion/webrtc/v4"

	"passerelle/webrtc"
)

// peer is one peer connection of a guest, and what crosses it. A page that was loaded anew has another one.
type peer struct {
	*webrtc.Peer
	leg      *Leg
	down     *downlink
	voice    *outlet   // nil: no sound is taken
	tiles    []*outlet // in the order of the offer
	sections []section
	began    time.Time

	mu      sync.Mutex
	closed  bool
	done    chan struct{}
	readers sync.WaitGroup
}

// gatherTime bounds the making of an answer: candidates are those of open sockets, so nothing has to be waited for.
const gatherTime = 5 * time.Second

// newPeer makes a peer connection for an offer, and the answer. The error wraps errOffer when the offer is at fault.
func (l *Leg) newPeer(text string, sections []section) (*peer, string, error) {
	wire, err := l.server.port.NewPeerFor(l.pass, l.server.engine, l.server.chain)
	if err != nil {
		return nil, "", err
	}
	p := &peer{Peer: wire, leg: l, down: newDownlink(l.server.cfg.Kbps, time.Now), began: time.Now(), done: make(chan struct{})}
	p.OnTrack(p.receive)
	p.OnConnectionStateChange(func(s pion.PeerConnectionState) { l.later(func() { l.mediaState(p, s) }) })
	answer, err := p.take(text, sections)
	if err != nil {
		p.close()
		return nil, "", err
	}
	return p, answer, nil
}

// take answers an offer: the first one, or a further one of the same peer connection.
func (p *peer) take(text string, sections []section) (string, error) {
	for i, s := range sections {
		if i < len(p.sections) {
			if old := p.sections[i]; old.mid != s.mid || old.use != s.use {
				return "", fmt.Errorf("%w: section %s was for something else before", errOffer, s.mid)
			}
			continue
		}
		if err := p.prepare(s); err != nil {
			return "", err
		}
	}
	if len(sections) < len(p.sections) {
		return "", fmt.Errorf("%w: sections are missing that were there before", errOffer)
	}
	ctx, stop := context.WithTimeout(context.Background(), gatherTime)
	defer stop()
	answer, err := p.Answer(ctx, text)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errOffer, err)
	}
	p.sections = sections
	return answer, p.located()
}

// prepare makes the track that a new section of an offer is sent. pion gives it to the first free section of its kind and direction, in the order of the
// offer, which located makes sure of.
func (p *peer) prepare(s section) error {
	var o *outlet
	direction := pion.RTPTransceiverDirectionSendonly
	switch {
	case s.use == UseVoice && s.takes && p.voice == nil:
		o = &outlet{id: "mix", kind: pion.RTPCodecTypeAudio}
		p.voice, direction = o, pion.RTPTransceiverDirectionSendrecv
	case s.use == UseTile && s.takes && s.live:
		if len(p.tiles) >= p.leg.server.cfg.Tiles {
			return fmt.Errorf("%w: more than %d tiles", errOffer, p.leg.server.cfg.Tiles)
		}
		o = &outlet{id: "tile-" + s.mid, mid: s.mid, kind: pion.RTPCodecTypeVideo, link: p.down}
		p.tiles = append(p.tiles, o)
	default:
		return nil
	}
	t, err := p.AddTransceiverFromTrack(o, pion.RTPTransceiverInit{Direction: direction})
	if err != nil {
		return err
	}
	p.goRead(t.Sender(), o)
	return nil
}

// located makes sure that each track went to the section that it was made for.
func (p *peer) located() error {
	for _, t := range p.GetTransceivers() {
		sender := t.Sender()
		if sender == nil {
			continue
		}
		o, ok := sender.Track().(*outlet)
		if ok && o != p.voice && o.mid != t.Mid() {
			return fmt.Errorf("%w: section %s cannot be a tile", errOffer, t.Mid())
		}
	}
	return nil
}

// section finds what a media section is for.
func (p *peer) section(mid string) (section, bool) {
	for _, s := range p.sections {
		if s.mid == mid {
			return s, true
		}
	}
	return section{}, false
}

// run runs f on a goroutine that close waits for, unless the peer is closed already.
func (p *peer) run(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.readers.Go(f)
	}
}

// close ends the peer connection and returns when nothing of it is left.
func (p *peer) close() {
	p.mu.Lock()
	p.closed = true
	close(p.done)
	p.mu.Unlock()
	if err := p.Close(); err != nil && !errors.Is(err, context.Canceled) {
		p.leg.log.Debug("guest: close", "error", err)
	}
	p.readers.Wait()
}
