package bridge

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what the core tells Prometheus. Their names are explained in docs/operator.md.
type metrics struct {
	answered, wrongPINs, interrupted, undecodable, uplinkDropped prometheus.Counter

	ends                                                   *prometheus.CounterVec
	duration, loss, farLoss, jitter, joinTime, uplinkDelay prometheus.Histogram
}

func newMetrics(n *Node, r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	counter := func(name, help string) prometheus.Counter {
		return f.NewCounter(prometheus.CounterOpts{Name: "passerelle_" + name, Help: help})
	}
	histogram := func(name, help string, buckets ...float64) prometheus.Histogram {
		return f.NewHistogram(prometheus.HistogramOpts{Name: "passerelle_" + name, Help: help, Buckets: buckets})
	}
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "passerelle_" + name, Help: help}, value)
	}
	gauge("rooms", "Rooms of the SFU that calls of this node are in.", func() float64 { return float64(n.rooms.count()) })
	gauge("tick_lateness_seconds", "How late the 20 ms clock of the mixers runs, 99th percentile.", func() float64 { return n.Clock.Load().Lateness99.Seconds() })
	gauge("load_ratio", "How loaded the node is: its share of the processors, or the lateness of its mixers over 10 ms, whichever is more.", func() float64 { return n.load.now() })
	gauge("headroom_calls", "How many more calls the node would take, at the load that each of the running ones causes.", func() float64 { return n.headroom() })
	gauge("playout_delay_seconds", "What playout buffers add on the way from the room to callers, mean of the tracks heard now.", func() float64 { return n.rooms.playoutDelay().Seconds() })
	for _, s := range []state{ringing, asking, waiting, joining, talking, ending} {
		f.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "passerelle_calls", Help: "Calls now, by state.", ConstLabels: prometheus.Labels{"state": s.String()},
		}, func() float64 { return float64(n.countState(s)) })
	}
	return &metrics{
		answered:      counter("calls_answered_total", "Calls answered."),
		wrongPINs:     counter("pin_failures_total", "PINs that no room has."),
		interrupted:   counter("sfu_interruptions_total", "Times that a call lost the SFU and was held."),
		undecodable:   counter("audio_undecodable_total", "Packets of callers that could not be decoded or encoded."),
		uplinkDropped: counter("audio_unsent_total", "Packets of callers that the SFU session did not take."),
		ends: f.NewCounterVec(prometheus.CounterOpts{
			Name: "passerelle_calls_total", Help: "Calls that ended, by reason.",
		}, []string{"reason"}),
		duration: histogram("call_duration_seconds", "How long calls lasted, answered ones.", 5, 30, 60, 300, 900, 1800, 3600, 7200),
		loss:     histogram("rtp_loss_ratio", "Share of a call's packets that did not arrive here.", .001, .005, .01, .02, .05, .1, .3),
		farLoss:  histogram("rtp_far_loss_ratio", "Share of a call's packets that did not arrive there, as the far end reports.", .001, .005, .01, .02, .05, .1, .3),
		jitter:   histogram("rtp_jitter_seconds", "A call's interarrival jitter at its end.", .001, .005, .01, .02, .05, .1),
		joinTime: histogram("join_seconds", "From the accepted PIN to the caller being in the room.", .05, .1, .2, .5, 1, 2, 5, 10),
		uplinkDelay: histogram("uplink_delay_seconds", "From a caller's packet to its frame handed to the SFU session.",
			.0001, .0002, .0005, .001, .002, .005, .01, .05),
	}
}

// ended counts a call that is over.
func (m *metrics) ended(c *call, reason error) {
	m.ends.WithLabelValues(Label(reason)).Inc()
	if c.audio == nil {
		return
	}
	m.duration.Observe(c.since().Seconds())
	s := c.audio.Stats()
	if expected := s.PacketsReceived + s.Lost; expected > 0 {
		m.loss.Observe(float64(s.Lost) / float64(expected))
		m.jitter.Observe(s.Jitter.Seconds())
	}
	if s.RoundTrip > 0 && s.PacketsSent > 0 {
		m.farLoss.Observe(float64(s.FarLost) / float64(s.PacketsSent))
	}
}
