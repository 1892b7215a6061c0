// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/outrigger/outrigger/internal/testkit"
)

// testObservability checks what every program lets an operator see.
func testObservability(t *testing.T, w way) {
	t.Run("the log is JSON with constant lower-case messages", func(t *testing.T) { testLog(t, w) })
	t.Run("the log may be text and quieter", func(t *testing.T) { testTextLog(t, w) })
	t.Run("metrics pass the linter and have the program's prefix", func(t *testing.T) { testMetrics(t, w) })
	t.Run("metrics come as text, OpenMetrics and protobuf", func(t *testing.T) {
		url := w.serve(t).AdminURL() + "/metrics"
		for accept, kind := range map[string]string{
			"": "text/plain; version=0.0.4",
			"application/openmetrics-text; version=1.0.0":                                                  "application/openmetrics-text; version=1.0.0",
			"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited": "application/vnd.google.protobuf",
		} {
			got := ask(t, "GET", url, http.Header{"Accept": {accept}})
			if got.want(t, 200); !strings.HasPrefix(got.Header.Get("Content-Type"), kind) {
				t.Errorf("%q gives %s", accept, got.Header.Get("Content-Type"))
			}
		}
	})
}

// testTextLog runs it with a log of text, then with one of errors alone, which
// does not say where it listens.
func testTextLog(t *testing.T, w way) {
	for format, want := range map[string]bool{"--log-format=text": true, "--log-level=error": false} {
		admin := testkit.FreeAddr(t)
		r := w.start(t, w.serveArgs("--admin-listen="+admin, format), w.Env)
		testkit.Eventually(t, "readiness", func() error {
			got, err := testkit.Get("http://" + admin + "/readyz")
			if err == nil && got.Status != 200 {
				err = errors.New(got.Body)
			}
			return err
		})
		r.Signal(syscall.SIGTERM)
		r.Wait()
		text := r.Stderr()
		if strings.Contains(text, "{") || strings.Contains(text, "msg=starting ") != want || !want && text != "" {
			t.Errorf("with %s it said %s", format, text)
		}
	}
}

func testLog(t *testing.T, w way) {
	r := w.serve(t)
	start := r.WaitLog("starting")
	if start.Attrs["version"] == "" || start.Attrs["settings.admin-listen"] != "127.0.0.1:0" {
		t.Errorf("the first line is %s", start.Raw)
	}
	r.WaitLog("listening", "listener", "admin")
	r.WaitLog("ready")
	r.Signal(syscall.SIGTERM)
	r.WaitLog("shutting down")
	r.Wait()
	lines := testkit.ParseLog(r.Stderr())
	if n := strings.Count(r.Stderr(), "\n"); n != len(lines) {
		t.Errorf("%d of %d lines are JSON: %s", len(lines), n, r.Stderr())
	}
	for _, line := range lines {
		first := []rune(line.Msg + " ")[0]
		acronym := len(line.Msg) > 1 && unicode.IsUpper(rune(line.Msg[1]))
		if unicode.IsUpper(first) && !acronym || strings.HasSuffix(line.Msg, ".") || line.Attrs["time"] == "" || line.Level == "" {
			t.Errorf("%s: want time, level and a lower-case message without a period", line.Raw)
		}
	}
}

func testMetrics(t *testing.T, w way) {
	r := w.serve(t)
	if w.Use != nil {
		w.Use(t, r)
	}
	text := ask(t, "GET", r.AdminURL()+"/metrics", nil)
	text.want(t, 200, w.spec.MetricPrefix()+"build_info{", "go_goroutines ", "process_resident_memory_bytes ", "process_open_fds ")
	problems, err := promlint.New(strings.NewReader(text.Body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for line := range strings.Lines(text.Body) {
		name, ok := strings.CutPrefix(line, "# TYPE ")
		if ok && !strings.HasPrefix(name, w.spec.MetricPrefix()) && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s has not the prefix %s", strings.TrimSpace(name), w.spec.MetricPrefix())
		}
	}
}
