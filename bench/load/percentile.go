// SPDX-License-Identifier: Apache-2.0

package load

import (
	"slices"
	"time"
)

// percentiles sorts the times and reports P50 and P99 of them, by the nearest rank.
func percentiles(times []time.Duration) map[string]float64 {
	if len(times) == 0 {
		return nil
	}
	slices.Sort(times)
	rank := func(percent int) float64 {
		return milliseconds(times[max((len(times)*percent+99)/100, 1)-1])
	}
	return map[string]float64{P50: rank(50), P99: rank(99)}
}
