package guest

import "github.com/prometheus/client_golang/prometheus"

// metrics are the counters of the guests' server. Their names are explained in docs/guests.md.
type metrics struct {
	legs, sockets, sessions prometheus.Gauge
	refused                 *prometheus.CounterVec // by code
	cut                     *prometheus.CounterVec // sockets, by why
	messages                *prometheus.CounterVec // by type
	connect                 prometheus.Histogram
	requests                *prometheus.CounterVec // by status class
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "passerelle_guest_" + name, Help: help})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "passerelle_guest_" + name, Help: help}, labels)
	}
	m := &metrics{
		legs:     gauge("legs", "Guests in calls now."),
		sockets:  gauge("sockets", "WebSockets open now."),
		sessions: gauge("sessions", "Links that were exchanged and not given up yet."),
		refused:  counter("refused_total", "Links and requests that were refused, by reason.", "reason"),
		cut:      counter("sockets_cut_total", "WebSockets and connections that were cut, by cause.", "cause"),
		messages: counter("messages_total", "Messages of pages, by type.", "type"),
		requests: counter("requests_total", "HTTP requests, by status.", "status"),
		connect: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "passerelle_guest_connect_seconds", Help: "From an offer to its media being up.", Buckets: []float64{.05, .1, .2, .5, 1, 2, 5, 10},
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.legs, m.sockets, m.sessions, m.refused, m.cut, m.messages, m.requests, m.connect} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
