// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// testLifecycle checks how every program starts, reloads and ends.
func testLifecycle(t *testing.T, w way) {
	t.Run("a busy port ends the start with 1 and names the address", func(t *testing.T) {
		busy := testkit.HoldPort(t)
		w.run(t, w.serveArgs("--admin-listen="+busy.Addr())).want(t, 1, "--admin-listen="+busy.Addr()+": cannot listen on "+busy.Addr(), "in use")
	})
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String()+" drains and exits with 0", func(t *testing.T) {
			r := w.serve(t)
			r.Signal(sig)
			if code := r.Wait(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
	t.Run("SIGHUP reloads", func(t *testing.T) {
		r := w.serve(t)
		r.Signal(syscall.SIGHUP)
		r.WaitLog("reloaded")
		waitMetric(t, r, w.spec.MetricPrefix()+`reloads_total{result="success"}`, 1)
	})
}

// testAbort is what ends with a second signal: the process ends at once and leaves
// its goroutines to the kernel, so only the binary can be tested so.
func testAbort(t *testing.T, w way) {
	t.Run("readiness ends before the delay, liveness after it", func(t *testing.T) { testDelay(t, w) })
	t.Run("a second signal exits now with 1", func(t *testing.T) {
		r := w.serve(t, "--shutdown-delay=10m")
		r.Signal(syscall.SIGTERM)
		r.WaitLog("shutting down")
		r.Signal(syscall.SIGTERM)
		if code := r.Wait(); code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
	})
	t.Run("SIGHUP is ignored while draining", func(t *testing.T) {
		r := w.serve(t, "--shutdown-delay=10m")
		r.Signal(syscall.SIGTERM)
		r.WaitLog("shutting down")
		r.Signal(syscall.SIGHUP)
		r.WaitLog("reload ignored while shutting down")
		r.Signal(os.Interrupt)
		r.Wait()
	})
}

// testDelay looks at the time between the signal and the end of accepting.
func testDelay(t *testing.T, w way) {
	r := w.serve(t, "--shutdown-delay=10m")
	url := r.AdminURL()
	r.Signal(syscall.SIGTERM)
	testkit.Eventually(t, "/readyz to fail", func() error {
		got, err := testkit.Get(url + "/readyz")
		if err == nil && got.Status != 503 {
			err = fmt.Errorf("status is %d", got.Status)
		}
		return err
	})
	ask(t, "GET", url+"/readyz?verbose", nil).want(t, 503, "[-]shutdown failed")
	ask(t, "GET", url+"/livez", nil).want(t, 200)
	ask(t, "GET", url+"/metrics", nil).want(t, 200)
	r.Signal(syscall.SIGTERM)
	r.Wait()
}

// waitMetric waits until a metric has a value.
func waitMetric(t *testing.T, r Running, selector string, want float64) {
	t.Helper()
	testkit.Eventually(t, selector, func() error {
		got, err := testkit.Metric(r.AdminURL()+"/metrics", selector)
		if err == nil && got != want {
			err = fmt.Errorf("is %v, want %v", got, want)
		}
		return err
	})
}
