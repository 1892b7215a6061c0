// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// TestAnApplicationRestartedUnderLoadFailsNoGet: killed without a goodbye, back within --hold.
func TestAnApplicationRestartedUnderLoadFailsNoGet(t *testing.T) {
	t.Parallel()
	addr := testkit.FreeAddr(t)
	app := legacy(t, addr)
	p := startProxy(t, addr, "--hold=20s")
	l := startLoad(t, p, 6, 6, []loadRequest{{"GET", "/config", "", configOf(t, addr)}, {"HEAD", "/whoami", "", ""}})
	for range 3 {
		l.reach(t, 200)
		app.Kill()
		p.WaitMetric("tls_proxy_target_waiting_requests", func(v float64) bool { return v > 0 })
		app = legacy(t, addr)
	}
	l.reach(t, 200)
	l.stop(t)
	if held := p.Metric(`tls_proxy_target_held_requests_total{result="served"}`); held == 0 {
		t.Error("no request waited")
	}
}

// configOf is a page that is the same at each request.
func configOf(t *testing.T, addr string) string {
	t.Helper()
	answer, err := testkit.Get("http://" + addr + "/config")
	if err != nil {
		t.Fatal(err)
	}
	return answer.Body
}
