package media

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// tool makes a command of a program that `make setup` installs, which ends with the test.
func tool(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is needed; make setup installs it", name)
	}
	return exec.CommandContext(t.Context(), path, args...)
}

// noise is sound of which no part is like another.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// ffmpegProfiles are the profiles that ffmpeg has, with the names under which its reports have tags of 80 bits with either, as they must
// (RFC 4568, section 6.2.2).
func ffmpegProfiles() map[string]string {
	return map[string]string{"AES_CM_128_HMAC_SHA1_80": "SRTP_AES128_CM_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32": "SRTP_AES128_CM_HMAC_SHA1_32", "": ""}
}

func TestFFmpegSendsToUs(t *testing.T) {
	for profile, suite := range ffmpegProfiles() {
		t.Run("profile="+profile, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			e := listen(s)
			p := params(t, netip.AddrPort{})
			p.Symmetric = true
			url := "rtp"
			var crypto []string
			if profile != "" {
				p.Protection.SDES = sdes(profile, 1, 2)
				url = "srtp"
				crypto = []string{"-srtp_out_suite", suite, "-srtp_out_params", base64.StdEncoding.EncodeToString(p.Protection.SDES.RemoteKey)}
			}
			set(t, s, p)
			sound := noise(8000)
			file := filepath.Join(t.TempDir(), "sound.al")
			if err := os.WriteFile(file, sound, 0o600); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"-nostdin", "-v", "error", "-re", "-f", "alaw", "-ar", "8000", "-ac", "1", "-i", file, "-c", "copy", "-f", "rtp", "-payload_type", "8"}, crypto...)
			args = append(args, fmt.Sprintf("%s://%s?pkt_size=200", url, s.LocalAddr()))
			if out, err := tool(t, "ffmpeg", args...).CombinedOutput(); err != nil {
				t.Fatalf("ffmpeg: %v: %s", err, out)
			}
			var heard []byte
			until(t, "all is heard", func() bool {
				heard = nil
				for _, f := range e.heard() {
					heard = append(heard, f.payload...)
				}
				return len(heard) >= len(sound)
			})
			if !bytes.Equal(heard, sound) {
				t.Error("other bytes than ffmpeg sent")
			}
			if st := s.Stats(); st.Invalid+st.Lost != 0 { // its first report, which comes before any sound, is foreign
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestWeSendToFFmpeg(t *testing.T) {
	for _, profile := range []string{"AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			reserved := open(t) // an even port with the next one, for ffmpeg
			to := reserved.LocalAddr()
			reserved.Close()
			p := params(t, to)
			p.Protection.SDES = sdes(profile, 1, 2)
			set(t, s, p)
			dir := t.TempDir()
			sdp, out := filepath.Join(dir, "in.sdp"), filepath.Join(dir, "out.al")
			text := fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %d RTP/SAVP 8\r\na=crypto:1 %s inline:%s\r\n",
				to.Port(), profile, base64.StdEncoding.EncodeToString(p.Protection.SDES.LocalKey))
			if err := os.WriteFile(sdp, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := tool(t, "ffmpeg", "-nostdin", "-v", "error", "-protocol_whitelist", "file,srtp,rtp,udp", "-probesize", "32", "-analyzeduration", "0",
				"-i", sdp, "-c", "copy", "-flush_packets", "1", "-f", "alaw", out)
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			sound := noise(160 * 1000)
			var heard []byte
			for i := range 500 { // until ffmpeg listens and has written some
				s.WriteFrame(sound[160*i:160*(i+1)], 160, i == 0)
				time.Sleep(10 * time.Millisecond) // the pace of a fast sender
				if heard, _ = os.ReadFile(out); len(heard) > 4000 {
					break
				}
			}
			if len(heard) <= 4000 || !bytes.Contains(sound, heard) {
				t.Errorf("ffmpeg heard %d bytes that are not what we sent: %s", len(heard), complaints.String())
			}
		})
	}
}

// lines keeps what a program says.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// OpenSSL shakes hands with us in both roles and says which keys it has: a packet under them must be understood.
func TestOpenSSLShakesHands(t *testing.T) {
	for _, client := range []bool{false, true} {
		t.Run(fmt.Sprintf("our role client=%v", client), func(t *testing.T) {
			t.Parallel()
			theirs, err := newCertificate()
			if err != nil {
				t.Fatal(err)
			}
			file := writePEM(t, theirs)
			s := open(t)
			e := listen(s)
			p := params(t, netip.AddrPort{})
			p.Symmetric = true
			args := []string{"s_client", "-connect", s.LocalAddr().String()}
			if client {
				reserved := open(t)
				p.Remote = reserved.LocalAddr()
				reserved.Close()
				args = []string{"s_server", "-accept", p.Remote.String(), "-verify", "1"}
			}
			p.Protection.DTLS = &DTLS{Client: client, Fingerprint: theirs.fingerprint}
			args = append(args, "-dtls1_2", "-cert", file, "-key", file, "-use_srtp", "SRTP_AES128_CM_SHA1_80",
				"-keymatexport", labelDTLS, "-keymatexportlen", "60")
			cmd := tool(t, "openssl", args...)
			var said lines
			cmd.Stdout, cmd.Stderr = &said, &said
			stdin, err := cmd.StdinPipe() // it ends when this does
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() }()
			set(t, s, p)
			pattern := regexp.MustCompile(`Keying material: ([0-9A-F]{120})`)
			for deadline := time.Now().Add(10 * time.Second); !pattern.MatchString(said.String()) || s.Stats().Encryption == "none"; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("no handshake: %v\n%s", s.Failure(), said.String())
				}
			}
			if got := s.Stats().Encryption; got != "AES_CM_128_HMAC_SHA1_80" {
				t.Errorf("encrypted by %s", got)
			}
			material, _ := hex.DecodeString(pattern.FindStringSubmatch(said.String())[1])
			// Client's key, server's key, client's salt, server's salt (RFC 5764, section 4.2).
			ofClient, ofServer := bytes.Join([][]byte{material[:16], material[32:46]}, nil), bytes.Join([][]byte{material[16:32], material[46:]}, nil)
			local, remote := ofClient, ofServer
			if client {
				local, remote = ofServer, ofClient
			}
			k, err := newKeys("AES_CM_128_HMAC_SHA1_80", local, remote, 0)
			if err != nil {
				t.Fatal(err)
			}
			far := newPeer(t, s.LocalAddr())
			b, err := k.encryptRTP(append(make([]byte, 0, maxPacket), raw(8, false, 1, 0, 5, 1, 2, 3)...))
			if err != nil {
				t.Fatal(err)
			}
			far.send(b)
			until(t, "OpenSSL's key is understood", func() bool { return len(e.heard()) == 1 })
			s.WriteFrame(bytes.Repeat([]byte{7}, 160), 160, true)
			var pk packet
			n, err := k.decryptRTP(pk.buf[:copy(pk.buf[:], far.receive())])
			if err != nil || !pk.parse(n) || !bytes.Equal(pk.payload, bytes.Repeat([]byte{7}, 160)) {
				t.Errorf("what we send is not under OpenSSL's key: %v", err)
			}
		})
	}
}

// labelDTLS is RFC 5764's.
const labelDTLS = "EXTRACTOR-dtls_srtp"

// writePEM writes a certificate and its key as OpenSSL wants them.
func writePEM(t *testing.T, c *certificate) string {
	t.Helper()
	key, err := x509.MarshalECPrivateKey(c.tls.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.tls.Certificate[0]})
	pem.Encode(&text, &pem.Block{Type: "EC PRIVATE KEY", Bytes: key})
	file := filepath.Join(t.TempDir(), "dtls.pem")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
