// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Direction is a way that bytes take through a [FaultProxy].
type Direction int

// The directions a fault can touch.
const (
	BothWays Direction = iota
	ToTarget
	ToClient
)

// End is what happens to a connection when a fault's bytes have passed.
type End int

// The ways in which connections go wrong.
const (
	NoEnd     End = iota
	Stall         // nothing more is read or written; the connection stays open
	HalfClose     // the receiver sees the end of the stream (FIN); the other direction goes on
	Close         // both sides are closed: a truncated stream
	Reset         // both sides are reset (RST); unix sockets know no reset and are closed
)

// Fault says what a [FaultProxy] does wrong. Its zero value is a sound network.
//
//	testkit.Fault{Delay: 50 * time.Millisecond}                          // latency
//	testkit.Fault{Piece: 1, Every: time.Millisecond}                     // slow bytes
//	testkit.Fault{Toward: testkit.ToClient, After: 100, End: testkit.Close} // truncated after 100 bytes
//	testkit.Fault{End: testkit.Reset}                                    // every connection is reset
type Fault struct {
	// Toward limits Delay, Piece and End to one direction.
	Toward Direction
	// Delay passes before each piece that is forwarded.
	Delay time.Duration
	// Piece, if not 0, forwards at most so many bytes at a time, each Every apart.
	Piece int
	Every time.Duration
	// End happens after After bytes, counted for each connection and direction from
	// its start or from Set, whichever is later.
	After int64
	End   End
	// Refuse makes new connections fail with "connection refused"; those that are
	// open go on.
	Refuse bool
	// Blackhole takes new connections and does nothing with them: the target does not
	// hear of them until the fault is over. Open ones stall.
	Blackhole bool
}

func (f Fault) touches(d Direction) bool { return f.Toward == BothWays || f.Toward == d }

// FaultProxy stands between a client and a target and misbehaves as it is told, at
// run time. It forwards bytes and knows no protocol.
//
//	p := testkit.NewFaultProxy(t, backend.Addr())
//	client.Dial(p.Addr())
//	p.Set(testkit.Fault{End: testkit.Stall})
//	p.Heal()
type FaultProxy struct {
	t               testing.TB
	network, addr   string // where it listens
	targetNet, dial string

	mu       sync.Mutex
	listener net.Listener // nil while refusing
	fault    Fault
	changed  chan struct{} // closed and replaced whenever fault changes
	links    map[*link]struct{}
	closed   bool
	wg       sync.WaitGroup

	accepted           atomic.Int64
	toTarget, toClient atomic.Int64
}

// NewFaultProxy listens on a port of 127.0.0.1 in front of target: HOST:PORT or
// unix:PATH.
func NewFaultProxy(t testing.TB, target string) *FaultProxy {
	t.Helper()
	return newFaultProxy(t, "tcp", FreeAddr(t), target)
}

// NewUnixFaultProxy is [NewFaultProxy] on a unix socket.
func NewUnixFaultProxy(t testing.TB, target string) *FaultProxy {
	t.Helper()
	return newFaultProxy(t, "unix", SocketPath(t), target)
}

func newFaultProxy(t testing.TB, network, addr, target string) *FaultProxy {
	t.Helper()
	p := &FaultProxy{t: t, network: network, addr: addr, changed: make(chan struct{}), links: map[*link]struct{}{}}
	p.targetNet, p.dial = splitAddr(target)
	p.listen()
	t.Cleanup(p.Close)
	return p
}

// splitAddr makes HOST:PORT or unix:PATH the arguments of net.Dial.
func splitAddr(addr string) (network, address string) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return "unix", path
	}
	return "tcp", addr
}

// Addr is where clients connect: 127.0.0.1:PORT or unix:PATH. It stays the same
// while the proxy refuses and after.
func (p *FaultProxy) Addr() string {
	if p.network == "unix" {
		return "unix:" + p.addr
	}
	return p.addr
}

// Accepted is the number of connections taken so far.
func (p *FaultProxy) Accepted() int { return int(p.accepted.Load()) }

// Bytes are those forwarded so far in each direction.
func (p *FaultProxy) Bytes() (toTarget, toClient int64) {
	return p.toTarget.Load(), p.toClient.Load()
}

// Open is the number of connections that are open now.
func (p *FaultProxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Set replaces the fault, for open connections too.
func (p *FaultProxy) Set(f Fault) {
	p.t.Helper()
	p.mu.Lock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		l.wake()
	}
	listener := p.listener
	if f.Refuse {
		p.listener = nil
	}
	p.mu.Unlock()
	switch {
	case f.Refuse && listener != nil:
		_ = listener.Close()
	case !f.Refuse && listener == nil:
		p.listen()
	}
}

// Heal ends the fault.
func (p *FaultProxy) Heal() {
	p.t.Helper()
	p.Set(Fault{})
}

// ResetAll resets the connections that are open now; new ones are not touched.
func (p *FaultProxy) ResetAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.end(Reset)
	}
}

// Close ends the listener and all connections and waits for them. The end of the
// test calls it.
func (p *FaultProxy) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	if p.listener != nil {
		_ = p.listener.Close()
	}
	for l := range p.links {
		l.end(Close)
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// listen binds the address, which is the proxy's own between a refusal and its end.
func (p *FaultProxy) listen() {
	p.t.Helper()
	if p.network == "unix" {
		_ = os.Remove(p.addr) // left by the last listener, so that connecting to it is refused
	}
	l, err := net.Listen(p.network, p.addr)
	if err != nil {
		p.t.Fatalf("cannot listen for the fault proxy: %v", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	p.wg.Go(func() { p.accept(l) })
}

func (p *FaultProxy) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		p.accepted.Add(1)
		l := newLink(p, conn)
		if !p.add(l) {
			_ = conn.Close()
			return
		}
		p.wg.Go(func() {
			l.run()
			p.mu.Lock()
			delete(p.links, l)
			p.mu.Unlock()
		})
	}
}

// add registers a connection, unless the proxy is closed: then nobody would end it.
func (p *FaultProxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.links[l] = struct{}{}
	return true
}

// now is the fault in force and a channel that is closed when it changes.
func (p *FaultProxy) now() (Fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault, p.changed
}
