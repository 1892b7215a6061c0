// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// link is one connection through a [FaultProxy].
type link struct {
	proxy  *FaultProxy
	client net.Conn

	mu     sync.Mutex
	target net.Conn      // nil until dialled
	done   chan struct{} // closed when both sides are
	ended  bool
}

func newLink(p *FaultProxy, client net.Conn) *link {
	return &link{proxy: p, client: client, done: make(chan struct{})}
}

// run connects to the target, unless the fault is against it, and forwards both ways
// until both are done.
func (l *link) run() {
	defer l.end(Close)
	if !l.awaitDial() {
		return
	}
	target, err := net.DialTimeout(l.proxy.targetNet, l.proxy.dial, Patience)
	if err != nil {
		l.end(Reset) // the closest thing to a refusal after the fact
		return
	}
	if !l.adopt(target) {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { l.newPump(ToTarget, l.client, target, &l.proxy.toTarget).run() })
	wg.Go(func() { l.newPump(ToClient, target, l.client, &l.proxy.toClient).run() })
	wg.Wait()
}

// awaitDial waits while the fault is a blackhole, or ends the connection that is to
// end before its first byte.
func (l *link) awaitDial() bool {
	for {
		fault, changed := l.proxy.now()
		if fault.After == 0 && (fault.End == Close || fault.End == Reset) {
			l.end(fault.End)
			return false
		}
		if !fault.Blackhole {
			return true
		}
		select {
		case <-changed:
		case <-l.done:
			return false
		}
	}
}

// adopt takes the target's connection, unless the link ended meanwhile.
func (l *link) adopt(target net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		_ = target.Close()
		return false
	}
	l.target = target
	return true
}

// wake interrupts reads in progress, so that they see a changed fault.
func (l *link) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.client.SetReadDeadline(time.Unix(1, 0))
	if l.target != nil {
		_ = l.target.SetReadDeadline(time.Unix(1, 0))
	}
}

// end closes or resets both sides.
func (l *link) end(how End) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	close(l.done)
	for _, c := range []net.Conn{l.client, l.target} {
		if c == nil {
			continue
		}
		if tcp, ok := c.(*net.TCPConn); ok && how == Reset {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// pump forwards one direction of a link.
type pump struct {
	link     *link
	way      Direction
	src, dst net.Conn
	total    *atomic.Int64

	fault   Fault
	changed <-chan struct{}
	passed  int64 // since the connection began or the fault was set
	muted   bool  // half-closed: what still comes is thrown away
}

func (l *link) newPump(way Direction, src, dst net.Conn, total *atomic.Int64) *pump {
	p := &pump{link: l, way: way, src: src, dst: dst, total: total}
	p.fault, p.changed = l.proxy.now()
	return p
}

func (p *pump) run() {
	buf := make([]byte, 32<<10)
	for p.settle() {
		n, err := p.src.Read(buf)
		if n > 0 && !p.forward(buf[:n]) {
			return
		}
		switch {
		case err == nil || errors.Is(err, os.ErrDeadlineExceeded): // woken: look at the fault again
		case errors.Is(err, io.EOF):
			closeWrite(p.dst)
			return
		case errors.Is(err, syscall.ECONNRESET):
			p.link.end(Reset)
			return
		default:
			p.link.end(Close)
			return
		}
	}
}

// refresh takes note of a changed fault. The deadline goes first: a change after it
// interrupts the next read again.
func (p *pump) refresh() {
	_ = p.src.SetReadDeadline(time.Time{})
	select {
	case <-p.changed:
		p.fault, p.changed = p.link.proxy.now()
		p.passed = 0
	default:
	}
}

// settle applies what the fault says before anything is read, and returns false when
// this direction is over.
func (p *pump) settle() bool {
	for {
		p.refresh()
		if p.fault.Blackhole {
			if !p.await(nil) {
				return false
			}
			continue
		}
		if !p.due() {
			return true
		}
		switch p.fault.End {
		case Stall:
			if !p.await(nil) {
				return false
			}
		case HalfClose:
			if !p.muted {
				closeWrite(p.dst)
				p.muted = true
			}
			return true
		default:
			p.link.end(p.fault.End)
			return false
		}
	}
}

// due reports whether the bytes before the fault's end have passed.
func (p *pump) due() bool {
	return p.fault.End != NoEnd && p.fault.touches(p.way) && p.passed >= p.fault.After
}

// forward writes data in the pieces and at the times that the fault wants.
func (p *pump) forward(data []byte) bool {
	for len(data) > 0 {
		if !p.settle() {
			return false
		}
		if p.muted {
			return true
		}
		piece := data[:p.allowance(len(data))]
		if p.fault.touches(p.way) && p.fault.Delay+p.fault.Every > 0 {
			pause := time.NewTimer(p.fault.Delay + p.fault.Every)
			if !p.await(pause.C) {
				return false
			}
		}
		n, err := p.dst.Write(piece)
		p.passed += int64(n)
		p.total.Add(int64(n))
		if err != nil {
			p.link.end(Reset) // the receiver has gone: so its sender learns it
			return false
		}
		data = data[n:]
	}
	return p.settle() // an end that is due now must not wait for the next byte
}

// allowance is how many of n bytes may go at once.
func (p *pump) allowance(n int) int {
	if !p.fault.touches(p.way) {
		return n
	}
	if p.fault.Piece > 0 {
		n = min(n, p.fault.Piece)
	}
	if p.fault.End != NoEnd {
		n = int(min(int64(n), p.fault.After-p.passed))
	}
	return n
}

// await waits for a timer or a changed fault; false when the connection has ended.
func (p *pump) await(timer <-chan time.Time) bool {
	select {
	case <-timer:
		return true
	case <-p.changed:
		return true
	case <-p.link.done:
		return false
	}
}

// closeWrite sends the end of the stream and leaves the other direction open.
func closeWrite(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
}
