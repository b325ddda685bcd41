package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/srtp/v3"

	"passerelle/transcode"
)

// kind is how phones call: codec, encryption, and how many meet in a room.
type kind struct {
	codec string
	suite string // SDES; empty: in the clear
	room  int    // phones in each room; 0: all in one
}

// crowd is a number of phones of one kind at a rig.
type crowd struct {
	*rig
	kind   kind
	sound  *sound
	load   *load
	caller *caller

	mu      sync.Mutex
	calls   []*call
	setup   []time.Duration // INVITE to 200, of each call
	refused atomic.Int32
	endLoad context.CancelFunc
	ended   chan struct{}
}

// call is one phone in a call.
type call struct {
	dialog *dialog
	phone  *phone
}

func newCrowd(r *rig, k kind, clip []int16) (*crowd, error) {
	codec, ok := transcode.Lookup(k.codec, map[string]int{"opus": 48000}[k.codec]+map[bool]int{true: 8000}[k.codec != "opus"])
	if !ok {
		return nil, fmt.Errorf("no codec %q", k.codec)
	}
	s, err := newSound(codec, clip)
	if err != nil {
		return nil, err
	}
	l, err := newLoad()
	if err != nil {
		return nil, err
	}
	c, err := newCaller(r.sip)
	if err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.Background())
	w := &crowd{rig: r, kind: k, sound: s, load: l, caller: c, endLoad: cancel, ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		l.run(running)
	}()
	return w, nil
}

// close ends everything but the calls: the rig takes them with it.
func (w *crowd) close() {
	w.endLoad()
	<-w.ended
	w.caller.close()
}

// profiles of SRTP by the names of SDES.
func profile(suite string) (srtp.ProtectionProfile, bool) {
	switch suite {
	case "AES_CM_128_HMAC_SHA1_80":
		return srtp.ProtectionProfileAes128CmHmacSha1_80, true
	case "AEAD_AES_128_GCM":
		return srtp.ProtectionProfileAeadAes128Gcm, true
	}
	return 0, false
}

// offer is a phone's SDP offer, with the context that encrypts what it will send.
func (w *crowd) offer() (text string, crypto *srtp.Context, err error) {
	proto, line := "RTP/AVP", ""
	if p, ok := profile(w.kind.suite); ok {
		keyLen, _ := p.KeyLen()
		saltLen, _ := p.SaltLen()
		key := make([]byte, keyLen+saltLen)
		_, _ = rand.Read(key)
		if crypto, err = srtp.CreateContext(key[:keyLen], key[keyLen:], p); err != nil {
			return "", nil, err
		}
		proto, line = "RTP/SAVP", fmt.Sprintf("a=crypto:1 %s inline:%s\r\n", w.kind.suite, base64.StdEncoding.EncodeToString(key))
	}
	c := w.sound.codec
	name := fmt.Sprintf("%s/%d", c.Name, c.ClockRate)
	if c.Channels > 1 {
		name += "/" + strconv.Itoa(c.Channels)
	}
	return fmt.Sprintf("v=0\r\no=bench 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d %s %d 101\r\n"+
		"a=rtpmap:%d %s\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n%s",
		w.load.port(), proto, c.PayloadType, c.PayloadType, name, line), crypto, nil
}

// mediaAddress is where an SDP wants its audio.
func mediaAddress(sdp string) (*net.UDPAddr, error) {
	a := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	for line := range strings.Lines(sdp) {
		f := strings.Fields(line)
		switch {
		case len(f) > 2 && f[0] == "c=IN":
			a.IP = net.ParseIP(f[2]).To4()
		case len(f) > 1 && f[0] == "m=audio":
			a.Port, _ = strconv.Atoi(f[1])
		}
	}
	if a.IP == nil || a.Port == 0 {
		return nil, fmt.Errorf("no media address in %q", sdp)
	}
	return a, nil
}

// patience bounds what one call may take to come or go.
const patience = 20 * time.Second

// enter makes one call, up to its PIN. The phone has what edit gives it.
func (w *crowd) enter(ctx context.Context, number, room int, edit func(*phone)) (*call, error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	offer, crypto, err := w.offer()
	if err != nil {
		return nil, err
	}
	d, answer, took, err := w.caller.dial(ctx, offer)
	if err != nil {
		return nil, err
	}
	to, err := mediaAddress(answer)
	if err != nil {
		return nil, err
	}
	p := &phone{number: number, sound: w.sound, remote: to, crypto: crypto}
	if edit != nil {
		edit(p)
	}
	w.load.add(p)
	w.mu.Lock()
	w.setup = append(w.setup, took)
	w.mu.Unlock()
	return &call{d, p}, d.press(ctx, pin(room))
}

// workers is how many calls are made at the same time.
const workers = 16

// grow brings the crowd to n phones in their rooms, and says how fast they came. Fewer come when the node refuses, or when ctx ends.
func (w *crowd) grow(ctx context.Context, n int) (perSecond float64, err error) {
	start, had := time.Now(), len(w.calls)
	next := atomic.Int32{}
	next.Store(int32(had))
	var group sync.WaitGroup
	var failed atomic.Pointer[error]
	for range workers {
		group.Go(func() {
			for ctx.Err() == nil && w.refused.Load() == 0 && failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				room := 0
				if w.kind.room > 0 {
					room = i / w.kind.room
				}
				c, err := w.enter(ctx, i, room, nil)
				var no errRefused
				switch {
				case errors.As(err, &no):
					w.refused.Store(int32(no.status))
				case err != nil:
					failed.Store(&err)
				default:
					w.mu.Lock()
					w.calls = append(w.calls, c)
					w.mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if e := failed.Load(); e != nil && ctx.Err() == nil {
		return 0, *e
	}
	err = w.allIn(ctx)
	return float64(len(w.calls)-had) / time.Since(start).Seconds(), err
}

// allIn waits until every call is in its room.
func (w *crowd) allIn(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	for {
		m, err := w.metrics()
		if err == nil && int(m[`passerelle_calls{state="talking"}`]) >= len(w.calls) {
			return nil
		}
		select {
		case <-ctx.Done():
			var states []string
			for k, v := range m {
				if _, what, ok := strings.Cut(k, `="`); ok && v > 0 && (strings.HasPrefix(k, "passerelle_calls{") || strings.HasPrefix(k, "passerelle_calls_total{")) {
					states = append(states, fmt.Sprintf("%v %s", v, strings.TrimSuffix(what, `"}`)))
				}
			}
			slices.Sort(states)
			return fmt.Errorf("%d calls, and not all are in their rooms after %v: %s (%v); %s", len(w.calls), patience, strings.Join(states, ", "), err, w.lastLog())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// shrink hangs up until n phones are left.
func (w *crowd) shrink(ctx context.Context, n int) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var group sync.WaitGroup
	limit := make(chan struct{}, workers)
	for len(w.calls) > n {
		last := w.calls[len(w.calls)-1]
		w.calls = w.calls[:len(w.calls)-1]
		limit <- struct{}{}
		group.Go(func() {
			_ = last.dialog.hangUp(ctx)
			w.load.remove(last.phone)
			<-limit
		})
	}
	group.Wait()
}
