//go:build e2e

// Package rules_test calls the real gateway with real telephones and looks at what rules let cross: who is let in, who waits, who is told why not, and
// which packets leave.
package rules_test

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/baresip"
	"passerelle/internal/testpeer/lkadmin"
	"passerelle/internal/testpeer/sipp"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
	"passerelle/webrtc/livekit"
)

const trunks = `[
  {name: carrier, addresses: [127.0.0.1], trust_identity: true},
  {name: ministry, addresses: [127.0.0.2], trust_identity: true},
  {name: partner, addresses: [127.0.0.3], trust_identity: true}]`

const rules = `
version: 1
rules:
  - name: not from there
    when: {caller_country: US}
    refuse: No calls from this country
  - name: secret rooms
    when: {room: demo-3}
    grant: {encryption: require}
  - name: ministry
    when: {trunk: ministry}
    grant: {encryption: require}
  - name: partner
    when: {trunk: partner}
    grant:
      foreign: true
      lobby: ask
      audio: both
      name: "Partner {number}"
      learn: count
      notices: {caller: foreign_notice_caller, room: foreign_notice_room}
  - name: carrier
    when: {trunk: carrier}
    grant: {learn: count}
`

// house is a gateway under these rules, with somebody in its rooms.
type house struct {
	*stack.Stack
	client *livekit.Client
	admin  lkadmin.Admin
}

func start(t *testing.T) *house {
	t.Helper()
	h := &house{Stack: stack.Start(t, stack.Options{Rooms: 6, Trunks: trunks, Rules: rules})}
	h.client = h.Client(t)
	h.admin = lkadmin.Admin{Client: h.client}
	return h
}

// phones are those in a room now, as the SFU has them.
func (h *house) phones(t *testing.T, room string) (names []string) {
	t.Helper()
	people, err := h.admin.Participants(t.Context(), room)
	if err != nil {
		return nil // no such room yet
	}
	for _, p := range people {
		if strings.HasPrefix(p.GetIdentity(), "phone-") {
			names = append(names, p.GetName())
		}
	}
	return names
}

// enters waits until a phone is in the room, and answers its name there.
func (h *house) enters(t *testing.T, room string) string {
	t.Helper()
	stack.Eventually(t, 15*time.Second, "a telephone is in "+room, func() bool { return len(h.phones(t, room)) == 1 })
	return h.phones(t, room)[0]
}

// hears waits until a telephone has heard a French prompt.
func hears(t *testing.T, p *baresip.Phone, name ivr.Name) {
	t.Helper()
	all, err := loadPrompts()
	if err != nil {
		t.Fatal(err)
	}
	clip := all.Clip("fr", name)
	needle := clip[:min(len(clip), 3*transcode.Rate/2)]
	stack.Eventually(t, 25*time.Second, "the telephone hears "+string(name), func() bool {
		heard := p.Heard(t)
		if len(heard) < len(needle) {
			return false
		}
		_, c := speech.Find(heard, needle, transcode.Rate)
		return c > 0.7
	})
}

var loadPrompts = sync.OnceValues(func() (*ivr.Prompts, error) { return ivr.Load("", []string{"fr", "en"}) })

// records are the entries of the journal of one kind, the newest first.
func (h *house) records(t *testing.T, kind string) []record {
	t.Helper()
	var list struct {
		Records []record
	}
	h.API(t, "GET", "/journal?kind="+kind, nil, &list)
	return list.Records
}

// record is what these tests read of an entry.
type record struct {
	Kind, Actor, Room, Rule, Outcome, Caller string
	Foreign                                  bool
	Fields                                   map[string]string
}

// recorded waits until there is an entry.
func (h *house) recorded(t *testing.T, kind, what string, is func(record) bool) {
	t.Helper()
	stack.Eventually(t, 10*time.Second, what+" is in the journal", func() bool {
		for _, r := range h.records(t, kind) {
			if is(r) {
				return true
			}
		}
		return false
	})
}

// TestRules has callers let in, refused and held by rules, and the record say so.
func TestRules(t *testing.T) {
	h := start(t)
	t.Run("let in by trunk", func(t *testing.T) {
		room, pin := stack.RoomN(0)
		p := baresip.Start(t, baresip.Options{Bind: "127.0.0.1", Codec: "PCMA", User: "+33612345678"})
		p.Call(t, "sip:room@"+h.SIP)
		p.Press(t, pin+"#")
		if name := h.enters(t, room); name != "+33 6 •• •• •• 78" {
			t.Errorf("called %q", name)
		}
		p.HangUp(t)
		h.recorded(t, "decision", "the decision", func(r record) bool { return r.Rule == "carrier" && r.Outcome == "allowed" && r.Room == room })
		h.recorded(t, "call", "the call", func(r record) bool {
			return r.Rule == "carrier" && r.Outcome == "hung_up" && r.Room == room && r.Fields["codec"] == "PCMA" && r.Fields["bytes_in"] != "0"
		})
	})
	t.Run("refused by country", func(t *testing.T) {
		script := (&sipp.Scenario{}).Request("INVITE", "P-Asserted-Identity: <sip:+12025550123@[local_ip]>\n", sipp.SDP(1, "8\na=rtpmap:8 PCMA/8000", "")).
			Provisional(100).Expect(403)
		p := sipp.Start(t, h.SIP, script.String(), sipp.Options{Bind: "127.0.0.1"})
		p.Wait(t, 10*time.Second)
		refusal := p.Received()[len(p.Received())-1]
		if !strings.Contains(refusal, `Warning: 399 `) || !strings.Contains(refusal, "No calls from this country") {
			t.Errorf("no readable reason:\n%s", refusal)
		}
		h.recorded(t, "decision", "the refusal", func(r record) bool { return r.Rule == "not from there" && r.Outcome == "refused" })
	})
	t.Run("unencrypted, refused before the answer", func(t *testing.T) {
		script := (&sipp.Scenario{}).Request("INVITE", "", sipp.SDP(1, "8\na=rtpmap:8 PCMA/8000", "")).Provisional(100).Expect(488)
		p := sipp.Start(t, h.SIP, script.String(), sipp.Options{Bind: "127.0.0.2"})
		p.Wait(t, 10*time.Second)
		refusal := p.Received()[len(p.Received())-1]
		if !strings.Contains(refusal, "Warning: ") || !strings.Contains(strings.ToLower(refusal), "encrypted") {
			t.Errorf("no readable reason:\n%s", refusal)
		}
		q := baresip.Start(t, baresip.Options{Bind: "127.0.0.2", Codec: "PCMA", Encryption: "srtp-mand", User: "+33612345678"})
		q.Call(t, "sip:room@"+h.SIP)
		q.HangUp(t)
	})
	t.Run("unencrypted, refused aloud", func(t *testing.T) {
		room, pin := stack.RoomN(3)
		p := baresip.Start(t, baresip.Options{Bind: "127.0.0.1", Codec: "PCMA", User: "+33612345678"})
		p.Call(t, "sip:room@"+h.SIP)
		p.Press(t, pin+"#")
		hears(t, p, ivr.RefusedEncryption)
		p.Closed(t)
		if in := h.phones(t, room); len(in) > 0 {
			t.Errorf("in the room: %v", in)
		}
	})
	t.Run("held in the lobby, admitted by an operator", func(t *testing.T) {
		room, pin := stack.RoomN(1)
		p := baresip.Start(t, baresip.Options{Bind: "127.0.0.3", Codec: "PCMA", User: "+33612345678"})
		p.Call(t, "sip:room@"+h.SIP)
		p.Press(t, pin+"#")
		hears(t, p, ivr.ForeignNoticeCaller)
		hears(t, p, ivr.LobbyWait)
		id := h.waits(t, room)
		if in := h.phones(t, room); len(in) > 0 {
			t.Fatalf("in the room without being admitted: %v", in)
		}
		h.API(t, "POST", "/calls/"+id+"/admit", nil, nil)
		if name := h.enters(t, room); name != "Partner +33 6 •• •• •• 78 (ext.)" {
			t.Errorf("called %q", name)
		}
		p.HangUp(t)
		h.recorded(t, "admission", "the admission", func(r record) bool { return r.Outcome == "admitted" && r.Actor == "test" && r.Foreign })
	})
	t.Run("held in the lobby, refused by an operator", func(t *testing.T) {
		room, pin := stack.RoomN(2)
		p := baresip.Start(t, baresip.Options{Bind: "127.0.0.3", Codec: "PCMA", User: "+33612345678"})
		p.Call(t, "sip:room@"+h.SIP)
		p.Press(t, pin+"#")
		h.API(t, "POST", "/calls/"+h.waits(t, room)+"/refuse", nil, nil)
		hears(t, p, ivr.LobbyRefused)
		p.Closed(t)
		h.recorded(t, "admission", "the refusal", func(r record) bool { return r.Outcome == "refused" && r.Actor == "test" })
	})
}

// waits waits until somebody waits for a room, and answers their call.
func (h *house) waits(t *testing.T, room string) (id string) {
	t.Helper()
	stack.Eventually(t, 20*time.Second, "somebody waits for "+room, func() bool {
		var list struct {
			Calls []struct{ ID, Room, State string }
		}
		h.API(t, "GET", "/lobby", nil, &list)
		for _, c := range list.Calls {
			if c.Room == room {
				id = c.ID
			}
		}
		return id != ""
	})
	return id
}

// TestRulesChange narrows a running call and ends another.
func TestRulesChange(t *testing.T) {
	h := start(t)
	room, pin := stack.RoomN(0)
	p := baresip.Start(t, baresip.Options{Bind: "127.0.0.1", Codec: "PCMA", User: "+33612345678"})
	p.Call(t, "sip:room@"+h.SIP)
	p.Press(t, pin+"#")
	h.enters(t, room)
	hears(t, p, ivr.Joined)

	h.Signal(t, syscall.SIGHUP) // nothing has changed: it says so, and the call goes on
	stack.Eventually(t, 10*time.Second, "the rules are read again for a SIGHUP", func() bool { return strings.Contains(h.Log(), "read again and are the same") })

	h.ChangeRules(t, strings.Replace(rules, "grant: {learn: count}", "grant: {learn: count, audio: receive}", 1))
	hears(t, p, ivr.RulesChangedNarrow)
	stack.Eventually(t, 10*time.Second, "the room sees the telephone muted", func() bool {
		people, err := h.admin.Participants(t.Context(), room)
		if err != nil {
			return false
		}
		for _, p := range people {
			if strings.HasPrefix(p.GetIdentity(), "phone-") && len(p.GetTracks()) == 1 {
				return p.GetTracks()[0].GetMuted()
			}
		}
		return false
	})

	h.ChangeRules(t, strings.Replace(rules, "when: {trunk: carrier}\n    grant: {learn: count}", "when: {trunk: carrier}\n    refuse: Closed", 1))
	hears(t, p, ivr.RulesChangedEnd)
	p.Closed(t)
	h.recorded(t, "call", "the end", func(r record) bool { return r.Outcome == "rules" })
}
