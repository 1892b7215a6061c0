// SPDX-License-Identifier: Apache-2.0

// Package load sends work to an HTTP server and verifies every answer: requests over kept-alive
// connections (h2load does the sending), a new TLS connection for each request, and large downloads.
//
// A load does an exact count of units of work and fails when one of them is not answered as it must be,
// or when the connection is not what the table says (TLS version, cipher, key exchange), so that no
// server looks fast by doing something else.
//
//	site := load.Site{Host: "bench.example", Leaf: certificate.Raw}
//	sample, err := load.Handshakes{Site: site, Size: 1024, Clients: 8}.Run(ctx, "127.0.0.1:8443", 2000)
package load

// The keys of the figures that loads report beside the CPU time.
const (
	Rate = "rate" // units of work a second
	P50  = "p50"  // median time of a unit, ms
	P99  = "p99"  // 99th percentile, ms
	MBps = "mbps" // body bytes a second, MB (10^6)
)
