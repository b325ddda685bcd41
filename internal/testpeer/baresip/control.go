package baresip

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// patience bounds every wait for the telephone to do what it was told.
const patience = 10 * time.Second

// message is what baresip's ctrl_tcp sends: the response to a command, or an event.
type message struct {
	Response bool   `json:"response"`
	OK       bool   `json:"ok"`
	Data     string `json:"data"`

	Event bool   `json:"event"`
	Type  string `json:"type"` // CALL_ESTABLISHED, CALL_CLOSED …
	Param string `json:"param"`
}

// control is the connection to baresip: JSON in netstrings ("12:hello world!,"), one command and one response at a time, events at any time.
type control struct {
	conn      net.Conn
	responses chan message
	events    chan message
	done      chan struct{}
}

func newControl(conn net.Conn) *control {
	c := &control{conn: conn, responses: make(chan message, 16), events: make(chan message, 1024), done: make(chan struct{})}
	go c.read()
	return c
}

// read sorts what comes until the connection ends.
func (c *control) read() {
	defer close(c.done)
	r := bufio.NewReader(c.conn)
	for {
		length, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(length, ":"))
		if err != nil || n < 0 || n > 1<<20 {
			return
		}
		b := make([]byte, n+1) // and its comma
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		var m message
		if err := json.Unmarshal(b[:n], &m); err != nil {
			continue
		}
		to := c.responses
		if m.Event {
			to = c.events
		}
		select {
		case to <- m:
		default: // a test that looks at no events needs none
		}
	}
}

// command has baresip do something and answers what it prints.
func (c *control) command(name, params string) (string, error) {
	b, err := json.Marshal(map[string]string{"command": name, "params": params})
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c.conn, "%d:%s,", len(b), b); err != nil {
		return "", err
	}
	select {
	case m := <-c.responses:
		if !m.OK {
			return "", fmt.Errorf("baresip: %s: %s", name, m.Data)
		}
		return m.Data, nil
	case <-c.done:
		return "", errors.New("baresip is gone")
	case <-time.After(patience):
		return "", fmt.Errorf("baresip did not answer %q", name)
	}
}

// wait returns the first event of one of the types.
func (c *control) wait(types ...string) (message, error) {
	end := time.After(patience)
	for {
		select {
		case m := <-c.events:
			for _, t := range types {
				if m.Type == t {
					return m, nil
				}
			}
		case <-c.done:
			return message{}, errors.New("baresip is gone")
		case <-end:
			return message{}, fmt.Errorf("none of %v came from baresip", types)
		}
	}
}

func (c *control) close() {
	c.conn.Close()
	<-c.done
}
