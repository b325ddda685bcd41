package guest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pion/rtp"

	"passerelle/bridge"
	"passerelle/bridge/links"
	"passerelle/bridge/policy"
	"passerelle/configs"
)

// guest brings a guest into the room.
func (h *house) guest(r *room, w links.Wish) (p *tab, leg *Leg, session string, l links.Link) {
	h.t.Helper()
	l, token := h.link(w)
	session, _, _ = h.exchange(token)
	p, _ = h.hello(session)
	p.join(join{Name: "Ana"}, false, 1)
	leg = wait(h.t, "leg", r.legs)
	p.state(StateTalking)
	return p, leg, session, l
}

// mixReaches has the room's sound come through to a page.
func mixReaches(t testing.TB, audio bridge.Audio, p *tab) {
	t.Helper()
	deadline := time.After(patience)
	for {
		if err := audio.WriteFrame(random(60), 960, false); err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.heard:
			return
		case <-deadline:
			t.Fatal("no sound")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestComeBack: a page that lost its socket, was loaded anew, or was opened twice goes on in the same call.
func TestComeBack(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, nil, r.take)
	p, leg, session, _ := h.guest(r, links.Wish{})
	audio := wait(t, "audio", r.audio)
	mixReaches(t, audio, p)
	leg.Tell(bridge.Standing{State: "talking", Muted: true, MayUnmute: true, Banner: "Foreign line"})

	t.Run("the network changed", func(t *testing.T) {
		_ = p.ws.NetConn().Close()
		again, w := h.hello(session)
		if w.State != StateTalking {
			t.Errorf("welcomed in state %s", w.State)
		}
		var m microphoneState
		again.hear("microphone", &m, func() bool { return !m.On && m.Free })
		var text banner
		again.hear("banner", &text, func() bool { return text.Text == "Foreign line" })
		again.pc, again.tracks, again.heard, again.up = p.pc, p.tracks, p.heard, p.up
		before := credentials(p.pc.CurrentRemoteDescription().SDP)
		again.say("offer", offer{SDP: again.offer(true), Tracks: p.tracks})
		if after := credentials(again.accept()); after == before {
			t.Error("ICE did not begin anew")
		}
		mixReaches(t, audio, again)
		p = again
	})
	t.Run("loaded anew", func(t *testing.T) {
		_ = p.pc.Close()
		_ = p.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseGoingAway, ""), time.Now().Add(time.Second))
		again, w := h.hello(session)
		if w.State != StateTalking {
			t.Errorf("welcomed in state %s", w.State)
		}
		text := again.media(true, 2)
		again.say("offer", offer{SDP: text, Tracks: again.tracks, Fresh: true})
		again.accept()
		again.isUp()
		mixReaches(t, audio, again)
		p = again
	})
	t.Run("two tabs", func(t *testing.T) {
		again, _ := h.hello(session)
		p.ended("taken_over", closeTaken)
		again.say("ping", ping{ID: 1})
		again.hear("pong", new(pong), nil)
		p = again
	})
	if len(r.ended) != 0 || h.Legs() != 1 {
		t.Fatalf("%d legs", h.Legs())
	}
	p.say("leave", leave{})
	p.ended("hung_up", closeLeft)
}

// TestStayAway: a page that does not come back ends its call.
func TestStayAway(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, func(c *configs.Guests) { c.Grace = 100 * time.Millisecond }, r.take)
	p, _, session, _ := h.guest(r, links.Wish{})
	_ = p.ws.NetConn().Close()
	if err := wait(t, "end", r.ended); !errors.Is(err, bridge.ErrSignalling) {
		t.Errorf("ended: %v", err)
	}
	late := h.visit()
	late.say("hello", hello{Version: Version, Session: session})
	late.ended("session_unknown", closeSession)
}

func credentials(sdp string) string { return regexp.MustCompile(`a=ice-ufrag:\S+`).FindString(sdp) }

// TestTakenBack: a link that is taken back ends who came by it, wherever they are; one that is over, too.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, nil, r.take)
	p, _, _, l := h.guest(r, links.Wish{})
	<-r.audio
	short, _ := h.link(links.Wish{})
	short.Until = time.Now().Add(2 * time.Second) // links themselves end on whole seconds
	n, err := h.Server.open(t.Context(), short, netip.MustParseAddr("127.0.0.1"), false)
	if err != nil {
		t.Fatal(err)
	}
	waiting, _ := h.hello(n.token)
	if err := h.links.Revoke(t.Context(), l.ID); err != nil {
		t.Fatal(err)
	}
	p.ended("link_revoked", closeEnded)
	if err := wait(t, "end", r.ended); !errors.Is(err, bridge.ErrLinkRevoked) {
		t.Errorf("ended: %v", err)
	}
	waiting.ended("link_expired", closeEnded)
}

// TestLinks: each thing that can be wrong with a link has a code of its own.
func TestLinks(t *testing.T) {
	h := open(t, nil, newRoom().take)
	revoked, revokedToken := h.link(links.Wish{})
	if err := h.links.Revoke(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	from := time.Now().Add(time.Hour).Truncate(time.Second)
	_, early := h.link(links.Wish{From: from})
	used, usedToken := h.link(links.Wish{Uses: 1})
	if err := h.links.Use(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	_, good := h.link(links.Wish{})
	for token, want := range map[string]problem{
		"":                            {Code: "link_wrong", Status: 404},
		"a.b.c":                       {Code: "link_wrong", Status: 404},
		good[:len(good)-6] + "AAAAAA": {Code: "link_wrong", Status: 404},
		strings.Repeat("a", 7000):     {Code: "link_wrong", Status: 404},
		strings.Repeat("a", 9000):     {Code: "malformed", Status: 400},
		revokedToken:                  {Code: "link_revoked", Status: 410},
		early:                         {Code: "link_early", Status: 403, From: from.UTC()},
		usedToken:                     {Code: "link_used_up", Status: 410},
	} {
		if _, _, p := h.exchange(token); p.Code != want.Code || p.Status != want.Status || !p.From.Equal(want.From) || p.Title == "" {
			t.Errorf("%.20s: %+v, want %+v", token, p, want)
		}
	}
	h.rules.set(policy.Decision{Rule: "closed", Refusal: policy.Refusal{Reason: policy.Forbidden, Text: "Not on Sundays"}})
	if _, _, p := h.exchange(good); p.Code != "forbidden" || p.Detail != "Not on Sundays" {
		t.Errorf("%+v", p)
	}
	h.Drain()
	h.rules.set(policy.Decision{Allowed: true})
	if _, _, p := h.exchange(good); p.Code != "draining" {
		t.Errorf("%+v", p)
	}
}

// TestHostileMessages: what no page says is refused, and ends the socket when it does not stop.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	h := open(t, nil, newRoom().take)
	_, token := h.link(links.Wish{})
	session, _, _ := h.exchange(token)
	for name, c := range map[string]struct {
		hello  bool
		say    func(p *tab)
		reason string
		code   int
	}{
		"no hello":      {false, func(p *tab) { p.say("ping", ping{}) }, "signalling", closeGuest},
		"noise":         {false, func(p *tab) { p.text("\x00") }, "signalling", closeGuest},
		"wrong version": {false, func(p *tab) { p.say("hello", hello{Version: 9, Session: session}) }, "version", closeVersion},
		"wrong session": {false, func(p *tab) { p.say("hello", hello{Version: 1, Session: "x"}) }, "session_unknown", closeSession},
		"malformed":     {true, func(p *tab) { p.flood("{", maxFailures+2) }, "signalling", closeGuest},
		"hello again":   {true, func(p *tab) { p.flood(`{"type":"hello"}`, maxFailures+2) }, "signalling", closeGuest},
		"too many":      {true, func(p *tab) { p.flood(`{"type":"candidate"}`, 4*maxMessages) }, "signalling", closeGuest},
	} {
		t.Run(name, func(t *testing.T) {
			p := h.visit()
			p.t = t
			if c.hello {
				p.say("hello", hello{Version: 1, Session: session})
				p.hear("welcome", new(welcome), nil)
			}
			c.say(p)
			p.ended(c.reason, c.code)
		})
	}
	t.Run("too large", func(t *testing.T) {
		p := h.visit()
		p.text(`{"type":"hello","x":"` + strings.Repeat("a", maxMessage) + `"}`)
		p.closed(websocket.CloseMessageTooBig)
	})
	t.Run("not now", func(t *testing.T) {
		p, _ := h.hello(session)
		var f failure
		for kind, want := range map[string]string{"hand": "not_now", "shout": "unknown_type", "offer": "malformed", "hello": "not_now"} {
			p.say(kind, struct{}{})
			p.hear("error", &f, func() bool { return f.To == kind })
			if f.Code != want {
				t.Errorf("%s: %+v", kind, f)
			}
		}
		p.say("leave", leave{})
		p.ended("hung_up", closeLeft)
	})
	if n := h.Legs(); n != 0 {
		t.Errorf("%d legs", n)
	}
}

func (p *tab) text(s string) {
	p.t.Helper()
	if err := p.ws.WriteMessage(websocket.TextMessage, []byte(s)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) flood(s string, n int) {
	for range n {
		if p.ws.WriteMessage(websocket.TextMessage, []byte(s)) != nil {
			return // cut
		}
	}
}

// TestHostileOffers: offers that cannot be taken use nothing up, and end nothing.
func TestHostileOffers(t *testing.T) {
	r := newRoom()
	h := open(t, func(c *configs.Guests) { c.Tiles = 2 }, r.take)
	_, token := h.link(links.Wish{Uses: 1})
	session, _, _ := h.exchange(token)
	p, _ := h.hello(session)
	good := p.media(false, 2)
	var f failure
	for name, c := range map[string]struct {
		sdp    string
		tracks []track
	}{
		"noise":        {"v=0\r\nm=audio", p.tracks},
		"wrong tracks": {good, []track{{"7", UseTile}}},
		"long":         {good + strings.Repeat("a=x\r\n", maxLines), p.tracks},
	} {
		p.say("join", join{offer: offer{SDP: c.sdp, Tracks: c.tracks}})
		p.hear("error", &f, nil)
		if f.Code != "offer" {
			t.Errorf("%s: %+v", name, f)
		}
	}
	if h.Legs() != 0 {
		t.Error("somebody is in")
	}
	bomb := strings.Replace(good, "a=mid:0\r\n", "a=mid:0\r\n"+strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 1000 typ host\r\n", 500), 1)
	p.say("join", join{offer: offer{SDP: bomb, Tracks: p.tracks}}) // thousands of candidates, none of which is looked at
	p.accept()
	p.isUp()
	leg := wait(t, "leg", r.legs)
	<-r.audio
	for range 3 { // more than there were: refused, and the call goes on
		p.say("offer", offer{SDP: strings.Replace(good, "a=mid:1\r\n", "a=mid:9\r\n", 1), Tracks: p.tracks})
		p.hear("error", &f, nil)
	}
	leg.Tell(bridge.Standing{State: "talking", Alone: true})
	p.hear("notice", new(notice), nil)
}

// TestWrongFingerprint: whoever answers DTLS with another certificate than the offer says gets no media, and the guest does not get in.
func TestWrongFingerprint(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, nil, r.take)
	h.times.up = 700 * time.Millisecond
	_, token := h.link(links.Wish{})
	session, _, _ := h.exchange(token)
	p, _ := h.hello(session)
	text := p.media(false, 0)
	wrong := regexp.MustCompile(`a=fingerprint:sha-256 \S\S`).ReplaceAllString(text, "a=fingerprint:sha-256 00")
	p.say("join", join{offer: offer{SDP: wrong, Tracks: p.tracks}})
	p.accept()
	p.ended("media_timeout", closeEnded)
	if err := wait(t, "end", r.ended); !errors.Is(err, bridge.ErrMediaTimeout) {
		t.Errorf("ended: %v", err)
	}
}

// TestNeverUp: a guest that never finishes ICE does not get in, and does not stay.
func TestNeverUp(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, nil, r.take)
	h.times.up = 200 * time.Millisecond
	_, token := h.link(links.Wish{})
	session, _, _ := h.exchange(token)
	p, _ := h.hello(session)
	text := p.media(false, 0)
	p.say("join", join{offer: offer{SDP: text, Tracks: p.tracks}})
	p.hear("answer", new(answer), nil) // and is not taken
	p.ended("media_timeout", closeEnded)
}

// TestSlowReader: a page that does not read is cut, and its call waits for it to come back.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, nil, r.take)
	_, token := h.link(links.Wish{})
	session, _, _ := h.exchange(token)
	p, _ := h.hello(session)
	p.join(join{}, false, 0)
	leg := wait(t, "leg", r.legs)
	<-r.audio
	deaf := dialDeaf(t, h, session)
	defer deaf.Close()
	p.ended("taken_over", closeTaken)
	seats := make([]bridge.Seat, 2000)
	for i := range seats {
		seats[i] = bridge.Seat{ID: bridge.SeatID(i), Name: strings.Repeat("é", 60)}
	}
	edition := uint64(0)
	until(t, "cut", func() bool {
		edition++
		leg.Show(&bridge.Scene{People: 2001, Seats: seats, Edition: edition})
		gone := false
		_ = leg.do(t.Context(), func() { gone = leg.page == nil })
		return gone
	})
	again, w := h.hello(session)
	if w.State != StateTalking {
		t.Errorf("welcomed in state %s", w.State)
	}
	again.hear("people", new(people), nil)
}

// dialDeaf says hello on a connection that is never read.
func dialDeaf(t *testing.T, h *house, session string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", h.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).SetReadBuffer(1024)
	fmt.Fprintf(c, "GET /api/v1/ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", h.Addr())
	for answer := []byte(nil); !bytes.HasSuffix(answer, []byte("\r\n\r\n")); {
		b := make([]byte, 1)
		if _, err := c.Read(b); err != nil {
			t.Fatal(err)
		}
		answer = append(answer, b...)
	}
	body := []byte(fmt.Sprintf(`{"type":"hello","version":1,"session":%q}`, session))
	frame := append([]byte{0x81, 0x80 | byte(len(body)), 0, 0, 0, 0}, body...) // masked with zeroes (RFC 6455, section 5.3)
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCrowd: connections, requests and guests of one address are bounded.
func TestCrowd(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, func(c *configs.Guests) { c.MaxPerAddress, c.Max = 2, 10 }, r.take)
	t.Run("connections", func(t *testing.T) {
		var all []net.Conn
		for range 1000 {
			c, err := net.Dial("tcp", h.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, c)
		}
		until(t, "few are left", func() bool {
			all = slices.DeleteFunc(all, func(c net.Conn) bool {
				_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
				_, err := c.Read(make([]byte, 1))
				if isTimeout(err) {
					return false
				}
				_ = c.Close()
				return true
			})
			return len(all) <= 2*sessionsEach
		})
		for _, c := range all {
			_ = c.Close()
		}
		until(t, "the door has seen them go", func() bool {
			r, err := http.Get(h.base + "/")
			if err == nil {
				_ = r.Body.Close()
			}
			return err == nil
		})
	})
	t.Run("guests", func(t *testing.T) {
		_, token := h.link(links.Wish{})
		for i := range 3 {
			session, _, problem := h.exchange(token)
			if session == "" {
				t.Fatalf("%+v", problem)
			}
			p, _ := h.hello(session)
			text := p.media(false, 0)
			p.say("join", join{offer: offer{SDP: text, Tracks: p.tracks}})
			if i < 2 {
				p.accept()
				<-r.legs
				continue
			}
			if m := p.state(StateEnded); m.Reason != "too_many" || !m.Retry {
				t.Errorf("ended: %+v", m)
			}
		}
	})
	t.Run("sessions", func(t *testing.T) {
		_, token := h.link(links.Wish{})
		var last problem
		for range 2*sessionsEach + 1 {
			_, _, last = h.exchange(token)
		}
		if last.Code != "too_many" {
			t.Errorf("%+v", last)
		}
	})
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// TestRate: an address that asks too often is told to wait.
func TestRate(t *testing.T) {
	h := open(t, func(c *configs.Guests) { c.Rate = 1 }, newRoom().take)
	status, after := 0, ""
	for range 20 {
		r, err := http.Get(h.base + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		status, after = r.StatusCode, r.Header.Get("Retry-After")
	}
	if status != http.StatusTooManyRequests || after == "" {
		t.Errorf("%d, %q", status, after)
	}
}

// TestOrigin: pages of somewhere else may not use the socket, nor links.
func TestOrigin(t *testing.T) {
	h := open(t, func(c *configs.Guests) {
		c.PublicURL, c.Origins = "https://guests.example.org", []string{"https://intranet.example.org", "*"}
	}, newRoom().take)
	for origin, want := range map[string]bool{
		"":                             true,
		h.base:                         true,
		"https://guests.example.org":   true,
		"https://intranet.example.org": true,
		"https://evil.example":         false,
		"null":                         false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		ws, r, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(h.base, "http")+"/api/v1/ws", header)
		if (err == nil) != want {
			t.Errorf("socket from %q: %v", origin, err)
		}
		if err == nil {
			_ = ws.Close()
		} else if r.StatusCode != http.StatusForbidden {
			t.Errorf("socket from %q: %d", origin, r.StatusCode)
		}
		request, _ := http.NewRequest(http.MethodPost, h.base+"/api/v1/session", strings.NewReader(`{"link":""}`))
		request.Header = header
		request.Header.Set("Content-Type", "application/json")
		r, err = http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if (r.StatusCode != http.StatusForbidden) != want {
			t.Errorf("session from %q: %d", origin, r.StatusCode)
		}
	}
}

// TestAddress: only our own proxies are believed about who is behind them.
func TestAddress(t *testing.T) {
	h := open(t, func(c *configs.Guests) { c.Proxies = []string{"10.0.0.0/8"} }, newRoom().take)
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1:1", "203.0.113.9", "192.0.2.1"},
		{"10.0.0.1:1", "203.0.113.9", "203.0.113.9"},
		{"10.0.0.1:1", "198.51.100.1, 203.0.113.9, 10.0.0.2", "203.0.113.9"},
		{"10.0.0.1:1", "10.0.0.3", "10.0.0.3"},
		{"10.0.0.1:1", "nobody", "10.0.0.1"},
		{"10.0.0.1:1", "", "10.0.0.1"},
	} {
		r := &http.Request{RemoteAddr: c.remote, Header: http.Header{"X-Forwarded-For": {c.forwarded}, "X-Forwarded-Proto": {"https"}}}
		if got := h.address(r).String(); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
		if got := h.secure(r); got != strings.HasPrefix(c.remote, "10.") {
			t.Errorf("%+v: secure %v", c, got)
		}
	}
}

// TestPage: the page comes with a policy that lets it load nothing from elsewhere, and nothing but its files is served.
func TestPage(t *testing.T) {
	h := open(t, nil, newRoom().take)
	for path, want := range map[string]int{
		"/": 200, "/page/index.html": 301, "/page/": 404, "/page/nothing": 404, "/nothing": 404, "/api/v1/session": 405, "/healthz": 200,
	} {
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		r, err := client.Get(h.base + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
		policy := r.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || regexp.MustCompile(`https?:|\*`).MatchString(policy) {
			t.Errorf("%s: %s", path, policy)
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, r.Header)
		}
	}
}

// TestFloodedMicrophone: packets beyond what a microphone sends are not looked at.
func TestFloodedMicrophone(t *testing.T) {
	r := newRoom()
	h := open(t, nil, r.take)
	p, _, _, _ := h.guest(r, links.Wish{})
	audio := wait(t, "audio", r.audio)
	began := time.Now()
	for i := range 3000 {
		_ = p.microphone.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: uint16(i)}, Payload: bytes.Repeat([]byte{1}, 20)})
	}
	until(t, "sound", func() bool { return audio.Stats().PacketsReceived > 0 })
	mixReaches(t, audio, p) // some time has passed
	n := audio.Stats().PacketsReceived
	if most := voicePackets * (1 + time.Since(began).Seconds()); float64(n) > most {
		t.Errorf("%d packets of 3000 were looked at, %.0f may be", n, most)
	}
}
