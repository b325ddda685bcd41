package guest

import (
	"math"
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// downlink finds out how many bits of pictures a second the way to a page takes, from what the page reports about each packet (transport-wide congestion
// control, draft-holmer-rmcat-transport-wide-cc-extensions). It grows while packets neither wait in a queue nor get lost, and gives way when they do. What
// it gives way at is remembered and tried again after a while, which gets longer with each failure: there is no padding to try with, only pictures.
//
// Sound is not counted, and nothing of it is held back: pictures give way to it.
type downlink struct {
	now func() time.Time

	mu      sync.Mutex
	next    uint16
	history [sentSize]sentPacket
	begun   time.Time
	started bool // there was a feedback

	target    float64 // bits a second
	ceiling   float64
	startup   bool // nothing has failed yet: growth is quick
	failed    float64
	backoff   time.Duration
	retry     time.Time // failed is not exceeded before
	changed   time.Time // of target
	eased     time.Time // of the last decrease
	congested int       // feedbacks in a row that tell of a queue
	since     time.Time // of the first of them

	fastest [2]time.Duration // shortest way, of this period and of the last one
	period  time.Time
	rate    meter
	window  time.Time // of the counts below
	got     int
	lost    int
	loss    float64
	unheard int // packets sent since the last feedback
	heardAt time.Time
	sentAt  time.Time
}

// sentPacket is a packet that was sent and not reported yet.
type sentPacket struct {
	at       time.Duration // after begun
	sequence uint16
	bytes    uint16 // 0: reported
}

const (
	sentSize  = 2048 // packets; a power of two
	overhead  = 56   // bytes of IP, UDP, RTP, extensions and SRTP
	startKbps = 1500
	floorRate = 50_000.0 // bits a second

	longQueue    = 60 * time.Millisecond // a wait that is congestion, when it lasts
	shortQueue   = 30 * time.Millisecond // a wait that is none
	lasting      = 150 * time.Millisecond
	basePeriod   = 10 * time.Second // how long the shortest way is believed
	ease         = 0.85             // of what got through, after congestion
	easeEvery    = 500 * time.Millisecond
	growth       = 1.08 // a second
	startGrowth  = 1.30
	muchLoss     = 0.10
	littleLoss   = 0.02
	lossWindow   = time.Second
	firstBackoff = 5 * time.Second
	lastBackoff  = time.Minute
	silence      = time.Second // without a report, although much was sent
	manyUnheard  = 20
	idle         = 400 * time.Millisecond // without a packet
	maxReported  = 4096                   // packets that one feedback may speak of

	clock = 64 * time.Millisecond // the page counts time in these, with 24 bits
	cycle = clock << 24           // 12 days: then its clock begins anew
)

func newDownlink(kbps int, now func() time.Time) *downlink {
	t := now()
	d := &downlink{
		now: now, begun: t, ceiling: float64(kbps) * 1000, target: float64(min(kbps, startKbps)) * 1000, startup: true, backoff: firstBackoff, changed: t,
		window: t, heardAt: t, period: t,
	}
	d.fastest = [2]time.Duration{math.MaxInt64, math.MaxInt64}
	return d
}

// sent notes a packet and gives it its number.
func (d *downlink) sent(payload int) uint16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.next
	d.next++
	d.sentAt = d.now()
	d.history[n%sentSize] = sentPacket{at: d.sentAt.Sub(d.begun), sequence: n, bytes: uint16(min(payload+overhead, math.MaxUint16))}
	d.unheard++
	return n
}

// kbps is what pictures may take now.
func (d *downlink) kbps() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch now := d.now(); {
	case d.started && d.unheard >= manyUnheard && now.Sub(d.heardAt) > silence:
		d.heardAt = now
		d.set(d.target/2, now)
	case now.Sub(d.sentAt) > idle: // nothing fits, and nothing speaks against trying more
		d.grow(now)
	}
	return int(d.target / 1000)
}

// feedback takes a report of the page. What is not about packets that were sent means nothing.
func (d *downlink) feedback(fb *rtcp.TransportLayerCC) {
	if fb.PacketStatusCount > maxReported {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	queue, any := d.read(fb)
	if !any {
		return
	}
	d.started, d.unheard, d.heardAt = true, 0, now
	if now.Sub(d.window) >= lossWindow {
		d.loss = 0
		if n := d.got + d.lost; n > 0 {
			d.loss = float64(d.lost) / float64(n)
		}
		d.got, d.lost, d.window = 0, 0, now
		if d.loss > muchLoss {
			d.giveWay(d.target*(1-d.loss/2), now)
		}
	}
	switch {
	case queue > longQueue:
		if d.congested++; d.congested == 1 {
			d.since = now
		}
		if d.congested >= 3 && now.Sub(d.since) >= lasting {
			d.giveWay(min(d.target, ease*d.rate.bits()), now)
		}
	case queue < shortQueue:
		d.congested = 0
		if d.loss < littleLoss {
			d.grow(now)
		}
	default:
		d.congested = 0
		d.changed = now
	}
}

// read goes through a feedback and tells how long its quickest packet waited in queues; false: it says nothing new.
func (d *downlink) read(fb *rtcp.TransportLayerCC) (queue time.Duration, any bool) {
	arrival := time.Duration(fb.ReferenceTime) * clock % cycle
	shortest := time.Duration(math.MaxInt64)
	sequence, left, deltas := fb.BaseSequenceNumber, int(fb.PacketStatusCount), fb.RecvDeltas
	each := func(symbol uint16) bool {
		if left--; left < 0 {
			return false
		}
		p := &d.history[sequence%sentSize]
		known := p.sequence == sequence && p.bytes != 0
		sequence++
		received := symbol == rtcp.TypeTCCPacketReceivedSmallDelta || symbol == rtcp.TypeTCCPacketReceivedLargeDelta
		if received {
			if len(deltas) == 0 {
				return false
			}
			delta := time.Duration(deltas[0].Delta) * time.Microsecond // may be below zero, and lead back beyond the clock's beginning
			arrival = (arrival + delta%cycle + cycle) % cycle
			deltas = deltas[1:]
		}
		if !known {
			return true
		}
		any = true
		if !received {
			d.lost++
			p.bytes = 0
			return true
		}
		d.got++
		d.rate.add(arrival, int(p.bytes))
		shortest = min(shortest, arrival-p.at)
		p.bytes = 0
		return true
	}
	for _, c := range fb.PacketChunks {
		switch c := c.(type) {
		case *rtcp.RunLengthChunk:
			for range c.RunLength {
				if !each(c.PacketStatusSymbol) {
					break
				}
			}
		case *rtcp.StatusVectorChunk:
			for _, s := range c.SymbolList {
				if !each(s) {
					break
				}
			}
		}
		if left <= 0 {
			break
		}
	}
	if shortest == math.MaxInt64 {
		return 0, any
	}
	if now := d.now(); now.Sub(d.period) >= basePeriod {
		d.period = now
		d.fastest[1], d.fastest[0] = d.fastest[0], shortest
	}
	d.fastest[0] = min(d.fastest[0], shortest)
	return shortest - min(d.fastest[0], d.fastest[1]), any
}

// giveWay lowers the target, and remembers what was too much.
func (d *downlink) giveWay(to float64, now time.Time) {
	d.congested = 0
	if now.Sub(d.eased) < easeEvery {
		return
	}
	if now.Sub(d.eased) > 2*d.backoff { // it went well for long
		d.backoff = firstBackoff
	}
	if now.After(d.retry) {
		d.failed = max(to, floorRate)
		d.retry = now.Add(d.backoff)
		d.backoff = min(2*d.backoff, lastBackoff)
	}
	d.failed = min(d.failed, max(to, floorRate))
	d.eased, d.startup = now, false
	d.set(to, now)
}

// grow raises the target by the time that has passed.
func (d *downlink) grow(now time.Time) {
	by := growth
	if d.startup {
		by = startGrowth
	}
	to := d.target * math.Pow(by, min(now.Sub(d.changed).Seconds(), 1))
	if now.Before(d.retry) {
		to = min(to, max(d.failed, d.target))
	}
	d.set(to, now)
}

func (d *downlink) set(to float64, now time.Time) {
	d.target, d.changed = min(max(to, floorRate), max(d.ceiling, floorRate)), now
}

// meter measures a rate over the last half second of arrivals.
type meter struct {
	slots [10]int // bytes in 50 ms each
	at    int64   // the latest slot, counted from the beginning of time
}

const slot = 50 * time.Millisecond

// add notes bytes that arrived at a time of the page's clock, which is not below zero.
func (m *meter) add(arrival time.Duration, bytes int) {
	at := int64(arrival / slot)
	n := int64(len(m.slots))
	if at <= m.at-n || at >= m.at+n { // nothing of before counts any more, or the page's clock began anew
		*m = meter{at: at}
	}
	for m.at < at {
		m.at++
		m.slots[m.at%n] = 0
	}
	m.slots[at%n] += bytes
}

// bits is the rate in bits a second.
func (m *meter) bits() float64 {
	sum := 0
	for _, b := range m.slots {
		sum += b
	}
	return float64(sum) * 8 / (slot * time.Duration(len(m.slots))).Seconds()
}
