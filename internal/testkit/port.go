// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Ports come from below the kernel's ephemeral range (32768 and up), so that no
// outgoing connection of this machine takes one between its reservation and its use.
const (
	firstPort = 12000
	lastPort  = 31999
)

// FreePort returns a TCP port that nothing listens on at 127.0.0.1 and that no other
// test, in this process or another, is given until this one ends. Prefer port 0 and
// [Process.WaitAddr]; this is for programs that cannot say what they bound.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		claim, ok := claimPort(port)
		if !ok {
			continue
		}
		t.Cleanup(func() { _ = claim.Close() })
		return port
	}
	t.Fatalf("cannot find a free port between %d and %d on 127.0.0.1", firstPort, lastPort)
	return 0
}

// claimPort reserves a port across processes. The reservation is an abstract unix
// socket named after the port: it belongs to the same network namespace as the port,
// leaves no file behind, and the kernel drops it with the process.
func claimPort(port int) (claim net.Listener, ok bool) {
	claim, err := net.Listen("unix", "@outrigger-test-port-"+strconv.Itoa(port))
	if err != nil {
		return nil, false
	}
	for _, host := range []string{"127.0.0.1", ""} {
		probe, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			_ = claim.Close()
			return nil, false
		}
		_ = probe.Close()
	}
	return claim, true
}

// FreeAddr is [FreePort] as "127.0.0.1:PORT".
func FreeAddr(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

// BusyPort is a port that somebody else listens on.
type BusyPort struct {
	Port     int
	listener net.Listener
}

// HoldPort binds a free port on 127.0.0.1 and holds it until the test ends or
// Release is called, for tests of what a program says about a busy port.
func HoldPort(t testing.TB) *BusyPort {
	t.Helper()
	port := FreePort(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatalf("cannot hold port %d: %v", port, err)
	}
	b := &BusyPort{Port: port, listener: l}
	t.Cleanup(b.Release)
	return b
}

// Addr is the held port as "127.0.0.1:PORT".
func (b *BusyPort) Addr() string { return b.listener.Addr().String() }

// Release frees the port; calling it again does nothing.
func (b *BusyPort) Release() { _ = b.listener.Close() }

// SocketPath returns a path for a unix socket that does not exist yet, short enough
// for sun_path (108 bytes) where t.TempDir, which holds the test's name, is not.
func SocketPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(ShortDir(t), "s")
}

// ShortDir is a temporary directory with a short path that every user may enter and
// read: t.TempDir's parent is closed to the users that real servers change to.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "or")
	if err != nil {
		t.Fatalf("cannot make a temporary directory: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatalf("cannot open the temporary directory to other users: %v", err)
	}
	return dir
}
