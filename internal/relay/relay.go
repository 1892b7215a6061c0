// SPDX-License-Identifier: Apache-2.0

// Package relay carries bytes between two connections until both sides are done.
//
//	result := relay.Both(client, server, relay.Options{Idle: time.Hour})
//	log.Info("closed", "why", result.End, "sent", result.AToB, "received", result.BToA)
//
// The end of one direction is passed on as a half-close, and the other direction goes on: a peer that has sent
// all it has to say still gets its answer.
package relay

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Reasons of Result.End.
const (
	EndOfStream = "end"     // both sides ended their streams
	Idle        = "idle"    // no byte moved in either direction for Options.Idle
	AFailed     = "a_error" // a connection was reset or closed under us
	BFailed     = "b_error"
)

// Options tunes a relay; the zero value is useful.
type Options struct {
	// Idle ends the relay where no byte moved in either direction for so long; 0 never does.
	Idle time.Duration
	// HalfOpen takes the place of Idle once one side has ended its stream, for protocols in which the other has little
	// left to say then; 0 changes nothing. Ending the relay so counts as EndOfStream.
	HalfOpen time.Duration
}

// Result tells how a relay went.
type Result struct {
	AToB, BToA int64  // bytes delivered in each direction
	End        string // EndOfStream, Idle, AFailed or BFailed
}

// A direction starts with a small buffer, so that thousands of quiet tunnels stay cheap, and borrows a large one
// for as long as the stream comes in reads that are worth it.
const (
	smallBuffer = 2 << 10
	largeBuffer = 32 << 10
	largeEnough = largeBuffer / 4
)

// lastWords is how long a peer that takes no more bytes is still listened to: it may have said why before it closed.
const lastWords = time.Second

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// Both relays between a and b and closes both before it returns.
func Both(a, b net.Conn, o Options) Result {
	r := &relay{a: a, b: b, halfOpen: o.HalfOpen, start: time.Now()}
	r.watch(o.Idle)
	var wg sync.WaitGroup
	wg.Go(func() { r.copy(b, a, &r.result.AToB, AFailed, BFailed) })
	r.copy(a, b, &r.result.BToA, BFailed, AFailed)
	wg.Wait()
	r.finish(EndOfStream)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result
}

type relay struct {
	a, b     net.Conn
	halfOpen time.Duration
	start    time.Time
	last     atomic.Int64 // when the last byte moved, in nanoseconds since start
	ends     atomic.Int32 // streams that have ended

	mu     sync.Mutex
	idle   time.Duration
	timer  *time.Timer // nil where there is no idle timeout, or it no longer matters
	result Result
}

func (r *relay) touch() { r.last.Store(int64(time.Since(r.start))) }

// watch starts the idle timeout, or goes on with another one.
func (r *relay) watch(idle time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
	if idle > 0 && r.result.End == "" {
		r.idle = idle
		r.timer = time.AfterFunc(idle, r.checkIdle)
	}
}

func (r *relay) checkIdle() {
	r.mu.Lock()
	quiet := time.Since(r.start) - time.Duration(r.last.Load())
	expired := quiet >= r.idle
	if r.timer != nil && !expired {
		r.timer.Reset(r.idle - quiet)
	}
	over := r.timer == nil
	r.mu.Unlock()
	switch {
	case !expired || over:
	case r.halfOpen > 0 && r.ends.Load() > 0:
		r.finish(EndOfStream)
	default:
		r.finish(Idle)
	}
}

// note keeps the reason of the end; the first one stands.
func (r *relay) note(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.result.End == "" {
		r.result.End = reason
	}
}

// finish ends the relay: it stops the timer and closes both connections.
func (r *relay) finish(reason string) {
	r.note(reason)
	r.mu.Lock()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.mu.Unlock()
	r.a.Close()
	r.b.Close()
}

// copy moves one direction. It counts into *moved, which only this goroutine touches until Both has waited.
func (r *relay) copy(dst, src net.Conn, moved *int64, srcFailed, dstFailed string) {
	buf := newBuffer()
	defer buf.release()
	for {
		n, err := src.Read(buf.bytes)
		if n > 0 {
			r.touch()
			written, werr := dst.Write(buf.bytes[:n])
			*moved += int64(written)
			if werr != nil {
				// The other direction, which reads dst, goes on for a moment.
				r.note(dstFailed)
				if dst.SetReadDeadline(time.Now().Add(lastWords)) != nil {
					r.finish(dstFailed)
				}
				return
			}
			r.touch()
		}
		switch {
		case err == nil:
			buf.fit(n)
		case errors.Is(err, io.EOF):
			r.streamEnded(dst, dstFailed)
			return
		default:
			r.finish(srcFailed)
			return
		}
	}
}

// streamEnded passes the end of a stream on to dst. The end of the second needs no passing on: Both closes.
func (r *relay) streamEnded(dst net.Conn, dstFailed string) {
	if r.ends.Add(1) == 2 {
		return
	}
	half, ok := dst.(interface{ CloseWrite() error })
	switch {
	case !ok:
		r.finish(EndOfStream) // it cannot be told but by closing
	case half.CloseWrite() != nil:
		r.finish(dstFailed)
	case r.halfOpen > 0:
		r.touch()
		r.watch(r.halfOpen)
	}
}

// buffer is what a direction reads into.
type buffer struct {
	bytes []byte
	small []byte
	large *[largeBuffer]byte
}

func newBuffer() *buffer {
	small := make([]byte, smallBuffer)
	return &buffer{bytes: small, small: small}
}

// fit chooses the size for the next read after one of n bytes.
func (b *buffer) fit(n int) {
	switch {
	case b.large == nil && n == smallBuffer:
		b.large = largeBuffers.Get().(*[largeBuffer]byte)
		b.bytes = b.large[:]
	case b.large != nil && n < largeEnough:
		b.release()
	}
}

// release gives the large buffer back.
func (b *buffer) release() {
	if b.large != nil {
		largeBuffers.Put(b.large)
		b.large, b.bytes = nil, b.small
	}
}
