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

// Explain makes a permission error about path say who owns what, as whom this process runs, and which fsGroup, mode or runAsUser
// mends it; the path that blocks may be a directory above. Any other error, nil included, is returned as it is.
func Explain(path string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	blocked := blocker(path)
	info, statErr := os.Stat(blocked)
	if statErr != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return err
	}
	return fmt.Errorf("%w: %s", fs.ErrPermission, advice(blocked, stat, os.Getuid(), os.Getgid()))
}

// blocker finds what denies access to path: the file itself if it is reachable, else the directory that ends the way to it.
func blocker(path string) string {
	for {
		if resolved, err := filepath.EvalSymlinks(path); err == nil {
			return resolved
		}
		parent := filepath.Dir(path)
		if parent == path {
			return path
		}
		path = parent
	}
}

// advice says who owns path and what lets a process of this uid and gid read it.
func advice(path string, stat *syscall.Stat_t, uid, gid int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s belongs to uid %d, gid %d with mode %04o, and this process is uid %d, gid %d: ",
		path, stat.Uid, stat.Gid, stat.Mode&0o7777, uid, gid)
	group := int(stat.Gid)
	if group == 0 {
		// A volume belongs to the root group until fsGroup says otherwise, so the group to give is our own: kubelet hands the
		// files to it.
		group = gid
	}
	fmt.Fprintf(&b, "set the pod's securityContext.fsGroup: %d", group)
	directory := stat.Mode&syscall.S_IFMT == syscall.S_IFDIR
	switch {
	case directory && stat.Mode&0o050 != 0o050:
		b.WriteString(" and mode 0550 (chmod)")
	case !directory && stat.Mode&0o040 == 0:
		b.WriteString(" and mode 0440 (defaultMode of the volume, or chmod)")
	}
	if stat.Uid != 0 {
		fmt.Fprintf(&b, ", or runAsUser: %d", stat.Uid)
	}
	return b.String()
}
