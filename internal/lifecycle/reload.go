// SPDX-License-Identifier: Apache-2.0

package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// ErrStopping is what Reload returns once a stop was asked for.
var ErrStopping = errors.New("cannot reload while shutting down")

// ReloadCounts is how many reloads there were since the start. A reload of which one part failed is a failure.
type ReloadCounts struct{ Success, Failure uint64 }

type reloadCounters struct{ success, failure atomic.Uint64 }

type reloader struct {
	name string
	load func(context.Context) error
}

// OnReload adds a part that a reload loads again, in the order of adding. On an error f must keep what it had: the other
// parts are reloaded all the same.
func (g *Group) OnReload(name string, f func(context.Context) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onReload = append(g.onReload, reloader{name, f})
}

// Reload reloads every part, after a reload that already runs. Each failure is logged here, once; the joined errors are
// returned as the answer to who asked, and are not to be logged again. Once a stop was asked for it returns ErrStopping.
func (g *Group) Reload(ctx context.Context) error {
	select {
	case g.reloading <- struct{}{}:
		defer func() { <-g.reloading }()
	case <-g.stopping:
		return ErrStopping
	case <-ctx.Done():
		return fmt.Errorf("cannot reload: the reload before it still runs: %w", ctx.Err())
	}
	select {
	case <-g.stopping:
		return ErrStopping
	default:
	}

	g.mu.Lock()
	parts := g.onReload
	g.mu.Unlock()
	var failures []error
	for _, part := range parts {
		err := guard(g.log, part.name, func() error { return part.load(ctx) })
		if err != nil {
			g.log.Error("reload failed, keeping what was loaded before", "part", part.name, "error", err)
			failures = append(failures, fmt.Errorf("cannot reload %s: %w", part.name, err))
		}
	}
	if len(failures) > 0 {
		g.reloads.failure.Add(1)
		return errors.Join(failures...)
	}
	g.reloads.success.Add(1)
	g.log.Info("reloaded", "parts", len(parts))
	return nil
}

// Reloads returns how many reloads there were.
func (g *Group) Reloads() ReloadCounts {
	return ReloadCounts{Success: g.reloads.success.Load(), Failure: g.reloads.failure.Load()}
}
