package sip

import (
	"errors"
	"fmt"
	"time"

	sipgo "github.com/emiago/sipgo/sip"
)

var errTimeout = errors.New("no answer in time")

// clientTx is one request of ours.
type clientTx struct {
	layer *layer
	key   string
	req   *sipgo.Request
	path  path
	// on is called with every response that means something new and with every 2xx to an INVITE, or once with an error. It is called by the
	// transport's or a timer's goroutine and must not block.
	on func(res *sipgo.Response, err error)

	clock
	bytes    []byte
	status   int
	ackBytes []byte
}

// send starts a client transaction. The request must be complete.
func (l *layer) send(req *sipgo.Request, p path, on func(*sipgo.Response, error)) (*clientTx, error) {
	key, err := sipgo.ClientTxKeyMake(req)
	if err != nil {
		return nil, err
	}
	tx := &clientTx{layer: l, key: key, req: req, path: p, on: on, bytes: []byte(req.String()), clock: clock{interval: l.timers.t1}}
	l.mu.Lock()
	if len(l.clients) >= maxTransactions {
		l.mu.Unlock()
		return nil, errors.New("too many transactions")
	}
	l.clients[key] = tx
	l.mu.Unlock()
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := p.send(tx.bytes); err != nil {
		l.dropClient(tx)
		tx.stopped = true
		return nil, fmt.Errorf("%s to %s: %w", req.Method, p.remote, err)
	}
	if !p.reliable() {
		tx.resend = time.AfterFunc(tx.interval, tx.again)
	}
	tx.end = time.AfterFunc(l.timers.timeout(), tx.expire)
	return tx, nil
}

// again is timer A (doubling) or E (doubling up to T2).
func (tx *clientTx) again() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.stopped || tx.status >= 200 || tx.req.IsInvite() && tx.status >= 100 {
		return
	}
	_ = tx.path.send(tx.bytes)
	tx.interval *= 2
	if !tx.req.IsInvite() {
		tx.interval = min(tx.interval, tx.layer.timers.t2)
		if tx.status >= 100 {
			tx.interval = tx.layer.timers.t2
		}
	}
	tx.resend.Reset(tx.interval)
}

// expire is timer B or F before a final answer, and D, K or M after it.
func (tx *clientTx) expire() {
	tx.mu.Lock()
	late := tx.status < 200 && !tx.stopped
	tx.mu.Unlock()
	tx.stop()
	if late {
		tx.on(nil, fmt.Errorf("%s: %w", tx.req.Method, errTimeout))
	}
}

func (tx *clientTx) receive(res *sipgo.Response) {
	tx.mu.Lock()
	if tx.stopped {
		tx.mu.Unlock()
		return
	}
	was := tx.status
	invite := tx.req.IsInvite()
	pass := was < 200 || invite && was < 300 && res.StatusCode >= 200 && res.StatusCode < 300
	if was < 200 {
		tx.status = res.StatusCode
	}
	switch {
	case was >= 300 && invite && res.StatusCode >= 300:
		_ = tx.path.send(tx.ackBytes)
	case was < 200 && res.StatusCode >= 200:
		if tx.resend != nil {
			tx.resend.Stop()
		}
		if invite && res.StatusCode >= 300 {
			tx.ackBytes = []byte(ackFor(tx.req, res).String())
			_ = tx.path.send(tx.ackBytes)
		}
		keep := tx.layer.timers.timeout()
		if !invite {
			keep = tx.layer.timers.t4
		}
		tx.end.Reset(keep)
	case was < 200 && invite:
		tx.end.Stop() // ringing may last; who sent the INVITE decides how long
	}
	tx.mu.Unlock()
	if pass {
		tx.on(res, nil)
	}
}

func (tx *clientTx) stop() {
	tx.halt()
	tx.layer.dropClient(tx)
}

// ackFor acknowledges a refusal within its transaction (RFC 3261, section 17.1.1.3).
func ackFor(invite *sipgo.Request, res *sipgo.Response) *sipgo.Request {
	ack := within(invite, sipgo.ACK)
	ack.AppendHeader(sipgo.HeaderClone(res.To()))
	ack.SetBody(nil)
	return ack
}

// cancelFor is the CANCEL of an INVITE (RFC 3261, section 9.1).
func cancelFor(invite *sipgo.Request) *sipgo.Request {
	c := within(invite, sipgo.CANCEL)
	c.AppendHeader(sipgo.HeaderClone(invite.To()))
	c.SetBody(nil)
	return c
}

func within(invite *sipgo.Request, method sipgo.RequestMethod) *sipgo.Request {
	r := sipgo.NewRequest(method, *invite.Recipient.Clone())
	r.AppendHeader(invite.Via().Clone())
	sipgo.CopyHeaders("Route", invite, r)
	hops := sipgo.MaxForwardsHeader(70)
	r.AppendHeader(&hops)
	r.AppendHeader(sipgo.HeaderClone(invite.From()))
	r.AppendHeader(sipgo.HeaderClone(invite.CallID()))
	r.AppendHeader(&sipgo.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: method})
	return r
}
