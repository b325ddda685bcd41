package bridge

import (
	"testing"
	"testing/synctest"
	"time"

	"passerelle/bridge/ivr"
	"passerelle/transcode"
)

// A # behind a PIN whose length is known comes when the next question is being asked already: it must not cut it short.
func TestHashBehindPIN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, &fakeSFU{}, fakeDirectory{}, nil)
		b.leg.press("0000000000#")
		typed := time.Now()
		<-b.done
		var said time.Duration
		for _, name := range []ivr.Name{ivr.WrongPIN, ivr.EnterPIN, ivr.NoInput} {
			said += time.Duration(len(b.node.Prompts.Clip("en", name))) * time.Second / transcode.Rate
		}
		if took := time.Since(typed); took < said+b.node.IVR.PINTimeout-time.Second {
			t.Errorf("the call ended after %v: the caller did not hear all of %v, and then had %v", took, said, b.node.IVR.PINTimeout)
		}
		b.ends(ErrNoPIN)
	})
}
