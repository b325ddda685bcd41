//go:build e2e

// Package browser_test has a browser with LiveKit's own web client, as Visio's users have it, meet a telephone in a room.
package browser_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"passerelle/bridge/ivr"
	"passerelle/e2e/browser"
	"passerelle/e2e/stack"
	"passerelle/internal/egress"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/internal/testpeer/phone"
	"passerelle/internal/testpeer/speech"
	"passerelle/sip"
	"passerelle/transcode"
	"passerelle/transcode/mix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// meeting is a browser and a telephone in one room.
type meeting struct {
	*testing.T
	stack   *stack.Stack
	browser *browser.Page
	call    *phone.Call
	host    lkadmin.Admin
	prompts *ivr.Prompts
	french  []int16 // what the browser's microphone hears, again and again
	english []int16 // what the telephone says: ten seconds
}

const number = "+33123456712"

// meet has both enter the room under rules (empty: the built-in ones), the browser first.
func meet(t *testing.T, rules string) *meeting {
	t.Helper()
	m := &meeting{T: t, stack: stack.Start(t, stack.Options{Rules: rules})}
	m.french = speech.Say(t, "fr", speech.French, transcode.Rate)
	m.english = speech.Say(t, "en", speech.English, transcode.Rate)
	var err error
	if m.prompts, err = ivr.Load("", []string{"fr"}); err != nil {
		t.Fatal(err)
	}
	m.host = lkadmin.Admin{Client: m.stack.Client(t)}

	m.browser = browser.OpenParticipant(t, browser.Options{Name: "camille", Words: m.french, Width: 520, Height: 640})
	m.browser.Enter(m.stack, stack.Room, "camille", "Camille Martin")

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
	if m.call, err = p.Dial(ctx, "sip:visio@"+m.stack.SIP, sip.DialOptions{From: number, Codecs: []string{"PCMA"}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.call.HangUp)
	m.press(stack.PIN)
	return m
}

// press types keys on the telephone.
func (m *meeting) press(keys string) {
	m.Helper()
	if err := m.call.Press(m.Context(), keys, "rtp"); err != nil {
		m.Fatal(err)
	}
}

// sees waits until the browser sees exactly one other participant, who is as described.
func (m *meeting) sees(what string, is func(browser.Person) bool) (seen browser.Person) {
	m.Helper()
	stack.Eventually(m.T, 10*time.Second, "the browser sees "+what, func() bool {
		people := m.browser.People()
		if len(people) != 1 || !is(people[0]) {
			return false
		}
		seen = people[0]
		return true
	})
	return seen
}

// isMuted describes a telephone whose only track is muted, or not.
func isMuted(muted bool) func(browser.Person) bool {
	return func(p browser.Person) bool { return len(p.Tracks) == 1 && p.Tracks[0].Muted == muted }
}

// prompted waits until the telephone has heard a prompt since then.
func (m *meeting) prompted(since time.Time, name ivr.Name) {
	m.Helper()
	m.phoneHears("the prompt "+string(name), since, m.prompts.Clip("fr", name))
}

// phoneHears waits until the telephone has heard a clip since then, and returns when it began.
func (m *meeting) phoneHears(what string, since time.Time, clip []int16) (at time.Time) {
	m.Helper()
	return stack.Hears(m.T, "the telephone hears "+what, clip, func() ([]int16, time.Time) { return m.call.Phone.Tape.Since(since) })
}

// phoneHearsBrowser waits until the telephone has heard what the browser's microphone hears since then, and returns when it began and what it was.
// The microphone's file comes round again and again: only the last seconds are looked at, where everything is once at most.
func (m *meeting) phoneHearsBrowser(since time.Time) (at time.Time, words []int16) {
	m.Helper()
	words = m.french[transcode.Rate : 5*transcode.Rate]
	return stack.Hears(m.T, "the telephone hears the browser", words, func() ([]int16, time.Time) {
		if last := time.Now().Add(-8 * time.Second); last.After(since) {
			since = last
		}
		return m.call.Phone.Tape.Since(since)
	}), words
}

// browserHears waits until the browser has heard a clip since the command record, and returns when it began.
func (m *meeting) browserHears(what string, clip []int16) (at time.Time) {
	m.Helper()
	return stack.Hears(m.T, "the browser hears "+what, clip, func() ([]int16, time.Time) { return m.browser.Recorded("recorded('heard')") })
}

// TestBrowser is one meeting, told from its beginning to its end.
func TestBrowser(t *testing.T) {
	m := meet(t, "")

	guest := m.sees("the telephone", func(p browser.Person) bool { return len(p.Tracks) == 1 && p.Tracks[0].Subscribed })
	if guest.Name != "+33 1 •• •• •• 12" || guest.Kind != "SIP" || guest.Tracks[0].Kind != "audio" || guest.Tracks[0].Muted || guest.Attributes["handRaisedAt"] != "" {
		t.Errorf("the browser sees %+v", guest)
	}
	for what, text := range guest.Attributes {
		guest.Identity += " " + what + "=" + text
	}
	if strings.Contains(guest.Identity, strings.TrimPrefix(number, "+33")) {
		t.Errorf("identity and attributes hold the number: %s", guest.Identity)
	}
	m.talk()
	m.mute()
	m.hand()
	m.hostMutes()
	m.comesAndGoes()

	m.call.HangUp()
	stack.Eventually(t, 10*time.Second, "the browser sees the telephone leave", func() bool { return len(m.browser.People()) == 0 })
}

// talk has both speak and looks for it at the other end.
func (m *meeting) talk() {
	m.Helper()
	m.browser.Eval("record()")
	since := time.Now()
	words := m.english[:4*transcode.Rate]
	m.call.Voice.Play(words, mix.PlayOptions{})
	m.sees("that the telephone speaks", func(p browser.Person) bool { return p.Speaking })
	at := m.browserHears("the telephone", words)
	m.Logf("from the telephone's mouth to the browser's ear: %v", at.Sub(since).Round(time.Millisecond))

	heard, words := m.phoneHearsBrowser(since)
	m.sees("that the telephone is quiet", func(p browser.Person) bool { return !p.Speaking })
	said, start := m.browser.Recorded("recorded('said')")
	second := max(0, int(heard.Sub(start).Seconds())-1) // before it was heard it was said
	said = said[second*transcode.Rate : min(len(said), (second+7)*transcode.Rate)]
	offset, share := speech.Heard(said, words, transcode.Rate)
	delay := heard.Sub(start.Add(time.Duration(second)*time.Second + offset))
	m.Logf("from the browser's microphone, which heard %.2f of its file, to the telephone's ear: %v", share, delay.Round(time.Millisecond))
}

// mute has the caller mute and unmute: in between the browser hears nothing of what is said.
func (m *meeting) mute() {
	m.Helper()
	since := time.Now()
	m.press("*6")
	m.sees("the telephone muted", isMuted(true))
	m.prompted(since, ivr.Muted)
	m.browser.Eval("record()")
	hidden, open := m.english[4*transcode.Rate:6*transcode.Rate], m.english[6*transcode.Rate:9*transcode.Rate]
	<-m.call.Voice.Play(hidden, mix.PlayOptions{}).Done()
	m.press("*6")
	m.sees("the telephone's microphone open", isMuted(false))
	m.call.Voice.Play(open, mix.PlayOptions{})
	m.browserHears("the telephone again", open)
	pcm, _ := m.browser.Recorded("recorded('heard')")
	for second := range len(hidden) / transcode.Rate {
		// Not in the small pieces of speech.Heard: one voice's other words may match in a quarter of a second.
		words := hidden[second*transcode.Rate : (second+1)*transcode.Rate]
		if _, correlation := speech.Find(pcm, words, transcode.Rate); correlation > 0.6 { // two seconds of other words in the same voice reach 0.46
			m.Errorf("the browser heard what was said while the telephone was muted: correlation %.2f", correlation)
		}
	}
}

// hand has the caller raise a hand, the host lower it, and the caller raise and lower it again.
func (m *meeting) hand() {
	m.Helper()
	since := time.Now()
	up := func(p browser.Person) bool { return p.Attributes["handRaisedAt"] != "" }
	down := func(p browser.Person) bool { return p.Attributes["handRaisedAt"] == "" }
	m.press("*9")
	raised := m.sees("a hand", up)
	m.browser.Shoot(filepath.Join(m.ArtifactDir(), "hand.png")) // go test -artifacts keeps it
	if at, err := time.Parse(time.RFC3339, raised.Attributes["handRaisedAt"]); err != nil || at.Sub(since).Abs() > time.Minute {
		m.Errorf("handRaisedAt is %q at %v", raised.Attributes["handRaisedAt"], since)
	}
	m.prompted(since, ivr.HandUp)

	since = time.Now()
	if err := m.host.Update(m.Context(), stack.Room, raised.Identity, map[string]string{"handRaisedAt": ""}, nil); err != nil {
		m.Fatal(err)
	}
	m.sees("no hand", down)
	m.prompted(since, ivr.HandLoweredByHost)
	m.press("*9")
	m.sees("a hand again", up)
	m.press("*9")
	m.sees("no hand again", down)
}

// hostMutes has the host mute the caller, who is told and comes back with *6.
func (m *meeting) hostMutes() {
	m.Helper()
	guest := m.sees("the telephone", isMuted(false))
	since := time.Now()
	if err := m.host.Mute(m.Context(), stack.Room, guest.Identity, guest.Tracks[0].SID, true); err != nil {
		m.Fatal(err)
	}
	m.sees("the telephone muted by the host", isMuted(true))
	m.prompted(since, ivr.MutedByHost)
	since = time.Now()
	m.press("*6")
	m.sees("the telephone back", isMuted(false))
	m.prompted(since, ivr.Unmuted)
}

// comesAndGoes has the browser leave, and join again: the caller is told that nobody is there, and hears the browser again.
func (m *meeting) comesAndGoes() {
	m.Helper()
	since := time.Now()
	m.browser.Eval("leave()")
	m.prompted(since, ivr.Alone)
	m.browser.Enter(m.stack, stack.Room, "camille-again", "Camille Martin")
	m.phoneHearsBrowser(time.Now())
	m.browser.Eval("record()")
	words := m.english[:4*transcode.Rate]
	m.call.Voice.Play(words, mix.PlayOptions{})
	m.browserHears("the telephone after joining again", words)
}

// TestLobby has a host, with LiveKit's own web client, let a telephone in that waits, as docs/lobby.md says.
func TestLobby(t *testing.T) {
	since := time.Now()
	m := meet(t, "version: 1\nrules: [{name: phones, grant: {lobby: ask}}]")
	m.prompted(since, ivr.LobbyWait)
	var waiting []struct{ Call, Name, Protocol string }
	stack.Eventually(t, 10*time.Second, "the host sees who waits", func() bool {
		m.browser.Get(&waiting, "waiting")
		return len(waiting) == 1
	})
	if waiting[0].Name != "+33 1 •• •• •• 12" || waiting[0].Protocol != "sip" {
		t.Errorf("the host sees %+v", waiting[0])
	}
	if in := m.browser.People(); len(in) != 0 {
		t.Errorf("in the room without being admitted: %+v", in)
	}
	since = time.Now()
	m.browser.Eval(fmt.Sprintf("decide('admit', %q)", waiting[0].Call))
	m.sees("the telephone", func(p browser.Person) bool { return len(p.Tracks) == 1 })
	m.prompted(since, ivr.LobbyAdmitted)
	stack.Eventually(t, 10*time.Second, "nobody waits", func() bool {
		m.browser.Get(&waiting, "waiting")
		return len(waiting) == 0
	})
}
