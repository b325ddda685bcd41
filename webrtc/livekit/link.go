package livekit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"passerelle/webrtc/livekit/lksig"
)

const (
	protocolVersion = "15"            // leave with an action, an answer to every request; not 16: rooms are not changed under a call
	maxMessage      = 8 << 20         // a room of some thousands fits
	writeTimeout    = 5 * time.Second // a link that takes longer is lost
	closeTimeout    = 500 * time.Millisecond
)

// link is one signalling connection. send may be called from any goroutine, receive from one.
type link struct {
	conn *websocket.Conn
	mu   sync.Mutex
}

// refusal is an HTTP answer in place of a signalling connection.
type refusal struct {
	status int
	body   string
}

func (r *refusal) Error() string { return fmt.Sprintf("LiveKit answers %d %s", r.status, r.body) }

// dial opens the signalling connection with the given query. The token goes into a header, because URLs end up in logs.
func (c *Client) dial(ctx context.Context, token string, query url.Values) (*link, error) {
	u := *c.base
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	u.Path += "/rtc"
	query.Set("protocol", protocolVersion)
	query.Set("auto_subscribe", "0")
	query.Set("sdk", "go") // pion: LiveKit then offers no ICE over TCP
	query.Set("version", "2.0.0")
	u.RawQuery = query.Encode()
	conn, resp, err := c.dialer.DialContext(ctx, u.String(), http.Header{"Authorization": {"Bearer " + token}})
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			b, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
			return nil, &refusal{resp.StatusCode, strings.TrimSpace(string(b))}
		}
		return nil, err
	}
	conn.SetReadLimit(maxMessage)
	return &link{conn: conn}, nil
}

func (l *link) send(m *lksig.SignalRequest) error {
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	return l.conn.WriteMessage(websocket.BinaryMessage, b)
}

// wait bounds the next receive.
func (l *link) wait(patience time.Duration) { _ = l.conn.SetReadDeadline(time.Now().Add(patience)) }

// receive waits for a message, but not for longer than wait said. A message that is not understood is an error: this is not LiveKit then.
func (l *link) receive() (*lksig.SignalResponse, error) {
	t, b, err := l.conn.ReadMessage()
	if err != nil {
		return nil, err
	}
	return decode(t, b)
}

func decode(messageType int, b []byte) (*lksig.SignalResponse, error) {
	if messageType != websocket.BinaryMessage {
		return nil, errors.New("LiveKit sent text")
	}
	m := new(lksig.SignalResponse)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("signalling message: %w", err)
	}
	return m, nil
}

// close ends the connection. It may be called more than once.
func (l *link) close() {
	_ = l.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(closeTimeout))
	_ = l.conn.Close()
}
