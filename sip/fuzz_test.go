package sip

import (
	"net/netip"
	"strings"
	"testing"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/configs"
)

// FuzzMessage runs what we do with every datagram: parsing, and then each of our own readers of headers and bodies. Nothing may panic, and what is
// read stays within its bounds.
func FuzzMessage(f *testing.F) {
	for _, m := range torture(f) {
		f.Add([]byte(strings.ReplaceAll(m, "%LOCAL%", "192.0.2.1")))
	}
	f.Add([]byte("INVITE sip:1@x SIP/2.0\r\nVia: SIP/2.0/UDP x;branch=z9hG4bK1;rport\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:1@x>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n" +
		"Contact: <sip:a@b>\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\nReplaces: a;to-tag=b;from-tag=c;early-only\r\n" +
		"P-Asserted-Identity: \"A\" <sip:+33@x>, <tel:+33>\r\nPrivacy: id\r\nRAck: 1 1 INVITE\r\nRequire: 100rel\r\nRecord-Route: <sip:p;lr>\r\n" +
		"Authorization: Digest username=\"u\",realm=\"sip\",nonce=\"n\",uri=\"sip:x\",response=\"r\",nc=00000001,cnonce=\"c\",qop=auth\r\n" +
		"Content-Type: multipart/mixed;boundary=b\r\n\r\n--b\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--b--\r\n"))
	f.Add([]byte("INFO sip:1@x SIP/2.0\r\nVia: SIP/2.0/UDP x\r\nContent-Type: application/dtmf-relay\r\n\r\nSignal=5\r\nDuration=160\r\n"))
	d := newDigestServer()
	tr := &trunk{Trunk: configs.Trunk{Digest: configs.Digest{User: "u", Realm: "sip"}}, password: "p"}
	p := path{transport: "udp", remote: netip.MustParseAddrPort("192.0.2.9:5060")}
	parser := sipgo.NewParser()
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxMessage || tooManyLines(b) {
			return
		}
		m, err := parseDatagram(parser, b)
		if err != nil || m == nil {
			return
		}
		tidy(m)
		req, ok := m.(*sipgo.Request)
		if !ok {
			return
		}
		name, number, _ := identity(req, true)
		if len([]rune(name)) > maxName || len(number) > maxNumber || strings.ContainsAny(name+number, "\r\n\x00\x1b") {
			t.Errorf("identity %q %q", name, number)
		}
		_ = unsupported(req)
		_, _ = sdpBody(req)
		if digit, ok := parseDigit(contentType(req), req.Body()); ok && !strings.ContainsRune("0123456789*#ABCD", rune(digit)) {
			t.Errorf("digit %q", digit)
		}
		_, _, _ = parseRAck(req)
		if se, ok := sessionExpiresOf(req); ok && (se.interval < 0 || se.interval > maxSession) {
			t.Errorf("session of %s", se.interval)
		}
		if minSEOf(req) > maxSession {
			t.Error("Min-SE")
		}
		for _, h := range req.GetHeaders("replaces") {
			_, _ = parseReplaces(h.Value())
		}
		if d.verify(req, tr, p.remote.Addr()) == digestRight {
			t.Error("a nonce of nobody is right")
		}
		if req.Via() == nil || req.CSeq() == nil || req.From() == nil || req.To() == nil || req.CallID() == nil {
			return
		}
		if back := answerPath(req.Via(), p); back.remote.Addr() != p.remote.Addr() {
			t.Errorf("the answer goes to %s", back.remote)
		}
		_ = answer(req, 200, "OK", "tag").String()
		dl := dialogOfUAS(req, p)
		_ = dl.request(sipgo.BYE, 1).String()
	})
}
