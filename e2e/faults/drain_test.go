//go:build e2e

package faults

import (
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/e2e/stack"
	"passerelle/sip"
)

// TestDrain ends the gateway gently while a call runs: the caller is told, no other call is taken, and the call ends with a good-bye when its time
// is over.
func TestDrain(t *testing.T) {
	t.Parallel()
	h := open(t, stack.Options{Extra: "calls: {drain_timeout: 6s}"})
	call := h.enter(sip.DialOptions{})
	since := time.Now()
	h.Signal(t, syscall.SIGTERM)
	stack.Eventually(t, patience, "/readyz says that the gateway drains", func() bool { return h.ready() == http.StatusServiceUnavailable })
	late := newCaller(t, h.SIP, "127.0.0.1")
	late.invite(late.sdp(), "")
	code, answer := late.status("INVITE", late.seq)
	late.request("ACK", late.seq, late.branch, "", "", "")
	if retry, err := strconv.Atoi(header(answer, "Retry-After")); code != 503 || err != nil || retry <= 0 {
		t.Errorf("a new call is answered:\n%s", answer)
	}
	proxy := newCaller(t, h.SIP, "127.0.0.1")
	proxy.request("OPTIONS", 1, "", "", "", "")
	if code, _ := proxy.status("OPTIONS", 1); code != 503 {
		t.Errorf("OPTIONS is answered with %d while draining", code)
	}

	h.hears(since, ivr.Draining)
	h.hears(since, ivr.Goodbye)
	ctx := t.Context()
	if call.Wait(ctx) == nil {
		t.Error("the call goes on")
	}
	select {
	case <-h.Exited():
	case <-time.After(patience):
		t.Error("the gateway did not end when its last call had")
	}
	if took := time.Since(since); took < 5*time.Second {
		t.Errorf("the call was ended after %v, long before its time", took)
	}
}

// TestStopAtOnce sends the second signal: the far end is told, and nothing is waited for.
func TestStopAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t, stack.Options{})
	c := newCaller(t, h.SIP, "127.0.0.1")
	c.enter(h)
	since := time.Now()
	h.Signal(t, syscall.SIGTERM)
	stack.Eventually(t, patience, "the gateway drains", func() bool { return h.ready() == http.StatusServiceUnavailable })
	h.Signal(t, syscall.SIGTERM)
	c.ended(patience)
	select {
	case <-h.Exited():
		t.Logf("gone after %v", time.Since(since).Round(10*time.Millisecond))
	case <-time.After(patience):
		t.Error("the gateway did not end")
	}
}

// ready is the status of /readyz.
func (h *house) ready() int {
	r, err := http.Get("http://" + h.HTTP + "/readyz")
	if err != nil {
		h.t.Fatal(err)
	}
	defer r.Body.Close()
	return r.StatusCode
}
