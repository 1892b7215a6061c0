// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net/http"
	"time"
)

// guardedWriter writes a response body under a deadline that moves on as the client takes it. Over HTTP/1.1 the
// connection itself has such a deadline (frontend.Conn); an HTTP/2 client can also stop by leaving its flow
// control window closed, which only the stream's deadline notices.
type guardedWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController // nil until needed
	flusher http.Flusher
	idle    time.Duration // 0 for HTTP/1.1
	armed   time.Time
}

func (x *exchange) guardWrites() guardedWriter {
	g := guardedWriter{w: x.w}
	g.flusher, _ = x.w.(http.Flusher)
	if x.r.ProtoMajor == 2 {
		g.idle = x.h.opts.IdleTimeout
	}
	return g
}

func (g *guardedWriter) write(p []byte) error {
	g.arm()
	_, err := g.w.Write(p)
	return err
}

func (g *guardedWriter) flush() error {
	g.arm()
	g.flusher.Flush()
	return nil
}

func (g *guardedWriter) arm() {
	if g.idle == 0 {
		return
	}
	if now := time.Now(); now.Sub(g.armed) > g.idle/4 {
		if g.control == nil {
			g.control = http.NewResponseController(g.w)
		}
		_ = g.control.SetWriteDeadline(now.Add(g.idle))
		g.armed = now
	}
}
