//go:build e2e

// Package federation_test joins rooms of two real LiveKit sites through the gateway, and has people on both sides listen to what crosses.
package federation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/e2e/stack"
	"passerelle/internal/sfuproc"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/internal/testpeer/participant"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/webrtc/livekit"
)

// The other site's key.
const (
	farKey    = "partnerkey"
	farSecret = "another-another-another-another-one"
)

const rules = `
version: 1
rules:
  - name: partner
    when: {direction: out, protocol: livekit, platform: partner, room: [council-*]}
    grant: {foreign: true, audio: both, learn: nothing, name: "Site {platform}", duration: 1h}
  - name: partner, with pictures
    when: {direction: out, platform: partner, room: [gallery-*]}
    grant: {foreign: true, audio: both, video: both, content: both, picture: {height: 90}, learn: nothing}
  - name: partner, listening only
    when: {direction: out, platform: partner, room: hearing}
    grant: {foreign: true, audio: send, learn: nothing}
  - name: partner, when a host says so
    when: {direction: out, platform: partner, room: guarded}
    grant: {foreign: true, audio: both, learn: nothing, lobby: ask}
  - name: site that is down
    when: {direction: out, platform: down}
    grant: {foreign: true, audio: both}
  - name: no other sites
    when: {direction: out}
    refuse: This node does not call there.
`

// house is a gateway between two sites.
type house struct {
	*stack.Stack
	far        *sfuproc.Process
	ours       *livekit.Client
	theirs     *livekit.Client
	ourAdmin   lkadmin.Admin
	theirAdmin lkadmin.Admin
}

func start(t *testing.T) *house {
	t.Helper()
	far, err := sfuproc.Start(t.Context(), sfuproc.Options{Key: farKey, Secret: farSecret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Stop)
	h := &house{far: far}
	h.Stack = stack.Start(t, stack.Options{Rules: rules, Environ: []string{"PASSERELLE_LIVEKIT_RECONNECT_FOR=3s"}, Extra: fmt.Sprintf(`
sites:
  - {name: partner, url: %q, api_key: %s, api_secret: %s, as: Ministry}
  - {name: down, url: "ws://%s", api_key: %[2]s, api_secret: %[3]s}
`, far.URL(), farKey, farSecret, stack.FreePort(t))})
	h.ours, h.theirs = h.Client(t), stack.Client(t, far.URL(), farKey, farSecret)
	h.ourAdmin, h.theirAdmin = lkadmin.Admin{Client: h.ours}, lkadmin.Admin{Client: h.theirs}
	t.Cleanup(func() {
		if strings.Contains(h.Log(), farSecret) {
			t.Error("the log holds the site's secret")
		}
	})
	return h
}

// enters brings somebody into a room of a site.
func enters(t *testing.T, site *livekit.Client, room, name string) *participant.Participant {
	t.Helper()
	p, err := participant.Join(t.Context(), site, room, name, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Leave)
	return p
}

// joins joins two rooms, and answers the call's id when each has the other in it.
func (h *house) joins(t *testing.T, far, home string) string {
	t.Helper()
	var call struct{ ID string }
	h.API(t, "POST", "/calls", map[string]string{"to": "livekit://partner/" + far, "room": home}, &call)
	h.talks(t, call.ID)
	return call.ID
}

// talks waits until a call is in its room.
func (h *house) talks(t *testing.T, id string) {
	t.Helper()
	stack.Eventually(t, 15*time.Second, "the call is in our room", func() bool {
		var call struct{ State string }
		h.API(t, "GET", "/calls/"+id, nil, &call)
		return call.State == "talking"
	})
}

// bridges are the participants of a room who are other rooms.
func bridges(p *participant.Participant) (list []bridge.Participant) {
	for _, other := range p.People() {
		if other.Attributes[bridge.BridgeAttribute] != "" {
			list = append(list, other)
		}
	}
	return list
}

// say makes a few seconds of speech.
func say(t *testing.T, voice, text string) []int16 {
	t.Helper()
	clip := speech.Say(t, voice, text, transcode.Rate)
	return clip[:min(len(clip), 3*transcode.Rate)]
}

// hears waits until listeners hear what somebody begins to say now, and says again: who has just come may not hear the first words. It answers when
// that began.
func hears(t *testing.T, what string, speaker *participant.Participant, clip []int16, listeners ...*participant.Participant) time.Time {
	t.Helper()
	speaker.Loop(clip)
	defer speaker.Loop(nil)
	at := speaker.Say(clip)
	for i, l := range listeners {
		stack.Hears(t, fmt.Sprintf("%s (listener %d)", what, i), clip, func() ([]int16, time.Time) { return l.Tape.Since(at) })
	}
	return at
}

// heardOf is how much of a clip somebody has heard since a time.
func heardOf(p *participant.Participant, clip []int16, since time.Time) float64 {
	pcm, _ := p.Tape.Since(since)
	_, share := speech.Heard(pcm, clip, transcode.Rate)
	return share
}

// record is what these tests read of an entry of the journal.
type record struct {
	Call, Actor, Room, Rule, Outcome, Called string
	Foreign                                  bool
	Fields                                   map[string]string
}

// recorded waits for an entry of a kind.
func (h *house) recorded(t *testing.T, kind, what string, is func(record) bool) {
	t.Helper()
	var list struct{ Records []record }
	stack.Eventually(t, 20*time.Second, what+" is in the journal", func() bool {
		h.API(t, "GET", "/journal?kind="+kind, nil, &list)
		for _, r := range list.Records {
			if is(r) {
				return true
			}
		}
		return false
	})
}
