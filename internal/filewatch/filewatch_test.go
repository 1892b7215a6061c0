// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

// watched is a watcher that runs for a test, and the calls it made.
type watched struct {
	t      testing.TB
	calls  atomic.Int64
	inside atomic.Int32
	hook   func() // runs in each call
}

// watch starts a watcher without polling, so that what it finds comes from inotify, and returns when it watches.
func watch(t *testing.T, hook func(), paths ...string) *watched {
	t.Helper()
	return watchWith(t, Options{Paths: paths, Poll: time.Hour, Debounce: 20 * time.Millisecond}, hook)
}

func watchWith(t *testing.T, opts Options, hook func()) *watched {
	t.Helper()
	wd := &watched{t: t, hook: hook}
	w := New(opts)
	ready := make(chan struct{})
	w.open = func() (*fsnotify.Watcher, error) {
		close(ready)
		return fsnotify.NewWatcher()
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.Run(ctx, wd.called) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	<-ready
	return wd
}

func (w *watched) called() {
	if w.inside.Add(1) != 1 {
		w.t.Error("two calls at the same time")
	}
	if w.hook != nil {
		w.hook()
	}
	w.inside.Add(-1)
	w.calls.Add(1)
}

// sees runs change and waits for a call that came after it.
func (w *watched) sees(what string, change func()) {
	w.t.Helper()
	before := w.calls.Load()
	change()
	testkit.Eventually(w.t, "a call for "+what, func() error {
		if w.calls.Load() == before {
			return errors.New("there was none")
		}
		return nil
	})
}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestVolumeSwapIsSeenThroughItsDirectoryAndThroughAFile(t *testing.T) {
	for _, name := range []string{"directory", "file"} {
		t.Run(name, func(t *testing.T) {
			v := testkit.NewVolume(t, map[string]string{"a": "0", "b": "0"})
			path := v.Path()
			if name == "file" {
				path = v.File("a")
			}
			w := watch(t, nil, path)
			for i := range 3 {
				w.sees("a swap", func() { v.Update(map[string]string{"a": fmt.Sprint(i + 1), "b": "0"}) })
			}
		})
	}
}

func TestFileIsFollowed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "f")
	w := watch(t, nil, path)
	w.sees("a file that comes with its directory", func() { put(t, path, "1") })
	w.sees("a rewrite in place", func() { put(t, path, "2") })
	w.sees("a rename over it", func() {
		put(t, path+".new", "3")
		must(t, os.Rename(path+".new", path))
	})
	w.sees("its removal", func() { must(t, os.Remove(path)) })
	w.sees("its return", func() { put(t, path, "4") })
	w.sees("a link in its place", func() {
		put(t, filepath.Join(dir, "elsewhere", "g"), "5")
		must(t, os.Remove(path))
		must(t, os.Symlink("../elsewhere/g", path))
	})
	w.sees("a rewrite behind the link", func() { put(t, filepath.Join(dir, "elsewhere", "g"), "6") })
}

func TestDirectoryDeletedAndMadeAgainIsFollowed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	put(t, filepath.Join(dir, "f"), "0")
	w := watch(t, nil, dir)
	for i := range 5 { // a file system may give the new directory the inode number of the old
		w.sees("the deletion", func() { must(t, os.RemoveAll(dir)) })
		w.sees("the return", func() { put(t, filepath.Join(dir, "f"), fmt.Sprint(i)) })
		w.sees("a change after the return", func() { put(t, filepath.Join(dir, "f"), fmt.Sprint(i, "changed")) })
	}
}

func TestDirectoryReplacedByRenameIsFollowed(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "d")
	put(t, filepath.Join(dir, "f"), "0")
	put(t, filepath.Join(root, "next", "f"), "1")
	w := watch(t, nil, filepath.Join(dir, "f"))
	w.sees("the replacement", func() {
		must(t, os.Rename(dir, filepath.Join(root, "old")))
		must(t, os.Rename(filepath.Join(root, "next"), dir))
	})
	w.sees("a change in the new directory", func() { put(t, filepath.Join(dir, "f"), "2") })
}

func TestLinkAboveTheFileIsFollowed(t *testing.T) {
	root := t.TempDir()
	put(t, filepath.Join(root, "gen1", "conf", "f"), "1")
	put(t, filepath.Join(root, "gen2", "conf", "f"), "2")
	must(t, os.Symlink("gen1", filepath.Join(root, "current")))
	w := watch(t, nil, filepath.Join(root, "current", "conf", "f"))
	w.sees("the switch to another generation", func() {
		must(t, os.Symlink("gen2", filepath.Join(root, "tmp")))
		must(t, os.Rename(filepath.Join(root, "tmp"), filepath.Join(root, "current")))
	})
}

func TestSubdirectoriesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, nil, dir)
	w.sees("a new sub-directory", func() { must(t, os.Mkdir(filepath.Join(dir, "a"), 0o755)) })
	w.sees("a file in it", func() { put(t, filepath.Join(dir, "a", "f"), "1") })
	w.sees("its change", func() { put(t, filepath.Join(dir, "a", "f"), "2") })
}

// A file mounted by itself, as with subPath or a bind mount, is written through a name in a directory we do not see. A hard link
// is the same to inotify and needs no privilege.
func TestFileWrittenThroughAnotherNameIsSeen(t *testing.T) {
	hidden, mounted := filepath.Join(t.TempDir(), "f"), filepath.Join(t.TempDir(), "f")
	put(t, hidden, "1")
	must(t, os.Link(hidden, mounted))
	w := watch(t, nil, mounted)
	for i := range 4 { // the first may be found by the looks that a start brings
		w.sees("a write through the other name", func() { put(t, hidden, fmt.Sprint("again", i)) })
	}
}

func TestVolumeThatNeverRestsIsReportedNevertheless(t *testing.T) {
	v := testkit.NewVolume(t, map[string]string{"f": "0"})
	w := watchWith(t, Options{Paths: []string{v.Path()}, Poll: time.Hour, Debounce: 100 * time.Millisecond}, nil)
	i := 0
	testkit.Eventually(t, "two calls while the volume changes every few milliseconds", func() error {
		i++
		v.Update(map[string]string{"f": fmt.Sprint(i)})
		if n := w.calls.Load(); n < 2 {
			return fmt.Errorf("there were %d", n)
		}
		return nil
	})
}

func TestChangeUndoneDuringACallBringsAnotherCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "0")
	replace := func(content string) {
		put(t, path+".new", content)
		must(t, os.Rename(path+".new", path))
	}
	var armed atomic.Bool
	seen := make(chan string, 10)
	w := watch(t, func() {
		undo := armed.CompareAndSwap(true, false)
		if undo {
			replace("passing")
		}
		data, _ := os.ReadFile(path)
		seen <- string(data)
		if undo {
			replace("2") // as it was when the watcher looked
		}
	}, path)
	w.sees("a first change", func() { replace("1") })
	armed.Store(true)
	w.sees("the change", func() { replace("2") })
	last := ""
	testkit.Eventually(t, "a call that reads what is there", func() error {
		select {
		case last = <-seen:
		default:
		}
		if last != "2" {
			return fmt.Errorf("the last call read %q", last)
		}
		return nil
	})
}

func TestOverflowOfTheEventQueueLosesNoChange(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	put(t, path, "0")
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w := watch(t, func() { once.Do(func() { close(entered); <-release }) }, dir)
	put(t, path, "1")
	<-entered
	for range 10_000 { // two events each; the kernel keeps 16384
		name := filepath.Join(dir, "noise")
		must(t, os.Mkdir(name, 0o755))
		must(t, os.Remove(name))
	}
	w.sees("what happened meanwhile", func() { close(release) })
	w.sees("a change after the overflow", func() { put(t, path, "2") })
}

func TestDescriptorsAndGoroutinesEndWithRun(t *testing.T) {
	testkit.CheckFDs(t)
	testkit.CheckLeaks(t)
	for range 20 {
		w := New(Options{Paths: []string{t.TempDir()}})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { w.Run(ctx, func() {}) })
		cancel()
		wg.Wait()
	}
}

// withoutInotify runs f in a bubble of fake time with a watcher that has to poll. Real inotify would keep the clock from moving.
func withoutInotify(t *testing.T, opts Options, f func(t *testing.T, calls *atomic.Int64, warnings *atomic.Int64)) {
	synctest.Test(t, func(t *testing.T) {
		var calls, warnings atomic.Int64
		opts.Log = slog.New(countWarnings{&warnings})
		w := New(opts)
		w.open = func() (*fsnotify.Watcher, error) { return nil, syscall.EMFILE }
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { w.Run(ctx, func() { calls.Add(1) }) })
		synctest.Wait()
		f(t, &calls, &warnings)
		cancel()
		wg.Wait()
	})
}

type countWarnings struct{ n *atomic.Int64 }

func (c countWarnings) Enabled(context.Context, slog.Level) bool { return true }
func (c countWarnings) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c countWarnings) WithGroup(string) slog.Handler            { return c }
func (c countWarnings) Handle(_ context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn {
		c.n.Add(1)
	}
	return nil
}

func TestWithoutInotifyPollingFindsChangesAndWarnsOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	put(t, path, "0")
	withoutInotify(t, Options{Paths: []string{path}}, func(t *testing.T, calls, warnings *atomic.Int64) {
		put(t, path, "1")
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if n := calls.Load(); n != 0 {
			t.Errorf("%d calls before the poll", n)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls after the poll, want 1", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n, warned := calls.Load(), warnings.Load(); n != 1 || warned != 1 {
			t.Errorf("%d calls and %d warnings after an hour, want one of each", n, warned)
		}
	})
}

func TestEqualContentIsNoChange(t *testing.T) {
	v := testkit.NewVolume(t, map[string]string{"f": "same", "g": "1"})
	file := filepath.Join(t.TempDir(), "f")
	put(t, file, "same")
	withoutInotify(t, Options{Paths: []string{v.File("f"), file}}, func(t *testing.T, calls, _ *atomic.Int64) {
		v.Update(map[string]string{"f": "same", "g": "2"})
		must(t, os.Rename(file, file+".old"))
		put(t, file, "same")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := calls.Load(); n != 0 {
			t.Errorf("%d calls for equal content", n)
		}
	})
}

func TestDebounceWaitsForQuietButNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDebounce(200 * time.Millisecond)
		start := time.Now()
		d.event()
		if fired := (<-d.timer.C).Sub(start); fired != 200*time.Millisecond {
			t.Errorf("one event is settled after %s", fired)
		}
		d.first = time.Time{}

		start = time.Now()
		beat := time.NewTicker(100 * time.Millisecond)
		defer beat.Stop()
		d.event()
		for {
			select {
			case <-beat.C:
				d.event()
				continue
			case fired := <-d.timer.C:
				if after := fired.Sub(start); after != time.Second {
					t.Errorf("ten events a second are settled after %s", after)
				}
			}
			return
		}
	})
}

func TestOddFilesDoNotHangALook(t *testing.T) {
	dir := t.TempDir()
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	must(t, os.Symlink("..", filepath.Join(dir, "up")))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	first := scan([]string{dir, filepath.Join(dir, "pipe"), "/dev/zero"})
	if second := scan([]string{dir, filepath.Join(dir, "pipe"), "/dev/zero"}); first.content != second.content {
		t.Error("two looks at the same files differ")
	}
}
