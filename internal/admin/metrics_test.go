// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestMetricsInEachFormat(t *testing.T) {
	registry := prometheus.NewRegistry()
	_, local := serve(t, Options{Gatherer: registry, Registerer: registry})
	f := func(accept, kind, part string) {
		t.Helper()
		r := request{path: "/metrics"}
		if accept != "" {
			r.headers = []string{"Accept: " + accept}
		}
		got := ask(t, local, r)
		if got.status != 200 || !strings.HasPrefix(got.header.Get("Content-Type"), kind) || !strings.Contains(got.body, part) {
			t.Errorf("Accept %q: %d, %s\n%s", accept, got.status, got.header.Get("Content-Type"), got.body)
		}
	}
	f("", "text/plain; version=0.0.4", "\ntls_proxy_ready 1\n")
	f("application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=1.0.0", "# EOF\n")
	f("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "application/vnd.google.protobuf", "\x0ftls_proxy_ready")
}

func TestABrokenCollectorHidesNoOther(t *testing.T) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(broken{})
	_, local := serve(t, Options{Gatherer: registry, Registerer: registry})
	if got := ask(t, local, request{path: "/metrics"}); got.status != 200 || !strings.Contains(got.body, "tls_proxy_ready 1") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

type broken struct{}

func (broken) Describe(chan<- *prometheus.Desc) {}

func (broken) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(prometheus.NewDesc("broken", "", nil, nil), errors.New("out of order"))
}

func TestReadyIsAMetric(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := New(Options{Program: "tls-proxy", Registerer: registry})
	f := func(value string) {
		t.Helper()
		want := "# HELP tls_proxy_ready Whether /readyz answers 200.\n# TYPE tls_proxy_ready gauge\ntls_proxy_ready " + value + "\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "tls_proxy_ready"); err != nil {
			t.Error(err)
		}
	}
	f("1")
	s.SetStopping()
	f("0")
}

func TestMetricNamesFollowTheRules(t *testing.T) {
	registry := prometheus.NewRegistry()
	New(Options{Program: "tls-proxy", Registerer: registry})
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
