//go:build e2e

// Package phone_test calls the real gateway with real SIP programs: what a telephone says must arrive in the room, and what the room says at the
// telephone, found again by correlation. The figures are in the tests' logs (go test -v).
package phone_test

import (
	"context"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/baresip"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/webrtc/livekit"
)

// TestMain runs more calls at a time than there are processors: a call waits most of its time.
func TestMain(m *testing.M) {
	flag.Parse()
	if n := flag.Lookup("test.parallel"); n.Value.String() == n.DefValue {
		_ = flag.Set("test.parallel", "3")
	}
	os.Exit(m.Run())
}

// house is a stack with whom a test needs on the room's side.
type house struct {
	*stack.Stack
	client *livekit.Client
	admin  lkadmin.Admin
}

// start starts a stack, and a client of its SFU.
func start(t *testing.T, o stack.Options) *house {
	t.Helper()
	s := stack.Start(t, o)
	client := s.Client(t)
	return &house{Stack: s, client: client, admin: lkadmin.Admin{Client: client}}
}

// scene is one room with Camille in it, and what a test does there.
type scene struct {
	*testing.T
	*house
	room, pin string
	camille   *participant.Participant
}

// scene opens room n.
func (h *house) scene(t *testing.T, n int) *scene {
	t.Helper()
	s := &scene{T: t, house: h}
	s.room, s.pin = stack.RoomN(n)
	s.join()
	return s
}

// join lets Camille come in.
func (s *scene) join() {
	s.Helper()
	ctx, stop := context.WithTimeout(s.Context(), 20*time.Second)
	defer stop()
	var err error
	if s.camille, err = participant.Join(ctx, s.client, s.room, "camille", "Camille"); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(s.camille.Leave)
}

// uri is where to call by a transport.
func (h *house) uri(transport string) string {
	if transport == "tls" {
		return "sip:room@" + h.TLS
	}
	return "sip:room@" + h.SIP
}

// guest is the telephone, as Camille sees it.
func (s *scene) guest() (bridge.Participant, bool) {
	return s.camille.Find(func(p bridge.Participant) bool { return strings.HasPrefix(p.Identity, "phone-") })
}

// sees waits until Camille sees the telephone so.
func (s *scene) sees(what string, is func(bridge.Participant) bool) bridge.Participant {
	s.Helper()
	var guest bridge.Participant
	stack.Eventually(s.T, 10*time.Second, "Camille sees that "+what, func() bool {
		g, ok := s.guest()
		guest = g
		return ok && is(g)
	})
	return guest
}

// muted tells whether the room sees the telephone muted.
func muted(p bridge.Participant) bool { return len(p.Tracks) == 1 && p.Tracks[0].Muted }

// open tells whether the room sees the telephone with an open microphone.
func open(p bridge.Participant) bool { return len(p.Tracks) == 1 && !p.Tracks[0].Muted }

// handUp tells whether the room sees the telephone's hand.
func handUp(p bridge.Participant) bool { return p.Attributes["handRaisedAt"] != "" }

// enter calls, types the PIN, and returns when the telephone is in the room and has been told so.
func (s *scene) enter(p *baresip.Phone, transport string) {
	s.Helper()
	p.Call(s.T, s.uri(transport))
	p.Press(s.T, s.pin+"#")
	s.sees("the telephone is in the room", open)
	s.hears(p, 0, ivr.Joined)
}

// hears waits until the telephone has heard a French prompt since the mark, and answers where in its recording the prompt ended.
func (s *scene) hears(p *baresip.Phone, mark int, name ivr.Name) (end int) {
	s.Helper()
	return s.hearsIn(p, mark, "fr", name)
}

// hearsIn is hears in any language.
func (s *scene) hearsIn(p *baresip.Phone, mark int, language string, name ivr.Name) (end int) {
	s.Helper()
	return s.hearsClip(p, mark, language+" "+string(name), prompts(s.T).Clip(language, name))
}

// hearsClip is hears of any sound. Its beginning tells it apart.
func (s *scene) hearsClip(p *baresip.Phone, mark int, what string, clip []int16) (end int) {
	s.Helper()
	needle := clip[:min(len(clip), 3*transcode.Rate/2)]
	stack.Eventually(s.T, 20*time.Second, "the telephone hears "+what, func() bool {
		heard := p.Heard(s.T)
		if mark+len(needle) > len(heard) {
			return false
		}
		at, c := speech.Find(heard[mark:], needle, transcode.Rate)
		end = mark + samples(at) + len(clip)
		return c > 0.7 && len(heard) >= end
	})
	return end
}

// prompts are those of the gateway.
func prompts(t *testing.T) *ivr.Prompts {
	t.Helper()
	p, err := loadPrompts()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var loadPrompts = sync.OnceValues(func() (*ivr.Prompts, error) { return ivr.Load("", []string{"fr", "en"}) })

func samples(d time.Duration) int { return int(d.Seconds() * transcode.Rate) }
