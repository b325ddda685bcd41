// Package baresip drives baresip, a SIP telephone that none of us wrote, for tests: each Phone is a process with a configuration of its own, is
// told what to do over its control socket, says what the test gives it, and records what it hears.
package baresip

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"passerelle/internal/testpeer/said"
)

// Options says which telephone to start.
type Options struct {
	Bind           string    // loopback address of SIP and RTP; empty: 127.0.0.1
	User, Name     string    // what From shows; an empty user: "phone"
	Codec          string    // PCMA, PCMU, G722 or opus
	Encryption     string    // baresip's mediaenc: srtp-mand, dtls_srtp …; empty: none
	Login          [2]string // user and password for a challenge; empty: none
	Transport      string    // udp, tcp or tls; empty: udp
	Video          bool      // offers H.264 and VP8, too
	Extra          string    // further lines of configuration
	AccountOptions string    // further parameters of the account, each with its semicolon before it
}

// Phone is a running baresip. Its methods are for one goroutine.
type Phone struct {
	o       Options
	dir     string
	rate    int // of what it says
	cmd     *exec.Cmd
	exited  chan struct{}
	said    int // files that were said
	control *control
	log     *said.Text
}

// rates are what baresip wants to play at, in Hz: the codec's own rate.
func rates() map[string]int {
	return map[string]int{"PCMA": 8000, "PCMU": 8000, "G722": 16000, "opus": 48000}
}

// Start starts a telephone, and ends it with the test.
func Start(t testing.TB, o Options) *Phone {
	t.Helper()
	if o.Bind == "" {
		o.Bind = "127.0.0.1"
	}
	if o.User == "" {
		o.User = "phone"
	}
	if o.Transport == "" {
		o.Transport = "udp"
	}
	p := &Phone{o: o, dir: t.TempDir(), rate: rates()[o.Codec], exited: make(chan struct{}), log: &said.Text{}}
	if p.rate == 0 {
		t.Fatalf("baresip: no codec %q", o.Codec)
	}
	address := freePort(t)
	if err := p.configure(address); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command("baresip", "-f", p.dir)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("baresip (make setup-test installs it): %v", err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() { p.end(t) })
	deadline := time.Now().Add(10 * time.Second)
	for p.control == nil {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			p.control = newControl(conn)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("baresip does not answer: %v\n%s", err, p.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return p
}

// configure writes baresip's directory of configuration.
func (p *Phone) configure(control string) error {
	if err := writeWAV(filepath.Join(p.dir, "silence.wav"), nil, p.rate); err != nil {
		return err
	}
	codec, module := p.o.Codec, "g711"
	switch p.o.Codec {
	case "G722":
		codec, module = "G722/16000/1", "g722"
	case "opus":
		codec, module = "opus/48000/2", "opus"
	}
	var c strings.Builder
	for _, m := range []string{module, "aufile", "aubridge", "sndfile", "srtp", "dtls_srtp"} {
		fmt.Fprintf(&c, "module %s.so\n", m)
	}
	if p.o.Video {
		c.WriteString("module fakevideo.so\nmodule vp8.so\nvideo_source fakevideo,nil\nvideo_display fakevideo,nil\n")
	}
	fmt.Fprintf(&c, `module_path /usr/lib/baresip/modules
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen %s
net_interface %s
sip_listen %s:0
audio_source aufile,%s/silence.wav
audio_player aubridge,x
ausrc_srate %d
ausrc_channels 1
auplay_srate %d
auplay_channels 1
snd_path %s
jitter_buffer_delay 1-3
%s
`, control, p.o.Bind, p.o.Bind, p.dir, p.rate, p.rate, p.dir, p.o.Extra)
	account := fmt.Sprintf("%q <sip:%s@%s;transport=%s>;regint=0;audio_codecs=%s", p.o.Name, p.o.User, p.o.Bind, p.o.Transport, codec)
	if p.o.Encryption != "" {
		account += ";mediaenc=" + p.o.Encryption
	}
	if p.o.Login[0] != "" {
		account += ";auth_user=" + p.o.Login[0] + ";auth_pass=" + p.o.Login[1]
	}
	for name, text := range map[string]string{"config": c.String(), "accounts": account + p.o.AccountOptions + "\n", "contacts": ""} {
		if err := os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// end ends the process, kindly first.
func (p *Phone) end(t testing.TB) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	if p.control != nil {
		p.control.close()
	}
	if t.Failed() {
		t.Logf("baresip %s said:\n%s", p.o.Codec, p.log)
	}
}

// Log is what baresip has printed so far.
func (p *Phone) Log() string { return p.log.String() }

// freePort is a loopback host:port for the control socket.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
