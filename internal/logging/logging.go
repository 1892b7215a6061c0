// SPDX-License-Identifier: Apache-2.0

// Package logging makes the log of a program and keeps repeated errors from
// filling it.
//
//	var level slog.LevelVar
//	log := logging.New(os.Stderr, "json", &level)
//
//	limited := logging.Limit(log, time.Minute)
//	limited.Warn("cannot reach upstream", "error", err) // logged
//	limited.Warn("cannot reach upstream", "error", err) // counted
//
// After the minute the next one is logged with suppressed=N, the number of those
// that were counted meanwhile.
package logging

import (
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
)

// New returns a logger that writes to w, as text if format is "text" and as JSON
// otherwise. The level may be changed while the program runs. Durations are
// written as text ("1.5s"), as nobody reads nanoseconds.
func New(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: readable}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// readable replaces values that the handlers write for machines.
func readable(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		if source, ok := a.Value.Any().(*slog.Source); ok && source != nil {
			a.Value = slog.StringValue(filepath.Base(source.File) + ":" + strconv.Itoa(source.Line))
		}
	}
	return a
}
