// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asReader makes the test binary watch a path as another user.
const asReader = "FILEWATCH_TEST_WATCH"

// What may not be read may not be watched either, so it is its directory that has to tell.
func TestBecomingReadableIsSeenWithoutAPoll(t *testing.T) {
	if path := os.Getenv(asReader); path != "" {
		watchAsReader(t, path)
		return
	}
	dir, err := os.MkdirTemp("", "readable")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	binary := filepath.Join(dir, "test")
	self, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(binary, self, 0o755))
	put(t, filepath.Join(dir, "file"), "x")
	put(t, filepath.Join(dir, "directory", "file"), "x")
	put(t, filepath.Join(dir, "above", "file"), "x")

	for _, c := range []struct{ path, blocked string }{
		{"file", "file"},
		{"directory", "directory"},
		{"above/file", "above"},
	} {
		t.Run(c.path, func(t *testing.T) {
			blocked := filepath.Join(dir, c.blocked)
			must(t, os.Chmod(blocked, 0o000))
			lines := startReader(t, binary, filepath.Join(dir, c.path))
			awaitLine(t, lines, "watching")
			must(t, os.Chmod(blocked, 0o755))
			awaitLine(t, lines, "changed")
		})
	}
}

// startReader runs this test binary as a user who is not root and returns what it prints.
func startReader(t *testing.T, binary, path string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	cmd := exec.CommandContext(ctx, binary, "-test.run=^TestBecomingReadable")
	cmd.Dir = filepath.Dir(binary)
	cmd.Env = append(os.Environ(), asReader+"="+path)
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
	}
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	return bufio.NewScanner(out)
}

func awaitLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == want {
			return
		}
	}
	t.Fatalf("the reader ended or waited in vain before it said %q", want)
}

// watchAsReader says when it watches, and when it was called.
func watchAsReader(t *testing.T, path string) {
	seen := make(chan struct{}, 1)
	watch(t, func() { seen <- struct{}{} }, path)
	fmt.Println("watching")
	<-seen
	fmt.Println("changed")
}
