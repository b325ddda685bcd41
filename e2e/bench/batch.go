package main

import (
	"errors"
	"net"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batches is a UDP socket that is written to and read from many packets at a time, and that nobody waits for. Were it in the runtime's poller, each
// packet on it would wake this process, and that work is counted for who sends: on a network, nobody does it for the far end.
type batches struct {
	mu     sync.RWMutex // its writer closes the socket
	fd     int          // -1: closed
	in     [batch]unix.Mmsghdr
	inIOV  [batch]unix.Iovec
	froms  [batch]unix.RawSockaddrInet4
	oob    [batch][64]byte
	data   [batch][1500]byte
	out    [batch]unix.Mmsghdr
	outIOV [batch][2]unix.Iovec
	tos    [batch]unix.RawSockaddrInet4
	queued int
}

// newBatches takes a socket over from the runtime.
func newBatches(c *net.UDPConn) (*batches, error) {
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batches{}
	var failed error
	err = raw.Control(func(fd uintptr) { b.fd, failed = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return b, errors.Join(err, failed)
}

func (b *batches) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	unix.Close(b.fd)
	b.fd = -1
}

// queue puts a packet of one or two parts in line, and sends all when the line is full.
func (b *batches) queue(parts [][]byte, to *net.UDPAddr) {
	i := b.queued
	for k, p := range parts {
		b.outIOV[i][k].Base = unsafe.SliceData(p)
		b.outIOV[i][k].SetLen(len(p))
	}
	b.tos[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: uint16(to.Port>>8&0xff | to.Port&0xff<<8), Addr: [4]byte(to.IP.To4())}
	b.out[i] = unix.Mmsghdr{Hdr: unix.Msghdr{Name: (*byte)(unsafe.Pointer(&b.tos[i])), Namelen: unix.SizeofSockaddrInet4, Iov: &b.outIOV[i][0]}}
	b.out[i].Hdr.SetIovlen(len(parts))
	if b.queued++; b.queued == batch {
		b.flush()
	}
}

// flush sends what is in line. What a socket that is gone refuses is left out.
func (b *batches) flush() {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for at := 0; at < b.queued && b.fd >= 0; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.out[at])), uintptr(b.queued-at), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 || n == 0 {
			n = 1
		}
		at += int(n)
	}
	b.queued = 0
}

// read takes what is there, up to a batch, and says how many there were; -1 at the end.
func (b *batches) read(take func(data, oob []byte, port int)) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.fd < 0 {
		return -1
	}
	for i := range b.in {
		b.inIOV[i].Base = &b.data[i][0]
		b.inIOV[i].SetLen(len(b.data[i]))
		b.in[i].Hdr = unix.Msghdr{
			Name: (*byte)(unsafe.Pointer(&b.froms[i])), Namelen: unix.SizeofSockaddrInet4, Iov: &b.inIOV[i], Control: &b.oob[i][0],
		}
		b.in[i].Hdr.SetIovlen(1)
		b.in[i].Hdr.SetControllen(len(b.oob[i]))
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.in)), batch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	for i := range b.in[:n] {
		port := b.froms[i].Port
		take(b.data[i][:b.in[i].Len], b.oob[i][:b.in[i].Hdr.Controllen], int(port>>8|port<<8))
	}
	return int(n)
}
