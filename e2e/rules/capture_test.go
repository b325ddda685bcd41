//go:build e2e

package rules_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/sipp"
)

// captured is a gateway in a namespace of its own, whose calls end after a few seconds, so that it has something to say by itself.
func captured(t *testing.T, rules string) *stack.Stack {
	t.Helper()
	return stack.Start(t, stack.Options{
		Bind: gateway, Rules: rules, Extra: "calls: {max_duration: 5s}",
		Trunks: `[
  {name: national, addresses: [10.77.0.3]},
  {name: abroad, addresses: [198.51.100.0/25], media_networks: [198.51.100.128/25]}]`,
	})
}

// TestCapture puts the gateway into a network namespace and records all that leaves it: not one packet goes to an address that was not granted.
func TestCapture(t *testing.T) {
	others, inside := inNamespaces(t)
	if !inside {
		return
	}
	serveNames(t, others)

	t.Run("a national call", func(t *testing.T) {
		cable := tapCable(t)
		t.Run("call", func(t *testing.T) { callFromDesk(t, captured(t, ""), others) })
		sent := cable.sent(t)
		onlyTo(t, sent, nationalNetworks()...)
		for what, n := range map[string]int{
			"media": count(sent, desk, isRTP), "reports": count(sent, desk, isRTCP), "signalling": count(sent, desk, isSIP), "names": count(sent, names, isDNS),
		} {
			t.Logf("%d packets of %s", n, what)
			if n == 0 {
				t.Errorf("no %s was sent", what)
			}
		}
	})
	t.Run("a foreign call", func(t *testing.T) {
		cable := tapCable(t)
		t.Run("calls", func(t *testing.T) { callAbroad(t, captured(t, grants), others) })
		sent := cable.sent(t)
		onlyTo(t, sent, append(nationalNetworks(), netip.MustParsePrefix(abroad+"/32"))...)
		for what, n := range map[string]int{"media": count(sent, abroad, isRTP), "reports": count(sent, abroad, isRTCP)} {
			t.Logf("%d packets of %s abroad", n, what)
			if n == 0 {
				t.Errorf("no %s was sent abroad", what)
			}
		}
		if n := count(sent, abroad, isSIP); n > 0 {
			t.Errorf("%d packets of signalling were sent abroad, where nobody called from", n)
		}
	})
	t.Run("a call that wants elsewhere", func(t *testing.T) {
		cable := tapCable(t)
		t.Run("calls", func(t *testing.T) { wantElsewhere(t, captured(t, ""), others) })
		sent := cable.sent(t)
		onlyTo(t, sent, nationalNetworks()...)
		if count(sent, desk, isSIP) == 0 || count(sent, desk, isRTP) == 0 || count(sent, names, isDNS) == 0 {
			t.Error("nothing was sent at all")
		}
	})
}

// grants lets the calls to "partner" send to a foreign network, and no others.
const grants = `
version: 1
rules:
  - name: partner
    when: {called: partner}
    grant: {foreign: true, room: demo, networks: [198.51.100.0/25], learn: count}
  - name: others
    grant: {learn: count}
`

// callAbroad has the sound of a call that a rule grants go to a foreign network, and that of calls which it does not cover refused.
func callAbroad(t *testing.T, s *stack.Stack, others string) {
	far := at(t, others, abroad, 40000)
	call := newCaller(t, others, desk, s.SIP)
	call.called = "partner"
	call.request("INVITE", offer(abroad, 40000, ""))
	code, message := call.final("INVITE")
	if code != 200 {
		t.Fatalf("the granted call: %d\n%s", code, message)
	}
	gatewayMedia := net.UDPAddrFromAddrPort(netip.AddrPortFrom(call.to.Addr(), mediaPort(t, message)))
	_ = far.SetReadDeadline(time.Now().Add(10 * time.Second))
	for i := range 100 { // two seconds of sound, and as much back
		if _, err := far.Read(make([]byte, 2048)); err != nil {
			t.Fatalf("packet %d from the gateway: %v", i, err)
		}
		if _, err := far.WriteToUDP(rtp(byte(i)), gatewayMedia); err != nil {
			t.Fatal(err)
		}
	}
	call.request("INVITE", offer(stranger, 40000, ""))
	if code, _ := call.final("INVITE"); code != 403 {
		t.Errorf("the granted call goes on to a stranger: %d, want 403", code)
	}
	for called, media := range map[string]string{"partner": stranger, "room": abroad} {
		other := newCaller(t, others, desk, s.SIP)
		other.called = called
		other.request("INVITE", offer(media, 40000, ""))
		if code, message := other.final("INVITE"); code != 403 || !strings.Contains(message, "\r\nWarning: 399 ") {
			t.Errorf("a call to %s with its sound to %s: %d, want 403 and why\n%s", called, media, code, message)
		}
	}
	call.hungUp()
	if !strings.Contains(s.Log(), "room="+stack.Room) {
		t.Error("the call was not in the room")
	}
}

// callFromDesk has SIPp call, type the PIN, talk in the room and be hung up on, by the name under which it wants to be found.
func callFromDesk(t *testing.T, s *stack.Stack, others string) {
	script := (&sipp.Scenario{}).Request("INVITE", "Record-Route: <sip:desk.test:[local_port];lr>\n", sipp.SDP(1, "8", "a=ptime:20")).
		Provisional(100).Provisional(180).Expect(200).Request("ACK", "", "").Pause(300)
	for _, key := range stack.PIN + "#" {
		script.Digit(key, true).Pause(20)
	}
	among(t, others, func() {
		p := sipp.Start(t, s.SIP, script.Bye().String(), sipp.Options{Bind: desk, Echo: true})
		p.Wait(t, 30*time.Second)
	})
	if !strings.Contains(s.Log(), "room="+stack.Room) {
		t.Error("the call was not in the room")
	}
}

// wantElsewhere makes calls whose far ends name, wherever a message has a place for it, addresses that nobody granted.
func wantElsewhere(t *testing.T, s *stack.Stack, others string) {
	type wish struct {
		name, sdp, contact, route, via string
		code                           int
		then                           func(c *caller)
	}
	here := offer(desk, 40000, "")
	refused := func(method, sdp string, want int) func(*caller) {
		return func(c *caller) {
			c.request(method, sdp)
			if code, _ := c.final(method); code != want {
				t.Errorf("%s in mid-call: %d, want %d", method, code, want)
			}
		}
	}
	wishes := []wish{
		{name: "media", sdp: offer(trap, 40000, ""), code: 403},
		{name: "media over IPv6", sdp: offer(trap6, 40000, ""), code: 403},
		{name: "reports", sdp: offer(desk, 40000, "a=rtcp:40001 IN IP4 "+trap+"\n"), code: 403},
		{name: "another trunk's media", sdp: offer("198.51.100.129", 40000, ""), code: 403},
		{name: "another trunk's signalling", sdp: offer(abroad, 40000, ""), code: 403},
		{name: "the machine itself", sdp: offer("127.0.0.1", 40000, ""), code: 403},
		{name: "ICE", sdp: offer(desk, 40000, "a=ice-ufrag:abcd\na=ice-pwd:0123456789012345678901\na=candidate:1 1 UDP 2130706431 "+trap+" 40000 typ host\n"), code: 200},
		{name: "Contact", sdp: here, contact: "<sip:x@" + trap + ">", code: 200},
		{name: "Contact by name", sdp: here, contact: "<sip:x@trap.test>", code: 200},
		{name: "Contact of no answer", sdp: here, contact: "<sip:x@silent.test>", code: 200},
		{name: "Contact over TCP", sdp: here, contact: "<sip:x@" + trap + ";transport=tcp>", code: 200},
		{name: "Contact over TLS", sdp: here, contact: "<sips:x@trap.test>", code: 200},
		{name: "maddr", sdp: here, contact: "<sip:x@" + desk + ";maddr=" + trap + ">", code: 200},
		{name: "the machine's own Contact", sdp: here, contact: "<sip:x@" + s.HTTP + ";transport=tcp>", code: 200},
		{name: "Record-Route", sdp: here, route: "<sip:" + trap + ";lr>", code: 200},
		{name: "strict Record-Route", sdp: here, route: "<sip:trap.test>, <sip:" + trap + ":5070>", code: 200},
		{name: "Via", sdp: here, via: trap + ":%d", code: 200},
		{name: "Via by name", sdp: here, via: "trap.test:%d", code: 200},
		{name: "Via with maddr", sdp: here, via: trap + ":%d;maddr=" + trap + ";rport", code: 200},
		{name: "re-INVITE", sdp: here, code: 200, then: refused("INVITE", offer(trap, 40000, ""), 403)},
		{name: "UPDATE", sdp: here, code: 200, then: refused("UPDATE", offer(trap, 40000, ""), 403)},
		{name: "target refresh", sdp: here, code: 200, then: func(c *caller) {
			c.target = "<sip:x@" + trap + ">"
			refused("UPDATE", "", 200)(c)
		}},
		{name: "sound from a stranger", sdp: offer("trap.test", 40000, ""), code: 200, then: func(*caller) {}},
	}
	outsider := newCaller(t, others, stranger, s.SIP)
	for _, method := range []string{"INVITE", "OPTIONS", "BYE", "REGISTER"} {
		outsider.request(method, here)
	}
	outsider.send([]byte("\r\n\r\n"))
	outsider.send([]byte("INVITE"))

	var calls []*caller
	for _, w := range wishes {
		c := newCaller(t, others, desk, s.SIP)
		c.target, c.route = w.contact, w.route
		if w.via != "" {
			c.via = fmt.Sprintf(strings.Replace(w.via, "%d", "%[1]d", 1), c.port())
		}
		c.request("INVITE", w.sdp)
		code, message := c.final("INVITE")
		if code != w.code {
			t.Errorf("%s: %d, want %d\n%s", w.name, code, w.code, message)
			continue
		}
		if code != 200 {
			if !strings.Contains(message, "\r\nWarning: 399 ") {
				t.Errorf("%s: no readable reason:\n%s", w.name, message)
			}
			continue
		}
		if w.then != nil {
			w.then(c)
		}
		if w.name == "sound from a stranger" {
			to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(c.to.Addr(), mediaPort(t, message)))
			for i := range 20 {
				if _, err := outsider.socket.WriteToUDP(rtp(byte(i)), to); err != nil {
					t.Fatal(err)
				}
			}
		}
		calls = append(calls, c)
	}
	for _, c := range calls {
		c.hungUp() // and not by the way that it named
	}
	for use, least := range map[string]float64{"rtp": 8, "sip": 9, "dns": 1} {
		if n := s.Metric(t, fmt.Sprintf("passerelle_egress_denied_total{use=%q}", use)); n < least {
			t.Errorf("%v refusals for %s are counted, want at least %v", n, use, least)
		}
	}
	for _, w := range []struct{ address, use string }{
		{trap, "rtp"}, {trap, "sip"}, {trap6, "rtp"}, {stranger, "rtp"}, {"198.51.100.129", "rtp"}, {"127.0.0.1", "sip"}, {offshore, "dns"},
	} {
		refusalRecorded(t, s, w.address, w.use)
	}
}

// refusalRecorded waits until the journal says that a destination was refused, and to which call unless it was the node itself that asked.
func refusalRecorded(t *testing.T, s *stack.Stack, address, use string) {
	t.Helper()
	stack.Eventually(t, 10*time.Second, fmt.Sprintf("%s for %s is in the journal", address, use), func() bool {
		var list struct {
			Records []struct {
				Call, Address, Outcome string
				Fields                 map[string]string
			}
		}
		s.API(t, "GET", "/journal?kind=egress&limit=1000", nil, &list)
		for _, e := range list.Records {
			if e.Address == address && e.Fields["use"] == use && e.Outcome == "refused" && (e.Call == "") == (use == "dns") {
				return true
			}
		}
		return false
	})
}
