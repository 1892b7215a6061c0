// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net/http"
	"os"
	"time"
)

// progressUnit is how much of a response an HTTP/2 client has to take within the idle timeout.
const progressUnit = 32 << 10

// guardedWriter writes a response body and gives up where the client takes nothing for the idle timeout. Over
// HTTP/1.1 the connection itself sees to that (frontend.Conn); an HTTP/2 client can also stop by leaving its flow
// control window closed, which only a watch on the stream notices.
type guardedWriter struct {
	w       http.ResponseWriter
	flusher http.Flusher
	control *http.ResponseController // nil for HTTP/1.1, as is watch
	watch   *watchdog
}

func (x *exchange) guardWrites() *guardedWriter {
	g := &x.guard
	*g = guardedWriter{w: x.w}
	g.flusher, _ = x.w.(http.Flusher)
	if x.r.ProtoMajor == 2 {
		control := http.NewResponseController(x.w)
		g.control = control
		g.watch = &watchdog{idle: x.h.opts.IdleTimeout, bite: func() { _ = control.SetWriteDeadline(time.Unix(1, 0)) }}
	}
	return g
}

func (g *guardedWriter) write(p []byte) error {
	if g.control == nil {
		_, err := g.w.Write(p)
		return clientErrorOf(err)
	}
	for len(p) > 0 {
		n := min(len(p), progressUnit)
		g.watch.enter()
		_, err := g.w.Write(p[:n])
		if g.watch.leave() {
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			return clientErrorOf(err)
		}
		p = p[n:]
	}
	return nil
}

func (g *guardedWriter) flush() error {
	if g.control == nil {
		g.flusher.Flush()
		return nil
	}
	g.watch.enter()
	g.flusher.Flush()
	if g.watch.leave() {
		return clientErrorOf(os.ErrDeadlineExceeded)
	}
	return nil
}

// end ends the watch. What net/http still holds back has one idle timeout to go out behind the handler's back.
func (g *guardedWriter) end() {
	if g.control != nil {
		g.watch.stop()
		_ = g.control.SetWriteDeadline(time.Now().Add(g.watch.idle))
	}
}

func clientErrorOf(err error) error {
	if err == nil {
		return nil
	}
	return &clientError{err}
}
