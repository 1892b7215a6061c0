// SPDX-License-Identifier: Apache-2.0

package logging

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxMessages bounds the memory of a Limiter. Messages are constant by the house
// style, so a program has far fewer; a message beyond them is always logged.
const maxMessages = 512

// Limiter logs each message at most once per interval and counts the others. It
// is safe for concurrent use.
type Limiter struct {
	log   *slog.Logger
	every time.Duration

	mu   sync.Mutex
	seen map[string]*window
}

// window is the interval that began when a message was last logged.
type window struct {
	began      time.Time
	suppressed int
	level      slog.Level
}

// Limit returns a Limiter that logs a message at most once per interval.
func Limit(log *slog.Logger, every time.Duration) *Limiter {
	return &Limiter{log: log, every: every, seen: map[string]*window{}}
}

// Info logs at that level, see Log.
func (l *Limiter) Info(msg string, args ...any) { l.Log(slog.LevelInfo, msg, args...) }

// Warn logs at that level, see Log.
func (l *Limiter) Warn(msg string, args ...any) { l.Log(slog.LevelWarn, msg, args...) }

// Error logs at that level, see Log.
func (l *Limiter) Error(msg string, args ...any) { l.Log(slog.LevelError, msg, args...) }

// Log logs the message unless the interval since it was last logged still runs.
// The message is the key: what differs belongs into the attributes. The first
// one after the interval has the attribute suppressed, if any were.
func (l *Limiter) Log(level slog.Level, msg string, args ...any) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	suppressed, ok := l.admit(level, msg)
	if !ok {
		return
	}
	if suppressed > 0 {
		args = append(args[:len(args):len(args)], "suppressed", suppressed)
	}
	l.log.Log(context.Background(), level, msg, args...)
}

// admit tells whether the message is logged now and how many were not before it.
func (l *Limiter) admit(level slog.Level, msg string) (suppressed int, ok bool) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.seen[msg]
	switch {
	case w == nil && len(l.seen) >= maxMessages:
		return 0, true
	case w == nil:
		l.seen[msg] = &window{began: now, level: level}
		return 0, true
	case now.Sub(w.began) < l.every:
		w.suppressed++
		w.level = level
		return 0, false
	}
	suppressed = w.suppressed
	*w = window{began: now, level: level}
	return suppressed, true
}

// Flush logs each message that has uncounted repetitions, so that their number
// is not lost at the end of a program.
func (l *Limiter) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for msg, w := range l.seen {
		if w.suppressed > 0 {
			l.log.Log(context.Background(), w.level, msg, "suppressed", w.suppressed)
			w.suppressed = 0
		}
	}
}
