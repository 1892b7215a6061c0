// SPDX-License-Identifier: Apache-2.0

// Package filewatch tells a program that files it reads have changed: certificates, rules, passwords.
//
// inotify on directories makes it quick, and a comparison of contents at every poll makes it certain: what decides is always
// what the files hold, so an event that changes nothing calls nobody, and a change without an event (a network file system, an
// overflowing queue, exhausted inotify limits) is found at the next poll.
//
//	w := filewatch.New(filewatch.Options{Paths: []string{"/tls"}, Log: log})
//	w.Run(ctx, func() { reload() }) // returns when ctx ends
//
// A path is a file or a directory with everything below it, and may be missing: its coming is a change, and so is its becoming
// readable. Kubernetes volumes, which change by a swap of the link "..data", files replaced by rename, files rewritten in place
// and directories that are deleted and made again are all followed. Read several files of one volume through [Resolve].
package filewatch

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
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
	// Log takes the one warning that inotify cannot be used; nil discards it.
	Log *slog.Logger
}

// Defaults of Options, and how many debounce times a busy directory can put a comparison off.
const (
	defaultPoll     = time.Minute
	defaultDebounce = 200 * time.Millisecond
	patience        = 5
)

// Watcher follows the paths of its Options.
type Watcher struct {
	opts  Options
	known state
	doubt atomic.Bool // see Doubt
	open  func() (*fsnotify.Watcher, error)
	add   func(w *fsnotify.Watcher, path string) error
}

// New makes a watcher and takes the present contents as known: what changes from now on is reported by Run.
func New(opts Options) *Watcher {
	opts.Poll = cmp.Or(opts.Poll, defaultPoll)
	opts.Debounce = cmp.Or(opts.Debounce, defaultDebounce)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{opts: opts, known: scan(opts.Paths), open: fsnotify.NewWatcher, add: (*fsnotify.Watcher).Add}
}

// Doubt tells the watcher that the program reads the files on its own account: what it gets may be newer than what was last
// reported and be undone before the next comparison, which therefore reports in any case. To be called before the reading.
func (w *Watcher) Doubt() { w.doubt.Store(true) }

// Run calls changed whenever the contents differ from those last reported, until ctx ends. Calls never overlap, and a change
// during a call brings another call, even one that was undone since. When Run returns nothing of it is left running. A watcher
// is run once.
func (w *Watcher) Run(ctx context.Context, changed func()) {
	n := newNotifier(w)
	defer n.close()
	poll := time.NewTicker(w.opts.Poll)
	defer poll.Stop()
	settle := newDebounce(w.opts.Debounce)
	defer settle.timer.Stop()

	for suspect := false; ; {
		var again bool
		suspect, again = w.compare(n, suspect, changed)
		if again {
			settle.event()
		}
		if !w.await(ctx, n, poll, settle) {
			return
		}
	}
}

// compare looks at the paths and reports a difference, which is taken for granted when suspect. It tells whether the files moved
// during the report, so that what the program read may be neither old nor new, and whether to look again soon.
func (w *Watcher) compare(n *notifier, suspect bool, changed func()) (moved, again bool) {
	suspect = w.doubt.Swap(false) || suspect
	now := scan(w.opts.Paths)
	again = n.follow(now.watch)
	if now.content == w.known.content && !suspect {
		return false, again
	}
	w.known = now
	changed()
	moved = scan(w.opts.Paths).identity != now.identity
	return moved, again || moved
}

// await returns true when it is time to compare, false when ctx has ended.
func (w *Watcher) await(ctx context.Context, n *notifier, poll *time.Ticker, settle *debounce) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-poll.C:
			return ctx.Err() == nil
		case <-settle.timer.C:
			settle.first = time.Time{}
			return ctx.Err() == nil
		case <-n.events():
			settle.event()
		case <-n.errors(): // events were lost, so there were some
			settle.event()
		}
	}
}

// debounce waits for quiet after an event, but not for ever.
type debounce struct {
	timer *time.Timer
	quiet time.Duration
	first time.Time // of the events that are waiting, zero when none is
}

func newDebounce(quiet time.Duration) *debounce {
	timer := time.NewTimer(quiet)
	timer.Stop()
	return &debounce{timer: timer, quiet: quiet}
}

// event puts the comparison off until it has been quiet, at most until patience has run out.
func (d *debounce) event() {
	now := time.Now()
	if d.first.IsZero() {
		d.first = now
	}
	d.timer.Reset(min(d.quiet, max(0, patience*d.quiet-now.Sub(d.first))))
}
