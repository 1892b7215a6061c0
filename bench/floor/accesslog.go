// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// logged writes a line for each request, with log/slog as one would.
func logged(next http.Handler, out io.Writer) http.Handler {
	log := slog.New(slog.NewJSONHandler(out, nil))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		counted := &countingWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(counted, r)
		log.LogAttrs(r.Context(), slog.LevelInfo, "request",
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.String("host", r.Host),
			slog.Int("status", counted.status), slog.Int64("bytes", counted.bytes),
			slog.Duration("duration", time.Since(begin)), slog.String("client", r.RemoteAddr),
			slog.String("tls", tls.VersionName(r.TLS.Version)), slog.String("curve", r.TLS.CurveID.String()),
			slog.String("alpn", r.TLS.NegotiatedProtocol), slog.String("sni", r.TLS.ServerName),
			slog.Bool("resumed", r.TLS.DidResume))
	})
}

// countingWriter remembers what was answered. Unwrap keeps flushing possible.
type countingWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countingWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(data []byte) (int, error) {
	n, err := w.ResponseWriter.Write(data)
	w.bytes += int64(n)
	return n, err
}

// logWriter gathers lines and writes them out 100 ms later at most.
type logWriter struct {
	mu     sync.Mutex
	buffer *bufio.Writer
	timer  *time.Timer
}

const flushAfter = 100 * time.Millisecond

func newLogWriter(out io.Writer) *logWriter {
	w := &logWriter{buffer: bufio.NewWriterSize(out, 64<<10)}
	w.timer = time.AfterFunc(flushAfter, w.flush)
	return w
}

func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.buffer.Buffered() == 0 {
		w.timer.Reset(flushAfter)
	}
	return w.buffer.Write(line)
}

func (w *logWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.buffer.Flush() // nobody to tell: this is the log
}

// Close writes out what is left.
func (w *logWriter) Close() {
	w.timer.Stop()
	w.flush()
}
