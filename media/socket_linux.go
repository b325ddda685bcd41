package media

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is one UDP socket of a stream. It is not in the runtime's poller: there, each packet would cost one more system call (to find that there is no
// second one) and a change of goroutines. A reader reads many of them.
type socket struct {
	handle handler
	six    bool // its addresses are IPv6 ones, with IPv4 mapped into them

	reading sync.Mutex // held while a packet is handled
	sending sync.Mutex // held while one is sent; after reading, where both are
	fd      int        // -1: closed; changed under both
}

// handler takes one datagram, the first n bytes of p, and gives back a packet to read the next into.
type handler func(p *packet, n int, from netip.AddrPort, now time.Time) *packet

// newSocket takes a socket over from the runtime. c is closed, whatever comes of it.
func newSocket(c *net.UDPConn, handle handler) (*socket, error) {
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{handle: handle, fd: -1}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var domain int
		if domain, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); failed == nil {
			s.six = domain == unix.AF_INET6
			s.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	return s, errors.Join(err, failed)
}

// send sends one datagram, or fails at once.
func (s *socket) send(b []byte, to netip.AddrPort) error {
	var four unix.RawSockaddrInet4
	var six unix.RawSockaddrInet6
	address, size := unsafe.Pointer(&four), unsafe.Sizeof(four)
	if s.six {
		six.Family, six.Addr, six.Scope_id = unix.AF_INET6, to.Addr().As16(), scope(to.Addr())
		*(*[2]byte)(unsafe.Pointer(&six.Port)) = [2]byte{byte(to.Port() >> 8), byte(to.Port())}
		address, size = unsafe.Pointer(&six), unsafe.Sizeof(six)
	} else {
		if !to.Addr().Unmap().Is4() {
			return &net.AddrError{Err: "no IPv4 address", Addr: to.String()}
		}
		four.Family, four.Addr = unix.AF_INET, to.Addr().Unmap().As4()
		*(*[2]byte)(unsafe.Pointer(&four.Port)) = [2]byte{byte(to.Port() >> 8), byte(to.Port())}
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.fd < 0 {
		return net.ErrClosed
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT,
		uintptr(address), size)
	if errno != 0 {
		return os.NewSyscallError("sendto", errno)
	}
	return nil
}

// read reads and handles one datagram, if there is one. false: the kernel cannot give one now.
func (s *socket) read(p *packet) (_ *packet, ok bool) {
	s.reading.Lock()
	defer s.reading.Unlock()
	if s.fd < 0 {
		return p, true
	}
	var from unix.RawSockaddrInet6 // the longer one
	size := uint32(unsafe.Sizeof(from))
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&p.buf)), uintptr(len(p.buf)), unix.MSG_DONTWAIT,
		uintptr(unsafe.Pointer(&from)), uintptr(unsafe.Pointer(&size)))
	switch errno {
	case 0:
		return s.handle(p, int(n), source4or6(&from), time.Now()), true
	case unix.EAGAIN, unix.EINTR:
		return p, true
	}
	return p, false
}

// source4or6 is the address that the kernel wrote.
func source4or6(a *unix.RawSockaddrInet6) netip.AddrPort {
	port := (*[2]byte)(unsafe.Pointer(&a.Port))
	number := uint16(port[0])<<8 | uint16(port[1])
	if a.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(a)).Addr), number)
	}
	ip := netip.AddrFrom16(a.Addr).Unmap()
	if a.Scope_id != 0 && ip.IsLinkLocalUnicast() {
		ip = ip.WithZone(strconv.FormatUint(uint64(a.Scope_id), 10))
	}
	return netip.AddrPortFrom(ip, number)
}

// scope is the number of a link-local address's interface, 0 for others.
func scope(a netip.Addr) uint32 {
	zone := a.Zone()
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

// close waits until nobody uses the socket. It is not to be called from its handler.
func (s *socket) close() {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.fd >= 0 {
		unix.Close(s.fd)
	}
	s.fd = -1
}

// batch is how many sockets are asked about at a time, before others get the processor: with 32, a node of one processor fell behind at 450 calls.
const batch = 128

// reader reads sockets in one goroutine, which there is while there are sockets. A socket that has many packets waits for the others after each.
type reader struct {
	mu      sync.Mutex
	sockets map[int32]*socket // by descriptor
	poll    *poll             // nil: there are no sockets
}

// poll is the kernel's list of sockets that have something. The runtime's poller waits for it: an epoll within its epoll.
type poll struct {
	file   *os.File
	raw    syscall.RawConn
	done   chan struct{} // closed when nobody reads any more
	events [batch]unix.EpollEvent
	ready  int // events
}

func newPoll() (*poll, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that the runtime's poller takes it
		unix.Close(fd)
		return nil, err
	}
	p := &poll{file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}
	p.raw, err = p.file.SyscallConn()
	return p, err
}

// watch adds a socket.
func (p *poll) watch(fd int) (err error) {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if e := p.raw.Control(func(own uintptr) { err = unix.EpollCtl(int(own), unix.EPOLL_CTL_ADD, fd, &event) }); e != nil {
		return e
	}
	return os.NewSyscallError("epoll_ctl", err)
}

// look asks the kernel, and says whether there was anything.
func (p *poll) look(fd uintptr) bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, fd, uintptr(unsafe.Pointer(&p.events)), batch, 0, 0, 0)
	p.ready = int(n)
	if errno != 0 {
		p.ready = 0
	}
	return p.ready > 0
}

// add has sockets read, or closes them.
func (r *reader) add(list ...*socket) error {
	err := r.watch(list)
	if err != nil {
		r.remove(list...)
	}
	return err
}

func (r *reader) watch(list []*socket) (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.poll == nil {
		p, err := newPoll()
		if err != nil {
			return err
		}
		r.poll, r.sockets = p, map[int32]*socket{}
		go r.run(p)
	}
	for _, s := range list {
		if err := r.poll.watch(s.fd); err != nil {
			return err
		}
		r.sockets[int32(s.fd)] = s
	}
	return nil
}

// remove has sockets read no more, and closes them.
func (r *reader) remove(list ...*socket) {
	r.mu.Lock()
	for _, s := range list {
		delete(r.sockets, int32(s.fd)) // the kernel forgets it when it is closed
	}
	over := r.poll
	if over != nil && len(r.sockets) == 0 {
		r.poll = nil
		over.file.Close()
	} else {
		over = nil
	}
	r.mu.Unlock()
	for _, s := range list {
		s.close()
	}
	if over != nil {
		<-over.done
	}
}

// run reads until the poll is closed.
func (r *reader) run(p *poll) {
	defer close(p.done)
	free := packets.Get().(*packet)
	defer func() { packets.Put(free) }()
	look := p.look
	for p.raw.Read(look) == nil {
		failed := 0
		for _, e := range p.events[:p.ready] {
			r.mu.Lock()
			s := r.sockets[e.Fd]
			r.mu.Unlock()
			if s == nil {
				continue // it was removed meanwhile
			}
			var ok bool
			if free, ok = s.read(free); !ok {
				failed++
			}
		}
		runtime.Gosched()
		if failed > 0 && failed == p.ready { // the kernel is out of memory
			time.Sleep(10 * time.Millisecond)
		}
	}
}
