package sip

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/bridge"
	"passerelle/configs"
	"passerelle/media"
)

// sink counts frames.
type sink struct{ frames atomic.Int64 }

func (s *sink) WriteFrame(*media.Frame) { s.frames.Add(1) }

// TestDial calls from one server to another, with sound, digits and hold.
func TestDial(t *testing.T) {
	t.Parallel()
	pki := newPKI(t)
	for name, o := range map[string]DialOptions{
		"udp":          {From: "+33123456712", Name: "Alice", Codecs: []string{"PCMA"}, Encryption: "off"},
		"tcp":          {From: "alice", Transport: "tcp", Codecs: []string{"opus"}, Encryption: "off"},
		"tls and SRTP": {From: "alice", Transport: "tls", Codecs: []string{"G722"}, Encryption: "require"},
		"late offer":   {From: "alice", LateOffer: true, Codecs: []string{"PCMU"}, Encryption: "off"},
		"anonymous":    {},
	} {
		t.Run(name, func(t *testing.T) {
			var r recorder
			gateway := start(t, r.handle, pki.listenTLS(false), func(c *configs.SIP, _ *Deps) { c.Trunks = []configs.Trunk{loopbackTrunk()} })
			tel := start(t, nil, func(_ *configs.SIP, d *Deps) { d.RootCAs = pki.pool })
			network := o.Transport
			if network == "" {
				network = "udp"
			}
			l, err := tel.Dial(t.Context(), "sip:1000@"+gateway.Addr(network).String(), o)
			if err != nil {
				t.Fatal(err)
			}
			far := r.leg(t)
			eventually(t, "the call", func() bool { return far.Audio().Codec().Name != "" })
			c := far.Caller()
			if c.Transport != network || c.Called != "1000" || c.Encrypted != (o.Encryption != "off" || o.LateOffer) || o.From == "" && c.Number != "" {
				t.Errorf("caller: %+v", c)
			}
			var here, there sink
			l.Audio().SetSink(&here)
			far.Audio().SetSink(&there)
			if a, b := l.Audio().Codec(), far.Audio().Codec(); !a.Is(b) || len(o.Codecs) > 0 && !strings.EqualFold(a.Name, o.Codecs[0]) {
				t.Errorf("codecs %s and %s", a.Name, b.Name)
			}
			eventually(t, "sound both ways", func() bool {
				_ = l.Audio().WriteFrame(make([]byte, 160), 160, false)
				_ = far.Audio().WriteFrame(make([]byte, 160), 160, false)
				return here.frames.Load() > 0 && there.frames.Load() > 0
			})
			for i, way := range []string{"rtp", "info"} {
				if err := l.SendDigit(t.Context(), '7', 80*time.Millisecond, way); err != nil {
					t.Fatal(err)
				}
				if e := r.event(t, bridge.Digit, i+1); e.Digit != '7' || e.Way != way {
					t.Errorf("digit %q by %s, want 7 by %s", e.Digit, e.Way, way)
				}
			}
			if err := l.Hold(t.Context()); err != nil {
				t.Fatal(err)
			}
			if e := r.event(t, bridge.Hold, 1); !e.Held {
				t.Error("not held")
			}
			if err := l.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if e := r.event(t, bridge.Hold, 2); e.Held {
				t.Error("still held")
			}
			l.End(nil)
			if e := r.event(t, bridge.Ended, 1); !errors.Is(e.Reason, bridge.ErrHungUp) {
				t.Errorf("ended with %v", e.Reason)
			}
		})
	}
}

func TestDialWithPassword(t *testing.T) {
	t.Parallel()
	gateway := start(t, nil, digestTrunk)
	tel := start(t, nil)
	target := "sip:1000@" + gateway.Addr("udp").String()
	l, err := tel.Dial(t.Context(), target, DialOptions{From: "a", Credentials: Credentials{User: "alice", Password: "secret"}})
	if err != nil {
		t.Fatal(err)
	}
	l.End(nil)
	for _, c := range []Credentials{{}, {User: "alice", Password: "wrong"}} {
		if _, err := tel.Dial(t.Context(), target, DialOptions{From: "a", Credentials: c}); !errors.Is(err, bridge.ErrForbidden) {
			t.Errorf("%q: %v", c.User, err)
		}
	}
}

func TestDialRefused(t *testing.T) {
	t.Parallel()
	gateway := start(t, func(_ context.Context, l *Leg) { l.End(bridge.ErrBusy) })
	tel := start(t, nil)
	_, err := tel.Dial(t.Context(), "sip:1000@"+gateway.Addr("udp").String(), DialOptions{})
	if !errors.Is(err, bridge.ErrBusy) {
		t.Error(err)
	}
	for _, target := range []string{"", "nonsense", "sip:*", "sip:1@192.0.2.1", "sip:1@[::1"} {
		if _, err := tel.Dial(t.Context(), target, DialOptions{}); err == nil {
			t.Errorf("%q was called", target)
		}
	}
	if _, err := tel.Dial(t.Context(), "sip:1000@"+gateway.Addr("udp").String(), DialOptions{Codecs: []string{"mp3"}}); err == nil {
		t.Error("mp3 was offered")
	}
}

func TestDialGivesUp(t *testing.T) {
	t.Parallel()
	var r recorder
	rings := make(chan struct{})
	gateway := start(t, func(ctx context.Context, l *Leg) {
		_ = l.Ring(ctx, bridge.Terms{})
		close(rings)
		for e := range l.Events() {
			r.mu.Lock()
			r.events = append(r.events, e)
			r.mu.Unlock()
		}
	})
	tel := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-rings
		cancel()
	}()
	var progress atomic.Int64
	_, err := tel.Dial(ctx, "sip:1000@"+gateway.Addr("udp").String(), DialOptions{Progress: func(code int, _ string) { progress.Store(int64(code)) }})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if e := r.event(t, bridge.Ended, 1); !errors.Is(e.Reason, bridge.ErrCancelled) {
		t.Errorf("ended with %v", e.Reason)
	}
	eventually(t, "no leg", func() bool { return tel.Legs()+gateway.Legs() == 0 })
}

// TestDialOddAnswers calls a far end that is a socket: redirections, forks, reliable answers, a 2xx that crosses the CANCEL, silence.
func TestDialOddAnswers(t *testing.T) {
	t.Parallel()
	dial := func(t *testing.T, ctx context.Context, far func(*phone)) error {
		t.Helper()
		tel := start(t, nil)
		p := newPhone(t, tel)
		done := make(chan error, 1)
		go func() {
			l, err := tel.Dial(ctx, "sip:1@"+p.local.String(), DialOptions{Encryption: "off"})
			if l != nil {
				l.End(nil)
			}
			done <- err
		}()
		far(p)
		err := <-done
		eventually(t, "no leg", func() bool { return tel.Legs() == 0 })
		return err
	}
	t.Run("redirection", func(t *testing.T) {
		err := dial(t, t.Context(), func(p *phone) {
			p.reply(p.expect("INVITE"), "302 Moved", "", "")
			p.expect("ACK")
		})
		if !errors.Is(err, bridge.ErrSignalling) {
			t.Error(err)
		}
	})
	t.Run("too many hops", func(t *testing.T) {
		err := dial(t, t.Context(), func(p *phone) {
			p.reply(p.expect("INVITE"), "483 Too Many Hops", "", "")
			p.expect("ACK")
		})
		if !errors.Is(err, bridge.ErrSignalling) {
			t.Error(err)
		}
	})
	t.Run("reliable", func(t *testing.T) {
		err := dial(t, t.Context(), func(p *phone) {
			invite := p.expect("INVITE")
			p.reply(invite, "183 Session Progress", p.sdp, "Require: 100rel\r\nRSeq: 17\r\n")
			prack := p.expect("PRACK")
			if header(prack, "RAck") != "17 1 INVITE" {
				t.Errorf("RAck: %q", header(prack, "RAck"))
			}
			p.reply(prack, "200 OK", "", "")
			p.reply(invite, "200 OK", "", "")
			p.expect("ACK")
			p.reply(p.expect("BYE"), "200 OK", "", "")
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("fork", func(t *testing.T) {
		err := dial(t, t.Context(), func(p *phone) {
			invite := p.expect("INVITE")
			p.reply(invite, "200 OK", p.sdp, "")
			p.expect("ACK")
			first := p.tag
			p.tag = "second"
			p.reply(invite, "200 OK", p.sdp, "")
			tags := map[string]bool{}
			for len(tags) < 2 {
				bye := p.expect("BYE")
				p.reply(bye, "200 OK", "", "")
				_, tag, _ := strings.Cut(header(bye, "To"), ";tag=")
				tags[tag] = true
			}
			if !tags[first] || !tags["second"] {
				t.Errorf("BYEs to %v", tags)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("no SDP", func(t *testing.T) {
		err := dial(t, t.Context(), func(p *phone) {
			p.reply(p.expect("INVITE"), "200 OK", "", "")
			p.expect("ACK")
			p.reply(p.expect("BYE"), "200 OK", "", "")
		})
		if !errors.Is(err, bridge.ErrSignalling) {
			t.Error(err)
		}
	})
	t.Run("silence", func(t *testing.T) {
		err := dial(t, t.Context(), func(p *phone) { p.expect("INVITE"); p.expect("INVITE") })
		if !errors.Is(err, bridge.ErrSignalling) {
			t.Error(err)
		}
	})
	t.Run("2xx crosses CANCEL", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := dial(t, ctx, func(p *phone) {
			invite := p.expect("INVITE")
			p.reply(invite, "180 Ringing", "", "")
			cancel()
			p.reply(p.expect("CANCEL"), "200 OK", "", "")
			p.reply(invite, "200 OK", p.sdp, "")
			p.expect("ACK")
			p.reply(p.expect("BYE"), "200 OK", "", "")
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("cancelled and never ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := dial(t, ctx, func(p *phone) {
			invite := p.expect("INVITE")
			cancel()
			p.reply(invite, "180 Ringing", "", "")
			p.reply(p.expect("CANCEL"), "200 OK", "", "")
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestNothingIsLeft sets up and tears down 100 calls, some by each end, some refused, some that vanish, and counts what is left.
func TestNothingIsLeft(t *testing.T) {
	var r recorder
	gateway := start(t, r.handle)
	tel := start(t, nil)
	sockets := descriptors(t)
	ignore := goleak.IgnoreCurrent()
	var wg sync.WaitGroup
	limit := make(chan struct{}, 20)
	for i := range 100 {
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			o := DialOptions{From: "a", Transport: []string{"udp", "tcp"}[i%2]}
			if i%5 == 4 {
				o.Encryption = "off"
				o.Codecs = []string{"L16"}
			}
			l, err := tel.Dial(t.Context(), "sip:1000@"+gateway.Addr(o.Transport).String(), o)
			if err != nil {
				t.Error(err)
				return
			}
			l.End(nil)
		})
	}
	wg.Wait()
	eventually(t, "no leg", func() bool { return tel.Legs()+gateway.Legs() == 0 })
	eventually(t, "no media port", func() bool { return tel.ports.InUse()+gateway.ports.InUse() == 0 })
	// TCP connections are kept for the next call: one there is, seen from both sides.
	eventually(t, "no socket", func() bool { return descriptors(t) <= sockets+2 })
	for _, s := range []*Server{tel, gateway} {
		eventually(t, "no transaction", func() bool {
			s.layer.mu.Lock()
			defer s.layer.mu.Unlock()
			return len(s.layer.servers)+len(s.layer.clients)+len(s.layer.merged) == 0
		})
	}
	if err := goleak.Find(ignore, goleak.IgnoreAnyFunction("passerelle/sip.(*transport).readStream")); err != nil {
		t.Error(err)
	}
}

func descriptors(t *testing.T) int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
