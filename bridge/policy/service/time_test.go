package service

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/policy"
	"passerelle/configs"
)

// pipes is a network inside this process, so that time can be made.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-ctx.Done():
	case <-p.done:
	}
	return nil, errors.New("nobody listens")
}

// scene is a service and a client of it under synctest. Each answer is what reply says then.
type scene struct {
	*testing.T
	client *Client
	mu     sync.Mutex
	reply  http.HandlerFunc
	asked  int
}

func play(t *testing.T, cache time.Duration, f func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{T: t, reply: answers(`{"version":1,"allow":true}`)}
		network := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			s.asked++
			reply := s.reply
			s.mu.Unlock()
			reply(w, r)
		})}
		go func() { _ = server.Serve(network) }()
		s.client, _ = client(t, configs.Service{URL: "http://policy/decide", Token: token, Timeout: time.Second, Cache: cache}, network.dial)
		f(s)
		s.client.Close()
		_ = server.Close()
		synctest.Wait()
	})
}

func (s *scene) answers(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = h
}

// expect asks, and says what has to come of it, after how many requests in all.
func (s *scene) expect(f policy.Facts, allowed bool, requests int) {
	s.Helper()
	d := s.client.Narrow(s.Context(), f, someDecision())
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.Allowed != allowed || s.asked != requests {
		s.Errorf("allowed %t after %d requests, want %t after %d", d.Allowed, s.asked, allowed, requests)
	}
}

// TestBreaker: a service that fails again and again is left alone, and asked once before it is believed again.
func TestBreaker(t *testing.T) {
	play(t, 0, func(s *scene) {
		f := someFacts()
		s.answers(says(500, "application/json", "{}"))
		for i := range tripAfter {
			s.expect(f, false, i+1)
		}
		began := time.Now()
		for range 100 {
			s.expect(f, false, tripAfter)
		}
		if time.Since(began) != 0 {
			s.Errorf("callers waited for %v, want none to wait", time.Since(began))
		}
		time.Sleep(openFor + time.Millisecond)
		s.expect(f, false, tripAfter+1) // still broken
		s.expect(f, false, tripAfter+1)
		s.answers(answers(`{"version":1,"allow":true}`))
		time.Sleep(openFor + time.Millisecond)
		s.expect(f, true, tripAfter+2)
		s.expect(f, true, tripAfter+3)
		s.answers(answers(`{"version":1,"allow":false}`)) // a refusal is no failure
		for i := range 3 * tripAfter {
			s.expect(f, false, tripAfter+4+i)
		}
		s.answers(answers(`{"version":1,"allow":true}`))
		s.expect(f, true, 4*tripAfter+4)
	})
}

// TestProbe: while one caller asks whether the service is back, others do not wait for the answer.
func TestProbe(t *testing.T) {
	play(t, 0, func(s *scene) {
		f := someFacts()
		s.answers(says(500, "application/json", "{}"))
		for i := range tripAfter {
			s.expect(f, false, i+1)
		}
		release := make(chan struct{})
		s.answers(func(w http.ResponseWriter, r *http.Request) {
			<-release
			answers(`{"version":1,"allow":true}`)(w, r)
		})
		time.Sleep(openFor + time.Millisecond)
		probe := make(chan policy.Decision)
		go func() { probe <- s.client.Narrow(s.Context(), f, someDecision()) }()
		synctest.Wait()
		s.expect(f, false, tripAfter+1)
		close(release)
		if d := <-probe; !d.Allowed {
			s.Errorf("got %+v", d)
		}
		s.expect(f, true, tripAfter+2)
	})
}

// TestTimeout: a caller waits for one second, as configured, and a service that hangs trips the breaker like one that fails.
func TestTimeout(t *testing.T) {
	play(t, 0, func(s *scene) {
		s.answers(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		began := time.Now()
		for i := range tripAfter {
			s.expect(someFacts(), false, i+1)
		}
		s.expect(someFacts(), false, tripAfter)
		if took := time.Since(began); took != tripAfter*time.Second {
			s.Errorf("%d callers waited for %v, want a second each", tripAfter, took)
		}
	})
}

// TestGone: callers who hang up while the service thinks say nothing about it.
func TestGone(t *testing.T) {
	play(t, 0, func(s *scene) {
		s.answers(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		})
		for range 3 * tripAfter {
			ctx, cancel := context.WithTimeout(s.Context(), 100*time.Millisecond)
			if d := s.client.Narrow(ctx, someFacts(), someDecision()); d.Allowed || d.Refusal.Reason != policy.Unavailable {
				s.Errorf("got %+v", d)
			}
			cancel()
		}
		s.answers(answers(`{"version":1,"allow":true}`))
		s.expect(someFacts(), true, 3*tripAfter+1)
	})
}

// TestCache: the same question within the time is answered from before, whatever the clock says; any other is asked.
func TestCache(t *testing.T) {
	play(t, time.Minute, func(s *scene) {
		f := someFacts()
		s.expect(f, true, 1)
		f.At = f.At.Add(30 * time.Second)
		f.OfRule = map[string]int{"carriers": 7, "others": 10} // of another rule: no part of the question
		s.expect(f, true, 1)

		s.answers(answers(`{"version":1,"allow":false}`))
		other := f
		other.Room = "another"
		s.expect(other, false, 2)
		other.InRoom++
		s.expect(other, false, 3)
		s.expect(other, false, 3) // refusals are kept, too
		s.expect(f, true, 3)
		d := someDecision()
		d.Grant.Audio = policy.Receive // the rules changed
		if got := s.client.Narrow(s.Context(), f, d); got.Allowed {
			s.Error("an answer to another grant was taken")
		}

		time.Sleep(time.Minute)
		s.expect(f, false, 5)

		s.answers(says(500, "application/json", "{}"))
		time.Sleep(time.Minute)
		s.expect(f, false, 6)
		s.answers(answers(`{"version":1,"allow":true}`))
		s.expect(f, true, 7) // a failure is not kept
	})
}

// TestCacheIsBounded: any number of questions leaves so many answers.
func TestCacheIsBounded(t *testing.T) {
	play(t, time.Hour, func(s *scene) {
		f := someFacts()
		for i := range maxKept + 10 {
			f.Called = strings.Repeat("x", i%100) + string(rune('a'+i%26)) + string(rune('0'+i/100))
			s.client.Narrow(s.Context(), f, someDecision())
		}
		if n := s.client.kept.Len(); n > maxKept {
			s.Errorf("%d answers are kept", n)
		}
	})
}
