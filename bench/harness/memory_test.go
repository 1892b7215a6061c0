// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"maps"
	"testing"
)

func TestMemorySumsTheTree(t *testing.T) {
	files := maps.Clone(master)
	for _, pid := range []string{"10", "11", "12", "20"} {
		files[pid+"/status"] = "Name:\tx\nVmPeak:\t  900 kB\nVmRSS:\t   20 kB\nRssAnon:\t    3 kB\nRssFile:\t   17 kB\n"
	}
	held, err := fakeProc(t, files).memory(10)
	if want := (memory{rss: 3 * 20 * 1024, anon: 3 * 3 * 1024}); err != nil || held != want {
		t.Errorf("got %+v, %v; want %+v", held, err, want)
	}
}

func TestMemoryWithoutItsLinesIsAnError(t *testing.T) {
	for _, status := range []string{"", "VmRSS:\t20 kB\n", "VmRSS:\t20 kB\nRssAnon:\tmuch\n"} {
		if held, err := parseStatus(status); err == nil {
			t.Errorf("%q: got %+v", status, held)
		}
	}
}
