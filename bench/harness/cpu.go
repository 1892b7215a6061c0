// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// procfs reads a proc file system; tests give it a directory of their own.
type procfs string

// usage is the CPU time of each thread by its /proc path: threads, not a sum, so that one that
// ended between two readings is noticed instead of being subtracted.
type usage map[string]time.Duration

// tree returns the process and all its descendants. A process whose parent ended belongs to
// nobody's tree, so peers must not daemonize.
func (proc procfs) tree(root int) ([]int, error) {
	stats, err := filepath.Glob(filepath.Join(string(proc), "[0-9]*", "stat"))
	if err != nil {
		return nil, fmt.Errorf("cannot list processes: %w", err)
	}
	children := make(map[int][]int)
	found := false
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it ended since the listing
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		parent, err := parentOf(data)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
		found = found || pid == root
		children[parent] = append(children[parent], pid)
	}
	if !found {
		return nil, fmt.Errorf("process %d has ended", root)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// parentOf takes the parent from a line of /proc/PID/stat (proc(5)): the second field after the
// command, which stands in parentheses and may hold any byte.
func parentOf(stat []byte) (int, error) {
	_, after, found := cutLast(stat, []byte(")"))
	fields := bytes.Fields(after)
	if !found || len(fields) < 2 {
		return 0, errors.New("not a stat line")
	}
	return strconv.Atoi(string(fields[1]))
}

func cutLast(s, sep []byte) (before, after []byte, found bool) {
	if i := bytes.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, nil, false
}

// cpu reads the time that each thread of the tree has spent on a CPU.
func (proc procfs) cpu(root int) (usage, error) {
	pids, err := proc.tree(root)
	if err != nil {
		return nil, err
	}
	used := make(usage)
	for _, pid := range pids {
		threads, err := filepath.Glob(filepath.Join(string(proc), strconv.Itoa(pid), "task", "*", "schedstat"))
		if err != nil {
			return nil, fmt.Errorf("cannot list the threads of process %d: %w", pid, err)
		}
		for _, path := range threads {
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("cannot read the CPU time of process %d: %w", pid, err)
			}
			spent, err := onCPU(string(data))
			if err != nil {
				return nil, fmt.Errorf("cannot read %s: %w", path, err)
			}
			used[path] = spent
		}
	}
	return used, nil
}

// onCPU takes the first field of a schedstat file: nanoseconds on a CPU
// (the kernel's Documentation/scheduler/sched-stats.rst).
func onCPU(schedstat string) (time.Duration, error) {
	fields := strings.Fields(schedstat)
	if len(fields) != 3 {
		return 0, fmt.Errorf("not a schedstat line: %q", schedstat)
	}
	ns, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(ns), nil
}

// since returns the CPU time spent after the earlier reading. A thread that ended took its
// figure with it, which makes the difference worthless: that is an error.
func (u usage) since(earlier usage) (time.Duration, error) {
	var spent time.Duration
	for thread, now := range u {
		spent += now - earlier[thread]
	}
	for thread := range earlier {
		if _, alive := u[thread]; !alive {
			return 0, fmt.Errorf("thread %s ended while it was measured", thread)
		}
	}
	return spent, nil
}
