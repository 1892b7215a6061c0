// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// testProcess checks what the program does to its own process, which only the
// binary shows.
func (p Program) testProcess(t *testing.T) {
	t.Run("siblings of the same user cannot read its environment", func(t *testing.T) {
		r := p.asUser(t)
		path := fmt.Sprintf("/proc/%d/environ", r.PID())
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 {
			t.Errorf("%s belongs to user %d: prctl(PR_SET_DUMPABLE, 0) gives it to root", path, owner)
		}
		// That must not hide from it what it tells about itself.
		if n := r.Metric("process_open_fds"); n < 1 {
			t.Errorf("process_open_fds is %v", n)
		}
	})
	t.Run("it takes the processors that the user says", func(t *testing.T) {
		r := testkit.Start(t, p.Binary, p.args(), append(p.Env[:len(p.Env):len(p.Env)], "GOMAXPROCS=6"))
		r.WaitReady()
		if n := r.Metric("go_sched_gomaxprocs_threads"); n != 6 {
			t.Errorf("GOMAXPROCS is %v, want 6", n)
		}
		r = testkit.Start(t, p.Binary, p.args(), p.Env)
		r.WaitReady()
		if n := r.Metric("go_sched_gomaxprocs_threads"); n > 4 {
			t.Errorf("GOMAXPROCS is %v, want at most 4", n)
		}
	})
	t.Run("it outlives whoever reads its log", func(t *testing.T) { p.testClosedLog(t) })
	t.Run("it listens before it is ready and leaves no descriptor behind", func(t *testing.T) {
		r := testkit.Start(t, p.Binary, p.args(), p.Env)
		r.WaitReady()
		before := r.Metric("process_open_fds")
		for range 20 {
			r.WaitReady()
		}
		testkit.Eventually(t, "descriptors to be closed", func() error {
			if now := r.Metric("process_open_fds"); now > before+1 {
				return fmt.Errorf("%v, were %v", now, before)
			}
			return nil
		})
	})
}

func (p Program) args() []string {
	return append([]string{"--admin-listen=127.0.0.1:0"}, p.Args...)
}

// testClosedLog takes the readers of stdout and stderr away while it runs.
func (p Program) testClosedLog(t *testing.T) {
	admin := testkit.FreeAddr(t)
	cmd := exec.Command(p.Binary, append(p.args(), "--admin-listen="+admin)...)
	cmd.Env = append(os.Environ(), p.Env...)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writer.Close()
	ready := func() error {
		got, err := testkit.Get("http://" + admin + "/readyz")
		if err == nil && got.Status != 200 {
			err = errors.New(got.Body)
		}
		return err
	}
	testkit.Eventually(t, "readiness", ready)
	_ = reader.Close()
	reloads := p.Spec().MetricPrefix() + `reloads_total{result="success"}`
	_ = cmd.Process.Signal(syscall.SIGHUP) // the reload is logged
	testkit.Eventually(t, "the reload", func() error {
		if n, err := testkit.Metric("http://"+admin+"/metrics", reloads); err != nil || n != 1 {
			return fmt.Errorf("%v reloads: %w", n, err)
		}
		return ready()
	})
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// asUser starts the binary as the image's user where this process may, which is
// what shows that a program of that user owns nothing of its own /proc entry.
func (p Program) asUser(t *testing.T) *testkit.Process {
	t.Helper()
	c := testkit.Command{Path: p.Binary, Args: p.args(), Env: p.Env}
	if os.Getuid() == 0 {
		c.Path = publicCopy(t, p.Binary)
		c.User = &syscall.Credential{Uid: 65532, Gid: 65532, NoSetGroups: true}
	}
	r := testkit.StartCommand(t, c)
	r.WaitReady()
	return r
}

// publicCopy copies the binary to where every user may run it.
func publicCopy(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(testkit.ShortDir(t), filepath.Base(path))
	if err := os.WriteFile(public, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return public
}
