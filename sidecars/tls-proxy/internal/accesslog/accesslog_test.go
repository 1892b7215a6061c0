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

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 2, 12, 0, 0, 123456789, time.FixedZone("", 3600))

func entry() *Entry {
	return &Entry{
		Time: noon, Method: "GET", Path: "/a%2Fb", Proto: "HTTP/1.1", Host: "shop.example", Status: 200, RequestBytes: 3, Bytes: 42,
		Duration: 1234567 * time.Nanosecond, Upstream: 1001 * time.Microsecond, TLSVersion: "TLS 1.3", Curve: "X25519MLKEM768", ALPN: "h2",
		ServerName: "shop.example", Resumed: true, Client: "::1", RequestID: "0af", End: "ok",
	}
}

func TestTheLineOfARequest(t *testing.T) {
	const asJSON = `{"time":"2026-01-02T11:00:00.123Z","method":"GET","path":"/a%2Fb","status":200,"bytes":42,"duration_ms":1.234,"upstream_ms":1.001,"end":"ok",` +
		`"client":"::1","host":"shop.example","proto":"HTTP/1.1","request_bytes":3,"tls_version":"TLS 1.3","curve":"X25519MLKEM768","alpn":"h2","sni":"shop.example","resumed":true,"request_id":"0af"}` + "\n"
	const asCommon = `::1 - - [02/Jan/2026:11:00:00 +0000] "GET /a%2Fb HTTP/1.1" 200 42` + "\n"
	for format, want := range map[Format]string{JSON: asJSON, Common: asCommon, Off: ""} {
		var out bytes.Buffer
		log := New(&out, format, nil)
		log.Write(entry())
		log.Flush()
		if diff := cmp.Diff(want, out.String()); diff != "" || log.Enabled() != (format != Off) {
			t.Errorf("%s: %s", format, diff)
		}
	}
}

func TestWhatIsNotKnownIsLeftOut(t *testing.T) {
	var out bytes.Buffer
	log := New(&out, JSON, nil)
	log.Write(&Entry{Time: noon, Method: "GET", Status: 400})
	log.Flush()
	const want = `{"time":"2026-01-02T11:00:00.123Z","method":"GET","status":400,"bytes":0,"duration_ms":0.000,"request_bytes":0,"resumed":false}` + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	log = New(&out, Common, nil)
	log.Write(&Entry{Time: noon, Method: "GET", Path: `/"\` + "\x01\xff", Proto: "HTTP/1.1", Status: 400})
	log.Flush()
	if got := out.String(); got != `- - - [02/Jan/2026:11:00:00 +0000] "GET /\"\\\u0001`+"\ufffd"+` HTTP/1.1" 400 0`+"\n" {
		t.Errorf("line %q", got)
	}
}

func FuzzEntryIsOneLineOfJSON(f *testing.F) {
	f.Add("GET", "/a\"\\\x00\x7f\u2028\xff", "h", "id", "ok", int64(3), int64(-1), 200)
	f.Add("", "", "\xed\xa0\x80", "\ufffd", "\r\n", int64(-1<<63), int64(1<<63-1), -5)
	f.Fuzz(func(t *testing.T, method, path, host, id, end string, duration, size int64, status int) {
		e := &Entry{
			Time: noon, Method: method, Path: path, Proto: host, Host: host, Status: status, RequestBytes: size, Bytes: size, Duration: time.Duration(duration),
			Upstream: time.Duration(duration), TLSVersion: id, Curve: path, ALPN: method, ServerName: host, Client: end, RequestID: id, End: end,
		}
		line := e.appendJSON(nil)
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil || bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
			t.Fatalf("%q: %v", line, err)
		}
		want := strings.ToValidUTF8(path, "\ufffd")
		if have, _ := got["path"].(string); len([]rune(have)) != len([]rune(path)) && have != want {
			t.Errorf("path %q became %q", path, have)
		}
		if common := e.appendCommon(nil); bytes.Count(common, []byte("\n")) != 1 && !strings.Contains(host+end, "\n") {
			t.Errorf("%q", common)
		}
	})
}

// synced is a writer for several goroutines.
type synced struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *synced) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *synced) lines() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.buf.Bytes(), []byte("\n"))
}

func TestALineIsWrittenWithin100Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(synced)
		log := New(out, JSON, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = log.Run(ctx) }()
		want := 0
		for _, pause := range []time.Duration{0, 10 * time.Millisecond, FlushInterval, FlushInterval - 1, time.Hour} {
			time.Sleep(pause)
			log.Write(entry())
			want++
			time.Sleep(FlushInterval)
			synctest.Wait()
			if n := out.lines(); n != want {
				t.Errorf("%s after a pause of %s, %d lines are written, want %d", FlushInterval, pause, n, want)
			}
		}
		log.Write(entry())
		stop()
		<-done
		if n := out.lines(); n != want+1 {
			t.Errorf("%d lines at the end, want %d", n, want+1)
		}
	})
	if FlushInterval > 100*time.Millisecond {
		t.Errorf("the interval is %s", FlushInterval)
	}
}

func TestManyLinesAreNotHeldForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := new(synced)
		log := New(out, JSON, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = log.Run(ctx) }()
		start := time.Now()
		for range 1000 {
			log.Write(entry())
		}
		synctest.Wait()
		if n := out.lines(); n == 0 || !time.Now().Equal(start) {
			t.Errorf("%d lines are written after %s", n, time.Since(start))
		}
		stop()
		<-done
		if n := out.lines(); n != 1000 {
			t.Errorf("%d lines at the end", n)
		}
	})
}

func TestABlockedReaderBlocksNoRequestAndLossesAreCounted(t *testing.T) {
	read, write := io.Pipe()
	var dropped atomic.Int64
	log := New(write, JSON, func(lines int) { dropped.Add(int64(lines)) })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = log.Run(ctx) }()
	const total = 20_000 // several times what is kept
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range total / 4 {
				log.Write(entry())
			}
		})
	}
	writers.Wait() // nobody has read a byte
	if dropped.Load() == 0 {
		t.Error("nothing was dropped, although nobody reads")
	}
	got := make(chan int)
	go func() {
		lines := 0
		var one [64 << 10]byte
		for {
			n, err := read.Read(one[:])
			lines += bytes.Count(one[:n], []byte("\n"))
			if err != nil {
				got <- lines
				return
			}
		}
	}()
	stop()
	<-done
	_ = write.Close()
	if lines := <-got; int64(lines)+dropped.Load() != total || lines > MaxBuffered/200*2 {
		t.Errorf("%d lines came and %d were dropped, of %d", lines, dropped.Load(), total)
	}
}

func TestLinesThatCannotBeWrittenAreCounted(t *testing.T) {
	dropped := 0
	log := New(brokenWriter{}, JSON, func(lines int) { dropped += lines })
	for range 3 {
		log.Write(entry())
	}
	log.Flush()
	if dropped != 3 {
		t.Errorf("%d are counted, want 3", dropped)
	}
	New(brokenWriter{}, JSON, nil).Flush() // without lines and without anybody who counts
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }
