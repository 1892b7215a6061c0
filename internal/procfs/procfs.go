// SPDX-License-Identifier: Apache-2.0

// Package procfs reads the few things from Linux' /proc that the programs need: who listens on a port, and how much memory
// and how many descriptors a process has.
//
//	addrs, err := procfs.Listening(8080)
//	if exposed := procfs.BeyondLoopback(addrs); len(exposed) > 0 {
//		log.Warn("the target also listens beyond loopback", "addresses", exposed)
//	}
//
// In a pod all containers share one network namespace, so Listening sees the sockets of all of them. Processes of other
// containers are seen only where the pod shares its process namespace.
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// root is where the kernel shows its files.
const root = "/proc"

// Memory is what a process has in memory, in bytes.
type Memory struct {
	// RSS is everything that is resident, pages of the binary and other files included.
	RSS int64
	// RSSAnon is the part of RSS that is the process' own: heap and stacks.
	RSSAnon int64
}

// ReadMemory reads the memory of a process from /proc/PID/status.
func ReadMemory(pid int) (Memory, error) {
	data, err := os.ReadFile(filepath.Join(root, strconv.Itoa(pid), "status"))
	if err != nil {
		return Memory{}, fmt.Errorf("cannot read the memory of process %d: %w", pid, err)
	}
	m, err := parseStatus(data)
	if err != nil {
		return Memory{}, fmt.Errorf("cannot read the memory of process %d: %w", pid, err)
	}
	return m, nil
}

// parseStatus reads VmRSS and RssAnon of /proc/PID/status (proc_pid_status(5)). A process that has ended and was not waited
// for has neither.
func parseStatus(data []byte) (Memory, error) {
	var m Memory
	found := 0
	for line := range bytes.Lines(data) {
		key, value, _ := strings.Cut(string(line), ":")
		var field *int64
		switch key {
		case "VmRSS":
			field = &m.RSS
		case "RssAnon":
			field = &m.RSSAnon
		default:
			continue
		}
		digits, ok := strings.CutSuffix(strings.TrimSpace(value), " kB")
		kb, err := strconv.ParseUint(digits, 10, 40)
		if !ok || err != nil {
			return Memory{}, fmt.Errorf("status has %s %q where a number of kB was expected", key, strings.TrimSpace(value))
		}
		*field = int64(kb) << 10
		found++
	}
	if found < 2 {
		return Memory{}, errors.New("status has no VmRSS and RssAnon; has the process ended?")
	}
	return m, nil
}

// Descriptors is how many file descriptors a process has open. It takes the process' own UID, and of a process that is not
// dumpable (as these programs are) root or the process itself.
func Descriptors(pid int) (int, error) {
	dir, err := os.Open(filepath.Join(root, strconv.Itoa(pid), "fd"))
	if err != nil {
		return 0, fmt.Errorf("cannot count the descriptors of process %d: %w", pid, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return 0, fmt.Errorf("cannot count the descriptors of process %d: %w", pid, err)
	}
	if pid == os.Getpid() {
		return len(names) - 1, nil // without the one that this took
	}
	return len(names), nil
}

// Process is a process of this host (in Kubernetes: of this container, or of a pod that shares its process namespace).
type Process struct {
	PID     int
	Command string // the first 15 bytes of its name, such as "nginx"
}

// Holder finds the process that listens on a TCP port, on whichever address. It looks through the descriptors of every
// process that this one may look at, which is too much work for anything but an error message.
func Holder(port uint16) (Process, bool) {
	sockets, err := listening(port)
	if err != nil {
		return Process{}, false
	}
	links := map[string]bool{}
	for _, s := range sockets {
		links[fmt.Sprintf("socket:[%d]", s.inode)] = true
	}
	found, err := filepath.Glob(root + "/[0-9]*/fd/*")
	if err != nil || len(links) == 0 {
		return Process{}, false
	}
	for _, fd := range found {
		if link, err := os.Readlink(fd); err == nil && links[link] {
			return process(filepath.Dir(filepath.Dir(fd)))
		}
	}
	return Process{}, false
}

// process reads the process of a directory such as /proc/12.
func process(dir string) (Process, bool) {
	pid, err := strconv.Atoi(filepath.Base(dir))
	if err != nil {
		return Process{}, false
	}
	comm, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return Process{}, false
	}
	return Process{PID: pid, Command: strings.TrimSpace(string(comm))}, true
}

// notThere reports whether a file is missing, as /proc/net/tcp6 is on a host without IPv6.
func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) }
