// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// idleRound starts all peers of the table one by one, leaves them alone together, and reads
// what they hold: they disturb each other as little as the passing of time.
func (r *Runner) idleRound(ctx context.Context, cell Cell, table *Table) {
	var wait sync.WaitGroup
	for i, row := range table.Rows {
		if row.Failure != "" || ctx.Err() != nil {
			continue
		}
		peer, err := r.launch(row.peer, cell)
		if err != nil {
			row.add(nil, err)
			continue
		}
		took, err := peer.ready(ctx)
		if err != nil {
			row.add(nil, errors.Join(err, peer.end(0)))
			continue
		}
		round := len(table.Rows[i].Rounds)
		wait.Go(func() {
			sample, err := peer.idle(ctx, r.Idle)
			if sample != nil {
				sample[Ready] = float64(took) / float64(time.Millisecond)
			}
			row.add(sample, errors.Join(err, peer.end(0)))
			r.progress(cell, row, round)
		})
	}
	wait.Wait()
}

// idle waits half of the time, scrapes the metrics once, and reads CPU time over the other half.
func (p *running) idle(ctx context.Context, whole time.Duration) (Sample, error) {
	half := whole / 2
	if err := sleep(ctx, half); err != nil {
		return nil, err
	}
	if err := scrape(ctx, p.command.Scrape); err != nil {
		return nil, err
	}
	if err := sleep(ctx, min(time.Second, half/2)); err != nil { // the scrape is not idleness
		return nil, err
	}
	begin := time.Now()
	before, err := p.cpu()
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, half); err != nil {
		return nil, err
	}
	after, err := p.cpu()
	if err != nil {
		return nil, err
	}
	spent, err := after.since(before)
	if err != nil {
		return nil, err
	}
	elapsed := time.Since(begin)
	held, err := procfs("/proc").memory(p.process.PID())
	if err != nil {
		return nil, err
	}
	return Sample{
		RSS:  float64(held.rss) / 1e6,
		Anon: float64(held.anon) / 1e6,
		CPU:  100 * float64(spent) / float64(elapsed),
	}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

func scrape(ctx context.Context, url string) error {
	if url == "" {
		return nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("cannot scrape %s: %w", url, err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("cannot scrape: %w", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("cannot scrape %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("cannot scrape %s: it answered %s", url, response.Status)
	}
	return nil
}
