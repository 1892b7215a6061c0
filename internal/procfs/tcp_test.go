// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// portOf is the port of a listener.
func portOf(t *testing.T, ln net.Listener) uint16 {
	t.Helper()
	return netip.MustParseAddrPort(ln.Addr().String()).Port()
}

func TestListeningSeesRealListeners(t *testing.T) {
	for _, tc := range []struct {
		network, address string
		want             string
		beyond           bool
	}{
		{"tcp4", "127.0.0.1:0", "127.0.0.1", false},
		{"tcp4", "127.9.8.7:0", "127.9.8.7", false},
		{"tcp4", "0.0.0.0:0", "0.0.0.0", true},
		{"tcp6", "[::1]:0", "::1", false},
		{"tcp6", "[::]:0", "::", true},
	} {
		if tc.network == "tcp6" && !hasIPv6() {
			continue
		}
		ln, err := net.Listen(tc.network, tc.address)
		if err != nil {
			t.Fatal(err)
		}
		expectListening(t, portOf(t, ln), tc.want, tc.beyond)
		if err := ln.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestListeningUnmapsIPv4 binds an IPv6 socket to an IPv4 address, as Java does.
func TestListeningUnmapsIPv4(t *testing.T) {
	if !hasIPv6() {
		t.Fatal("the tests need IPv6 on loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0")
	}
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	mapped := netip.MustParseAddr("::ffff:127.0.0.1").As16()
	if err := syscall.Bind(fd, &syscall.SockaddrInet6{Addr: mapped}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	expectListening(t, uint16(name.(*syscall.SockaddrInet6).Port), "127.0.0.1", false)
}

func expectListening(t *testing.T, port uint16, want string, beyond bool) {
	t.Helper()
	got, err := Listening(port)
	if err != nil {
		t.Fatal(err)
	}
	if want := []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(want), port)}; !slices.Equal(got, want) {
		t.Errorf("listening on %v, want %v", got, want)
	}
	if got := len(BeyondLoopback(got)) > 0; got != beyond {
		t.Errorf("%s is beyond loopback: %v, want %v", want, got, beyond)
	}
}

func TestConnectionsAreNotListeners(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	conn, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	expectListening(t, portOf(t, ln), "127.0.0.1", false)
	clientPort := netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
	if got, err := Listening(clientPort); err != nil || len(got) > 0 {
		t.Errorf("the port of a client has listeners %v, error %v", got, err)
	}
}

// sharePort listens on one port of two addresses. A port that is free on the first may be taken on the other: then
// another one is tried.
func sharePort(t *testing.T, a, b string) (first, second net.Listener) {
	t.Helper()
	var err error
	for range 100 {
		if first, err = net.Listen("tcp4", a+":0"); err != nil {
			t.Fatal(err)
		}
		if second, err = net.Listen("tcp4", fmt.Sprintf("%s:%d", b, portOf(t, first))); err == nil {
			return first, second
		}
		first.Close()
	}
	t.Fatalf("no port was free on both addresses: %v", err)
	return nil, nil
}

func TestOnePortWithTwoListenersHasTwoAddresses(t *testing.T) {
	first, second := sharePort(t, "127.0.0.2", "127.0.0.1")
	defer first.Close()
	defer second.Close()
	port := portOf(t, first)
	got, err := Listening(port)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprintf("[127.0.0.1:%[1]d 127.0.0.2:%[1]d]", port) {
		t.Errorf("listening on %v", got)
	}
}

func TestHolderFindsTheProcess(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := portOf(t, ln)
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	want := Process{PID: os.Getpid(), Command: strings.TrimSpace(string(comm))}
	if got, ok := Holder(port); !ok || got != want {
		t.Errorf("Holder is %+v, %v; want %+v", got, ok, want)
	}
	_ = ln.Close()
	if got, ok := Holder(port); ok && got == want { // the free port may be another process' by now
		t.Errorf("a free port is held by %+v", got)
	}
}

const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// line is a line of /proc/net/tcp or tcp6 as the kernel of this host would write it.
func line(addr netip.AddrPort, inode uint64) string {
	raw := addr.Addr().AsSlice()
	for word := 0; word < len(raw); word += 4 {
		binary.BigEndian.PutUint32(raw[word:], binary.NativeEndian.Uint32(raw[word:]))
	}
	zero := strings.Repeat("0", 2*len(raw))
	return fmt.Sprintf("   0: %s:%04X %s:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 %d 1 0000000000000000 100 0 0 10 0\n",
		strings.ToUpper(hex.EncodeToString(raw)), addr.Port(), zero, inode)
}

func TestEveryAddressIsReadAsTheKernelWritesIt(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:8080", "0.0.0.0:1", "10.1.2.3:65535", "[::1]:8080", "[2001:db8::1:2]:443", "[::]:80"} {
		want := socket{netip.MustParseAddrPort(addr), 4711}
		var got []socket
		err := eachListener(strings.NewReader(head+line(want.local, want.inode)), func(s socket) { got = append(got, s) })
		if err != nil || !slices.Equal(got, []socket{want}) {
			t.Errorf("%s: %+v, error %v", addr, got, err)
		}
	}
}

func TestALineThatIsNoSocketIsAnErrorThatSaysWhich(t *testing.T) {
	for text, want := range map[string]string{
		"0: 0100007F:1F90 0:0 0A ":                "line 2: 4 fields where at least 10 were expected",
		"0: 0100007F 0:0 0A 0:0 0:0 0 0 0 1":      `line 2: local address "0100007F": no port`,
		"0: 0100007F:XX 0:0 0A 0:0 0:0 0 0 0 1":   `line 2: local address "0100007F:XX": the port is not a number`,
		"0: 01:1F90 0:0 0A 0:0 0:0 0 0 0 1":       `line 2: local address "01:1F90": 1 bytes are no address`,
		"0: zz:1F90 0:0 0A 0:0 0:0 0 0 0 1":       `line 2: local address "zz:1F90": encoding/hex: invalid byte: U+007A 'z'`,
		"0: 0100007F:1F90 0:0 0A 0:0 0:0 0 0 0 x": `line 2: inode "x" is not a number`,
	} {
		if err := eachListener(strings.NewReader(head+text+"\n"), func(socket) {}); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func FuzzSockets(f *testing.F) {
	f.Add(head + line(netip.MustParseAddrPort("127.0.0.1:8080"), 1))
	f.Add(head + line(netip.MustParseAddrPort("[::1]:8080"), 1<<63))
	f.Add(head + line(netip.MustParseAddrPort("[::ffff:127.0.0.1]:8080"), 0))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		_ = eachListener(strings.NewReader(text), func(s socket) {
			if !s.local.IsValid() || s.local.Addr().Is4In6() {
				t.Errorf("socket %+v", s)
			}
			if again, err := parseSocket(line(s.local, s.inode)); err != nil || again != s {
				t.Errorf("%+v is read again as %+v, error %v", s, again, err)
			}
		})
	})
}

// BenchmarkListening is one look at a network namespace as it is.
func BenchmarkListening(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Listening(1); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkThousandConnections is what reading (without the kernel's writing) costs where there are many connections.
func BenchmarkThousandConnections(b *testing.B) {
	connection := strings.Replace(line(netip.MustParseAddrPort("127.0.0.1:8080"), 4711), listenState, " 01 ", 1)
	text := head + strings.Repeat(connection, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if err := eachListener(strings.NewReader(text), func(socket) { b.Error("a connection listens") }); err != nil {
			b.Fatal(err)
		}
	}
}

// hasIPv6 reports whether this host has an IPv6 loopback.
func hasIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
