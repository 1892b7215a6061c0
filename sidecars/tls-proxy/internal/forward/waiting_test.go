// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/address"
)

func TestNoMoreRequestsWaitThanTheLimit(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := address.Target{Network: "tcp", Address: l.Addr().String()}
	_ = l.Close() // nobody listens there now
	d := newDialer(Options{Target: target, ConnectTimeout: time.Second, Hold: 10 * time.Millisecond, Metrics: NewMetrics(prometheus.NewRegistry())})
	defer d.stop()
	d.waiting.Store(maxWaiting - 1)
	if _, err := d.dial(t.Context()); errors.Is(err, errHoldFull) || !refused(err) {
		t.Errorf("the last who may wait: %v", err)
	}
	d.waiting.Store(maxWaiting)
	if _, err := d.dial(t.Context()); !errors.Is(err, errHoldFull) {
		t.Errorf("one more: %v", err)
	}
	if n := d.waiting.Load(); n != maxWaiting {
		t.Errorf("%d wait, want %d", n, maxWaiting)
	}
	if f := dialFailure(errHoldFull); f.status != 503 || f.reason != "hold_full" {
		t.Errorf("it becomes %v", f)
	}
	d.waiting.Store(0)
}

func TestTheWatchdogBitesACallThatWaitsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		bitten := make(chan time.Duration, 1)
		d := &watchdog{idle: time.Second, bite: func() { bitten <- time.Since(start) }}
		for range 5 { // calls that end in time, with long pauses between them
			d.enter()
			time.Sleep(999 * time.Millisecond)
			if d.leave() {
				t.Fatal("it bit a call that ended in time")
			}
			time.Sleep(10 * time.Second)
		}
		start = time.Now()
		d.enter()
		if took := <-bitten; took != time.Second {
			t.Errorf("it bit after %s", took)
		}
		if !d.leave() {
			t.Error("it does not know of the bite")
		}
		d.enter() // no second bite
		time.Sleep(10 * time.Second)
		d.stop()
		if len(bitten) > 0 {
			t.Error("it bit twice")
		}
	})
}

func TestAWatchdogThatWasStoppedDoesNotBite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &watchdog{idle: time.Second, bite: func() { t.Error("it bit") }}
		d.enter()
		time.Sleep(time.Second - 1)
		d.stop()
		time.Sleep(time.Minute)
		d.enter()
		time.Sleep(time.Minute)
	})
}
