// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/admin"
	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/accesslog"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/forward"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

// accessLog makes the access log, with a counter for what nobody read in time.
func accessLog(c *Config, env *app.Env) *accesslog.Log {
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "tls_proxy_access_log_dropped_lines_total", Help: "Access log lines dropped because stdout was not read or failed.",
	})
	env.Metrics.MustRegister(dropped)
	return accesslog.New(env.Stdout, accesslog.Format(c.AccessLog), func(lines int) { dropped.Add(float64(lines)) })
}

// showFigures adds the gauges of the way to the application and the status page's key figures.
func showFigures(env *app.Env, handler *forward.Handler, forwarding *forward.Metrics, fronting *frontend.Metrics, cs *certificates) {
	gauge := func(name, help string, value func() float64) {
		env.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("tls_proxy_target_connections_open", "Connections to the application, idle ones included.", func() float64 {
		open, _ := handler.Pool()
		return float64(open)
	})
	gauge("tls_proxy_target_connections_idle", "Idle connections to the application.", func() float64 {
		_, idle := handler.Pool()
		return float64(idle)
	})
	gauge("tls_proxy_target_waiting_requests", "Requests that wait for an application that refuses connections.", func() float64 {
		return float64(handler.Waiting())
	})
	env.Admin.Figure(admin.Figure{Title: "Requests", Rate: true, Value: forwarding.Served})
	env.Admin.Figure(admin.Figure{Title: "In flight", Value: forwarding.InFlight})
	env.Admin.Figure(admin.Figure{Title: "Open connections", Value: fronting.Open})
	env.Admin.Figure(admin.Figure{Title: "Sent", Unit: "bytes", Rate: true, Value: forwarding.Sent})
	env.Admin.Figure(admin.Figure{Title: "Failures", Rate: true, Value: forwarding.Failed})
	env.Admin.Figure(admin.Figure{Title: "Certificate expires in", Unit: "days", Value: func() float64 {
		set := cs.store.Set()
		if set == nil {
			return math.NaN()
		}
		return math.Floor(time.Until(set.NotAfter()).Hours() / 24)
	}})
}
