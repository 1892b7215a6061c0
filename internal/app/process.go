// SPDX-License-Identifier: Apache-2.0

package app

import (
	"os"
	"runtime"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"
)

// maxProcs is the most processors a sidecar takes by itself: each costs memory,
// and a program that needs more says so with GOMAXPROCS.
const maxProcs = 4

// process is what a program does to its own process. Main does it; tests that
// Run a program in their own process do not.
type process struct{}

// tune limits memory and processors to what the container has. The Go runtime
// reads the processors from the cgroup itself.
func (process) tune() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) > maxProcs {
		runtime.GOMAXPROCS(maxProcs)
	}
	// Where the cgroup cannot be read there is no limit to follow.
	_, _ = memlimit.Set()
}

// hide keeps a sibling of the same user in a shared PID namespace from reading
// the environment and the keys in memory through /proc.
func (process) hide() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}
