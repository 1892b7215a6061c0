// SPDX-License-Identifier: Apache-2.0

package spec

// Nearest returns the known name that a mistyped one most likely stands for: the one with the fewest letters changed, if these
// are at most a third of them, and two in any case.
func Nearest(name string, known []string) (nearest string, ok bool) {
	fewest := max(2, len(name)/3) + 1
	for _, k := range known {
		if d := distance(name, k); d < fewest {
			nearest, fewest, ok = k, d, true
		}
	}
	return nearest, ok
}

// distance counts the bytes to insert, remove or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j]+1, diagonal+1, replaced)
		}
	}
	return row[len(b)]
}
