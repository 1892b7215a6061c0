// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"bytes"
	"context"
	"errors"
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

	"github.com/fsnotify/fsnotify"
)

// limited makes the test binary watch a file under an inotify limit of this name.
const limited = "FILEWATCH_TEST_LIMIT"

func TestExhaustedInotifyLimitsFallBackToPollingWithOneWarning(t *testing.T) {
	if how, limit, ok := strings.Cut(os.Getenv(limited), " "); ok {
		watchUnder(t, how, limit)
		return
	}
	hints := map[string]string{
		"max_inotify_instances": "fs.inotify.max_user_instances",
		"max_inotify_watches":   "fs.inotify.max_user_watches",
	}
	for limit, hint := range hints {
		t.Run(limit, func(t *testing.T) {
			command := func(how string) *exec.Cmd {
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestExhaustedInotifyLimits", "-test.v")
				cmd.Env = append(os.Environ(), limited+"="+how+" "+limit)
				return cmd
			}
			cmd := command("lowered")
			// In a user namespace the limit is the child's own. Hosts that forbid namespaces get the error from the test.
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
			}
			out, err := cmd.CombinedOutput()
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
				out, err = command("injected").CombinedOutput()
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

// watchUnder runs in the child: two changes must be found by polling.
func watchUnder(t *testing.T, how, limit string) {
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "0")
	var log bytes.Buffer
	called := make(chan struct{}, 10)
	w := New(Options{Paths: []string{path}, Poll: 20 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil))})
	switch {
	case how == "lowered":
		must(t, os.WriteFile(filepath.Join("/proc/sys/user", limit), []byte("0"), 0o644))
	case limit == "max_inotify_instances":
		w.open = func() (*fsnotify.Watcher, error) { return nil, syscall.EMFILE }
	default:
		w.add = func(*fsnotify.Watcher, string) error { return syscall.ENOSPC }
	}
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
