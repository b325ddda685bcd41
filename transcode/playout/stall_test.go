package playout

import (
	"testing"
	"time"
)

// TestStallLeavesNoDelay stops the machine, or the network, for a while, and looks at the delay afterwards. Packets come at once at the end, or as fast
// as a busy reader takes them; some find no room in the socket.
func TestStallLeavesNoDelay(t *testing.T) {
	const drain = 7 * ms // between two packets that a busy reader takes
	slowly := func(from, to time.Duration) func(time.Duration) time.Duration {
		return func(sent time.Duration) time.Duration {
			if sent < from {
				return 0
			}
			return max(0, to+drain*((sent-from)/(20*ms))-sent)
		}
	}
	lossy := func(from, to time.Duration) func(time.Duration) bool {
		return func(sent time.Duration) bool { return sent > from && sent < to && sent/(20*ms)%5 == 0 }
	}
	several := func(each ...func(time.Duration) time.Duration) func(time.Duration) time.Duration {
		return func(sent time.Duration) (d time.Duration) {
			for _, f := range each {
				d = max(d, f(sent))
			}
			return d
		}
	}
	deaf := func(spans ...time.Duration) func(time.Duration) bool {
		return func(at time.Duration) bool {
			for i := 0; i < len(spans); i += 2 {
				if at > spans[i] && at < spans[i+1] {
					return true
				}
			}
			return false
		}
	}
	const s = time.Second
	for _, x := range []struct {
		name string
		link link
		end  time.Duration // of the last stall
	}{
		{"the network, for a second", link{stall: outage(10*s, 11*s)}, 11 * s},
		{"the network, for a second, drained slowly", link{stall: slowly(10*s, 11*s)}, 11 * s},
		{"the network, for a second, with loss", link{stall: slowly(10*s, 11*s), drop: lossy(10*s, 11*s)}, 11 * s},
		{"the machine, for a second", link{stall: outage(10*s, 11*s), readGaps: deaf(10*s, 11*s)}, 11 * s},
		{"the machine, drained slowly, with loss", link{stall: slowly(10*s, 11*s), drop: lossy(10*s, 11*s), readGaps: deaf(10*s, 11*s)}, 11 * s},
		{"the machine, four times", link{
			stall:    several(outage(10*s, 10800*ms), outage(11*s, 11500*ms), outage(12*s, 12900*ms), slowly(13*s, 13600*ms)),
			readGaps: deaf(10*s, 10800*ms, 11*s, 11500*ms, 12*s, 12900*ms, 13*s, 13600*ms),
		}, 13600 * ms},
		{"the machine, four times for 80 ms", link{
			stall:    several(outage(10*s, 10080*ms), outage(11*s, 11080*ms), outage(12*s, 12080*ms), outage(13*s, 13080*ms)),
			readGaps: deaf(10*s, 10080*ms, 11*s, 11080*ms, 12*s, 12080*ms, 13*s, 13080*ms),
		}, 13080 * ms},
	} {
		c := codec(t, "PCMA")
		x.link.from = x.end + 2*s
		x.link.phase = 5 * ms
		h := run(t, c, talk(t, c.SampleRate, 20), x.link)
		if p := percentile(h.delays, 90); p > 60*ms {
			t.Errorf("%s: from two seconds after it on, %v of delay: %v", x.name, p, h)
		}
	}
}

// TestStallBetweenWords: a sender with DTX sends hardly anything after a stall by which the delay could be learnt anew.
func TestStallBetweenWords(t *testing.T) {
	c := codec(t, "PCMA")
	const s = time.Second
	pause := func(sent time.Duration) bool { return sent > 14*s && sent < 30*s && sent/(20*ms)%20 != 0 }
	stall := func(sent time.Duration) time.Duration {
		return max(outage(10*s, 10900*ms)(sent), outage(11*s, 11900*ms)(sent), outage(12*s, 12900*ms)(sent), outage(13*s, 13900*ms)(sent))
	}
	h := run(t, c, talk(t, c.SampleRate, 40), link{phase: 5 * ms, stall: stall, drop: pause, from: 31 * s})
	if p := percentile(h.delays, 90); p > 60*ms {
		t.Errorf("%v of delay after the pause: %v", p, h)
	}
}
