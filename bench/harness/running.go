// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// settle lets a peer finish what a load leaves behind (closing connections) before it is read.
const settle = 100 * time.Millisecond

// running is a launched peer with its scratch directory; process is nil for one that needs no start.
type running struct {
	command Command
	process *Process
	dir     string
}

func (r *Runner) launch(peer Peer, cell Cell) (*running, error) {
	dir, err := os.MkdirTemp(r.Rig.Dir, "peer-*")
	if err != nil {
		return nil, fmt.Errorf("cannot make a scratch directory: %w", err)
	}
	command, err := peer.Command(dir, cell.Variant)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if command.AccessLog != "" {
		command.AccessLog = filepath.Join(dir, command.AccessLog)
	}
	launched := &running{command: command, dir: dir}
	if len(command.Args) > 0 {
		if launched.process, err = Start(peer.Name, command, dir, r.Rig.PeerCore); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	return launched, nil
}

func (p *running) ready(ctx context.Context) (time.Duration, error) {
	if p.process == nil {
		return 0, nil
	}
	return p.process.Ready(ctx, p.command.Ready)
}

// load reads the CPU time that a load takes, and the memory after it.
func (p *running) load(ctx context.Context, cell Cell) (Sample, error) {
	before, err := p.cpu()
	if err != nil {
		return nil, err
	}
	sample, err := cell.Load(ctx, p.command.Addr, cell.Count)
	if err != nil || p.process == nil {
		return sample, err
	}
	time.Sleep(settle)
	after, err := p.cpu()
	if err != nil {
		return nil, err
	}
	spent, err := after.since(before)
	if err != nil {
		return nil, err
	}
	held, err := procfs("/proc").memory(p.process.PID())
	if err != nil {
		return nil, err
	}
	sample[CPU] = float64(spent) / float64(cell.Figures[0].Scale) / float64(cell.Count)
	sample[RSS], sample[Anon] = float64(held.rss)/1e6, float64(held.anon)/1e6
	return sample, nil
}

// hold reads how the memory grows from Warmup held units, which fill pools and caches, to Count more.
func (p *running) hold(ctx context.Context, cell Cell) (Sample, error) {
	if p.process == nil {
		return nil, errors.New("there is no process whose memory to read")
	}
	release, err := cell.Hold(ctx, p.command.Addr, cell.Warmup)
	if err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	defer release()
	time.Sleep(settle)
	before, err := procfs("/proc").memory(p.process.PID())
	if err != nil {
		return nil, err
	}
	release, err = cell.Hold(ctx, p.command.Addr, cell.Count)
	if err != nil {
		return nil, err
	}
	defer release()
	time.Sleep(settle)
	after, err := procfs("/proc").memory(p.process.PID())
	if err != nil {
		return nil, err
	}
	return Sample{
		PerUnit: float64(after.anon-before.anon) / 1e3 / float64(cell.Count),
		RSS:     float64(after.rss) / 1e6,
		Anon:    float64(after.anon) / 1e6,
	}, nil
}

func (p *running) cpu() (usage, error) {
	if p.process == nil {
		return nil, nil
	}
	return procfs("/proc").cpu(p.process.PID())
}

// end stops the peer and says whether its access log has at least the given number of lines.
func (p *running) end(requests int) (err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(p.dir)) }()
	if p.process == nil {
		return nil
	}
	if err := p.process.Stop(); err != nil || p.command.AccessLog == "" {
		return err
	}
	lines, err := countLines(p.command.AccessLog)
	if err == nil && lines < requests {
		err = fmt.Errorf("logged %d of %d requests", lines, requests)
	}
	return err
}
