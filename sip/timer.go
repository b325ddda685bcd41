package sip

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
)

const (
	minMinSE   = 90 * time.Second // RFC 4028, section 4
	maxSession = 24 * time.Hour
	alive      = 10 * time.Second // media that is younger keeps a call up
)

// sessionTimer is the session timer of one call (RFC 4028).
type sessionTimer struct {
	interval  time.Duration // 0: none
	minSE     time.Duration
	refresher bool // we refresh
	timer     *time.Timer
	misses    int
}

// sessionExpires is a Session-Expires header.
type sessionExpires struct {
	interval  time.Duration
	refresher string // uac, uas or empty
}

// parseSessionExpires reads Session-Expires or Min-SE; false: malformed.
func parseSessionExpires(s string) (sessionExpires, bool) {
	parts := strings.Split(s, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(parts[0]), 10, 31)
	if err != nil {
		return sessionExpires{}, false
	}
	se := sessionExpires{interval: min(time.Duration(n)*time.Second, maxSession)}
	for _, p := range parts[1:] {
		k, v, _ := strings.Cut(p, "=")
		v = strings.ToLower(strings.TrimSpace(v))
		if strings.EqualFold(strings.TrimSpace(k), "refresher") && (v == "uac" || v == "uas") {
			se.refresher = v
		}
	}
	return se, true
}

func sessionExpiresOf(m interface{ GetHeaders(string) []sipgo.Header }) (sessionExpires, bool) {
	h := headers(m, "session-expires", "x")
	if len(h) == 0 {
		return sessionExpires{}, false
	}
	return parseSessionExpires(h[0].Value())
}

func minSEOf(m interface{ GetHeaders(string) []sipgo.Header }) time.Duration {
	h := m.GetHeaders("min-se")
	if len(h) == 0 {
		return 0
	}
	se, _ := parseSessionExpires(h[0].Value())
	return se.interval
}

func (s *Server) minSE() time.Duration { return max(s.cfg.MinSE, minMinSE) }

// negotiateTimer reads what an INVITE or UPDATE asks for (section 9). It answers 422 where that is too short for us.
func (s *Server) negotiateTimer(tx *serverTx) (sessionTimer, bool) {
	req := tx.req
	speaks := has(append(tokens(req, "supported", "k"), tokens(req, "require")...), "timer")
	se, asked := sessionExpiresOf(req)
	t := sessionTimer{minSE: max(s.minSE(), minSEOf(req))}
	switch {
	case asked && speaks && se.interval < s.minSE():
		s.plain(tx, 422, "Session Interval Too Small", sipgo.NewHeader("Min-SE", seconds(s.minSE())))
		return t, false
	case asked:
		t.interval = max(se.interval, t.minSE)
		if own := s.cfg.SessionExpiry; own > 0 {
			t.interval = max(min(t.interval, own), t.minSE)
		}
	case s.cfg.SessionExpiry > 0:
		t.interval = max(s.cfg.SessionExpiry, t.minSE)
	}
	t.refresher = !(speaks && se.refresher == "uac")
	return t, true
}

// write puts the outcome into a 2xx of ours; speaks tells whether the far end knows timers.
func (t *sessionTimer) write(res *sipgo.Response, speaks bool) {
	if t.interval == 0 {
		return
	}
	who := "uac"
	if t.refresher {
		who = "uas"
	}
	if speaks {
		res.AppendHeader(sipgo.NewHeader("Require", "timer"))
	} else if !t.refresher {
		return
	}
	res.AppendHeader(sipgo.NewHeader("Session-Expires", seconds(t.interval)+";refresher="+who))
}

// ask puts our wish into a request of ours. Who refreshes now goes on doing so.
func (t *sessionTimer) ask(req *sipgo.Request) {
	if t.interval == 0 {
		return
	}
	who := "uas"
	if t.refresher {
		who = "uac"
	}
	req.AppendHeader(sipgo.NewHeader("Session-Expires", seconds(t.interval)+";refresher="+who))
	req.AppendHeader(sipgo.NewHeader("Min-SE", seconds(t.minSE)))
}

// read takes the outcome from a 2xx to a request of ours (section 7.2): no header means no timer on their side, and ours goes on if we had one.
func (t *sessionTimer) read(res *sipgo.Response) {
	if se, ok := sessionExpiresOf(res); ok {
		t.interval, t.refresher = max(se.interval, minMinSE), se.refresher != "uas"
	} else {
		t.refresher = true
	}
}

// raise follows a 422.
func (t *sessionTimer) raise(res *sipgo.Response) {
	t.minSE = max(t.minSE, minSEOf(res))
	t.interval = max(t.interval, t.minSE)
}

// replace takes new terms; the running timer is stopped, to be started by startTimer.
func (t *sessionTimer) replace(n sessionTimer) {
	t.stop()
	*t = n
}

func (t *sessionTimer) stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// startTimer starts the interval anew: at its half we refresh, or shortly before its end the call is given up (section 10).
func (l *Leg) startTimer() {
	t := &l.timer
	t.stop()
	t.misses = 0
	switch {
	case t.interval == 0:
	case t.refresher:
		t.timer = l.after(l.server.timers.scale(t.interval/2), l.refreshNow)
	default:
		t.timer = l.after(l.server.timers.scale(t.interval-min(32*time.Second, t.interval/3)), l.expired)
	}
}

// expired ends a call that the far end did not refresh, unless its media still flows: devices with broken timers are not cut.
func (l *Leg) expired() {
	if l.state != stateConfirmed {
		return
	}
	if l.flowing() {
		l.log.Debug("sip: the far end did not refresh the session, but its media flows")
		l.timer.timer = l.after(l.server.timers.scale(alive), l.expired)
		return
	}
	l.end(fmt.Errorf("%w: the session expired", bridge.ErrSignalling), true)
}

// refreshFailed takes the end of a refresh of ours: the call is over where the far end does not know it any more (481, 408), or where nothing
// comes from it. Else it goes on, and we try again.
func (l *Leg) refreshFailed(code int) {
	if l.state != stateConfirmed {
		return
	}
	l.timer.misses++
	if code == 481 || code == 408 || !l.flowing() && l.timer.misses > 1 {
		l.end(fmt.Errorf("%w: the session could not be refreshed (SIP %d)", bridge.ErrSignalling, code), true)
		return
	}
	l.timer.stop()
	l.timer.timer = l.after(l.server.timers.scale(l.timer.interval/4), l.refreshNow)
}

// flowing tells whether media came lately.
func (l *Leg) flowing() bool {
	at := l.media.stream.LastReceived()
	return !at.IsZero() && time.Since(at) < l.server.timers.scale(alive)
}

// watchMedia ends a call from which no packet came for the configured time, unless it is on hold.
func (l *Leg) watchMedia() {
	limit := l.server.calls.MediaTimeout
	if limit <= 0 || l.state == stateOver {
		return
	}
	last := l.media.stream.LastReceived()
	if last.Before(l.started) {
		last = l.started
	}
	if !l.media.agreed.WeHear || l.held || l.state != stateConfirmed {
		last = time.Now()
	}
	left := limit - time.Since(last)
	if left <= 0 {
		l.end(bridge.ErrMediaTimeout, true)
		return
	}
	l.watch = l.after(left, l.watchMedia)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
