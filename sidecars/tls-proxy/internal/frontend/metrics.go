// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/httpwire"
)

// Metrics are the frontend's figures. Labels take only values from fixed lists.
type Metrics struct {
	open         atomic.Int64
	acceptErrors prometheus.Counter
	handshakes   *prometheus.CounterVec
	duration     prometheus.Histogram
	connections  *prometheus.CounterVec
	refused      *prometheus.CounterVec
	http2Errors  *prometheus.CounterVec
}

// NewMetrics makes and registers the figures.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		acceptErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tls_proxy_accept_errors_total", Help: "Failed attempts to accept a connection, out of descriptors as a rule.",
		}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tls_proxy_tls_handshakes_total", Help: "TLS handshakes by result.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tls_proxy_tls_handshake_duration_seconds", Help: "Time of successful TLS handshakes, the client's share included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		connections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tls_proxy_tls_connections_total", Help: "Connections by what their handshake settled.",
		}, []string{"version", "curve", "alpn", "resumed"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tls_proxy_http_ambiguous_requests_total", Help: "Requests refused with 400 because two readers could see their end in different places, by reason.",
		}, []string{"reason"}),
		http2Errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tls_proxy_http2_errors_total", Help: "HTTP/2 protocol errors of clients by type.",
		}, []string{"type"}),
	}
	for _, result := range handshakeResults {
		m.handshakes.WithLabelValues(result)
	}
	for _, reason := range httpwire.Refusals() {
		m.refused.WithLabelValues(reason)
	}
	reg.MustRegister(m.acceptErrors, m.handshakes, m.duration, m.connections, m.refused, m.http2Errors,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tls_proxy_connections_open", Help: "Client connections past their handshake, without upgraded ones.",
		}, m.Open))
	return m
}

// Open is the number of client connections past their handshake.
func (m *Metrics) Open() float64 { return float64(m.open.Load()) }

func (m *Metrics) handshakeDone(c *Conn, took time.Duration) {
	m.handshakes.WithLabelValues("ok").Inc()
	m.duration.Observe(took.Seconds())
	alpn := c.ALPN
	if alpn == "" {
		alpn = "none"
	}
	curve := c.Curve
	if curve == "" {
		curve = "none" // a TLS 1.2 resumption exchanges no key
	}
	resumed := "false"
	if c.Resumed {
		resumed = "true"
	}
	m.connections.WithLabelValues(c.Version, curve, alpn, resumed).Inc()
}

func (m *Metrics) countRefused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// countHTTP2Error is told error types by net/http, which has a fixed list of them.
func (m *Metrics) countHTTP2Error(kind string) { m.http2Errors.WithLabelValues(kind).Inc() }
