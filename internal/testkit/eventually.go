// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"testing"
	"time"
)

// Patience is how long the testkit waits for anything before it fails the test. It
// is far beyond what any step takes, because a loaded machine under the race
// detector is slow, and a test that fails for that teaches nobody anything.
const Patience = 30 * time.Second

// Eventually calls f until it returns nil, and fails the test with f's last error
// when that takes longer than [Patience]. What names the thing waited for and
// completes the sentence "gave up waiting for ...".
//
//	testkit.Eventually(t, "the new certificate", func() error {
//		if got := serial(addr); got != want {
//			return fmt.Errorf("serial is %s, want %s", got, want)
//		}
//		return nil
//	})
func Eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	EventuallyWithin(t, Patience, what, f)
}

// EventuallyWithin is [Eventually] with a deadline of its own.
func EventuallyWithin(t testing.TB, within time.Duration, what string, f func() error) {
	t.Helper()
	if err := poll(within, f); err != nil {
		t.Fatalf("gave up waiting for %s after %s: %v", what, within, err)
	}
}

// poll calls f until it returns nil or the time is up, then returns its last error.
// The pause between calls grows from 2 ms to 50 ms: most things are there at once.
func poll(within time.Duration, f func() error) error {
	deadline := time.Now().Add(within)
	pause := 2 * time.Millisecond
	for {
		err := f()
		if err == nil || !time.Now().Before(deadline) {
			return err
		}
		time.Sleep(min(pause, time.Until(deadline)))
		pause = min(2*pause, 50*time.Millisecond)
	}
}
