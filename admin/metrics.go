package admin

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are what the listener tells Prometheus.
type metrics struct {
	requests           *prometheus.CounterVec
	strangers, dropped prometheus.Counter
	streams            prometheus.Gauge
	cuts               *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "passerelle_http_requests_total", Help: "Requests of the admin API, by route and status.",
		}, []string{"route", "status"}),
		strangers: f.NewCounter(prometheus.CounterOpts{
			Name: "passerelle_http_logins_failed_total", Help: "Requests of the admin API without a token or certificate that is known.",
		}),
		dropped: f.NewCounter(prometheus.CounterOpts{
			Name: "passerelle_http_connections_dropped_total", Help: "HTTP connections that were closed to make room for others.",
		}),
		streams: f.NewGauge(prometheus.GaugeOpts{Name: "passerelle_http_event_streams", Help: "Event streams of the admin API now."}),
		cuts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "passerelle_http_event_streams_ended_total", Help: "Event streams of the admin API that this node ended, by reason.",
		}, []string{"reason"}),
	}
}
