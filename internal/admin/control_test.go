// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

var control = []string{"X-Outrigger: 1"}

func TestReloadAnswersWithItsResult(t *testing.T) {
	var result error
	_, local := serve(t, Options{Reload: func(context.Context) error { return result }})
	r := request{method: "POST", path: "/-/reload", headers: control}
	if got := ask(t, local, r); got.status != 200 || got.body != "reloaded\n" {
		t.Errorf("%d %q", got.status, got.body)
	}
	result = errors.New("cannot read /tls/tls.key: permission denied")
	if got := ask(t, local, r); got.status != 500 || got.body != result.Error()+"\n" {
		t.Errorf("%d %q", got.status, got.body)
	}
	_, local = serve(t, Options{})
	if got := ask(t, local, r); got.status != 404 {
		t.Errorf("without a reload: %d %q", got.status, got.body)
	}
}

func TestLogLevelChangesAtRunTime(t *testing.T) {
	level := new(slog.LevelVar)
	_, local := serve(t, Options{LogLevel: level})
	f := func(body string, status int, answer string, want slog.Level) {
		t.Helper()
		got := ask(t, local, request{method: "PUT", path: "/-/log-level", headers: control, body: body})
		if got.status != status || got.body != answer || level.Level() != want {
			t.Errorf("%q: %d %q, level %v", body, got.status, got.body, level)
		}
	}
	f("debug", 200, "debug\n", slog.LevelDebug)
	f(" WARN\n", 200, "warn\n", slog.LevelWarn)
	f("error", 200, "error\n", slog.LevelError)
	f("loud", 400, "unknown log level \"loud\"; send one of debug, info, warn, error\n", slog.LevelError)
	f("", 400, "unknown log level \"\"; send one of debug, info, warn, error\n", slog.LevelError)
	f(strings.Repeat(" ", 100), 400, "cannot read the level; send one of debug, info, warn, error\n", slog.LevelError)
	if got := ask(t, local, request{path: "/-/log-level"}); got.body != "error\n" {
		t.Errorf("GET: %q", got.body)
	}
}

func TestQuitOnlyWhereEnabled(t *testing.T) {
	quits := 0
	quit := func() { quits++ }
	_, local := serve(t, Options{Quit: quit})
	for _, path := range []string{"/-/quit", "/quitquitquit"} {
		if got := ask(t, local, request{method: "POST", path: path}); got.status != 403 || !strings.Contains(got.body, "--enable-quit") {
			t.Errorf("POST %s: %d %q", path, got.status, got.body)
		}
	}
	_, local = serve(t, Options{Quit: quit, EnableQuit: true})
	_, pod := serveOn(t, Options{Quit: quit, EnableQuit: true}, elsewhere(t))
	for _, path := range []string{"/-/quit", "/quitquitquit"} {
		if got := ask(t, pod, request{method: "POST", path: path, headers: control}); got.status != 403 {
			t.Errorf("POST %s from elsewhere: %d %q", path, got.status, got.body)
		}
		if got := ask(t, local, request{path: path}); got.status != 405 {
			t.Errorf("GET %s: %d %q", path, got.status, got.body)
		}
		if got := ask(t, local, request{method: "POST", path: path, headers: []string{"Origin: http://attacker.example"}}); got.status != 403 {
			t.Errorf("POST %s from another site: %d %q", path, got.status, got.body)
		}
	}
	if quits != 0 {
		t.Fatal("a refused request ended the program")
	}
	for _, path := range []string{"/-/quit", "/quitquitquit"} {
		if got := ask(t, local, request{method: "POST", path: path}); got.status != 200 {
			t.Errorf("POST %s: %d %q", path, got.status, got.body)
		}
	}
	if quits != 2 {
		t.Errorf("quit called %d times, want 2", quits)
	}
}

func TestProfilesOnlyWhereEnabled(t *testing.T) {
	_, local := serve(t, Options{})
	if got := ask(t, local, request{path: "/debug/pprof/"}); got.status != 403 || !strings.Contains(got.body, "--enable-pprof") {
		t.Errorf("%d %q", got.status, got.body)
	}
	_, local = serve(t, Options{EnablePprof: true})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
		if got := ask(t, local, request{path: path}); got.status != 200 {
			t.Errorf("GET %s: %d %q", path, got.status, got.body)
		}
	}
}

func TestConfigShowsValueAndOrigin(t *testing.T) {
	_, local := serve(t, Options{Settings: func() []Setting {
		return []Setting{
			{Name: "cert-dir", Env: "TLS_PROXY_CERT_DIR", Value: "/tls", Origin: "env"},
			{Name: "target", Value: "127.0.0.1:8080\n127.0.0.1:8081", Origin: "flag"},
		}
	}})
	got := ask(t, local, request{path: "/-/config"})
	if want := "--cert-dir  /tls                            env\n--target    127.0.0.1:8080; 127.0.0.1:8081  flag\n"; got.body != want {
		t.Errorf("got\n%s\nwant\n%s", got.body, want)
	}
}

func FuzzParseLevel(f *testing.F) {
	f.Add("debug")
	f.Add("INFO+2")
	f.Fuzz(func(t *testing.T, text string) {
		level, err := parseLevel(text)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: more than one line: %v", text, err)
			}
			return
		}
		if again, err := parseLevel(level.String()); err != nil || again != level {
			t.Errorf("%q: %v, again %v, %v", text, level, again, err)
		}
	})
}
