package mix

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes a goroutine at a time. While it waits it holds no processor of the runtime, as a sleeping system call does until the runtime notices, up to
// 10 ms later. It is for one goroutine.
type alarm struct{ file *os.File } // a timerfd; nil: there is none

// newAlarm makes one. Where the kernel has no timer for it, the runtime's have to do.
func newAlarm() *alarm {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return &alarm{}
	}
	return &alarm{os.NewFile(uintptr(fd), "timerfd")}
}

// sleep returns at a time, or a little later. The kernel's timer wakes the poller of an idle process within 0.2 ms; the runtime's own timers wait in whole
// milliseconds, but are looked at between any two goroutines of a busy one. The first of the two ends it.
func (a *alarm) sleep(until time.Time) {
	left := time.Until(until)
	if left <= 0 {
		return
	}
	at := unix.ItimerSpec{Value: unix.NsecToTimespec(left.Nanoseconds())}
	if a.file == nil || a.file.SetReadDeadline(until) != nil || a.set(&at) != nil {
		time.Sleep(left)
		return
	}
	var expired [8]byte
	_, _ = a.file.Read(expired[:]) // or the deadline
	time.Sleep(time.Until(until))  // it was neither, which never happens
}

func (a *alarm) set(at *unix.ItimerSpec) (err error) {
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = unix.TimerfdSettime(int(fd), 0, at, nil) }); e != nil {
		return e
	}
	return err
}

func (a *alarm) close() {
	if a.file != nil {
		_ = a.file.Close()
	}
}
