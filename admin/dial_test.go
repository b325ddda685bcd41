package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"passerelle/admin/tokens"
	"passerelle/bridge"
	"passerelle/bridge/policy"
)

// fakeDialer says what calls come to.
type fakeDialer struct {
	mu     sync.Mutex
	dialed []string
	err    error
}

func (d *fakeDialer) Dial(_ context.Context, to, room string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dialed = append(d.dialed, to+" "+room)
	return "c9", d.err
}

func TestBeginCall(t *testing.T) {
	r := newRig(t, nil)
	var b begun
	r.want(200, "", "POST", "/api/v1/calls", tokens.Operator, `{"to":"livekit://partner/budget","room":" council "}`).into(t, &b)
	if b.ID != "c9" || fmt.Sprint(r.dialer.dialed) != "[livekit://partner/budget council]" {
		t.Errorf("%+v %v", b, r.dialer.dialed)
	}
	if e := r.journal.last(); e.Actor != "operator" || e.Outcome != "done" || e.Fields["call"] != "c9" || e.Fields["to"] != "livekit://partner/budget" || e.Fields["from"] != "council" {
		t.Errorf("the record is %+v", e)
	}
	for _, body := range []string{`{}`, `{"to":"livekit://a/b"}`, `{"room":"a"}`, `{"to":"","room":"a"}`, `{"to":5,"room":"a"}`, `{"to":"livekit://a/b","room":"` + strings.Repeat("x", 257) + `"}`, `{"to":"` + strings.Repeat("x", 1025) + `","room":"a"}`} {
		r.want(422, "value", "POST", "/api/v1/calls", tokens.Operator, body)
	}
	if n := len(r.dialer.dialed); n != 1 {
		t.Errorf("%d calls were begun that cannot be", n-1)
	}
	for _, c := range []struct {
		err    error
		status int
		word   string
	}{
		{fmt.Errorf("%w: no site x", bridge.ErrNoTarget), 422, "value"},
		{bridge.ErrJoined, 409, "joined"},
		{&bridge.Refused{Rule: "no sites", Refusal: policy.Refusal{Reason: policy.Forbidden, Text: "Not there"}}, 403, "not-granted"},
		{&bridge.Refused{Rule: "few", Refusal: policy.Refusal{Reason: policy.TooMany}}, 503, "full"},
		{fmt.Errorf("%w: 203.0.113.7", bridge.ErrForbidden), 403, "not-granted"},
		{bridge.ErrDraining, 503, "full"},
		{fmt.Errorf("%w: site partner: connection refused", bridge.ErrSignalling), 502, "not-begun"},
		{errors.New("line one\nline two"), 502, "not-begun"},
	} {
		r.dialer.err = c.err
		a := r.want(c.status, c.word, "POST", "/api/v1/calls", tokens.Operator, `{"to":"livekit://partner/budget","room":"council"}`)
		if e := r.journal.last(); e.Fields["problem"] != c.word || e.Fields["to"] == "" {
			t.Errorf("%v: the record is %+v", c.err, e)
		}
		if c.word == "not-granted" && c.status == 403 && errors.As(c.err, new(*bridge.Refused)) && !strings.Contains(a.problem().Detail, "Not there") {
			t.Errorf("nobody is told why: %s", a.body)
		}
	}
}

func TestNoSites(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.make()
		r.server.api.Dialer = nil
	})
	r.want(503, "no-sites", "POST", "/api/v1/calls", tokens.Operator, `{"to":"livekit://partner/budget","room":"council"}`)
}
