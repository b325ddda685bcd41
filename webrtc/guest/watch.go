package guest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"passerelle/bridge"
	"passerelle/bridge/links"
)

// watchLinks ends whoever came by a link that was taken back or is over, and forgets pages that were left lying.
func (s *Server) watchLinks(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, databaseTime)
	defer stop()
	ids, err := s.links.Revoked(ctx)
	if err != nil {
		s.log.Warn("guest: cannot tell which links were taken back", "error", err)
	}
	revoked := map[string]bool{}
	for _, id := range ids {
		revoked[id] = true
	}
	s.mu.Lock()
	sessions, resources := slices.Collect(maps.Values(s.sessions)), slices.Collect(maps.Values(s.resources))
	s.mu.Unlock()
	for _, n := range sessions {
		if reason := s.stale(n.link, revoked); reason != nil {
			n.end(reason)
		} else if n.idle() {
			n.end(errSession)
		}
	}
	for _, r := range resources {
		if reason := s.stale(r.leg.link, revoked); reason != nil {
			r.leg.End(reason)
		}
	}
}

// stale says why a link that was good is so no more; nil: it is.
func (s *Server) stale(l links.Link, revoked map[string]bool) error {
	switch {
	case revoked[l.ID]:
		return bridge.ErrLinkRevoked
	case !now().Before(l.Until):
		return bridge.ErrLinkExpired
	}
	return nil
}

// idle tells whether a session has been waiting for too long for somebody to join.
func (n *session) idle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leg == nil && now().Sub(n.began) > idleTime
}

// unavailable is the error of a database that does not answer, unless the error is about the link.
func unavailable(err error) error {
	for _, e := range [...]error{links.ErrWrong, links.ErrEarly, links.ErrExpired, links.ErrRevoked, links.ErrUsedUp} {
		if errors.Is(err, e) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", bridge.ErrUnavailable, err)
}
