package livekit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"passerelle/bridge"
	"passerelle/webrtc/livekit/lksig"
)

func changed(identity, name string) bridge.SessionEvent {
	return bridge.SessionEvent{Kind: bridge.ParticipantChanged, Participant: bridge.Participant{Identity: identity, Name: name}}
}

func left(identity string) bridge.SessionEvent {
	return bridge.SessionEvent{Kind: bridge.ParticipantLeft, Participant: bridge.Participant{Identity: identity}}
}

// TestEventsMerge: what a later event makes obsolete is gone, and nothing else.
func TestEventsMerge(t *testing.T) {
	interrupted, restored := bridge.SessionEvent{Kind: bridge.Interrupted}, bridge.SessionEvent{Kind: bridge.Restored}
	speakers := func(level float32) bridge.SessionEvent {
		return bridge.SessionEvent{Kind: bridge.SpeakersChanged, Speakers: []bridge.Speaker{{Level: level}}}
	}
	for name, c := range map[string]struct{ in, want []bridge.SessionEvent }{
		"states of one":           {[]bridge.SessionEvent{changed("a", "1"), changed("b", "1"), changed("a", "2")}, []bridge.SessionEvent{changed("b", "1"), changed("a", "2")}},
		"came and went":           {[]bridge.SessionEvent{changed("a", "1"), left("a")}, []bridge.SessionEvent{changed("a", "1"), left("a")}},
		"went and came":           {[]bridge.SessionEvent{changed("a", "1"), left("a"), changed("a", "2")}, []bridge.SessionEvent{left("a"), changed("a", "2")}},
		"speakers":                {[]bridge.SessionEvent{speakers(1), changed("a", "1"), speakers(0)}, []bridge.SessionEvent{changed("a", "1"), speakers(0)}},
		"a flicker":               {[]bridge.SessionEvent{interrupted, changed("a", "1"), restored}, []bridge.SessionEvent{interrupted, changed("a", "1"), restored}},
		"flickers":                {[]bridge.SessionEvent{interrupted, restored, interrupted, restored, interrupted, restored}, []bridge.SessionEvent{interrupted, restored}},
		"flickers after a return": {[]bridge.SessionEvent{restored, interrupted, restored, interrupted, restored, interrupted}, []bridge.SessionEvent{restored, interrupted}},
		"still away":              {[]bridge.SessionEvent{interrupted, restored, interrupted}, []bridge.SessionEvent{interrupted}},
		"nothing after the end":   {[]bridge.SessionEvent{{Kind: bridge.SessionEnded}, changed("a", "1")}, []bridge.SessionEvent{{Kind: bridge.SessionEnded}}},
	} {
		q := newEvents()
		for _, e := range c.in {
			q.put(e)
		}
		var got []bridge.SessionEvent
		for e, ok := q.next(); ok; e, ok = q.next() {
			got = append(got, e)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestEventsData: of data that nobody reads the newest are kept.
func TestEventsData(t *testing.T) {
	q := newEvents()
	q.put(changed("a", "1"))
	for i := range maxData * 3 {
		q.put(bridge.SessionEvent{Kind: bridge.DataReceived, Topic: fmt.Sprint(i)})
	}
	if e, _ := q.next(); e.Kind != bridge.ParticipantChanged {
		t.Errorf("first %+v", e)
	}
	for i := range maxData {
		if e, ok := q.next(); !ok || e.Topic != fmt.Sprint(maxData*2+i) {
			t.Fatalf("message %d: %+v", i, e)
		}
	}
	if _, ok := q.next(); ok {
		t.Error("more than the most")
	}
}

// TestEventsAbandoned: a reader who is gone does not hold the session, and finds the end if he comes back.
func TestEventsAbandoned(t *testing.T) {
	q := newEvents()
	for i := range 100 {
		q.put(changed(fmt.Sprint(i), ""))
	}
	q.abandon()
	q.put(bridge.SessionEvent{Kind: bridge.SessionEnded})
	q.run()
	var last bridge.SessionEvent
	for e := range q.out {
		last = e
	}
	if last.Kind != bridge.SessionEnded {
		t.Errorf("last %+v", last)
	}
}

// TestReception: counts over the wrap of sequence numbers, loss, duplicates and disorder.
func TestReception(t *testing.T) {
	start := time.Now()
	for name, c := range map[string]struct {
		seqs     []uint16
		highest  uint32
		lost     uint32
		fraction uint8
	}{
		"in order":       {[]uint16{10, 11, 12, 13}, 13, 0, 0},
		"wrap":           {[]uint16{65534, 65535, 0, 1}, 65537, 0, 0},
		"loss":           {[]uint16{1, 3}, 3, 1, 85},
		"loss over wrap": {[]uint16{65535, 2}, 65538, 2, 128},
		"disorder":       {[]uint16{5, 7, 6}, 7, 0, 0},
		"before first":   {[]uint16{5, 4}, 5, 0, 0},
		"duplicate":      {[]uint16{5, 5}, 5, 0, 0},
	} {
		s := new(reception)
		for i, seq := range c.seqs {
			s.add(seq, uint32(seq)*960, start.Add(time.Duration(i)*20*time.Millisecond))
		}
		s.sent(0x1234_5678_9abc_def0, start)
		r, ok := s.report(7, start.Add(time.Second))
		if !ok || r.SSRC != 7 || r.LastSequenceNumber != c.highest || r.TotalLost != c.lost || r.FractionLost != c.fraction ||
			r.LastSenderReport != 0x5678_9abc || r.Delay != 65536 {
			t.Errorf("%s: %+v", name, r)
		}
		if again, _ := s.report(7, start); again.FractionLost != 0 {
			t.Errorf("%s: the fraction was told twice", name)
		}
	}
	if _, ok := new(reception).report(1, start); ok {
		t.Error("a report about nothing")
	}
	s := new(reception) // every packet 20 ms late by turns: RFC 3550's jitter goes to 20 ms
	for i := range 200 {
		s.add(uint16(i), uint32(i)*960, start.Add(time.Duration(i)*20*time.Millisecond+time.Duration(i%2)*20*time.Millisecond))
	}
	if r, _ := s.report(1, start); r.Jitter < 950 || r.Jitter > 970 {
		t.Errorf("jitter %d, want about 960", r.Jitter)
	}
}

// TestOutage: pauses grow, are never long, and shortly after a return go on from where they were.
func TestOutage(t *testing.T) {
	var o outage
	now := time.Now()
	if !o.begin(now) || o.begin(now) {
		t.Error("an outage begins once")
	}
	if d := o.pause(); d != 0 {
		t.Errorf("first pause %v", d)
	}
	for i := range 100 {
		if d := o.pause(); d < firstPause || d > maxPause*3/2 || i > 10 && d < maxPause {
			t.Errorf("pause %d: %v", i, d)
		}
	}
	o.atOnce = true
	if o.pause() != 0 || o.pause() < maxPause {
		t.Error("one attempt at once is not one")
	}
	o.end(now.Add(10 * time.Second))
	o.begin(now.Add(20 * time.Second))
	if left := o.left(now.Add(25*time.Second), time.Minute); left != 45*time.Second {
		t.Errorf("left %v", left)
	}
	if o.pause() < maxPause {
		t.Error("a server that throws us out is asked at once")
	}
	o.end(now.Add(30 * time.Second))
	o.begin(now.Add(30*time.Second + calmAfter + 1))
	if o.pause() != 0 || o.spent != 0 {
		t.Error("a new outage is not new")
	}
}

// TestParticipant: how kinds and permissions are told.
func TestParticipant(t *testing.T) {
	may := func(p *lksig.ParticipantPermission) *lksig.ParticipantInfo {
		return &lksig.ParticipantInfo{Permission: p}
	}
	for name, c := range map[string]struct {
		in   *lksig.ParticipantInfo
		want bridge.Participant
	}{
		"phone":    {&lksig.ParticipantInfo{Kind: lksig.ParticipantInfo_SIP}, bridge.Participant{Phone: true}},
		"agent":    {&lksig.ParticipantInfo{Kind: lksig.ParticipantInfo_AGENT}, bridge.Participant{Hidden: true}},
		"egress":   {&lksig.ParticipantInfo{Kind: lksig.ParticipantInfo_EGRESS}, bridge.Participant{Hidden: true}},
		"hidden":   {may(&lksig.ParticipantPermission{Hidden: true}), bridge.Participant{Hidden: true}},
		"any":      {may(&lksig.ParticipantPermission{CanPublish: true}), bridge.Participant{CanPublish: true, CanShow: true, CanShare: true}},
		"speaks":   {may(&lksig.ParticipantPermission{CanPublish: true, CanPublishSources: []lksig.TrackSource{lksig.TrackSource_MICROPHONE}}), bridge.Participant{CanPublish: true}},
		"may show": {may(&lksig.ParticipantPermission{CanPublish: true, CanPublishSources: []lksig.TrackSource{lksig.TrackSource_CAMERA}}), bridge.Participant{CanShow: true}},
		"tracks": {
			&lksig.ParticipantInfo{Tracks: []*lksig.TrackInfo{{Sid: "a", Muted: true, Encryption: 1}, {Sid: "v", Type: lksig.TrackType_VIDEO}}},
			bridge.Participant{Tracks: []bridge.TrackInfo{{SID: "a", Audio: true, Muted: true, Encrypted: true}, {SID: "v"}}},
		},
		"none": {nil, bridge.Participant{}},
	} {
		if got := participant(c.in); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// TestDispatchRules: rules are read page by page, and a PIN does not print.
func TestDispatchRules(t *testing.T) {
	const all = pageSize + 1
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		var page lksig.ListSIPDispatchRuleRequest
		if err := proto.Unmarshal(body, &page); err != nil || r.URL.Path != "/twirp/livekit.SIP/ListSIPDispatchRule" {
			t.Errorf("%s %v", r.URL.Path, err)
		}
		first := 0
		if page.GetPage().GetAfterId() != "" {
			_, _ = fmt.Sscanf(page.GetPage().GetAfterId(), "%d", &first)
			first++
		}
		var answer lksig.ListSIPDispatchRuleResponse
		for i := first; i < min(first+pageSize, all); i++ {
			answer.Items = append(answer.Items, &lksig.SIPDispatchRuleInfo{SipDispatchRuleId: fmt.Sprint(i), Name: "n", TrunkIds: []string{"ST_1"}, Rule: &lksig.SIPDispatchRule{
				Rule: &lksig.SIPDispatchRule_DispatchRuleDirect{DispatchRuleDirect: &lksig.SIPDispatchRuleDirect{RoomName: "r", Pin: "1234567890"}},
			}})
		}
		b, _ := proto.Marshal(&answer)
		_, _ = w.Write(b)
	}))
	defer server.Close()
	rules, err := fakeClient(t, server.URL, 0).ListDispatchRules(t.Context())
	if err != nil || len(rules) != all || rules[all-1].PIN.Reveal() != "1234567890" || rules[0].Room != "r" || len(rules[0].TrunkIDs) != 1 {
		t.Errorf("%d rules, %v", len(rules), err)
	}
	if text := fmt.Sprintf("%v %+v %#v", rules[0], rules[0], rules[0]); strings.Contains(text, "1234567890") {
		t.Errorf("a PIN in %q", text)
	}
}

// TestAPIErrors: what is not LiveKit's is still a short error.
func TestAPIErrors(t *testing.T) {
	for body, want := range map[string]string{
		`{"code":"not_found","msg":"sip not connected"}`:   "not_found: sip not connected",
		"<html>" + strings.Repeat("x", 10_000) + "</html>": "Not Found",
	} {
		if e := apiError(http.StatusNotFound, []byte(body)); !strings.HasSuffix(e.Error(), want) {
			t.Errorf("%q", e)
		}
	}
}
