package main

import (
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// report is all that was measured.
type report struct {
	machine          string
	relay, rtpengine float64 // of a core, a call; 0: not measured
	results          []result
	delays           []delayed
	lookahead        time.Duration
	setups           []setup
	guests           []watched
	passed           []time.Duration // sorted: what the gateway adds to a guest's sound on its way to a participant
	stages           []stage
	failures         []string
}

// setup is how calls are set up, so many at a time.
type setup struct {
	atOnce    int
	perSecond float64
	times     []time.Duration // INVITE to 200, sorted
}

func (r *report) fail(what string, err error) {
	first, _, _ := strings.Cut(err.Error(), "\n")
	r.failures = append(r.failures, what+": "+first)
}

// table writes rows of a Markdown table.
type table struct{ strings.Builder }

func (t *table) row(cells ...string) { fmt.Fprintf(t, "| %s |\n", strings.Join(cells, " | ")) }

// compare adds a row with a goal. met is what the measured value says about it; none: there is no goal.
func (t *table) compare(what, measured, goal string, met *bool) {
	verdict := ""
	if met != nil {
		verdict = map[bool]string{true: "met", false: "missed"}[*met]
	}
	t.row(what, measured, goal, verdict)
}

// markdown is docs/performance.md.
func (r *report) markdown(command string, took time.Duration) string {
	var t table
	fmt.Fprintf(&t, "# Performance\n\nWritten by `%s` on %s, commit %s, in %v. %s.\n\n", command, time.Now().UTC().Format("2006-01-02 15:04 UTC"), commit(), took.Round(time.Second), r.machine)
	t.WriteString("How it is measured, and what it does not say, is below the table. \"A core\" is 100% of one CPU's time, of the gateway's process.\n\n")
	t.row("what", "measured", "goal", "")
	t.row("---", "---", "---", "---")
	for _, x := range r.results {
		r.capacityRows(&t, x)
	}
	for _, w := range r.guests {
		guestRows(&t, w)
	}
	if len(r.passed) > 0 {
		met := of(r.passed, .5) <= passedGoal
		t.compare("added delay of passed audio, guest → room", fmt.Sprintf("p50 %s, p95 %s, p99 %s", ms(of(r.passed, .5)), ms(of(r.passed, .95)), ms(of(r.passed, .99))),
			fmt.Sprintf("p50 ≤ %v", passedGoal), &met)
	}
	for _, d := range r.delays {
		delayRows(&t, d)
	}
	for _, s := range r.setups {
		t.row(fmt.Sprintf("set-up, INVITE to 200, %d at a time", s.atOnce),
			fmt.Sprintf("p50 %s, p99 %s, %.0f calls a second", ms(of(s.times, .5)), ms(of(s.times, .99)), s.perSecond), "", "")
	}
	if r.rtpengine > 0 {
		t.row("rtpengine of Debian, G.711 ⇄ Opus, same packets", fmt.Sprintf("%.2f%% of a core a call: %.0f a core", 100*r.rtpengine, 1/r.rtpengine), "", "")
	}
	if r.relay > 0 {
		t.row("bare relay in Go: the limit", fmt.Sprintf("%.3f%% of a core a call: %.0f a core", 100*r.relay, 1/r.relay), "", "")
	}
	if len(r.stages) > 0 {
		var allocate []string
		for _, s := range r.stages {
			if s.allocations > 0 {
				allocate = append(allocate, s.name)
			}
		}
		none := len(allocate) == 0
		t.compare("stages below that allocate", fmt.Sprintf("%d of %d: %s", len(allocate), len(r.stages), strings.Join(allocate, ", ")), "none", &none)
	}
	for _, s := range r.stages {
		t.row("stage: "+s.name, fmt.Sprintf("%.2f µs, %.0f allocations", s.nanoseconds/1000, s.allocations), "", "")
	}
	for _, f := range r.failures {
		t.row("not measured", f, "", "")
	}
	t.WriteString(notes)
	if r.lookahead > 0 {
		fmt.Fprintf(&t, "- From phone to room, about %s are the look-ahead of the gateway's Opus encoder; from room to phone, 6.5 ms are that of the participant's. The figures contain it.\n", ms(r.lookahead))
	}
	return t.String()
}

// capacityRows are what one way of talking has to say.
func (r *report) capacityRows(t *table, x result) {
	s := x.best
	if s.calls == 0 {
		return
	}
	measured := fmt.Sprintf("**%.0f a core**: %d calls took %.1f%% (%.3f%% each), SFU %.0f%%, phones %.0f%%, ticks late p99 ≤ %.1f ms, lost %.3f%%; then: %s",
		s.perCore(), s.calls, 100*s.gateway, 100*s.gateway/float64(s.calls), 100*s.sfu, 100*s.self, 1000*s.lateness, 100*max(s.loss, s.unread), x.end)
	if x.goal == 0 {
		t.row(x.name, measured, "", "")
	} else {
		met := s.perCore() >= x.goal && s.strain() == ""
		t.compare(x.name, measured, fmt.Sprintf("≥ %.0f a core", x.goal), &met)
	}
	if x.slope > 0 && r.relay > 0 && strings.Contains(x.name, "G.711, one room, 3 talkers") {
		met := x.slope <= 3*r.relay
		t.compare("one more silent leg in it", fmt.Sprintf("%.3f%% of a core, %.1f times the bare relay's", 100*x.slope, x.slope/r.relay), "≤ 3 times", &met)
	}
	if x.join > 0 && x.perPhone > 0 {
		t.row("calls a second into their rooms, PIN and SFU session included: "+x.name, fmt.Sprintf("%.0f", x.join), "", "")
	}
	if x.perPhone > 0 {
		goal, verdict := "", (*bool)(nil)
		if strings.HasPrefix(x.name, "G.711") {
			met := x.perPhone <= 512<<10
			goal, verdict = "≤ 512 KiB", &met
		}
		t.compare("memory a leg, its SFU session included: "+x.name, fmt.Sprintf("%.0f KiB resident; %.0f KiB live heap and stacks", x.perPhone/1024, x.heap/1024), goal, verdict)
	}
	t.row("allocations of the whole process: "+x.name, fmt.Sprintf("%.0f a call and second, for 100 packets", s.allocations), "", "")
}

// guestRows are what one crowd of guests has to say.
func guestRows(t *table, w watched) {
	// A guest who is sent too little costs too little.
	met := w.perCore() >= w.goal && w.loss <= 0.01 && (w.goalDelay == 0 || w.kbps >= 900)
	t.compare(w.name, fmt.Sprintf("**%.0f a core**: %d guests took %.1f%%, SFU %.0f%%, guests %.0f%%, %.0f kbit/s to each, lost %.2f%%; %.0f a second came in, the slowest in %s",
		w.perCore(), w.guests, 100*w.gateway, 100*w.sfu, 100*w.self, w.kbps, 100*w.loss, w.joined, ms(w.slowest)), fmt.Sprintf("≥ %.0f a core", w.goal), &met)
	if len(w.delay) > 0 {
		met := of(w.delay, .5) <= w.goalDelay
		t.compare("added delay of a forwarded picture, beside "+w.name, fmt.Sprintf("p50 %s, p95 %s, p99 %s", ms(of(w.delay, .5)), ms(of(w.delay, .95)), ms(of(w.delay, .99))),
			fmt.Sprintf("p50 ≤ %v", w.goalDelay), &met)
	}
}

// delayRows are one network's.
func delayRows(t *table, d delayed) {
	network, goals := "clean network", [2][2]time.Duration{{10 * time.Millisecond, 20 * time.Millisecond}, {30 * time.Millisecond, 45 * time.Millisecond}}
	if d.impaired {
		network, goals = "20 ms jitter, 2% loss", [2][2]time.Duration{{70 * time.Millisecond, 0}, {70 * time.Millisecond, 0}}
	}
	for i, way := range []struct {
		name  string
		times []time.Duration
	}{{"phone → room", d.toRoom}, {"room → phone", d.toPhone}} {
		p50, p99 := of(way.times, .5), of(way.times, .99)
		goal, met := fmt.Sprintf("p50 ≤ %v", goals[i][0]), p50 <= goals[i][0]
		if goals[i][1] > 0 {
			goal, met = goal+fmt.Sprintf(", p99 ≤ %v", goals[i][1]), met && p99 <= goals[i][1]
		}
		t.compare(fmt.Sprintf("added delay %s, %s, beside %d calls", way.name, network, d.calls),
			fmt.Sprintf("p50 %s, p95 %s, p99 %s (gateway at %.0f%%)", ms(p50), ms(of(way.times, .95)), ms(p99), 100*d.share), goal, &met)
	}
	if d.impaired {
		met := d.gaps == 0
		t.compare("20 ms of speech that the phone heard nothing of, "+network, fmt.Sprintf("%d of %d; %d of %d windows not found again", d.gaps, d.frames, d.missing, d.windows), "0", &met)
	}
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

// commit is what was measured.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=10").Output()
	if err != nil {
		return "unknown"
	}
	return "`" + strings.TrimSpace(string(out)) + "`"
}

const notes = `
## How

- The gateway is the program that users run, without race detector, under its default options but for limits (calls, ports) that must not be met. It
  has a CPU to itself; the phones (` + "`e2e/bench`" + `) and the embedded SFU share the other, and their use is given because it can end a run first.
- Phones send G.711 or Opus every 20 ms, without DTX, spread over the 20 ms; who does not talk sends the noise of a quiet room. Digits are INFO.
- Calls are added until the first sign of strain: ticks late by more than 10 ms (p99), more than 0.1% lost towards the phones (by sequence number) or not
  read from them in time (the kernel's count of full sockets), or calls ended or refused. "A core" divides the calls by the gateway's use of its CPU.
- CPU time is /proc/PID/stat's, user and system, and holds the kernel's work for sending; the work of receiving from loopback is done by who sends.
  No phone sleeps until a packet wakes it, because that would be counted for the gateway, too: they look every 2 ms, and the kernel notes when each came.
- Delay: speech both ways at the same time, found again by correlation in windows of 400 ms, one value for every 20 ms of it. It counts from a packet
  handed to the network (so without the 20 ms in which it was spoken) to the same sample in a received packet, played as it comes. Room → phone
  goes participant → SFU → gateway's playout buffer and mixer → phone, so half a tick of waiting for the clock is in it.
- Jitter and loss are made where packets are sent (each late by 0 to 40 ms, 2% dropped, in any order): not every kernel has netem, this way needs no
  root, and it is the same each time. The network's own 20 ms in the mean are in the figures.
- rtpengine runs in user space (` + "`--table=-1`" + `), with both sides talking all the time; the relay returns each packet through a socket of its own per call.
- What the whole process allocates while calls run is ICE's keep-alives, RTCP and signalling, so much a second for each call; packets and frames allocate
  nothing, which tests assert.
- Stages are Go benchmarks (` + "`-benchtime 30ms`" + `): most of them work on 20 ms of sound.
`
