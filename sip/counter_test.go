package sip

import "github.com/prometheus/client_golang/prometheus"

// counted is the value of a counter under one label.
func counted(c *prometheus.CounterVec, label string) int {
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == label {
					return int(m.GetCounter().GetValue())
				}
			}
		}
	}
	return 0
}
