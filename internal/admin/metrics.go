// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsHandler serves the registry as text, OpenMetrics or protobuf, as the scraper asks for.
func (s *Server) metricsHandler() http.Handler {
	gatherer := s.o.Gatherer
	if gatherer == nil {
		gatherer = prometheus.NewRegistry()
	}
	return promhttp.HandlerFor(prometheus.GathererFunc(oneAtATime(gatherer.Gather)), promhttp.HandlerOpts{
		EnableOpenMetrics: true,
		ErrorHandling:     promhttp.ContinueOnError, // one broken collector hides no other
		ErrorLog:          metricsLog{s},
	})
}

// oneAtATime lets one scrape gather while others wait: many at once cost no more processor than one. The lock is free again
// before the answer is written, so that a slow reader holds up nobody.
func oneAtATime[T any](gather func() (T, error)) func() (T, error) {
	var mu sync.Mutex
	return func() (T, error) {
		mu.Lock()
		defer mu.Unlock()
		return gather()
	}
}

type metricsLog struct{ *Server }

func (l metricsLog) Println(v ...any) {
	l.log.Warn("cannot show all metrics", "detail", fmt.Sprint(v...))
}

// registerMetrics adds the server's own metrics, all named after the program.
func (s *Server) registerMetrics() {
	prefix := strings.ReplaceAll(s.o.Program, "-", "_")
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: prefix + "_admin_refused_total",
		Help: "Requests and connections that the admin port turned away, by reason.",
	}, []string{"reason"})
	for _, reason := range []string{
		reasonAccept, reasonAddress, reasonBrowser, reasonConnections, reasonForwarded, reasonHeader, reasonHost, reasonOff,
	} {
		refused.WithLabelValues(reason)
	}
	s.refused = func(reason string) { refused.WithLabelValues(reason).Inc() }
	if s.o.Registerer == nil {
		return
	}
	ready := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "_ready",
		Help: "Whether /readyz answers 200.",
	}, func() float64 {
		if ok, _ := s.IsReady(); ok {
			return 1
		}
		return 0
	})
	s.o.Registerer.MustRegister(refused, ready)
}
