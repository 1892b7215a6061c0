// SPDX-License-Identifier: Apache-2.0

package load

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSummaryOfH2loadIsRead(t *testing.T) {
	for name, want := range map[string]h2loadOutput{
		"h2load-h1.txt": {
			connection: connection{"TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519", "http/1.1"},
			rate:       3299.51, succeeded: 40, ok: 40, data: 200,
		},
		"h2load-refused.txt": {},
	} {
		output, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseH2load(string(output))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(h2loadOutput{}, connection{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestHTTP2IsSeenAsSuch(t *testing.T) {
	output, err := os.ReadFile("testdata/h2load-h2.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseH2load(string(output)); err != nil || got.protocol != "h2" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestOutputWithoutAWholeSummaryIsAnError(t *testing.T) {
	for _, output := range []string{
		"",
		"finished in 1ms",
		"requests: none",
		"status codes: 40 200",
		"traffic: much",
		"finished in 12.12ms, 3299.51 req/s, 412.44KB/s\nstatus codes: 40 2xx\n",
	} {
		if got, err := parseH2load(output); err == nil {
			t.Errorf("%q: got %+v", output, got)
		}
	}
}

func FuzzOutputOfH2loadNeverPanics(f *testing.F) {
	f.Add("finished in 12.12ms, 3299.51 req/s\nrequests: 1 succeeded\nstatus codes: 1 2xx\ntraffic: 1B (1) data")
	f.Fuzz(func(t *testing.T, output string) {
		_, _ = parseH2load(output)
		_, _ = parseTimes(strings.NewReader(output))
	})
}

func TestTimesAreMicrosecondsOfAnswers200(t *testing.T) {
	got, err := parseTimes(strings.NewReader("1795233302375794\t200\t1862\n1795233302376633\t200\t31\n"))
	if diff := cmp.Diff([]time.Duration{1862 * time.Microsecond, 31 * time.Microsecond}, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, log := range []string{"1\t502\t5\n", "1\t-1\t5\n", "1\t200\n", "1\t200\tsoon\n"} {
		if got, err := parseTimes(strings.NewReader(log)); err == nil {
			t.Errorf("%q: got %v", log, got)
		}
	}
}

func TestPercentilesAreNearestRanks(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i)*time.Millisecond)
	}
	for _, c := range []struct {
		times []time.Duration
		want  map[string]float64
	}{
		{hundred, map[string]float64{P50: 50, P99: 99}},
		{hundred[:1], map[string]float64{P50: 1, P99: 1}}, // sorted by the case above
		{nil, nil},
	} {
		if diff := cmp.Diff(c.want, percentiles(c.times)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestRequestsAreVerified(t *testing.T) {
	tls13 := connection{"TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519", "http/1.1"}
	good := h2loadOutput{connection: tls13, succeeded: 10, ok: 10, data: 10 * 5}
	requests := Requests{Site: Site{Leaf: []byte{1}}, Size: 5}
	if err := requests.verify(good, 10); err != nil {
		t.Errorf("all is well, yet: %v", err)
	}
	for what, spoil := range map[string]func(*h2loadOutput){
		"a failed request":  func(o *h2loadOutput) { o.succeeded-- },
		"a status 5xx":      func(o *h2loadOutput) { o.ok-- },
		"a shorter body":    func(o *h2loadOutput) { o.data-- },
		"another cipher":    func(o *h2loadOutput) { o.cipher = "TLS_AES_256_GCM_SHA384" },
		"another key":       func(o *h2loadOutput) { o.key = "P-256" },
		"TLS 1.2":           func(o *h2loadOutput) { o.version = "TLSv1.2" },
		"the wrong version": func(o *h2loadOutput) { o.protocol = "h2" },
	} {
		bad := good
		spoil(&bad)
		if err := requests.verify(bad, 10); err == nil {
			t.Errorf("%s passed", what)
		}
	}
}
