//go:build e2e

package faults

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"passerelle/e2e/stack"
	"passerelle/sip"
)

// The attacked gateway's RTP ports lie where no other of this machine's gateways has its own.
const firstPort, lastPort = 31000, 31039

// TestAttacks has two people talk, without any encryption, while others do to the gateway what they can from outside: nobody notices.
func TestAttacks(t *testing.T) {
	h := open(t, stack.Options{
		Trunks: "[{name: known, addresses: [127.0.0.0/24]}]",
		Extra:  fmt.Sprintf("calls: {max: 20}\nmedia: {port_min: %d, port_max: %d}\nivr: {guess: {per_source: 5, overall: 1000}}", firstPort, lastPort),
	})
	call := h.enter(sip.DialOptions{Encryption: "off", Codecs: []string{"PCMA"}})
	ports := openPorts(t)
	if len(ports) != 2 {
		t.Fatalf("UDP ports in use: %v, want one pair", ports)
	}
	files := h.Metric(t, "process_open_fds")
	for _, attack := range []struct {
		name string
		d    time.Duration
		run  func(t *testing.T, h *house)
	}{
		{"nothing", 3 * time.Second, func(*testing.T, *house) {}},
		{"messages", 11 * time.Second, func(t *testing.T, h *house) {
			var work sync.WaitGroup
			defer work.Wait()
			work.Go(func() { attackConnections(t, h) })
			attackMessages(t, h)
		}},
		{"packets", 5 * time.Second, func(t *testing.T, h *house) { attackPackets(t, h, ports) }},
		{"digits", 6 * time.Second, attackDigits},
	} {
		t.Run(attack.name, func(t *testing.T) {
			mine := *h
			mine.t = t
			mine.converse(call, attack.d, func() { attack.run(t, &mine) })
			probe := newCaller(t, h.SIP, "127.0.0.1")
			probe.request("OPTIONS", 1, "", "", "", "")
			if code, _ := probe.status("OPTIONS", 1); code != 200 {
				t.Errorf("an OPTIONS is answered with %d", code)
			}
		})
	}
	h.press(call, "*9")
	stack.Eventually(t, patience, "the keys of the call still work", func() bool { g, _ := h.guest(); return g.Attributes["handRaisedAt"] != "" })
	stack.Eventually(t, patience, "only the call's own ports are left", func() bool { return h.Metric(t, "passerelle_rtp_ports") == 1 })
	stack.Eventually(t, patience, "files are where they were", func() bool { return h.Metric(t, "process_open_fds") <= files+2 })
	call.HangUp()
	h.reason("hung_up")
	if strings.Contains(h.Log(), "panic") || strings.Contains(h.Log(), "level=ERROR") {
		t.Error("an error is logged")
	}
}

// attackMessages sends the messages of RFC 4475, SDP that is none, noise, and far too much, over UDP: from a trunk's address, and from another.
func attackMessages(t *testing.T, h *house) {
	files, err := filepath.Glob("../../sip/testdata/torture/*.sip")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d messages of RFC 4475: %v", len(files), err)
	}
	known, unknown := newCaller(t, h.SIP, "127.0.0.3"), newCaller(t, h.SIP, "127.0.1.3")
	for _, c := range []*caller{known, unknown} {
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			c.send(strings.ReplaceAll(string(b), "%LOCAL%", c.signal.LocalAddr().String()))
		}
		noise := make([]byte, 1400)
		for i := range 500 {
			_, _ = rand.Read(noise)
			c.send(string(noise[:1+i*1399/499]))
		}
		c.send("INVITE sip:room@" + h.SIP + " SIP/2.0\r\nVia: " + strings.Repeat("a", 60_000))
		c.request("OPTIONS", 1, "", "X-Long: "+strings.Repeat("b", 40_000)+"\r\n", "", "")
		c.request("OPTIONS", 2, "", strings.Repeat("X-Many: c\r\n", 1000), "", "")
		c.send(strings.Repeat("\r\n", 20_000))
		c.send(strings.Repeat("\x00", 65_000))
	}
	offers := 0
	for _, body := range brokenOffers() {
		offers++
		c := newCaller(t, h.SIP, "127.0.0.4")
		c.invite(strings.ReplaceAll(body, "\n", "\r\n"), "")
		code, _ := c.status("INVITE", c.seq)
		switch {
		case code == 200 && strings.Contains(body, "8"): // what is missing can be done without: the media comes from somewhere
			c.ack()
			c.bye()
		case code < 400 || code >= 500:
			t.Errorf("answered with %d: %.200q", code, body)
		default:
			c.request("ACK", c.seq, c.branch, "", "", "")
		}
		c.vanish()
	}
	unknown.mu.Lock()
	defer unknown.mu.Unlock()
	if len(unknown.heard) > 0 {
		t.Errorf("who belongs to no trunk is answered:\n%s", unknown.heard[0])
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	statuses := map[string]int{}
	for _, m := range known.heard {
		if strings.HasPrefix(m, "SIP/2.0 ") {
			statuses[m[8:11]]++
		}
	}
	for status := range statuses {
		if status >= "500" && status != "501" && status != "505" {
			t.Errorf("a message is answered with %s", status)
		}
	}
	t.Logf("%d messages of RFC 4475, %d broken offers; answers: %v", len(files), offers, statuses)
}

// brokenOffers is SDP of which no call can come.
func brokenOffers() []string {
	const head = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
	return []string{
		"v", "v=0\n", "v=1\n" + head[4:] + "m=audio 5000 RTP/AVP 8\n", "\x00\x01\x02\xff", strings.Repeat("a", 20_000), strings.Repeat("v=0\n", 5000),
		head, head + "m=\n", head + "m=audio\n", head + "m=audio x RTP/AVP 8\n", head + "m=audio -1 RTP/AVP 8\n", head + "m=audio 99999 RTP/AVP 8\n",
		head + "m=audio 5000 RTP/AVP\n", head + "m=audio 5000 RTP/AVP 999\n", head + "m=audio 5000 TCP/XYZ 8\n", head + "m=video 5000 RTP/AVP 31\n",
		head + "m=audio 0 RTP/AVP 8\n", head + "m=audio 5000 RTP/AVP 4 18 34\n", head + "m=audio 5000 RTP/SAVP 8\n",
		head + "m=audio 5000 RTP/SAVP 8\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:!!!\n", head + "m=audio 5000 RTP/SAVP 8\na=crypto:9999999999999999999 x y\n",
		head + strings.Repeat("m=audio 5000 RTP/AVP 8\n", 1000), strings.Replace(head, "c=IN IP4 127.0.0.1", "c=IN IP4 999.1.1.1", 1) + "m=audio 5000 RTP/AVP 8\n",
		strings.Replace(head, "c=IN IP4 127.0.0.1\n", "", 1) + "m=audio 5000 RTP/AVP 8\n", head + "m=audio 5000 RTP/AVP 96\na=rtpmap:96 " + strings.Repeat("z", 5000) + "/1\n",
	}
}

// attackConnections opens TCP and TLS connections and sends into each what makes no message: every one of them is closed, also the silent ones.
func attackConnections(t *testing.T, h *house) {
	var work sync.WaitGroup
	start := time.Now()
	valid := "OPTIONS sip:room@" + h.SIP + " SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.5:5060;branch=z9hG4bKtcp\r\nMax-Forwards: 70\r\n" +
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: tcp\r\nCSeq: 1 OPTIONS\r\n"
	noise := make([]byte, 20_000)
	_, _ = rand.Read(noise)
	for _, attack := range []struct{ address, text string }{
		{h.SIP, string(noise)},
		{h.SIP, valid + "Content-Length: -5\r\n\r\n"},
		{h.SIP, valid + "Content-Length: 99999999999999999999\r\n\r\n"},
		{h.SIP, valid + "Content-Length: 2000000000\r\n\r\n" + strings.Repeat("x", 200_000)},
		{h.SIP, "INVITE sip:room SIP/2.0\r\nVia: " + strings.Repeat("a", 2_000_000)},
		{h.SIP, "INVITE sip:room SIP/2.0\r\n" + strings.Repeat("X: y\r\n", 100_000)},
		{h.SIP, strings.Repeat("z", 1_000_000)},
		{h.SIP, ""},
		{h.TLS, ""},
		{h.TLS, valid + "\r\n"},
		{h.TLS, string(noise)},
	} {
		work.Go(func() {
			c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 5)}}).Dial("tcp", attack.address)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(c, attack.text)
			if _, err := io.Copy(io.Discard, c); os.IsTimeout(err) {
				t.Errorf("not closed within %v: a connection that sent %.60q", patience, attack.text)
			}
		})
	}
	// And one that sends what is right, byte by byte.
	work.Go(func() {
		c, err := net.Dial("tcp", h.SIP)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(patience))
		for _, b := range []byte(valid + "Content-Length: 0\r\n\r\n") {
			_, _ = c.Write([]byte{b})
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "SIP/2.0 200") {
			t.Errorf("an OPTIONS that came byte by byte is answered with %q, %v", line, err)
		}
	})
	work.Wait()
	t.Logf("the last connection was closed after %v", time.Since(start).Round(100*time.Millisecond))
}

// attackPackets floods the RTP and RTCP ports of the running call with what is no RTP, with RTP of every payload type and with RTCP, from elsewhere.
func attackPackets(t *testing.T, h *house, ports []int) {
	c := newCaller(t, h.SIP, "127.0.0.6")
	noise := make([]byte, 1400)
	sent := 0
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); sent++ {
		var b []byte
		switch sent % 4 {
		case 0:
			_, _ = rand.Read(noise)
			b = noise[:sent%len(noise)]
		case 1: // a perfect packet of another source
			p := rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: uint8(sent / 4 % 128), SequenceNumber: uint16(sent), Timestamp: uint32(sent) * 160, SSRC: 7}, Payload: noise[:160]}
			b, _ = p.Marshal()
		case 2: // RTCP: a goodbye in everybody's name
			b = []byte{0x81, 203, 0, 1, byte(sent), byte(sent >> 8), 0, 0}
		default: // DTLS and STUN, cut off
			b = []byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1}
			if sent%8 < 4 {
				b = []byte{0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3}
			}
		}
		_, _ = c.media.WriteToUDP(b, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: ports[sent%len(ports)]})
		if sent%10 == 9 {
			time.Sleep(time.Millisecond) // bounded: other tests run on this machine, too
		}
	}
	t.Logf("%d packets", sent)
}

// openPorts are the UDP ports of the attacked gateway's range that are in use.
func openPorts(t *testing.T) (ports []int) {
	t.Helper()
	b, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		_, port, ok := strings.Cut(fields[1], ":")
		if raw, err := hex.DecodeString(port); ok && err == nil {
			if p := int(raw[0])<<8 | int(raw[1]); p >= firstPort && p <= lastPort {
				ports = append(ports, p)
			}
		}
	}
	return ports
}

// attackDigits types as no finger can: at the question for the PIN, and in the room, by packets and by messages. The call that does it may suffer.
func attackDigits(t *testing.T, h *house) {
	asked := newCaller(t, h.SIP, "127.0.0.7")
	asked.invite(asked.sdp(), "")
	if !asked.answered() {
		return
	}
	inside := newCaller(t, h.SIP, "127.0.0.8")
	quiet := inside.enter(h)
	defer quiet()

	events := 0
	s := inside.voice
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); events++ {
		for _, c := range []*caller{asked, inside} {
			p := rtp.Packet{Header: rtp.Header{
				Version: 2, PayloadType: 101, Marker: true, SSRC: s.packet.SSRC, SequenceNumber: uint16(events), Timestamp: uint32(events) * 8000,
			}, Payload: []byte{byte(events % 12), 0x8a, 3, 32}}
			b, _ := p.Marshal()
			_, _ = c.media.WriteToUDP(b, c.remote)
			if events%4 == 0 {
				c.request("INFO", 100+events, "", "", "application/dtmf-relay", "Signal="+strconv.Itoa(events%10)+"\r\nDuration=100\r\n")
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Logf("%d events and %d INFO requests to each of two calls", events, events/4)
	for _, c := range []*caller{asked, inside} {
		if !c.hungUp() {
			c.seq = 100_000
			c.request("BYE", c.seq, "", "", "", "")
			c.status("BYE", c.seq) // it is sent again where it was lost in the flood
		}
	}
	stack.Eventually(t, patience, "both calls are over", func() bool { return h.Metric(t, "passerelle_rtp_ports") == 1 })
}
