//go:build e2e

package phone_test

import (
	"testing"
	"time"

	"passerelle/e2e/stack"
	"passerelle/internal/testpeer/baresip"
)

// TestCodecs has baresip call by every transport with every codec, and with both ways of encryption; telephone and room speak at the same time.
func TestCodecs(t *testing.T) {
	t.Parallel()
	cases := []struct{ transport, codec, encryption string }{
		{"udp", "PCMA", ""},
		{"udp", "PCMU", ""},
		{"udp", "G722", ""},
		{"udp", "opus", ""},
		{"tcp", "PCMA", ""},
		{"tcp", "PCMU", ""},
		{"tcp", "G722", ""},
		{"tcp", "opus", ""},
		{"tls", "PCMA", "srtp-mand"},
		{"tls", "PCMU", "srtp-mand"},
		{"tls", "G722", "srtp-mand"},
		{"tls", "opus", "srtp-mand"},
		{"udp", "PCMA", "dtls_srtp"},
		{"tls", "opus", "dtls_srtp"},
	}
	h := start(t, stack.Options{Rooms: len(cases)})
	for n, c := range cases {
		t.Run(c.transport+" "+c.codec+" "+c.encryption, func(t *testing.T) {
			t.Parallel()
			s := h.scene(t, n)
			p := baresip.Start(t, baresip.Options{User: "+33123456712", Transport: c.transport, Codec: c.codec, Encryption: c.encryption})
			s.enter(p, c.transport)
			_, phone := s.converse(p)
			if wide := c.codec == "G722" || c.codec == "opus"; wide != (phone.treble > -10) {
				t.Errorf("treble %.1f dB with %s", phone.treble, c.codec)
			}
			p.HangUp(t)
			stack.Eventually(t, 5*time.Second, "the telephone leaves the room", func() bool { _, there := s.guest(); return !there })
		})
	}
}
