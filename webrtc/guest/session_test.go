package guest

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"

	"passerelle/bridge/links"
)

// TestPageDuringJoin: a page that comes while another one joins, as the database takes its time, goes on with that one's call, and makes none of its own.
func TestPageDuringJoin(t *testing.T) {
	t.Parallel()
	for name, joins := range map[string]bool{"loaded anew": false, "two joins": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoom()
			h := open(t, nil, r.take)
			begun, hold := make(chan struct{}, 10), make(chan struct{})
			release := sync.OnceFunc(func() { close(hold) })
			t.Cleanup(release)
			var uses atomic.Int32
			use := func() { uses.Add(1); begun <- struct{}{}; <-hold }
			h.use.Store(&use)
			_, token := h.link(links.Wish{})
			session, _, _ := h.exchange(token)
			first, _ := h.hello(session)
			j := join{offer: offer{SDP: first.media(false, 0)}}
			j.Tracks = first.tracks
			first.say("join", j)
			wait(t, "join", begun)

			p := h.visit()
			p.say("hello", hello{Version: Version, Session: session})
			first.ended("taken_over", closeTaken)
			if joins {
				p.say("join", j)
				var f failure
				p.hear("error", &f, nil)
				if f.Code != "not_now" || f.To != "join" {
					t.Errorf("failure %+v", f)
				}
			}
			release()
			w := new(welcome)
			p.hear("welcome", w, nil)
			if w.State != StateConnecting {
				t.Errorf("welcomed in state %s", w.State)
			}
			text := p.media(false, 0)
			p.say("offer", offer{SDP: text, Tracks: p.tracks, Fresh: true})
			p.accept()
			p.isUp()
			wait(t, "leg", r.legs)
			p.state(StateTalking)
			if n := uses.Load(); n != 1 || h.Legs() != 1 {
				t.Errorf("%d uses, %d legs", n, h.Legs())
			}
			p.say("leave", leave{})
			p.ended("hung_up", closeLeft)
		})
	}
}

// pad is a page that keeps what it is told.
type pad struct{ told []message }

func (p *pad) send(m message) { p.told = append(p.told, m) }
func (p *pad) end(int)        {}

// TestJoinFails: a page that comes while another one's join fails may join itself.
func TestJoinFails(t *testing.T) {
	t.Parallel()
	h := open(t, nil, newRoom().take)
	link, _ := h.link(links.Wish{})
	n, err := h.Server.open(t.Context(), link, netip.MustParseAddr("127.0.0.1"), false)
	if err != nil {
		t.Fatal(err)
	}
	first, second := new(pad), new(pad)
	n.attach(first)
	n.joining = true
	n.attach(second)
	if len(second.told) != 0 {
		t.Errorf("told %v before the join is decided", second.told)
	}
	n.joinFailed(first)
	if len(second.told) != 1 || n.joining {
		t.Fatalf("told %v", second.told)
	}
	if w, ok := second.told[0].(*welcome); !ok || w.State != StateNew {
		t.Errorf("told %+v", second.told[0])
	}
	n.handle(second, "join", &join{}) // an empty offer, which may be tried again
	if f, ok := second.told[len(second.told)-1].(*failure); !ok || f.Code != "offer" || n.joining {
		t.Errorf("told %+v", second.told[len(second.told)-1])
	}
}
