package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Signs of strain.
const (
	strainLateness = 0.010 // seconds, 99th percentile of the clock's ticks
	strainLoss     = 0.001
	aside          = 0.97 // use of the other core from which the load itself is what is late
)

// What is waited for before a measurement. Nobody talks while calls are added: who has just joined is told so by an encoder of their own, and gives
// it up in the room's next pause. Then those who talk need theirs, and who came last hears prompts to their end, which are not what is measured.
const (
	hush   = 2500 * time.Millisecond
	settle = 7 * time.Second
)

// way is one way in which a crowd talks.
type way struct {
	name  string
	talks pattern
	turns bool    // everybody talks at times
	first int     // calls to begin with
	goal  float64 // calls a core; 0: none
}

// group is a crowd that talks in several ways, the most costly first.
type group struct {
	kind
	ways []way
}

// groups are what capacity measures.
func groups(quick bool) []group {
	all := []group{
		{kind{"PCMA", "", 4}, []way{{"G.711, rooms of 4, one talker each", firstOfEach(4), false, 200, 600}}},
		{kind{"PCMA", "", 0}, []way{
			{"G.711, one room, all talk", share(1), false, 60, 0},
			{"G.711, one room, each talks 30%", share(0.3), true, 100, 0},
			{"G.711, one room, 3 talkers", first(3), false, 250, 1000},
		}},
		{kind{"opus", "", 0}, []way{{"Opus, one room, 3 talkers", first(3), false, 250, 800}}},
		{kind{"PCMA", "", 2}, []way{
			{"G.711, rooms of 2, all talk", share(1), false, 60, 0},
			{"G.711, rooms of 2, each talks 30%", share(0.3), true, 100, 0},
		}},
		{kind{"opus", "", 2}, []way{{"Opus, rooms of 2, each talks 30%", share(0.3), true, 100, 0}}},
		{kind{"PCMA", "AES_CM_128_HMAC_SHA1_80", 4}, []way{{"G.711, SRTP AES_CM_128_HMAC_SHA1_80, rooms of 4, one talker each", firstOfEach(4), false, 200, 0}}},
		{kind{"PCMA", "AEAD_AES_128_GCM", 4}, []way{{"G.711, SRTP AEAD_AES_128_GCM, rooms of 4, one talker each", firstOfEach(4), false, 200, 0}}},
	}
	if quick { // what has a goal, and no more
		return []group{all[0], {all[1].kind, all[1].ways[2:]}, all[2]}
	}
	return all
}

// step is what was measured at a number of calls.
type step struct {
	calls              int
	gateway, sfu, self float64 // use of a core, 0 to 1
	lateness           float64 // seconds, 99th percentile, an upper bound
	loss               float64 // towards the phones
	unread             float64 // from the phones: dropped for want of room in the gateway's sockets
	allocations        float64 // heap objects a second and call, of the whole process
	ended              int     // calls that the gateway ended
}

// strain says what the first sign of it is; "": none.
func (s step) strain() string {
	switch {
	case s.ended > 0:
		return fmt.Sprintf("%d calls were ended", s.ended)
	case s.lateness > strainLateness:
		return fmt.Sprintf("ticks late, p99 ≤ %.0f ms", s.lateness*1000)
	case s.loss > strainLoss:
		return fmt.Sprintf("%.2f%% lost towards phones", 100*s.loss)
	case s.unread > strainLoss:
		return fmt.Sprintf("%.2f%% of the phones' packets not read in time", 100*s.unread)
	}
	return ""
}

// perCore is the number of calls that a whole core would carry, by processor time.
func (s step) perCore() float64 { return float64(s.calls) / s.gateway }

// result is what capacity found out about a way to talk.
type result struct {
	way
	best     step // the most calls without strain
	slope    float64
	end      string // why no more calls were tried
	perPhone float64
	heap     float64
	join     float64 // calls a second, into their rooms
}

// capacity adds calls until something strains, for each way of a group. It takes no longer than limit.
func (b *bench) capacity(ctx context.Context, g group, limit time.Duration) (results []result, err error) {
	began := time.Now()
	ctx, stop := context.WithTimeout(ctx, limit+patience)
	defer stop()
	r, err := startRig(ctx, b.gateway, b.profile(g.ways[0].name))
	if err != nil {
		return nil, err
	}
	defer r.stop()
	w, err := newCrowd(r, g.kind, b.clip)
	if err != nil {
		return nil, err
	}
	defer w.close()

	// The first calls make what stays: what comes after them is what a call costs.
	if _, err := w.grow(ctx, 8); err != nil {
		return nil, err
	}
	before, first := w.memory()
	for i, way := range g.ways {
		until := began.Add(limit * time.Duration(i+1) / time.Duration(len(g.ways)))
		res, err := w.climb(ctx, way, until, b.measure, b.maxCalls)
		if err != nil {
			return results, fmt.Errorf("%s: %w", way.name, err)
		}
		if i == 0 {
			after, heap := w.memory()
			if n := float64(len(w.calls) - 8); n > 0 {
				res.perPhone, res.heap = (after-before)/n, (heap-first)/n
			}
		}
		results = append(results, res)
		b.say("  %s", res)
	}
	return results, nil
}

// climb raises the number of calls until something strains, or the time is over.
func (w *crowd) climb(ctx context.Context, way way, until time.Time, window time.Duration, most int) (res result, err error) {
	res.way = way
	quiet := first(0)
	var lowest step
	n := min(max(way.first, len(w.calls)), most) // the way before this one was more costly: what it had can be borne
	wait := settle
	if way.turns {
		wait += turns // until everybody has had one
	}
	for {
		w.load.talks.Store(&quiet)
		rate, err := w.grow(ctx, n)
		if err != nil && res.best.calls > 0 {
			first, _, _ := strings.Cut(err.Error(), "(")
			res.end = "no more calls came in: " + strings.TrimSpace(first)
			return res, nil
		}
		if err != nil {
			return res, err
		}
		res.join = max(res.join, rate)
		time.Sleep(hush)
		w.load.talks.Store(&way.talks)
		time.Sleep(wait)
		s, err := w.measure(window)
		if err == nil && s.strain() != "" { // once may be the machine's fault
			s, err = w.measure(window)
		}
		if err != nil {
			return res, err
		}
		strain := s.strain()
		if strain == "" {
			if lowest.calls == 0 {
				lowest = s
			}
			res.best = s
			if s.calls > lowest.calls {
				res.slope = (s.gateway - lowest.gateway) / float64(s.calls-lowest.calls)
			}
		}
		busy := s.sfu+s.self > aside
		switch {
		case w.refused.Load() != 0:
			res.end = fmt.Sprintf("the node refused the next call (SIP %d)", w.refused.Load())
		case strain != "" && busy:
			res.end = fmt.Sprintf("%s at %d calls, with the other core full (%.0f%% SFU, %.0f%% phones)", strain, s.calls, 100*s.sfu, 100*s.self)
		case strain != "":
			res.end = fmt.Sprintf("%s at %d calls, which took %.0f%%", strain, s.calls, 100*s.gateway)
		case busy:
			res.end = fmt.Sprintf("the other core is full (%.0f%% SFU, %.0f%% phones)", 100*s.sfu, 100*s.self)
		case n >= most:
			res.end = "as many as were asked for"
		case time.Now().After(until):
			res.end = "time over"
		}
		if res.end != "" {
			if res.best.calls == 0 {
				res.best = s
			}
			return res, nil
		}
		// As far as the dearer core lets us expect, and then in small steps.
		use := max(s.gateway/0.85, (s.sfu+s.self)/0.9)
		steep := 2.5
		if w.kind.room == 0 { // the SFU tells everybody in a room of everybody
			steep = 1.4
		}
		n = min(most, max(n+max(8, n/12), int(float64(n)*min(steep, 1/max(use, 0.01)))))
		if next := time.Now().Add(time.Duration(float64(n-len(w.calls))/max(res.join, 1)*float64(time.Second)) + hush + wait + window); next.After(until.Add(window)) {
			res.end = "time over"
			return res, nil
		}
	}
}

// measure looks at everything for as long as window.
func (w *crowd) measure(window time.Duration) (s step, err error) {
	before, err := w.metrics()
	if err != nil {
		return s, err
	}
	if w.profile != "" { // SIGUSR1 begins, and ends, a profile
		_ = w.gateway.process.Signal(syscall.SIGUSR1)
		defer func() {
			_ = w.gateway.process.Signal(syscall.SIGUSR1)
			time.Sleep(time.Second) // until it is written
		}()
	}
	pids := [...]int{w.gateway.pid, w.sfu.Pid(), os.Getpid()}
	var used [len(pids)]time.Duration
	for i, pid := range pids {
		used[i] = cpuTime(pid)
	}
	w.caller.mu.Lock()
	ended := w.caller.ended
	w.caller.mu.Unlock()
	received, expected := w.load.totals()
	dropped, start := drops(portMin, portMax), time.Now()

	time.Sleep(window)

	took := time.Since(start).Seconds()
	share := func(i int) float64 { return (cpuTime(pids[i]) - used[i]).Seconds() / took }
	s.calls, s.gateway, s.sfu, s.self = len(w.calls), share(0), share(1), share(2)
	received2, expected2 := w.load.totals()
	if d := float64(expected2 - expected); d > 0 {
		s.loss = max(0, 1-float64(received2-received)/d)
	}
	sent := float64(s.calls) * took / period.Seconds()
	s.unread = float64(max(drops(portMin, portMax), dropped)-dropped) / sent
	after, err := w.metrics()
	if err != nil {
		return s, err
	}
	s.lateness = quantile(before, after, "passerelle_clock_lateness_seconds", 0.99)
	s.allocations = (after["go_memstats_mallocs_total"] - before["go_memstats_mallocs_total"]) / took / float64(max(s.calls, 1))
	w.caller.mu.Lock()
	s.ended = w.caller.ended - ended
	w.caller.mu.Unlock()
	if math.IsNaN(s.gateway) || s.gateway <= 0 {
		return s, fmt.Errorf("the gateway is gone:\n%s", w.lastLog())
	}
	return s, nil
}

// memory is that of the gateway in bytes: resident, and what lives of its heap (by what the collector lets it grow to) with its stacks.
func (w *crowd) memory() (all, heap float64) {
	m, err := w.metrics()
	if err != nil {
		return 0, 0
	}
	return resident(w.gateway.pid), m["go_memstats_next_gc_bytes"]/(1+m["go_gc_gogc_percent"]/100) + m["go_memstats_stack_inuse_bytes"]
}

// profile is the file for the CPU profiles of a rig; "": none are wanted.
func (b *bench) profile(name string) string {
	if !b.profiles {
		return ""
	}
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
	dir := filepath.Join(b.root, ".build", "bench")
	_ = os.MkdirAll(dir, 0o755)
	return filepath.Join(dir, name+".pprof")
}

// String is the line that is shown while the benchmark runs.
func (r result) String() string {
	return fmt.Sprintf("%s: %d calls at %.1f%% → %.0f a core (SFU %.0f%%, phones %.0f%%, ticks late p99 ≤ %.1f ms, %.0f allocations a call and second); then %s",
		r.name, r.best.calls, 100*r.best.gateway, r.best.perCore(), 100*r.best.sfu, 100*r.best.self, 1000*r.best.lateness, r.best.allocations, r.end)
}
