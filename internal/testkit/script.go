// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Programs are the names of the programs (see [Binary]) that scripts call.
type Programs []string

// Scripts runs the .txtar and .txt files of dir as testscripts, each a sub-test and
// all in parallel, with the programs on their PATH and these commands beside those of
// testscript (exec, stdout, stderr, cmp, exists, grep, env ...):
//
//	freeport NAME...                 set $NAME to a free port
//	certs [-key TYPE] [-as BASE] [-expired|-future] [-client] DIR NAME...
//	                                 write DIR/tls.crt and DIR/tls.key (or BASE.crt, BASE.key) for the
//	                                 names, by the script's one authority, whose PEM file is $CA
//	volume DIR SOURCE                make DIR hold SOURCE's files as the kubelet does; again: update it
//	backend NAME                     start an app that answers 200 "ok", set $NAME to its address
//	start [-as NAME] PROGRAM ARG...  start a program in the background (with the script's environment)
//	waitlog NAME MSG [ATTR=VALUE]... wait for a log line; it becomes stdout
//	listening NAME LISTENER VAR      wait for a listener and set $VAR to its address
//	waitready NAME|URL               wait until /readyz of the program, or the URL, answers 200
//	signal SIGNAL NAME               send a signal: signal TERM tls-proxy
//	[!] waitexit NAME [CODE]         wait for the end with CODE (default 0; !: anything but); its outputs
//	                                 become stdout and stderr
//	output NAME                      a running program's outputs so far become stdout and stderr
//	[!] http [FLAG...] METHOD URL    send a request; the answer's status line, sorted header lines, an
//	                                 empty line and the body become stdout (!: the request must fail, and
//	                                 stderr says how). Flags: -cacert FILE, -cert FILE, -key FILE, -k, -H 'K: V', -d BODY,
//	                                 -status CODE (repeat until the status is that), -to ADDR (connect there,
//	                                 HOST:PORT or unix:PATH), -http2
//	[!] metric URL SELECTOR OP VALUE wait until a metric compares so: ==, !=, <, <=, > or >=
//	                                 (see [Metric]; !: it must not do so now)
//
// A script reads as what an operator does:
//
//	certs tls localhost
//	backend APP
//	start tls-proxy --target=$APP --cert-dir=tls --listen=127.0.0.1:0 --admin-listen=127.0.0.1:0
//	listening tls-proxy https ADDR
//	http -cacert $CA -to $ADDR GET https://localhost/
//	stdout '^HTTP/1.1 200'
//	signal TERM tls-proxy
//	waitexit tls-proxy 0
func Scripts(t *testing.T, dir string, programs Programs) {
	t.Helper()
	bin := binDir(t, programs)
	testscript.Run(t, testscript.Params{
		Dir:                dir,
		Setup:              func(env *testscript.Env) error { return newScript(env, bin) },
		RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport":  verb(never, (*script).freeport),
			"certs":     verb(never, (*script).certs),
			"volume":    verb(never, (*script).volume),
			"backend":   verb(never, (*script).backend),
			"start":     verb(never, (*script).start),
			"waitlog":   verb(never, (*script).waitlog),
			"listening": verb(never, (*script).listening),
			"waitready": verb(never, (*script).waitready),
			"signal":    verb(never, (*script).signal),
			"waitexit":  verb(maybe, (*script).waitexit),
			"output":    verb(never, (*script).output),
			"http":      verb(maybe, (*script).http),
			"metric":    verb(maybe, (*script).metric),
		},
	})
}

// binDir holds a link to each program by its name, to be put in front of PATH.
func binDir(t testing.TB, programs Programs) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range programs {
		if err := os.Symlink(Binary(t, name), filepath.Join(dir, name)); err != nil {
			t.Fatalf("cannot put %s on the scripts' PATH: %v", name, err)
		}
	}
	return dir
}

// script is what one running script has made so far.
type script struct {
	testing.TB // the sub-test; the methods below let its failures name the script's line

	ts        *testscript.TestScript
	neg       bool // the line began with "!"
	ca        *CA
	processes map[string]*Process
	volumes   map[string]*Volume
}

type scriptKey struct{}

func newScript(env *testscript.Env, bin string) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return fmt.Errorf("testkit scripts run under go test only, not under %T", env.T())
	}
	s := &script{TB: t, processes: map[string]*Process{}, volumes: map[string]*Volume{}}
	s.ca = NewCA(t)
	caFile := filepath.Join(env.WorkDir, "ca.pem")
	env.Vars = append(env.Vars,
		"CA="+caFile,
		"PATH="+bin+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Values[scriptKey{}] = s
	return os.WriteFile(caFile, s.ca.PEM(), 0o644)
}

// Fatalf fails the script's line.
func (s *script) Fatalf(format string, args ...any) { s.ts.Fatalf(format, args...) }

// Logf writes into the script's log.
func (s *script) Logf(format string, args ...any) { s.ts.Logf(format, args...) }

// Cleanup runs f at the script's end, while its directory is still there.
func (s *script) Cleanup(f func()) { s.ts.Defer(f) }

// Whether a verb may stand behind "!".
const (
	never = false
	maybe = true
)

// verb makes a method of script a command of testscript.
func verb(negatable bool, do func(*script, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		s := ts.Value(scriptKey{}).(*script)
		s.ts, s.neg = ts, neg
		if neg && !negatable {
			ts.Fatalf("this command cannot be negated")
		}
		do(s, args)
	}
}

// need fails the line unless it has at least n arguments.
func (s *script) need(args []string, n int, usage string) {
	if len(args) < n {
		s.Fatalf("usage: %s", usage)
	}
}

// print makes text the line's stdout.
func (s *script) print(text string) {
	_, _ = s.ts.Stdout().Write([]byte(text))
}

func (s *script) process(name string) *Process {
	p, ok := s.processes[name]
	if !ok {
		s.Fatalf("nothing called %s was started", name)
	}
	return p
}

// environment is the script's as it stands now. testscript keeps it to itself, so
// the env program has to tell.
func (s *script) environment() []string {
	s.ts.Check(s.ts.Exec("env", "-0"))
	env := strings.Split(strings.TrimRight(s.ts.ReadFile("stdout"), "\x00"), "\x00")
	sort.Strings(env)
	return env
}

func (s *script) freeport(args []string) {
	s.need(args, 1, "freeport NAME...")
	for _, name := range args {
		s.ts.Setenv(name, fmt.Sprint(FreePort(s)))
	}
}

func (s *script) certs(args []string) {
	var request Request
	base, expired, future := "tls", false, false
	f := newFlagSet("certs [-key TYPE] [-as BASE] [-expired|-future] [-client] DIR NAME...")
	f.Func("key", "", func(v string) error { request.Key = KeyType(v); return nil })
	f.StringVar(&base, "as", base, "")
	f.BoolVar(&expired, "expired", false, "")
	f.BoolVar(&future, "future", false, "")
	f.BoolVar(&request.Client, "client", false, "")
	args = f.parse(s, args, 2)
	request.Names = args[1:]
	switch {
	case expired:
		model := s.ca.IssueExpired()
		request.NotBefore, request.NotAfter = model.Cert.NotBefore, model.Cert.NotAfter
	case future:
		model := s.ca.IssueFuture()
		request.NotBefore, request.NotAfter = model.Cert.NotBefore, model.Cert.NotAfter
	}
	dir := s.ts.MkAbs(args[0])
	s.ts.Check(os.MkdirAll(dir, 0o755))
	s.ca.t = s // a failure from here on names this line
	s.ca.IssueWith(request).Write(dir, base)
}

func (s *script) volume(args []string) {
	s.need(args, 2, "volume DIR SOURCE")
	dir, source := s.ts.MkAbs(args[0]), s.ts.MkAbs(args[1])
	v := s.volumes[dir]
	if v == nil {
		s.ts.Check(os.MkdirAll(dir, 0o755))
		v = OpenVolume(s, dir)
		s.volumes[dir] = v
	}
	files := map[string]string{}
	s.ts.Check(filepath.WalkDir(source, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		files[filepath.ToSlash(name)] = string(content)
		return err
	}))
	v.Update(files)
}

func (s *script) backend(args []string) {
	s.need(args, 1, "backend NAME")
	s.ts.Setenv(args[0], NewRawBackend(s).Addr())
}
