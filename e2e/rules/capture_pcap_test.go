//go:build e2e

package rules_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"passerelle/e2e/stack"
)

// Protocols of IP.
const (
	hopByHop = 0 // options of IPv6 before another protocol
	tcp      = 6
	udp      = 17
	icmp6    = 58
)

// packet is one IP packet on the cable.
type packet struct {
	from, to netip.AddrPort // ports of TCP and UDP, else 0
	protocol uint8
}

// tap is a tcpdump on the gateway's cable.
type tap struct {
	path string
	cmd  *exec.Cmd
	said *bytes.Buffer
	done chan struct{}
}

// tapCable begins to record every packet on the cable.
func tapCable(t *testing.T) *tap {
	t.Helper()
	r := &tap{path: filepath.Join(t.TempDir(), "cable.pcap"), said: &bytes.Buffer{}, done: make(chan struct{})}
	r.cmd = exec.Command("tcpdump", "-Z", "root", "-i", cable, "-n", "-B", "16384", "--immediate-mode", "-U", "-w", r.path)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatalf("tcpdump (make setup-test installs it): %v", err)
	}
	listening := make(chan struct{})
	go func() {
		defer close(r.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(r.said, lines.Text())
			if strings.Contains(lines.Text(), "listening on") {
				close(listening)
			}
		}
		_ = r.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.done
	})
	select {
	case <-listening:
	case <-r.done:
		t.Fatalf("tcpdump ended:\n%s", r.said)
	case <-time.After(20 * time.Second):
		t.Fatal("tcpdump does not listen")
	}
	return r
}

// sent ends the recording and answers what the gateway's machine sent, whatever address it gave itself. A last packet shows that nothing before it is
// still on its way to the file.
func (r *tap) sent(t *testing.T) []packet {
	t.Helper()
	card, err := net.InterfaceByName(cable)
	if err != nil {
		t.Fatal(err)
	}
	last, err := net.Dial("udp", router+":9")
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	if _, err := last.Write([]byte("the end")); err != nil {
		t.Fatal(err)
	}
	end := last.LocalAddr().(*net.UDPAddr).AddrPort()
	var list []packet
	stack.Eventually(t, 20*time.Second, "all is in the file", func() bool {
		b, err := os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		frames, err := parsePcap(b)
		if err != nil {
			return false // half a frame
		}
		list = nil
		for _, f := range frames {
			if len(f) < 14 || !bytes.Equal(f[6:12], card.HardwareAddr) {
				continue
			}
			if p, ok := parseFrame(f); ok && p.from == end {
				return true
			} else if ok {
				list = append(list, p)
			}
		}
		return false
	})
	_ = r.cmd.Process.Signal(syscall.SIGINT)
	<-r.done
	if !strings.Contains(r.said.String(), "\n0 packets dropped by kernel") {
		t.Fatalf("not every packet was recorded:\n%s", r.said)
	}
	return list
}

// parsePcap reads a capture file of Ethernet frames in this machine's byte order.
func parsePcap(b []byte) (frames [][]byte, err error) {
	const fileHeader, frameHeader = 24, 16
	if len(b) < fileHeader || binary.NativeEndian.Uint32(b) != 0xa1b2c3d4 || binary.NativeEndian.Uint32(b[20:]) != 1 {
		return nil, fmt.Errorf("not a capture of Ethernet: %x", b[:min(len(b), fileHeader)])
	}
	for b = b[fileHeader:]; len(b) > 0; {
		if len(b) < frameHeader {
			return nil, fmt.Errorf("%d bytes are no frame", len(b))
		}
		kept, length := binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
		if kept != length || int(kept) > len(b)-frameHeader {
			return nil, fmt.Errorf("a frame of %d bytes has %d", length, kept)
		}
		frames = append(frames, b[frameHeader:frameHeader+kept])
		b = b[frameHeader+kept:]
	}
	return frames, nil
}

// parseFrame reads an Ethernet frame with an IP packet; false: it holds something else, such as ARP.
func parseFrame(f []byte) (packet, bool) {
	kind, b := binary.BigEndian.Uint16(f[12:]), f[14:]
	var p packet
	var from, to netip.Addr
	switch {
	case kind == 0x0800 && len(b) >= 20:
		from, to = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
		p.protocol, b = b[9], b[min(len(b), int(b[0]&0xf)*4):]
	case kind == 0x86dd && len(b) >= 40:
		from, to = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		p.protocol, b = b[6], b[40:]
		if p.protocol == hopByHop && len(b) >= 8 {
			p.protocol, b = b[0], b[min(len(b), 8+8*int(b[1])):]
		}
	default:
		return packet{}, false
	}
	var ports [2]uint16
	if (p.protocol == tcp || p.protocol == udp) && len(b) >= 4 {
		ports = [2]uint16{binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])}
	}
	p.from, p.to = netip.AddrPortFrom(from, ports[0]), netip.AddrPortFrom(to, ports[1])
	return p, true
}

// onlyTo fails the test for each destination that was sent to and is not in one of the networks. The kernel's own messages to its neighbours
// (ICMPv6 to groups of the link) are nobody's doing.
func onlyTo(t *testing.T, sent []packet, networks ...netip.Prefix) {
	t.Helper()
	elsewhere := map[string]int{}
	for _, p := range sent {
		to := p.to.Addr()
		neighbours := p.protocol == icmp6 && to.IsLinkLocalMulticast()
		if !neighbours && !slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(to) }) {
			elsewhere[fmt.Sprintf("from %s to %s, protocol %d", p.from, p.to, p.protocol)]++
		}
	}
	for what, n := range elsewhere {
		t.Errorf("%d packets %s: nobody granted that", n, what)
	}
}

// count is how many UDP packets went to an address, from and to ports that are wanted.
func count(sent []packet, to string, want func(from, to uint16) bool) (n int) {
	for _, p := range sent {
		if p.protocol == udp && p.to.Addr() == netip.MustParseAddr(to) && want(p.from.Port(), p.to.Port()) {
			n++
		}
	}
	return n
}

// The kinds of packets that a gateway sends over UDP.
func isDNS(_, to uint16) bool    { return to == 53 }
func isRTP(from, _ uint16) bool  { return from >= 20000 && from < 30000 && from%2 == 0 }
func isRTCP(from, _ uint16) bool { return from >= 20000 && from < 30000 && from%2 == 1 }
func isSIP(from, _ uint16) bool  { return from >= 10000 && from < 20000 }
