// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"math"
	"strconv"
	"time"
)

// quantity is a number as a person reads it: "1.2" and "MB/s". Without a value Number is an en dash.
type quantity struct{ Number, Unit string }

func (q quantity) String() string {
	switch q.Unit {
	case "":
		return q.Number
	case "%", "% of a core":
		return q.Number + "\u202f" + q.Unit
	default:
		return q.Number + " " + q.Unit
	}
}

// read scales and rounds a figure's value to three digits.
func (f Figure) read(v float64) quantity {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return quantity{Number: "–"}
	}
	per := ""
	if f.Rate {
		per = "/s"
	}
	switch f.Unit {
	case "bytes":
		number, prefix := scale(v, []string{"", "k", "M", "G", "T"})
		return quantity{number, prefix + "B" + per}
	case "seconds":
		return readSeconds(v, per)
	case "%", "% of a core":
		return quantity{digits(v), f.Unit}
	default:
		number, prefix := scale(v, []string{"", "k", "M", "G", "T"})
		unit := f.Unit
		if f.Rate && unit == "" {
			unit = "per s"
		} else if f.Rate {
			unit += per
		}
		return quantity{number + prefix, unit}
	}
}

func readSeconds(v float64, per string) quantity {
	switch abs := math.Abs(v); {
	case abs >= 120:
		return quantity{duration(time.Duration(v * float64(time.Second))), per}
	case abs >= 1, abs == 0:
		return quantity{digits(v), "s" + per}
	case abs >= 1e-3:
		return quantity{digits(v * 1e3), "ms" + per}
	default:
		return quantity{digits(v * 1e6), "µs" + per}
	}
}

// scale divides by thousands while a larger prefix is left.
func scale(v float64, prefixes []string) (number, prefix string) {
	i := 0
	// 999.5 would be rounded up to four digits.
	for math.Abs(v) >= 999.5 && i < len(prefixes)-1 {
		v, i = v/1000, i+1
	}
	return digits(v), prefixes[i]
}

// digits rounds to three significant digits, as far as three decimals hold them; whole numbers stay whole.
func digits(v float64) string {
	decimals := 3
	switch abs := math.Abs(v); {
	case abs < 0.0005:
		return "0"
	case v == math.Trunc(v), abs >= 99.95:
		decimals = 0
	case abs >= 9.995:
		decimals = 1
	case abs >= 0.01:
		decimals = 2
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// duration reads well at any length: "8 s", "3 min 20 s", "5 h 4 min", "12 d 3 h".
func duration(d time.Duration) string {
	d = d.Round(time.Second)
	part := func(n time.Duration, unit string) string { return strconv.Itoa(int(n)) + " " + unit }
	both := func(big time.Duration, bigUnit string, small time.Duration, smallUnit string) string {
		if small == 0 {
			return part(big, bigUnit)
		}
		return part(big, bigUnit) + " " + part(small, smallUnit)
	}
	switch {
	case d < 0:
		return "-" + duration(-d)
	case d < time.Minute:
		return part(d/time.Second, "s")
	case d < time.Hour:
		return both(d/time.Minute, "min", d%time.Minute/time.Second, "s")
	case d < 24*time.Hour:
		return both(d/time.Hour, "h", d%time.Hour/time.Minute, "min")
	default:
		return both(d/(24*time.Hour), "d", d%(24*time.Hour)/time.Hour, "h")
	}
}
