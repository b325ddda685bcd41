package sip

import (
	"errors"
	"strconv"
	"strings"
	"time"

	sipgo "github.com/emiago/sipgo/sip"

	"passerelle/bridge"
)

// reliable is a provisional answer that is repeated until its PRACK comes (RFC 3262, section 3).
type reliable struct {
	seq      uint32
	invite   uint32 // CSeq of the INVITE
	sdp      bool
	waiting  bool
	resend   *time.Timer
	interval time.Duration
	giveUp   *time.Timer
}

func (r *reliable) busy() bool    { return r.waiting }
func (r *reliable) withSDP() bool { return r.waiting && r.sdp }

func (r *reliable) stop() {
	r.waiting = false
	r.quiet()
}

// quiet ends the repetition, because the final answer is out. A PRACK is still taken (RFC 3262, section 3).
func (r *reliable) quiet() {
	if r.resend != nil {
		r.resend.Stop()
		r.giveUp.Stop()
	}
}

// ringReliably sends a 18x with RSeq. Where the INVITE had no offer, this is the message that must carry ours (section 5).
func (l *Leg) ringReliably(res *sipgo.Response) {
	s, r := l.server, &l.reliable
	if r.seq == 0 {
		r.seq = uint32(random(1 << 30))
	}
	r.seq++
	r.invite, r.waiting, r.sdp = l.uas.seq, true, false
	res.AppendHeader(sipgo.NewHeader("Require", "100rel"))
	res.AppendHeader(sipgo.NewHeader("RSeq", strconv.FormatUint(uint64(r.seq), 10)))
	if l.uas.lateOffer && l.media.state == nil {
		setSDP(res, l.media.offer())
		r.sdp = true
	}
	l.uas.tx.respond(s.sign(res))
	r.interval = s.timers.t1
	r.resend = l.after(r.interval, l.ringAgain)
	r.giveUp = l.after(s.timers.timeout(), func() {
		if !r.waiting || l.state != stateEarly {
			return
		}
		r.stop()
		s.plain(l.uas.tx, 504, "Server Time-out")
		l.stopUAS()
		l.over(errors.Join(bridge.ErrSignalling, errors.New("no PRACK")))
	})
}

func (l *Leg) ringAgain() {
	r := &l.reliable
	if !r.waiting || l.uas == nil {
		return
	}
	l.uas.tx.repeat()
	r.interval *= 2
	r.resend = l.after(r.interval, l.ringAgain)
}

// prack takes a PRACK; it may bring the answer to our offer, or an offer of its own.
func (l *Leg) prack(tx *serverTx) {
	s, r := l.server, &l.reliable
	rseq, cseq, ok := parseRAck(tx.req)
	if !ok || !r.waiting || rseq != r.seq || cseq != r.invite {
		s.plain(tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	body, ok := s.sdpOf(tx)
	if !ok {
		return
	}
	r.stop()
	res := answer(tx.req, 200, "OK", tx.tag)
	switch {
	case r.sdp:
		if err := l.acceptAnswer(tx.req); err != nil {
			s.plain(tx, 200, "OK")
			l.end(err, true)
			return
		}
		l.uas.lateOffer = false
	case body != nil:
		reply, err := l.takeOffer(body)
		if err != nil {
			tx.respond(s.refusal(tx.req, tx.tag, mediaReason(err)))
			return
		}
		setSDP(res, reply)
	}
	tx.respond(s.sign(res))
	if l.answered != nil && l.state == stateEarly {
		l.answerNow()
	}
}

// parseRAck reads "rseq cseq INVITE".
func parseRAck(req *sipgo.Request) (rseq, cseq uint32, ok bool) {
	h := req.GetHeader("rack")
	if h == nil {
		return 0, 0, false
	}
	f := strings.Fields(h.Value())
	if len(f) != 3 || f[2] != "INVITE" {
		return 0, 0, false
	}
	r, err := strconv.ParseUint(f[0], 10, 32)
	c, err2 := strconv.ParseUint(f[1], 10, 32)
	return uint32(r), uint32(c), err == nil && err2 == nil
}
