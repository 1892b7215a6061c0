// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/outrigger/outrigger/bench/harness"
)

// Requests sends requests over kept-alive connections with h2load (of nghttp2).
type Requests struct {
	Site Site
	// Path is requested; its body has Size bytes.
	Path string
	Size int64
	// Clients is the number of connections, Streams that of requests in flight on each.
	Clients, Streams int
	// HTTP2 chooses the protocol; otherwise it is HTTP/1.1.
	HTTP2 bool
	// PerClient is the number of requests a second on each connection; 0 means as many as possible.
	PerClient int
	// Dir is where a file with the times of the requests may stand for a moment.
	Dir string
}

// Run sends count requests to addr and reports Rate, P50 and P99.
func (r Requests) Run(ctx context.Context, addr string, count int) (harness.Sample, error) {
	dir, err := os.MkdirTemp(r.Dir, "h2load-*")
	if err != nil {
		return nil, fmt.Errorf("cannot make a scratch directory: %w", err)
	}
	defer os.RemoveAll(dir)
	times := filepath.Join(dir, "times")
	output, err := exec.CommandContext(ctx, "h2load", r.arguments(addr, count, times)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("h2load failed: %w: %s", err, output)
	}
	found, err := parseH2load(string(output))
	if err != nil {
		return nil, err
	}
	if err := r.verify(found, count); err != nil {
		return nil, err
	}
	log, err := os.Open(times)
	if err != nil {
		return nil, fmt.Errorf("cannot read the times that h2load took: %w", err)
	}
	defer log.Close()
	all, err := parseTimes(log)
	if err != nil {
		return nil, err
	}
	sample := harness.Sample{Rate: found.rate}
	maps.Copy(sample, percentiles(all))
	return sample, nil
}

func (r Requests) arguments(addr string, count int, times string) []string {
	scheme := "https"
	if len(r.Site.Leaf) == 0 {
		scheme = "http"
	}
	args := []string{
		"--requests=" + strconv.Itoa(count), "--clients=" + strconv.Itoa(r.Clients), "--threads=1",
		"--max-concurrent-streams=" + strconv.Itoa(max(r.Streams, 1)), "--connect-to=" + addr, "--log-file=" + times,
		"--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519",
	}
	if !r.HTTP2 {
		args = append(args, "--h1")
	}
	if r.PerClient > 0 {
		args = append(args, "--rps="+strconv.Itoa(r.PerClient))
	}
	return append(args, scheme+"://"+r.Site.Host+r.Path)
}

// verify compares what h2load saw with what was asked for.
func (r Requests) verify(found h2loadOutput, count int) error {
	if found.succeeded != count || found.ok != count {
		return fmt.Errorf("%d of %d requests succeeded, %d with a status 2xx", found.succeeded, count, found.ok)
	}
	if want := r.Size * int64(count); found.data != want {
		return fmt.Errorf("the bodies have %d of %d bytes", found.data, want)
	}
	if len(r.Site.Leaf) == 0 {
		return nil
	}
	protocol := "http/1.1"
	if r.HTTP2 {
		protocol = "h2"
	}
	want := connection{version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256", key: "X25519", protocol: protocol}
	if found.connection != want {
		return fmt.Errorf("the server chose %+v instead of %+v", found.connection, want)
	}
	return nil
}
