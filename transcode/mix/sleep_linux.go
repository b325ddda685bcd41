package mix

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes a goroutine at a time. While it waits it holds no processor of the runtime, as a sleeping system call does until the runtime notices, up to
// 10 ms later. It is for one goroutine.
type alarm struct {
	file *os.File // a timerfd; nil: there is none
	raw  syscall.RawConn

	settime func(fd uintptr) // made once: a tick allocates nothing
	spec    unix.ItimerSpec
	err     error
	expired [8]byte
}

// newAlarm makes one. Where the kernel has no timer for it, the runtime's have to do.
func newAlarm() *alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return &alarm{}
	}
	a := &alarm{file: os.NewFile(uintptr(fd), "timerfd")}
	if a.raw, err = a.file.SyscallConn(); err != nil {
		a.close()
		return &alarm{}
	}
	a.settime = func(fd uintptr) { a.err = unix.TimerfdSettime(int(fd), 0, &a.spec, nil) }
	return a
}

// sleep returns at a time, or a little later. The kernel's timer wakes the poller of an idle process 0.1 ms late (BenchmarkAlarm); the runtime's own timers wait in whole
// milliseconds, but are looked at between any two goroutines of a busy one. The first of the two ends it.
func (a *alarm) sleep(until time.Time) {
	left := time.Until(until)
	if left <= 0 {
		return
	}
	if a.file != nil && a.file.SetReadDeadline(until) == nil && a.set(left) == nil {
		_, _ = a.file.Read(a.expired[:]) // or the deadline
	}
	time.Sleep(time.Until(until)) // there is no timer, or it has failed
}

// set winds the timer up.
func (a *alarm) set(left time.Duration) error {
	a.spec.Value = unix.NsecToTimespec(left.Nanoseconds())
	if err := a.raw.Control(a.settime); err != nil {
		return err
	}
	return a.err
}

func (a *alarm) close() {
	if a.file != nil {
		_ = a.file.Close()
	}
}
