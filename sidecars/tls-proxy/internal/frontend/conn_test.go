// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func connOver(raw net.Conn, idle time.Duration) *Conn {
	return newConn(raw, &Frontend{opts: Options{IdleTimeout: idle}})
}

func TestAWriteThatMakesProgressMayTakeAsLongAsItLikes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := connOver(server, time.Second)
		got := make(chan []byte)
		go func() {
			var all []byte
			one := make([]byte, 1)
			for range 20 {
				time.Sleep(700 * time.Millisecond) // less than the timeout, again and again
				_, _ = io.ReadFull(client, one)
				all = append(all, one...)
			}
			got <- all
		}()
		sent := bytes.Repeat([]byte("ab"), 10)
		start := time.Now()
		if n, err := c.Write(sent); n != len(sent) || err != nil {
			t.Errorf("Write: %d %v", n, err)
		}
		if took := time.Since(start); took < 10*time.Second {
			t.Errorf("it took %s, and should have taken 14 s", took)
		}
		if all := <-got; !bytes.Equal(all, sent) {
			t.Errorf("the client got %q", all)
		}
		_ = c.Close()
	})
}

func TestAWriteWithoutProgressFailsWithinTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		c := connOver(server, time.Second)
		start := time.Now()
		n, err := c.Write([]byte("x"))
		if took := time.Since(start); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || took != time.Second {
			t.Errorf("Write: %d %v after %s", n, err, took)
		}
		if _, err := c.Write([]byte("y")); err == nil {
			t.Error("the connection is still of use")
		}
	})
}

func TestADeadlineOfALayerAboveStandsUntilItIsCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		c := connOver(server, time.Second)
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
		start := time.Now()
		if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 10*time.Second {
			t.Errorf("Write: %v after %s", err, time.Since(start))
		}
		_ = c.SetDeadline(time.Time{})
		go func() { _, _ = io.ReadFull(client, make([]byte, 1)) }()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Errorf("behind the deadline: %v", err)
		}
		start = time.Now()
		if _, err := c.Write([]byte("x")); err == nil || time.Since(start) > time.Second || time.Since(start) < 750*time.Millisecond {
			t.Errorf("Write: %v after %s", err, time.Since(start))
		}
		_ = client.Close()
		_ = c.Close()
	})
}

// TestTheRuleOfWritesHoldsRightBehindTheHandshake: what the handshake itself wrote must not count as the setting of
// a deadline that its end has cleared.
func TestTheRuleOfWritesHoldsRightBehindTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		c := connOver(server, time.Minute)
		_ = c.SetDeadline(time.Now().Add(time.Second)) // as handshake does
		go func() { _, _ = io.ReadFull(client, make([]byte, 1)) }()
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Time{})
		start := time.Now()
		if _, err := c.Write([]byte("y")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute {
			t.Errorf("Write: %v after %s", err, time.Since(start))
		}
	})
}

// countingConn counts writes.
type countingConn struct {
	net.Conn
	writes atomic.Int32
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func TestARecordThatDoesNotFitTheCorkIsSentInOrder(t *testing.T) {
	client, server := net.Pipe()
	raw := &countingConn{Conn: server}
	c := connOver(raw, time.Minute)
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(client)
		got <- all
	}()
	var sent []byte
	c.cork.begin()
	for i := range 12 {
		record := bytes.Repeat([]byte{byte('a' + i)}, 10_000)
		sent = append(sent, record...)
		if n, err := c.Write(record); n != len(record) || err != nil {
			t.Fatalf("Write: %d %v", n, err)
		}
	}
	if err := c.uncork(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("end")); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if all := <-got; !bytes.Equal(all, append(sent, "end"...)) {
		t.Errorf("%d bytes came, want %d in order", len(all), len(sent)+3)
	}
	if n := raw.writes.Load(); n > 9 {
		t.Errorf("%d writes for 13 records", n)
	}
}
