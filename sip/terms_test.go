package sip

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"passerelle/bridge"
	"passerelle/bridge/policy"
	"passerelle/configs"
	"passerelle/internal/egress"
	"passerelle/media"
)

// onlyHere has a server's national networks and its trunk be 127.0.0.1 alone, and tells denied what was refused.
func onlyHere(t testing.TB, denied func(egress.Denied)) func(*configs.SIP, *Deps) {
	t.Helper()
	return func(c *configs.SIP, d *Deps) {
		c.Trunks[0].Addresses = []string{"127.0.0.1"}
		d.Guard = egress.Only(netip.MustParsePrefix("127.0.0.1/32"))
		if denied != nil {
			d.Guard.OnDenied(denied)
		}
		var err error
		if d.Ports, err = media.NewPorts(d.Guard, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// under rings with terms, and then answers, or ends with the error.
func under(r *recorder, terms bridge.Terms) func(context.Context, *Leg) {
	return func(ctx context.Context, l *Leg) {
		err := l.Ring(ctx, terms)
		if err != nil {
			r.mu.Lock()
			r.errs = append(r.errs, err)
			r.mu.Unlock()
			l.End(err)
			return
		}
		r.handle(ctx, l)
	}
}

// offer is one audio line of a profile with payload types that need no rtpmap, opus as 96, and further lines.
func offer(address, profile, formats, more string) string {
	return strings.ReplaceAll(fmt.Sprintf("v=0\no=- 1 1 IN IP4 %s\ns=-\nc=IN IP4 %s\nt=0 0\nm=audio 40000 %s %s\na=rtpmap:96 opus/48000/2\n%s",
		address, address, profile, formats, more), "\n", "\r\n")
}

// keys is a line of keys.
func keys() string {
	return "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + base64.StdEncoding.EncodeToString(make([]byte, 30)) + "\n"
}

// TestTerms: what the bridge grants is what the answer says, within what the trunk allows.
func TestTerms(t *testing.T) {
	t.Parallel()
	const all = "8 0 9 96"
	require, prefer := bridge.Terms{Encryption: policy.Require}, bridge.Terms{Encryption: policy.Prefer}
	clear, best, savp := offer("127.0.0.1", "RTP/AVP", all, ""), offer("127.0.0.1", "RTP/AVP", all, keys()), offer("127.0.0.1", "RTP/SAVP", all, keys())
	there := offer("127.0.0.2", "RTP/AVP", all, "")
	for _, c := range []struct {
		name       string
		encryption string // of the trunk
		codecs     []string
		offer      string
		terms      bridge.Terms
		can        bool // Caller.Encrypted
		code       int
		want       string // in the answer, or in the Warning
	}{
		{name: "the trunk's order", offer: clear, code: 200, want: "RTP/AVP 96\r\n"},
		{name: "one codec", offer: clear, terms: bridge.Terms{Codecs: []string{"pcmu"}}, code: 200, want: "RTP/AVP 0\r\n"},
		{name: "another order", offer: clear, terms: bridge.Terms{Codecs: []string{"G722", "opus"}}, code: 200, want: "RTP/AVP 9\r\n"},
		{name: "not offered", offer: offer("127.0.0.1", "RTP/AVP", "8", ""), terms: bridge.Terms{Codecs: []string{"PCMU"}}, code: 488, want: "305 passerelle"},
		{name: "not the trunk's", codecs: []string{"PCMA"}, offer: clear, terms: bridge.Terms{Codecs: []string{"PCMU"}}, code: 488, want: "305 passerelle"},
		{name: "no codec at all", offer: clear, terms: bridge.Terms{Codecs: []string{}}, code: 488, want: "305 passerelle"},
		{name: "clear, required", offer: clear, terms: require, code: 488, want: "304 passerelle"},
		{name: "clear, preferred", offer: clear, terms: prefer, code: 200, want: "RTP/AVP 96"},
		{name: "keys, required", offer: best, terms: require, can: true, code: 200, want: "a=crypto:1 "},
		{name: "keys, preferred", offer: best, terms: prefer, can: true, code: 200, want: "a=crypto:1 "},
		{name: "encrypted, required", offer: savp, terms: require, can: true, code: 200, want: "RTP/SAVP 96\r\n"},
		{name: "the trunk is clear", encryption: "off", offer: best, terms: require, code: 488, want: "304 passerelle"},
		{name: "the trunk is clear, preferred", encryption: "off", offer: best, terms: prefer, code: 200, want: "RTP/AVP 96\r\n"},
		{name: "the trunk requires", encryption: "require", offer: clear, code: 488, want: "304 passerelle"},
		{name: "a network that nobody granted", offer: there, code: 403, want: "399 passerelle"},
		{name: "a granted network", offer: there, terms: bridge.Terms{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/31")}}, code: 200, want: "m=audio "},
		{name: "a granted host", offer: there, terms: bridge.Terms{Names: []string{"127.0.0.2"}}, code: 200, want: "m=audio "},
		{name: "a host that is nowhere", offer: there, terms: bridge.Terms{Names: []string{"nowhere.invalid"}}, code: 403, want: "399 passerelle"},
		{name: "another network", offer: there, terms: bridge.Terms{Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.3/32")}}, code: 403, want: "399 passerelle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r recorder
			s := start(t, under(&r, c.terms), onlyHere(t, nil), func(cfg *configs.SIP, _ *Deps) {
				cfg.Trunks[0].Encryption, cfg.Trunks[0].Codecs = c.encryption, c.codecs
			})
			p := newPhone(t, s)
			p.sdp = c.offer
			p.invite("")
			res := p.status(c.code, "INVITE")
			if c.code != 200 {
				if w := header(res, "Warning"); !strings.HasPrefix(w, c.want) {
					t.Errorf("Warning %q, want %q…", w, c.want)
				}
				return
			}
			p.ack()
			if !strings.Contains(body(res), c.want) {
				t.Errorf("no %q in the answer:\n%s", c.want, body(res))
			}
			if can := r.leg(t).Caller().Encrypted; can != c.can {
				t.Errorf("the caller's media can be encrypted: %v, want %v", can, c.can)
			}
			p.bye()
		})
	}
}

// TestTermsOfOurOffer: the terms hold for an offer of ours, in a 2xx and in a reliable 18x, and for the answer to it.
func TestTermsOfOurOffer(t *testing.T) {
	t.Parallel()
	terms := bridge.Terms{
		Encryption: policy.Require, Codecs: []string{"PCMU", "PCMA"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
	}
	for _, c := range []struct {
		name, answer string
		reason       error // for which the call ends; nil: it goes on
	}{
		{"encrypted", offer("127.0.0.1", "RTP/SAVP", "8", keys()), nil},
		{"encrypted, granted network", offer("127.0.0.2", "RTP/SAVP", "8", keys()), nil},
		{"encrypted, another network", offer("127.0.0.3", "RTP/SAVP", "8", keys()), bridge.ErrForbidden},
		{"clear", offer("127.0.0.1", "RTP/AVP", "8", ""), bridge.ErrNotEncrypted},
		{"another codec", offer("127.0.0.1", "RTP/SAVP", "9", keys()), bridge.ErrNoCodec},
	} {
		for _, how := range []string{"2xx", "18x"} {
			t.Run(c.name+", "+how, func(t *testing.T) {
				var r recorder
				s := start(t, under(&r, terms), onlyHere(t, nil))
				p := newPhone(t, s)
				var ours string
				if how == "2xx" {
					p.request("INVITE", "", "", "")
					ours = p.status(200, "INVITE")
					p.write(p.build("ACK", p.seq, c.answer, "application/sdp", ""))
				} else {
					p.request("INVITE", "", "", "Require: 100rel\r\n")
					ours = p.status(180, "INVITE")
					p.request("PRACK", c.answer, "application/sdp", "RAck: "+header(ours, "RSeq")+" 1 INVITE\r\n")
					p.status(200, "PRACK")
				}
				if b := body(ours); !strings.Contains(b, "RTP/SAVP 0 8 ") || !strings.Contains(b, "a=crypto:") {
					t.Errorf("our offer is not what the terms say:\n%s", b)
				}
				if c.reason != nil {
					if how == "2xx" {
						p.reply(p.expect("BYE"), "200 OK", "", "")
						if e := r.event(t, bridge.Ended, 1); !errors.Is(e.Reason, c.reason) {
							t.Errorf("ended with %v, want %v", e.Reason, c.reason)
						}
						return
					}
					p.next("a refusal", func(m string) bool {
						return strings.HasPrefix(m, fmt.Sprintf("SIP/2.0 %d ", statusOf(c.reason).code)) && strings.HasSuffix(header(m, "CSeq"), "INVITE")
					})
					return
				}
				if how == "18x" {
					p.next("200 to INVITE", func(m string) bool {
						return strings.HasPrefix(m, "SIP/2.0 200") && strings.HasSuffix(header(m, "CSeq"), "INVITE")
					})
					p.write(p.build("ACK", 1, "", "", ""))
				}
				l := r.leg(t)
				eventually(t, "the answer", func() bool { return l.Audio().Codec().Name == "PCMA" })
				if !l.Caller().Encrypted {
					t.Error("it could not have been encrypted, says the caller")
				}
				p.bye()
			})
		}
	}
}

// TestTermsInMidCall: what a re-INVITE or UPDATE asks for is held against the same terms, and the call goes on as it was where it does not fit. Our own
// re-INVITE offers nothing beyond them.
func TestTermsInMidCall(t *testing.T) {
	t.Parallel()
	var r recorder
	s := start(t, under(&r, bridge.Terms{
		Encryption: policy.Require, Codecs: []string{"PCMA"}, Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")},
	}), onlyHere(t, nil))
	p := newPhone(t, s)
	p.sdp = offer("127.0.0.1", "RTP/SAVP", "8 0", keys())
	p.call("")
	for _, method := range []string{"INVITE", "UPDATE"} {
		for _, c := range []struct {
			sdp  string
			code int
		}{
			{offer("127.0.0.1", "RTP/AVP", "8 0", ""), 488},
			{offer("127.0.0.1", "RTP/SAVP", "0", keys()), 488},
			{offer("127.0.0.3", "RTP/SAVP", "8 0", keys()), 403},
			{offer("127.0.0.2", "RTP/SAVP", "8 0", keys()), 200},
			{p.sdp, 200},
		} {
			p.request(method, c.sdp, "application/sdp", "")
			p.status(c.code, method)
			if method == "INVITE" {
				p.ack()
			}
		}
	}
	done := make(chan error, 1)
	l := r.leg(t)
	go func() { done <- l.Hold(t.Context()) }()
	req := p.expect("INVITE")
	if !strings.Contains(body(req), "RTP/SAVP 8\r\n") || !strings.Contains(body(req), "a=crypto:") {
		t.Errorf("our re-INVITE offers:\n%s", body(req))
	}
	p.reply(req, "200 OK", strings.Replace(p.sdp, "8 0", "8", 1)+"a=recvonly\r\n", "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	p.bye()
}

// TestNarrowed has the cases of codecs that a call does not show.
func TestNarrowed(t *testing.T) {
	all, err := codecs(nil)
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string][]string{
		names(all): nil, "PCMA": {"PCMA", "pcma", "GSM"}, "L16, L16, opus": {"L16", "OPUS"}, "": {"GSM"},
	} {
		list, err := narrowed(all, c)
		if got := names(list); got != want || errors.Is(err, bridge.ErrNoCodec) != (want == "") {
			t.Errorf("%v: %s %v, want %s", c, got, err, want)
		}
	}
}
