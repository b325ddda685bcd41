package sip

import (
	"net/netip"
	"strconv"
	"time"

	sipgo "github.com/emiago/sipgo/sip"
)

// serverTx is one request from outside and what it was answered.
type serverTx struct {
	layer    *layer
	key      string
	source   netip.Prefix
	mergeKey string
	isMerged bool // the same request came by another way (RFC 3261, section 8.2.2.2)
	req      *sipgo.Request
	path     path // of the answers
	from     path // of the request

	clock
	last   []byte // the latest answer, as it was sent
	status int
	leg    *Leg   // of an INVITE, for CANCEL
	tag    string // our To tag
}

// respond sends an answer. After a final one, further calls do nothing.
func (tx *serverTx) respond(res *sipgo.Response) {
	b := []byte(res.String())
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.stopped || tx.status >= 200 {
		return
	}
	tx.last, tx.status = b, res.StatusCode
	_ = tx.path.send(b) // the request will come again, or the timers will end it
	if tx.status < 200 {
		return
	}
	tx.layer.metrics.requests.WithLabelValues(methodLabel(tx.req.Method.String()), strconv.Itoa(tx.status)).Inc()
	t := tx.layer.timers
	keep := t.timeout()
	if tx.path.reliable() && !tx.req.IsInvite() {
		keep = t.t4
	}
	if tx.req.IsInvite() && tx.status >= 300 && !tx.path.reliable() {
		tx.interval = t.t1
		tx.resend = time.AfterFunc(tx.interval, tx.again)
	}
	tx.end = time.AfterFunc(keep, tx.stop)
}

// respondOnce sends an answer and forgets the request: nothing is kept for it, and nothing repeated to who may have forged its source.
func (tx *serverTx) respondOnce(res *sipgo.Response) {
	_ = tx.path.send([]byte(res.String()))
	tx.layer.metrics.requests.WithLabelValues(methodLabel(tx.req.Method.String()), strconv.Itoa(res.StatusCode)).Inc()
	tx.stop()
}

// again is timer G: a refused INVITE is answered until the ACK comes.
func (tx *serverTx) again() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.stopped || tx.resend == nil {
		return
	}
	_ = tx.path.send(tx.last)
	tx.interval = min(2*tx.interval, tx.layer.timers.t2)
	tx.resend.Reset(tx.interval)
}

// repeat answers a retransmitted request with the same bytes.
func (tx *serverTx) repeat() {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.last != nil && !tx.stopped {
		_ = tx.path.send(tx.last)
	}
}

// acked takes the ACK of a refused INVITE; it answers false where the INVITE was not refused.
func (tx *serverTx) acked() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.status < 300 {
		return false
	}
	if tx.resend != nil {
		tx.resend.Stop()
		tx.resend = nil
		tx.end.Reset(tx.layer.timers.t4)
	}
	return true
}

// final tells whether the request has its last answer.
func (tx *serverTx) final() bool {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.status >= 200
}

// forget drops the request without an answer.
func (tx *serverTx) forget() { tx.stop() }

func (tx *serverTx) stop() {
	tx.halt()
	tx.layer.dropServer(tx)
}

func (tx *serverTx) setLeg(l *Leg) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	tx.leg = l
}

func (tx *serverTx) getLeg() *Leg {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return tx.leg
}
