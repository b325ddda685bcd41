package bridge

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"passerelle/bridge/ivr"
	"passerelle/configs"
	"passerelle/transcode/mix"
)

// Options is what a node is made of.
type Options struct {
	Limits    configs.Calls
	IVR       configs.IVR
	Rules     configs.Rules
	Lobby     configs.Lobby
	Policy    Policy
	Journal   Journal
	SFU       SFU
	Directory Directory
	Prompts   *ivr.Prompts
	Clock     *mix.Clock
	Log       *slog.Logger
	Registry  prometheus.Registerer
}

// Node runs the calls of this process and keeps the rooms that they are in. Its methods may be called from any goroutine.
type Node struct {
	Options
	guesses *ivr.Guesses
	lobby   *mix.Mixer // of callers who are in no room yet: it has no sources
	load    *load
	rooms   *rooms
	metrics *metrics
	changes *changes

	mu       sync.Mutex
	calls    map[*call]struct{}
	draining chan struct{} // closed by Drain
	running  sync.WaitGroup
}

// NewNode makes a node that takes calls at once. Close ends it.
func NewNode(o Options) *Node {
	n := &Node{
		Options:  o,
		guesses:  ivr.NewGuesses(o.IVR.Guess),
		lobby:    mix.New(mix.Options{}),
		calls:    map[*call]struct{}{},
		draining: make(chan struct{}),
		changes:  &changes{watchers: map[chan Change]struct{}{}},
	}
	n.load = newLoad(o.Clock)
	n.rooms = newRooms(n)
	n.metrics = newMetrics(n, o.Registry)
	o.Clock.Add(n.lobby)
	o.Policy.OnChange(n.rethink)
	return n
}

// Close lets go of what NewNode took. There must be no call any more.
func (n *Node) Close() {
	n.Clock.Remove(n.lobby)
	n.lobby.Close()
}

// Take runs one incoming call, from its first ring to its record, and returns when nothing of it is left. When ctx ends, so does the call, with
// the cause of ctx as the reason.
func (n *Node) Take(ctx context.Context, leg Leg) {
	c := newCall(n, leg)
	n.running.Add(1)
	defer n.running.Done()
	ctx, c.stop = context.WithCancelCause(ctx)
	defer c.stop(nil)
	n.changes.tell("began", c.view.Load(), "")
	c.log.Info("call started", "protocol", c.who.Protocol, "transport", c.who.Transport, "trunk", c.who.Trunk, "from", maskNumber(c.who.Number))
	reason := c.run(ctx)
	leg.End(reason)
	c.logEnd(reason)
	n.metrics.ended(c, reason)
	c.recordCall(reason)
	n.changes.tell("ended", c.view.Load(), Label(reason))
}

// rethink has every call hold the changed rules against itself.
func (n *Node) rethink() {
	for _, c := range n.all() {
		select {
		case c.changed <- struct{}{}:
		default: // it will anyway
		}
	}
}

// admit counts a call in, or says why not.
func (n *Node) admit(c *call) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.spare(len(n.calls)); err != nil {
		return err
	}
	n.calls[c] = struct{}{}
	return nil
}

// release counts a call out.
func (n *Node) release(c *call) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.calls, c)
	close(c.gone)
}

// Running is the number of calls that have been let in and have not ended.
func (n *Node) Running() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.calls)
}

// countState is the number of calls in a state.
func (n *Node) countState(s state) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := 0
	for c := range n.calls {
		if c.view.Load().state == s {
			count++
		}
	}
	return count
}

// Ready says why no call can be taken now; nil: one can.
func (n *Node) Ready() error { return n.spare(n.Running()) }

// Drain takes no more calls, tells the running ones, and returns when all have ended or when ctx has. It may be called once.
func (n *Node) Drain(ctx context.Context) error {
	n.mu.Lock()
	close(n.draining)
	n.mu.Unlock()
	return n.Wait(ctx)
}

// Wait returns when no call is left, or when ctx ends.
func (n *Node) Wait(ctx context.Context) error {
	if n.Running() == 0 {
		return nil
	}
	done := make(chan struct{})
	go func() {
		n.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
