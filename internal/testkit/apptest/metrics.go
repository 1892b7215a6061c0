// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/app"
)

// Metric is what a user reads about a metric.
type Metric struct {
	Name   string
	Type   string // "counter", "gauge", "histogram" or "summary"
	Help   string
	Labels []string // sorted
}

// metrics returns the metrics of a run of the program in this process, sorted:
// those with samples, and those that are only described so far.
func (p Program) metrics(t *testing.T) []Metric {
	t.Helper()
	registries := make(chan *prometheus.Registry, 1)
	spec := p.Spec()
	setup := spec.Setup
	spec.Setup = func(env *app.Env) error {
		registries <- env.Metrics
		return setup(env)
	}
	r := startLocal(t, spec, p.args(), p.Env)
	r.WaitReady()
	if p.Use != nil {
		p.Use(t, r)
	}
	registry := <-registries
	byName := described(t, registry)
	sampled(t, registry, byName)
	return slices.SortedFunc(maps.Values(byName), func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
}

// described returns what the collectors say about their metrics. A Desc has no
// accessors; its text is what there is.
func described(t *testing.T, registry *prometheus.Registry) map[string]Metric {
	t.Helper()
	form := regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"),(?: unit: "[^"]*",)? constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		registry.Describe(descs)
	}()
	out := map[string]Metric{}
	for d := range descs {
		parts := form.FindStringSubmatch(d.String())
		if parts == nil {
			t.Errorf("cannot read %s", d)
			continue
		}
		m := Metric{Type: typeOf(parts[1])}
		m.Name, _ = strconv.Unquote(parts[1])
		m.Help, _ = strconv.Unquote(parts[2])
		for l := range strings.SplitSeq(parts[4], ",") {
			if l != "" {
				m.Labels = append(m.Labels, l)
			}
		}
		for _, c := range regexp.MustCompile(`([a-z_A-Z0-9]+)="`).FindAllStringSubmatch(parts[3], -1) {
			m.Labels = append(m.Labels, c[1])
		}
		slices.Sort(m.Labels)
		out[m.Name] = m
	}
	return out
}

// typeOf guesses the type of a metric from its quoted name.
func typeOf(name string) string {
	switch name = strings.Trim(name, `"`); {
	case strings.HasSuffix(name, "_total"):
		return "counter"
	case strings.HasSuffix(name, "_duration_seconds"):
		return "histogram"
	default:
		return "gauge"
	}
}

// sampled sets the types of the metrics that have samples.
func sampled(t *testing.T, registry *prometheus.Registry, byName map[string]Metric) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if m, ok := byName[f.GetName()]; ok {
			m.Type = strings.ToLower(f.GetType().String())
			byName[m.Name] = m
		}
	}
}
