// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is longer than tls-proxy takes to drain at most (--shutdown-timeout, 25s).
const stopTimeout = 30 * time.Second

// process is a started program.
type process struct {
	name, log string
	cmd       *exec.Cmd
	ended     chan struct{} // closed when it has ended; then err is set
	err       error
}

// start runs a program with its output in the file log. It gets a process group of its own: Ctrl-C in
// the terminal reaches the demo alone, which then ends the programs in their order.
func start(log, name string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")} // no TLS_PROXY_ variable of the reader's shell
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w; run `make demo` in the root of the repository", name, err)
	}
	p := &process{name: name, log: log, cmd: cmd, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop asks the program to end, waits until it has, and returns an error unless it exits 0.
func (p *process) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end within %s; see %s", p.name, stopTimeout, p.log)
	}
	if p.err != nil {
		return p.failure()
	}
	return nil
}

// failure is why a program ended that should not have: its exit and the last line it wrote.
func (p *process) failure() error {
	<-p.ended
	err := p.err
	if err == nil {
		err = errors.New("exit status 0")
	}
	written, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(written)), "\n")
	return fmt.Errorf("%s ended: %w: %s", p.name, err, lines[len(lines)-1])
}
