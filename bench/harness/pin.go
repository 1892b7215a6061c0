// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// PinSelf keeps the calling process, and all that it starts from now on, on one core.
// Loads and backends stay there; peers are moved to their own core as they start.
func PinSelf(core int) error {
	var set unix.CPUSet
	set.Set(core)
	// Threads inherit from the one that makes them: a second pass catches those born during the first.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return fmt.Errorf("cannot list the own threads: %w", err)
		}
		for _, thread := range threads {
			tid, err := strconv.Atoi(thread.Name())
			if err != nil {
				continue
			}
			if err := unix.SchedSetaffinity(tid, &set); err != nil {
				return fmt.Errorf("cannot pin the load to core %d: %w; name cores that this machine has with -load-core and -peer-core", core, err)
			}
		}
	}
	runtime.GOMAXPROCS(1)
	return nil
}
