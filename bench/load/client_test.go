// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server counts its connections and answers every path with 5 bytes, /gone with 404.
type server struct {
	addr        string
	site        Site
	connections atomic.Int64
	open        atomic.Int64
}

func serve(t *testing.T, config *tls.Config) *server {
	t.Helper()
	s := &server{}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte("12345"))
	}))
	backend.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.connections.Add(1)
			s.open.Add(1)
		case http.StateClosed:
			s.open.Add(-1)
		}
	}
	backend.TLS = config
	backend.StartTLS()
	t.Cleanup(backend.Close)
	s.addr = backend.Listener.Addr().String()
	s.site = Site{Host: "example.com", Leaf: backend.Certificate().Raw}
	return s
}

func TestHandshakesOpenAConnectionForEachRequest(t *testing.T) {
	s := serve(t, nil)
	sample, err := Handshakes{Site: s.site, Path: "/", Size: 5, Clients: 3}.Run(t.Context(), s.addr, 20)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.connections.Load(); n != 20 {
		t.Errorf("%d connections for 20 requests", n)
	}
	if sample[Rate] <= 0 || sample[P50] <= 0 || sample[P99] < sample[P50] {
		t.Errorf("got %v", sample)
	}
}

func TestDownloadsShareAConnection(t *testing.T) {
	s := serve(t, nil)
	sample, err := Downloads{Site: s.site, Path: "/", Size: 5}.Run(t.Context(), s.addr, 20)
	if n := s.connections.Load(); err != nil || n != 1 || sample[MBps] <= 0 {
		t.Errorf("%d connections, %v, %v", n, sample, err)
	}
}

func TestConnectionsStayOpenUntilReleased(t *testing.T) {
	s := serve(t, nil)
	release, err := Connections{Site: s.site, Path: "/", Size: 5}.Hold(t.Context(), s.addr, 10)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.open.Load(); n != 10 {
		t.Errorf("%d of 10 connections are open", n)
	}
	release()
}

func TestLoadsFailOnAnythingButTheAnswer(t *testing.T) {
	s := serve(t, nil)
	other := s.site
	other.Leaf = []byte("another")
	old := serve(t, &tls.Config{MaxVersion: tls.VersionTLS12})
	p256 := serve(t, &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}})
	for _, c := range []struct {
		what, addr, path, want string
		site                   Site
		size                   int64
	}{
		{"a wrong size", s.addr, "/", "5 of 6 bytes", s.site, 6},
		{"a status", s.addr, "/gone", "404", s.site, 5},
		{"a certificate", s.addr, "/", "another certificate", other, 5},
		{"TLS 1.2", old.addr, "/", "protocol version", old.site, 5},
		{"no X25519", p256.addr, "/", "handshake", p256.site, 5},
	} {
		_, handshakes := Handshakes{Site: c.site, Path: c.path, Size: c.size, Clients: 2}.Run(t.Context(), c.addr, 5)
		_, downloads := Downloads{Site: c.site, Path: c.path, Size: c.size}.Run(t.Context(), c.addr, 5)
		_, connections := Connections{Site: c.site, Path: c.path, Size: c.size}.Hold(t.Context(), c.addr, 5)
		for _, err := range []error{handshakes, downloads, connections} {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", c.what, err, c.want)
			}
		}
	}
}

func TestLoadsEndWhenTheyAreCancelled(t *testing.T) {
	s := serve(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (Handshakes{Site: s.site, Path: "/", Size: 5, Clients: 2}).Run(ctx, s.addr, 1000); err == nil {
		t.Error("handshakes went on")
	}
	if _, err := (Downloads{Site: s.site, Path: "/", Size: 5}).Run(ctx, s.addr, 1000); err == nil {
		t.Error("downloads went on")
	}
}

func TestGetReturnsTheBody(t *testing.T) {
	s := serve(t, nil)
	if body, err := s.site.Get(t.Context(), s.addr, "/"); err != nil || string(body) != "12345" {
		t.Errorf("got %q, %v", body, err)
	}
}
