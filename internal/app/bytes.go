// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bytes is a number of bytes. As text it is a whole number with an optional
// unit: B, kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of
// 1024), such as "32KiB". Kubernetes' short units (k, M, G, T, Ki, Mi, Gi, Ti)
// mean the same.
type Bytes int64

// byteUnit is a unit with its size.
type byteUnit struct {
	name string
	size int64
}

// byteUnits are the units from the largest, so that the first that divides a
// number prints it shortest.
func byteUnits() []byteUnit {
	return []byteUnit{
		{"TiB", 1 << 40},
		{"TB", 1e12},
		{"GiB", 1 << 30},
		{"GB", 1e9},
		{"MiB", 1 << 20},
		{"MB", 1e6},
		{"KiB", 1 << 10},
		{"kB", 1e3},
		{"B", 1},
	}
}

// UnmarshalText parses "1048576", "1MiB" or "1 MB"; case does not matter.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.TrimSpace(s[len(digits):])
	n, err := strconv.ParseInt(digits, 10, 64)
	size := unitSize(unit)
	if err != nil || n < 0 || size == 0 {
		return fmt.Errorf("not a size; use a whole number with a unit, such as 32KiB or 10MB")
	}
	if n > math.MaxInt64/size {
		return fmt.Errorf("size out of range; the largest is %d bytes", int64(math.MaxInt64))
	}
	*b = Bytes(n * size)
	return nil
}

// unitSize returns the size of a unit, 0 if there is none of that name.
func unitSize(unit string) int64 {
	if unit == "" {
		return 1
	}
	for _, u := range byteUnits() {
		if strings.EqualFold(unit, u.name) || strings.EqualFold(unit+"B", u.name) && u.size > 1 {
			return u.size
		}
	}
	return 0
}

// String returns the number with the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range byteUnits() {
		if b != 0 && int64(b)%u.size == 0 && u.size > 1 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText returns what String returns.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }
