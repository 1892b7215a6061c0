// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Listening returns the addresses on which something listens on a TCP port, sorted: from /proc/net/tcp and tcp6. An
// IPv4-mapped address is returned as IPv4; the wildcards are 0.0.0.0 and ::, of which the second usually takes IPv4 too.
// The kernel goes through all connections of the host for it, which takes tens of milliseconds where there are many: look
// at start-up and then every few minutes, not more often.
func Listening(port uint16) ([]netip.AddrPort, error) {
	sockets, err := listening(port)
	if err != nil {
		return nil, err
	}
	var addrs []netip.AddrPort
	for _, s := range sockets {
		addrs = append(addrs, s.local)
	}
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	return slices.Compact(addrs), nil
}

// BeyondLoopback returns those of the addresses that others than this host can reach: all but 127.0.0.0/8 and ::1.
func BeyondLoopback(addrs []netip.AddrPort) []netip.AddrPort {
	var beyond []netip.AddrPort
	for _, a := range addrs {
		if !a.Addr().Unmap().IsLoopback() {
			beyond = append(beyond, a)
		}
	}
	return beyond
}

// socket is one line of /proc/net/tcp.
type socket struct {
	local netip.AddrPort
	inode uint64
}

// listening returns the sockets that listen on a port.
func listening(port uint16) ([]socket, error) {
	var list []socket
	found := false
	for _, name := range []string{"tcp", "tcp6"} {
		file, err := os.Open(filepath.Join(root, "net", name))
		if notThere(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read listening sockets: %w", err)
		}
		found = true
		err = eachListener(file, func(s socket) {
			if s.local.Port() == port {
				list = append(list, s)
			}
		})
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("cannot read listening sockets from %s: %w", file.Name(), err)
		}
	}
	if !found {
		return nil, fmt.Errorf("cannot read listening sockets: neither tcp nor tcp6 is in %s/net", root)
	}
	return list, nil
}

// listenState is a field of TCP_LISTEN (the kernel's include/net/tcp_states.h). No other field looks like it.
const listenState = " 0A "

// eachListener calls f for every listening socket of /proc/net/tcp or tcp6. Lines of connections, which may be many
// thousands, are skipped unread.
func eachListener(r io.Reader, f func(socket)) error {
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if n == 1 || !bytes.Contains(lines.Bytes(), []byte(listenState)) {
			continue
		}
		s, err := parseSocket(lines.Text())
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		f(s)
	}
	return lines.Err()
}

// parseSocket reads one line (the kernel's Documentation/networking/proc_net_tcp.rst):
//
//	sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...
//	0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 1000 0 123456 1 ...
func parseSocket(line string) (socket, error) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return socket{}, fmt.Errorf("%d fields where at least 10 were expected", len(fields))
	}
	local, err := parseAddrPort(fields[1])
	if err != nil {
		return socket{}, fmt.Errorf("local address %q: %w", fields[1], err)
	}
	inode, err := strconv.ParseUint(fields[9], 10, 64)
	if err != nil {
		return socket{}, fmt.Errorf("inode %q is not a number", fields[9])
	}
	return socket{local: local, inode: inode}, nil
}

// parseAddrPort reads "0100007F:1F90": words of 32 bits, each in the byte order of this host, and the port as a number.
func parseAddrPort(text string) (netip.AddrPort, error) {
	digits, portDigits, ok := strings.Cut(text, ":")
	if !ok {
		return netip.AddrPort{}, errors.New("no port")
	}
	port, err := strconv.ParseUint(portDigits, 16, 16)
	if err != nil {
		return netip.AddrPort{}, errors.New("the port is not a number")
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for word := 0; word+4 <= len(raw); word += 4 {
		binary.NativeEndian.PutUint32(raw[word:], binary.BigEndian.Uint32(raw[word:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%d bytes are no address", len(raw))
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), nil
}
