// SPDX-License-Identifier: Apache-2.0

package app

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/lifecycle"
)

// runtimeCollectors are go_... and process_.... The functions are said to have
// moved to the package collectors, which only calls them, and which links
// database/sql into every program.
func runtimeCollectors() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGoCollector(),                                       //lint:ignore SA1019 see above
		prometheus.NewProcessCollector(prometheus.ProcessCollectorOpts{}), //lint:ignore SA1019 see above
	}
}

// buildInfo is the metric PREFIX_build_info, which is always 1.
func buildInfo(spec Spec) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: spec.MetricPrefix() + "build_info",
		Help: "A constant 1 with the labels of the build that runs.",
		ConstLabels: prometheus.Labels{
			"version": Version(), "revision": revision(), "goversion": runtime.Version(),
		},
	})
	g.Set(1)
	return g
}

// reloadCounters are PREFIX_reloads_total{result="success|failure"}.
func reloadCounters(spec Spec, life *lifecycle.Group) []prometheus.Collector {
	counter := func(result string, value func(lifecycle.ReloadCounts) uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        spec.MetricPrefix() + "reloads_total",
			Help:        "Reloads by SIGHUP or POST /-/reload. After a failure the old configuration stays.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(value(life.Reloads())) })
	}
	return []prometheus.Collector{
		counter("success", func(c lifecycle.ReloadCounts) uint64 { return c.Success }),
		counter("failure", func(c lifecycle.ReloadCounts) uint64 { return c.Failure }),
	}
}
