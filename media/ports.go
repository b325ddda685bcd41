package media

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"passerelle/internal/egress"
)

// ErrNoPorts says that every port of the range is taken.
var ErrNoPorts = errors.New("media: every RTP port is in use")

// socketBuffer holds about a second of packets with what the kernel adds to each. More would only store a flood.
const socketBuffer = 64 << 10

// Ports hands out pairs of UDP ports: an even one for RTP and the next for RTCP (RFC 3550, section 11). It also has the certificate that all
// its streams show in DTLS. Its methods may be called from any goroutine.
type Ports struct {
	guard    *egress.Guard
	min, max int
	cert     *certificate
	readers  []*reader     // one for each processor
	every    time.Duration // mean time between two RTCP reports

	mu     sync.Mutex
	next   int
	taken  map[int]bool
	open   int
	opened int // so far
}

// NewPorts makes streams with ports from min to max, both included. Both 0: ports that the system chooses.
func NewPorts(guard *egress.Guard, minPort, maxPort int) (*Ports, error) {
	first := minPort + minPort%2
	if (minPort != 0 || maxPort != 0) && (minPort < 1024 || maxPort > 65535 || maxPort < first+1) {
		return nil, fmt.Errorf("media: ports %d to %d hold no even port from 1024 on with the next one up to 65535", minPort, maxPort)
	}
	cert, err := newCertificate()
	if err != nil {
		return nil, err
	}
	p := &Ports{guard: guard, min: first, max: maxPort, cert: cert, every: reportEvery, taken: map[int]bool{}}
	p.next = first
	for range runtime.GOMAXPROCS(0) {
		p.readers = append(p.readers, new(reader))
	}
	if n := p.pairs(); n > 0 {
		p.next = first + 2*rand.IntN(n)
	}
	return p, nil
}

// Fingerprint is the value of a=fingerprint of all streams: "sha-256 4A:AD:…".
func (p *Ports) Fingerprint() string { return p.cert.fingerprint }

// InUse counts the open streams.
func (p *Ports) InUse() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

// Open binds a pair of ports on the address and starts a stream, which is silent until Set.
func (p *Ports) Open(ctx context.Context, bind netip.Addr) (*Stream, error) {
	rtp, rtcp, err := p.listenPair(ctx, bind)
	if err != nil {
		return nil, err
	}
	port := rtp.LocalAddr().(*net.UDPAddr).Port
	p.mu.Lock()
	p.open++
	r := p.readers[p.opened%len(p.readers)]
	p.opened++
	p.mu.Unlock()
	s, err := newStream(p, r, rtp, rtcp)
	if err != nil {
		p.closed(port)
		return nil, fmt.Errorf("media: %w", err)
	}
	return s, nil
}

// listenPair tries each free pair once. Ports that another program holds are passed over.
func (p *Ports) listenPair(ctx context.Context, bind netip.Addr) (rtp, rtcp *net.UDPConn, err error) {
	tries := p.pairs()
	if p.max == 0 {
		tries = 64
	}
	for range tries {
		port, ok := p.take()
		if !ok {
			break
		}
		if rtp, err = p.listen(ctx, bind, port); err == nil {
			own := rtp.LocalAddr().(*net.UDPAddr).Port
			if own%2 == 0 && own < 65535 {
				if rtcp, err = p.listen(ctx, bind, own+1); err == nil {
					return rtp, rtcp, nil
				}
			}
			rtp.Close()
		}
		p.free(port)
		if err != nil && !errors.Is(err, syscall.EADDRINUSE) {
			return nil, nil, fmt.Errorf("media: %w", err)
		}
	}
	return nil, nil, fmt.Errorf("%w: %d to %d", ErrNoPorts, p.min, p.max)
}

// listen opens one socket.
func (p *Ports) listen(ctx context.Context, bind netip.Addr, port int) (*net.UDPConn, error) {
	c, err := p.guard.ListenUDP(ctx, net.JoinHostPort(bind.String(), strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	if err = errors.Join(c.SetReadBuffer(socketBuffer), c.SetWriteBuffer(socketBuffer)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// take reserves the next pair in turn. A port that was just freed is the last to come again, because its old far end may still send to it.
func (p *Ports) take() (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.max == 0 {
		return 0, true
	}
	for range p.pairs() {
		port := p.next
		if p.next += 2; p.next+1 > p.max {
			p.next = p.min
		}
		if !p.taken[port] {
			p.taken[port] = true
			return port, true
		}
	}
	return 0, false
}

// free gives a reserved pair back.
func (p *Ports) free(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
}

// closed takes back an open stream's pair.
func (p *Ports) closed(port int) {
	p.free(port)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

// pairs counts the pairs of the range.
func (p *Ports) pairs() int { return (p.max - p.min + 1) / 2 }
