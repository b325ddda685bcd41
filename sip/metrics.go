package sip

import "github.com/prometheus/client_golang/prometheus"

// metrics are the counters of the user agent.
type metrics struct {
	requests *prometheus.CounterVec // by method and the status that answered
	dropped  *prometheus.CounterVec // by why
	auth     prometheus.Counter
	legs     prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "passerelle_sip_requests_total", Help: "SIP requests answered, by method and status.",
		}, []string{"method", "status"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "passerelle_sip_dropped_total", Help: "SIP messages dropped without an answer, by cause.",
		}, []string{"cause"}),
		auth: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "passerelle_sip_auth_failures_total", Help: "Requests with wrong digest credentials.",
		}),
		legs: prometheus.NewGauge(prometheus.GaugeOpts{Name: "passerelle_sip_legs", Help: "SIP legs now."}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.dropped, m.auth, m.legs} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// method is a bounded label: methods come from outside.
func methodLabel(m string) string {
	switch m {
	case "INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "PRACK", "UPDATE", "REFER", "REGISTER", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH":
		return m
	}
	return "other"
}
