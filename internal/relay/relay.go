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
}

// Result tells how a relay went.
type Result struct {
	AToB, BToA int64  // bytes delivered in each direction
	End        string // EndOfStream, Idle, AFailed or BFailed
}

// A direction starts with a small buffer, so that thousands of quiet tunnels stay cheap, and borrows a large one
// for as long as the stream fills it.
const (
	smallBuffer = 2 << 10
	largeBuffer = 32 << 10
)

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// Both relays between a and b and closes both before it returns.
func Both(a, b net.Conn, o Options) Result {
	r := &relay{a: a, b: b, idle: o.Idle}
	r.touch()
	if o.Idle > 0 {
		r.timer = time.AfterFunc(o.Idle, r.checkIdle)
		defer r.timer.Stop()
	}
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
	a, b  net.Conn
	idle  time.Duration
	timer *time.Timer
	last  atomic.Int64 // UnixNano of the last byte moved

	mu     sync.Mutex
	result Result
}

func (r *relay) touch() {
	if r.idle > 0 {
		r.last.Store(time.Now().UnixNano())
	}
}

func (r *relay) checkIdle() {
	quiet := time.Duration(time.Now().UnixNano() - r.last.Load())
	if quiet >= r.idle {
		r.finish(Idle)
		return
	}
	r.timer.Reset(r.idle - quiet)
}

// finish closes both connections; the first reason stands.
func (r *relay) finish(reason string) {
	r.mu.Lock()
	if r.result.End == "" {
		r.result.End = reason
	}
	r.mu.Unlock()
	r.a.Close()
	r.b.Close()
}

// copy moves one direction. It counts into *moved, which only this goroutine touches until Both has waited.
func (r *relay) copy(dst, src net.Conn, moved *int64, srcFailed, dstFailed string) {
	small := make([]byte, smallBuffer)
	buf := small
	var large *[largeBuffer]byte
	defer func() {
		if large != nil {
			largeBuffers.Put(large)
		}
	}()
	for {
		n, err := src.Read(buf)
		if n > 0 {
			r.touch()
			written, werr := dst.Write(buf[:n])
			*moved += int64(written)
			if werr != nil {
				r.finish(dstFailed)
				return
			}
			r.touch()
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if halfClose(dst) != nil {
				r.finish(dstFailed)
			}
			return
		default:
			r.finish(srcFailed)
			return
		}
		switch {
		case n == len(buf) && large == nil:
			large = largeBuffers.Get().(*[largeBuffer]byte)
			buf = large[:]
		case n < smallBuffer && large != nil:
			largeBuffers.Put(large)
			large, buf = nil, small
		}
	}
}

// halfClose ends the stream towards conn; a connection that cannot half-close is closed.
func halfClose(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return conn.Close()
}
