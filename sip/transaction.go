package sip

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	sipgo "github.com/emiago/sipgo/sip"
)

// timers are those of RFC 3261, section 17.1.1.1; all others derive from them. second is what the seconds of session timers last: tests
// shorten all four.
type timers struct{ t1, t2, t4, second time.Duration }

func rfcTimers() timers {
	return timers{t1: 500 * time.Millisecond, t2: 4 * time.Second, t4: 5 * time.Second, second: time.Second}
}

// scale is how long a nominal time lasts.
func (t timers) scale(d time.Duration) time.Duration {
	return time.Duration(float64(d) * t.second.Seconds())
}

// timeout is 64*T1: B, F, H, J, L and the longest wait for an ACK.
func (t timers) timeout() time.Duration { return 64 * t.t1 }

// Bounds of what is remembered. One trunk's flood leaves room for the others.
const (
	maxTransactions = 65536
	maxOfOneSource  = maxTransactions / 4
)

// layer keeps the transactions (RFC 3261, section 17, with the Accepted states of RFC 6026).
type layer struct {
	timers  timers
	metrics *metrics
	source  func(netip.Addr) netip.Prefix // whom an address is counted for

	request func(tx *serverTx)                   // out: a new request
	ack     func(req *sipgo.Request, p path)     // out: an ACK of no refused INVITE: of a 2xx, or a stray one
	stray   func(res *sipgo.Response, from path) // out: a response of no transaction, such as a late 2xx

	mu      sync.Mutex
	servers map[string]*serverTx
	counts  map[netip.Prefix]int // of servers, by source
	merged  map[string]string    // of requests outside a dialog: From tag, Call-ID, CSeq → key (section 8.2.2.2)
	clients map[string]*clientTx
}

func newLayer(t timers, source func(netip.Addr) netip.Prefix, m *metrics) *layer {
	return &layer{
		timers: t, source: source, metrics: m,
		servers: map[string]*serverTx{}, counts: map[netip.Prefix]int{}, merged: map[string]string{}, clients: map[string]*clientTx{},
	}
}

// clock is the timers of one transaction. mu guards the rest of it, too.
type clock struct {
	mu       sync.Mutex
	stopped  bool
	resend   *time.Timer // A, E or G
	interval time.Duration
	end      *time.Timer // B, D, F, H, I, J, K, L or M
}

// halt stops both timers; nothing is sent any more.
func (c *clock) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for _, t := range []*time.Timer{c.resend, c.end} {
		if t != nil {
			t.Stop()
		}
	}
}

// receive is called by the transport with every message.
func (l *layer) receive(m sipgo.Message, p path) {
	tidy(m)
	switch m := m.(type) {
	case *sipgo.Request:
		l.receiveRequest(m, p)
	case *sipgo.Response:
		l.receiveResponse(m, p)
	}
}

func (l *layer) receiveRequest(req *sipgo.Request, p path) {
	via := req.Via()
	if via == nil || req.CSeq() == nil || req.From() == nil || req.To() == nil || req.CallID() == nil {
		l.metrics.dropped.WithLabelValues("malformed").Inc() // what is missing is needed to answer
		return
	}
	back := answerPath(via, p)
	key, err := sipgo.ServerTxKeyMake(req)
	if err != nil {
		l.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	key += "|" + p.remote.Addr().String() // a branch is unique for its sender only; another one must not collide on purpose
	if req.IsAck() {
		l.mu.Lock()
		tx := l.servers[key]
		l.mu.Unlock()
		if tx != nil && tx.acked() {
			return
		}
		l.ack(req, p)
		return
	}
	tx := &serverTx{layer: l, key: key, source: l.source(p.remote.Addr()), req: req, path: back, from: p}
	l.mu.Lock()
	if old := l.servers[key]; old != nil {
		l.mu.Unlock()
		old.repeat()
		return
	}
	if len(l.servers) >= maxTransactions || l.counts[tx.source] >= maxOfOneSource {
		l.mu.Unlock()
		l.metrics.dropped.WithLabelValues("full").Inc()
		return
	}
	l.servers[key] = tx
	l.counts[tx.source]++
	if tag, _ := req.To().Params.Get("tag"); tag == "" && !req.IsCancel() {
		from, _ := req.From().Params.Get("tag")
		tx.mergeKey = from + "|" + string(*req.CallID()) + "|" + req.CSeq().Value()
		_, tx.isMerged = l.merged[tx.mergeKey]
		if tx.isMerged {
			tx.mergeKey = ""
		} else {
			l.merged[tx.mergeKey] = key
		}
	}
	l.mu.Unlock()
	l.request(tx)
}

// cancelled finds the INVITE that a CANCEL means (RFC 3261, section 9.2).
func (l *layer) cancelled(cancel *serverTx) *serverTx {
	key := cancel.key
	if i := strings.LastIndex(key, sipgo.TxSeperator+"CANCEL"); i >= 0 {
		i += len(sipgo.TxSeperator)
		key = key[:i] + "INVITE" + key[i+len("CANCEL"):]
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.servers[key]
}

func (l *layer) receiveResponse(res *sipgo.Response, p path) {
	key, err := sipgo.ClientTxKeyMake(res)
	if err != nil || res.From() == nil || res.To() == nil || res.CallID() == nil || res.StatusCode < 100 || res.StatusCode > 699 {
		l.metrics.dropped.WithLabelValues("malformed").Inc()
		return
	}
	l.mu.Lock()
	tx := l.clients[key]
	l.mu.Unlock()
	if tx == nil {
		l.stray(res, p)
		return
	}
	tx.receive(res)
}

func (l *layer) dropServer(tx *serverTx) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.servers[tx.key] == tx {
		delete(l.servers, tx.key)
		if l.counts[tx.source]--; l.counts[tx.source] == 0 {
			delete(l.counts, tx.source)
		}
	}
	if tx.mergeKey != "" && l.merged[tx.mergeKey] == tx.key {
		delete(l.merged, tx.mergeKey)
	}
}

func (l *layer) dropClient(tx *clientTx) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.clients[tx.key] == tx {
		delete(l.clients, tx.key)
	}
}

// close stops every timer; nothing is sent any more.
func (l *layer) close() {
	l.mu.Lock()
	servers, clients := l.servers, l.clients
	l.servers, l.clients, l.merged = map[string]*serverTx{}, map[string]*clientTx{}, map[string]string{}
	l.mu.Unlock()
	for _, tx := range servers {
		tx.stop()
	}
	for _, tx := range clients {
		tx.stop()
	}
}

// answerPath completes the top Via with received and rport (RFC 3261, section 18.2.1; RFC 3581, section 4) and says where answers go
// (section 18.2.2): back through the connection, else to the source address and its own port, or the port of sent-by where no rport was asked
// for. maddr is ignored: it would let anyone aim our answers at others.
func answerPath(via *sipgo.ViaHeader, p path) path {
	host, err := netip.ParseAddr(strings.Trim(via.Host, "[]"))
	_, rport := via.Params.Get("rport")
	if err != nil || host.Unmap() != p.remote.Addr() || rport {
		via.Params.Add("received", p.remote.Addr().String())
	}
	if rport {
		via.Params.Add("rport", strconv.Itoa(int(p.remote.Port())))
		return p
	}
	if p.stream == nil {
		port := via.Port
		if port <= 0 || port > 65535 {
			port = 5060
		}
		p.remote = netip.AddrPortFrom(p.remote.Addr(), uint16(port))
	}
	return p
}
