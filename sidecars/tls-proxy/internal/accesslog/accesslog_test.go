// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

func sample() *Entry {
	return &Entry{
		Time:   time.Date(2026, 3, 1, 12, 30, 45, 678_000_000, time.FixedZone("CET", 3600)),
		Method: "POST", Path: "/cart", Proto: "HTTP/2.0", Host: "shop.test", Status: 201, RequestBytes: 12, Bytes: 345,
		Duration: 1234567 * time.Nanosecond, Upstream: 987 * time.Microsecond,
		TLSVersion: "TLS 1.3", Curve: "X25519MLKEM768", ALPN: "h2", ServerName: "shop.test", Resumed: true,
		Client: "192.0.2.7", RequestID: "abc", End: "ok",
	}
}

func TestAJSONLineHoldsEveryField(t *testing.T) {
	var got map[string]any
	if err := json.Unmarshal(sample().appendJSON(nil), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"time": "2026-03-01T11:30:45.678Z", "method": "POST", "path": "/cart", "proto": "HTTP/2.0", "host": "shop.test",
		"status": 201.0, "request_bytes": 12.0, "bytes": 345.0, "duration_ms": 1.234, "upstream_ms": 0.987,
		"tls_version": "TLS 1.3", "curve": "X25519MLKEM768", "alpn": "h2", "sni": "shop.test", "resumed": true,
		"client": "192.0.2.7", "request_id": "abc", "end": "ok",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	line := string((&Entry{Method: "GET", Path: "/", Status: 400, End: "bad_target"}).appendJSON(nil))
	for _, key := range []string{"upstream_ms", "client", "sni", "alpn", "curve", "host", "request_id"} {
		if strings.Contains(line, `"`+key+`"`) {
			t.Errorf("%s is in %s", key, line)
		}
	}
}

func TestACommonLineIsTheCommonLogFormat(t *testing.T) {
	want := `192.0.2.7 - - [01/Mar/2026:11:30:45 +0000] "POST /cart HTTP/2.0" 201 345` + "\n"
	if got := string(sample().appendCommon(nil)); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	e := sample()
	e.Client, e.Path = "", "/a\"b\n"
	want = `- - - [01/Mar/2026:11:30:45 +0000] "POST /a\"b\u000a HTTP/2.0" 201 345` + "\n"
	if got := string(e.appendCommon(nil)); got != want {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestLinesAreWrittenWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		ctx, cancel := context.WithCancel(t.Context())
		l := New(&out, JSON, nil)
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Run(ctx) })
		for round := range 3 {
			l.Write(sample())
			l.Write(sample())
			time.Sleep(FlushInterval)
			synctest.Wait()
			if got, want := out.lines(), 2*(round+1); got != want {
				t.Errorf("%d lines were written after round %d, want %d", got, round, want)
			}
		}
		l.Write(sample())
		cancel()
		wg.Wait()
		if got := out.lines(); got != 7 {
			t.Errorf("%d lines were written at the end, want 7", got)
		}
	})
}

func TestManyLinesAreWrittenBeforeTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		ctx, cancel := context.WithCancel(t.Context())
		l := New(&out, JSON, nil)
		var wg sync.WaitGroup
		wg.Go(func() { _ = l.Run(ctx) })
		for range 1000 {
			l.Write(sample())
		}
		synctest.Wait() // no time passes
		if out.lines() == 0 {
			t.Error("nothing was written although the buffer is large")
		}
		cancel()
		wg.Wait()
		if got := out.lines(); got != 1000 {
			t.Errorf("%d lines, want 1000", got)
		}
	})
}

// A reader that has stopped, such as a full pipe, must cost lines, never a request; each lost line is counted.
func TestABlockedReaderHoldsUpNobodyAndEveryLostLineIsCounted(t *testing.T) {
	reader, writer := io.Pipe()
	var dropped atomic.Int64
	l := New(writer, JSON, func(n int) { dropped.Add(int64(n)) })
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	const written = 20_000
	for range written {
		l.Write(sample()) // returns although nobody reads
	}
	if dropped.Load() == 0 {
		t.Fatal("no line was dropped although far more than MaxBuffered was written")
	}
	counted := make(chan int)
	go func() {
		all, _ := io.ReadAll(reader)
		counted <- bytes.Count(all, []byte("\n"))
	}()
	cancel()
	wg.Wait()
	writer.Close()
	if read := <-counted; int64(read)+dropped.Load() != written {
		t.Errorf("%d lines read and %d dropped do not make %d", read, dropped.Load(), written)
	}
}

func TestAReaderThatHasStoppedDoesNotKeepTheProgramFromEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		var dropped atomic.Int64
		l := New(writer, JSON, func(n int) { dropped.Add(int64(n)) })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			_ = l.Run(ctx)
			close(ended)
		}()
		l.Write(sample())
		time.Sleep(FlushInterval)
		synctest.Wait() // the writer is blocked with this line
		l.Write(sample())
		l.Write(sample())
		cancel()
		<-ended
		if dropped.Load() != 2 {
			t.Errorf("%d lines are counted as dropped, want the 2 that nobody took", dropped.Load())
		}
		reader.Close()
	})
}

func TestLinesThatCannotBeWrittenAreCounted(t *testing.T) {
	var dropped int
	l := New(failingWriter{}, Common, func(n int) { dropped += n })
	l.Write(sample())
	l.Write(sample())
	l.Flush()
	if dropped != 2 {
		t.Errorf("%d lines counted, want 2", dropped)
	}
}

func TestOffWritesNothing(t *testing.T) {
	var out lockedBuffer
	l := New(&out, Off, nil)
	l.Write(sample())
	l.Flush()
	if l.Enabled() || out.lines() != 0 {
		t.Error("a log that is off has written")
	}
}

func FuzzJSONLinesAreAlwaysJSON(f *testing.F) {
	f.Add("/", "shop.test", "GET", int64(time.Second))
	f.Add("/\xff\"\\\x00\n", "\u2028", "\x7f", int64(-1))
	f.Fuzz(func(t *testing.T, path, host, method string, duration int64) {
		e := sample()
		e.Path, e.Host, e.Method, e.Duration = path, host, method, time.Duration(duration)
		line := e.appendJSON(nil)
		var got struct{ Path, Host string }
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if utf8.ValidString(path) && got.Path != path {
			t.Errorf("path %q came out as %q", path, got.Path)
		}
		if bytes.Count(line, []byte("\n")) != 1 || bytes.Count(e.appendCommon(nil), []byte("\n")) != 1 {
			t.Errorf("more than one line: %s", line)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	l := New(io.Discard, JSON, nil)
	e := sample()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Write(e)
		if i%100 == 0 {
			l.Flush()
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) lines() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte("\n"))
}
