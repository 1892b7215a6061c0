// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fakeProc lays out files as /proc has them.
func fakeProc(t *testing.T, files map[string]string) procfs {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return procfs(dir)
}

// master is a process 10 with two threads, its worker 11 with a child 12, and a stranger 20.
var master = map[string]string{
	"10/stat":              "10 (nginx: (master)) S 1 10 10 0 -1",
	"10/task/10/schedstat": "1000 7 3\n",
	"10/task/15/schedstat": "200 7 3\n",
	"11/stat":              "11 (nginx) S 10 10 10 0 -1",
	"11/task/11/schedstat": "30 7 3\n",
	"12/stat":              "12 (cat) R 11 10 10 0 -1",
	"12/task/12/schedstat": "4 7 3\n",
	"20/stat":              "20 (bash) S 1 20 20 0 -1",
	"20/task/20/schedstat": "50000 7 3\n",
}

func TestTreeHoldsAllDescendantsAndNobodyElse(t *testing.T) {
	pids, err := fakeProc(t, master).tree(10)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(pids)
	if diff := cmp.Diff([]int{10, 11, 12}, pids); diff != "" {
		t.Error(diff)
	}
}

func TestTreeOfAnEndedProcessIsAnError(t *testing.T) {
	if pids, err := fakeProc(t, master).tree(99); err == nil {
		t.Errorf("got %v", pids)
	}
}

func TestCPUTimeSumsThreadsOfAllProcesses(t *testing.T) {
	before, err := fakeProc(t, master).cpu(10)
	if err != nil {
		t.Fatal(err)
	}
	if spent, err := before.since(nil); err != nil || spent != 1234*time.Nanosecond {
		t.Errorf("got %v, %v; want 1234ns", spent, err)
	}
}

func TestCPUTimeBetweenReadingsCountsNewThreadsWhole(t *testing.T) {
	before := usage{"a": 10, "b": 20}
	after := usage{"a": 15, "b": 20, "new": 7}
	if spent, err := after.since(before); err != nil || spent != 12 {
		t.Errorf("got %v, %v; want 12ns", spent, err)
	}
}

func TestCPUTimeWithAnEndedThreadIsAnError(t *testing.T) {
	before := usage{"a": 10, "gone": 20}
	if spent, err := (usage{"a": 15}).since(before); err == nil {
		t.Errorf("got %v: the time of the ended thread is lost", spent)
	}
}

func TestMalformedFilesAreErrors(t *testing.T) {
	for name, content := range map[string]string{
		"10/stat":              "10 nginx S 1",
		"11/task/11/schedstat": "a b c",
		"12/task/12/schedstat": "1 2",
	} {
		files := maps.Clone(master)
		files[name] = content
		if used, err := fakeProc(t, files).cpu(10); err == nil {
			t.Errorf("%s = %q: got %v", name, content, used)
		}
	}
}

func TestOwnCPUTimeGrowsWithWork(t *testing.T) {
	proc := procfs("/proc")
	before, err := proc.cpu(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// The kernel brings the figure up to date at its ticks, so work until it moves.
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		after, err := proc.cpu(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if spent, err := after.since(before); err == nil && spent > 0 {
			return
		}
	}
	t.Error("ten seconds of work cost no CPU time")
}
