// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// inNamespace makes the test binary watch a file in a user namespace of its own, whose inotify limits it lowers first.
const inNamespace = "FILEWATCH_TEST_LIMIT"

func TestExhaustedInotifyLimitsFallBackToPollingWithOneWarning(t *testing.T) {
	if limit := os.Getenv(inNamespace); limit != "" {
		watchUnder(t, limit)
		return
	}
	hints := map[string]string{
		"max_inotify_instances": "fs.inotify.max_user_instances",
		"max_inotify_watches":   "fs.inotify.max_user_watches",
	}
	for limit, hint := range hints {
		t.Run(limit, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestExhaustedInotifyLimits", "-test.v")
			cmd.Env = append(os.Environ(), inNamespace+"="+limit)
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
			}
			out, err := cmd.CombinedOutput()
			if bytes.Contains(out, []byte("SKIP: ")) || err != nil && len(out) == 0 {
				t.Skipf("user namespaces are not to be had here: %v %s", err, out)
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if n := bytes.Count(out, []byte("level=WARN")); n != 1 || !bytes.Contains(out, []byte(hint)) {
				t.Errorf("%d warnings, want one that names %s:\n%s", n, hint, out)
			}
		})
	}
}

// watchUnder runs in the namespace: two changes must be found by polling.
func watchUnder(t *testing.T, limit string) {
	if err := os.WriteFile(filepath.Join("/proc/sys/user", limit), []byte("0"), 0o644); err != nil {
		t.Skipf("cannot lower %s: %v", limit, err)
	}
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "0")
	var log bytes.Buffer
	called := make(chan struct{}, 10)
	w := New(Options{Paths: []string{path}, Poll: 20 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, func() { called <- struct{}{} }) })
	for i := range 2 {
		put(t, path, strings.Repeat("x", i+1))
		<-called
	}
	cancel()
	wg.Wait()
	fmt.Print(log.String())
}
