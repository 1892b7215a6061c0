// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummaryIsMedianAndExtremes(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Summary
		spread float64
	}{
		{[]float64{7}, Summary{7, 7, 7}, 0},
		{[]float64{9, 1, 2}, Summary{2, 1, 9}, 4},
		{[]float64{4, 1, 3, 2}, Summary{2.5, 1, 4}, 1.2},
		{[]float64{0, 0}, Summary{0, 0, 0}, 0},
	} {
		got := summarize(c.values)
		if got != c.want || got.spread() != c.spread {
			t.Errorf("%v: got %+v, spread %v", c.values, got, got.spread())
		}
	}
}

func TestSummaryOfNothingIsNaN(t *testing.T) {
	if got := summarize(nil); !math.IsNaN(got.Median) || !math.IsNaN(got.Min) || !math.IsNaN(got.Max) {
		t.Errorf("got %+v", got)
	}
}

func TestSummaryLeavesTheRoundsInOrder(t *testing.T) {
	rounds := []float64{3, 1, 2}
	summarize(rounds)
	if diff := cmp.Diff([]float64{3, 1, 2}, rounds); diff != "" {
		t.Error(diff)
	}
}

func TestRatiosAreWithinARound(t *testing.T) {
	peer := []Sample{{"cpu": 10}, {"cpu": 30}, {"rate": 1}, {"cpu": 9}}
	baseline := []Sample{{"cpu": 5}, {"cpu": 10}, {"cpu": 1}, {"cpu": 0}}
	if diff := cmp.Diff([]float64{2, 3}, ratios(peer, baseline, "cpu")); diff != "" {
		t.Error(diff)
	}
}
