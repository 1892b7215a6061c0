// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestAProcessIsWatchedFromStartToExit(t *testing.T) {
	path, env := self(t)
	t.Setenv("GREETING", "from the machine") // must not reach the program
	p := Start(t, path, []string{"one", "two"}, env)
	if addr := p.WaitAddr("admin"); !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Errorf("a wildcard's address to connect to is %s", addr)
	}
	p.WaitReady()
	p.Signal(syscall.SIGHUP)
	line := p.WaitLog("reloaded", "files", 2, "cert.name", "a.example", "big", "9007199254740993")
	if line.Level != "INFO" || line.Attrs["time"] == "" {
		t.Errorf("the line is %+v", line)
	}
	if !p.Running() {
		t.Error("it does not run any more")
	}
	if code := p.Stop(); code != 0 || p.Running() {
		t.Errorf("the exit code is %d", code)
	}
	wantText(t, p.Stdout(), "args one two greeting \n")
	p.WaitLog("stopped") // also after the end
}

func TestAnExitCodeIsTheProgramsOrTheSignals(t *testing.T) {
	path, env := self(t)
	if r := Run(t, path, []string{"exit=3"}, append(env, "GREETING=hi")); r.Code != 3 ||
		r.Stderr != "cannot go on\n" || r.Stdout != "args exit=3 greeting hi\n" {
		t.Errorf("the result is %+v", r)
	}
	p := Start(t, path, nil, env)
	p.Kill()
	if code := p.Wait(); code != 128+9 {
		t.Errorf("the exit code after SIGKILL is %d", code)
	}
}

func TestWaitingForAProcessThatEndedFailsAtOnceAndShowsItsOutput(t *testing.T) {
	path, env := self(t)
	f := failure(t, func(tb testing.TB) { Start(tb, path, []string{"exit=1"}, env).WaitAddr("admin") })
	wantText(t, f.message, "ended with 1; waited for it to log")
	wantText(t, f.log, "cannot go on", "args exit=1")
	f = failure(t, func(tb testing.TB) { Start(tb, filepath.Join(t.TempDir(), "missing"), nil, nil) })
	wantText(t, f.message, "cannot start", "missing")
}

func TestReadinessIsReadyz(t *testing.T) {
	path, env := self(t)
	p := Start(t, path, []string{"unready"}, env)
	p.WaitReadyz(503)
	p.Signal(syscall.SIGHUP)
	p.WaitReady()
}

func TestACleanupStopsTheProcess(t *testing.T) {
	path, env := self(t)
	var p *Process
	t.Run("starts it", func(t *testing.T) {
		p = Start(t, path, nil, env)
		p.WaitReady()
	})
	if p.Running() || p.Wait() != 0 {
		t.Errorf("it runs on, or ended with %d", p.Wait())
	}
}

func TestMetricsAreSummedOverTheLabelsLeftOut(t *testing.T) {
	path, env := self(t)
	p := Start(t, path, nil, env)
	if v := p.Metric(`scrapes_total{code="200"}`); v != 11 {
		t.Errorf("code 200 sums to %v, want 1 + 10", v)
	}
	for selector, want := range map[string]float64{
		`wait_seconds_count`: 4, `wait_seconds_sum`: 2.5, `wait_seconds_bucket{le="1"}`: 3, `scrapes_total{code="500",path="/a"}`: 7,
	} {
		if v := p.Metric(selector); v != want {
			t.Errorf("%s is %v, want %v", selector, v, want)
		}
	}
	p.WaitMetric(`scrapes_total{code="200",path="/a"}`, func(v float64) bool { return v >= 10 })
	url := p.AdminURL() + "/metrics"
	for _, bad := range []string{`absent_total`, `scrapes_total{code="404"}`, `scrapes_total{`} {
		if _, err := Metric(url, bad); err == nil {
			t.Errorf("%s has a value", bad)
		}
	}
	if _, err := Metric(p.AdminURL()+"/other", "x"); err == nil || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("of a missing page: %v", err)
	}
}

func TestLinesThatAreNotJSONAreNoLogLines(t *testing.T) {
	lines := ParseLog("plain\n{\"msg\":\"a\",\"level\":\"WARN\",\"list\":[1,\"x\"],\"ok\":true}\n{broken\n{\"msg\":\"cut")
	if len(lines) != 1 || lines[0].Msg != "a" || lines[0].Level != "WARN" || lines[0].Attrs["list"] != `[1,"x"]` || lines[0].Attrs["ok"] != "true" {
		t.Errorf("the lines are %+v", lines)
	}
}

func TestABuildIsPublishedOnceAndReplacedWhenItsSourceChanges(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module example.test/hello\n\ngo 1.26\n")
	write("main.go", "package main\n\nfunc main() { println(\"one\") }\n")
	output := filepath.Join(t.TempDir(), "hello")
	build := func() os.FileInfo {
		t.Helper()
		if err := goBuild(root, ".", output); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(output)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := build()
	if again := build(); !os.SameFile(first, again) {
		t.Error("the same source was published again")
	}
	write("main.go", "package main\n\nfunc main() { println(\"two\") }\n")
	if changed := build(); os.SameFile(first, changed) {
		t.Error("a changed source was written into the old file, which may be running")
	}
	if r := Run(t, output, nil, nil); r.Stderr != "two\n" {
		t.Errorf("it says %q", r.Stderr)
	}
	write("main.go", "package main\n\nfunc main() { undefined() }\n")
	if err := goBuild(root, ".", output); err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("a broken source: %v", err)
	}
}

func TestBinaryBuildsAProgramOfThisModule(t *testing.T) {
	t.Setenv("OUTRIGGER_BIN", "")
	path := Binary(t, "legacy-app")
	if r := Run(t, path, []string{"-help"}, nil); r.Stdout+r.Stderr == "" {
		t.Errorf("%s says nothing and ends with %d", path, r.Code)
	}
	if again := Binary(t, "legacy-app"); again != path {
		t.Errorf("the second build is at %s", again)
	}
}

func TestBinaryPrefersTheFolderOfBuiltOnes(t *testing.T) {
	dir := t.TempDir()
	if _, err := builtBinary(dir, "tls-proxy"); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("without the binary: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tls-proxy"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if path, err := builtBinary(dir, "tls-proxy"); err != nil || path != filepath.Join(dir, "tls-proxy") {
		t.Errorf("with it: %s, %v", path, err)
	}
	f := failure(t, func(tb testing.TB) { Binary(tb, "tls-prox") })
	wantText(t, f.message, `cannot build "tls-prox": no program has that name`)
	if root, err := ModuleRoot(); err != nil || content(t, filepath.Join(root, "internal", "testkit", "doc.go")) == "(none)" {
		t.Errorf("the module's root is %s (%v)", root, err)
	}
}

func TestRealServersPlayTheLegacyApp(t *testing.T) {
	servers := map[string]func(testing.TB, string) *LegacyServer{"nginx": StartNginx, "apache2": StartApache}
	directives := map[string]string{
		"nginx":   "location /old { return 302 http://$host:$server_port/new; }",
		"apache2": "Redirect 302 /old http://localhost/new",
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, directives[name])
			answer, err := Get("http://" + s.Addr + "/hello.txt")
			if err != nil || answer.Status != 200 || answer.Body != "hello from "+name+"\n" {
				t.Errorf("hello.txt: %+v, %v", answer, err)
			}
			s.Reload()
			Eventually(t, "the access log", func() error { _, err := os.Stat(s.AccessLog); return err })
			if code := s.Stop(); code != 0 {
				t.Errorf("it ended with %d", code)
			}
		})
	}
}
