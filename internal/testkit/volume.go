// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The names that the kubelet gives its entries (pkg/volume/util/atomic_writer.go).
const (
	dataDir    = "..data"
	newDataDir = "..data_tmp"
)

// VolumeStep is a moment in an update after which a hook may look at the volume.
type VolumeStep string

// The steps of an update, in the order the kubelet takes them.
const (
	StepWritten  VolumeStep = "written"   // the new timestamped directory is complete; readers see the old one
	StepTmpLink  VolumeStep = "tmp-link"  // ..data_tmp points to it
	StepSwapped  VolumeStep = "swapped"   // renamed over ..data: readers see the new one
	StepLinked   VolumeStep = "linked"    // links for new names are there
	StepUnlinked VolumeStep = "unlinked"  // links for names that went are gone
	StepCleaned  VolumeStep = "collected" // the old timestamped directory is removed
)

// Volume is a directory that changes as the kubelet changes a mounted ConfigMap or
// Secret: its files are links through ..data to a timestamped directory, and an
// update is one rename of ..data. Entries keep the order of operations of the
// kubelet's atomic writer, since that is what watchers see.
//
//	v := testkit.NewVolume(t, ca.Issue("localhost").Files("tls"))
//	v.Update(ca.Issue("localhost").Files("tls"))
type Volume struct {
	// FileMode and DirMode are given to what later updates write. They start as a
	// ConfigMap's: 0644 and 0755.
	FileMode, DirMode fs.FileMode
	// OnStep, if set, is called after each step of an update.
	OnStep func(VolumeStep)

	dir   string
	files map[string]string
	t     testing.TB
}

// NewVolume makes a volume that holds files: relative slash-separated names to
// contents. A nil map makes an empty volume that has no ..data yet.
func NewVolume(t testing.TB, files map[string]string) *Volume {
	t.Helper()
	v := OpenVolume(t, t.TempDir())
	if files != nil {
		v.Update(files)
	}
	return v
}

// OpenVolume makes dir, which must exist, a volume, or takes over one that an
// earlier call made there.
func OpenVolume(t testing.TB, dir string) *Volume {
	t.Helper()
	v := &Volume{FileMode: 0o644, DirMode: 0o755, dir: dir, t: t}
	// The kubelet makes a volume's root world-writable before it applies fsGroup.
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatalf("cannot open the volume to its readers: %v", err)
	}
	v.files = v.read()
	return v
}

// Path is the volume's directory: what a pod mounts.
func (v *Volume) Path() string { return v.dir }

// File is the path of a file in the volume, through the links as users see it.
func (v *Volume) File(name string) string { return filepath.Join(v.dir, filepath.FromSlash(name)) }

// Data is the timestamped directory that ..data points to now.
func (v *Volume) Data() string {
	v.t.Helper()
	dir, err := filepath.EvalSymlinks(filepath.Join(v.dir, dataDir))
	if err != nil {
		v.t.Fatalf("cannot resolve the volume's ..data: %v", err)
	}
	return dir
}

// Update replaces the whole content. As with the kubelet, content that did not
// change is not written: a volume whose data is the same keeps its directory.
func (v *Volume) Update(files map[string]string) {
	v.t.Helper()
	old, err := os.Readlink(filepath.Join(v.dir, dataDir))
	if err == nil && maps.Equal(v.files, files) {
		return
	}
	created := v.writeData(files)
	v.step(StepWritten)
	v.check(os.Symlink(created, filepath.Join(v.dir, newDataDir)))
	v.step(StepTmpLink)
	v.check(os.Rename(filepath.Join(v.dir, newDataDir), filepath.Join(v.dir, dataDir)))
	v.step(StepSwapped)
	v.linkNames(files)
	v.step(StepLinked)
	v.unlinkNames(files)
	v.step(StepUnlinked)
	if old != "" {
		v.check(os.RemoveAll(filepath.Join(v.dir, old)))
	}
	v.step(StepCleaned)
	v.files = maps.Clone(files)
}

// Set changes or adds single files and keeps the others.
func (v *Volume) Set(files map[string]string) {
	v.t.Helper()
	merged := maps.Clone(v.files)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, files)
	v.Update(merged)
}

// Remove takes files out of the volume.
func (v *Volume) Remove(names ...string) {
	v.t.Helper()
	rest := maps.Clone(v.files)
	for _, name := range names {
		delete(rest, name)
	}
	v.Update(rest)
}

// writeData fills a new timestamped directory and returns its name.
func (v *Volume) writeData(files map[string]string) string {
	v.t.Helper()
	dir, err := os.MkdirTemp(v.dir, time.Now().UTC().Format("..2006_01_02_15_04_05."))
	v.check(err)
	v.check(os.Chmod(dir, v.DirMode|0o700))
	for name, content := range files {
		if strings.HasPrefix(name, "..") || filepath.IsAbs(name) {
			v.t.Fatalf("cannot put %q into a volume: names are relative and do not begin with two dots", name)
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		v.check(os.MkdirAll(filepath.Dir(path), v.DirMode|0o700))
		v.check(os.WriteFile(path, []byte(content), v.FileMode))
		v.check(os.Chmod(path, v.FileMode)) // whatever the umask took
	}
	v.check(os.Chmod(dir, v.DirMode))
	return filepath.Base(dir)
}

// linkNames adds the link ..data/NAME for each first path element that has none.
func (v *Volume) linkNames(files map[string]string) {
	v.t.Helper()
	for name := range topNames(files) {
		link := filepath.Join(v.dir, name)
		if _, err := os.Lstat(link); err == nil {
			continue
		}
		v.check(os.Symlink(filepath.Join(dataDir, name), link))
	}
}

// unlinkNames removes the links of names that are no longer there.
func (v *Volume) unlinkNames(files map[string]string) {
	v.t.Helper()
	keep := topNames(files)
	for name := range topNames(v.files) {
		if !keep[name] {
			v.check(os.Remove(filepath.Join(v.dir, name)))
		}
	}
}

func topNames(files map[string]string) map[string]bool {
	names := map[string]bool{}
	for name := range files {
		first, _, _ := strings.Cut(name, "/")
		names[first] = true
	}
	return names
}

// read is the content that ..data shows now; nil without a ..data.
func (v *Volume) read() map[string]string {
	v.t.Helper()
	if _, err := os.Lstat(filepath.Join(v.dir, dataDir)); err != nil {
		return nil
	}
	files, root := map[string]string{}, v.Data()
	v.check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(name)] = string(content)
		return err
	}))
	return files
}

func (v *Volume) step(s VolumeStep) {
	if v.OnStep != nil {
		v.OnStep(s)
	}
}

func (v *Volume) check(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatalf("cannot change the volume %s: %v", v.dir, err)
	}
}
