// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/address"
	"github.com/outrigger/outrigger/internal/testkit"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/accesslog"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/forward"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

// options are what a test changes of the defaults.
type options struct {
	forward  forward.Options
	frontend frontend.Options
	network  string // "unix" for a listener on a unix socket
}

// proxy is the whole way of a request: frontend, forward and access log on real sockets.
type proxy struct {
	t       *testing.T
	addr    string
	ca      *testkit.CA
	front   *frontend.Frontend
	handler *forward.Handler
	metrics *prometheus.Registry
	lines   *buffer // of the access log
	log     *buffer // of the program
}

// newProxy starts a proxy in front of target with the defaults of the program, changed by tune.
func newProxy(t *testing.T, target string, tune ...func(*options)) *proxy {
	t.Helper()
	p := &proxy{t: t, ca: testkit.NewCA(t), metrics: prometheus.NewRegistry(), lines: new(buffer), log: new(buffer)}
	var o options
	if err := o.forward.Target.UnmarshalText([]byte(target)); err != nil {
		t.Fatal(err)
	}
	lines := accesslog.New(p.lines, accesslog.JSON, nil)
	o.forward.Log = slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.forward.AccessLog, o.forward.Metrics = lines, forward.NewMetrics(p.metrics)
	o.forward.RewriteRedirects, o.forward.KeepAlive = true, 64
	o.forward.Draining = func() bool { return p.front.Draining() }
	for _, f := range tune {
		f(&o)
	}
	p.handler = forward.New(o.forward)
	o.frontend.TLS = p.ca.Issue("localhost", "127.0.0.1").ServerConfig()
	o.frontend.TLS.NextProtos = []string{"h2", "http/1.1"}
	o.frontend.Handler, o.frontend.Log, o.frontend.Metrics = p.handler, o.forward.Log, frontend.NewMetrics(p.metrics)
	p.front = frontend.New(o.frontend)
	p.serve(o.network)
	ctx, stop := context.WithCancel(context.Background())
	var logging sync.WaitGroup
	logging.Go(func() { _ = lines.Run(ctx) })
	t.Cleanup(func() {
		p.handler.Close()
		p.front.Close()
		stop()
		logging.Wait()
	})
	return p
}

// serve listens and accepts until the test ends.
func (p *proxy) serve(network string) {
	p.t.Helper()
	listen := "127.0.0.1:0"
	if network == "unix" {
		listen = "unix:" + testkit.SocketPath(p.t)
	}
	var l address.Listen
	if err := l.UnmarshalText([]byte(listen)); err != nil {
		p.t.Fatal(err)
	}
	bound, err := l.Bind(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	p.addr = bound.Addr().String()
	if network == "unix" {
		p.addr = listen
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		if err := p.front.Serve(bound); err != nil {
			p.t.Error(err)
		}
	})
	p.t.Cleanup(accepting.Wait) // runs after the frontend is closed
}

// dial is a client that speaks HTTP/1.1, byte by byte.
func (p *proxy) dial() *testkit.RawConn {
	p.t.Helper()
	return testkit.DialRawTLS(p.t, p.addr, p.ca.ClientConfig("localhost"))
}

// ask sends one request on a connection of its own and reads the answer.
func (p *proxy) ask(raw string) testkit.RawResponse {
	p.t.Helper()
	method, _, _ := strings.Cut(raw, " ")
	c := p.dial()
	defer c.Close()
	c.Send(raw)
	return c.ReadResponse(method)
}

// get sends a plain GET and reads the answer.
func (p *proxy) get(target string) testkit.RawResponse {
	p.t.Helper()
	return p.ask("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

// client is a client of one protocol: "http/1.1" or "h2".
func (p *proxy) client(protocol string) *http.Client {
	tr := &http.Transport{
		TLSClientConfig:    p.ca.ClientConfig("localhost"),
		DisableCompression: true,
		Protocols:          new(http.Protocols),
	}
	tr.Protocols.SetHTTP1(protocol == "http/1.1")
	tr.Protocols.SetHTTP2(protocol == "h2")
	tr.ExpectContinueTimeout = time.Minute
	p.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// protocols are those that clients speak.
var protocols = []string{"http/1.1", "h2"}

// url is the proxy's, with a path.
func (p *proxy) url(path string) string { return "https://" + p.addr + path }

// do sends a request and reads the answer whole.
func (p *proxy) do(c *http.Client, req *http.Request) (testkit.Answer, error) {
	resp, err := c.Do(req)
	if err != nil {
		return testkit.Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return testkit.Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, err
}

// request makes a request to the proxy.
func (p *proxy) request(method, path string, body io.Reader) *http.Request {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url(path), body)
	if err != nil {
		p.t.Fatal(err)
	}
	return req
}

// line waits for the nth line of the access log, from 1.
func (p *proxy) line(n int) map[string]any {
	p.t.Helper()
	var entry map[string]any
	testkit.Eventually(p.t, fmt.Sprintf("line %d of the access log", n), func() error {
		lines := strings.Split(p.lines.String(), "\n")
		if len(lines) <= n { // the last one is empty
			return fmt.Errorf("%d came", len(lines)-1)
		}
		return json.Unmarshal([]byte(lines[n-1]), &entry)
	})
	return entry
}

// expectEnd waits for the nth line of the access log and judges its status and end.
func (p *proxy) expectEnd(n, status int, end string) {
	p.t.Helper()
	if e := p.line(n); e["status"] != float64(status) || e["end"] != end {
		p.t.Errorf("the access log says status %v, end %v; want %d, %s", e["status"], e["end"], status, end)
	}
}

// metric is the sum of a metric's samples whose labels include all of labels, given as "name=value".
func (p *proxy) metric(name string, labels ...string) float64 {
	p.t.Helper()
	families, err := p.metrics.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := map[string]bool{}
			for _, pair := range m.GetLabel() {
				have[pair.GetName()+"="+pair.GetValue()] = true
			}
			if !slices.ContainsFunc(labels, func(l string) bool { return !have[l] }) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// awaitMetric waits until a metric has a value.
func (p *proxy) awaitMetric(want float64, name string, labels ...string) {
	p.t.Helper()
	testkit.Eventually(p.t, name, func() error {
		if got := p.metric(name, labels...); got != want {
			return fmt.Errorf("it is %v, want %v", got, want)
		}
		return nil
	})
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// h2cApp is an application that speaks cleartext HTTP/2; it returns its target.
func h2cApp(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	l := listenTCP(t)
	server := &http.Server{Handler: handler, Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), DisableGeneralOptionsHandler: true}
	server.Protocols.SetUnencryptedHTTP2(true)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return "h2c://" + l.Addr().String()
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// dialing is client with every host name at the proxy's address.
func dialing(p *proxy, protocol string) *http.Client {
	c := p.client(protocol)
	tr := c.Transport.(*http.Transport)
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", p.addr)
	}
	return c
}

// pace is the time between two bytes of a slow peer, which a test plays.
func pace(d time.Duration) { <-time.After(d) }
