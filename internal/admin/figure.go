// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Figure is a key figure on the status page, with a line of its last minutes.
type Figure struct {
	// Title is short: "Requests", "Open connections".
	Title string
	// Unit is "bytes", "seconds" or "%", which are scaled and rounded to read well, any other word, or nothing for a count.
	Unit string
	// Rate says that Value is a counter and that the figure is its increase per second.
	Rate bool
	// Value is called every two seconds and must be quick; NaN means that there is no value now.
	Value func() float64
}

// The last five minutes of each figure: 150 numbers of 8 bytes, taken by one goroutine that sleeps in between.
const (
	samplePeriod = 2 * time.Second
	sampleCount  = 150
)

// series is a figure with its samples, the newest last.
type series struct {
	Figure

	mu      sync.Mutex
	samples []float64
	last    float64 // the counter at lastAt
	lastAt  time.Time
}

// Figure adds a key figure to the status page, behind those added before.
func (s *Server) Figure(f Figure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.series = append(s.series, &series{Figure: f})
}

// sample takes samples until Shutdown.
func (s *Server) sample() {
	ticker := time.NewTicker(samplePeriod)
	defer ticker.Stop()
	for {
		for _, f := range s.figures() {
			f.observe(time.Now())
		}
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
	}
}

// figures are those of the program, then those that every program has.
func (s *Server) figures() []*series {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(append([]*series(nil), s.series...), s.own...)
}

func (f *series) observe(now time.Time) {
	value := f.Value()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Rate {
		value = f.perSecond(value, now)
	}
	if len(f.samples) == sampleCount {
		copy(f.samples, f.samples[1:])
		f.samples = f.samples[:sampleCount-1]
	}
	f.samples = append(f.samples, value)
}

// perSecond turns a counter into its increase per second; a counter that began again counts from 0.
func (f *series) perSecond(value float64, now time.Time) float64 {
	rate := math.NaN()
	if since := now.Sub(f.lastAt).Seconds(); !f.lastAt.IsZero() && since > 0 {
		increase := value - f.last
		if increase < 0 {
			increase = value
		}
		rate = increase / since
	}
	f.last, f.lastAt = value, now
	return rate
}

// window returns a copy of the samples; the last one is the present value.
func (f *series) window() []float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]float64(nil), f.samples...)
}

// ownFigures are what a program costs, which is what people ask first of a container that they add to a pod.
func (s *Server) ownFigures() {
	s.own = []*series{
		{Figure: Figure{Title: "Memory", Unit: "bytes", Value: residentBytes}},
		{Figure: Figure{Title: "Processor", Unit: "% of a core", Rate: true, Value: processorPercent}},
	}
}

// residentBytes is the resident set size, what the kubelet counts against the limit (proc_pid_statm(5), second field).
func residentBytes() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return math.NaN()
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return math.NaN()
	}
	pages, err := strconv.ParseFloat(string(fields[1]), 64)
	if err != nil {
		return math.NaN()
	}
	return pages * float64(os.Getpagesize())
}

// processorPercent counts the processor time used so far, in hundredths of a second.
func processorPercent() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return math.NaN()
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9 * 100
}
