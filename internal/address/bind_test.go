// SPDX-License-Identifier: Apache-2.0

package address

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// childVariable makes the test binary a process that listens at the given address until it is killed.
const childVariable = "ADDRESS_TEST_LISTEN"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		var l Listen
		if err := l.UnmarshalText([]byte(text)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_, err := l.Bind(context.Background())
		fmt.Println("bound", err)
		_, _ = os.Stdin.Read(make([]byte, 1)) // until killed, or the test has gone
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// bind binds an address for the time of the test.
func bind(t *testing.T, text string) net.Listener {
	t.Helper()
	ln, err := listen(t, text).Bind(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

func listen(t *testing.T, text string) Listen {
	t.Helper()
	var l Listen
	if err := l.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return l
}

// expectBindError checks that an address cannot be bound, and why.
func expectBindError(t *testing.T, l Listen, kind error, want string) {
	t.Helper()
	ln, err := l.Bind(t.Context())
	if err == nil {
		_ = ln.Close()
		t.Fatalf("%s was bound", l)
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("error %v is no %v", err, kind)
	}
	if err.Error() != want {
		t.Errorf("error\n%s\nwant\n%s", err, want)
	}
}

func TestBoundTCPAddressesAnswerWhereTheySay(t *testing.T) {
	for _, tc := range []struct {
		listen string
		v4, v6 bool
	}{
		{listen: "127.0.0.1:0", v4: true},
		{listen: "[::1]:0", v6: true},
		{listen: "localhost:0", v4: true},
		{listen: ":0", v4: true, v6: true},
		{listen: "[::]:0", v4: true, v6: true},
		{listen: "0.0.0.0:0", v4: true},
	} {
		t.Run(tc.listen, func(t *testing.T) {
			if tc.v6 && !hasIPv6() {
				t.Fatal("the tests need IPv6 on loopback: sysctl net.ipv6.conf.lo.disable_ipv6=0")
			}
			_, port, _ := net.SplitHostPort(bind(t, tc.listen).Addr().String())
			for host, want := range map[string]bool{"127.0.0.1": tc.v4, "::1": tc.v6} {
				conn, err := net.Dial("tcp", net.JoinHostPort(host, port))
				if got := err == nil; got != want {
					t.Errorf("%s answers: %v (%v), want %v", host, got, err, want)
				}
				if conn != nil {
					_ = conn.Close()
				}
			}
		})
	}
}

func TestABusyPortSaysWhoHoldsIt(t *testing.T) {
	addr := bind(t, "127.0.0.1:0").Addr().String()
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	expectBindError(t, listen(t, addr), syscall.EADDRINUSE,
		fmt.Sprintf("cannot listen on %s: address already in use by %s (process %d); stop it or choose another port",
			addr, strings.TrimSpace(string(comm)), os.Getpid()))
}

func TestAnAddressOfAnotherHostSaysWhatToUse(t *testing.T) {
	expectBindError(t, listen(t, "192.0.2.1:8443"), syscall.EADDRNOTAVAIL,
		"cannot listen on 192.0.2.1:8443: cannot assign requested address: no interface here has it; use :8443 for all addresses or 127.0.0.1:8443")
}

func TestAnUnsetListenerCannotBeBound(t *testing.T) {
	expectBindError(t, Listen{}, nil, "cannot listen on : the address is not set")
	expectBindError(t, Listen{Network: "unix"}, nil, "cannot listen on unix:: the address is not set")
}

func TestAUnixSocketIsForUserAndGroupAndGoesWithItsListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	ln := bind(t, "unix:"+path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != fs.ModeSocket|0o660 {
		t.Errorf("mode %s, want %s", got, fs.ModeSocket|0o660)
	}
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestAUnixSocketNeverHasAWiderMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	config := net.ListenConfig{Control: narrow}
	ln, err := config.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if wider := info.Mode().Perm() &^ socketMode; wider != 0 {
		t.Errorf("the mode as bound is %s", info.Mode())
	}
}

func TestTheSocketOfADeadProcessIsReplacedAndOfALiveOneRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.sock")
	l := listen(t, "unix:"+path)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+l.String())
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, _ := bufio.NewReader(stdout).ReadString('\n'); line != "bound <nil>\n" {
		t.Fatalf("the other process says %q", line)
	}
	expectBindError(t, l, syscall.EADDRINUSE,
		fmt.Sprintf("cannot listen on %s: address already in use by a running process; stop it or choose another path", l))

	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("a killed process leaves its socket: %v", err)
	}
	bind(t, l.String())
	conn, err := Target{Network: "unix", Address: path}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}

func TestAFileThatIsNoSocketIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	expectBindError(t, listen(t, "unix:"+path), syscall.EADDRINUSE,
		fmt.Sprintf("cannot listen on unix:%s: address already in use: a file that is not a socket has this name; remove it or choose another path", path))
	if data, _ := os.ReadFile(path); string(data) != "precious" {
		t.Errorf("the file holds %q", data)
	}
}

func TestAMissingDirectoryIsNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	expectBindError(t, listen(t, "unix:"+dir+"/app.sock"), fs.ErrNotExist,
		fmt.Sprintf("cannot listen on unix:%[1]s/app.sock: directory %[1]s: file does not exist; create it or mount a volume there", dir))
}

func TestADirectoryWithoutPermissionSaysWhatMendsIt(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("permission denied: directory %s belongs to uid %d, gid %d with mode 0750, and this process is uid %d, gid %d; set securityContext.fsGroup: %d, or runAsUser: %d",
		dir, os.Getuid(), os.Getgid(), os.Getuid(), os.Getgid(), os.Getgid(), os.Getuid())
	if err := explainUnix(dir+"/app.sock", syscall.EACCES); err.Error() != want {
		t.Errorf("error\n%s\nwant\n%s", err, want)
	}
}

func TestAbstractSocketsAreBoundOnce(t *testing.T) {
	name := fmt.Sprintf("@outrigger-test-%d", os.Getpid())
	ln := bind(t, "unix:"+name)
	expectBindError(t, Listen{"unix", name}, syscall.EADDRINUSE,
		fmt.Sprintf("cannot listen on unix:%s: address already in use; stop what listens there or choose another path", name))
	conn, err := Target{Network: "unix", Address: name}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	_ = ln.Close()
	bind(t, "unix:"+name)
}

func TestDialOfLocalhostReachesEitherFamily(t *testing.T) {
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		if host[0] == '[' && !hasIPv6() {
			continue
		}
		_, port, _ := net.SplitHostPort(bind(t, host).Addr().String())
		target := Target{Network: "tcp", Address: "localhost:" + port}
		conn, err := target.Dial(t.Context())
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = conn.Close()
	}
}

func TestDialErrorsAreOneLineAndKeepTheirKind(t *testing.T) {
	port := refusingPort(t)
	_, err := Target{Network: "tcp", Address: "localhost:" + port}.Dial(t.Context())
	if !errors.Is(err, syscall.ECONNREFUSED) || strings.Contains(err.Error(), "\n") {
		t.Errorf("refused: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Target{Network: "tcp", Address: "localhost:" + port}).Dial(ended); !errors.Is(err, context.Canceled) && !strings.Contains(fmt.Sprint(err), "operation was canceled") {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := (Target{}).Dial(t.Context()); err == nil || err.Error() != "cannot connect: the address is not set" {
		t.Errorf("unset: %v", err)
	}
}

// refusingPort is a port of 127.0.0.1 that nobody listens on, or will: the test holds it.
func refusingPort(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(name.(*syscall.SockaddrInet4).Port)
}

// hasIPv6 reports whether this host has an IPv6 loopback.
func hasIPv6() bool {
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	return ln.Close() == nil
}
