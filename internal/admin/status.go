// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// status is everything the status page shows, and /status as JSON.
type status struct {
	Program       string        `json:"program"`
	Version       string        `json:"version"`
	Host          string        `json:"host"` // in Kubernetes the pod's name
	Phase         string        `json:"phase"`
	Live          bool          `json:"live"`
	Ready         bool          `json:"ready"`
	Started       bool          `json:"started"`
	Mood          mood          `json:"mood"`
	Title         string        `json:"title"`    // "Ready"
	Sentence      string        `json:"sentence"` // what that means, for a person
	StartedAt     time.Time     `json:"started_at"`
	UptimeSeconds int64         `json:"uptime_seconds"`
	Uptime        string        `json:"uptime"`         // "5 h 4 min"
	Checks        []result      `json:"checks"`         // without those that every program has, while they pass
	SampleSeconds float64       `json:"sample_seconds"` // time between two samples of a figure
	SampleCount   int           `json:"sample_count"`   // how many samples are kept
	Figures       []figureState `json:"figures"`
	Tables        []tableState  `json:"tables"`
	Settings      []Setting     `json:"settings"`
}

// mood is the colour of the state.
type mood string

const (
	moodGood mood = "good"
	moodWait mood = "wait" // it will pass by itself: starting, draining
	moodBad  mood = "bad"
)

type figureState struct {
	Title   string   `json:"title"`
	Value   number   `json:"value"`
	Number  string   `json:"number"` // Value as a person reads it, "1.2"
	Unit    string   `json:"unit"`   // and "MB/s"
	Peak    string   `json:"peak"`   // the highest sample, with its unit where that is another
	Label   string   `json:"label"`  // the chart in words
	Samples []number `json:"samples"`
}

type tableState struct {
	Title string     `json:"title"`
	Head  []string   `json:"head"`
	Rows  [][]string `json:"rows"`
}

// number is a float64 that JSON can hold: four digits, and null where there is no value.
type number float64

func (n number) MarshalJSON() ([]byte, error) {
	v := float64(n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, v, 'g', 4, 64), nil
}

func (s *Server) serveStatus(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(s.status(time.Now()))
	if err != nil {
		http.Error(w, "cannot write the status as JSON: "+err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
}

func (s *Server) status(now time.Time) status {
	live, started, ready := s.results(probeLive), s.results(probeStartup), s.results(probeReady)
	out := status{
		Program:       s.o.Program,
		Version:       s.o.Version,
		Host:          s.host,
		Phase:         s.phase(),
		StartedAt:     s.start.UTC().Truncate(time.Second),
		UptimeSeconds: int64(now.Sub(s.start).Seconds()),
		Uptime:        duration(now.Sub(s.start)),
		SampleSeconds: samplePeriod.Seconds(),
		SampleCount:   sampleCount,
		Checks:        []result{},
		Figures:       []figureState{},
		Tables:        []tableState{},
		Settings:      s.settings(),
	}
	for _, r := range slices.Concat(ready, live, started) {
		if !r.own || !r.OK {
			out.Checks = append(out.Checks, r)
		}
	}
	out.Live, _ = verdict(live)
	out.Started, _ = verdict(started)
	out.Ready, _ = verdict(ready)
	s.describe(&out)
	for _, f := range s.figures() {
		out.Figures = append(out.Figures, f.state())
	}
	s.mu.Lock()
	tables := append([]Table(nil), s.tables...)
	s.mu.Unlock()
	for _, t := range tables {
		out.Tables = append(out.Tables, tableState{Title: t.Title, Head: t.Head, Rows: t.Rows()})
	}
	return out
}

// describe says in a title and one sentence how the program is.
func (s *Server) describe(out *status) {
	reasons := func(probe string) string {
		_, failed := verdict(filter(out.Checks, probe))
		return strings.Join(failed, "; ")
	}
	notReady := s.notReady.Load()
	switch {
	case !out.Live:
		out.Mood, out.Title = moodBad, "Stuck"
		out.Sentence = "A part of the program no longer advances, which a liveness probe takes as the order to restart its container: " + reasons(probeLive)
	case s.ending():
		out.Mood, out.Title = moodWait, "Shutting down"
		out.Sentence = "No new work is wanted; what is under way is being finished."
	case out.Phase == phaseStarting:
		out.Mood, out.Title = moodWait, "Starting"
		out.Sentence = "The program is not ready for work yet."
	case notReady != nil:
		out.Mood, out.Title = moodWait, "Drained"
		out.Sentence = "Taken out of service by an operator, and still working for whoever comes: " + oneLine(*notReady)
	case !out.Started:
		out.Mood, out.Title = moodWait, "Starting"
		out.Sentence = "Waiting: " + reasons(probeStartup)
	case !out.Ready:
		out.Mood, out.Title = moodBad, "Not ready"
		out.Sentence = reasons(probeReady)
	default:
		out.Mood, out.Title = moodGood, "Ready"
		out.Sentence = "Every check passes."
		if note := failedNote(out.Checks); note != "" {
			out.Sentence = "Every check that counts passes. Worth a look: " + note
		}
	}
	if !strings.HasSuffix(out.Sentence, ".") {
		out.Sentence += "."
	}
}

func filter(results []result, probe string) []result {
	var out []result
	for _, r := range results {
		if r.Probe == probe {
			out = append(out, r)
		}
	}
	return out
}

// failedNote is the first failed note, "NAME: REASON", or "".
func failedNote(results []result) string {
	for _, r := range results {
		if r.Note && !r.OK {
			return r.Name + ": " + r.Reason
		}
	}
	return ""
}

func (f *series) state() figureState {
	samples := f.window()
	out := figureState{Title: f.Title, Value: number(math.NaN()), Samples: make([]number, len(samples))}
	peak := math.NaN()
	for i, v := range samples {
		out.Samples[i] = number(v)
		if !math.IsNaN(v) && !(v <= peak) { // also true where peak is NaN
			peak = v
		}
		out.Value = number(v)
	}
	now := f.read(float64(out.Value))
	out.Number, out.Unit = now.Number, now.Unit
	highest := f.read(peak)
	out.Label = "The last five minutes: now " + now.String() + ", at most " + highest.String()
	out.Peak = highest.String()
	if highest.Unit == now.Unit {
		out.Peak = highest.Number
	}
	return out
}
