// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Explain adds to a permission error about path who owns what, as whom this process runs and which runAsUser, fsGroup or mode
// mends it. Any other error, nil included, is returned as it is.
func Explain(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	blocked, info := blocker(path)
	stat, ok := info.(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("permission denied for uid %d, gid %d: make it readable for that user (securityContext.runAsUser, or fsGroup)", os.Getuid(), os.Getgid())
	}
	return fmt.Errorf("%w: %s", fs.ErrPermission, advice(blocked, stat, os.Getuid(), os.Getgid()))
}

// blocker finds the first part of path that this process may not pass or read, and what the system says about it.
func blocker(path string) (string, any) {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved // the file is reachable, so the file itself is what cannot be read
	}
	for {
		info, err := os.Stat(path)
		if err == nil {
			return path, info.Sys()
		}
		parent := filepath.Dir(path)
		if parent == path {
			return path, nil
		}
		path = parent
	}
}

// advice says who owns path and what lets a process of this uid and gid read it.
func advice(path string, stat *syscall.Stat_t, uid, gid int) string {
	var b strings.Builder
	mode := stat.Mode & 0o7777
	fmt.Fprintf(&b, "%s belongs to uid %d, gid %d with mode %04o, and this process is uid %d, gid %d: ", path, stat.Uid, stat.Gid, mode, uid, gid)
	need, readable := uint32(0o040), "0440"
	if stat.Mode&syscall.S_IFMT == syscall.S_IFDIR {
		need, readable = 0o050, "0550"
	}
	group := "fsGroup"
	if stat.Gid == 0 {
		// A volume's files belong to the root group until fsGroup says otherwise; being in group 0 is not the advice to give.
		fmt.Fprintf(&b, "set the pod's securityContext.fsGroup: %d", gid)
	} else {
		fmt.Fprintf(&b, "set the pod's securityContext.%s: %d", group, stat.Gid)
	}
	if mode&need != need {
		fmt.Fprintf(&b, " and mode %s (defaultMode of the volume, or chmod)", readable)
	}
	if stat.Uid != 0 {
		fmt.Fprintf(&b, ", or runAsUser: %d", stat.Uid)
	}
	return b.String()
}
