// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo is a server that sends back what it receives, and ends its side with the
// client's.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &RawBackend{t: t, listener: l, done: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	b.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, ok := b.add(conn); !ok {
				_ = conn.Close()
				return
			}
			b.wg.Go(func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			})
		}
	})
	t.Cleanup(b.close)
	return l.Addr().String()
}

func proxies(t *testing.T, f func(t *testing.T, p *FaultProxy)) {
	t.Helper()
	for name, make := range map[string]func(testing.TB, string) *FaultProxy{"tcp": NewFaultProxy, "unix": NewUnixFaultProxy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, make(t, echo(t)))
		})
	}
}

// ping sends a word and expects it back.
func ping(c *RawConn) {
	c.t.Helper()
	c.Send("ping")
	if got := c.ReadN(4); got != "ping" {
		c.t.Errorf("got %q back", got)
	}
}

// silence fails unless nothing can be read from c for a moment.
func silence(t *testing.T, c *RawConn) {
	t.Helper()
	_ = c.Conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	b, err := c.r.ReadByte()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %q, %v where nothing was to come", b, err)
	}
}

func TestASoundProxyForwardsAndCounts(t *testing.T) {
	proxies(t, func(t *testing.T, p *FaultProxy) {
		c := DialRaw(t, p.Addr())
		big := strings.Repeat("x", 1<<20)
		go func() { _ = c.TrySend(big) }()
		if got := c.ReadN(len(big)); got != big {
			t.Error("the bytes changed on their way")
		}
		c.CloseWrite()
		if rest, err := c.ReadAll(); rest != "" || err != nil {
			t.Errorf("after the end: %q, %v", rest, err)
		}
		to, from := p.Bytes()
		if p.Accepted() != 1 || to != 1<<20 || from != 1<<20 {
			t.Errorf("%d connections, %d and %d bytes", p.Accepted(), to, from)
		}
		Eventually(t, "the connection to be done", func() error {
			if n := p.Open(); n != 0 {
				return fmt.Errorf("%d open", n)
			}
			return nil
		})
	})
}

func TestAStallHoldsBytesUntilItIsHealed(t *testing.T) {
	proxies(t, func(t *testing.T, p *FaultProxy) {
		c := DialRaw(t, p.Addr())
		ping(c)
		p.Set(Fault{End: Stall})
		c.Send("held")
		silence(t, c)
		p.Heal()
		if got := c.ReadN(4); got != "held" {
			t.Errorf("got %q", got)
		}
	})
}

func TestAStallMayComeAfterSomeBytesInOneDirection(t *testing.T) {
	proxies(t, func(t *testing.T, p *FaultProxy) {
		p.Set(Fault{Toward: ToClient, After: 3, End: Stall})
		c := DialRaw(t, p.Addr())
		c.Send("abcdef")
		if got := c.ReadN(3); got != "abc" {
			t.Errorf("got %q", got)
		}
		silence(t, c)
		if to, _ := p.Bytes(); to != 6 {
			t.Errorf("the target got %d bytes, want all 6", to)
		}
	})
}

func TestATruncatedStreamEndsAfterItsBytes(t *testing.T) {
	proxies(t, func(t *testing.T, p *FaultProxy) {
		p.Set(Fault{Toward: ToClient, After: 5, End: Close})
		c := DialRaw(t, p.Addr())
		c.Send("hello world")
		if got, err := c.ReadAll(); got != "hello" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestAResetIsSeenAsOne(t *testing.T) {
	p := NewFaultProxy(t, echo(t))
	open := DialRaw(t, p.Addr())
	ping(open)
	p.Set(Fault{End: Reset})
	if _, err := open.ReadAll(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an open connection ended with %v", err)
	}
	if err := endOf(p.Addr()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection ended with %v", err)
	}
	p.Heal()
	later := DialRaw(t, p.Addr())
	ping(later)
	p.ResetAll()
	if _, err := later.ReadAll(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after ResetAll it ended with %v", err)
	}
	ping(DialRaw(t, p.Addr()))
}

// endOf is how a new connection ends: a reset may come before its connect returns.
func endOf(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = io.ReadAll(conn)
	return err
}

func TestAHalfCloseEndsOneDirectionOnly(t *testing.T) {
	proxies(t, func(t *testing.T, p *FaultProxy) {
		c := DialRaw(t, p.Addr())
		ping(c)
		p.Set(Fault{Toward: ToClient, End: HalfClose})
		if got, err := c.ReadAll(); got != "" || err != nil {
			t.Errorf("the client's side ended with %q, %v", got, err)
		}
		c.Send("still heard")
		Eventually(t, "the bytes to reach the target", func() error {
			if to, _ := p.Bytes(); to != int64(len("ping")+len("still heard")) {
				return fmt.Errorf("%d bytes", to)
			}
			return nil
		})
	})
}

func TestARefusingProxyComesBackAtTheSameAddress(t *testing.T) {
	proxies(t, func(t *testing.T, p *FaultProxy) {
		open := DialRaw(t, p.Addr())
		ping(open)
		network, addr := splitAddr(p.Addr())
		for range 3 {
			p.Set(Fault{Refuse: true})
			if c, err := net.Dial(network, addr); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatalf("connecting: %v, %v", c, err)
			}
			ping(open)
			p.Heal()
			ping(DialRaw(t, p.Addr()))
		}
	})
}

func TestABlackholeTakesConnectionsAndKeepsThemFromTheTarget(t *testing.T) {
	proxies(t, func(t *testing.T, p *FaultProxy) {
		p.Set(Fault{Blackhole: true})
		c := DialRaw(t, p.Addr())
		c.Send("lost?")
		silence(t, c)
		p.Heal()
		if got := c.ReadN(5); got != "lost?" {
			t.Errorf("got %q", got)
		}
	})
}

func TestDelayAndSlowBytesTakeTheirTime(t *testing.T) {
	proxies(t, func(t *testing.T, p *FaultProxy) {
		p.Set(Fault{Toward: ToTarget, Delay: 50 * time.Millisecond})
		c := DialRaw(t, p.Addr())
		begin := time.Now()
		ping(c)
		if d := time.Since(begin); d < 50*time.Millisecond {
			t.Errorf("a delay of 50ms took %s", d)
		}
		p.Set(Fault{Toward: ToClient, Piece: 1, Every: 5 * time.Millisecond})
		begin = time.Now()
		c.Send("0123456789")
		if got := c.ReadN(10); got != "0123456789" {
			t.Errorf("got %q", got)
		}
		if d := time.Since(begin); d < 50*time.Millisecond {
			t.Errorf("10 bytes, 5ms each, took %s", d)
		}
	})
}

func TestADeadTargetResetsTheClient(t *testing.T) {
	p := NewFaultProxy(t, FreeAddr(t))
	if err := endOf(p.Addr()); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("it ended with %v", err)
	}
}

func TestClosingTheProxyEndsStalledConnections(t *testing.T) {
	p := NewFaultProxy(t, echo(t))
	c := DialRaw(t, p.Addr())
	ping(c)
	p.Set(Fault{End: Stall})
	c.Send("held")
	p.Close()
	p.Close()
	if got, _ := c.ReadAll(); got != "" {
		t.Errorf("got %q", got)
	}
}
