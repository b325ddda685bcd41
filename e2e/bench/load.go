package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pion/srtp/v3"
	"golang.org/x/sys/unix"
)

const (
	period = 20 * time.Millisecond
	slots  = 10 // phones do not know of each other: they send spread over the 20 ms
	header = 12
	batch  = 256
	nap    = 2 * time.Millisecond
)

// load sends and counts the RTP of all phones, through one socket: sendmmsg out, recvmmsg in. Who a packet is for tells the port that it comes
// from.
type load struct {
	rtp   *batches
	own   int // its port
	rtcp  *net.UDPConn
	start time.Time
	talks atomic.Pointer[pattern]

	mu     sync.Mutex
	slots  [slots][]*phone
	phones []*phone
	work   sync.WaitGroup

	rx     sync.Mutex // of everything that is counted and kept about received packets
	byPort [1 << 16]*phone
}

// pattern says whether a phone talks at a time. Phones are numbered from 0.
type pattern func(phone int, at time.Duration) bool

// phone is one sender and receiver of RTP.
type phone struct {
	number int
	sound  *sound
	remote *net.UDPAddr
	crypto *srtp.Context // nil: in the clear
	impair *impairment   // nil: a clean network
	tape   *recording    // nil: packets are counted only

	sequence  uint16
	timestamp uint32
	ssrc      uint32
	sent      int
	talked    int
	head      [header]byte
	sealed    []byte

	// Guarded by load.rx.
	from               uint32 // SSRC
	base, last         uint32 // extended sequence numbers
	received, expected uint64 // of earlier sources
	here               uint64 // packets of this source
}

// recording is what a measured phone sent and heard.
type recording struct {
	sent  []time.Time // of each packet, when it was handed to the network
	heard []packet
}

// packet is one that was received.
type packet struct {
	at        time.Time
	timestamp uint32
	payload   []byte
}

// impairment is a bad network on a sender's way.
type impairment struct {
	jitter time.Duration // each packet is late by 0 to twice this
	loss   float64
	random *rand.Rand
}

// next says what happens to a packet.
func (i *impairment) next() (delay time.Duration, lost bool) {
	return time.Duration(i.random.Float64() * float64(2*i.jitter)), i.random.Float64() < i.loss
}

func newLoad() (*load, error) {
	l := &load{start: time.Now()}
	quiet := first(0)
	l.talks.Store(&quiet)
	for range 100 {
		rtp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		next := rtp.LocalAddr().(*net.UDPAddr).Port + 1
		rtcp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: next})
		if err != nil || next%2 == 0 {
			rtp.Close()
			if err == nil {
				rtcp.Close()
			}
			continue
		}
		l.rtcp, l.own = rtcp, next-1
		if err := prepare(rtp); err != nil {
			return nil, err
		}
		l.rtp, err = newBatches(rtp)
		return l, err
	}
	return nil, errors.New("no pair of ports is free")
}

// prepare has the kernel keep much and tell when each packet came: what is measured must not depend on when we get round to reading.
func prepare(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20) != nil { // needs root
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
		}
		failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	})
	return errors.Join(err, failed)
}

// run sends and receives until ctx ends.
func (l *load) run(ctx context.Context) {
	l.work.Go(func() { l.send(ctx) })
	l.work.Go(l.receive)
	l.work.Go(func() { drain(l.rtcp) })
	<-ctx.Done()
	l.rtp.close()
	l.rtcp.Close()
	l.work.Wait()
}

// port is where phones receive RTP.
func (l *load) port() int { return l.own }

// add lets a phone send.
func (l *load) add(p *phone) {
	p.ssrc, p.sequence, p.timestamp = rand.Uint32(), uint16(rand.Uint32()), rand.Uint32()
	l.rx.Lock()
	l.byPort[p.remote.Port] = p
	l.rx.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	slot := rand.IntN(slots)
	l.slots[slot] = append(l.slots[slot], p)
	l.phones = append(l.phones, p)
}

// remove ends what add began.
func (l *load) remove(p *phone) {
	l.rx.Lock()
	l.byPort[p.remote.Port] = nil
	l.rx.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	is := func(o *phone) bool { return o == p }
	l.phones = slices.DeleteFunc(l.phones, is)
	for i := range l.slots {
		l.slots[i] = slices.DeleteFunc(l.slots[i], is)
	}
}

// send sends what each slot of the 20 ms has, when its time has come.
func (l *load) send(ctx context.Context) {
	buffers := make([][]byte, 0, 2)
	for n := 0; ctx.Err() == nil; n++ {
		time.Sleep(time.Until(l.start.Add(time.Duration(n) * period / slots)))
		now := time.Now()
		talks := *l.talks.Load()
		l.mu.Lock()
		for _, p := range l.slots[n%slots] {
			if b, ok := p.next(l, buffers[:0], talks(p.number, now.Sub(l.start))); ok {
				l.rtp.queue(b, p.remote)
			}
		}
		l.rtp.flush()
		l.mu.Unlock()
	}
}

// next is the phone's next packet; false: it is sent later, or never.
func (p *phone) next(l *load, buffers [][]byte, talking bool) ([][]byte, bool) {
	payload := p.sound.at(p.sent, false)
	if talking {
		payload = p.sound.at(p.talked, true)
		p.talked++
	}
	p.sent++
	p.sequence++
	p.timestamp += p.sound.step
	p.head[0], p.head[1] = 2<<6, p.sound.codec.PayloadType
	binary.BigEndian.PutUint16(p.head[2:], p.sequence)
	binary.BigEndian.PutUint32(p.head[4:], p.timestamp)
	binary.BigEndian.PutUint32(p.head[8:], p.ssrc)
	if p.tape != nil {
		p.tape.sent = append(p.tape.sent, time.Now())
	}
	if p.crypto != nil {
		clear := append(append(p.sealed[:0], p.head[:]...), payload...)
		sealed, err := p.crypto.EncryptRTP(clear, clear, nil)
		if err != nil {
			return nil, false
		}
		p.sealed = sealed
		return append(buffers, sealed), true
	}
	if p.impair != nil {
		delay, lost := p.impair.next()
		if whole := append(append([]byte(nil), p.head[:]...), payload...); !lost {
			time.AfterFunc(delay, func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.rtp.queue([][]byte{whole}, p.remote)
				l.rtp.flush()
			})
		}
		return nil, false
	}
	return append(buffers, p.head[:], payload), true
}

// receive counts what comes, until the socket is closed.
func (l *load) receive() {
	for {
		l.rx.Lock()
		n := l.rtp.read(func(b, oob []byte, port int) {
			if p := l.byPort[port]; p != nil && len(b) >= header {
				p.count(b, oob)
			}
		})
		l.rx.Unlock()
		if n < 0 {
			return
		}
		if n < batch {
			time.Sleep(nap) // many at once cost less, and the kernel keeps the time at which each came
		}
	}
}

// count takes one packet in.
func (p *phone) count(b, oob []byte) {
	sequence, ssrc := uint32(binary.BigEndian.Uint16(b[2:])), binary.BigEndian.Uint32(b[8:])
	if ssrc != p.from || p.here == 0 {
		if p.here > 0 {
			p.received, p.expected = p.received+p.here, p.expected+uint64(p.last-p.base)+1
		}
		p.from, p.here, p.base, p.last = ssrc, 0, 1<<16+sequence, 1<<16+sequence
	}
	p.here++
	if step := int16(uint16(sequence) - uint16(p.last)); step > 0 {
		p.last += uint32(step)
	}
	if p.tape != nil {
		p.tape.heard = append(p.tape.heard, packet{arrival(oob), binary.BigEndian.Uint32(b[4:]), slices.Clone(b[header:])})
	}
}

// arrival is the time in a control message of the kernel's, SCM_TIMESTAMPNS.
func arrival(oob []byte) time.Time {
	if len(oob) < unix.CmsgLen(16) || binary.NativeEndian.Uint32(oob[12:]) != unix.SO_TIMESTAMPNS {
		return time.Now()
	}
	data := oob[unix.CmsgLen(0):]
	return time.Unix(int64(binary.NativeEndian.Uint64(data)), int64(binary.NativeEndian.Uint64(data[8:])))
}

// totals are the packets that all phones have received, and should have.
func (l *load) totals() (received, expected uint64) {
	l.mu.Lock()
	phones := slices.Clone(l.phones)
	l.mu.Unlock()
	l.rx.Lock()
	defer l.rx.Unlock()
	for _, p := range phones {
		received, expected = received+p.received+p.here, expected+p.expected
		if p.here > 0 {
			expected += uint64(p.last-p.base) + 1
		}
	}
	return received, expected
}

// drain reads and drops, until the socket is closed.
func drain(c *net.UDPConn) {
	b := make([]byte, 1500)
	for {
		if _, err := c.Read(b); errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EBADF) {
			return
		}
	}
}

// Patterns of talk.

// firstOfEach has the first of every n phones talk.
func firstOfEach(n int) pattern {
	return func(phone int, _ time.Duration) bool { return phone%n == 0 }
}

// first has the first n phones talk.
func first(n int) pattern { return func(phone int, _ time.Duration) bool { return phone < n } }

// turns is how often everybody talks.
const turns = 4 * time.Second

// share has each phone talk for its share of every turn, each at another time.
func share(part float64) pattern {
	return func(phone int, at time.Duration) bool {
		_, turn := math.Modf(at.Seconds()/turns.Seconds() + float64(phone)*math.Phi)
		return turn < part
	}
}
