//go:build e2e

package faults

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pion/srtp/v3"

	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/speech"
	"passerelle/transcode"
)

// TestReplay has a caller speak whose network sends each packet again, at once and later, and mixes others' among them: from the very address that
// the gateway listens to, with and without encryption. The room hears nothing of it.
func TestReplay(t *testing.T) {
	t.Parallel()
	h := open(t, stack.Options{})
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted=%v", encrypted), func(t *testing.T) {
			c := newCaller(t, h.SIP, "127.0.0.1")
			offer := c.sdp()
			if encrypted {
				offer = c.encrypt()
			}
			c.invite(offer, "")
			if !c.answered() {
				return
			}
			quiet := c.hum()
			c.digits(stack.PIN + "#")
			stack.Eventually(t, patience, "the caller is in the room", func() bool { return h.sees(c) })
			quiet()

			said := talk(t, "fr", speech.French, 5*time.Second)
			for try := 1; ; try++ { // as converse does
				at := time.Now()
				packets := sayAgain(c, said)
				time.Sleep(time.Second) // until the last of it is heard
				q := measure(h.camille.Tape, said, at)
				t.Logf("Camille hears the caller: %v (%d packets, each sent four times)", q, packets)
				if !q.bad() {
					break
				}
				if try == 3 {
					t.Fatal("Camille does not hear the caller")
				}
			}
			c.bye()
		})
	}
}

// encrypt offers SRTP (RFC 4568), and encrypts what is said from now on.
func (c *caller) encrypt() string {
	var key [30]byte
	_, _ = rand.Read(key[:])
	var err error
	if c.voice.lock, err = srtp.CreateContext(key[:16], key[16:], srtp.ProtectionProfileAes128CmHmacSha1_80); err != nil {
		c.t.Fatal(err)
	}
	return strings.Replace(c.sdp(), "RTP/AVP", "RTP/SAVP", 1) +
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + base64.StdEncoding.EncodeToString(key[:]) + "\r\n"
}

// sayAgain says 48 kHz sound in packets of 20 ms, each followed by copies of itself and of earlier ones, and by forgeries. It returns how many
// packets there were.
func sayAgain(c *caller, said []int16) int {
	pcma, _ := transcode.Lookup("PCMA", 8000)
	encoder, err := pcma.NewEncoder(transcode.EncoderOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	var sent [][]byte
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	small, payload := make([]int16, 160), make([]byte, 160)
	for n := 0; len(said) >= 960; n++ {
		<-tick.C
		for i := range small {
			small[i] = said[6*i]
		}
		said = said[960:]
		if _, err := encoder.Encode(payload, small); err != nil {
			c.t.Fatal(err)
		}
		b := c.voice.write(payload)
		sent = append(sent, b)
		for _, back := range []int{0, 3, 70} {
			if n >= back {
				c.voice.send(sent[n-back])
			}
		}
		for _, forge := range []func(b []byte){
			func(b []byte) { b[11]++ },                                      // another source
			func(b []byte) { b[3] += 2; b[len(b)-1] ^= 0x40; b[8] ^= 0xff }, // the packet after the next, of another source
			func(b []byte) { b[1] ^= 0x11 },                                 // a payload type that was not agreed
			func(b []byte) { b[0] = 0x1f },                                  // no RTP
		} {
			forged := bytes.Clone(b)
			_, _ = rand.Read(forged[12:40])
			forge(forged)
			c.voice.send(forged)
		}
	}
	return len(sent)
}
