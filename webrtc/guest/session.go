package guest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/bridge/policy"
)

// session is what a page gets for its link: a place to come back to. Its methods may be called from any goroutine.
type session struct {
	server *Server
	token  string
	link   links.Link
	terms  Terms
	from   netip.Addr
	secure bool // the page came over TLS
	began  time.Time

	mu      sync.Mutex
	page    page // before there is a leg
	leg     *Leg // nil: did not join yet
	joining bool // a page's join is under way, which may wait for the database
	ended   bool
}

// How long a session may live.
const (
	idleTime     = 30 * time.Minute // that nobody joined by
	databaseTime = 5 * time.Second
)

// open makes a session for a link that was found good.
func (s *Server) open(ctx context.Context, l links.Link, from netip.Addr, secure bool) (*session, error) {
	terms, err := s.terms(ctx, l, from, secure, "webrtc")
	if err != nil {
		return nil, err
	}
	n := &session{server: s, token: rand.Text(), link: l, terms: terms, from: from, secure: secure, began: now()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return nil, bridge.ErrDraining
	}
	same := 0
	for _, other := range s.sessions {
		if other.from == from {
			same++
		}
	}
	if most := s.cfg.MaxPerAddress; most > 0 && same >= sessionsEach*most {
		return nil, fmt.Errorf("%w: %d sessions", errTooMany, same)
	}
	if len(s.sessions) >= sessionsEach*s.cfg.Max {
		return nil, fmt.Errorf("%w: %d sessions", bridge.ErrBusy, len(s.sessions))
	}
	s.sessions[n.token] = n
	s.metrics.sessions.Inc()
	return n, nil
}

// sessionsEach is how many sessions there may be for each guest that there may be: pages that were left lying.
const sessionsEach = 4

// session finds a session by its token.
func (s *Server) session(token string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[token]
}

// forget ends a session's memory.
func (s *Server) forget(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[n.token] == n {
		delete(s.sessions, n.token)
		s.metrics.sessions.Dec()
	}
}

// terms asks the rules what a guest may do, before the guest joins: the page says so.
func (s *Server) terms(ctx context.Context, l links.Link, from netip.Addr, secure bool, protocol string) (Terms, error) {
	t := Terms{
		Title: l.Title, Name: l.Name, AskName: l.AskName, Hosted: s.cfg.HostedIn, Consent: s.cfg.Consent, Lobby: l.Lobby, Until: l.Until.UTC(),
		Audio: string(policy.Both), Video: string(policy.Both), Content: string(policy.Both), Servers: s.relay.credentials(l.Until), Language: l.Language,
	}
	d := s.policy.Decide(ctx, facts(l, from, secure, protocol))
	if !d.Allowed {
		return Terms{}, &bridge.Refused{Rule: d.Rule, Refusal: d.Refusal}
	}
	g := d.Grant
	t.Foreign, t.Names, t.Rate = g.Foreign, g.Learn == policy.LearnNames, g.Picture.Rate
	t.Lobby = t.Lobby || g.Lobby == policy.AskHost || g.Lobby == policy.WithHost
	t.Audio, t.Video, t.Content = string(g.Audio), string(g.Video), string(g.Content)
	if t.Language == "" {
		t.Language = s.language
	}
	return t, nil
}

// facts is what is known of who comes by a link, before there is a call.
func facts(l links.Link, from netip.Addr, secure bool, protocol string) policy.Facts {
	return policy.Facts{
		At: now(), Direction: policy.In, Protocol: protocol, Source: from, Transport: transport(secure), Encrypted: true, Identity: l.ID, Link: l.ID,
		Room: l.Room,
	}
}

// transport is what the rules call the way of signalling.
func transport(secure bool) string {
	if secure {
		return "wss"
	}
	return "ws"
}

// attach gives the session a page: a new one, or one that has come back. A page that it had before is told so. One that comes while another one joins is
// welcomed when that is done, as it then has a call to go on with. Where the call is ending meanwhile, the page is told so when it has.
func (n *session) attach(p page) {
	n.mu.Lock()
	leg, over := n.leg, n.ended
	if leg == nil && !over {
		if old := n.page; old != nil {
			old.send(ending(errTakenOver))
			old.end(closing(errTakenOver))
		}
		n.page = p
		if !n.joining {
			p.send(n.welcome(StateNew))
		}
	}
	n.mu.Unlock()
	if leg != nil && !over {
		over = leg.do(context.Background(), func() { leg.attach(p, n.welcome) }) != nil
	}
	if over {
		p.send(ending(errSession))
		p.end(closing(errSession))
	}
}

func (n *session) welcome(s State) *welcome {
	cfg := n.server.cfg
	return &welcome{Version: Version, State: s, Terms: n.terms, Grace: int(cfg.Grace / time.Second), Maximum: cfg.Tiles}
}

// detach notes that a page is gone.
func (n *session) detach(p page, inOrder bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.page == p {
		n.page = nil
	}
	if n.leg != nil {
		n.leg.later(func() { n.leg.detach(p, inOrder) })
	}
}

// handle does what a page says.
func (n *session) handle(p page, kind string, r request) {
	_, joins := r.(*join)
	n.mu.Lock()
	leg, mine, busy := n.leg, n.page == p, n.joining
	if leg == nil && mine && joins {
		n.joining = true
	}
	n.mu.Unlock()
	switch {
	case leg != nil:
		leg.later(func() { leg.handle(p, kind, r) })
		return
	case !mine:
		return
	case joins && busy: // two joins would make two legs: this page gets that of the other one
		p.send(failed(kind, errNotNow))
		return
	}
	switch r := r.(type) {
	case *join:
		if err := n.join(p, r); err != nil {
			n.joinFailed(p)
			p.send(failed(kind, err))
		}
	case *ping:
		p.send(&pong{r.ID})
	case *candidate: // too early, and of no use
	case *leave:
		n.end(bridge.ErrHungUp)
	default:
		p.send(failed(kind, errNotNow))
	}
}

// joinFailed lets pages join again after the join of one did not begin. A page that has come meanwhile has waited for that.
func (n *session) joinFailed(of page) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.joining = false
	if n.page != nil && n.page != of {
		n.page.send(n.welcome(StateNew))
	}
}

// join takes a guest into a call; only one at a time does. The error is one that the page may try again after; others end the session.
func (n *session) join(p page, j *join) error {
	if (n.terms.Foreign || n.terms.Consent != "") && !j.Consent {
		return errConsent
	}
	sections, err := readOffer(j.SDP)
	if err != nil {
		return err
	}
	if err := assign(sections, j.Tracks); err != nil {
		return err
	}
	leg, err := n.server.enter(n.link, n.caller(j), j.offer)
	if err != nil {
		n.server.metrics.refused.WithLabelValues(judge(err).code).Inc()
		n.server.log.Info("guest refused", "reason", judge(err).code, "link", n.link.ID, "from", n.from, "error", err)
		n.end(err)
		return nil
	}
	leg.flows[0].On = j.Camera
	if j.Muted {
		leg.emit(bridge.Event{Kind: bridge.Microphone})
	}
	n.mu.Lock()
	if n.ended { // taken back meanwhile
		leg.End(bridge.ErrLinkRevoked)
	}
	switch n.page {
	case p:
		leg.page = p
		p.send(leg.state())
	case nil: // the session is over, or another page came and is gone, too
		leg.first, leg.pageGone = offer{}, now()
	default:
		leg.attach(n.page, n.welcome)
	}
	n.leg, n.page, n.joining = leg, nil, false
	n.mu.Unlock()
	n.server.start(leg, n)
	return nil
}

// caller says who a guest is.
func (n *session) caller(j *join) bridge.Caller {
	c := n.server.caller(n.link, n.from, n.secure, "webrtc")
	if n.link.AskName && j.Name != "" {
		c.Name = j.Name
	}
	return c
}

// caller says who comes by a link.
func (s *Server) caller(l links.Link, from netip.Addr, secure bool, protocol string) bridge.Caller {
	c := bridge.Caller{
		CallID: strings.ToLower(rand.Text()[:12]), Protocol: protocol, Name: l.Name, Source: from, Transport: transport(secure), Encrypted: true,
		Identity: l.ID, Language: l.Language, Link: l.ID, Room: l.Room, Lobby: l.Lobby,
	}
	if c.Name == "" {
		c.Name = "Guest"
	}
	return c
}

// enter counts a guest in and makes the leg. start, or abandon, has to follow.
func (s *Server) enter(l links.Link, c bridge.Caller, o offer) (*Leg, error) {
	if err := s.admit(c.Source); err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(context.Background(), databaseTime)
	defer stop()
	if err := s.links.Use(ctx, l); err != nil {
		s.leave(c.Source)
		return nil, unavailable(err)
	}
	return s.newLeg(c, l, o), nil
}

// end ends a session that has no leg, with its page; one that has a leg ends with it.
func (n *session) end(reason error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	if n.leg != nil {
		n.leg.later(func() { n.leg.over(reason) })
	}
	if n.page != nil {
		n.page.send(ending(reason))
		n.page.end(closing(reason))
		n.page = nil
	}
	n.server.forget(n)
}
