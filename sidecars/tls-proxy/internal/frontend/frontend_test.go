// SPDX-License-Identifier: Apache-2.0

package frontend_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/testkit"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

// front is a frontend on a port of its own.
type front struct {
	*frontend.Frontend
	t       *testing.T
	addr    string
	ca      *testkit.CA
	metrics *prometheus.Registry
	served  chan error // what Serve returned
}

func serve(t *testing.T, handler http.HandlerFunc, tune ...func(*frontend.Options)) *front {
	t.Helper()
	f := &front{t: t, ca: testkit.NewCA(t), metrics: prometheus.NewRegistry(), served: make(chan error, 1)}
	o := frontend.Options{
		TLS: f.ca.Issue("localhost", "127.0.0.1").ServerConfig(), Handler: handler,
		Log: slog.New(slog.DiscardHandler), Metrics: frontend.NewMetrics(f.metrics),
	}
	o.TLS.NextProtos = []string{"h2", "http/1.1"}
	for _, change := range tune {
		change(&o)
	}
	f.Frontend = frontend.New(o)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	go func() { f.served <- f.Serve(l) }()
	t.Cleanup(func() {
		f.Close()
		if err := <-f.served; err != nil {
			t.Error(err)
		}
	})
	return f
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

func (f *front) config(protocols ...string) *tls.Config {
	config := f.ca.ClientConfig("localhost")
	config.NextProtos = protocols
	return config
}

func (f *front) dial(protocols ...string) *testkit.RawConn {
	f.t.Helper()
	return testkit.DialRawTLS(f.t, f.addr, f.config(protocols...))
}

// metric is the sum of a metric's samples that have a label of the given value, of all samples where it is "".
func (f *front) metric(name, value string) float64 {
	f.t.Helper()
	families, err := f.metrics.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	var sum float64
	for _, family := range families {
		for _, m := range family.GetMetric() {
			match := value == ""
			for _, pair := range m.GetLabel() {
				match = match || pair.GetValue() == value
			}
			if family.GetName() == name && match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func (f *front) await(want float64, name, value string) {
	f.t.Helper()
	testkit.Eventually(f.t, name+" "+value, func() error {
		if got := f.metric(name, value); got != want {
			return fmt.Errorf("it is %v, want %v", got, want)
		}
		return nil
	})
}

func TestAConnectionTellsItsHandlerWhatItsHandshakeSettled(t *testing.T) {
	seen := make(chan *frontend.Conn, 1)
	f := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- frontend.ConnOf(r.Context()) })
	for _, alpn := range []string{"h2", "http/1.1", ""} {
		if alpn == "h2" {
			tr := &http.Transport{TLSClientConfig: f.config(), ForceAttemptHTTP2: true}
			resp, err := (&http.Client{Transport: tr}).Get("https://" + f.addr)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			tr.CloseIdleConnections()
		} else {
			f.dial(strings.Fields(alpn)...).Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		}
		c := <-seen
		if c.ALPN != alpn || c.ClientIP != "127.0.0.1" || !c.ClientAddr.IsLoopback() || c.Version != "TLS 1.3" || c.Curve != "X25519MLKEM768" || c.Resumed || c.ServerName != "localhost" {
			t.Errorf("%q: %s %s %s %q %v", alpn, c.ClientIP, c.Version, c.Curve, c.ALPN, c.Resumed)
		}
	}
	f.await(3, "tls_proxy_tls_connections_total", "TLS 1.3")
	f.await(3, "tls_proxy_tls_handshakes_total", "ok")
}

func TestAnIPv4ClientOfADualStackListenerIsAnIPv4Address(t *testing.T) {
	seen := make(chan string, 1)
	f := serve(t, func(_ http.ResponseWriter, r *http.Request) { seen <- frontend.ConnOf(r.Context()).ClientIP })
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Serve(l) }()
	c := testkit.DialRawTLS(t, fmt.Sprintf("127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port), f.config())
	c.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := <-seen; got != "127.0.0.1" {
		t.Errorf("client %s", got)
	}
	f.StopAccepting()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPlainHTTPIsToldToUseHTTPS(t *testing.T) {
	f := serve(t, ok)
	for n, raw := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("x", 200000), // more than is read of it
		"OPTIONS * HTTP/1.0\r\n\r\n",
	} {
		c := testkit.DialRaw(t, f.addr)
		_ = c.TrySend(raw)
		answer, err := c.ReadAll()
		if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 400 Bad Request\r\n") || !strings.HasSuffix(answer, "\r\n\r\nThis port speaks HTTPS: use https:// in the URL.\n") {
			t.Errorf("%.20q: %q %v", raw, answer, err)
		}
		f.await(float64(n+1), "tls_proxy_tls_handshakes_total", "plain_http")
	}
}

func TestFailedHandshakesAreCountedByReason(t *testing.T) {
	f := serve(t, ok, func(o *frontend.Options) {
		o.HandshakeTimeout = 100 * time.Millisecond
		o.TLS.MinVersion = tls.VersionTLS12
		o.TLS.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	})
	handshake := func(change func(*tls.Config)) {
		config := f.config()
		change(config)
		conn, err := tls.Dial("tcp", f.addr, config)
		if err == nil {
			_, err = conn.Read(make([]byte, 1)) // TLS 1.3 tells of a refusal behind the handshake
			_ = conn.Close()
		}
		if err == nil {
			t.Error("the handshake was fine")
		}
	}
	handshake(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
	f.await(1, "tls_proxy_tls_handshakes_total", "unsupported_version")
	handshake(func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
	})
	f.await(1, "tls_proxy_tls_handshakes_total", "no_shared_cipher")
	handshake(func(c *tls.Config) { c.NextProtos = []string{"smtp"} })
	f.await(1, "tls_proxy_tls_handshakes_total", "no_shared_protocol")
	handshake(func(c *tls.Config) { c.RootCAs = testkit.NewCA(t).Pool() })
	f.await(1, "tls_proxy_tls_handshakes_total", "client_alert")
	c := testkit.DialRaw(t, f.addr)
	c.Send("SSH-2.0-OpenSSH_9.2\r\n")
	_, _ = c.ReadAll()
	f.await(1, "tls_proxy_tls_handshakes_total", "not_tls")
	testkit.DialRaw(t, f.addr).Close()
	f.await(1, "tls_proxy_tls_handshakes_total", "client_closed")
	testkit.DialRaw(t, f.addr).Reset()
	f.await(2, "tls_proxy_tls_handshakes_total", "client_closed")
	for _, part := range []string{"", "\x16\x03\x01\x02\x00\x01"} { // silent, and silent in the middle
		c := testkit.DialRaw(t, f.addr)
		c.Send(part)
		_, _ = c.ReadAll()
	}
	f.await(2, "tls_proxy_tls_handshakes_total", "timeout")
	if n := f.metric("tls_proxy_connections_open", ""); n != 0 {
		t.Errorf("%v connections are open", n)
	}
}

func TestASlowHandshakeHoldsUpNobodyElse(t *testing.T) {
	f := serve(t, ok)
	for range 50 {
		testkit.DialRaw(t, f.addr) // connects and says nothing
	}
	c := f.dial()
	c.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := c.ReadResponse("GET"); r.Status() != 200 {
		t.Errorf("answer: %q", r.Head)
	}
}

func TestARequestHeadHasADeadlineAndAConnectionBetweenRequestsAnother(t *testing.T) {
	t.Parallel()
	f := serve(t, ok, func(o *frontend.Options) { o.HeaderTimeout, o.IdleTimeout = 200*time.Millisecond, 300*time.Millisecond })
	never := f.dial()
	partly := f.dial()
	partly.Send("GET / HTTP/1.1\r\nHost: h\r\nX-Sl")
	between := f.dial()
	between.Send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if r := between.ReadResponse("GET"); r.Status() != 200 {
		t.Errorf("answer: %q", r.Head)
	}
	dripping := f.dial() // each byte comes in time, the head as a whole does not
	drip := make(chan struct{})
	go func() {
		defer close(drip)
		for range 1000 {
			if dripping.TrySend("G") != nil {
				return
			}
			pace(20 * time.Millisecond)
		}
		t.Error("the head never ended and neither did the connection")
	}()
	for name, c := range map[string]*testkit.RawConn{"never": never, "partly": partly, "between": between} {
		// net/http answers 400 to a part of a head; what counts is the end.
		if rest, err := c.ReadAll(); rest != "" && name != "partly" || err != nil {
			t.Errorf("%s: %q %v", name, rest, err)
		}
	}
	<-drip
	f.await(0, "tls_proxy_connections_open", "")
}

func TestAnIdleHTTP2ConnectionIsToldToLeave(t *testing.T) {
	t.Parallel()
	f := serve(t, ok, func(o *frontend.Options) { o.IdleTimeout = 200 * time.Millisecond })
	c := f.dial("h2")
	c.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	sent, _ := c.ReadAll()
	if !hasFrame(sent, 7) {
		t.Errorf("no GOAWAY among %x", sent)
	}
}

// hasFrame reports whether a stream of HTTP/2 frames holds one of a type (RFC 9113, section 4.1).
func hasFrame(stream string, kind byte) bool {
	for len(stream) >= 9 {
		if stream[3] == kind {
			return true
		}
		stream = stream[min(9+(int(stream[0])<<16|int(stream[1])<<8|int(stream[2])), len(stream)):]
	}
	return false
}

func TestAHeadThatIsTooLargeIsRefused(t *testing.T) {
	f := serve(t, ok, func(o *frontend.Options) { o.MaxHeaderBytes = 8 << 10 })
	for size, want := range map[int]int{1 << 10: 200, 7 << 10: 200, 16 << 10: 431, 1 << 20: 431} {
		c := f.dial()
		_ = c.TrySend("GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", size) + "\r\n\r\n")
		if r := c.ReadResponse("GET"); r.Status() != want {
			t.Errorf("%d bytes over HTTP/1.1: %q", size, r.Head)
		}
		c.Close()
		if size > 64<<10 {
			continue // the client's library refuses it before the server can
		}
		tr := &http.Transport{TLSClientConfig: f.config(), ForceAttemptHTTP2: true}
		req, _ := http.NewRequest("GET", "https://"+f.addr, nil)
		req.Header.Set("X", strings.Repeat("x", size))
		resp, err := (&http.Client{Transport: tr}).Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if want == 200 && (err != nil || resp.StatusCode != 200) || want != 200 && err == nil && resp.StatusCode != want {
			t.Errorf("%d bytes over HTTP/2: %v %v", size, resp, err)
		}
		tr.CloseIdleConnections()
	}
}

func TestConcurrentStreamsOfAConnectionAreCapped(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	full, gate := make(chan struct{}), make(chan struct{})
	f := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		now++
		most = max(most, now)
		if now == 3 {
			close(full)
		}
		mu.Unlock()
		<-gate
		mu.Lock()
		now--
		mu.Unlock()
	}, func(o *frontend.Options) { o.MaxStreams = 3 })
	c := f.dial("h2")
	c.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	for stream := byte(1); stream <= 19; stream += 2 { // whatever the settings say
		c.Send("\x00\x00\x03\x01\x05\x00\x00\x00" + string([]byte{stream}) + "\x82\x87\x84") // GET https: /
	}
	<-full
	refused := 0
	for refused < 7 {
		head := c.ReadN(9)
		payload := c.ReadN(int(head[0])<<16 | int(head[1])<<8 | int(head[2]))
		if head[3] == 3 && payload == "\x00\x00\x00\x07" { // REFUSED_STREAM
			refused++
		}
	}
	close(gate)
	mu.Lock()
	defer mu.Unlock()
	if most != 3 {
		t.Errorf("%d streams at once, want 3", most)
	}
}

func TestLargeResponsesArriveWhole(t *testing.T) {
	body := make([]byte, 3<<20+12345)
	for i := range body {
		body[i] = byte(i * 7)
	}
	f := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for rest := body; len(rest) > 0; { // writes of every size, below and above a record
			n := min(len(rest), 1+len(rest)%100000)
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
	})
	for _, protocol := range []string{"http/1.1", "h2"} {
		tr := &http.Transport{TLSClientConfig: f.config(), Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(protocol == "http/1.1")
		tr.Protocols.SetHTTP2(protocol == "h2")
		resp, err := (&http.Client{Transport: tr}).Get("https://" + f.addr)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes, %v", protocol, len(got), err)
		}
		tr.CloseIdleConnections()
	}
}

// pace is the time between two bytes of a slow peer, which a test plays.
func pace(d time.Duration) { <-time.After(d) }
