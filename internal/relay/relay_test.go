// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger/outrigger/internal/relay"
	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

// rig is a relay with a peer at each end.
type rig struct {
	alice, bob *net.TCPConn // the peers: alice talks to side a, bob to side b
	result     chan relay.Result
}

func newRig(t *testing.T, o relay.Options) *rig {
	t.Helper()
	alice, a := tcpPair(t)
	bob, b := tcpPair(t)
	r := &rig{alice: alice, bob: bob, result: make(chan relay.Result, 1)}
	var wg sync.WaitGroup
	wg.Go(func() { r.result <- relay.Both(a, b, o) })
	t.Cleanup(func() {
		alice.Close()
		bob.Close()
		wg.Wait()
	})
	return r
}

// tcpPair returns the two ends of a connection.
func tcpPair(t testing.TB) (outer, inner *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(testkit.Patience)
	dialled.SetDeadline(deadline)
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

func (r *rig) want(t *testing.T, want relay.Result) {
	t.Helper()
	if got := <-r.result; got != want {
		t.Errorf("the relay ended as %+v, want %+v", got, want)
	}
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatalf("cannot send: %v", err)
	}
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("received %q, %v; want %q", got[:n], err, want)
	}
}

func receiveEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("read %d bytes, %v; want the end of the stream", n, err)
	}
}

func TestBytesGoBothWaysAtOnce(t *testing.T) {
	r := newRig(t, relay.Options{})
	send(t, r.alice, "hello")
	send(t, r.bob, "good day")
	receive(t, r.bob, "hello")
	receive(t, r.alice, "good day")
	r.alice.Close()
	receiveEnd(t, r.bob)
	r.bob.Close()
	r.want(t, relay.Result{AToB: 5, BToA: 8, End: relay.EndOfStream})
}

func TestAPeerThatHasSaidAllStillGetsItsAnswer(t *testing.T) {
	for _, side := range []string{"a", "b"} {
		t.Run(side, func(t *testing.T) {
			r := newRig(t, relay.Options{})
			first, second := r.alice, r.bob
			want := relay.Result{AToB: 7, BToA: 10, End: relay.EndOfStream}
			if side == "b" {
				first, second = r.bob, r.alice
				want = relay.Result{AToB: 10, BToA: 7, End: relay.EndOfStream}
			}
			send(t, first, "request")
			first.CloseWrite()
			receive(t, second, "request")
			receiveEnd(t, second)
			send(t, second, "the answer")
			receive(t, first, "the answer")
			second.CloseWrite()
			receiveEnd(t, first)
			r.want(t, want)
		})
	}
}

func TestAResetIsBlamedOnTheSideThatSentIt(t *testing.T) {
	for _, side := range []string{"a", "b"} {
		t.Run(side, func(t *testing.T) {
			r := newRig(t, relay.Options{})
			culprit, other, want := r.alice, r.bob, relay.AFailed
			if side == "b" {
				culprit, other, want = r.bob, r.alice, relay.BFailed
			}
			culprit.SetLinger(0)
			culprit.Close()
			if got := <-r.result; got.End != want {
				t.Errorf("end = %q, want %q", got.End, want)
			}
			if _, err := other.Read(make([]byte, 1)); err == nil {
				t.Error("the other peer's connection is still open")
			}
		})
	}
}

func TestLargeTransfersArriveWhole(t *testing.T) {
	r := newRig(t, relay.Options{Idle: time.Hour})
	there, back := make([]byte, 5<<20), make([]byte, 3<<20)
	rand.Read(there)
	rand.Read(back)
	var wg sync.WaitGroup
	exchange := func(c *net.TCPConn, out, in []byte) {
		wg.Go(func() {
			if _, err := c.Write(out); err != nil {
				t.Errorf("cannot send: %v", err)
			}
			c.CloseWrite()
		})
		wg.Go(func() {
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, in) {
				t.Errorf("received %d bytes, %v; want the %d that were sent", len(got), err, len(in))
			}
		})
	}
	exchange(r.alice, there, back)
	exchange(r.bob, back, there)
	wg.Wait()
	r.want(t, relay.Result{AToB: int64(len(there)), BToA: int64(len(back)), End: relay.EndOfStream})
}

// scripted is a connection whose reads and writes are functions.
type scripted struct {
	net.Conn
	read  func([]byte) (int, error)
	write func([]byte) (int, error)
	close func()
}

func (s *scripted) Read(b []byte) (int, error)  { return s.read(b) }
func (s *scripted) Write(b []byte) (int, error) { return s.write(b) }
func (s *scripted) Close() error                { s.close(); return nil }

func TestWhatAPeerSaidBeforeItStoppedListeningIsDelivered(t *testing.T) {
	// The write to b fails while its last words have not been read: as after a reset, which leaves what had been
	// received.
	bob, b := tcpPair(t)
	refused := make(chan struct{})
	words := []string{"request too large\n", ""}
	side := &scripted{
		Conn:  b,
		write: func([]byte) (int, error) { close(refused); return 0, syscall.EPIPE },
		read: func(p []byte) (int, error) {
			<-refused
			next := words[0]
			words = words[1:]
			if next == "" {
				return 0, syscall.ECONNRESET
			}
			return copy(p, next), nil
		},
		close: func() { b.Close() },
	}
	alice, a := tcpPair(t)
	defer alice.Close()
	defer bob.Close()
	result := make(chan relay.Result, 1)
	go func() { result <- relay.Both(a, side, relay.Options{}) }()
	send(t, alice, "a long upload")
	receive(t, alice, "request too large\n")
	if got, want := <-result, (relay.Result{BToA: 18, End: relay.BFailed}); got != want {
		t.Errorf("the relay ended as %+v, want %+v", got, want)
	}
}

func TestAPeerThatTakesNothingAndSaysNothingIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, a := net.Pipe()
		bob, b := net.Pipe()
		side := &scripted{
			Conn: b, read: b.Read, close: func() { b.Close() },
			write: func([]byte) (int, error) { return 0, errors.New("too slow") },
		}
		result := make(chan relay.Result, 1)
		start := time.Now()
		go func() { result <- relay.Both(a, side, relay.Options{}) }()
		send(t, alice, "x")
		if got := <-result; got.End != relay.BFailed {
			t.Errorf("end = %q, want %q", got.End, relay.BFailed)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
		alice.Close()
		bob.Close()
	})
}

func TestAConnectionThatCannotHalfCloseIsClosed(t *testing.T) {
	alice, a := net.Pipe()
	bob, b := net.Pipe()
	result := make(chan relay.Result, 1)
	go func() { result <- relay.Both(a, b, relay.Options{}) }()
	send(t, alice, "bye")
	receive(t, bob, "bye")
	alice.Close()
	receiveEnd(t, bob)
	if got, want := <-result, (relay.Result{AToB: 3, End: relay.EndOfStream}); got != want {
		t.Errorf("the relay ended as %+v, want %+v", got, want)
	}
}

func TestOnlySilenceInBothDirectionsIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, a := net.Pipe()
		bob, b := net.Pipe()
		result := make(chan relay.Result, 1)
		start := time.Now()
		go func() { result <- relay.Both(a, b, relay.Options{Idle: time.Minute}) }()
		for range 5 {
			time.Sleep(50 * time.Second)
			send(t, alice, "x")
			receive(t, bob, "x")
		}
		for range 5 {
			time.Sleep(50 * time.Second)
			send(t, bob, "y")
			receive(t, alice, "y")
		}
		if got, want := <-result, (relay.Result{AToB: 5, BToA: 5, End: relay.Idle}); got != want {
			t.Errorf("the relay ended as %+v, want %+v", got, want)
		}
		if got, want := time.Since(start), 560*time.Second; got != want {
			t.Errorf("it ended after %s, want %s", got, want)
		}
		receiveEnd(t, alice)
		receiveEnd(t, bob)
	})
}

func TestAPeerThatTakesNothingIsIdleToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, a := net.Pipe()
		bob, b := net.Pipe()
		result := make(chan relay.Result, 1)
		go func() { result <- relay.Both(a, b, relay.Options{Idle: time.Minute}) }()
		send(t, alice, "nobody reads this")
		if got, want := <-result, (relay.Result{End: relay.Idle}); got != want {
			t.Errorf("the relay ended as %+v, want %+v", got, want)
		}
		alice.Close()
		bob.Close()
	})
}

func TestARelayThatEndsLeavesNoTimer(t *testing.T) {
	// With a timeout as short as this, the timer races with every step of the relay: the race detector judges.
	for range 200 {
		alice, a := net.Pipe()
		bob, b := net.Pipe()
		result := make(chan relay.Result, 1)
		go func() { result <- relay.Both(a, b, relay.Options{Idle: time.Microsecond}) }()
		alice.Close()
		<-result
		bob.Close()
	}
}

func TestOneSideAloneIsGivenItsOwnTime(t *testing.T) {
	// Bob never ends his stream, and without HalfOpen the relay would last for the hour.
	r := newRig(t, relay.Options{Idle: time.Hour, HalfOpen: 20 * time.Millisecond})
	send(t, r.alice, "bye")
	r.alice.CloseWrite()
	receive(t, r.bob, "bye")
	receiveEnd(t, r.bob)
	receiveEnd(t, r.alice)
	r.want(t, relay.Result{AToB: 3, End: relay.EndOfStream})
}

func TestHalfOpenIsNoLimitForTwoSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, a := net.Pipe()
		bob, b := net.Pipe()
		result := make(chan relay.Result, 1)
		go func() { result <- relay.Both(a, b, relay.Options{Idle: time.Minute, HalfOpen: time.Second}) }()
		time.Sleep(30 * time.Second)
		send(t, alice, "still here")
		receive(t, bob, "still here")
		alice.Close()
		bob.Close()
		if got, want := <-result, (relay.Result{AToB: 10, End: relay.EndOfStream}); got != want {
			t.Errorf("the relay ended as %+v, want %+v", got, want)
		}
	})
}
