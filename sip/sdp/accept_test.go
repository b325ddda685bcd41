package sdp

import (
	"errors"
	"testing"

	"passerelle/bridge"
)

func TestAcceptRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer []byte
		class  error
	}{
		{"empty", nil, ErrMalformed},
		{"video", offerOf("m=video 4000 RTP/AVP 8"), ErrMalformed},
		{"refused", offerOf("m=audio 0 RTP/AVP 8"), bridge.ErrNoCodec},
		{"other codecs", offerOf("m=audio 4000 RTP/AVP 18 97", "a=rtpmap:97 iLBC/8000"), bridge.ErrNoCodec},
		{"transport", offerOf("m=audio 4000 TCP/RTP/AVP 8"), bridge.ErrNoCodec},
		{"multicast", offerOf("m=audio 4000 RTP/AVP 8", "c=IN IP4 239.1.1.1"), ErrMalformed},
	} {
		_, st := Offer(ours(), nil)
		if _, _, err := Accept(st, c.answer, ours()); !errors.Is(err, c.class) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, _, err := Accept(State{}, offerOf("m=audio 4000 RTP/AVP 8"), ours()); !errors.Is(err, ErrMalformed) {
		t.Errorf("an answer to nothing: %v", err)
	}
}

// TestOurRounds is a call that we offered: hold by us, a refresh, hold by them, the stream taken away.
func TestOurRounds(t *testing.T) {
	a := ours()
	a.Encryption, a.Codecs = Off, codecs("opus", "PCMA")
	first, st := Offer(a, nil)
	g, st, err := Accept(st, offerOf("m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 telephone-event/8000"), a)
	if err != nil || g.Codec.Name != "PCMA" || !g.TheyHear || !g.WeHear {
		t.Fatalf("%+v, %v", g, err)
	}
	refresh, _ := Offer(a, &st)
	if string(refresh) != string(first) {
		t.Errorf("a refresh changes:\n%s", refresh)
	}

	a.Direction = SendOnly
	hold, held := Offer(a, &st)
	has(t, string(hold), "a=sendonly", "o=passerelle 4242 2 IN IP4 192.0.2.1")
	g, held, err = Accept(held, offerOf("m=audio 4000 RTP/AVP 8", "a=recvonly"), a)
	if err != nil || !g.TheyHear || g.WeHear {
		t.Errorf("on hold: %+v, %v", g, err)
	}

	a.Direction = SendRecv
	answer, g, st := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8 111", "a=rtpmap:111 opus/48000/2", "a=inactive"), a, &held)
	has(t, answer, "a=inactive", "m=audio 16384 RTP/AVP 8", "o=passerelle 4242 3 IN IP4 192.0.2.1")
	if g.TheyHear || g.WeHear {
		t.Errorf("held by them: %+v", g)
	}

	_, st = Offer(a, &st)
	g, st, err = Accept(st, offerOf("m=audio 0 RTP/AVP 8"), a)
	if err != nil || g.TheyHear || g.WeHear || g.Remote.IsValid() {
		t.Errorf("taken away: %+v, %v", g, err)
	}
	gone, _ := Offer(a, &st)
	has(t, string(gone), "m=audio 0 RTP/AVP 8 111")
}

// TestRefusedLinesStay checks that our offers after an answer of ours keep the lines that we refused (RFC 3264, section 8).
func TestRefusedLinesStay(t *testing.T) {
	answer, _, st := mustAnswer(t, read(t, "cisco-roomkit.offer"), ours(), nil)
	offer, st := Offer(ours(), &st)
	if string(offer) != answer {
		t.Errorf("the refresh differs from what we said:\n%s", offer)
	}
	if _, _, err := Accept(st, offerOf("m=audio 4000 RTP/AVP 105"), ours()); !errors.Is(err, ErrMalformed) {
		t.Errorf("one line answers five: %v", err)
	}
}

func TestUnchosenSuitesAreDropped(t *testing.T) {
	a := ours()
	a.Encryption = Require
	_, st := Offer(a, nil)
	_, st, err := Accept(st, offerOf("m=audio 4000 RTP/SAVP 8", "a=crypto:4"+line128[len("a=crypto:1"):]), a)
	if err != nil {
		t.Fatal(err)
	}
	offer, _ := Offer(a, &st)
	has(t, string(offer), "o=passerelle 4242 2 IN IP4 192.0.2.1")
	hasNot(t, string(offer), "GCM", "a=crypto:1")
}
