package guest

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// path is a simulated way to a page: a queue in front of a link with a rate, a delay, and losses, and a page that reports each 50 ms. Nothing of it takes time.
type path struct {
	d        *downlink
	now      time.Time
	rate     float64       // bits a second
	delay    time.Duration // of the link
	buffer   time.Duration // what waits longer is lost
	loseEach int           // every so many packets; 0: none
	free     time.Time     // when the link has sent what is in the queue
	arrived  []arrival
	from     uint16
	count    int
	offset   time.Duration // of the page's clock
}

type arrival struct {
	at   time.Time
	lost bool
}

func newPath(kbps int) *path {
	p := &path{now: time.Unix(1_000_000, 0), rate: 1e9, delay: 20 * time.Millisecond, buffer: 300 * time.Millisecond, offset: 5 * time.Hour}
	p.free = p.now
	p.d = newDownlink(kbps, func() time.Time { return p.now })
	return p
}

// run sends pictures for a time: as much as the target allows, in steps as layers have them.
func (p *path) run(t time.Duration) (sent float64) {
	layers := []float64{0, 150e3, 500e3, 1000e3, 1700e3, 3000e3}
	end, report := p.now.Add(t), p.now
	for p.now.Before(end) {
		rate := 0.0
		for _, l := range layers {
			if l <= float64(p.d.kbps())*1000 {
				rate = l
			}
		}
		bytes := rate / 8 / 100 // each 10 ms
		for sent += bytes * 8; bytes > 0; bytes -= 1100 {
			p.send(int(min(bytes, 1100)))
		}
		p.now = p.now.Add(10 * time.Millisecond)
		if p.now.Sub(report) >= 50*time.Millisecond {
			report = p.now
			p.report()
		}
	}
	return sent / t.Seconds()
}

func (p *path) send(bytes int) {
	n := p.d.sent(bytes)
	if len(p.arrived) == 0 {
		p.from = n
	}
	p.count++
	if p.free.Before(p.now) {
		p.free = p.now
	}
	a := arrival{lost: p.free.Sub(p.now) > p.buffer || p.loseEach > 0 && p.count%p.loseEach == 0}
	if !a.lost {
		p.free = p.free.Add(time.Duration(float64(bytes+overhead) * 8 / p.rate * float64(time.Second)))
		a.at = p.free.Add(p.delay)
	}
	p.arrived = append(p.arrived, a)
}

// report tells what has arrived until now, over the wire form of the message. Packets that are under way are told of later.
func (p *path) report() {
	n := len(p.arrived)
	for n > 0 && (p.arrived[n-1].lost || p.arrived[n-1].at.After(p.now)) {
		n--
	}
	if n == 0 {
		return
	}
	zero := time.Unix(900_000, 0).Add(-p.offset)
	fb := &rtcp.TransportLayerCC{BaseSequenceNumber: p.from, PacketStatusCount: uint16(n)}
	var last time.Duration
	for i, a := range p.arrived[:n] {
		symbol := uint16(rtcp.TypeTCCPacketNotReceived)
		if !a.lost {
			at := a.at.Sub(zero)
			if last == 0 {
				last = at.Truncate(64 * time.Millisecond)
				fb.ReferenceTime = uint32(last / (64 * time.Millisecond))
			}
			delta := (at - last).Microseconds() / rtcp.TypeTCCDeltaScaleFactor * rtcp.TypeTCCDeltaScaleFactor
			last += time.Duration(delta) * time.Microsecond
			symbol = rtcp.TypeTCCPacketReceivedLargeDelta
			fb.RecvDeltas = append(fb.RecvDeltas, &rtcp.RecvDelta{Type: symbol, Delta: delta})
		}
		if k := len(fb.PacketChunks); i%7 == 0 {
			fb.PacketChunks = append(fb.PacketChunks, &rtcp.StatusVectorChunk{
				Type: rtcp.TypeTCCStatusVectorChunk, SymbolSize: rtcp.TypeTCCSymbolSizeTwoBit, SymbolList: []uint16{symbol},
			})
		} else {
			c := fb.PacketChunks[k-1].(*rtcp.StatusVectorChunk)
			c.SymbolList = append(c.SymbolList, symbol)
		}
	}
	p.arrived, p.from = p.arrived[n:], p.from+uint16(n)
	p.d.feedback(fb)
}

// TestDownlink: the target finds what a way takes, follows it down quickly and up patiently, and is not scared by a little loss.
func TestDownlink(t *testing.T) {
	t.Run("wide", func(t *testing.T) {
		p := newPath(4000)
		p.run(10 * time.Second)
		if k := p.d.kbps(); k != 4000 {
			t.Errorf("%d kbit/s", k)
		}
	})
	t.Run("narrow", func(t *testing.T) {
		p := newPath(4000)
		p.rate = 700e3
		p.run(10 * time.Second)
		got := p.run(time.Minute)
		if got < 300e3 || got > 700e3 {
			t.Errorf("%.0f kbit/s are sent over 700", got/1000)
		}
		waits := 0
		for range 600 {
			p.run(100 * time.Millisecond)
			if p.free.Sub(p.now) > 100*time.Millisecond {
				waits++
			}
		}
		if waits > 30 {
			t.Errorf("packets wait for long in %d of 600 moments", waits)
		}
	})
	t.Run("narrower, and wide again", func(t *testing.T) {
		p := newPath(4000)
		p.run(15 * time.Second)
		p.rate = 600e3
		p.run(3 * time.Second)
		if k := p.d.kbps(); k > 650 {
			t.Errorf("%d kbit/s over 600", k)
		}
		p.rate = 1e9
		p.run(2 * time.Minute)
		if k := p.d.kbps(); k < 3000 {
			t.Errorf("%d kbit/s when there is room again", k)
		}
	})
	t.Run("a little loss", func(t *testing.T) {
		p := newPath(4000)
		p.loseEach = 100
		p.run(20 * time.Second)
		if k := p.d.kbps(); k < 3000 {
			t.Errorf("%d kbit/s", k)
		}
	})
	t.Run("much loss", func(t *testing.T) {
		p := newPath(4000)
		p.loseEach = 4
		p.run(20 * time.Second)
		if k := p.d.kbps(); k > 300 {
			t.Errorf("%d kbit/s", k)
		}
	})
	t.Run("nothing fits", func(t *testing.T) {
		p := newPath(4000)
		for range 20 { // whatever is shown needs 3 Mbit/s
			p.now = p.now.Add(500 * time.Millisecond)
			p.d.kbps()
		}
		if k := p.d.kbps(); k < 3000 {
			t.Errorf("%d kbit/s", k)
		}
	})
	t.Run("no reports any more", func(t *testing.T) {
		p := newPath(4000)
		p.run(10 * time.Second)
		for range 10 {
			for range manyUnheard {
				p.d.sent(1000)
			}
			p.now = p.now.Add(2 * time.Second)
			p.d.kbps()
		}
		if k := p.d.kbps(); k > 100 {
			t.Errorf("%d kbit/s", k)
		}
	})
}

// TestFeedbackBeforeTime: a delta below zero leads back beyond the beginning of the page's clock, at once or after others. It is a time like any other.
func TestFeedbackBeforeTime(t *testing.T) {
	for name, c := range map[string]struct {
		reference uint32
		deltas    []int64 // µs
	}{
		"at once":        {0, []int64{-8_192_000}},
		"a slot":         {0, []int64{-50_000}},
		"there and back": {0, []int64{-8_192_000, 8_191_750, 8_191_750}},
		"after others":   {1, []int64{0, -1_000_000, -8_192_000}},
		"at the end":     {1<<24 - 1, []int64{8_191_750, -8_192_000, -8_192_000}},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(1_000_000, 0)
			d := newDownlink(1000, func() time.Time { return now })
			for range c.deltas {
				d.sent(1000)
			}
			d.feedback(onWire(t, 0, c.reference, c.deltas))
			if d.got != len(c.deltas) {
				t.Errorf("%d of %d packets count", d.got, len(c.deltas))
			}
			if b := d.rate.bits(); b <= 0 {
				t.Errorf("%v bits a second", b)
			}
			if k := d.kbps(); k < 50 || k > 1000 {
				t.Errorf("%d kbit/s", k)
			}
		})
	}
}

// onWire makes a feedback of packets that have all arrived, over its wire form. Deltas are large ones.
func onWire(t testing.TB, base uint16, reference uint32, deltas []int64) *rtcp.TransportLayerCC {
	t.Helper()
	fb := &rtcp.TransportLayerCC{
		BaseSequenceNumber: base, ReferenceTime: reference, PacketStatusCount: uint16(len(deltas)),
		PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: rtcp.TypeTCCPacketReceivedLargeDelta, RunLength: uint16(len(deltas))}},
	}
	for _, d := range deltas {
		fb.RecvDeltas = append(fb.RecvDeltas, &rtcp.RecvDelta{Type: rtcp.TypeTCCPacketReceivedLargeDelta, Delta: d})
	}
	fb.Header = rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: uint16(fb.MarshalSize()/4 - 1)}
	b, err := fb.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	read := new(rtcp.TransportLayerCC)
	if err := read.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	return read
}

func TestDownlinkAllocates(t *testing.T) {
	d := newDownlink(4000, time.Now)
	if n := testing.AllocsPerRun(1000, func() { d.sent(1000) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzFeedback: whatever a page reports, the target stays within its bounds.
func FuzzFeedback(f *testing.F) {
	for _, fb := range []*rtcp.TransportLayerCC{
		onWire(f, 0, 0, []int64{250, 1000}), onWire(f, 0, 0, []int64{-8_192_000}), onWire(f, 39, 1<<24-1, []int64{8_191_750, -8_192_000}),
	} {
		b, err := fb.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fb rtcp.TransportLayerCC
		if fb.Unmarshal(b) != nil {
			return
		}
		now := time.Unix(1, 0)
		d := newDownlink(1000, func() time.Time { now = now.Add(20 * time.Millisecond); return now })
		for range 5 {
			for range 40 {
				d.sent(1000)
			}
			d.feedback(&fb)
			if k := d.kbps(); k < 50 || k > 1000 {
				t.Fatalf("%d kbit/s", k)
			}
		}
	})
}
