package webrtc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/pion/interceptor"
	pion "github.com/pion/webrtc/v4"

	"passerelle/internal/egress"
)

// maxRemotes bounds how many candidates of the far end are looked at in one peer connection, and how many addresses that are not national are sent to.
const maxRemotes = 64

// Peer is one peer connection on a Port. Offers and answers hold all of our candidates, so there is nothing to trickle from us: with host
// candidates on an open socket they are known at once.
type Peer struct {
	*pion.PeerConnection
	port *Port
	lane *lane
	pass *egress.Pass

	mu      sync.Mutex
	remotes []netip.AddrPort
	opened  []netip.Addr            // that are not national
	early   []pion.ICECandidateInit // came before the remote description
	closed  bool
}

// NewPeer makes a peer connection that reaches the national networks only.
func (p *Port) NewPeer(media *pion.MediaEngine, chain *interceptor.Registry) (*Peer, error) {
	return p.NewPeerFor(p.pass, media, chain)
}

// NewPeerFor makes a peer connection that reaches what the pass permits. Who made the pass closes it, after the peer connection.
func (p *Port) NewPeerFor(pass *egress.Pass, media *pion.MediaEngine, chain *interceptor.Registry) (*Peer, error) {
	cert, err := p.certificate()
	if err != nil {
		return nil, err
	}
	l, err := p.acquire()
	if err != nil {
		return nil, err
	}
	peer := &Peer{port: p, lane: l, pass: pass}
	peer.PeerConnection, err = p.api(l, peer.reaches, media, chain).NewPeerConnection(pion.Configuration{
		Certificates: []pion.Certificate{*cert},
		BundlePolicy: pion.BundlePolicyMaxBundle,
	})
	if err != nil {
		p.release(l, nil, nil)
		return nil, err
	}
	return peer, nil
}

// Offer makes an offer with all candidates and sets it.
func (p *Peer) Offer(ctx context.Context, restartICE bool) (string, error) {
	d, err := p.CreateOffer(&pion.OfferOptions{ICERestart: restartICE})
	if err != nil {
		return "", err
	}
	return p.settle(ctx, d)
}

// Answer takes an offer, makes the answer with all candidates and sets it.
func (p *Peer) Answer(ctx context.Context, offer string) (string, error) {
	if err := p.setRemote(pion.SDPTypeOffer, offer); err != nil {
		return "", err
	}
	d, err := p.CreateAnswer(nil)
	if err != nil {
		return "", err
	}
	return p.settle(ctx, d)
}

// Accept takes the answer to our offer.
func (p *Peer) Accept(answer string) error { return p.setRemote(pion.SDPTypeAnswer, answer) }

func (p *Peer) settle(ctx context.Context, d pion.SessionDescription) (string, error) {
	gathered := pion.GatheringCompletePromise(p.PeerConnection)
	if err := p.SetLocalDescription(d); err != nil {
		return "", err
	}
	select {
	case <-gathered:
		return p.LocalDescription().SDP, nil
	case <-ctx.Done():
		return "", fmt.Errorf("gather candidates: %w", ctx.Err())
	}
}

func (p *Peer) setRemote(t pion.SDPType, sdp string) error {
	var refused error
	sdp = filterCandidates(sdp, func(a netip.AddrPort) bool {
		ok, err := p.admit(a)
		if err != nil {
			refused = err
		}
		return ok
	})
	if refused != nil {
		return refused
	}
	if err := p.SetRemoteDescription(pion.SessionDescription{Type: t, SDP: sdp}); err != nil {
		return err
	}
	p.mu.Lock()
	early := p.early
	p.early = nil
	p.mu.Unlock()
	for _, c := range early {
		if err := p.AddICECandidate(c); err != nil {
			return err
		}
	}
	return nil
}

// AddCandidate takes a candidate of the far end in the JSON form of browsers. One that the guard refuses is dropped, and the guard has counted it.
func (p *Peer) AddCandidate(candidateInit string) error {
	var c pion.ICECandidateInit
	if err := json.Unmarshal([]byte(candidateInit), &c); err != nil {
		return err
	}
	a, ok := parseCandidate(c.Candidate)
	if !ok {
		return nil // the end of candidates, or one that we have no use for
	}
	ok, err := p.admit(a)
	if !ok || err != nil {
		return err
	}
	p.mu.Lock()
	if p.RemoteDescription() == nil {
		p.early = append(p.early, c) // bounded by admit
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	return p.AddICECandidate(c)
}

// admit says whether a candidate of the far end may be used. An error means that this peer connection cannot work.
func (p *Peer) admit(a netip.AddrPort) (bool, error) {
	if p.port.shared != nil || !p.reaches(a.Addr()) {
		return false, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.remotes, a) {
		return true, nil
	}
	if p.closed || len(p.remotes) == maxRemotes {
		return false, nil
	}
	err := p.port.learn(p.lane, p.remotes, a)
	p.remotes = append(p.remotes, a)
	return true, err
}

// reaches says whether packets may go to an address of the far end, and sees that the socket lets them.
func (p *Peer) reaches(a netip.Addr) bool {
	if !p.pass.Permits(a, egress.ICE) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return false
	case p.port.pass.Includes(a) || slices.Contains(p.opened, a):
		return true
	case len(p.opened) == maxRemotes:
		return false
	}
	p.port.open(p.lane, a)
	p.opened = append(p.opened, a)
	return true
}

// Close ends the peer connection and returns when its goroutines are gone.
func (p *Peer) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	err := p.GracefulClose()
	p.port.release(p.lane, p.remotes, p.opened)
	return err
}
