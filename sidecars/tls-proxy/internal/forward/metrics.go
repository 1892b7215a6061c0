// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of forwarded requests. Labels take only values from fixed lists.
type Metrics struct {
	// Totals that the status page reads as well.
	inFlight, received, sent, served, failed atomic.Int64

	requests *prometheus.CounterVec
	byCode   [len(methods)][600]atomic.Pointer[prometheus.Counter] // requests, looked up without hashing
	duration prometheus.Histogram
	upstream prometheus.Histogram
	failures map[string]prometheus.Counter
	tunnels  prometheus.Gauge
	dials    *prometheus.CounterVec
	holds    *prometheus.CounterVec
}

// methods are the values of the method label; the last stands for all others.
var methods = [...]string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "other",
}

var seconds = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// NewMetrics makes and registers the figures.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: seconds})
	}
	failed := counter("tls_proxy_http_failures_total", "Requests that ended with an answer of the proxy's own or were cut short, by reason.", "reason")
	m := &Metrics{
		requests: counter("tls_proxy_http_requests_total", "Requests by method and status code (499: the client left before an answer).", "method", "code"),
		duration: histogram("tls_proxy_http_request_duration_seconds", "Time from a request's head to the end of its response; upgraded connections are left out."),
		upstream: histogram("tls_proxy_http_upstream_duration_seconds", "Time from sending a request to the application to its response head."),
		failures: make(map[string]prometheus.Counter),
		tunnels:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "tls_proxy_tunnels_open", Help: "Upgraded connections, WebSockets as a rule."}),
		dials:    counter("tls_proxy_target_dials_total", "Connections opened to the application, by result.", "result"),
		holds:    counter("tls_proxy_target_held_requests_total", "Requests that waited for an application that refused connections, by outcome.", "result"),
	}
	for _, f := range failures {
		m.failures[f.reason] = failed.WithLabelValues(f.reason)
	}
	for _, reason := range []string{"panic", "drained", "tunnel_idle"} {
		m.failures[reason] = failed.WithLabelValues(reason)
	}
	for _, result := range []string{"ok", "refused", "timeout", "error"} {
		m.dials.WithLabelValues(result)
	}
	for _, result := range []string{"served", "failed"} {
		m.holds.WithLabelValues(result)
	}
	reg.MustRegister(m.requests, m.duration, m.upstream, failed, m.tunnels, m.dials, m.holds,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tls_proxy_http_requests_in_flight", Help: "Requests being served, upgraded connections included.",
		}, m.InFlight),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tls_proxy_http_request_bytes_total", Help: "Bytes of request bodies received.",
		}, func() float64 { return float64(m.received.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "tls_proxy_http_response_bytes_total", Help: "Bytes of response bodies sent.",
		}, m.Sent))
	return m
}

// InFlight is the number of requests being served.
func (m *Metrics) InFlight() float64 { return float64(m.inFlight.Load()) }

// Served is the number of finished requests.
func (m *Metrics) Served() float64 { return float64(m.served.Load()) }

// Failed is the number of requests that the proxy answered itself or cut short.
func (m *Metrics) Failed() float64 { return float64(m.failed.Load()) }

// Sent is the number of bytes of response bodies.
func (m *Metrics) Sent() float64 { return float64(m.sent.Load()) }

// request counts a finished exchange.
func (m *Metrics) request(x *exchange, took time.Duration) {
	m.counter(x.r.Method, x.status).Inc()
	m.served.Add(1)
	m.received.Add(x.received)
	m.sent.Add(x.sent)
	if x.end != endOK {
		m.failed.Add(1)
		if c := m.failures[x.end]; c != nil {
			c.Inc()
		}
	}
	if x.upstream > 0 {
		m.upstream.Observe(x.upstream.Seconds())
	}
	if x.status != http.StatusSwitchingProtocols {
		m.duration.Observe(took.Seconds())
	}
}

func (m *Metrics) counter(method string, status int) prometheus.Counter {
	row := len(methods) - 1
	for i, known := range methods {
		if method == known {
			row = i
			break
		}
	}
	if status < 0 || status >= len(m.byCode[row]) {
		return m.requests.WithLabelValues(methods[row], "other")
	}
	slot := &m.byCode[row][status]
	if c := slot.Load(); c != nil {
		return *c
	}
	c := m.requests.WithLabelValues(methods[row], strconv.Itoa(status))
	slot.Store(&c)
	return c
}

func (m *Metrics) dialled(err error) {
	result := "ok"
	switch {
	case err == nil:
	case refused(err):
		result = "refused"
	case isTimeout(err):
		result = "timeout"
	default:
		result = "error"
	}
	m.dials.WithLabelValues(result).Inc()
}

func (m *Metrics) held(err error) {
	if err != nil {
		m.holds.WithLabelValues("failed").Inc()
		return
	}
	m.holds.WithLabelValues("served").Inc()
}
