// SPDX-License-Identifier: Apache-2.0

package logging_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outrigger/outrigger/internal/logging"
)

func TestDurationsAreReadableInBothFormats(t *testing.T) {
	for format, want := range map[string]string{"json": `"after":"1.5s"`, "text": "after=1.5s"} {
		var out bytes.Buffer
		logging.New(&out, format, slog.LevelInfo).Info("done", "after", 1500*time.Millisecond)
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: got %s", format, out.String())
		}
	}
}

func TestTheLevelChangesWhileRunning(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log := logging.New(&out, "json", level)
	log.Debug("unseen")
	level.Set(slog.LevelDebug)
	log.Debug("seen")
	if text := out.String(); strings.Contains(text, "unseen") || !strings.Contains(text, `"seen"`) {
		t.Errorf("got %s", text)
	}
}

// limited returns a Limiter and what it has logged so far, without the times.
func limited() (*logging.Limiter, func() string) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return logging.Limit(log, time.Minute), func() string {
		defer out.Reset()
		return out.String()
	}
}

func TestARepeatedMessageIsLoggedOncePerIntervalWithACount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, logged := limited()
		want := func(text string) {
			t.Helper()
			if got := logged(); got != text {
				t.Errorf("got %q, want %q", got, text)
			}
		}
		l.Warn("cannot reach upstream", "try", 1)
		want("level=WARN msg=\"cannot reach upstream\" try=1\n")
		l.Warn("cannot reach upstream", "try", 2)
		l.Warn("cannot reach upstream", "try", 3)
		want("")
		l.Error("another")
		want("level=ERROR msg=another\n")
		time.Sleep(time.Minute)
		l.Warn("cannot reach upstream", "try", 4)
		want("level=WARN msg=\"cannot reach upstream\" try=4 suppressed=2\n")
		time.Sleep(time.Minute)
		l.Warn("cannot reach upstream", "try", 5)
		want("level=WARN msg=\"cannot reach upstream\" try=5\n")
		l.Info("cannot reach upstream")
		l.Flush()
		want("level=INFO msg=\"cannot reach upstream\" suppressed=1\n")
		l.Flush()
		want("")
	})
}

func TestWhatIsNotLoggedIsNotCounted(t *testing.T) {
	l, logged := limited()
	l.Log(slog.LevelDebug, "detail")
	l.Log(slog.LevelDebug, "detail")
	if l.Flush(); logged() != "" {
		t.Error("the suppressed debug messages were counted")
	}
}

func TestALimiterIsBoundedAndSafe(t *testing.T) {
	l, _ := limited()
	done := make(chan struct{})
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 2000 {
				l.Warn("message " + strings.Repeat("x", i%700))
			}
		}()
	}
	for range 4 {
		<-done
	}
}
