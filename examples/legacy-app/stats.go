// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// stats are the numbers /stats shows: counters since the start, and gauges.
type stats struct {
	started        time.Time
	inFlight       atomic.Int64
	streams        atomic.Int64
	sockets        atomic.Int64
	messages       atomic.Int64
	uploads        atomic.Int64
	uploadBytes    atomic.Int64
	reloads        atomic.Int64
	reloadFailures atomic.Int64

	mu       sync.Mutex
	requests int64
	seconds  float64
	byStatus map[string]int64
	byPage   map[string]int64
	jobRuns  int64
	jobLast  time.Duration
}

func newStats() *stats {
	return &stats{started: time.Now(), byStatus: map[string]int64{}, byPage: map[string]int64{}}
}

// request counts one answer. The page is the pattern that served it, so that the set stays small
// whatever clients ask for.
func (s *stats) request(page string, status int, took time.Duration) {
	if page == "" {
		page = "unknown"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.seconds += took.Seconds()
	s.byStatus[fmt.Sprintf("%dxx", status/100)]++
	s.byPage[page]++
}

func (s *stats) job(took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobRuns++
	s.jobLast = took
}

// showStats answers with nested JSON, numbers and strings mixed, in the shape such pages grow into.
func (a *app) showStats(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body := json.NewEncoder(w)
	body.SetIndent("", "  ")
	if err := body.Encode(a.snapshot()); err != nil {
		a.logs.Warn("Stats", "cannot send the stats: %v", err)
	}
}

func (a *app) snapshot() map[string]any {
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s, c := a.stats, a.config.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]any{
		"app": map[string]any{
			"name":           "boathouse",
			"version":        version,
			"started":        s.started.UTC().Format(time.RFC3339),
			"uptime_seconds": time.Since(s.started).Seconds(),
		},
		"requests": map[string]any{
			"total":         s.requests,
			"in_flight":     s.inFlight.Load(),
			"seconds_total": s.seconds,
			"by_status":     s.byStatus,
			"by_page":       s.byPage,
		},
		"sessions":  map[string]any{"open": a.sessions.open(), "created": a.sessions.total()},
		"websocket": map[string]any{"open": s.sockets.Load(), "messages": s.messages.Load()},
		"events":    map[string]any{"open": s.streams.Load()},
		"uploads":   map[string]any{"count": s.uploads.Load(), "bytes": s.uploadBytes.Load()},
		"config": map[string]any{
			"reloads":     s.reloads.Load(),
			"failures":    s.reloadFailures.Load(),
			"read_at":     c.ReadAt.UTC().Format(time.RFC3339),
			"maintenance": c.Maintenance,
		},
		"jobs": []any{
			map[string]any{"name": "housekeeping", "runs": s.jobRuns, "last_seconds": s.jobLast.Seconds()},
		},
		"memory": map[string]any{"heap_bytes": memory.HeapAlloc, "gc_runs": memory.NumGC},
	}
}
