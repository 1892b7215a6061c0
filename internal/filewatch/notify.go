// SPDX-License-Identifier: Apache-2.0

package filewatch

import (
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// notifier keeps inotify on the places of the last look. Where inotify cannot be had its channels never speak.
type notifier struct {
	fs     *fsnotify.Watcher
	add    func(w *fsnotify.Watcher, path string) error
	have   map[string]fileID
	log    *slog.Logger
	poll   time.Duration
	warned bool
}

// newNotifier opens inotify; where that fails it warns, and polling alone has to find changes.
func newNotifier(w *Watcher) *notifier {
	n := &notifier{add: w.add, have: map[string]fileID{}, log: w.opts.Log, poll: w.opts.Poll}
	var err error
	if n.fs, err = w.open(); err != nil {
		n.fs = nil
		n.warn(err)
	}
	return n
}

// close ends inotify and waits for its goroutine.
func (n *notifier) close() error {
	if n.fs == nil {
		return nil
	}
	return n.fs.Close()
}

func (n *notifier) events() <-chan fsnotify.Event {
	if n.fs == nil {
		return nil
	}
	return n.fs.Events
}

func (n *notifier) errors() <-chan error {
	if n.fs == nil {
		return nil
	}
	return n.fs.Errors
}

// follow watches exactly these places from now on. It tells whether any is new: what happened there between the look that found
// it and now was not reported.
func (n *notifier) follow(want map[string]fileID) (added bool) {
	if n.fs == nil {
		return false
	}
	// The kernel drops the watch of a directory that is deleted, and fsnotify that of one that is renamed.
	alive := n.fs.WatchList()
	for path, id := range n.have {
		if want[path] == id && slices.Contains(alive, path) {
			continue
		}
		// An error says that the watch is gone already.
		_ = n.fs.Remove(path)
		delete(n.have, path)
	}
	for path, id := range want {
		if _, ok := n.have[path]; ok {
			continue
		}
		switch err := n.add(n.fs, path); {
		case err == nil:
			n.have[path] = id
			added = true
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
			added = true // it went since the look: look again
		default:
			n.warn(err)
		}
	}
	return added
}

// warn says once that changes will be seen later than they should.
func (n *notifier) warn(err error) {
	if n.warned {
		return
	}
	n.warned = true
	hint := ""
	switch {
	case errors.Is(err, syscall.ENOSPC):
		hint = "raise the node's sysctl fs.inotify.max_user_watches"
	case errors.Is(err, syscall.EMFILE):
		hint = "raise the node's sysctl fs.inotify.max_user_instances, or the limit on open files"
	case errors.Is(err, fs.ErrPermission):
		hint = "let this user read the directories of the watched files"
	}
	n.log.Warn("cannot watch all files by inotify, changes are found by polling", "error", err, "poll", n.poll, "hint", hint)
}
