// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	readyWithin = 20 * time.Second
	readyPoll   = time.Millisecond
	stopWithin  = 10 * time.Second
)

// Process is a program that the bench started and will stop.
type Process struct {
	name   string
	cmd    *exec.Cmd
	stderr tail
	exited chan struct{} // closed when it has ended
	stdout io.Closer
	blamed bool // Ready has told already that it ended by itself
}

// Start runs the command in dir on the given core. The program sees one CPU there, so that
// GOMAXPROCS and its like come out as 1 with no setting.
func Start(name string, command Command, dir string, core int) (*Process, error) {
	args := append([]string{"--cpu-list", strconv.Itoa(core)}, command.Args...)
	p := &Process{name: name, cmd: exec.Command("taskset", args...), exited: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), command.Env...)
	p.cmd.Stderr = &p.stderr
	// A bench that is killed leaves nothing behind. TERM, not KILL: a master tells its workers.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if command.Stdout {
		log, err := os.Create(command.AccessLog)
		if err != nil {
			return nil, fmt.Errorf("cannot create the log of %s: %w", name, err)
		}
		p.cmd.Stdout, p.stdout = log, log
	}
	if err := p.cmd.Start(); err != nil {
		p.closeOutput()
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended matters only when it was not asked to: see Ready
		close(p.exited)
	}()
	return p, nil
}

// PID is the process id: taskset becomes the program that it starts.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ready polls until the check passes and returns how long that took from now.
func (p *Process) Ready(ctx context.Context, check func(context.Context) error) (time.Duration, error) {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return time.Since(begin), nil
		}
		select {
		case <-p.exited:
			p.blamed = true
			return 0, fmt.Errorf("%s ended before it was ready (%s): %s", p.name, p.cmd.ProcessState, p.stderr.String())
		case <-ctx.Done():
			return 0, fmt.Errorf("%s is not ready within %s: %w: %s", p.name, readyWithin, err, p.stderr.String())
		case <-time.After(readyPoll):
		}
	}
}

// Stop asks the process to end, and ends it and its children when it does not.
func (p *Process) Stop() error {
	defer p.closeOutput()
	tree, _ := procfs("/proc").tree(p.PID()) // children outlive a master that has to be killed
	if err := p.cmd.Process.Signal(syscall.SIGTERM); errors.Is(err, os.ErrProcessDone) {
		<-p.exited
		if p.blamed {
			return nil
		}
		return fmt.Errorf("%s ended by itself (%s): %s", p.name, p.cmd.ProcessState, p.stderr.String())
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopWithin):
	}
	for _, pid := range tree {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
	}
	<-p.exited
	return fmt.Errorf("%s did not stop within %s of SIGTERM", p.name, stopWithin)
}

func (p *Process) closeOutput() {
	if p.stdout != nil {
		_ = p.stdout.Close()
	}
}

// countLines returns how many lines the file has.
func countLines(path string) (int, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return 0, fmt.Errorf("cannot read the access log: %w", err)
	}
	defer file.Close()
	lines, buffer := 0, make([]byte, 256<<10)
	for {
		n, err := file.Read(buffer)
		lines += bytes.Count(buffer[:n], []byte("\n"))
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return 0, fmt.Errorf("cannot read the access log: %w", err)
		}
	}
}

// tail keeps the end of what a program says, for the error that needs it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailSize = 2 << 10

func (t *tail) Write(data []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, data...)
	if extra := len(t.kept) - tailSize; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(data), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.kept))
}
