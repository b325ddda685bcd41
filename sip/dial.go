package sip

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
	"passerelle/media"
	"passerelle/sip/sdp"
)

// maxTries bounds how often an INVITE is sent anew after 401, 407 and 422.
const maxTries = 5

// DialOptions say how to call. The zero value calls over UDP, anonymously, with every codec, encrypted where the far end answers so.
type DialOptions struct {
	From, Name  string      // user part and display name of From
	Credentials Credentials // for 401 and 407
	Codecs      []string    // in order of preference; none: all
	Encryption  string      // require, prefer, off
	Transport   string      // udp, tcp, tls; empty: as the target says, else udp
	Proxy       string      // host:port to send everything to; empty: the target's host
	LateOffer   bool        // INVITE without SDP
	Progress    func(code int, phrase string)
}

// Dial calls a SIP URI and returns when the far end has answered. The server must be running. When ctx ends first the call is cancelled. The
// error wraps the bridge's reason for a refusal; a redirection (3xx) is not followed and is an error.
func (s *Server) Dial(ctx context.Context, target string, o DialOptions) (*Leg, error) {
	select {
	case <-s.ready:
	default:
		return nil, errNoServer
	}
	l, err := s.outbound(ctx, target, o)
	if err != nil {
		return nil, err
	}
	if err := s.add(l, nil); err != nil {
		_ = l.media.stream.Close()
		return nil, err
	}
	done := make(chan error, 1)
	if err := l.do(ctx, func() {
		l.answered = func(err error) { done <- err }
		l.call(o, 1)
	}); err != nil {
		l.End(bridge.ErrCancelled)
		return nil, err
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		l.End(bridge.ErrCancelled)
		return nil, err
	}
	return l, nil
}

// outbound makes the leg: where it goes, and with which sound.
func (s *Server) outbound(ctx context.Context, target string, o DialOptions) (*Leg, error) {
	var to sipgo.Uri
	if err := sipgo.ParseUri(target, &to); err != nil || to.Host == "" || to.Wildcard {
		return nil, fmt.Errorf("%q is no SIP URI", target)
	}
	d := &dialog{callID: newTag(), localTag: newTag(), remoteSeq: -1, target: to}
	d.pass = s.guard.Pass(d.callID[:12])
	d.remote = sipgo.ToHeader{Address: sipgo.Uri{Scheme: to.Scheme, User: to.User, Host: to.Host, Port: to.Port}}
	if o.Proxy != "" {
		var proxy sipgo.Uri
		if err := sipgo.ParseUri("sip:"+o.Proxy+";lr", &proxy); err != nil {
			return nil, fmt.Errorf("proxy %q: %w", o.Proxy, err)
		}
		d.routes = []sipgo.Uri{proxy}
	}
	usual := o.Transport
	if usual == "" {
		usual = "udp"
	} else if u := d.hop(); !u.UriParams.Has("transport") && usual != "udp" && !u.IsEncrypted() {
		u.UriParams.Add("transport", usual)
	}
	network, addr, name := s.resolve(ctx, d, usual)
	if !addr.IsValid() {
		return nil, fmt.Errorf("%s cannot be reached by %q", d.hop().Host, network)
	}
	p, err := s.transport.path(ctx, d.pass, network, addr, name)
	if err != nil {
		return nil, err
	}
	d.path = p
	host, _ := s.sentBy(p)
	from := sipgo.Uri{Scheme: "sip", User: o.From, Host: host}
	if o.From == "" {
		from.User, from.Host = "anonymous", "anonymous.invalid"
	}
	d.local = sipgo.FromHeader{DisplayName: strings.NewReplacer(`"`, "", `\`, "", "\r", "", "\n", "").Replace(o.Name), Address: from}
	d.local.Params.Add("tag", d.localTag)
	list, err := codecs(o.Codecs)
	if err != nil {
		return nil, err
	}
	enc, err := encryption(o.Encryption)
	if err != nil {
		return nil, err
	}
	m, err := s.openSession(ctx, p, d.pass, list, enc)
	if err != nil {
		return nil, err
	}
	l := s.newLeg(d, m, bridge.Caller{
		CallID: d.callID[:12], Protocol: "sip", Number: o.From, Name: o.Name, Called: to.User, Source: addr.Addr(), Transport: network,
		Encrypted: enc == sdp.Require,
	})
	m.stream.OnDigit(func(digit byte) {
		l.later(func() { l.emit(bridge.Event{Kind: bridge.Digit, Digit: digit, Way: "rtp"}) })
	})
	return l, nil
}

// call sends the INVITE; try counts how often.
func (l *Leg) call(o DialOptions, try int) {
	s := l.server
	if l.state == stateOver {
		return
	}
	if l.timer.interval == 0 && s.cfg.SessionExpiry > 0 {
		l.timer = sessionTimer{interval: max(s.cfg.SessionExpiry, s.minSE()), minSE: s.minSE(), refresher: true}
	}
	var body []byte
	if !o.LateOffer {
		body = l.media.offer()
	}
	out := &outgoing{initial: true}
	tx, err := l.request(sipgo.INVITE, func(req *sipgo.Request) {
		req.AppendHeader(s.contact(l.dialog.path))
		req.AppendHeader(sipgo.NewHeader("Allow", allow))
		req.AppendHeader(sipgo.NewHeader("Supported", supported))
		req.AppendHeader(sipgo.NewHeader("Accept", "application/sdp"))
		l.timer.ask(req)
		setSDP(req, body)
		for _, c := range l.challenges {
			_ = authorize(req, c, o.Credentials) // it could be answered: refused has tried
		}
	}, func(res *sipgo.Response, err error) { l.called(out, o, try, res, err) })
	if err != nil {
		l.over(fmt.Errorf("%w: %w", bridge.ErrSignalling, err))
		return
	}
	out.tx = tx
	l.uac = out
}

// called takes the answers to the INVITE.
func (l *Leg) called(out *outgoing, o DialOptions, try int, res *sipgo.Response, err error) {
	switch {
	case err != nil:
		l.uac = nil
		l.over(fmt.Errorf("%w: %w", bridge.ErrSignalling, err))
	case res.StatusCode < 200:
		out.rang = true
		if out.cancels {
			out.cancel(l)
			return
		}
		if o.Progress != nil && res.StatusCode > 100 {
			o.Progress(res.StatusCode, res.Reason)
		}
		l.provisional(out, res)
	case res.StatusCode < 300:
		l.taken(out, res)
	default:
		l.uac = nil
		l.refused(o, try, res)
	}
}

// provisional acknowledges a reliable one (RFC 3262, section 4) and takes the SDP in it.
func (l *Leg) provisional(out *outgoing, res *sipgo.Response) {
	h := res.GetHeader("rseq")
	if h == nil || !has(tokens(res, "require"), "100rel") || !res.To().Params.Has("tag") || l.state != stateEarly {
		return
	}
	rack := strings.TrimSpace(h.Value()) + " " + out.tx.req.CSeq().Value()
	if out.rack == rack {
		return // it came again: the PRACK's transaction repeats itself
	}
	out.rack = rack
	l.dialog.answered(res)
	var reply []byte
	if body, err := sdpBody(res); err == nil && body != nil {
		if l.media.offered != nil {
			err = l.media.accept(body)
		} else if l.media.state == nil {
			reply, err = l.media.answer(body)
		}
		if err != nil {
			l.end(mediaReason(err), true)
			return
		}
	}
	_, err := l.request(sipgo.PRACK, func(req *sipgo.Request) {
		req.AppendHeader(sipgo.NewHeader("RAck", rack))
		setSDP(req, reply)
	}, func(*sipgo.Response, error) {})
	if err != nil {
		l.log.Debug("sip: PRACK", "err", err)
	}
}

// taken acknowledges a 2xx. A second one with another tag is another branch of a fork: it is acknowledged and ended (RFC 3261, section 13.2.2.4).
func (l *Leg) taken(out *outgoing, res *sipgo.Response) {
	if l.uac != out {
		if tag, _ := res.To().Params.Get("tag"); tag == l.dialog.remoteTag() {
			l.ackAgain(res)
		} else {
			l.endFork(out, res)
		}
		return
	}
	l.uac = nil
	l.dialog.answered(res)
	l.learn(res)
	body, err := sdpBody(res)
	var reply []byte
	switch {
	case err != nil || l.state == stateOver:
	case l.media.offered != nil:
		err = l.acceptAnswer(res)
	case l.media.state == nil:
		if reply, err = l.media.answer(body); err != nil {
			err = mediaReason(err)
		}
	}
	l.ackWith(out.tx.req.CSeq().SeqNo, reply)
	switch {
	case l.state == stateOver: // it crossed our CANCEL
		l.sendBye(bridge.ErrCancelled)
		return
	case err != nil:
		l.state = stateConfirmed
		l.end(err, true)
		return
	}
	l.state, l.started = stateConfirmed, time.Now()
	tag := l.dialog.remoteTag()
	l.up.Store(&tag)
	l.timer.read(res)
	l.startTimer()
	l.watchMedia()
	l.tell(nil)
}

// endFork ends a dialog that we do not want.
func (l *Leg) endFork(out *outgoing, res *sipgo.Response) {
	fork := *l.dialog
	fork.answered(res)
	s, seq := l.server, out.tx.req.CSeq().SeqNo
	p := s.way(s.ctx, &fork)
	ack := fork.request(sipgo.ACK, seq)
	s.complete(ack, p)
	bye := fork.request(sipgo.BYE, seq+1)
	s.complete(bye, p)
	_ = p.send([]byte(ack.String()))
	_, _ = s.layer.send(bye, p, func(*sipgo.Response, error) {})
}

// refused answers a challenge or a 422, or ends the leg.
func (l *Leg) refused(o DialOptions, try int, res *sipgo.Response) {
	l.media.withdraw()
	reason := fmt.Errorf("%w: %s", reasonOf(res.StatusCode), cleanName(res.Reason))
	switch {
	case l.state == stateOver || try >= maxTries:
	case res.StatusCode == 401 || res.StatusCode == 407:
		stale := false
		for _, h := range headers(res, "www-authenticate", "proxy-authenticate") {
			stale = stale || strings.Contains(strings.ToLower(h.Value()), "stale=true")
		}
		if try == 1 || stale || l.challenged != res.StatusCode {
			if err := authorize(sipgo.NewRequest(sipgo.INVITE, l.dialog.target), res, o.Credentials); err != nil {
				l.over(fmt.Errorf("%w: %w", reason, err))
				return
			}
			l.challenges = slices.DeleteFunc(l.challenges, func(c *sipgo.Response) bool { return c.StatusCode == res.StatusCode })
			l.challenges = append(l.challenges, res)
			l.challenged = res.StatusCode
			l.call(o, try+1)
			return
		}
	case res.StatusCode == 422:
		l.timer.raise(res)
		l.call(o, try+1)
		return
	}
	l.over(reason)
}

// cancel sends a CANCEL as soon as one may be sent (RFC 3261, section 9.1), and waits no longer than 64*T1 for the INVITE's end.
func (out *outgoing) cancel(l *Leg) {
	if !out.rang {
		out.cancels = true
		return
	}
	out.cancels = false
	l.waiting++
	_, err := l.server.layer.send(cancelFor(out.tx.req), out.tx.path, func(res *sipgo.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			l.later(func() { l.waiting-- })
		}
	})
	if err != nil {
		l.waiting--
	}
	l.after(l.server.timers.timeout(), func() {
		if l.uac == out {
			l.uac = nil
			out.tx.stop()
			l.waiting--
		}
	})
}

// Audio is the sound of an answered leg.
func (l *Leg) Audio() *media.Stream { return l.media.stream }

// SendDigit presses a key: in RTP (way "rtp", RFC 4733) or by INFO (way "info").
func (l *Leg) SendDigit(ctx context.Context, digit byte, duration time.Duration, way string) error {
	if way != "info" {
		return l.media.stream.SendDigit(ctx, digit, duration)
	}
	if strings.IndexByte("0123456789*#ABCD", digit) < 0 {
		return fmt.Errorf("%q is not a key", digit)
	}
	done := make(chan error, 1)
	err := l.do(ctx, func() {
		if l.state != stateConfirmed {
			done <- l.notNow()
			return
		}
		_, err := l.request(sipgo.INFO, func(req *sipgo.Request) {
			t := sipgo.ContentTypeHeader("application/dtmf-relay")
			req.AppendHeader(&t)
			req.SetBody(fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", digit, duration.Milliseconds()))
		}, func(res *sipgo.Response, err error) {
			if err == nil && res.StatusCode >= 300 {
				err = fmt.Errorf("INFO: SIP %d", res.StatusCode)
			}
			if err != nil || res.StatusCode >= 200 {
				done <- err
			}
		})
		if err != nil {
			done <- err
		}
	})
	if err != nil {
		return err
	}
	return l.await(ctx, done)
}
