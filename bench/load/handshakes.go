// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/outrigger/outrigger/bench/harness"
)

// Handshakes opens a new TLS connection for each request and closes it after the answer.
type Handshakes struct {
	Site Site
	// Path is requested; its body has Size bytes.
	Path string
	Size int64
	// Clients is how many connections are under way at a time.
	Clients int
}

// Run does count requests at addr and reports Rate, P50 and P99 from dialling to the whole answer.
func (h Handshakes) Run(ctx context.Context, addr string, count int) (harness.Sample, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan int)
	times := make([]time.Duration, count)
	var wait sync.WaitGroup
	for range h.Clients {
		wait.Go(func() {
			for i := range work {
				begin := time.Now()
				if err := h.one(ctx, addr); err != nil {
					cancel(fmt.Errorf("request %d of %d: %w", i+1, count, err)) // the first one stays
				}
				times[i] = time.Since(begin)
			}
		})
	}
	begin := time.Now()
	for i := 0; i < count && ctx.Err() == nil; i++ {
		work <- i
	}
	close(work)
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	sample := harness.Sample{Rate: float64(count) / time.Since(begin).Seconds()}
	maps.Copy(sample, percentiles(times))
	return sample, nil
}

func (h Handshakes) one(ctx context.Context, addr string) error {
	conn, err := h.Site.dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	return h.Site.fetch(conn, bufio.NewReaderSize(conn, 2048), h.Path, h.Size)
}
