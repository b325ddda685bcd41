//go:build e2e

// Package visio_test has the gateway work beside Visio as it is today: LiveKit with Redis, dispatch rules that Visio's backend writes when a room
// starts, and roomkit for a room that has not started.
package visio_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/bridge"
	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/internal/egress"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/phone"
	"passerelle/internal/testpeer/speech"
	"passerelle/sip"
	"passerelle/transcode"
	"passerelle/transcode/mix"
	"passerelle/webrtc/livekit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The caller's number, and what must not be seen of it.
const (
	number = "+33612345678"
	secret = "61234567"
	masked = "+33 6 •• •• •• 78"
)

// house is a gateway beside Visio.
type house struct {
	*stack.Stack
	visio   *backend
	client  *livekit.Client
	prompts *ivr.Prompts
}

// start starts everything. When it is over, the gateway's log must hold no PIN and no number.
func start(t *testing.T, redis string) *house {
	t.Helper()
	h := &house{visio: newBackend(t)}
	t.Cleanup(func() {
		for _, pin := range append(h.visio.pins, secret, token, entryToken) {
			if h.Stack != nil && strings.Contains(h.Log(), pin) {
				t.Error("the log holds a PIN, the number or the token")
			}
		}
	})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.visio.roomkit.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Stack = stack.Start(t, stack.Options{
		NoRooms: true, Redis: redis, Webhook: h.visio.hooks.URL + "/webhook",
		Environ: []string{"PASSERELLE_DIRECTORY_ROOMKIT_TOKEN=" + token},
		Extra: fmt.Sprintf(`
directory:
  livekit: true
  refresh: 200ms
  timeout: 6s
  roomkit: {url: %q, ca_file: %q}
  visio: {url: %q, ca_file: %q}
ivr: {guess: {per_source: 0, overall: 1000}}
`, h.visio.roomkit.URL+"/api/v1.0/roomkit/join/", ca, h.visio.roomkit.URL+"/api/v1.0/", ca),
	})
	var err error
	if h.prompts, err = ivr.Load("", []string{"fr"}); err != nil {
		t.Fatal(err)
	}
	h.client = h.Client(t)
	h.visio.mu.Lock()
	defer h.visio.mu.Unlock()
	h.visio.admin = lkadmin.Admin{Client: h.client}
	t.Cleanup(h.visio.retire)
	return h
}

// guest has somebody with a browser enter a room.
func (h *house) guest(t *testing.T, room, name string) *participant.Participant {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	p, err := participant.Join(ctx, h.client, room, strings.ToLower(name), name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Leave)
	return p
}

// caller is somebody with a telephone.
type caller struct {
	*testing.T
	*phone.Call
	house *house
}

// call has a telephone of its own call the gateway; the call and the telephone end with the test.
func (h *house) call(t *testing.T) *caller {
	t.Helper()
	p, err := phone.New("127.0.0.1:0", egress.New(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	c := &caller{T: t, house: h}
	if c.Call, err = p.Dial(ctx, "sip:visio@"+h.SIP, sip.DialOptions{From: number, Name: number, Codecs: []string{"PCMA"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.HangUp)
	return c
}

// types types a PIN and answers when.
func (c *caller) types(pin string) (since time.Time) {
	c.Helper()
	since = time.Now()
	for _, digit := range []byte(pin + "#") {
		if err := c.Leg.SendDigit(c.Context(), digit, 60*time.Millisecond, "rtp"); err != nil {
			c.Fatal(err)
		}
	}
	return since
}

// told waits until the caller has heard a prompt since then.
func (c *caller) told(since time.Time, name ivr.Name) {
	c.Helper()
	c.hears("the caller hears the prompt "+string(name), since, c.house.prompts.Clip("fr", name))
}

// hears waits until the caller has heard a clip since then.
func (c *caller) hears(what string, since time.Time, clip []int16) {
	c.Helper()
	stack.Hears(c.T, what, clip, func() ([]int16, time.Time) { return c.Phone.Tape.Since(since) })
}

// ended waits until the gateway has ended the call.
func (c *caller) ended() {
	c.Helper()
	ctx, stop := context.WithTimeout(c.Context(), 20*time.Second)
	defer stop()
	if c.Wait(ctx) == nil {
		c.Error("the call goes on")
	}
}

// phones are the telephones that somebody sees.
func phones(p *participant.Participant) (all []bridge.Participant) {
	for _, other := range p.People() {
		if other.Phone {
			all = append(all, other)
		}
	}
	return all
}

// TestVisio has several callers at once meet what Visio can answer, and then what it answers when it is too busy.
func TestVisio(t *testing.T) {
	h := start(t, startRedis(t))
	t.Run("callers", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, *house){
			"room that has started":     startedRoom,
			"room that has not started": preparedRoom,
			"wrong PIN":                 wrongPIN,
			"roomkit is broken":         brokenRoomkit,
			"room for members":          closedRoom("restricted"),
			"room for who signs in":     closedRoom("trusted"),
			"room without settings":     closedRoom(""),
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, h)
			})
		}
	})
	t.Run("roomkit is throttled", func(t *testing.T) { throttled(t, h) })
}

// startedRoom is Visio's usual way: somebody opens the room, so LiveKit tells the backend, so the rule is there when telephones call.
func startedRoom(t *testing.T, h *house) {
	room, pin := h.visio.newRoom()
	ada := h.guest(t, room, "Ada")
	stack.Eventually(t, 10*time.Second, "the backend has made the rule", func() bool { return h.visio.rule(room) })

	first, second := h.call(t), h.call(t) // from one number, at the same time
	since := first.types(pin)
	first.told(since, ivr.Joined)
	second.types(pin)
	stack.Eventually(t, 10*time.Second, "Ada sees two telephones", func() bool { return len(phones(ada)) == 2 })
	for _, p := range phones(ada) {
		if p.Name != masked || strings.Contains(fmt.Sprint(p), secret) || !strings.HasPrefix(p.Identity, "phone-") {
			t.Errorf("Ada sees %+v", p)
		}
	}
	if n := h.visio.requests(pin); n != 0 {
		t.Errorf("roomkit was asked %d times for a room that has a rule", n)
	}
	h.anonymous(t, room, 4) // Ada, two telephones, and the gateway's listener

	english, french := clip(t, "en", speech.English), clip(t, "fr", speech.French)
	since = time.Now()
	ada.Say(french)
	first.hears("the first caller hears Ada", since, french)
	since = time.Now()
	first.Voice.Play(english, mix.PlayOptions{})
	stack.Hears(t, "Ada hears the first caller", english, func() ([]int16, time.Time) { return ada.Tape.Since(since) })
	second.hears("the second caller hears the first", since, english)

	since = time.Now()
	if err := h.visio.admin.DeleteRoom(t.Context(), room); err != nil {
		t.Fatal(err)
	}
	first.told(since, ivr.RoomEnded)
	first.ended()
	second.ended()
	stack.Eventually(t, 10*time.Second, "the backend has removed the rule", func() bool { return !h.visio.rule(room) })
	h.visio.forget(pin)
	late := h.call(t)
	late.told(late.types(pin), ivr.WrongPIN)
}

// preparedRoom has a caller come before anybody else.
func preparedRoom(t *testing.T, h *house) {
	room, pin := h.visio.newRoom()
	c := h.call(t)
	since := c.types(pin)
	c.told(since, ivr.Joined)
	c.told(since, ivr.Alone)
	if n := h.visio.requests(pin); n != 1 {
		t.Errorf("roomkit was asked %d times, want once", n)
	}
	ben := h.guest(t, room, "Ben")
	french := clip(t, "fr", speech.French)
	stack.Eventually(t, 10*time.Second, "Ben sees the telephone", func() bool { return len(phones(ben)) == 1 })
	since = time.Now()
	c.Voice.Play(french, mix.PlayOptions{})
	stack.Hears(t, "Ben hears the caller", french, func() ([]int16, time.Time) { return ben.Tape.Since(since) })
	h.anonymous(t, room, 3)
}

// wrongPIN has a caller type what no room has: three times, and then the call ends.
func wrongPIN(t *testing.T, h *house) {
	c := h.call(t)
	for _, prompt := range []ivr.Name{ivr.WrongPIN, ivr.LastTry, ivr.TooManyTries} {
		pin := h.visio.newPIN()
		c.told(c.types(pin), prompt)
		if n := h.visio.requests(pin); n != 1 {
			t.Errorf("roomkit was asked %d times for one PIN, want once", n)
		}
	}
	c.ended()
	h.counts(t, "bad_pin", 1)
}

// brokenRoomkit has Visio fail in several ways, for callers at the same time: all are told so, and nobody is told that the PIN is wrong.
func brokenRoomkit(t *testing.T, h *house) {
	type unlucky struct {
		*caller
		way, pin string
		since    time.Time
	}
	var all []unlucky
	for way, answers := range map[string]http.HandlerFunc{
		"error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no database", http.StatusInternalServerError)
		},
		"token": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusUnauthorized, "detail", "Invalid token.")
		},
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"cut":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		c := unlucky{caller: h.call(t), way: way, pin: h.visio.newOddPIN(answers)}
		c.since = c.types(c.pin)
		all = append(all, c)
	}
	for _, c := range all {
		c.told(c.since, ivr.DirectoryUnavailable)
		c.ended()
		if h.visio.requests(c.pin) == 0 {
			t.Errorf("%s: roomkit was not asked", c.way)
		}
	}
}

// closedRoom is a room that Visio's own visitors would wait to be let into, or of which Visio does not say: callers wait as well, and nobody in the room
// hears or sees them before a host has let them in.
func closedRoom(level string) func(*testing.T, *house) {
	return func(t *testing.T, h *house) {
		room, pin := h.visio.newRoomFor(level)
		ada := h.guest(t, room, "Ada")
		stack.Eventually(t, 10*time.Second, "the backend has made the rule", func() bool { return h.visio.rule(room) })
		c := h.call(t)
		since := c.types(pin)
		c.told(since, ivr.LobbyWait)
		c.hears("the caller hears music", since, ivr.WaitingMusic()[:4*transcode.Rate])
		if len(phones(ada)) != 0 {
			t.Error("Ada sees a telephone that waits")
		}
		if h.visio.looks(room) == 0 {
			t.Error("Visio was not asked who enters")
		}
	}
}

// throttled has roomkit send the gateway away for a minute: it stays away, and rooms that have a rule work on.
func throttled(t *testing.T, h *house) {
	h.counts(t, "directory", 4)
	pin := h.visio.newOddPIN(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		answer(w, http.StatusTooManyRequests, "detail", "Request was throttled.")
	})
	c := h.call(t)
	c.told(c.types(pin), ivr.DirectoryUnavailable)
	c.ended()
	_, other := h.visio.newRoom()
	c = h.call(t)
	c.told(c.types(other), ivr.DirectoryUnavailable)
	c.ended()
	if h.visio.requests(pin) != 1 || h.visio.requests(other) != 0 {
		t.Errorf("roomkit was asked %d times and then %d times, want once and then not at all", h.visio.requests(pin), h.visio.requests(other))
	}
	room, started := h.visio.newRoom()
	h.guest(t, room, "Cleo")
	stack.Eventually(t, 10*time.Second, "the backend has made the rule", func() bool { return h.visio.rule(room) })
	c = h.call(t)
	c.told(c.types(started), ivr.Joined)
}

// TestNoSIPAPI has a LiveKit without Redis, which has no SIP API: whether a PIN is wrong cannot be told, whatever roomkit says.
func TestNoSIPAPI(t *testing.T) {
	t.Parallel()
	h := start(t, "")
	c := h.call(t)
	c.told(c.types(h.visio.newPIN()), ivr.DirectoryUnavailable)
	c.ended()
	h.counts(t, "directory", 1)
	if n := h.Metric(t, "passerelle_pin_failures_total"); n != 0 {
		t.Errorf("%v PINs count as wrong", n)
	}
}

// anonymous looks at a room as LiveKit's API tells it, which hides nobody: so many are there, and nothing of any holds the number.
func (h *house) anonymous(t *testing.T, room string, want int) {
	t.Helper()
	all, err := h.visio.admin.Participants(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != want || strings.Contains(fmt.Sprint(all), secret) {
		t.Errorf("in the room are %v, want %d, and no number", all, want)
	}
}

// counts waits until so many calls have ended for a reason.
func (h *house) counts(t *testing.T, reason string, want float64) {
	t.Helper()
	stack.Eventually(t, 10*time.Second, fmt.Sprintf("%v calls ended for the reason %s", want, reason), func() bool {
		return h.Metric(t, fmt.Sprintf("passerelle_calls_total{reason=%q}", reason)) == want
	})
}

// clip is four seconds of speech, 48 kHz.
func clip(t *testing.T, voice, text string) []int16 {
	t.Helper()
	return speech.Say(t, voice, text, transcode.Rate)[:4*transcode.Rate]
}
