package sdp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"passerelle/bridge"
)

// offerOf composes an offer: a session of IP4 address 192.0.2.9 with these lines after t=.
func offerOf(lines ...string) []byte {
	return []byte("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n" + strings.Join(lines, "\r\n") + "\r\n")
}

func mustAnswer(t *testing.T, offer []byte, a Abilities, prev *State) (string, Agreed, State) {
	t.Helper()
	answer, agreed, st, err := Answer(offer, a, prev)
	if err != nil {
		t.Fatalf("%v:\n%s", err, offer)
	}
	checkMirror(t, offer, answer)
	checkSyntax(t, answer)
	return string(answer), agreed, st
}

func has(t *testing.T, body string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains("\r\n"+body, "\r\n"+l+"\r\n") {
			t.Errorf("no line %q in\n%s", l, body)
		}
	}
}

func hasNot(t *testing.T, body string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(body, p) {
			t.Errorf("%q in\n%s", p, body)
		}
	}
}

const line128 = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"

func TestHold(t *testing.T) {
	const m = "m=audio 4000 RTP/AVP 8"
	for _, c := range []struct {
		name             string
		offer            []byte
		want             Direction // ours
		answer           string
		theyHear, weHear bool
	}{
		{"nothing said", offerOf(m), SendRecv, "a=sendrecv", true, true},
		{"sendonly", offerOf(m, "a=sendonly"), SendRecv, "a=recvonly", false, true},
		{"recvonly", offerOf(m, "a=recvonly"), SendRecv, "a=sendonly", true, false},
		{"inactive", offerOf(m, "a=inactive"), SendRecv, "a=inactive", false, false},
		{"session level", offerOf("a=sendonly", m), SendRecv, "a=recvonly", false, true},
		{"media level wins", offerOf("a=inactive", m, "a=sendrecv"), SendRecv, "a=sendrecv", true, true},
		{"case", offerOf(m, "a=SendOnly"), SendRecv, "a=recvonly", false, true},
		{"c=0.0.0.0", offerOf(m, "c=IN IP4 0.0.0.0"), SendRecv, "a=recvonly", false, true},
		{"c=::", offerOf(m, "c=IN IP6 ::"), SendRecv, "a=recvonly", false, true},
		{"c=0.0.0.0 and sendrecv", offerOf(m, "c=IN IP4 0.0.0.0", "a=sendrecv"), SendRecv, "a=recvonly", false, true},
		{"c=0.0.0.0 and recvonly", offerOf(m, "c=IN IP4 0.0.0.0", "a=recvonly"), SendRecv, "a=inactive", false, false},
		{"c=0.0.0.0 in the session", []byte("v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 8\r\n"), SendRecv, "a=recvonly", false, true},
		{"we hold", offerOf(m), SendOnly, "a=sendonly", true, false},
		{"both hold", offerOf(m, "a=sendonly"), SendOnly, "a=inactive", false, false},
		{"we are inactive", offerOf(m), Inactive, "a=inactive", false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ours()
			a.Direction = c.want
			first, _, st := mustAnswer(t, offerOf(m), ours(), nil)
			answer, agreed, st := mustAnswer(t, c.offer, a, &st)
			has(t, answer, c.answer)
			if agreed.TheyHear != c.theyHear || agreed.WeHear != c.weHear || agreed.Held() == c.theyHear {
				t.Errorf("they hear %v, we hear %v", agreed.TheyHear, agreed.WeHear)
			}
			version := "o=passerelle 4242 2 IN IP4 192.0.2.1"
			if c.answer == "a=sendrecv" {
				version = "o=passerelle 4242 1 IN IP4 192.0.2.1"
			}
			has(t, answer, version)
			if resumed, _, _ := mustAnswer(t, offerOf(m), ours(), &st); body(resumed) != body(first) {
				t.Errorf("resumed as\n%s", resumed)
			}
		})
	}
}

// body is a description without o=.
func body(description string) string {
	before, after, _ := strings.Cut(description, "o=")
	_, after, _ = strings.Cut(after, "\r\n")
	return before + after
}

func TestRemovedAudioComesBack(t *testing.T) {
	_, first, st := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8"), ours(), nil)
	answer, gone, st := mustAnswer(t, offerOf("m=audio 0 RTP/AVP 8"), ours(), &st)
	has(t, answer, "m=audio 0 RTP/AVP 8", "o=passerelle 4242 2 IN IP4 192.0.2.1")
	hasNot(t, answer, "rtpmap")
	if gone.TheyHear || gone.WeHear || gone.Remote.IsValid() || !gone.Codec.Is(first.Codec) {
		t.Errorf("gone is %+v", gone)
	}
	if offer, _ := Offer(ours(), &st); string(offer) != answer {
		t.Errorf("a refresh of ours brings it back:\n%s", offer)
	}
	_, back, _ := mustAnswer(t, offerOf("m=audio 4002 RTP/AVP 8"), ours(), &st)
	if !back.TheyHear || back.Remote.Port() != 4002 {
		t.Errorf("back is %+v", back)
	}
}

func TestAddedMediaIsRefused(t *testing.T) {
	_, _, st := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8"), ours(), nil)
	answer, agreed, _ := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8", "m=audio 4002 RTP/SAVP 8", line128, "m=video 5000 RTP/AVP 97", "a=rtpmap:97 H264/90000"),
		ours(), &st)
	has(t, answer, "m=audio 16384 RTP/AVP 8", "m=audio 0 RTP/SAVP 8", "m=video 0 RTP/AVP 97")
	if agreed.Encrypted() || agreed.Remote.Port() != 4000 {
		t.Errorf("the call moved: %+v", agreed)
	}
}

func TestMovedAddress(t *testing.T) {
	first, _, st := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8"), ours(), nil)
	second, agreed, _ := mustAnswer(t, offerOf("m=audio 4008 RTP/AVP 8", "c=IN IP4 192.0.2.77"), ours(), &st)
	if second != first {
		t.Errorf("the far end moved and our side changed:\n%s", second)
	}
	if agreed.Remote.String() != "192.0.2.77:4008" || agreed.RemoteRTCP.String() != "192.0.2.77:4009" {
		t.Errorf("remote %v %v", agreed.Remote, agreed.RemoteRTCP)
	}
}

func TestRunningCallKeepsItsCodec(t *testing.T) {
	_, _, st := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8"), ours(), nil)
	_, agreed, st := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 9 8"), ours(), &st)
	if agreed.Codec.Name != "PCMA" {
		t.Errorf("codec %v", agreed.Codec)
	}
	_, agreed, _ = mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 9 0"), ours(), &st)
	if agreed.Codec.Name != "G722" {
		t.Errorf("codec %v", agreed.Codec)
	}
}

func TestRemote(t *testing.T) {
	for _, c := range []struct {
		lines     []string
		rtp, rtcp string
	}{
		{nil, "192.0.2.9:4000", "192.0.2.9:4001"},
		{[]string{"a=rtcp:5000"}, "192.0.2.9:4000", "192.0.2.9:5000"},
		{[]string{"a=rtcp:5000 IN IP4 192.0.2.8"}, "192.0.2.9:4000", "192.0.2.8:5000"},
		{[]string{"a=rtcp:5000 IN IP6 2001:db8::8"}, "192.0.2.9:4000", "[2001:db8::8]:5000"},
		{[]string{"a=rtcp:5000", "a=rtcp-mux"}, "192.0.2.9:4000", "192.0.2.9:4000"},
		{[]string{"a=rtcp:0"}, "192.0.2.9:4000", "invalid AddrPort"},
		{[]string{"a=rtcp:x"}, "192.0.2.9:4000", "invalid AddrPort"},
		{[]string{"c=IN IP4 192.0.2.7/127"}, "192.0.2.7:4000", "192.0.2.7:4001"},
		{[]string{"c=IN IP6 2001:db8::7%eth0"}, "[2001:db8::7]:4000", "[2001:db8::7]:4001"},
		{[]string{"c=IN IP4 media.example.net"}, "invalid AddrPort", "invalid AddrPort"},
	} {
		_, agreed, _ := mustAnswer(t, offerOf(append([]string{"m=audio 4000 RTP/AVP 8"}, c.lines...)...), ours(), nil)
		if agreed.Remote.String() != c.rtp || agreed.RemoteRTCP.String() != c.rtcp {
			t.Errorf("%q: %v %v", c.lines, agreed.Remote, agreed.RemoteRTCP)
		}
		if !agreed.TheyHear {
			t.Errorf("%q is a hold", c.lines)
		}
	}
	if _, agreed, _ := mustAnswer(t, offerOf("m=audio 65535 RTP/AVP 8"), ours(), nil); agreed.RemoteRTCP.IsValid() {
		t.Errorf("RTCP to %v", agreed.RemoteRTCP)
	}
}

func TestPTime(t *testing.T) {
	for lines, want := range map[string][2]int{
		"":                               {20, 60},
		"a=ptime:20":                     {20, 60},
		"a=ptime:10":                     {10, 60},
		"a=ptime:5":                      {10, 60},
		"a=ptime:200\r\na=maxptime:200":  {60, 60},
		"a=ptime:40\r\na=maxptime:30":    {30, 30},
		"a=ptime:30.0\r\na=maxptime:60 ": {30, 60},
		"a=ptime:\r\na=maxptime:x":       {20, 60},
		"a=ptime:-1":                     {20, 60},
		"a=ptime:99999999999999999999":   {60, 60},
		"a=maxptime:10":                  {10, 10},
	} {
		_, agreed, _ := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8", lines), ours(), nil)
		if got := [2]int{agreed.PTime, agreed.MaxPTime}; got != want {
			t.Errorf("%q: %v", lines, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	require := func(a *Abilities) { a.Encryption = Require }
	off := func(a *Abilities) { a.Encryption = Off }
	for _, c := range []struct {
		name   string
		offer  []byte
		change func(*Abilities)
		class  error
		says   []string
	}{
		{"empty", nil, nil, ErrMalformed, nil},
		{"no media", offerOf(), nil, ErrMalformed, []string{"no m= line"}},
		{"too long", bytes.Repeat([]byte("a=x\r\n"), maxBody), nil, ErrMalformed, nil},
		{"many m-lines", offerOf(strings.Repeat("m=audio 1 RTP/AVP 0\r\n", maxMedia+1)), nil, ErrMalformed, nil},
		{"many formats", offerOf("m=audio 1 RTP/AVP" + strings.Repeat(" 0", maxFormats+1)), nil, ErrMalformed, nil},
		{"many attributes", offerOf("m=audio 1 RTP/AVP 0", strings.Repeat("a=fmtp:0 x\r\n", maxAttributes+1)), nil, ErrMalformed, nil},
		{"bad port", offerOf("m=audio 65536 RTP/AVP 0"), nil, ErrMalformed, nil},
		{"short m-line", offerOf("m=audio 1"), nil, ErrMalformed, nil},
		{"control bytes in an m-line", offerOf("m=audio 1 RTP/AVP 0 \x01"), nil, ErrMalformed, nil},
		{"multicast", offerOf("m=audio 1 RTP/AVP 0", "c=IN IP4 224.2.1.1/127"), nil, ErrMalformed, []string{"multicast"}},
		{"video only", offerOf("m=video 4000 RTP/AVP 97"), nil, bridge.ErrNoCodec, []string{"no audio", "video 4000 RTP/AVP"}},
		{"audio at port 0", offerOf("m=audio 0 RTP/AVP 8"), nil, bridge.ErrNoCodec, []string{"audio 0"}},
		{"codecs", offerOf("m=audio 4000 RTP/AVP 18 97", "a=rtpmap:97 AMR-WB/16000"), nil, bridge.ErrNoCodec, []string{"G729/8000", "AMR-WB/16000", "PCMA/8000"}},
		{"stereo", offerOf("m=audio 4000 RTP/AVP 97", "a=rtpmap:97 L16/16000/2"), nil, bridge.ErrNoCodec, nil},
		{"only digits", offerOf("m=audio 4000 RTP/AVP 101", "a=rtpmap:101 telephone-event/8000"), nil, bridge.ErrNoCodec, nil},
		{"no formats", offerOf("m=audio 4000 RTP/AVP"), nil, bridge.ErrNoCodec, []string{"nothing known"}},
		{"transport", offerOf("m=audio 4000 TCP/RTP/AVP 8"), nil, bridge.ErrNoCodec, []string{"TCP/RTP/AVP"}},
		{"clear", offerOf("m=audio 4000 RTP/AVP 8"), require, bridge.ErrNotEncrypted, []string{"no keys", "AEAD_AES_256_GCM", "DTLS"}},
		{"unknown suite", offerOf("m=audio 4000 RTP/SAVP 8", "a=crypto:1 F8_128_HMAC_SHA1_80 inline:AAAA"), nil, bridge.ErrNotEncrypted, []string{"F8_128_HMAC_SHA1_80"}},
		{"no keys", offerOf("m=audio 4000 RTP/SAVP 8"), nil, bridge.ErrNotEncrypted, nil},
		{"encrypted only", offerOf("m=audio 4000 RTP/SAVP 8", line128), off, bridge.ErrNotEncrypted, []string{"off on this side"}},
		{"DTLS without fingerprint", offerOf("m=audio 4000 UDP/TLS/RTP/SAVP 8", line128), nil, bridge.ErrNotEncrypted, nil},
		{"MD5 fingerprint", offerOf("m=audio 4000 UDP/TLS/RTP/SAVP 8", "a=fingerprint:md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF"), nil, bridge.ErrNotEncrypted, nil},
		{"no seed", offerOf("m=audio 4000 RTP/SAVP 8", line128), func(a *Abilities) { a.KeySeed = nil }, bridge.ErrNotEncrypted, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ours()
			if c.change != nil {
				c.change(&a)
			}
			_, _, _, err := Answer(c.offer, a, nil)
			if !errors.Is(err, c.class) {
				t.Fatalf("%v is not %v", err, c.class)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			if strings.Contains(err.Error(), "inline") || len(err.Error()) > 600 {
				t.Errorf("the error says too much: %v", err)
			}
		})
	}
}

func TestFailedRoundLeavesTheState(t *testing.T) {
	first, _, st := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8"), ours(), nil)
	for _, bad := range [][]byte{nil, offerOf("m=audio 4000 RTP/AVP 18"), offerOf("m=audio 4000 RTP/SAVP 8")} {
		var err error
		if _, _, st, err = Answer(bad, ours(), &st); err == nil {
			t.Fatalf("no error for %q", bad)
		}
	}
	if again, _, _ := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8"), ours(), &st); again != first {
		t.Errorf("changed to\n%s", again)
	}
}

func TestLineEnds(t *testing.T) {
	want, _, _ := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8"), ours(), nil)
	for _, end := range []string{"\n", "\r", "\r\r\n", " \r\n", "\n\n"} {
		offer := bytes.ReplaceAll(offerOf("m=audio 4000 RTP/AVP 8"), []byte("\r\n"), []byte(end))
		if got, _, _ := mustAnswer(t, append(offer, 0, 0), ours(), nil); got != want {
			t.Errorf("%q:\n%s", end, got)
		}
	}
}

func TestVersionRises(t *testing.T) {
	st := &State{}
	for i, c := range []struct {
		direction string
		version   int
	}{{"sendrecv", 1}, {"sendrecv", 1}, {"sendonly", 2}, {"sendonly", 2}, {"sendrecv", 3}, {"inactive", 4}, {"sendrecv", 5}, {"sendrecv", 5}} {
		answer, _, next := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8", "a="+c.direction), ours(), st)
		has(t, answer, fmt.Sprintf("o=passerelle 4242 %d IN IP4 192.0.2.1", c.version))
		if st = &next; t.Failed() {
			t.Fatalf("round %d", i)
		}
	}
}

func TestEvents(t *testing.T) {
	answer, agreed, _ := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8 110 101", "a=rtpmap:110 telephone-event/48000", "a=rtpmap:101 Telephone-Event/8000",
		"a=fmtp:101 0-16"), ours(), nil)
	has(t, answer, "m=audio 16384 RTP/AVP 8 101 110", "a=fmtp:101 0-16", "a=fmtp:110 0-15")
	if agreed.SendEvents != (Events{101, 8000}) || len(agreed.ReceiveEvents) != 2 {
		t.Errorf("events %v %v", agreed.SendEvents, agreed.ReceiveEvents)
	}
}

func TestRTCPMux(t *testing.T) {
	offer := offerOf("m=audio 4000 RTP/AVP 8", "a=rtcp-mux")
	answer, agreed, _ := mustAnswer(t, offer, ours(), nil)
	has(t, answer, "a=rtcp-mux")
	if !agreed.RTCPMux || agreed.RemoteRTCP != agreed.Remote {
		t.Errorf("RTCP to %v", agreed.RemoteRTCP)
	}
	a := ours()
	a.RTCPMux = false
	answer, agreed, _ = mustAnswer(t, offer, a, nil)
	hasNot(t, answer, "rtcp-mux")
	if agreed.RTCPMux || agreed.RemoteRTCP.Port() != 4001 {
		t.Errorf("RTCP to %v", agreed.RemoteRTCP)
	}
}
