// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"math"
	"slices"
)

// Summary is what remains of a figure's rounds.
type Summary struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// summarize returns the median with the extremes, all NaN of no values.
func summarize(values []float64) Summary {
	if len(values) == 0 {
		return Summary{Median: math.NaN(), Min: math.NaN(), Max: math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	half := len(sorted) / 2
	median := sorted[half]
	if len(sorted)%2 == 0 {
		median = (sorted[half-1] + sorted[half]) / 2
	}
	return Summary{Median: median, Min: sorted[0], Max: sorted[len(sorted)-1]}
}

// spread is the distance between the extremes as a part of the median: 0.05 is 5 %.
func (s Summary) spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.Max - s.Min) / s.Median
}

// ratios divides round by round, because the two of a round ran within seconds of each other;
// a round that lacks either is left out.
func ratios(peer, baseline []Sample, key string) []float64 {
	var all []float64
	for i := range min(len(peer), len(baseline)) {
		over, ok := peer[i][key]
		under, has := baseline[i][key]
		if ok && has && under != 0 {
			all = append(all, over/under)
		}
	}
	return all
}

// values collects one figure of the rounds that have it.
func values(rounds []Sample, key string) []float64 {
	var all []float64
	for _, round := range rounds {
		if value, ok := round[key]; ok {
			all = append(all, value)
		}
	}
	return all
}
