// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/address"
	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/procfs"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/forward"
)

// How often the application is asked whether it accepts connections, and its listeners are looked at.
const (
	targetInterval   = 5 * time.Second
	downInterval     = time.Second     // while it does not accept
	exposureInterval = 5 * time.Minute // reading /proc/net/tcp costs milliseconds on a busy node
	targetTimeout    = 2 * time.Second
)

// target keeps an eye on the application: whether it accepts connections, and whether it can be reached past the
// proxy. Neither ends or restarts anything.
type target struct {
	address address.Target
	log     *slog.Logger
	handler *forward.Handler
	beat    func()

	up      prometheus.Gauge
	exposed prometheus.Gauge

	mu      sync.Mutex
	err     error // of the last look; nil while the application accepts
	looked  bool
	exposes []netip.AddrPort
}

var errNotAsked = errors.New("not asked yet")

func newTarget(c *Config, env *app.Env, handler *forward.Handler) *target {
	t := &target{
		address: c.Target, log: env.Log, handler: handler, err: errNotAsked,
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tls_proxy_target_up", Help: "1 while the application accepts connections.",
		}),
		exposed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tls_proxy_target_exposed", Help: "1 where the application's port also listens beyond loopback, so that clients can go past the proxy.",
		}),
	}
	env.Metrics.MustRegister(t.up, t.exposed)
	t.beat = env.Admin.Pulse("target-watch", 6*targetInterval)
	env.Admin.Note("target-exposure", t.exposure)
	if c.ReadyTarget {
		env.Admin.Ready("target", t.accepts)
	} else {
		env.Admin.Note("target", t.accepts)
	}
	return t
}

// run looks at the application until ctx ends.
func (t *target) run(ctx context.Context) error {
	var exposureDue time.Time
	for {
		t.beat()
		next := targetInterval
		if !t.look(ctx) {
			next = downInterval
		}
		if now := time.Now(); now.After(exposureDue) {
			t.lookAround()
			exposureDue = now.Add(exposureInterval)
		}
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return nil
		}
	}
}

// look opens and closes a connection to the application and reports whether it could. A changed state is logged.
func (t *target) look(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, targetTimeout)
	defer cancel()
	conn, err := t.address.Dial(ctx)
	if err == nil {
		conn.Close()
		t.up.Set(1)
	} else {
		t.up.Set(0)
	}
	t.mu.Lock()
	changed := !t.looked && err != nil || t.looked && (err == nil) != (t.err == nil)
	t.looked, t.err = true, err
	t.mu.Unlock()
	switch {
	case changed && err != nil && ctx.Err() == nil:
		t.log.Warn("the application does not accept connections", "target", t.address.String(), "error", err)
	case changed && err == nil:
		t.log.Info("the application accepts connections", "target", t.address.String())
	}
	return err == nil
}

// accepts is the check "target".
func (t *target) accepts() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil && t.looked {
		return fmt.Errorf("the application does not accept connections at %s: %w", t.address, t.err)
	}
	return t.err
}

// lookAround finds listeners of the target's port beyond loopback: a client inside the cluster that connects to
// the pod's address there speaks plain HTTP to the application.
func (t *target) lookAround() {
	_, port, err := net.SplitHostPort(t.address.Address)
	number, convErr := strconv.ParseUint(port, 10, 16)
	if t.address.Network != "tcp" || err != nil || convErr != nil {
		return
	}
	all, err := procfs.Listening(uint16(number))
	if err != nil {
		t.log.Debug("cannot look for listeners of the target", "error", err)
		return
	}
	beyond := procfs.BeyondLoopback(all)
	t.mu.Lock()
	warn := len(beyond) > 0 && len(t.exposes) == 0
	t.exposes = beyond
	t.mu.Unlock()
	if len(beyond) > 0 {
		t.exposed.Set(1)
	} else {
		t.exposed.Set(0)
	}
	if warn {
		t.log.Warn("the application also listens beyond loopback, so clients can go past the proxy; bind it to 127.0.0.1", "addresses", beyond)
	}
}

// exposure is the note "target-exposure".
func (t *target) exposure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.exposes) == 0 {
		return nil
	}
	var list []string
	for _, a := range t.exposes {
		list = append(list, a.String())
	}
	return fmt.Errorf("the application also listens on %s; bind it to 127.0.0.1", strings.Join(list, ", "))
}

// gone reports whether the application has ended: it refuses connections and works on nothing that came through
// the proxy. Waiting to drain helps nobody then.
func (t *target) gone() bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := t.address.Dial(ctx)
	if err == nil {
		conn.Close()
		return false
	}
	refused := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
	return refused && t.handler.Busy() == 0
}
