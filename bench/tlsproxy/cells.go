// SPDX-License-Identifier: Apache-2.0

package tlsproxy

import (
	"context"
	"time"

	"github.com/outrigger/outrigger/bench/harness"
	"github.com/outrigger/outrigger/bench/load"
)

// cells are the loads: each takes one to five seconds a round and peer.
func (s *setup) cells() []harness.Cell {
	return []harness.Cell{s.keepalive(), s.handshake(), s.download(), s.http2(), s.logged(), s.paced(), s.connections(), idle()}
}

// perSecond are the figures of loads that ask for small things: CPU time and when they come.
func perSecond(unit string) []harness.Figure {
	return []harness.Figure{
		{Key: harness.CPU, Title: "CPU µs/" + unit, Digits: 1, Scale: time.Microsecond},
		{Key: load.Rate, Title: unit + "s/s"},
		{Key: load.P50, Title: "p50 ms", Digits: 2},
		{Key: load.P99, Title: "p99 ms", Digits: 2},
		{Key: harness.RSS, Title: "RSS MB", Digits: 1},
	}
}

// requests is the load of small pages over n kept-alive connections.
func (s *setup) requests(n int) load.Requests {
	return load.Requests{Site: s.site, Path: "/small", Size: smallSize, Clients: n, Dir: s.rig.Dir}
}

// onSite runs a load against TLS, or against plain HTTP where addr is the backend's.
func (s *setup) onSite(addr string) load.Site {
	if addr == s.backend {
		return load.Site{Host: host}
	}
	return s.site
}

func (s *setup) keepalive() harness.Cell {
	return harness.Cell{
		Name:    "keepalive",
		Title:   "Kept-alive connections, 1 KB",
		Note:    "`keepalive`: HTTP/1.1, 64 connections with one request each in flight, as fast as they are answered; h2load.",
		Figures: perSecond("request"),
		Warmup:  3000, Count: 30_000,
		Load: func(ctx context.Context, addr string, count int) (harness.Sample, error) {
			requests := s.requests(64)
			requests.Site = s.onSite(addr)
			return requests.Run(ctx, addr, count)
		},
	}
}

func (s *setup) handshake() harness.Cell {
	handshakes := load.Handshakes{Site: s.site, Path: "/small", Size: smallSize, Clients: 16}
	return harness.Cell{
		Name:    "handshake",
		Title:   "A handshake for each request",
		Note:    "`handshake`: a new TCP and TLS connection for each HTTP/1.1 request of 1 KB, full handshake, 16 at a time; a Go client.",
		Figures: perSecond("handshake"),
		Warmup:  300, Count: 3000,
		Load: handshakes.Run,
	}
}

func (s *setup) download() harness.Cell {
	return harness.Cell{
		Name:  "download",
		Title: "A body of 100 MB",
		Note:  "`download`: one connection, HTTP/1.1, the body fetched five times; a Go client. HAProxy has its default buffers of 16 KB, nginx has 32 KB ones.",
		Figures: []harness.Figure{
			{Key: harness.CPU, Title: "CPU ms/100 MB", Digits: 1, Scale: time.Millisecond},
			{Key: load.MBps, Title: "MB/s"},
			{Key: harness.RSS, Title: "RSS MB", Digits: 1},
		},
		Warmup: 1, Count: 5,
		Load: func(ctx context.Context, addr string, count int) (harness.Sample, error) {
			return load.Downloads{Site: s.onSite(addr), Path: "/large", Size: largeSize}.Run(ctx, addr, count)
		},
	}
}

func (s *setup) http2() harness.Cell {
	return harness.Cell{
		Name:    "http2",
		Title:   "HTTP/2, 1 KB",
		Note:    "`http2`: 8 connections with 16 streams each in flight, as fast as they are answered; h2load. HTTP/1.1 to the backend.",
		Figures: perSecond("request"),
		Warmup:  3000, Count: 30_000,
		Load: func(ctx context.Context, addr string, count int) (harness.Sample, error) {
			requests := s.requests(8)
			requests.HTTP2, requests.Streams = true, 16
			return requests.Run(ctx, addr, count)
		},
	}
}

func (s *setup) logged() harness.Cell {
	cell := s.keepalive()
	cell.Name, cell.Variant = "logs", logs
	cell.Title = "Kept-alive connections, 1 KB, with access logs"
	cell.Note = "`logs`: as `keepalive`, with a JSON line for each request in a file; each line is counted. " +
		"tls-proxy, the floor and nginx gather lines for 100 ms; HAProxy and Caddy write each at once, Caddy with the request's headers."
	return cell
}

func (s *setup) paced() harness.Cell {
	cell := s.keepalive()
	cell.Name = "paced"
	cell.Title = "1000 requests a second, 1 KB"
	cell.Note = "`paced`: HTTP/1.1, 20 connections with 50 requests a second each: the latency where nobody is busy, and the CPU time " +
		"of a program that sleeps between requests; h2load."
	cell.Warmup, cell.Count = 500, 4000
	cell.Load = func(ctx context.Context, addr string, count int) (harness.Sample, error) {
		requests := s.requests(20)
		requests.Site, requests.PerClient = s.onSite(addr), 50
		return requests.Run(ctx, addr, count)
	}
	return cell
}

func (s *setup) connections() harness.Cell {
	connections := load.Connections{Site: s.site, Path: "/small", Size: smallSize}
	return harness.Cell{
		Name:  "connections",
		Title: "Idle connections",
		Note:  "`connections`: 1000 TLS connections held open after a request each, on top of 100; memory for each and in total.",
		Figures: []harness.Figure{
			{Key: harness.PerUnit, Title: "KB/connection", Digits: 1},
			{Key: harness.RSS, Title: "RSS MB", Digits: 1},
		},
		Warmup: 100, Count: 1000,
		Hold: connections.Hold,
	}
}

func idle() harness.Cell {
	return harness.Cell{
		Name:  "idle",
		Title: "At rest",
		Note: "`idle`: all peers started one by one and left alone, one scrape where there are metrics. Memory is summed over a peer's processes, " +
			"so nginx's shared pages count in each of its two.",
		Figures: []harness.Figure{
			{Key: harness.RSS, Title: "RSS MB", Digits: 1},
			{Key: harness.Anon, Title: "RssAnon MB", Digits: 1},
			{Key: harness.Ready, Title: "ready ms", Digits: 0},
			{Key: harness.CPU, Title: "CPU %", Digits: 3},
		},
	}
}
