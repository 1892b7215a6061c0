// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"flag"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// flagSet parses the flags of a verb.
type flagSet struct {
	*flag.FlagSet
	usage string
}

func newFlagSet(usage string) *flagSet {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	return &flagSet{f, usage}
}

// parse returns the arguments behind the flags, of which there are at least n.
func (f *flagSet) parse(s *script, args []string, n int) []string {
	if err := f.Parse(args); err != nil {
		s.Fatalf("%v; usage: %s", err, f.usage)
	}
	s.need(f.Args(), n, f.usage)
	return f.Args()
}

func (s *script) start(args []string) {
	name := ""
	f := newFlagSet("start [-as NAME] PROGRAM ARG...")
	f.StringVar(&name, "as", "", "")
	args = f.parse(s, args, 1)
	if name == "" {
		name = filepath.Base(args[0])
	}
	if old := s.processes[name]; old != nil && old.Running() {
		s.Fatalf("%s runs already: give this one a name with -as", name)
	}
	s.processes[name] = StartCommand(s, Command{
		Path: s.lookPath(args[0]), Args: args[1:], Env: s.environment(), Dir: s.ts.MkAbs("."),
	})
}

// lookPath finds a program on the script's PATH, which is not this process's.
func (s *script) lookPath(name string) string {
	if strings.ContainsRune(name, '/') {
		return s.ts.MkAbs(name)
	}
	for _, dir := range filepath.SplitList(s.ts.Getenv("PATH")) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	s.Fatalf("cannot find %s: name it in the Programs of this test", name)
	return ""
}

func (s *script) waitlog(args []string) {
	s.need(args, 2, "waitlog NAME MSG [ATTR=VALUE]...")
	var attrs []any
	for _, arg := range args[2:] {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			s.Fatalf("%q is not ATTR=VALUE", arg)
		}
		attrs = append(attrs, name, value)
	}
	s.print(s.process(args[0]).WaitLog(args[1], attrs...).Raw + "\n")
}

func (s *script) listening(args []string) {
	s.need(args, 3, "listening NAME LISTENER VAR")
	s.ts.Setenv(args[2], s.process(args[0]).WaitAddr(args[1]))
}

func (s *script) waitready(args []string) {
	s.need(args, 1, "waitready NAME|URL")
	if !strings.Contains(args[0], "://") {
		s.process(args[0]).WaitReady()
		return
	}
	Eventually(s, args[0]+" to answer 200", func() error {
		answer, err := Get(args[0])
		if err != nil {
			return err
		}
		return wantStatus(200, answer)
	})
}

func (s *script) signal(args []string) {
	s.need(args, 2, "signal SIGNAL NAME")
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(args[0], "SIG"))
	if sig == 0 {
		s.Fatalf("there is no signal %s", args[0])
	}
	s.process(args[1]).Signal(sig)
}

func (s *script) waitexit(args []string) {
	s.need(args, 1, "waitexit NAME [CODE]")
	want := 0
	if len(args) > 1 {
		n, err := strconv.Atoi(args[1])
		s.ts.Check(err)
		want = n
	}
	p := s.process(args[0])
	code := p.Wait()
	s.output(args)
	if (code == want) == s.neg {
		s.Fatalf("%s ended with %d", args[0], code)
	}
}

func (s *script) output(args []string) {
	s.need(args, 1, "output NAME")
	p := s.process(args[0])
	s.print(p.Stdout())
	_, _ = io.WriteString(s.ts.Stderr(), p.Stderr())
}
