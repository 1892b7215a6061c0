// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names lists a directory; a link is shown with its target.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		name := e.Name()
		if target, err := os.Readlink(filepath.Join(dir, name)); err == nil {
			name += " -> " + target
		}
		out = append(out, name)
	}
	return out
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "(none)"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAVolumeLooksAsTheKubeletMakesIt(t *testing.T) {
	v := NewVolume(t, map[string]string{"tls.crt": "C", "tls.key": "K", "deep/er/file": "D"})
	stamp := filepath.Base(v.Data())
	if !strings.HasPrefix(stamp, "..20") {
		t.Errorf("the data is in %q, want a timestamp behind two dots", stamp)
	}
	want := []string{stamp, "..data -> " + stamp, "deep -> ..data/deep", "tls.crt -> ..data/tls.crt", "tls.key -> ..data/tls.key"}
	if diff := cmp.Diff(want, names(t, v.Path())); diff != "" {
		t.Error(diff)
	}
	if got := content(t, v.File("deep/er/file")); got != "D" {
		t.Errorf("deep/er/file holds %q", got)
	}
}

func TestAnUpdateTakesTheKubeletsStepsInOrder(t *testing.T) {
	v := NewVolume(t, map[string]string{"stays": "1", "goes": "1"})
	old := v.Data()
	type look struct {
		Step                      VolumeStep
		Stays, Goes, Comes        string
		TmpLink, OldDir, GoesLink bool
	}
	var looks []look
	exists := func(path string) bool { _, err := os.Lstat(path); return err == nil }
	v.OnStep = func(s VolumeStep) {
		looks = append(looks, look{
			Step: s, Stays: content(t, v.File("stays")), Goes: content(t, v.File("goes")), Comes: content(t, v.File("comes")),
			TmpLink: exists(v.File("..data_tmp")), OldDir: exists(old), GoesLink: exists(v.File("goes")),
		})
	}
	v.Update(map[string]string{"stays": "2", "comes": "2"})
	want := []look{
		{StepWritten, "1", "1", "(none)", false, true, true},
		{StepTmpLink, "1", "1", "(none)", true, true, true},
		{StepSwapped, "2", "(none)", "(none)", false, true, true},
		{StepLinked, "2", "(none)", "2", false, true, true},
		{StepUnlinked, "2", "(none)", "2", false, true, false},
		{StepCleaned, "2", "(none)", "2", false, false, false},
	}
	if diff := cmp.Diff(want, looks); diff != "" {
		t.Error(diff)
	}
}

func TestAnUpdateWithTheSameContentChangesNothing(t *testing.T) {
	v := NewVolume(t, map[string]string{"a": "1"})
	before := v.Data()
	v.Update(map[string]string{"a": "1"})
	if v.Data() != before {
		t.Error("the data was written again")
	}
	v.Set(map[string]string{"b": "2"})
	v.Remove("a")
	if got := names(t, v.Path()); len(got) != 3 || content(t, v.File("b")) != "2" {
		t.Errorf("after Set and Remove: %q", got)
	}
}

func TestAVolumeTakesModesAndAnotherHandTakesItOver(t *testing.T) {
	v := NewVolume(t, nil)
	v.FileMode, v.DirMode = 0o440, 0o750
	v.Update(map[string]string{"key": "K"})
	for path, want := range map[string]fs.FileMode{v.File("key"): 0o440, v.Data(): 0o750} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
	again := OpenVolume(t, v.Path())
	again.Update(map[string]string{"other": "O"})
	if content(t, v.File("key")) != "(none)" || content(t, v.File("other")) != "O" {
		t.Errorf("after taking it over: %q", names(t, v.Path()))
	}
	f := failure(t, func(tb testing.TB) { NewVolume(tb, map[string]string{"../up": ""}) })
	wantText(t, f.message, `cannot put "../up" into a volume`)
}
