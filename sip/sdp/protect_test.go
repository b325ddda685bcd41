package sdp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pion/srtp/v3"

	"passerelle/bridge"
)

const print256 = "a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F"

func TestCryptoLines(t *testing.T) {
	const key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd" // 0, 1, … 29
	long := strings.TrimRight("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj9AQUJDREVGR0hJSktMTQ==", "=")
	for _, c := range []struct {
		value string
		suite Suite // empty: the line is not usable
		mki   string
	}{
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key, AES128CM80, ""},
		{"1 aes_cm_128_hmac_sha1_80 Inline:" + key, AES128CM80, ""},
		{"1 AES_CM_128_HMAC_SHA1_32 inline:" + key + "|2^31", AES128CM32, ""},
		{"1 AES_CM_128_HMAC_SHA1_32 inline:" + key + "|1066:4", AES128CM32, "0000042a"},
		{"1 AES_CM_128_HMAC_SHA1_32 inline:" + key + "|1048576|1:1", AES128CM32, "01"},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|2^20|1:4;inline:" + key + "|2^20|2:4", AES128CM80, "00000001"},
		{"1 AES_256_CM_HMAC_SHA1_80 inline:" + long, AES256CM80, ""},
		{"1 AES_CM_256_HMAC_SHA1_32 inline:" + long + "==", AES256CM32, ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + " WSH=64 -FUTURE=1 KDR=0", AES128CM80, ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + " KDR=24", "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + " UNENCRYPTED_SRTP", "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + " UNENCRYPTED_SRTCP", "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + " UNAUTHENTICATED_SRTP", "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + " FEC_ORDER=FEC_SRTP", "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|1:129", "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|256:1", "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|-1:1", "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:" + key[:36], "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 inline:!" + key[1:], "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80 prompt:" + key, "", ""},
		{"x AES_CM_128_HMAC_SHA1_80 inline:" + key, "", ""},
		{"1234567890 AES_CM_128_HMAC_SHA1_80 inline:" + key, "", ""},
		{"1 AES_192_CM_HMAC_SHA1_80 inline:" + key, "", ""},
		{"1 AEAD_AES_128_GCM inline:" + key, "", ""},
		{"1 AES_CM_128_HMAC_SHA1_80", "", ""},
		{"", "", ""},
	} {
		got, ok := parseCrypto(c.value)
		if ok != (c.suite != "") || got.suite != c.suite || fmt.Sprintf("%x", got.mki) != c.mki {
			t.Errorf("%q: %v %s mki %x", c.value, ok, got.suite, got.mki)
		}
		if ok && got.tag != "1" {
			t.Errorf("%q: tag %q", c.value, got.tag)
		}
	}
}

// TestBothEnds lets Passerelle talk to itself in every suite: what one end sends under SRTP, the other decrypts.
func TestBothEnds(t *testing.T) {
	profiles := map[Suite]srtp.ProtectionProfile{
		AES128CM80: srtp.ProtectionProfileAes128CmHmacSha1_80, AES128CM32: srtp.ProtectionProfileAes128CmHmacSha1_32,
		AES256CM80: srtp.ProtectionProfileAes256CmHmacSha1_80, AES256CM32: srtp.ProtectionProfileAes256CmHmacSha1_32,
		AES128GCM: srtp.ProtectionProfileAeadAes128Gcm, AES256GCM: srtp.ProtectionProfileAeadAes256Gcm,
	}
	for _, policy := range []Encryption{Prefer, Require} {
		for _, suite := range Suites() {
			near, far := ours(), ours()
			near.Encryption, near.Suites = policy, []Suite{suite}
			far.KeySeed = bytes.Repeat([]byte{7}, 32)
			offer, st := Offer(near, nil)
			answer, theirs, _ := mustAnswer(t, offer, far, nil)
			mine, _, err := Accept(st, []byte(answer), near)
			if err != nil {
				t.Fatal(err)
			}
			a, b := mine.Protection.SDES, theirs.Protection.SDES
			if a == nil || b == nil || a.Suite != suite || b.Suite != suite {
				t.Fatalf("%s: %+v %+v", suite, a, b)
			}
			for _, way := range [][2]Key{{a.Local, b.Remote}, {b.Local, a.Remote}} {
				n := suite.KeyLen()
				out, err := srtp.CreateContext(way[0][:n], way[0][n:], profiles[suite])
				if err != nil {
					t.Fatal(err)
				}
				in, err := srtp.CreateContext(way[1][:n], way[1][n:], profiles[suite])
				if err != nil {
					t.Fatal(err)
				}
				packet := append([]byte{0x80, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1}, "hello"...)
				sealed, err := out.EncryptRTP(nil, packet, nil)
				if err != nil {
					t.Fatal(err)
				}
				if opened, err := in.DecryptRTP(nil, sealed, nil); err != nil || !bytes.Equal(opened, packet) {
					t.Errorf("%s: %q, %v", suite, opened, err)
				}
			}
			if bytes.Equal(a.Local, b.Local) {
				t.Errorf("%s: both ways use one key", suite)
			}
		}
	}
}

func TestKeysOverRounds(t *testing.T) {
	with := func(suite Suite, seed byte) []byte {
		k := crypto{tag: "1", name: string(suite), suite: suite, key: bytes.Repeat([]byte{seed}, suite.KeyLen()+suite.SaltLen())}
		return offerOf("m=audio 4000 RTP/SAVP 8", "a=crypto:"+k.line())
	}
	_, first, st := mustAnswer(t, with(AES128CM80, 1), ours(), nil)
	_, again, st := mustAnswer(t, with(AES128CM80, 1), ours(), &st)
	if !bytes.Equal(first.Protection.SDES.Local, again.Protection.SDES.Local) {
		t.Error("our key changed and theirs did not")
	}
	offer, _ := Offer(ours(), &st)
	has(t, string(offer), "o=passerelle 4242 1 IN IP4 192.0.2.1", "m=audio 16384 RTP/SAVP 8")
	seen := map[string]bool{string(first.Protection.SDES.Local): true}
	for i, o := range [][]byte{with(AES128CM80, 2), with(AES256GCM, 2), with(AES128CM80, 2), with(AES128CM80, 1)} {
		var g Agreed
		_, g, st = mustAnswer(t, o, ours(), &st)
		if k := string(g.Protection.SDES.Local); seen[k] {
			t.Errorf("round %d: a key of ours came back", i)
		} else {
			seen[k] = true
		}
	}
}

func TestBestEffort(t *testing.T) {
	a := ours()
	a.Fingerprint = ""
	answer, agreed, _ := mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8", strings.Replace(line128, "crypto:1", "crypto:77", 1)), a, nil)
	has(t, answer, "m=audio 16384 RTP/AVP 8")
	if !agreed.Encrypted() || !strings.Contains(answer, "a=crypto:77 AES_CM_128_HMAC_SHA1_80 inline:") {
		t.Errorf("clear:\n%s", answer)
	}
	a.Encryption = Off
	answer, agreed, _ = mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8", line128), a, nil)
	if hasNot(t, answer, "crypto"); agreed.Encrypted() {
		t.Error("encrypted")
	}
	a.Encryption = Prefer
	if _, agreed, _ = mustAnswer(t, offerOf("m=audio 4000 RTP/AVP 8", line128+" UNENCRYPTED_SRTP"), a, nil); agreed.Encrypted() {
		t.Error("a line that encrypts nothing counts as encrypted")
	}
}

func TestSetup(t *testing.T) {
	const m = "m=audio 4000 UDP/TLS/RTP/SAVPF 8"
	for _, c := range []struct {
		lines  []string
		answer string
		active bool
		hears  bool
	}{
		{[]string{m, print256, "a=setup:actpass"}, "a=setup:active", true, true},
		{[]string{print256, "a=setup:actpass", m}, "a=setup:active", true, true},
		{[]string{"a=setup:active", m, print256, "a=setup:passive"}, "a=setup:active", true, true},
		{[]string{m, print256, "a=setup:active"}, "a=setup:passive", false, true},
		{[]string{m, print256}, "a=setup:passive", false, true},
		{[]string{m, print256, "a=setup:holdconn"}, "a=setup:holdconn", false, false},
		{[]string{m, "c=IN IP4 host.example", print256, "a=setup:actpass"}, "a=setup:passive", false, true},
	} {
		answer, g, st := mustAnswer(t, offerOf(c.lines...), ours(), nil)
		has(t, answer, c.answer, "a=fingerprint:"+ours().Fingerprint)
		if g.Protection.DTLS == nil || g.Protection.DTLS.Active != c.active || g.TheyHear != c.hears {
			t.Errorf("%q: %+v", c.lines, g.Protection.DTLS)
		}
		offer, _ := Offer(ours(), &st)
		has(t, string(offer), "a=setup:actpass")
	}
	// A re-offer with the roles open keeps those of the association that lives, but not those of another.
	_, first, st := mustAnswer(t, offerOf(m, print256, "a=setup:active"), ours(), nil)
	again, g, _ := mustAnswer(t, offerOf(m, print256, "a=setup:actpass"), ours(), &st)
	has(t, again, "a=setup:passive")
	if !g.Protection.DTLS.Same(first.Protection.DTLS) {
		t.Error("another association")
	}
	again, g, _ = mustAnswer(t, offerOf(m, strings.Replace(print256, ":1F", ":20", 1), "a=setup:actpass"), ours(), &st)
	has(t, again, "a=setup:active")
	if g.Protection.DTLS.Same(first.Protection.DTLS) {
		t.Error("the same association")
	}
}

func TestAcceptProtection(t *testing.T) {
	reflected := func(offer []byte) string {
		_, rest, _ := strings.Cut(string(offer), "a=crypto:1 ")
		value, _, _ := strings.Cut(rest, "\r\n")
		return "a=crypto:1 " + value
	}
	for _, c := range []struct {
		name   string
		policy Encryption
		answer func(offer []byte) []byte
		err    error
		active bool
	}{
		{"clear answers prefer", Prefer, func([]byte) []byte { return offerOf("m=audio 4000 RTP/AVP 8") }, nil, false},
		{"clear answers require", Require, func([]byte) []byte { return offerOf("m=audio 4000 RTP/AVP 8") }, bridge.ErrNotEncrypted, false},
		{"no key", Require, func([]byte) []byte { return offerOf("m=audio 4000 RTP/SAVP 8") }, bridge.ErrNotEncrypted, false},
		{"our own key", Require, func(o []byte) []byte { return offerOf("m=audio 4000 RTP/SAVP 8", reflected(o)) }, bridge.ErrNotEncrypted, false},
	} {
		a := ours()
		a.Encryption = c.policy
		offer, st := Offer(a, nil)
		if _, _, err := Accept(st, c.answer(offer), a); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for setup, active := range map[string]bool{"a=setup:active": false, "a=setup:passive": true, "a=x": true} {
		a := ours()
		a.Encryption, a.Suites = Require, nil
		_, st := Offer(a, nil)
		g, _, err := Accept(st, offerOf("m=audio 4000 UDP/TLS/RTP/SAVP 8", print256, setup), a)
		if err != nil || g.Protection.DTLS == nil || g.Protection.DTLS.Active != active {
			t.Errorf("%s: %+v, %v", setup, g.Protection.DTLS, err)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	_, g, st := mustAnswer(t, offerOf("m=audio 4000 RTP/SAVP 8", line128), ours(), nil)
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "agreed", g, "state", st)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "agreed", g, "state", st)
	j, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	text := b.String() + string(j) + fmt.Sprintf("%v %+v %#v %v %+v %#v %v %s", *g.Protection.SDES, *g.Protection.SDES, *g.Protection.SDES, st, st, st, &st, st)
	for _, k := range []Key{g.Protection.SDES.Local, g.Protection.SDES.Remote} {
		c := crypto{key: k}
		inline := strings.TrimPrefix(c.line(), "  inline:")
		for _, form := range []string{inline, fmt.Sprintf("%x", []byte(k)), fmt.Sprint([]byte(k))} {
			if strings.Contains(text, form) {
				t.Errorf("a key shows in %s", text)
			}
		}
	}
}
