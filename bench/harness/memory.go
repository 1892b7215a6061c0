// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memory is what a tree of processes holds, in bytes.
type memory struct {
	rss  int64 // resident, with the file pages that processes share counted in each
	anon int64 // resident and private: heap and stacks
}

// memory reads VmRSS and RssAnon of the whole tree.
func (proc procfs) memory(root int) (memory, error) {
	pids, err := proc.tree(root)
	if err != nil {
		return memory{}, err
	}
	var sum memory
	for _, pid := range pids {
		path := filepath.Join(string(proc), strconv.Itoa(pid), "status")
		data, err := os.ReadFile(path)
		if err != nil {
			return memory{}, fmt.Errorf("cannot read the memory of process %d: %w", pid, err)
		}
		one, err := parseStatus(string(data))
		if err != nil {
			return memory{}, fmt.Errorf("cannot read %s: %w", path, err)
		}
		sum.rss += one.rss
		sum.anon += one.anon
	}
	return sum, nil
}

// parseStatus takes VmRSS and RssAnon from /proc/PID/status (proc(5)), which has them in kB of 1024 bytes.
func parseStatus(status string) (memory, error) {
	var m memory
	wanted := map[string]*int64{"VmRSS": &m.rss, "RssAnon": &m.anon}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		field, want := wanted[name]
		if !want {
			continue
		}
		kB, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return memory{}, fmt.Errorf("%s is not a size in kB: %w", name, err)
		}
		*field = kB * 1024
		delete(wanted, name)
	}
	for name := range wanted {
		return memory{}, fmt.Errorf("no %s in it", name)
	}
	return m, nil
}
