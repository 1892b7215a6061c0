// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/outrigger/outrigger/bench/harness"
)

// Downloads fetches a large body again and again over one connection.
type Downloads struct {
	Site Site
	// Path is requested; its body has Size bytes.
	Path string
	Size int64
}

// Run fetches the body count times from addr and reports MBps.
func (d Downloads) Run(ctx context.Context, addr string, count int) (harness.Sample, error) {
	conn, err := d.Site.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	reader := bufio.NewReaderSize(conn, 256<<10)
	begin := time.Now()
	for i := range count {
		if err := d.Site.fetch(conn, reader, d.Path, d.Size); err != nil {
			return nil, fmt.Errorf("download %d of %d: %w", i+1, count, err)
		}
	}
	bytes := float64(d.Size) * float64(count)
	return harness.Sample{MBps: bytes / 1e6 / time.Since(begin).Seconds()}, nil
}
