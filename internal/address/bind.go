// SPDX-License-Identifier: Apache-2.0

package address

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/outrigger/outrigger/internal/procfs"
)

// socketMode is the mode of a unix socket that was bound: the user and the group (in a pod: fsGroup) may connect.
const socketMode = 0o660

// Bind listens on the address. A unix socket gets mode 0660, its file is removed when the listener is closed, and the file
// that a dead process left behind is replaced.
//
// The error is one line that names the address and the fix, and who holds a busy port if /proc tells. errors.Is finds
// syscall.EADDRINUSE and fs.ErrPermission in it.
func (l Listen) Bind(ctx context.Context) (net.Listener, error) {
	var ln net.Listener
	var err error
	switch l.Network {
	case "unix":
		ln, err = bindUnix(ctx, l.Address)
	case "tcp":
		ln, err = bindTCP(ctx, l.Address)
	default:
		err = errUnset
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", l, err)
	}
	return ln, nil
}

// bindTCP listens on the first literal of the address that this host has.
func bindTCP(ctx context.Context, hostport string) (net.Listener, error) {
	var first error
	for _, addr := range literals(hostport) {
		// Multipath TCP, Go's default for listeners, buys a pod nothing and hides the port's owner from /proc.
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		ln, err := config.Listen(ctx, tcpNetwork(addr), addr)
		if err == nil {
			return ln, nil
		}
		if first == nil {
			first = explainTCP(addr, err)
		}
		if !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.EAFNOSUPPORT) {
			break
		}
	}
	return nil, first
}

// tcpNetwork is "tcp4" for an IPv4 literal: with "tcp", Go takes 0.0.0.0 for all addresses, IPv6 included.
func tcpNetwork(addr string) string {
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		return "tcp4"
	}
	return "tcp"
}

// explainTCP says what went wrong and what mends it.
func explainTCP(addr string, err error) error {
	_, port, _ := net.SplitHostPort(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w%s; stop it or choose another port", syscall.EADDRINUSE, holder(port))
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w; choose a port from 1024 on, or add the capability NET_BIND_SERVICE", syscall.EACCES)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%w: no interface here has it; use :%s for all addresses or 127.0.0.1:%s", syscall.EADDRNOTAVAIL, port, port)
	}
	return cause(err)
}

// holder says who listens on a port, as far as this process may see it: of other containers it sees nothing, unless the pod
// shares its process namespace.
func holder(digits string) string {
	port, err := parsePort(digits)
	if err != nil {
		return ""
	}
	process, ok := procfs.Holder(port)
	if !ok {
		return " by another process"
	}
	return fmt.Sprintf(" by %s (process %d)", process.Command, process.PID)
}

// cause is the error without the operation and address that net.OpError repeats.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// bindUnix listens on a path, or on "@name".
func bindUnix(ctx context.Context, path string) (net.Listener, error) {
	if path == "" {
		return nil, errUnset
	}
	abstract := path[0] == '@'
	config := net.ListenConfig{}
	if !abstract {
		if err := removeStale(ctx, path); err != nil {
			return nil, err
		}
		config.Control = narrow
	}
	ln, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, explainUnix(path, err)
	}
	if !abstract {
		if err := os.Chmod(path, socketMode); err != nil {
			return nil, errors.Join(fmt.Errorf("cannot set its mode: %w", err), ln.Close())
		}
	}
	return ln, nil
}

// narrow sets the mode of a socket before it is bound, when Linux makes the file's mode of it and of the umask. So the file
// never has a wider mode than it ends with, and the umask, which belongs to the whole process, stays alone. A kernel that
// refuses leaves it to the chmod that follows.
func narrow(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) })
}

// probeTimeout bounds the question whether somebody listens on a unix socket. A live one answers at once, or its backlog is
// full and the question waits.
const probeTimeout = time.Second

// removeStale removes the socket that a dead process left at path. Anything else that is there is an error.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil // nothing there, or the bind says what is wrong
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: a file that is not a socket has this name; remove it or choose another path", syscall.EADDRINUSE)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the socket belongs to another user, who may still listen on it; remove it or choose another path", fs.ErrPermission)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w by a running process; stop it or choose another path", syscall.EADDRINUSE)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove the socket of a process that has ended: %w", err)
	}
	return nil
}

// explainUnix says what went wrong and what mends it.
func explainUnix(path string, err error) error {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%w; stop what listens there or choose another path", syscall.EADDRINUSE)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("directory %s: %w; create it or mount a volume there", dir, fs.ErrNotExist)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("directory %s: %w; mount a writable volume there", dir, syscall.EROFS)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s", fs.ErrPermission, owner(dir))
	}
	return cause(err)
}

// owner says who may write to a directory and how this process becomes one of them.
func owner(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Sprintf("directory %s cannot be looked at by uid %d", dir, os.Getuid())
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Sprintf("directory %s is not writable for uid %d", dir, os.Getuid())
	}
	return fmt.Sprintf("directory %s belongs to uid %d, gid %d with mode %04o, and this process is uid %d, gid %d; set securityContext.fsGroup: %d, or runAsUser: %d",
		dir, stat.Uid, stat.Gid, stat.Mode&0o7777, os.Getuid(), os.Getgid(), os.Getgid(), stat.Uid)
}
