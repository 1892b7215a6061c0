// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"math"
	"testing"
	"time"
)

func TestFiguresReadWell(t *testing.T) {
	f := func(unit string, rate bool, v float64, want string) {
		t.Helper()
		if got := (Figure{Unit: unit, Rate: rate}).read(v).String(); got != want {
			t.Errorf("%v %q: %q, want %q", v, unit, got, want)
		}
	}
	f("", false, 0, "0")
	f("", false, 7, "7")
	f("", false, 1, "1")
	f("", false, 999, "999")
	f("", false, 999.6, "1.00k")
	f("", false, 1234, "1.23k")
	f("", false, 12_345_678, "12.3M")
	f("", false, -1234, "-1.23k")
	f("", true, 12.34, "12.3 per s")
	f("", true, 0.004, "0.004 per s")
	f("", true, 0.0001, "0 per s")
	f("requests", false, 3, "3 requests")
	f("requests", true, 2500, "2.50k requests/s")
	f("bytes", false, 512, "512 B")
	f("bytes", false, 15_300_000, "15.3 MB")
	f("bytes", true, 1e9, "1 GB/s")
	f("bytes", false, 3e15, "3000 TB")
	f("seconds", false, 0, "0 s")
	f("seconds", false, 0.00025, "250 µs")
	f("seconds", false, 0.0123, "12.3 ms")
	f("seconds", false, 1.5, "1.50 s")
	f("seconds", false, 90, "90 s")
	f("seconds", false, 7300, "2 h 1 min")
	f("%", false, 12.345, "12.3\u202f%")
	f("% of a core", true, 0.015, "0.01\u202f% of a core")
	f("bytes", false, math.NaN(), "–")
	f("bytes", true, math.Inf(1), "–")
}

func TestDurationsReadWell(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := duration(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	f(0, "0 s")
	f(8*time.Second, "8 s")
	f(60*time.Second, "1 min")
	f(200*time.Second, "3 min 20 s")
	f(5*time.Hour+4*time.Minute+3*time.Second, "5 h 4 min")
	f(5*time.Hour, "5 h")
	f(291*time.Hour, "12 d 3 h")
	f(-90*time.Second, "-1 min 30 s")
}
