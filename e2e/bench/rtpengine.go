package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"sort"
	"strconv"
	"strings"
	"time"

	"passerelle/transcode"
)

// rtpengine has Debian's rtpengine transcode the same streams, in user space: one side of each call speaks G.711, the other Opus, and both all the
// time. It answers what a call costs it.
func (b *bench) rtpengine(ctx context.Context, calls int) (perCall float64, err error) {
	program, err := exec.LookPath("rtpengine")
	if err != nil {
		return 0, errors.New("rtpengine is not installed (apt-get install rtpengine-daemon)")
	}
	control, err := freePort()
	if err != nil {
		return 0, err
	}
	cmd := measured(program, "--foreground", "--log-stderr", "--log-level=2", "--table=-1", "--interface=127.0.0.1", "--listen-ng="+control,
		"--port-min=32000", "--port-max=34999", "--num-threads=2", "--config-file=none")
	measured, err := begin(cmd)
	if err != nil {
		return 0, err
	}
	defer measured.end()
	pcma, err := b.sound("PCMA", 8000)
	if err != nil {
		return 0, err
	}
	opus, err := b.sound("opus", 48000)
	if err != nil {
		return 0, err
	}
	l, err := newLoad()
	if err != nil {
		return 0, err
	}
	talking := pattern(func(int, time.Duration) bool { return true })
	l.talks.Store(&talking)
	ng, err := dialNG(ctx, control)
	if err != nil {
		return 0, err
	}
	defer ng.conn.Close()
	for n := range calls {
		id := fmt.Sprintf("bench-%d", n)
		offered, err := ng.ask(map[string]any{
			"command": "offer", "call-id": id, "from-tag": "a", "ICE": "remove", "transport-protocol": "RTP/AVP",
			"codec": map[string]any{"mask": []string{"PCMA"}, "transcode": []string{"opus"}}, "sdp": description(l.port(), "8", "8 PCMA/8000"),
		})
		if err != nil {
			return 0, err
		}
		towardsB, err := mediaAddress(offered)
		if err != nil {
			return 0, err
		}
		kind, ok := payloadType(offered, "opus/48000/2")
		if !ok {
			return 0, fmt.Errorf("rtpengine offers no Opus: %q", offered)
		}
		answered, err := ng.ask(map[string]any{
			"command": "answer", "call-id": id, "from-tag": "a", "to-tag": "b", "ICE": "remove", "transport-protocol": "RTP/AVP",
			"sdp": description(l.port(), kind, kind+" opus/48000/2"),
		})
		if err != nil {
			return 0, err
		}
		towardsA, err := mediaAddress(answered)
		if err != nil {
			return 0, err
		}
		speaks := *opus
		number, _ := strconv.Atoi(kind)
		speaks.codec.PayloadType = uint8(number)
		l.add(&phone{number: 2 * n, sound: pcma, remote: towardsA})
		l.add(&phone{number: 2*n + 1, sound: &speaks, remote: towardsB})
	}
	return b.packets(ctx, l, measured.pid, calls)
}

// sound is the clip in a codec.
func (b *bench) sound(name string, clock int) (*sound, error) {
	codec, _ := transcode.Lookup(name, clock)
	return newSound(codec, b.clip)
}

// description is a short SDP.
func description(port int, kind, rtpmap string) string {
	return fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/AVP %s\r\na=rtpmap:%s\r\na=sendrecv\r\na=ptime:20\r\n", port, kind, rtpmap)
}

// payloadType finds the number of a format.
func payloadType(sdp, format string) (string, bool) {
	for line := range strings.Lines(sdp) {
		if rest, ok := strings.CutPrefix(line, "a=rtpmap:"); ok {
			if kind, name, _ := strings.Cut(strings.TrimSpace(rest), " "); name == format {
				return kind, true
			}
		}
	}
	return "", false
}

// ng speaks rtpengine's control protocol: a cookie and a bencoded dictionary in each UDP packet.
type ng struct {
	conn net.Conn
	next int
}

// dialNG waits until rtpengine answers.
func dialNG(ctx context.Context, address string) (*ng, error) {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return nil, err
	}
	n := &ng{conn: conn}
	for range 50 {
		if _, err = n.ask(map[string]any{"command": "ping"}); err == nil {
			return n, nil
		}
		if ctx.Err() != nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	conn.Close()
	return nil, fmt.Errorf("rtpengine does not answer: %w", err)
}

// ask sends a command and answers the SDP in the reply, if there is one.
func (n *ng) ask(command map[string]any) (sdp string, err error) {
	n.next++
	cookie := strconv.Itoa(n.next)
	if _, err := n.conn.Write([]byte(cookie + " " + bencode(command))); err != nil {
		return "", err
	}
	_ = n.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 65536)
	for {
		size, err := n.conn.Read(b)
		if err != nil {
			return "", err
		}
		got, reply, _ := strings.Cut(string(b[:size]), " ")
		if got != cookie {
			continue
		}
		if !strings.Contains(reply, "6:result2:ok") && !strings.Contains(reply, "6:result4:pong") {
			return "", fmt.Errorf("rtpengine: %q", reply)
		}
		_, rest, found := strings.Cut(reply, "3:sdp")
		if !found {
			return "", nil
		}
		length, text, _ := strings.Cut(rest, ":")
		if size, err := strconv.Atoi(length); err == nil && size <= len(text) {
			return text[:size], nil
		}
		return "", fmt.Errorf("rtpengine: %q", reply)
	}
}

// bencode writes strings, lists of strings and dictionaries.
func bencode(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Itoa(len(v)) + ":" + v
	case []string:
		s := "l"
		for _, e := range v {
			s += bencode(e)
		}
		return s + "e"
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		s := "d"
		for _, k := range keys {
			s += bencode(k) + bencode(v[k])
		}
		return s + "e"
	}
	panic("only strings, lists and dictionaries are bencoded here")
}
