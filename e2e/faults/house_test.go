//go:build e2e || soak

// Package faults has a running gateway meet what can go wrong: an SFU that dies, a directory that hangs, callers that vanish, messages and packets
// made to break it, signals to end. Each has a reason that the caller hears and the log names, nothing is left behind, and nobody else notices.
package faults

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/internal/egress"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/phone"
	"passerelle/internal/testpeer/speech"
	"passerelle/internal/testpeer/tape"
	"passerelle/sip"
	"passerelle/transcode"
	"passerelle/transcode/level"
	"passerelle/transcode/mix"
	"passerelle/transcode/resample"
	"passerelle/webrtc/livekit"
)

// patience is how long a test waits for what must come; nothing takes that long unless it is broken.
const patience = 20 * time.Second

// house is a stack with somebody in the room and a telephone on the table.
type house struct {
	*stack.Stack
	t       *testing.T
	prompts *ivr.Prompts
	client  *livekit.Client
	camille *participant.Participant
	phone   *phone.Phone
	stay    time.Duration // the longest time that callers of calls stay in the room
}

func open(t *testing.T, o stack.Options) *house {
	t.Helper()
	h := &house{Stack: stack.Start(t, o), t: t}
	var err error
	if h.prompts, err = ivr.Load("", []string{"fr", "en"}); err != nil {
		t.Fatal(err)
	}
	h.client = h.Client(t)
	h.camille = h.join(h.client, "camille")
	if h.phone, err = phone.New("127.0.0.1:0", egress.New(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.phone.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// join brings somebody into the room, until the test ends.
func (h *house) join(c *livekit.Client, identity string) *participant.Participant {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), patience)
	defer stop()
	p, err := participant.Join(ctx, c, stack.Room, identity, identity)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(p.Leave)
	return p
}

func (h *house) admin() lkadmin.Admin { return lkadmin.Admin{Client: h.client} }

// dial has the telephone call the gateway. The call ends with the test at the latest.
func (h *house) dial(o sip.DialOptions) *phone.Call {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), patience)
	defer stop()
	c, err := h.phone.Dial(ctx, "sip:room@"+h.SIP, o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.HangUp)
	return c
}

// enter calls, types the PIN, and waits until the caller is in the room and has been told so.
func (h *house) enter(o sip.DialOptions) *phone.Call {
	h.t.Helper()
	c := h.dial(o)
	since := time.Now()
	h.press(c, stack.PIN+"#")
	h.hears(since, ivr.Joined)
	stack.Eventually(h.t, patience, "Camille sees the telephone", func() bool { _, ok := h.guest(); return ok })
	return c
}

// press types digits, as fast as a machine does.
func (h *house) press(c *phone.Call, digits string) {
	h.t.Helper()
	for _, d := range []byte(digits) {
		if err := c.Leg.SendDigit(h.t.Context(), d, 60*time.Millisecond, "rtp"); err != nil {
			h.t.Fatal(err)
		}
	}
}

// guest is the telephone, as Camille sees it, once it has a microphone.
func (h *house) guest() (bridge.Participant, bool) {
	return h.camille.Find(func(p bridge.Participant) bool { return p.Phone && len(p.Tracks) > 0 })
}

// hears waits until the telephone has heard a prompt, in the gateway's first language, that was said since then.
func (h *house) hears(since time.Time, name ivr.Name) {
	h.t.Helper()
	clip := h.prompts.Clip("fr", name)
	best := 0.0
	stack.Eventually(h.t, patience, fmt.Sprintf("the telephone hears %q", name), func() bool {
		pcm, _ := h.phone.Tape.Since(since)
		best = max(best, found(pcm, clip))
		return best >= enough
	})
	h.t.Logf("heard %q after %v (%.0f%% of it)", name, time.Since(since).Round(10*time.Millisecond), 100*best)
}

// What is looked for is cut into pieces: a playout buffer bends time, by some tenths of a second when a busy machine stands still.
const (
	earRate = 8000 // Hz: enough to tell telephone sound apart
	piece   = earRate / 2
	bend    = earRate * 3 / 10
	enough  = 0.5 // the share of a prompt that has to be found
)

// found says which share of a clip's pieces was heard, each about where the surest one says that it must be. Both are 48 kHz.
func found(heard, clip []int16) float64 {
	heard, errA := resample.Convert(heard, transcode.Rate, earRate)
	clip, errB := resample.Convert(clip, transcode.Rate, earRate)
	if errA != nil || errB != nil || len(clip) > len(heard) {
		return 0
	}
	best, begin := 0.0, 0
	for i := 0; i+piece <= len(clip); i += piece {
		if at, c := speech.Find(heard, clip[i:i+piece], earRate); c > best {
			best, begin = c, int(at.Seconds()*earRate)-i
		}
	}
	there, n := 0, 0
	for i := 0; i+piece <= len(clip); i += piece {
		first, last := max(0, begin+i-bend), min(len(heard), begin+i+piece+bend)
		if first < last {
			if c, _ := surely(heard[first:last], clip[i:i+piece]); c > 0.7 {
				there++
			}
		}
		n++
	}
	return float64(there) / float64(max(n, 1))
}

// ends waits until the gateway has ended the call, and looks for the reason in its log and metrics.
func (h *house) ends(c *phone.Call, label string) {
	h.t.Helper()
	ctx, stop := context.WithTimeout(h.t.Context(), patience)
	defer stop()
	if c.Wait(ctx) == nil {
		h.t.Errorf("the call did not end")
	}
	h.reason(label)
}

// reason waits for the line and the count of a call that ended for a reason.
func (h *house) reason(label string) {
	h.t.Helper()
	stack.Eventually(h.t, patience, "a call ended with reason "+label, func() bool {
		return h.Metric(h.t, fmt.Sprintf("passerelle_calls_total{reason=%q}", label)) > 0
	})
	stack.Eventually(h.t, patience, "a line in the log with reason="+label, func() bool { return strings.Contains(h.Log(), "reason="+label) })
}

// quality is what was found of what was said, piece by piece.
type quality struct {
	mean   float64
	pieces int
	lost   int             // pieces that nobody would have understood
	each   []float64       // correlation of each piece
	delays []time.Duration // from mouth to ear, of the pieces that were surely heard as a whole
}

// delay is the one in the middle; 0: nothing was heard.
func (q quality) delay() time.Duration {
	if len(q.delays) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(q.delays))[len(q.delays)/2].Round(time.Millisecond)
}

func (q quality) String() string {
	return fmt.Sprintf("%d pieces of 0.5 s, %v late, correlation %.2f, %d lost, %.2f", q.pieces, q.delay(), q.mean, q.lost, q.each)
}

// bad tells whether somebody would have noticed something. Undisturbed, the mean is above 0.85 and nothing is lost; a busy machine costs a piece or
// two, silence leaves 0, and other speech 0.3.
func (q quality) bad() bool { return q.pieces < 4 || q.mean < 0.7 || q.lost > 1+q.pieces/5 }

// converse has both sides speak at once for a time, while something else goes on, and wants each to have heard all of the other. It tries up to three
// times: what is to be found disturbs them each time, a machine that has others to serve does not.
func (h *house) converse(c *phone.Call, d time.Duration, meanwhile func()) (atPhone, inRoom quality) {
	h.t.Helper()
	for try := 1; ; try++ {
		stack.Eventually(h.t, patience, "the telephone hears no prompt any more", func() bool { return h.phone.Tape.Level(400*time.Millisecond) < -50 })
		atPhone, inRoom = h.speak(c, d, meanwhile)
		h.t.Logf("the telephone hears Camille: %v", atPhone)
		h.t.Logf("Camille hears the telephone: %v", inRoom)
		if !atPhone.bad() && !inRoom.bad() {
			return atPhone, inRoom
		}
		if try == 3 {
			h.t.Error("they do not hear each other")
			return atPhone, inRoom
		}
		h.t.Log("they did not hear each other well: again")
	}
}

// speak has both sides speak at once for a time, while something else goes on, and says how well each has heard the other.
func (h *house) speak(c *phone.Call, d time.Duration, meanwhile func()) (atPhone, inRoom quality) {
	h.t.Helper()
	toPhone, toRoom := talk(h.t, "en", speech.English, d), talk(h.t, "fr", speech.French, d)
	saidByCamille := h.camille.Say(toPhone)
	saidByPhone := time.Now()
	c.Voice.Play(toRoom, mix.PlayOptions{})
	if meanwhile != nil {
		meanwhile()
	}
	left := time.Until(saidByPhone.Add(d + time.Second))
	if left < 0 {
		h.t.Logf("what went on meanwhile took %v longer than the talk", -left)
	}
	time.Sleep(left) // what was said takes its time; nothing is waited for
	return measure(h.phone.Tape, toPhone, saidByCamille), measure(h.camille.Tape, toRoom, saidByPhone)
}

// talk is somebody talking for a time, 48 kHz: one text over and over.
func talk(t *testing.T, voice, text string, d time.Duration) []int16 {
	t.Helper()
	words, want := speech.Say(t, voice, text, transcode.Rate), int(d.Seconds()*transcode.Rate)
	return slices.Repeat(words, 1+want/len(words))[:want]
}

// measure looks for what was said, piece by piece, each where it must have been heard: up to 1.3 s after it was said.
func measure(ears *tape.Tape, said []int16, at time.Time) (q quality) {
	pcm, start := ears.Since(at.Add(-200 * time.Millisecond))
	heard, errA := resample.Convert(pcm, transcode.Rate, earRate)
	words, errB := resample.Convert(said, transcode.Rate, earRate)
	if errA != nil || errB != nil {
		return quality{}
	}
	quiet := level.RMS(words) - 20
	for i := 0; i+piece <= len(words); i += piece {
		if level.RMS(words[i:i+piece]) < quiet {
			continue // a breath
		}
		first := max(0, i+int((at.Sub(start)-200*time.Millisecond).Seconds()*earRate))
		last := min(first+piece+3*earRate/2, len(heard))
		c := 0.0
		if first < last {
			var after time.Duration
			if c, after = surely(heard[first:last], words[i:i+piece]); after >= 0 {
				q.delays = append(q.delays, after+time.Duration(first)*time.Second/earRate-time.Duration(i)*time.Second/earRate-at.Sub(start))
			}
		}
		q.pieces++
		q.mean += c
		q.each = append(q.each, c)
		if c < 0.6 {
			q.lost++
		}
	}
	q.mean /= float64(max(q.pieces, 1))
	return q
}

// surely is how surely a piece was heard: as a whole, and then when, or its halves, where a playout buffer has bent time within it; -1.
func surely(heard, words []int16) (correlation float64, after time.Duration) {
	after, whole := speech.Find(heard, words, earRate)
	if whole > 0.7 {
		return whole, after
	}
	_, a := speech.Find(heard, words[:len(words)/2], earRate)
	_, b := speech.Find(heard, words[len(words)/2:], earRate)
	return max(whole, (a+b)/2), -1
}
