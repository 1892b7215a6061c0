// SPDX-License-Identifier: Apache-2.0

package clients_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// TestH2loadGetsNothingButGoodAnswers: many streams and connections at once, over both protocols.
func TestH2loadGetsNothingButGoodAnswers(t *testing.T) {
	t.Parallel()
	path := testkit.Tool(t, "h2load", "nghttp2-client")
	p := startProxy(t, testkit.StartNginx(t, "").Addr, "--access-log=off")
	for name, args := range map[string][]string{
		"HTTP/2":                {"-n", "10000", "-c", "10", "-m", "50"},
		"HTTP/1.1":              {"-n", "5000", "-c", "20", "--h1"},
		"HTTP/2 with a body":    {"-n", "2000", "-c", "5", "-m", "20", "-d", p.caFile},
		"one stream at a time":  {"-n", "1000", "-c", "4", "-m", "1"},
		"HTTP/2, small windows": {"-n", "1000", "-c", "4", "-m", "20", "-w", "12", "-W", "14"},
	} {
		t.Run(name, func(t *testing.T) {
			url := p.url("/hello.txt")
			if strings.Contains(name, "body") {
				url = p.url("/nothing-takes-a-post")
			}
			r := run(t, path, append(args, strings.Replace(url, "localhost", "127.0.0.1", 1))...)
			found := regexp.MustCompile(`requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout\nstatus codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`).FindStringSubmatch(r.Stdout)
			if r.Code != 0 || found == nil {
				t.Fatalf("exit code %d:\n%s%s", r.Code, r.Stdout, r.Stderr)
			}
			good := found[8]
			if strings.Contains(name, "body") {
				good = found[10] // nginx answers 404 or 405, each one whole
			}
			if good != args[1] || found[6] != "0" || found[7] != "0" {
				t.Errorf("got\n%s", found[0])
			}
		})
	}
	if failures := p.Metric("tls_proxy_http_failures_total"); failures != 0 {
		t.Errorf("%v requests failed", failures)
	}
}
