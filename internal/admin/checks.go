// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// Check tells whether one thing is well: nil means yes, the error's text is the reason why not, a sentence for operators. It
// is called for each probe and must not block: it looks at what another goroutine found out.
type Check func() error

// The probes, by the names of their paths. A note belongs to /readyz?verbose but is never counted.
const (
	probeLive    = "livez"
	probeReady   = "readyz"
	probeStartup = "startupz"
)

type check struct {
	probe, name string
	note        bool
	run         Check
}

// result is what a check said, as /status shows it.
type result struct {
	Probe  string `json:"probe"` // "livez", "readyz" or "startupz"
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Note   bool   `json:"note,omitempty"` // never counted
	Reason string `json:"reason,omitempty"`
	Counts string `json:"counts"` // what it counts for, in a word: "readiness"
	Mood   mood   `json:"mood"`

	own bool // every program has it
}

// Live adds a check to /livez: whether the program's own loops advance, and never anything outside the process, for its
// failure ends the container. See Pulse.
func (s *Server) Live(name string, c Check) { s.add(check{probe: probeLive, name: name, run: c}) }

// Ready adds a check to /readyz: whether the program can do its work now.
func (s *Server) Ready(name string, c Check) { s.add(check{probe: probeReady, name: name, run: c}) }

// Startup adds a check to /startupz: whether the listeners are bound and the configuration is loaded, never the app, which
// may wait for this program.
func (s *Server) Startup(name string, c Check) { s.add(check{probe: probeStartup, name: name, run: c}) }

// Note adds a line to /readyz?verbose and to the status page that never counts, such as whether the app answers.
// /readyz/NAME answers 503 when it fails, for those who ask for it alone.
func (s *Server) Note(name string, c Check) {
	s.add(check{probe: probeReady, name: name, note: true, run: c})
}

// Pulse adds a check to /livez that fails when the returned function was not called for maxAge. A loop calls it in each turn;
// maxAge is several times what its slowest turn takes. While the program shuts down the check passes, for loops end then.
func (s *Server) Pulse(name string, maxAge time.Duration) func() {
	var last atomic.Int64 // nanoseconds from s.start on the monotonic clock
	beat := func() { last.Store(int64(time.Since(s.start))) }
	beat()
	s.Live(name, func() error {
		age := time.Since(s.start) - time.Duration(last.Load())
		if age <= maxAge || s.ending() {
			return nil
		}
		return fmt.Errorf("no progress for %s, at most %s expected", duration(age), duration(maxAge))
	})
	return beat
}

// IsReady tells what /readyz answers, and for each failed check "NAME: REASON".
func (s *Server) IsReady() (bool, []string) {
	return verdict(s.results(probeReady))
}

// add puts a check in place of one of the same probe and name, or behind all others.
func (s *Server) add(c check) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, old := range s.checks {
		if old.probe == c.probe && old.name == c.name {
			s.checks[i] = c
			return
		}
	}
	s.checks = append(s.checks, c)
}

// results runs the checks of a probe: the server's own, the program's, the notes.
func (s *Server) results(probe string) []result {
	s.mu.Lock()
	checks := append([]check(nil), s.checks...)
	s.mu.Unlock()
	out := s.ownResults(probe)
	for _, note := range []bool{false, true} {
		for _, c := range checks {
			if c.probe == probe && c.note == note {
				out = append(out, c.result())
			}
		}
	}
	return out
}

func (c check) result() result {
	counts := map[string]string{probeLive: "liveness", probeReady: "readiness", probeStartup: "start"}[c.probe]
	bad := moodBad
	if c.note {
		counts, bad = "not counted", moodWait
	}
	r := result{Probe: c.probe, Name: c.name, Note: c.note, OK: true, Counts: counts, Mood: moodGood}
	if err := c.run(); err != nil {
		r.OK, r.Reason, r.Mood = false, oneLine(err.Error()), bad
	}
	return r
}

// ownResults are the checks that every program has: that the process answers, that it has started, that it does not end.
func (s *Server) ownResults(probe string) []result {
	own := func(name string, err error) result {
		r := check{probe: probe, name: name, run: func() error { return err }}.result()
		r.own = true
		return r
	}
	var started, shutdown error
	if s.phase() == phaseStarting {
		started = errors.New("the program is starting")
	}
	if s.ending() {
		shutdown = errors.New("the program is shutting down")
	}
	switch probe {
	case probeLive:
		return []result{own("ping", nil)}
	case probeStartup:
		return []result{own("started", started)}
	default:
		out := []result{own("started", started), own("shutdown", shutdown)}
		if reason := s.notReady.Load(); reason != nil {
			out = append(out, own("drain", errors.New(*reason)))
		}
		return out
	}
}

// verdict is whether all counted checks passed, and the reasons of those that did not.
func verdict(results []result) (bool, []string) {
	var failed []string
	for _, r := range results {
		if !r.OK && !r.Note {
			failed = append(failed, r.Name+": "+r.Reason)
		}
	}
	return len(failed) == 0, failed
}

// serveProbe answers as Kubernetes' own servers do: 200 "ok", or 503 with a line for each check; ?verbose asks for the lines
// in any case. Reasons may tell addresses and file names, so only loopback reads them.
func (s *Server) serveProbe(probe string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		results := s.results(probe)
		if name := r.PathValue("name"); name != "" {
			results = only(results, name)
			if results == nil {
				http.Error(w, fmt.Sprintf("/%s has no check of that name; /%s?verbose lists them", probe, probe), http.StatusNotFound)
				return
			}
		}
		ok, _ := verdict(results)
		status := http.StatusOK
		if !ok {
			status = http.StatusServiceUnavailable
		}
		if ok && !r.URL.Query().Has("verbose") {
			plain(w, status, "ok")
			return
		}
		plain(w, status, verbose(probe, results, ok, refuse(r) == nil))
	}
}

// only is the check of that name, counted even where it is a note; nil where there is none.
func only(results []result, name string) []result {
	for _, r := range results {
		if r.Name == name {
			r.Note = false
			return []result{r}
		}
	}
	return nil
}

// verbose writes the lines that `kubectl get --raw '/readyz?verbose'` made known.
func verbose(probe string, results []result, ok, reasons bool) string {
	var b strings.Builder
	for _, r := range results {
		if r.OK {
			fmt.Fprintf(&b, "[+]%s ok\n", r.Name)
			continue
		}
		reason := "reason withheld"
		if reasons {
			reason = r.Reason
		}
		if r.Note {
			reason += " (not counted)"
		}
		fmt.Fprintf(&b, "[-]%s failed: %s\n", r.Name, reason)
	}
	if ok {
		fmt.Fprintf(&b, "%s check passed\n", probe)
	} else {
		fmt.Fprintf(&b, "%s check failed\n", probe)
	}
	return b.String()
}

// plain answers with a text that no cache keeps and no browser takes for anything else.
func plain(w http.ResponseWriter, status int, body string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone
}

// oneLine keeps a reason on its line: joined errors are parted by "; ", what no terminal should get becomes a space.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
