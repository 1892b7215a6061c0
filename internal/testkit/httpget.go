// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Answer is a response, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Get fetches a plain HTTP URL over a connection of its own, so that a poll leaves
// nothing behind that a leak check or a draining server would see.
func Get(url string) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Answer{}, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return Do(client, req)
}

// Do sends req and reads the answer whole.
func Do(client *http.Client, req *http.Request) (Answer, error) {
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("cannot read the body of %s: %w", req.URL, err)
	}
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, nil
}

// Metric fetches url, which answers in Prometheus' text format, and returns the sum
// of the samples that selector names. A selector is a name with labels, of which a
// sample may have more: `http_requests_total{code="200"}` sums over all methods. No
// such sample is an error, since a misspelt name must not read as zero.
func Metric(url, selector string) (float64, error) {
	wanted, err := samples(strings.NewReader(selector + " 0\n"))
	if err != nil || len(wanted) != 1 {
		return 0, fmt.Errorf("cannot parse the metric selector %s: %w", selector, err)
	}
	answer, err := Get(url)
	if err != nil {
		return 0, err
	}
	if answer.Status != http.StatusOK {
		return 0, fmt.Errorf("cannot get the metrics from %s: status %d", url, answer.Status)
	}
	all, err := samples(strings.NewReader(answer.Body))
	if err != nil {
		return 0, fmt.Errorf("cannot parse the metrics from %s: %w", url, err)
	}
	sum, found := 0.0, false
	for _, s := range all {
		if hasLabels(s.Metric, wanted[0].Metric) {
			sum, found = sum+float64(s.Value), true
		}
	}
	if !found {
		return 0, fmt.Errorf("no sample of %s has %s", url, selector)
	}
	return sum, nil
}

// samples parses the text format into single samples, the parts of histograms and
// summaries (_bucket, _sum, _count) included.
func samples(text io.Reader) (model.Vector, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	var all model.Vector
	for _, family := range families {
		v, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, family)
		if err != nil {
			return nil, err
		}
		all = append(all, v...)
	}
	return all, nil
}

func hasLabels(sample, wanted model.Metric) bool {
	for name, value := range wanted {
		if sample[name] != value {
			return false
		}
	}
	return true
}

// Metric is the value that /metrics of the admin listener gives for a selector (see
// the function [Metric]).
func (p *Process) Metric(selector string) float64 {
	p.t.Helper()
	v, err := Metric(p.AdminURL()+"/metrics", selector)
	if err != nil {
		p.t.Fatalf("cannot read a metric of %s: %v", p.name, err)
	}
	return v
}

// WaitMetric waits until a metric of the admin listener satisfies ok.
func (p *Process) WaitMetric(selector string, ok func(float64) bool) {
	p.t.Helper()
	url := p.AdminURL() + "/metrics"
	p.wait("to satisfy the metric "+selector, func() error {
		v, err := Metric(url, selector)
		if err == nil && !ok(v) {
			err = fmt.Errorf("its value is %v", v)
		}
		return err
	})
}
