// SPDX-License-Identifier: Apache-2.0

// Package tlsproxy compares tls-proxy with nginx, HAProxy and Caddy, and with the floor: the smallest
// reverse proxy that Go's standard library makes. All terminate TLS in front of one backend, with the
// same certificate, cipher, forwarded headers and kept-alive upstream connections.
//
//	runner := harness.Runner{Suite: tlsproxy.Suite(), Rig: rig, Rounds: 5}
package tlsproxy

import (
	"context"

	"github.com/outrigger/outrigger/bench/harness"
	"github.com/outrigger/outrigger/bench/load"
)

// host is the name that all peers serve.
const host = "bench.example"

// Suite is the comparison; the bar is what tls-proxy may cost over the floor.
func Suite() harness.Suite {
	return harness.Suite{
		Name:     "tls-proxy",
		Baseline: "floor",
		Bars: []harness.Bar{{
			Peer: "tls-proxy", AtMost: 1.1,
			Cells: []string{"keepalive", "handshake", "download", "http2", "logs"},
		}},
		Open: open,
	}
}

func open(ctx context.Context, rig *harness.Rig) (*harness.Stage, error) {
	cert, err := newCertificate(rig.Dir, host)
	if err != nil {
		return nil, err
	}
	s := &setup{rig: rig, cert: cert, site: load.Site{Host: host, Leaf: cert.leaf}}
	addr, backend, err := startBackend(ctx, rig)
	if err != nil {
		return nil, err
	}
	s.backend = addr
	return &harness.Stage{
		Peers: s.peers(), Cells: s.cells(), Facts: facts(),
		Close: func() { _ = backend.Stop() }, // it has done its work either way
		Check: func(ctx context.Context, peer harness.Peer, addr string) error {
			if peer.Name == "direct" {
				return nil
			}
			return checkWholeJob(ctx, s.site, addr)
		},
	}, nil
}

func (s *setup) peers() []harness.Peer {
	return []harness.Peer{
		s.direct("keepalive", "paced", "download"),
		s.floor(), s.tlsProxy(), s.nginx(), s.haproxy(), s.caddy(),
		onFourThreads(s.floor()), onFourThreads(s.tlsProxy()),
	}
}

func facts() []string {
	return []string{
		"Each peer has one core for itself; the load and the backend (nginx, one worker) share the other. " +
			"GOMAXPROCS is unset and comes out as 1 there; nginx has one worker, HAProxy one thread.",
		"All: the same ECDSA P-256 certificate, TLS 1.3, TLS_AES_128_GCM_SHA256, X25519, no resumption; HTTP/1.1 to the backend over " +
			"kept-alive connections; X-Forwarded-For, -Proto, -Host, -Port and X-Request-Id set; no compression, no access log but where it says so.",
		"`floor` is bench/floor: net/http and httputil.ReverseProxy with a buffer pool and enough idle connections. `direct` is the backend itself, plain HTTP.",
	}
}
