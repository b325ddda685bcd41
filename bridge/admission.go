package bridge

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"syscall"
	"time"

	"passerelle/transcode/mix"
)

// tooLate is the lateness of the mixers at which running calls begin to suffer.
const tooLate = 10 * time.Millisecond

// load measures how loaded a node is. Its methods may be called from any goroutine.
type load struct {
	clock *mix.Clock

	mu    sync.Mutex
	at    time.Time     // of the last look
	used  time.Duration // of processor time until then
	share float64       // of the processors, between the last two looks
	late  float64       // how late the mixers were then, 1 being tooLate
}

const (
	lookTime  = time.Second // the shortest time between two looks
	manyTicks = 500         // of the clock: fewer of them say little about the latest one in a hundred
)

func newLoad(clock *mix.Clock) *load {
	return &load{clock: clock, at: time.Now(), used: processorTime()}
}

// now is the load: 1 is all that there is.
func (l *load) now() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := time.Since(l.at); since >= lookTime {
		used := processorTime()
		l.share = (used - l.used).Seconds() / since.Seconds() / float64(runtime.GOMAXPROCS(0))
		l.at, l.used, l.late = time.Now(), used, 0
		if c := l.clock.Load(); c.Ticks >= manyTicks {
			l.late = c.Lateness99.Seconds() / tooLate.Seconds()
		}
	}
	return max(l.share, l.late)
}

// processorTime is what this process has used so far.
func processorTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// spare says why a node on which so many calls run takes no more; nil: it does.
func (n *Node) spare(running int) error {
	select {
	case <-n.draining:
		return ErrDraining
	default:
	}
	if running >= n.Limits.Max {
		return fmt.Errorf("%d calls are running (calls.max): %w", running, ErrBusy)
	}
	if l := n.load.now(); n.Limits.MaxLoad > 0 && running > 0 && l*100 > float64(n.Limits.MaxLoad) {
		return fmt.Errorf("the load is %.0f %% (calls.max_load): %w", l*100, ErrBusy)
	}
	return nil
}

// headroom is how many more calls the node would take, if each caused as much load as those that run do.
func (n *Node) headroom() float64 {
	running := float64(n.Running())
	left := float64(n.Limits.Max) - running
	if l := n.load.now(); n.Limits.MaxLoad > 0 && running > 0 && l > 0 {
		left = min(left, running*(float64(n.Limits.MaxLoad)/100/l-1))
	}
	return math.Floor(max(0, left))
}

// Load is how much a node does, and how much more it could.
type Load struct {
	Share    float64 // 1 is all that there is
	Headroom int     // how many more calls it would take
	Draining bool    // it takes none, and ends when those that run have
}

// Load measures the node.
func (n *Node) Load() Load {
	l := Load{Share: n.load.now(), Headroom: int(n.headroom())}
	select {
	case <-n.draining:
		l.Draining = true
	default:
	}
	return l
}
