package admin

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxConnections bounds the open ones. It is more than all event streams together (maxStreams), so that those cannot keep a scraper out.
const maxConnections = 512

// connections bounds how many there are. When there are too many, the one that has had nothing to do for the longest time makes room: thousands
// that say nothing keep nobody out.
type connections struct {
	mu      sync.Mutex
	turn    uint64
	open    map[net.Conn]*connection
	dropped func()
}

// connection is one of them.
type connection struct {
	busy bool   // a request is being answered
	turn uint64 // the higher, the later it had something to do
}

type connectionKey struct{}

// enter has a connection known to the requests that come by it. It is http.Server.ConnContext.
func (c *connections) enter(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) >= maxConnections {
		c.makeRoom(conn)
	}
	c.turn++
	known := &connection{turn: c.turn}
	c.open[conn] = known
	return context.WithValue(ctx, connectionKey{}, known)
}

// makeRoom closes the connection that has been idle the longest, or the new one where all are busy.
func (c *connections) makeRoom(oldest net.Conn) {
	var found *connection
	for conn, known := range c.open {
		if !known.busy && (found == nil || known.turn < found.turn) {
			oldest, found = conn, known
		}
	}
	delete(c.open, oldest)
	if t, ok := oldest.(*tls.Conn); ok {
		oldest = t.NetConn() // without a good-bye, which could block
	}
	_ = oldest.Close()
	c.dropped()
}

// state forgets connections that are closed. It is http.Server.ConnState.
func (c *connections) state(conn net.Conn, s http.ConnState) {
	if s != http.StateClosed && s != http.StateHijacked {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, conn)
}

// count marks a request's connection as busy while it is answered.
func (c *connections) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known, _ := r.Context().Value(connectionKey{}).(*connection)
		c.mark(known, true)
		defer c.mark(known, false)
		next.ServeHTTP(w, r)
	})
}

func (c *connections) mark(known *connection, busy bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	known.busy, known.turn = busy, c.turn
}
