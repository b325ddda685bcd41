package mix

import (
	"slices"
	"testing"
	"time"
)

// TestAlarm: nobody is woken early, and nothing is allocated for it.
func TestAlarm(t *testing.T) {
	a := newAlarm()
	defer a.close()
	for _, d := range []time.Duration{-time.Second, 0, time.Microsecond, 3 * time.Millisecond} {
		until := time.Now().Add(d)
		a.sleep(until)
		if early := time.Until(until); early > 0 {
			t.Errorf("%v: %v early", d, early)
		}
	}
	if n := testing.AllocsPerRun(20, func() { a.sleep(time.Now().Add(time.Millisecond)) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkAlarm prints how late a tick of an idle process begins, beside the runtime's own sleep.
func BenchmarkAlarm(b *testing.B) {
	a := newAlarm()
	defer a.close()
	for name, sleep := range map[string]func(time.Time){"alarm": a.sleep, "time.Sleep": func(t time.Time) { time.Sleep(time.Until(t)) }} {
		b.Run(name, func(b *testing.B) {
			late := make([]time.Duration, 0, b.N)
			for range b.N {
				until := time.Now().Add(20 * time.Millisecond)
				sleep(until)
				late = append(late, time.Since(until))
			}
			slices.Sort(late)
			b.ReportMetric(float64(late[len(late)/2].Microseconds()), "µs-p50")
			b.ReportMetric(float64(late[len(late)*99/100].Microseconds()), "µs-p99")
		})
	}
}
