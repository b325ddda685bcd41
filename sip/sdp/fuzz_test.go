package sdp

import (
	"bytes"
	"errors"
	"testing"

	"passerelle/bridge"
)

// FuzzAnswer answers anything, twice: an answer mirrors its offer, is syntax, repeats itself, and errors have a class.
func FuzzAnswer(f *testing.F) {
	for _, c := range answerCases {
		f.Add(read(f, c.name+".offer"), uint8(Prefer))
	}
	f.Add(offerOf("m=audio 4000 RTP/SAVP 8", line128, "a=inactive", "a=rtcp:1 IN IP6 ::"), uint8(Require))
	f.Add([]byte("m=audio 1 RTP/AVP 0"), uint8(Off))
	f.Fuzz(func(t *testing.T, offer []byte, policy uint8) {
		a := ours()
		a.Encryption = Encryption(policy % 3)
		answer, agreed, st, err := Answer(offer, a, nil)
		if err != nil {
			checkClass(t, err)
			return
		}
		checkMirror(t, offer, answer)
		if a.Encryption == Require && !agreed.Encrypted() || a.Encryption == Off && agreed.Encrypted() {
			t.Errorf("policy %d, encrypted %v", a.Encryption, agreed.Encrypted())
		}
		if len(agreed.Receive) == 0 || agreed.Receive[0] != agreed.Codec {
			t.Errorf("receive %v, send %v", agreed.Receive, agreed.Codec)
		}
		again, _, st, err := Answer(offer, a, &st)
		if err != nil || !bytes.Equal(again, answer) {
			t.Errorf("again (%v):\n%s", err, again)
		}
		if _, err := parse(answer); err != nil {
			t.Errorf("%v:\n%s", err, answer)
		}
		ours, _ := Offer(a, &st)
		checkMirror(t, offer, ours)
	})
}

// FuzzAccept takes anything as an answer to each kind of offer of ours, and again in a second round.
func FuzzAccept(f *testing.F) {
	for _, c := range acceptCases {
		f.Add(read(f, c.name+".answer"), uint8(Prefer), true)
	}
	f.Add(offerOf("m=audio 0 RTP/SAVP 8"), uint8(Require), false)
	f.Fuzz(func(t *testing.T, answer []byte, policy uint8, sdes bool) {
		a := ours()
		if a.Encryption = Encryption(policy % 3); !sdes {
			a.Suites = nil
		}
		first, st := Offer(a, nil)
		for range 2 {
			agreed, next, err := Accept(st, answer, a)
			if err != nil {
				checkClass(t, err)
				return
			}
			if a.Encryption == Require && !agreed.Encrypted() {
				t.Error("clear, and encryption is required")
			}
			var offer []byte
			offer, st = Offer(a, &next)
			if len(mediaLines(offer)) != len(mediaLines(first)) {
				t.Errorf("lines come or go:\n%s", offer)
			}
		}
	})
}

func checkClass(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrMalformed) && !errors.Is(err, bridge.ErrNoCodec) && !errors.Is(err, bridge.ErrNotEncrypted) {
		t.Errorf("an error without a class: %v", err)
	}
}
