package guest

import (
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"passerelle/bridge"
)

// The subprotocol of the WebSocket, and what a page has to keep to.
const (
	subprotocol = "passerelle.guest.v1"
	helloTime   = 10 * time.Second // for the first message
	pingTime    = 10 * time.Second
	pongTime    = 30 * time.Second // without a sign of life
	writeTime   = 5 * time.Second  // for one message to be taken by the network
	queued      = 64               // messages that a page has not read
	maxFailures = 20               // messages that mean nothing
)

// Codes with which the WebSocket is closed (RFC 6455, section 7.4.2: 4000 to 4999 are ours).
const (
	closeLeft    = websocket.CloseNormalClosure
	closeEnded   = 4000
	closeSession = 4001
	closeVersion = 4002
	closeTaken   = 4003
	closeGuest   = 4008
)

// closing is the code with which a reason closes the WebSocket.
func closing(reason error) int {
	for _, c := range [...]struct {
		err  error
		code int
	}{
		{bridge.ErrHungUp, closeLeft}, {errSession, closeSession}, {errVersion, closeVersion}, {errTakenOver, closeTaken}, {errGuest, closeGuest},
	} {
		if errors.Is(reason, c.err) || reason == nil && c.code == closeLeft {
			return c.code
		}
	}
	return closeEnded
}

// socket is the WebSocket of a page. It implements page.
type socket struct {
	conn  *websocket.Conn
	out   chan []byte
	over  chan struct{} // closed by cut: nothing more is sent, not even what is queued
	done  chan struct{} // closed by end: what is queued is sent, then the close frame
	once  sync.Once
	cutBy sync.Once
	code  int
	wait  time.Duration // for the page to close its side
}

func newSocket(c *websocket.Conn, wait time.Duration) *socket {
	return &socket{conn: c, out: make(chan []byte, queued), over: make(chan struct{}), done: make(chan struct{}), wait: wait}
}

// send implements page. A page that does not read is cut: its leg waits for it to come back.
func (s *socket) send(m message) {
	select {
	case <-s.done:
		return
	default:
	}
	select {
	case s.out <- encode(m):
	default:
		s.cut()
	}
}

// end implements page.
func (s *socket) end(code int) { s.once.Do(func() { s.code = code; close(s.done) }) }

// cut ends the socket at once.
func (s *socket) cut() {
	s.cutBy.Do(func() {
		close(s.over)
		_ = s.conn.Close() // which ends reading
	})
}

// write sends what is queued, and pings, until the socket ends.
func (s *socket) write() {
	defer s.cut()
	ping := time.NewTicker(pingTime)
	defer ping.Stop()
	for {
		select {
		case b := <-s.out:
			if s.put(websocket.TextMessage, b) != nil {
				return
			}
		case <-ping.C:
			if s.put(websocket.PingMessage, nil) != nil {
				return
			}
		case <-s.over:
			return
		case <-s.done:
			for {
				select {
				case b := <-s.out:
					if s.put(websocket.TextMessage, b) != nil {
						return
					}
					continue
				default:
				}
				break
			}
			if s.put(websocket.CloseMessage, websocket.FormatCloseMessage(s.code, "")) != nil {
				return
			}
			select { // the page closes, too; if it does not, it is cut
			case <-s.over:
			case <-time.After(s.wait):
			}
			return
		}
	}
}

func (s *socket) put(kind int, b []byte) error {
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTime))
	return s.conn.WriteMessage(kind, b)
}

// serveSocket is GET /api/v1/ws: it takes a WebSocket and returns when it is gone.
func (s *Server) serveSocket(w http.ResponseWriter, r *http.Request) {
	s.running.Add(1)
	defer s.running.Done()
	if err := s.originOK(r); err != nil {
		s.refuse(w, r, err, noLink)
		return
	}
	up := websocket.Upgrader{
		HandshakeTimeout: writeTime, ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, Subprotocols: []string{subprotocol},
		CheckOrigin: func(*http.Request) bool { return true }, // done above
		Error:       func(w http.ResponseWriter, r *http.Request, _ int, _ error) { s.refuse(w, r, errMalformed, noLink) },
	}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // answered
	}
	s.metrics.sockets.Inc()
	defer s.metrics.sockets.Dec()
	sock := newSocket(conn, s.times.close)
	var writing sync.WaitGroup
	writing.Go(sock.write)
	defer writing.Wait()
	defer s.stranger(sock)()
	why := s.converse(sock)
	if why != "" {
		s.metrics.cut.WithLabelValues(why).Inc()
		s.log.Debug("guest: socket over", "cause", why, "from", s.address(r))
	}
	sock.cut()
}

// converse reads a socket until it is over, and says why.
func (s *Server) converse(sock *socket) string {
	c := sock.conn
	c.SetReadLimit(maxMessage)
	alive := func(string) error { return c.SetReadDeadline(time.Now().Add(pongTime)) }
	c.SetPongHandler(alive)
	_ = c.SetReadDeadline(time.Now().Add(helloTime))
	limit := rate.NewLimiter(maxMessages, 2*maxMessages)
	var n *session
	var gone error
	failures := 0
	defer func() {
		if n != nil {
			n.detach(sock, websocket.IsCloseError(gone, websocket.CloseGoingAway, websocket.CloseNormalClosure))
		}
	}()
	for {
		format, b, err := c.ReadMessage()
		if err != nil {
			gone = err
			return readCause(err)
		}
		_ = alive("")
		if !limit.Allow() {
			return sock.dismiss(errGuest, "too_many_messages")
		}
		kind, m, err := decode(b)
		if format != websocket.TextMessage {
			err = errMalformed
		}
		s.metrics.messages.WithLabelValues(label(m, kind)).Inc()
		h, isHello := m.(*hello)
		switch {
		case err != nil || isHello == (n != nil): // hello is first, and only first
			if n == nil {
				return sock.dismiss(errGuest, "no_hello")
			}
			if err == nil {
				err = errNotNow
			}
			if failures++; failures > maxFailures {
				return sock.dismiss(errGuest, "malformed")
			}
			sock.send(failed(kind, err))
		case !isHello:
			n.handle(sock, kind, m)
		case h.Version != Version:
			return sock.dismiss(errVersion, "version")
		default:
			if n = s.session(h.Session); n == nil {
				return sock.dismiss(errSession, "session_unknown")
			}
			s.known(sock)
			n.attach(sock)
		}
	}
}

// dismiss tells the page why and ends the socket; the page has a moment to read it.
func (s *socket) dismiss(reason error, cause string) string {
	s.send(ending(reason))
	s.end(closing(reason))
	select {
	case <-s.over:
	case <-time.After(writeTime):
	}
	return cause
}

// label is a bounded label: types come from outside.
func label(m request, kind string) string {
	if m == nil {
		return "other"
	}
	return kind
}

// readCause is why reading ended, as a label.
func readCause(err error) string {
	var closed *websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		return "too_large"
	case errors.As(err, &closed):
		return "" // in order, or as networks go
	}
	return "lost"
}
