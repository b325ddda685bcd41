package baresip

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"passerelle/transcode"
	"passerelle/transcode/resample"
	"passerelle/transcode/wav"
)

// Call dials a SIP URI and returns when the call is established.
func (p *Phone) Call(t testing.TB, uri string) {
	t.Helper()
	if closed := p.Try(t, uri); closed != "" {
		t.Fatalf("the call was refused: %s", closed)
	}
}

// Try dials a SIP URI and returns why the call was refused ("488 Not Acceptable Here"), or nothing when it is established.
func (p *Phone) Try(t testing.TB, uri string) (refused string) {
	t.Helper()
	if p.o.Transport != "udp" && !strings.Contains(uri, ";transport=") {
		uri += ";transport=" + p.o.Transport
	}
	p.Command(t, "dial", uri)
	m, err := p.control.wait("CALL_ESTABLISHED", "CALL_CLOSED")
	if err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}
	if m.Type == "CALL_CLOSED" {
		return m.Param
	}
	return ""
}

// Command has baresip do one of its commands and answers what it prints.
func (p *Phone) Command(t testing.TB, name, params string) string {
	t.Helper()
	text, err := p.control.command(name, params)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// keyTime is from one key to the next.
const keyTime = 150 * time.Millisecond

// Press presses keys, one after the other: telephone-events (RFC 4733).
func (p *Phone) Press(t testing.TB, keys string) {
	t.Helper()
	for _, k := range keys {
		p.Command(t, "sndcode", string(k))
		time.Sleep(keyTime) // as a hand does
	}
}

// Hold puts the call on hold and Resume takes it back. The far end's agreement is not waited for.
func (p *Phone) Hold(t testing.TB) {
	t.Helper()
	p.Command(t, "hold", "")
}

// Resume ends Hold.
func (p *Phone) Resume(t testing.TB) {
	t.Helper()
	p.Command(t, "resume", "")
}

// HangUp ends the call.
func (p *Phone) HangUp(t testing.TB) {
	t.Helper()
	p.Command(t, "hangup", "")
}

// Closed waits until the far end has ended the call, and answers how.
func (p *Phone) Closed(t testing.TB) string {
	t.Helper()
	m, err := p.control.wait("CALL_CLOSED")
	if err != nil {
		t.Fatalf("%v\n%s", err, p.log)
	}
	return m.Param
}

// Say begins to say a clip (48 kHz) at once, and then is silent.
func (p *Phone) Say(t testing.TB, clip []int16) {
	t.Helper()
	pcm, err := resample.Convert(clip, transcode.Rate, p.rate)
	if err != nil {
		t.Fatal(err)
	}
	p.said++
	path := filepath.Join(p.dir, fmt.Sprintf("say-%d.wav", p.said))
	if err := writeWAV(path, pcm, p.rate); err != nil {
		t.Fatal(err)
	}
	p.Command(t, "ausrc", "aufile,"+path)
}

// Heard is what the telephone has heard so far, after its jitter buffer and its decoder, 48 kHz. What was lost or not sent is left out: its time
// is that of the packets. After a hold baresip 1.0 records no more: see Receiving.
func (p *Phone) Heard(t testing.TB) []int16 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "dump-*-dec.wav"))
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(files)
	var all []int16
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		const header = 44 // the sizes in it are right only when the call is over
		if len(b) < header {
			continue
		}
		channels, rate := int(binary.LittleEndian.Uint16(b[22:])), int(binary.LittleEndian.Uint32(b[24:]))
		if channels == 0 {
			continue
		}
		pcm := make([]int16, (len(b)-header)/2/channels)
		for i := range pcm {
			pcm[i] = int16(binary.LittleEndian.Uint16(b[header+2*channels*i:])) // the left one
		}
		if pcm, err = resample.Convert(pcm, rate, transcode.Rate); err != nil {
			t.Fatal(err)
		}
		all = append(all, pcm...)
	}
	return all
}

// Receiving is how much audio comes in now, in bit/s, whatever is done with it.
func (p *Phone) Receiving() int {
	var sent, received int
	all := p.Log()
	if i := strings.LastIndex(all, "audio="); i >= 0 {
		_, _ = fmt.Sscanf(all[i:], "audio=%d/%d", &sent, &received)
	}
	return received
}

// tail is the silence after a clip: at the end of a file baresip hangs up.
const tail = 90 * time.Second

// writeWAV writes a clip and the silence after it.
func writeWAV(path string, pcm []int16, rate int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return wav.Write(f, append(pcm[:len(pcm):len(pcm)], make([]int16, int(tail.Seconds())*rate)...), rate)
}
