// SPDX-License-Identifier: Apache-2.0

// Package accesslog writes one line per request, as JSON or in the Common Log Format, without ever making a
// request wait for whoever reads the lines.
//
//	log := accesslog.New(os.Stdout, accesslog.JSON, dropped)
//	go log.Run(ctx)
//	log.Write(&accesslog.Entry{...})
//
// Lines gather in memory and are written within FlushInterval. Where the reader has stopped, they gather up to
// MaxBuffered and are then dropped and counted.
package accesslog

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"
)

// Format is how a line looks.
type Format string

// The formats; Off writes nothing.
const (
	JSON   Format = "json"
	Common Format = "common"
	Off    Format = "off"
)

const (
	// FlushInterval is the longest that a line waits in memory while the writer takes what it is given.
	FlushInterval = 80 * time.Millisecond
	// MaxBuffered is how many bytes of lines may wait while the writer is blocked.
	MaxBuffered = 1 << 20
	// flushSize is when lines are written before the interval has passed.
	flushSize = 64 << 10
)

// Log gathers lines. Make one with New; Write may be called from any goroutine.
type Log struct {
	w       io.Writer
	format  Format
	dropped func(lines int)

	mu      sync.Mutex
	buf     []byte // lines to be written
	spare   []byte // the other of the two buffers, nil while it is being written
	timer   *time.Timer
	full    chan struct{} // one token: write now
	writing chan struct{} // holds one token while the writer is called
}

// New returns a log that writes to w. dropped, which may be nil, is told how many lines
// found no room or could not be written.
func New(w io.Writer, format Format, dropped func(lines int)) *Log {
	if dropped == nil {
		dropped = func(int) {}
	}
	return &Log{w: w, format: format, dropped: dropped, full: make(chan struct{}, 1), writing: make(chan struct{}, 1)}
}

// Enabled reports whether the log writes anything at all.
func (l *Log) Enabled() bool { return l.format != Off }

// Write adds a line for e.
func (l *Log) Write(e *Entry) {
	if l.format == Off {
		return
	}
	l.mu.Lock()
	if len(l.buf) >= MaxBuffered {
		l.mu.Unlock()
		l.dropped(1)
		return
	}
	first := len(l.buf) == 0
	if l.format == Common {
		l.buf = e.appendCommon(l.buf)
	} else {
		l.buf = e.appendJSON(l.buf)
	}
	if first {
		l.wake(FlushInterval)
	} else if len(l.buf) >= flushSize {
		l.wake(0)
	}
	l.mu.Unlock()
}

// wake has Run write after a while. Called with mu held.
func (l *Log) wake(after time.Duration) {
	if after == 0 {
		select {
		case l.full <- struct{}{}:
		default:
		}
		return
	}
	if l.timer == nil {
		l.timer = time.AfterFunc(after, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.wake(0)
		})
		return
	}
	l.timer.Reset(after)
}

// lastFlush is how long a program that ends waits for whoever reads the lines.
const lastFlush = 500 * time.Millisecond

// Run writes lines until ctx ends, then what is left, as far as it is taken in time.
func (l *Log) Run(ctx context.Context) error {
	for {
		select {
		case <-l.full:
			select {
			case <-l.start():
			case <-ctx.Done():
				l.Flush()
				return nil
			}
		case <-ctx.Done():
			l.Flush()
			return nil
		}
	}
}

// Flush writes what has gathered. Where nobody takes it in time, it is dropped and counted: a reader that has
// stopped must not keep the program from ending.
func (l *Log) Flush() {
	timer := time.NewTimer(lastFlush)
	defer timer.Stop()
	select {
	case <-l.start():
	case <-timer.C:
		l.mu.Lock()
		lost := bytes.Count(l.buf, []byte("\n"))
		l.buf = l.buf[:0]
		l.mu.Unlock()
		l.dropped(lost)
	}
}

// start begins to write what has gathered; the channel is closed when that is done. A write cannot be interrupted: it
// is left behind where its reader has stopped, as the process ends.
func (l *Log) start() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.write()
	}()
	return done
}

// write writes what has gathered. Errors are the lines' loss only: a closed stdout must not end the program.
func (l *Log) write() {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	l.mu.Lock()
	lines := l.buf
	l.buf, l.spare = l.spare[:0], nil
	l.mu.Unlock()
	if len(lines) > 0 {
		if _, err := l.w.Write(lines); err != nil {
			l.dropped(bytes.Count(lines, []byte("\n")))
		}
	}
	if cap(lines) <= 2*flushSize {
		l.mu.Lock()
		l.spare = lines
		l.mu.Unlock()
	}
}
