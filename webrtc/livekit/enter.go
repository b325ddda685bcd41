package livekit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// The pauses between two attempts to get back: the first, and the longest. Each is up to half longer, so that the sessions of a node do not all
// come back at the same time.
const (
	firstPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
	// calmAfter is how long a session has to go well until an outage is a new one. An SFU that lets us in and throws us out again must not be
	// asked without a pause, nor for ever.
	calmAfter = 30 * time.Second
)

// outage is the time during which the SFU is away, however often it seems to come back.
type outage struct {
	active   bool
	since    time.Time     // of the last loss
	restored time.Time     // the last time
	spent    time.Duration // in losses shortly before
	attempts int
	atOnce   bool // the next attempt needs no pause
}

// begin notes that the link is lost, and says whether it was up before.
func (o *outage) begin(now time.Time) bool {
	if o.active {
		return false
	}
	if now.Sub(o.restored) > calmAfter {
		o.spent, o.attempts = 0, 0
	}
	o.active, o.since = true, now
	return true
}

// end notes that everything is back.
func (o *outage) end(now time.Time) {
	o.active, o.restored = false, now
	o.spent += now.Sub(o.since)
}

// left is what remains of the time in which the session has to be back.
func (o *outage) left(now time.Time, limit time.Duration) time.Duration {
	return limit - o.spent - now.Sub(o.since)
}

// pause is how long to wait before the next attempt. The first is at once.
func (o *outage) pause() time.Duration {
	o.attempts++
	if o.attempts == 1 || o.atOnce {
		o.atOnce = false
		return 0
	}
	d := min(firstPause<<min(o.attempts-2, 10), maxPause)
	return d + rand.N(d/2+1)
}

// loss says why a link is of no use any more.
type loss struct {
	cause  error
	final  error // the session is over
	resume bool  // what the SFU knows of us may be kept
	reason lksigReconnect
}

// lksigReconnect is LiveKit's ReconnectReason.
type lksigReconnect int

const (
	signalLost     lksigReconnect = 1
	publisherLost  lksigReconnect = 2
	subscriberLost lksigReconnect = 3
)

// reenter gets the session back. It returns a nil link and error when the context ended, and an error when the time is over.
func (s *Session) reenter(ctx context.Context, out *outage, lost loss) (*link, error) {
	for {
		left := out.left(time.Now(), s.client.cfg.ReconnectFor)
		if left <= 0 {
			return nil, fmt.Errorf("%w: %w", bridge.ErrSFU, lost.cause)
		}
		select {
		case <-time.After(min(out.pause(), left)):
		case <-ctx.Done():
			return nil, nil
		}
		attempt, cancel := context.WithTimeout(ctx, min(s.client.cfg.JoinTimeout, max(left, time.Second)))
		var l *link
		var err error
		if lost.resume {
			l, err = s.resume(attempt, lost.reason)
		} else {
			l, err = s.joinAnew(attempt)
		}
		cancel()
		if err == nil {
			return l, nil
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		s.log.Debug("the SFU is still away", "attempt", out.attempts, "error", err)
		lost.cause = err
		var said *leaveError
		var refused *refusal
		switch {
		case errors.As(err, &said) && said.loss().final != nil:
			return nil, said.loss().final
		case lost.resume && (errors.As(err, &refused) && refused.status < 500 || errors.As(err, &said) && !said.loss().resume):
			// It is there, but does not know us any more, as after a restart: nothing has to be waited for. An error of its own (5xx) says nothing
			// about us: LiveKit answers so for a moment when it has stood still, and whoever joins anew then has other tracks than before.
			lost.resume, out.atOnce = false, true
		}
	}
}

// joinAnew enters the room as a new participant of the same identity.
func (s *Session) joinAnew(ctx context.Context) (*link, error) {
	l, first, err := s.open(ctx, url.Values{})
	if err != nil {
		return nil, err
	}
	j := first.GetJoin()
	if j.GetParticipant() == nil {
		l.close()
		return nil, unexpected(first)
	}
	s.closePeers()
	s.timing.set(j)
	if err := s.settle(l, j); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// resume takes up the session where the link broke.
func (s *Session) resume(ctx context.Context, reason lksigReconnect) (*link, error) {
	s.mu.Lock()
	sid := s.sid
	s.mu.Unlock()
	l, first, err := s.open(ctx, url.Values{
		"reconnect": {"1"}, "sid": {sid}, "reconnect_reason": {strconv.Itoa(int(reason))},
	})
	if err != nil {
		return nil, err
	}
	if first.GetReconnect() == nil {
		l.close()
		return nil, unexpected(first)
	}
	if err := s.sync(ctx, l); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// open dials and takes the first message.
func (s *Session) open(ctx context.Context, query url.Values) (*link, *lksig.SignalResponse, error) {
	token, err := s.token()
	if err != nil {
		return nil, nil, err
	}
	l, err := s.client.dial(ctx, token, query)
	if err != nil {
		return nil, nil, err
	}
	patience := s.client.cfg.JoinTimeout
	if t, ok := ctx.Deadline(); ok {
		patience = time.Until(t)
	}
	stop := context.AfterFunc(ctx, func() { _ = l.conn.Close() })
	l.wait(patience)
	first, err := l.receive()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		l.close()
		return nil, nil, err
	}
	return l, first, nil
}

// token says who we are, with the permissions that the room has left us: a host who took the floor from a participant has not to do it again
// because a cable was pulled.
func (s *Session) token() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cl := claims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: s.join.Identity},
		Name:             s.join.Name,
		Attributes:       maps.Clone(s.join.Attributes),
		Video: &videoGrant{
			Room: s.join.Room, RoomJoin: true, Hidden: s.join.Hidden,
			CanPublish: s.join.Publish, CanPublishData: s.join.Publish, CanSubscribe: s.join.Subscribe, CanUpdateOwnMetadata: true,
		},
	}
	for _, may := range [...]struct {
		is     bool
		source string
	}{{s.join.Publish, "microphone"}, {s.join.Camera, "camera"}, {s.join.Content, "screen_share"}} {
		if may.is {
			cl.Video.CanPublishSources = append(cl.Video.CanPublishSources, may.source)
			cl.Video.CanPublish = true
		}
	}
	if s.join.Phone {
		cl.Kind = "sip"
	}
	return s.client.sign(cl)
}

func unexpected(m *lksig.SignalResponse) error {
	if l := m.GetLeave(); l != nil {
		return &leaveError{l}
	}
	return fmt.Errorf("LiveKit begins with %T", m.GetMessage())
}

// timing is how the server wants to be pinged.
type timing struct {
	interval, timeout time.Duration
}

func (t *timing) set(j *lksig.JoinResponse) {
	t.interval = clampSeconds(j.GetPingInterval(), 5*time.Second)
	t.timeout = clampSeconds(j.GetPingTimeout(), 15*time.Second)
}

// patience is how long a link may be silent. Every ping has an answer.
func (t *timing) patience() time.Duration { return t.interval + t.timeout }

func clampSeconds(seconds int32, otherwise time.Duration) time.Duration {
	if seconds <= 0 {
		return otherwise
	}
	return min(time.Duration(seconds)*time.Second, time.Minute)
}
