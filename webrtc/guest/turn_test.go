package guest

import (
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"
	pion "github.com/pion/webrtc/v4"

	"passerelle/bridge/links"
	"passerelle/configs"
)

func withTURN(c *configs.Guests) { c.TURNListen = "127.0.0.1:0" }

// TestTURN: a guest who reaches nothing but our TURN server over TCP is in the room like any other.
func TestTURN(t *testing.T) {
	t.Parallel()
	r := newRoom()
	h := open(t, withTURN, r.take)
	_, token := h.link(links.Wish{})
	session, terms, _ := h.exchange(token)
	if len(terms.Servers) != 1 || !strings.HasPrefix(terms.Servers[0].URLs[0], "turn:127.0.0.1:") {
		t.Fatalf("servers %+v", terms.Servers)
	}
	p, _ := h.hello(session)
	s := terms.Servers[0]
	p.by = pion.Configuration{
		ICEServers:         []pion.ICEServer{{URLs: s.URLs, Username: s.Username, Credential: s.Credential}},
		ICETransportPolicy: pion.ICETransportPolicyRelay,
	}
	p.join(join{}, false, 0)
	<-r.legs
	mixReaches(t, wait(t, "audio", r.audio), p)
}

// TestWHIPTellsOfTURN: a client that has a link is told of our own TURN server where there is one, and of none otherwise. What it is told lets it in.
func TestWHIPTellsOfTURN(t *testing.T) {
	t.Parallel()
	r := newRoom()
	for name, change := range map[string]func(*configs.Guests){"none": nil, "own": withTURN} {
		h := open(t, change, r.take)
		_, token := h.link(links.Wish{})
		pc := browserOf(t)
		if _, err := pc.AddTransceiverFromKind(pion.RTPCodecTypeAudio); err != nil {
			t.Fatal(err)
		}
		offer := (&tab{t: t, h: h, pc: pc}).offer(false)
		asked, _ := h.ask("OPTIONS", "/whip", token, "")
		a, text := h.ask("POST", "/whip", token, offer, "Content-Type", "application/sdp")
		if a.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %d %s", name, a.StatusCode, text)
		}
		for what, list := range map[string][]string{"OPTIONS": asked.Header.Values("Link"), "POST": a.Header.Values("Link")} {
			if name == "none" {
				if len(list) != 0 {
					t.Errorf("%s: %q", what, list)
				}
				continue
			}
			var m []string
			if len(list) == 1 {
				m = regexp.MustCompile(`^<(turn:127\.0\.0\.1:\d+\?transport=tcp)>; rel="ice-server"; username="([^"]+)"; credential="([^"]+)"; credential-type="password"$`).FindStringSubmatch(list[0])
			}
			if m == nil {
				t.Fatalf("%s: Link %q", what, list)
			}
			if _, err := allocate(t, m[1], iceServer{Username: m[2], Credential: m[3]}); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if a, _ := h.ask("OPTIONS", "/whip", "", ""); a.Header.Get("Link") != "" {
			t.Errorf("who has no link is told of %q", a.Header.Get("Link"))
		}
		if a, _ := h.ask("OPTIONS", "/whip", "a.b.c", ""); a.StatusCode != http.StatusUnauthorized || a.Header.Get("Link") != "" {
			t.Errorf("who has a wrong link: %d %q", a.StatusCode, a.Header.Get("Link"))
		}
		h.ask("DELETE", a.Header.Get("Location"), token, "")
	}
}

// TestTURNLeadsNowhere: the relay asks for credentials that are of this process and not over, and sends to our media port only.
func TestTURNLeadsNowhere(t *testing.T) {
	t.Parallel()
	h := open(t, withTURN, newRoom().take)
	good := h.relay.credentials(time.Now().Add(time.Hour))[0]
	over := h.relay.credentials(time.Now().Add(-2 * time.Hour))[0]
	other := (&relay{secret: []byte("another"), now: now}).credentials(time.Now().Add(time.Hour))[0]
	for name, s := range map[string]iceServer{"over": over, "of another process": other, "none": {}} {
		if c, err := allocate(t, good.URLs[0], s); err == nil {
			t.Errorf("%s: allocated %v", name, c.LocalAddr())
		}
	}
	c, err := allocate(t, good.URLs[0], good)
	if err != nil {
		t.Fatal(err)
	}
	victim, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer victim.Close()
	if _, err := c.WriteTo([]byte("x"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}); err == nil {
		t.Error("a permission for another address")
	}
	_, _ = c.WriteTo([]byte("x"), victim.LocalAddr())
	_ = victim.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, _, err := victim.ReadFrom(make([]byte, 10)); err == nil {
		t.Errorf("%d bytes came to another port", n)
	}
	to := &relayed{media: netip.MustParseAddrPort("127.0.0.1:7"), told: []netip.Addr{netip.MustParseAddr("203.0.113.1")}}
	for _, a := range []net.Addr{
		&net.UDPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 8}, &net.UDPAddr{IP: net.IPv4(203, 0, 113, 2), Port: 7}, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 1), Port: 7},
	} {
		if _, err := to.WriteTo(nil, a); err != errRelay {
			t.Errorf("%v: %v", a, err)
		}
	}
}

// allocate makes an allocation at the relay.
func allocate(t *testing.T, url string, s iceServer) (net.PacketConn, error) {
	t.Helper()
	address := strings.TrimSuffix(strings.TrimPrefix(url, "turn:"), "?transport=tcp")
	tcp, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: address, Conn: turn.NewSTUNConn(tcp), Username: s.Username, Password: s.Credential, Realm: turnRealm, LoggerFactory: quiet{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		_ = tcp.Close()
	})
	c, err := client.Allocate()
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, nil
}
