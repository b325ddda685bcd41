package mix

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Times of the clock.
const (
	Period  = 20 * time.Millisecond
	spacing = Period / 2 // at least, between the beginnings of two ticks when late ones catch up
	behind  = 3          // periods: what is later than this is skipped
)

// Ticker is what a clock drives. Implemented by Mixer.
type Ticker interface {
	// Tick does the work of one period.
	Tick()
}

// Clock ticks the mixers of a node, all of them every 20 ms. Deadlines are absolute, so that lateness does not add up. A tick that is late is
// made up for soon, but not at once; when more than a few are missing they are left out and counted.
//
// Its methods may be called from any goroutine, but not from within a tick.
type Clock struct {
	workers int
	sleep   func(until time.Time) // of tests; nil: an alarm

	mu      sync.Mutex // held while a tick lasts
	tickers []Ticker
	next    atomic.Int64 // of tickers that nobody works on yet
	left    sync.WaitGroup
	start   chan struct{}
	load    load
}

// NewClock makes a clock that works on so many mixers at a time.
func NewClock(workers int) *Clock {
	workers = max(workers, 1)
	return &Clock{workers: workers, start: make(chan struct{}, workers)}
}

// Add lets the clock drive a ticker, from the next tick on.
func (c *Clock) Add(t Ticker) {
	if m, ok := t.(*Mixer); ok {
		m.clock.Store(c)
	}
	c.Hold(func() { c.tickers = append(c.tickers, t) })
}

// Remove lets go of a ticker. It is not at work any more when Remove returns.
func (c *Clock) Remove(t Ticker) {
	c.Hold(func() {
		if i := slices.Index(c.tickers, t); i >= 0 {
			c.tickers = slices.Delete(c.tickers, i, i+1)
		}
	})
	if m, ok := t.(*Mixer); ok {
		m.clock.CompareAndSwap(c, nil)
	}
}

// Hold runs f between two ticks. f must be short: the next tick waits for it.
func (c *Clock) Hold(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// Run ticks until ctx ends, and has joined its workers when it returns.
func (c *Clock) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	stop := make(chan struct{})
	for range c.workers - 1 {
		workers.Go(func() { c.help(stop) })
	}
	defer workers.Wait()
	defer close(stop)

	sleep := c.sleep
	if sleep == nil {
		a := newAlarm()
		defer a.close()
		sleep = a.sleep
	}
	deadline, began := time.Now(), time.Time{}
	for {
		deadline = deadline.Add(Period)
		wake := deadline
		if earliest := began.Add(spacing); earliest.After(wake) {
			wake = earliest
		}
		sleep(wake)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		began = time.Now()
		late := began.Sub(deadline)
		if late > behind*Period {
			missed := late / Period
			deadline = deadline.Add(missed * Period)
			c.load.skip(int(missed))
		}
		c.tick()
		c.load.note(late, time.Since(began))
	}
}

// tick does the work of one period with all workers.
func (c *Clock) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next.Store(0)
	helpers := min(c.workers, len(c.tickers)) - 1
	for range helpers {
		c.left.Add(1)
		c.start <- struct{}{}
	}
	c.work()
	c.left.Wait()
}

// help works whenever a tick begins.
func (c *Clock) help(stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-c.start:
			c.work()
			c.left.Done()
		}
	}
}

// work takes the next ticker until all are done: who is done early takes more.
func (c *Clock) work() {
	for {
		i := int(c.next.Add(1)) - 1
		if i >= len(c.tickers) {
			return
		}
		c.tickers[i].Tick()
	}
}
