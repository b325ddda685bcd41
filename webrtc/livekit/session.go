package livekit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

// errOver is what calls on an ended session get, with its reason unless we left.
var errOver = errors.New("the session is over")

// Session is one participant's stay in a room. It implements bridge.Session. Its methods may be called from any goroutine.
type Session struct {
	client *Client
	log    *slog.Logger
	events *events
	wake   chan struct{} // a peer connection or a wish changed
	over   chan struct{} // closed when nothing is asked of the SFU any more
	done   chan struct{} // closed when run has returned
	cancel context.CancelFunc
	hears  bool           // joined to hear others; else nothing of them is kept
	shows  shows          // what we joined to show: a room cannot give us more
	tracks sync.WaitGroup // readers of peer connections

	// Of run only.
	publisher  *publisher
	subscriber *subscriber
	timing     timing

	mu        sync.Mutex
	reason    error         // of the end, of a class of bridge's; nil: not over, or we left
	changed   chan struct{} // closed and made anew whenever something below changes
	join      bridge.Join   // name, attributes and permissions as the room has them now
	link      *link         // nil while the SFU is away
	whole     bool          // signalling and media are up
	joined    bool          // whole has been true
	sid       string
	self      *lksig.ParticipantInfo
	recording bool                              // somebody records the room
	room      map[string]*lksig.ParticipantInfo // others, by identity
	gone      []*lksig.ParticipantInfo          // left while we were away
	silent    bool                              // joining anew: who is there is told when all is back
	speakers  map[string]float32                // by participant SID
	track     *Track
	codecs    []bridge.VideoCodec // that the server takes of us
	videos    map[bridge.Source]*VideoTrack
	dropped   []*published             // to be taken out of the room
	sections  int                      // of video in the publisher's SDP
	wanted    map[string]*subscription // by track SID
	answers   map[uint32]error         // of requests that were answered; nil: accepted
	asked     map[uint32]bool          // requests that wait for an answer
	request   uint32
	channel   *dataChannel
}

// Join implements bridge.SFU. The context bounds the joining only. Errors wrap bridge.ErrSFU, or bridge.ErrDraining after Close.
//
// LiveKit shows a participant who does not subscribe to others when their track is published, and removes one who has not connected any media
// after a minute.
func (c *Client) Join(ctx context.Context, j bridge.Join) (bridge.Session, []bridge.Participant, error) {
	s, present, err := c.enter(ctx, j)
	if err != nil {
		return nil, nil, err
	}
	return s, present, nil
}

func (c *Client) enter(ctx context.Context, j bridge.Join) (*Session, []bridge.Participant, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.JoinTimeout)
	defer cancel()
	s := newSession(c, j, c.log.With("room", j.Room, "participant", j.Identity))
	l, err := s.joinAnew(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: join: %w", bridge.ErrSFU, err)
	}
	present := s.everybody()
	if err := c.add(s); err != nil {
		l.close()
		return nil, nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = stop
	go s.run(running, l)
	if err := s.await(ctx, func() (bool, error) { return s.joined, nil }); err != nil {
		s.Leave()
		return nil, nil, fmt.Errorf("%w: join: media: %w", bridge.ErrSFU, err)
	}
	return s, present, nil
}

func newSession(c *Client, j bridge.Join, log *slog.Logger) *Session {
	j.Attributes = maps.Clone(j.Attributes)
	return &Session{
		client: c, log: log, join: j, hears: j.Subscribe, shows: shows{j.Camera, j.Content},
		events: newEvents(), wake: make(chan struct{}, 1), over: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{}),
		room: map[string]*lksig.ParticipantInfo{}, speakers: map[string]float32{}, wanted: map[string]*subscription{},
		videos: map[bridge.Source]*VideoTrack{}, codecs: bridge.VideoCodecs(),
		answers: map[uint32]error{}, asked: map[uint32]bool{},
	}
}

// Events implements bridge.Session.
func (s *Session) Events() <-chan bridge.SessionEvent { return s.events.out }

// Leave implements bridge.Session. Events that nobody reads are dropped, SessionEnded last.
func (s *Session) Leave() {
	s.events.abandon()
	s.cancel()
	<-s.done
}

// run lives through the session.
func (s *Session) run(ctx context.Context, l *link) {
	var pump sync.WaitGroup
	pump.Go(s.events.run)
	reason := s.stay(ctx, l)
	s.mu.Lock()
	s.reason = reason
	s.mu.Unlock()
	close(s.over)
	s.cancel()
	s.closePeers()
	s.tracks.Wait()
	s.client.remove(s)
	s.events.put(bridge.SessionEvent{Kind: bridge.SessionEnded, Reason: reason})
	pump.Wait()
	s.log.Debug("session ended", "reason", reason)
	close(s.done)
}

// stay converses over one link after the other. It returns the reason for the end, nil when we leave.
func (s *Session) stay(ctx context.Context, l *link) error {
	var out outage
	for {
		lost := s.converse(ctx, l, &out)
		s.setLink(nil)
		if ctx.Err() != nil {
			_ = l.send(&lksig.SignalRequest{Message: &lksig.SignalRequest_Leave{Leave: &lksig.LeaveRequest{
				Reason: lksig.DisconnectReason_CLIENT_INITIATED,
			}}})
			l.close()
			return nil
		}
		l.close()
		if lost.final != nil {
			return lost.final
		}
		s.log.Info("the SFU is away", "cause", lost.cause, "resume", lost.resume)
		if out.begin(time.Now()) {
			s.events.put(bridge.SessionEvent{Kind: bridge.Interrupted})
		}
		var err error
		if l, err = s.reenter(ctx, &out, lost); err != nil || l == nil {
			return err
		}
	}
}

// setLink says which link requests go over; nil: none for now.
func (s *Session) setLink(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	s.whole = false
	s.notify()
}

// notify tells those in await that something changed. s.mu is held.
func (s *Session) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// poke has run look at peer connections and wishes again.
func (s *Session) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// await returns when cond, which is called with s.mu held, says true or an error, or the context or the session ends.
func (s *Session) await(ctx context.Context, cond func() (bool, error)) error {
	for {
		s.mu.Lock()
		ok, err := cond()
		changed := s.changed
		s.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.over:
			s.mu.Lock()
			defer s.mu.Unlock()
			if ok, err := cond(); ok || err != nil {
				return err
			}
			if s.reason != nil {
				return fmt.Errorf("%w: %w", errOver, s.reason)
			}
			return errOver
		}
	}
}
