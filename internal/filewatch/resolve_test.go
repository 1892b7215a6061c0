// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestResolveLeadsThroughTheGenerationOfAVolume(t *testing.T) {
	v := testkit.NewVolume(t, map[string]string{"f": "1", "sub/g": "1"})
	for path, want := range map[string]string{v.Path(): v.Data(), v.File("sub"): filepath.Join(v.Data(), "sub")} {
		if got, err := Resolve(path); err != nil || got != want {
			t.Errorf("Resolve(%s) = %s, %v; want %s", path, got, err, want)
		}
	}
}

func TestResolveLeavesOtherDirectoriesButFollowsLinks(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	must(t, os.Symlink("gone", filepath.Join(dir, volumeLink))) // a dangling ..data is no volume
	for _, path := range []string{dir, link} {
		if got, err := Resolve(path); err != nil || got != dir {
			t.Errorf("Resolve(%s) = %s, %v; want %s", path, got, err, dir)
		}
	}
	if _, err := Resolve(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing directory gives %v", err)
	}
}

func TestExplainSaysWhoOwnsWhatAndTheFix(t *testing.T) {
	file := func(uid, gid, mode uint32) *syscall.Stat_t {
		return &syscall.Stat_t{Uid: uid, Gid: gid, Mode: syscall.S_IFREG | mode}
	}
	cases := map[string]struct {
		stat *syscall.Stat_t
		want string
	}{
		"secret of root": {
			file(0, 0, 0o400),
			"/f belongs to uid 0, gid 0 with mode 0400, and this process is uid 65532, gid 65532: set the pod's securityContext.fsGroup: 65532 and mode 0440 (defaultMode of the volume, or chmod)",
		},
		"readable for the group": {
			file(1000, 2000, 0o640),
			"/f belongs to uid 1000, gid 2000 with mode 0640, and this process is uid 65532, gid 65532: set the pod's securityContext.fsGroup: 2000, or runAsUser: 1000",
		},
		"directory": {
			&syscall.Stat_t{Uid: 1000, Gid: 2000, Mode: syscall.S_IFDIR | 0o700},
			"/f belongs to uid 1000, gid 2000 with mode 0700, and this process is uid 65532, gid 65532: set the pod's securityContext.fsGroup: 2000 and mode 0550 (chmod), or runAsUser: 1000",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := advice("/f", c.stat, 65532, 65532); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	if err := errors.New("other"); Explain("/f", err) != err || Explain("/f", nil) != nil { //nolint:errorlint // the very same error
		t.Error("another error is changed")
	}
}

// asUser makes the test binary read a file as another user.
const asUser = "FILEWATCH_TEST_READ"

func TestExplainFindsWhatBlocksAReader(t *testing.T) {
	if path := os.Getenv(asUser); path != "" {
		_, err := os.ReadFile(path)
		os.Stdout.WriteString("explained: " + Explain(path, err).Error() + "\n")
		return
	}
	// Root may read everything, so it becomes another user, who must reach the binary and the files.
	var other *syscall.Credential
	if os.Getuid() == 0 {
		other = &syscall.Credential{Uid: 65532, Gid: 65532}
	}
	dir, err := os.MkdirTemp("", "explain")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	binary := filepath.Join(dir, "test")
	self, err := os.ReadFile(os.Args[0])
	must(t, err)
	must(t, os.WriteFile(binary, self, 0o755))
	put(t, filepath.Join(dir, "secret"), "")
	must(t, os.Chmod(filepath.Join(dir, "secret"), 0o000))
	put(t, filepath.Join(dir, "closed", "f"), "")
	must(t, os.Chmod(filepath.Join(dir, "closed"), 0o000))
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "closed"), 0o700) })
	must(t, os.Symlink("secret", filepath.Join(dir, "link")))

	for path, blocked := range map[string]string{"secret": "secret", "closed/f": "closed", "link": "secret"} {
		cmd := exec.CommandContext(t.Context(), binary, "-test.run=^TestExplainFinds", "-test.v")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), asUser+"="+filepath.Join(dir, path))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: other}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		want := fmt.Sprintf("explained: permission denied: %s belongs to uid %d, gid ", filepath.Join(dir, blocked), os.Getuid())
		if !strings.Contains(string(out), want) {
			t.Errorf("%s: want it to name %s:\n%s", path, blocked, out)
		}
	}
}
