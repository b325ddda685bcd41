//go:build e2e

package federation_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"passerelle/bridge"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/participant"
)

// TestFederation has one gateway between two sites.
func TestFederation(t *testing.T) {
	h := start(t)
	one, other := say(t, "fr", "Bonjour à toutes et à tous, nous commençons par le premier point."), say(t, "en", "Good morning, we have read your paper and agree with it.")

	// Pictures cost little and wait for a time: some others go on beside them.
	t.Run("both sites are up", func(t *testing.T) {
		// People of both rooms hear each other, and neither learns more than a name of the other room. It is a call like others: muted, recorded, ended.
		t.Run("heard on both sides", func(t *testing.T) {
			ana, ben := enters(t, h.ours, "council-1", "ana"), enters(t, h.theirs, "budget", "ben")
			clip := film(t, "camera", 160, 90)
			shows(t, ana, bridge.Camera, clip)
			shows(t, ben, bridge.Content, clip)
			id := h.joins(t, "budget", "council-1")
			stack.Eventually(t, 10*time.Second, "each sees the other room", func() bool { return len(bridges(ana)) == 1 && len(bridges(ben)) == 1 })
			if n := len(ana.People()) + len(ben.People()); n != 2 {
				t.Errorf("they see %v and %v", ana.People(), ben.People())
			}
			here, there := bridges(ana)[0], bridges(ben)[0]
			if here.Name != "Site partner (ext.)" || here.Attributes["passerelle.foreign"] != "true" || there.Name != "Ministry" || len(there.Attributes) != 1 {
				t.Errorf("they see %+v and %+v", here, there)
			}
			stack.Eventually(t, 10*time.Second, "nobody is spoken to", func() bool {
				return ana.Tape.Level(2*time.Second) < -60 && ben.Tape.Level(2*time.Second) < -60
			})
			hears(t, "Ben hears Ana", ana, one, ben)
			hears(t, "Ana hears Ben", ben, other, ana)

			h.API(t, "POST", "/calls/"+id+"/mute", nil, nil)
			at := ben.Say(other)
			time.Sleep(time.Duration(len(other))*time.Second/48000 + time.Second) // what is not to be heard has all the time to be
			if share := heardOf(ana, other, at); share > 0.2 {
				t.Errorf("%.2f is heard of a room that is muted", share)
			}
			h.API(t, "POST", "/calls/"+id+"/unmute", nil, nil)
			hears(t, "Ana hears Ben again", ben, other, ana)

			for _, p := range []*participant.Participant{ana, ben} {
				if there, _ := pictures(p); there > 0 {
					t.Errorf("%d pictures cross against the rule", there)
				}
			}

			h.API(t, "POST", "/calls/"+id+"/end", nil, nil)
			stack.Eventually(t, 10*time.Second, "the rooms are parted", func() bool { return len(ana.People()) == 0 && len(ben.People()) == 0 })
			h.recorded(t, "call", "the call", func(r record) bool {
				return r.Call == id && r.Rule == "partner" && r.Outcome == "ended" && r.Actor == "test" && r.Foreign && r.Called == "livekit://partner/budget" &&
					r.Fields["platform"] == "partner" && r.Fields["direction"] == "out" && r.Fields["encryption"] == "DTLS-SRTP" && r.Fields["bytes_in"] != "0" && r.Fields["bytes_out"] != "0"
			})
		})

		t.Run("seen on both sides", func(t *testing.T) {
			t.Parallel()
			testPictures(t, h, other)
		})
		t.Run("no picture goes round", func(t *testing.T) {
			t.Parallel()
			testNoPictureGoesRound(t, h)
		})

		// A room that is joined with two others hears both, and they do not hear each other: so nothing can go round.
		t.Run("no way round", func(t *testing.T) {
			ana, ben, cleo := enters(t, h.ours, "council-2", "ana"), enters(t, h.theirs, "left", "ben"), enters(t, h.theirs, "right", "cleo")
			dan := enters(t, h.ours, "council-3", "dan")
			h.joins(t, "left", "council-2")
			h.joins(t, "right", "council-2")
			h.joins(t, "left", "council-3")
			stack.Eventually(t, 10*time.Second, "all are there", func() bool { return len(bridges(ana)) == 2 && len(bridges(ben)) == 2 && len(bridges(dan)) == 1 })
			at := hears(t, "Ana and Dan hear Ben", ben, other, ana, dan)
			if share := heardOf(cleo, other, at); share > 0.2 {
				t.Errorf("%.2f of what is said on the left is heard on the right", share)
			}
			at = hears(t, "Ben and Cleo hear Ana", ana, one, ben, cleo)
			if share := heardOf(dan, one, at); share > 0.2 {
				t.Errorf("%.2f of what is said in one of our rooms is heard in another, by way of the left", share)
			}
			if share := heardOf(ana, one, at); share > 0.2 {
				t.Errorf("Ana hears %.2f of herself", share)
			}
			if status, answer := h.Ask(t, "POST", "/calls", map[string]string{"to": "livekit://partner/left", "room": "council-2"}); status != 409 {
				t.Errorf("joined twice: %d %s", status, answer)
			}
		})

		t.Run("refused by the rules", func(t *testing.T) {
			for _, room := range []string{"elsewhere", "council"} {
				status, answer := h.Ask(t, "POST", "/calls", map[string]string{"to": "livekit://partner/untouched", "room": room})
				if status != 403 || !strings.Contains(string(answer), "not-granted") || !strings.Contains(string(answer), "does not call there") {
					t.Errorf("%s: %d %s", room, status, answer)
				}
			}
			rooms, err := h.theirAdmin.Rooms(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rooms {
				if r.GetName() == "untouched" {
					t.Error("a room that the rules refuse was entered")
				}
			}
			h.recorded(t, "decision", "the refusal", func(r record) bool {
				return r.Rule == "no other sites" && r.Outcome == "refused" && r.Room == "elsewhere" && r.Fields["platform"] == "partner"
			})
			if status, answer := h.Ask(t, "POST", "/calls", map[string]string{"to": "livekit://nobody/x", "room": "council-1"}); status != 422 {
				t.Errorf("a site that there is not: %d %s", status, answer)
			}
		})

		// passerelle explain tells what became of the calls above.
		t.Run("explained", func(t *testing.T) {
			for room, want := range map[string]string{"council-1": "partner", "elsewhere": "no other sites"} {
				cmd := exec.Command("../../bin/passerelle-race", "explain", "--json", "--rules", h.RulesFile(), "--direction", "out", "--protocol", "livekit",
					"--platform", "partner", "--room", room)
				var out, trouble bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &trouble
				err := cmd.Run()
				var e struct {
					Decision struct {
						Rule    string
						Allowed bool
					}
				}
				if json.Unmarshal(out.Bytes(), &e) != nil || e.Decision.Rule != want || e.Decision.Allowed != (err == nil) {
					t.Errorf("%s: %s %s %v", room, out.String(), trouble.String(), err)
				}
			}
		})

		t.Run("only what the rule grants crosses", func(t *testing.T) {
			t.Parallel()
			ana, ben := enters(t, h.ours, "hearing", "ana"), enters(t, h.theirs, "witness", "ben")
			h.joins(t, "witness", "hearing")
			hears(t, "Ana hears Ben", ben, other, ana)
			at := ana.Say(one)
			time.Sleep(time.Duration(len(one))*time.Second/48000 + time.Second)
			if share := heardOf(ben, one, at); share > 0.2 {
				t.Errorf("%.2f crosses against the rule", share)
			}
		})

		t.Run("an operator lets the far room in", func(t *testing.T) {
			t.Parallel()
			ana, ben := enters(t, h.ours, "guarded", "ana"), enters(t, h.theirs, "visitors", "ben")
			var call struct{ ID string }
			h.API(t, "POST", "/calls", map[string]string{"to": "livekit://partner/visitors", "room": "guarded"}, &call)
			stack.Eventually(t, 15*time.Second, "the far room waits", func() bool {
				var c struct{ State string }
				h.API(t, "GET", "/calls/"+call.ID, nil, &c)
				return c.State == "waiting"
			})
			if len(bridges(ana)) != 0 {
				t.Error("in the room before it was let in")
			}
			stack.Eventually(t, 10*time.Second, "an operator admits it", func() bool { // not before it has its place
				status, _ := h.Ask(t, "POST", "/calls/"+call.ID+"/admit", nil)
				return status == 204
			})
			h.talks(t, call.ID)
			hears(t, "Ben hears Ana", ana, one, ben)
		})

		t.Run("the site is down", func(t *testing.T) {
			status, answer := h.Ask(t, "POST", "/calls", map[string]string{"to": "livekit://down/x", "room": "council-1"})
			if status != 502 || !strings.Contains(string(answer), "not-begun") || !strings.Contains(string(answer), "down") {
				t.Errorf("%d %s", status, answer)
			}
			h.recorded(t, "call", "the attempt", func(r record) bool { return r.Fields["platform"] == "down" && r.Outcome == "signalling" })
		})

		t.Run("the far room is closed", func(t *testing.T) {
			ana := enters(t, h.ours, "council-4", "ana")
			enters(t, h.theirs, "closing", "ben")
			id := h.joins(t, "closing", "council-4")
			if err := h.theirAdmin.DeleteRoom(t.Context(), "closing"); err != nil {
				t.Fatal(err)
			}
			stack.Eventually(t, 10*time.Second, "the far room has left", func() bool { return len(bridges(ana)) == 0 })
			h.recorded(t, "call", "the end", func(r record) bool { return r.Call == id && r.Outcome == "room_ended" })
		})

		t.Run("our room is closed", func(t *testing.T) {
			enters(t, h.ours, "council-5", "ana")
			ben := enters(t, h.theirs, "open", "ben")
			id := h.joins(t, "open", "council-5")
			stack.Eventually(t, 10*time.Second, "our room is there", func() bool { return len(bridges(ben)) == 1 })
			if err := h.ourAdmin.DeleteRoom(t.Context(), "council-5"); err != nil {
				t.Fatal(err)
			}
			stack.Eventually(t, 10*time.Second, "our room has left", func() bool { return len(bridges(ben)) == 0 })
			h.recorded(t, "call", "the end", func(r record) bool { return r.Call == id && r.Outcome == "room_ended" })
		})
	})
	t.Run("the site goes down", func(t *testing.T) { // the last: it stays down
		ana := enters(t, h.ours, "council-6", "ana")
		id := h.joins(t, "falling", "council-6")
		h.far.Kill()
		stack.Eventually(t, 30*time.Second, "the far room has left", func() bool { return len(bridges(ana)) == 0 })
		h.recorded(t, "call", "the end", func(r record) bool { return r.Call == id && r.Outcome == "signalling" })
	})
}
