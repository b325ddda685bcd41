package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
	"passerelle/bridge/policy"
	"passerelle/configs"
	"passerelle/internal/egress"
)

// refusals collects what a guard reports.
type refusals struct {
	mu   sync.Mutex
	list []egress.Denied
}

func (r *refusals) add(d egress.Denied) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, d)
}

// of are the refusals of an address for a use.
func (r *refusals) of(address string, u egress.Use) (calls []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.list {
		if d.Address == netip.MustParseAddr(address) && d.Use == u {
			calls = append(calls, d.Call)
		}
	}
	return calls
}

// twoTrunks are A at 127.0.0.1 and B at 127.0.0.3, each with media elsewhere.
func twoTrunks(c *configs.SIP, _ *Deps) {
	c.UDP = []string{"0.0.0.0:0"}
	c.Trunks = []configs.Trunk{
		{Name: "A", Addresses: []string{"127.0.0.1"}, MediaNetworks: []string{"127.0.0.4"}},
		{Name: "B", Addresses: []string{"127.0.0.3"}, MediaNetworks: []string{"127.0.0.5"}},
	}
}

// TestTrunksHaveTheirOwnNetworks: the media of one trunk's calls does not go to another trunk's networks, nor to its signalling.
func TestTrunksHaveTheirOwnNetworks(t *testing.T) {
	t.Parallel()
	var r recorder
	var denied refusals
	s := start(t, under(&r, bridge.Terms{}), onlyHere(t, denied.add), twoTrunks)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addr("udp").Port())
	for from, codes := range map[string]map[string]int{
		"127.0.0.1": {"127.0.0.1": 200, "127.0.0.3": 403, "127.0.0.4": 200, "127.0.0.5": 403, "127.0.0.6": 403},
		"127.0.0.3": {"127.0.0.1": 200, "127.0.0.3": 200, "127.0.0.4": 403, "127.0.0.5": 200, "127.0.0.6": 403},
	} {
		for address, code := range codes {
			p := newPhoneFrom(t, &net.UDPAddr{IP: net.ParseIP(from)}, to)
			p.sdp = audio(address, 40000, "sendrecv")
			p.invite("")
			p.status(code, "INVITE")
			if code == 200 {
				p.ack()
				p.bye()
				continue
			}
			if calls := denied.of(address, egress.RTP); len(calls) == 0 || calls[0] == "" {
				t.Errorf("media from %s to %s: refusals of %q", from, address, calls)
			}
		}
	}
}

// TestSignallingStaysOnItsWay: a Contact or Record-Route that names what the call may not reach gets nothing. What we send goes back the way the far
// end came, and the refusal is told.
func TestSignallingStaysOnItsWay(t *testing.T) {
	t.Parallel()
	var denied refusals
	var r recorder
	s := start(t, under(&r, bridge.Terms{}), onlyHere(t, denied.add), twoTrunks)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addr("udp").Port())
	for i, where := range []string{"127.0.0.3", "127.0.0.4", "127.0.0.6"} { // another trunk's, our trunk's media, nobody's
		trap, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(where)})
		if err != nil {
			t.Fatal(err)
		}
		p := newPhoneFrom(t, nil, to)
		more := ""
		if i%2 == 0 {
			more = fmt.Sprintf("Record-Route: <sip:%s;lr>\r\n", trap.LocalAddr())
		} else {
			p.contact = "sip:x@" + trap.LocalAddr().String()
		}
		p.call(more)
		l := r.leg(t)
		eventually(t, "the call", func() bool { return l.up.Load() != nil })
		l.End(bridge.ErrMaxDuration)
		if where == "127.0.0.4" { // granted to the trunk: the BYE goes where the Contact says
			_ = trap.SetReadDeadline(time.Now().Add(patience))
			if n, err := trap.Read(make([]byte, 2048)); err != nil || n == 0 {
				t.Errorf("%s: %v", where, err)
			}
		} else {
			p.reply(p.expect("BYE"), "200 OK", "", "")
			_ = trap.SetReadDeadline(time.Now()) // loopback delivers before the answer to the next packet comes
			if n, err := trap.Read(make([]byte, 2048)); err == nil {
				t.Errorf("%s got %d bytes", where, n)
			}
			if calls := denied.of(where, egress.SIP); len(calls) == 0 || calls[0] != l.Caller().CallID {
				t.Errorf("signalling to %s: refusals of %q, want %q", where, calls, l.Caller().CallID)
			}
		}
		_ = trap.Close()
	}
}

// TestWhoMayNotBeAnswered: a source that is neither national nor a trunk's gets no byte, whatever it knows, over UDP and over TCP.
func TestWhoMayNotBeAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, func(context.Context, *Leg) { t.Error("the bridge saw it") }, onlyHere(t, nil), digestTrunk, func(c *configs.SIP, _ *Deps) {
		c.UDP, c.TCP = []string{"0.0.0.0:0"}, []string{"0.0.0.0:0"}
	})
	there := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addr("udp").Port())
	p := newPhoneFrom(t, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, there)
	p.invite("")
	p.request("OPTIONS", "", "", "")
	eventually(t, "two drops", func() bool { return dropped(s, "network") == 2 })
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := d.DialContext(t.Context(), "tcp", netip.AddrPortFrom(there.Addr(), s.Addr("tcp").Port()).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if dropped(s, "network") != 3 {
		t.Errorf("%d drops, want 3", dropped(s, "network"))
	}
	select {
	case m := <-p.in:
		t.Errorf("heard:\n%s", m)
	default:
	}
}

// anywhere is a trunk whose callers come from anywhere with a password.
func anywhere(c *configs.SIP, d *Deps) {
	digestTrunk(c, d)
	c.UDP = []string{"0.0.0.0:0"}
	c.Trunks[0].Addresses = []string{"0.0.0.0/0", "::/0"}
}

// TestFromAnywhere: such a caller is challenged, and is a stranger until the password is right. Then the call may go back to where it came from, also
// when the caller moves, and nowhere else.
func TestFromAnywhere(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, under(&r, bridge.Terms{}), onlyHere(t, nil), anywhere)
	to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), s.Addr("udp").Port())
	at := func(ip string) *phone { return newPhoneFrom(t, &net.UDPAddr{IP: net.ParseIP(ip)}, to) }
	p := at("127.0.0.7")
	p.request("OPTIONS", "", "", "")
	eventually(t, "the drop", func() bool { return dropped(s, "unknown") == 1 })
	nc := 0
	dial := func(address string, code int) {
		p.sdp = audio(address, 40000, "sendrecv")
		p.invite("")
		list := challenges(p.status(401, "INVITE"))
		nc++
		p.invite(credentials(t, list[0], "INVITE", p.target, "alice", "secret", nc))
		p.status(code, "INVITE")
	}
	dial("127.0.0.8", 403)
	p.request("OPTIONS", "", "", "") // the password was right: no stranger any more
	p.status(200, "OPTIONS")
	p = at("127.0.0.7")
	nc = 0
	dial("127.0.0.7", 200)
	p.ack()
	l := r.leg(t)
	eventually(t, "the call", func() bool { return l.up.Load() != nil })
	for i := range maxMoves + 1 {
		moved := *p
		q := at(fmt.Sprintf("127.0.1.%d", i+1))
		moved.local, moved.write, moved.in = q.local, q.write, q.in
		moved.contact = p.contact
		moved.seq = p.seq + i
		moved.request("INFO", "", "", "")
		moved.status(200, "INFO")
		var path netip.Addr
		if err := l.do(t.Context(), func() { path = l.dialog.path.remote.Addr() }); err != nil {
			t.Fatal(err)
		}
		want := q.local.Addr()
		if i == maxMoves {
			want = netip.MustParseAddr(fmt.Sprintf("127.0.1.%d", maxMoves))
		}
		if path != want {
			t.Errorf("move %d: signalling goes to %s, want %s", i, path, want)
		}
	}
	p.seq += maxMoves + 1
	p.bye()
}

// TestOutside: a far end on another machine is not led to what listens on this one.
func TestOutside(t *testing.T) {
	t.Parallel()
	outside := ownAddress(t)
	var r recorder
	s := start(t, under(&r, bridge.Terms{}), func(c *configs.SIP, d *Deps) {
		c.UDP = []string{"0.0.0.0:0"}
		c.Trunks[0].Addresses = append(c.Trunks[0].Addresses, outside.String())
	})
	p := newPhoneFrom(t, net.UDPAddrFromAddrPort(netip.AddrPortFrom(outside, 0)), netip.AddrPortFrom(outside, s.Addr("udp").Port()))
	p.invite("") // its SDP says 127.0.0.1
	p.status(403, "INVITE")
	p.sdp = audio(outside.String(), 40000, "sendrecv")
	p.call("")
	p.bye()
}

// ownAddress is an address of this machine that is not loopback.
func ownAddress(t *testing.T) netip.Addr {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, err := netip.ParsePrefix(a.String()); err == nil && n.Addr().Is4() && !n.Addr().IsLoopback() {
			return n.Addr()
		}
	}
	t.Skip("this machine has no network")
	return netip.Addr{}
}

// TestIdentityOfCaller: what was proven is told, the strongest first.
func TestIdentityOfCaller(t *testing.T) {
	t.Parallel()
	asserted := "P-Asserted-Identity: <sip:+33999@x>\r\n"
	trusted := func(c *configs.SIP, _ *Deps) { c.Trunks[0].TrustIdentity = true }
	for name, c := range map[string]struct {
		change  func(*configs.SIP, *Deps)
		user    bool // is asked for
		headers string
		want    string
	}{
		"address only":         {func(*configs.SIP, *Deps) {}, false, "", ""},
		"not believed":         {func(*configs.SIP, *Deps) {}, false, asserted, ""},
		"vouched for":          {trusted, false, asserted, "+33999"},
		"vouched for, private": {trusted, false, asserted + "Privacy: id\r\n", ""},
		"password":             {digestTrunk, true, "", "alice"},
		"password, private":    {digestTrunk, true, "Privacy: id\r\n", "alice"},
		"password and number":  {func(c *configs.SIP, d *Deps) { digestTrunk(c, d); trusted(c, d) }, true, asserted, "+33999"},
	} {
		t.Run(name, func(t *testing.T) {
			var r recorder
			s := start(t, r.handle, c.change)
			p := newPhone(t, s)
			p.invite(c.headers)
			if c.user {
				c.headers += credentials(t, challenges(p.status(401, "INVITE"))[0], "INVITE", p.target, "alice", "secret", 1)
				p.invite(c.headers)
			}
			p.status(200, "INVITE")
			p.ack()
			if got := r.leg(t).Caller().Identity; got != c.want {
				t.Errorf("identity %q, want %q", got, c.want)
			}
			p.bye()
		})
	}
}

// TestSentences: a rule's sentence reaches the far end's display: bounded ASCII on one line.
func TestSentences(t *testing.T) {
	t.Parallel()
	refused := func(reason policy.Reason, text string) error {
		return fmt.Errorf("wrapped: %w", &bridge.Refused{Rule: "secret name", Refusal: policy.Refusal{Reason: reason, Text: text}})
	}
	for i, c := range []struct {
		reason        error
		code          int
		warning, q850 string
		retry         string
	}{
		{refused(policy.Forbidden, "Calls from abroad are taken from 8 to 18 h"), 403, `399 passerelle "Calls from abroad are taken from 8 to 18 h"`, `Q.850;cause=21;text="Calls from abroad are taken from 8 to 18 h"`, ""},
		{refused(policy.Forbidden, ""), 403, "", "Q.850;cause=21", ""},
		{refused(policy.NotEncrypted, ""), 488, `304 passerelle "This call must be encrypted: offer RTP/SAVP with SDES or DTLS-SRTP"`, "Q.850;cause=88", ""},
		{refused(policy.NotEncrypted, "Encrypt it"), 488, `304 passerelle "Encrypt it"`, `Q.850;cause=88;text="Encrypt it"`, ""},
		{refused(policy.TooMany, "The room is full"), 486, `399 passerelle "The room is full"`, `Q.850;cause=17;text="The room is full"`, ""},
		{refused(policy.TooMany, ""), 486, "", "Q.850;cause=17", ""},
		{refused(policy.Unavailable, "Later"), 503, `399 passerelle "Later"`, `Q.850;cause=41;text="Later"`, "30"},
		{refused(policy.Forbidden, "a\r\nVia: \"x\\y\"\x00\x1bé"), 403, `399 passerelle "a  Via: \"x\\y\"?"`, `Q.850;cause=21;text="a  Via: \"x\\y\"?"`, ""},
		{refused(policy.Forbidden, strings.Repeat("x", 1000)), 403, `399 passerelle "` + strings.Repeat("x", maxWarning) + `"`, `Q.850;cause=21;text="` + strings.Repeat("x", maxWarning) + `"`, ""},
		{fmt.Errorf("7 calls are running: %w", bridge.ErrBusy), 503, "", "Q.850;cause=42", "10"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s := start(t, func(_ context.Context, l *Leg) { l.End(c.reason) })
			p := newPhone(t, s)
			p.invite("")
			res := p.status(c.code, "INVITE")
			if header(res, "Warning") != c.warning || header(res, "Reason") != c.q850 || header(res, "Retry-After") != c.retry {
				t.Errorf("Warning %q, Reason %q, Retry-After %q", header(res, "Warning"), header(res, "Reason"), header(res, "Retry-After"))
			}
			if strings.Contains(res, "secret") {
				t.Errorf("the rule's name is told:\n%s", res)
			}
		})
	}
}

// TestOneTrunkLeavesRoom: what one source may have remembered is bounded below what all may have, and is free again afterwards.
func TestOneTrunkLeavesRoom(t *testing.T) {
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	l := newLayer(quick(), newGate(1, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}).source, m)
	var open []*serverTx
	l.request = func(tx *serverTx) { open = append(open, tx) }
	receive := func(from string, branch int) {
		req := parse(t, fmt.Sprintf("OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK%d\r\nFrom: <sip:a@b>;tag=%d\r\nTo: <sip:x>\r\nCall-ID: %d\r\nCSeq: 1 OPTIONS\r\n\r\n", branch, branch, branch))
		l.receive(req.(*sipgo.Request), path{transport: "udp", remote: netip.MustParseAddrPort(from)})
	}
	for i := range maxOfOneSource + 10 {
		receive(fmt.Sprintf("192.0.2.%d:5060", i%250), i)
	}
	if len(open) != maxOfOneSource || counted(m.dropped, "full") != 10 {
		t.Errorf("%d are remembered and %d dropped", len(open), counted(m.dropped, "full"))
	}
	receive("198.51.100.1:5060", 0)
	receive("[2001:db8::1]:5060", 0)
	if len(open) != maxOfOneSource+2 {
		t.Error("there is no room for others")
	}
	for _, tx := range open {
		tx.forget()
	}
	if len(l.counts) != 0 || len(l.servers) != 0 || len(l.merged) != 0 {
		t.Errorf("%d counts, %d transactions, %d merged are left", len(l.counts), len(l.servers), len(l.merged))
	}
}
