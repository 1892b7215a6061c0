// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// level orders log lines; the names are those of the log files' second column.
type level int32

const (
	levelDebug level = iota
	levelInfo
	levelWarn
	levelError
)

var levelNames = [...]string{"DEBUG", "INFO", "WARN", "ERROR"}

func (l level) String() string { return levelNames[l] }

func parseLevel(name string) (level, error) {
	for i, known := range levelNames {
		if strings.EqualFold(name, known) {
			return level(i), nil
		}
	}
	return 0, fmt.Errorf("log_level is %q: use debug, info, warn or error", name)
}

// logFiles writes lines as loggers of the 2000s did, local time with a comma before the milliseconds:
//
//	2009-03-14 09:26:53,589 ERROR [Ledger] cannot save: table is read-only
//
// Errors go to error.log, everything else to app.log, requests in the Common Log Format to
// access.log. A message may span lines: what belongs to it is indented.
type logFiles struct {
	level             atomic.Int32
	app, errs, access io.Writer
	stderr            io.Writer
	closers           []io.Closer
	complained        sync.Once // about a line that could not be written
}

// openLogs opens the three files in dir; without a dir all lines go to stderr.
func openLogs(dir string, maxBytes int64, keep int, stderr io.Writer) (*logFiles, error) {
	l := &logFiles{app: stderr, errs: stderr, access: stderr, stderr: stderr}
	l.SetLevel(levelInfo)
	if dir == "" {
		shared := &lockedWriter{w: stderr}
		l.app, l.errs, l.access, l.stderr = shared, shared, shared, shared
		return l, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make -log-dir: %w", err)
	}
	for name, w := range map[string]*io.Writer{"app.log": &l.app, "error.log": &l.errs, "access.log": &l.access} {
		f := &rotatingFile{path: filepath.Join(dir, name), maxBytes: maxBytes, keep: keep}
		if err := f.open(); err != nil {
			l.Close()
			return nil, fmt.Errorf("cannot open a log file: %w", err)
		}
		*w, l.closers = f, append(l.closers, f)
	}
	return l, nil
}

// SetLevel drops lines below min; access.log does not care.
func (l *logFiles) SetLevel(min level) { l.level.Store(int32(min)) }

// Debug, Info, Warn and Error write one message of a part of the application.
func (l *logFiles) Debug(part, format string, args ...any) { l.write(levelDebug, part, format, args) }

// Info: see Debug.
func (l *logFiles) Info(part, format string, args ...any) { l.write(levelInfo, part, format, args) }

// Warn: see Debug.
func (l *logFiles) Warn(part, format string, args ...any) { l.write(levelWarn, part, format, args) }

// Error: see Debug.
func (l *logFiles) Error(part, format string, args ...any) { l.write(levelError, part, format, args) }

// Access writes a request in the Common Log Format.
func (l *logFiles) Access(client, request string, status int, bytes int64) {
	l.put(l.access, fmt.Sprintf("%s - - [%s] %q %d %d\n",
		client, time.Now().Format("02/Jan/2006:15:04:05 -0700"), request, status, bytes))
}

func (l *logFiles) write(at level, part, format string, args []any) {
	if at < level(l.level.Load()) {
		return
	}
	message := strings.ReplaceAll(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n", "\n    ")
	to := l.app
	if at == levelError {
		to = l.errs
	}
	l.put(to, fmt.Sprintf("%s %-5s [%s] %s\n", time.Now().Format("2006-01-02 15:04:05,000"), at, part, message))
}

// put hides a full disk from the application, as old ones do, after saying so once.
func (l *logFiles) put(to io.Writer, line string) {
	if _, err := io.WriteString(to, line); err != nil {
		l.complained.Do(func() { fmt.Fprintf(l.stderr, "legacy-app: cannot write a log line: %v\n", err) })
	}
}

// Close closes the files.
func (l *logFiles) Close() error {
	var errs []error
	for _, c := range l.closers {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// lockedWriter keeps lines whole where several writers share one stream.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// rotatingFile is a log file that renames itself when full: app.log becomes app.log.1, app.log.1
// becomes app.log.2, and the one after the last kept is removed.
type rotatingFile struct {
	path     string
	maxBytes int64
	keep     int

	mu   sync.Mutex
	file *os.File
	size int64
}

func (f *rotatingFile) open() error {
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.size = file, info.Size()
	return nil
}

// Write appends one line, whole: a line is never split between two files.
func (f *rotatingFile) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rotated error
	if f.size > 0 && f.size+int64(len(line)) > f.maxBytes {
		rotated = f.rotate() // a failure leaves the old file open: the line is not lost
	}
	n, err := f.file.Write(line)
	f.size += int64(n)
	return n, errors.Join(rotated, err)
}

func (f *rotatingFile) rotate() error {
	for i := f.keep - 1; i >= 0; i-- {
		err := os.Rename(f.numbered(i), f.numbered(i+1))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	full := f.file
	if err := f.open(); err != nil {
		return err
	}
	return full.Close()
}

// numbered is the name of the i-th rotated file; the 0th is the file being written.
func (f *rotatingFile) numbered(i int) string {
	if i == 0 {
		return f.path
	}
	return fmt.Sprintf("%s.%d", f.path, i)
}

// Close closes the file.
func (f *rotatingFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}
