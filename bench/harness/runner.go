// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// cellTimeout bounds one load of one peer, so that a peer that hangs costs a round and not the run.
const cellTimeout = 2 * time.Minute

// Runner takes the figures of one Suite.
type Runner struct {
	Suite Suite
	Rig   *Rig
	// Rounds is how often each peer is measured in each cell.
	Rounds int
	// Idle is how long an idle cell waits after the start.
	Idle time.Duration
	// Cells and Peers choose by name; empty means all. The baseline is always measured.
	Cells, Peers []string
}

// Run measures and reports. A peer that fails has the reason in its row; the error names
// what kept the whole from running.
func (r *Runner) Run(ctx context.Context) (*Report, error) {
	stage, err := r.Suite.Open(ctx, r.Rig)
	if err != nil {
		return nil, err
	}
	defer stage.Close()
	cells, peers, err := r.choose(stage)
	if err != nil {
		return nil, err
	}
	failed, versions := r.prepare(ctx, peers)
	if err := PinSelf(r.Rig.LoadCore); err != nil {
		return nil, err
	}
	report := newReport(r, stage)
	report.Facts = append(report.Facts, "Versions: "+strings.Join(versions, ", ")+".")
	for _, cell := range cells {
		report.Tables = append(report.Tables, r.table(ctx, stage, cell, rows(cell, peers, failed)))
		if ctx.Err() != nil {
			return report, errors.New("interrupted")
		}
	}
	return report, nil
}

func (r *Runner) choose(stage *Stage) ([]Cell, []Peer, error) {
	cells, peers := stage.Cells, stage.Peers
	if len(r.Cells) > 0 {
		cells = slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool { return !slices.Contains(r.Cells, c.Name) })
		if len(cells) < len(r.Cells) {
			var known []string
			for _, cell := range stage.Cells {
				known = append(known, cell.Name)
			}
			return nil, nil, fmt.Errorf("-cells=%s: not all of them exist; use %s", strings.Join(r.Cells, ","), strings.Join(known, ", "))
		}
	}
	if len(r.Peers) > 0 {
		peers = slices.DeleteFunc(slices.Clone(peers), func(p Peer) bool {
			return p.Name != r.Suite.Baseline && !slices.Contains(r.Peers, p.Name)
		})
	}
	return cells, peers, nil
}

// prepare makes the peers ready to start. It returns why some cannot, and the versions of the others.
func (r *Runner) prepare(ctx context.Context, peers []Peer) (failed map[string]error, versions []string) {
	failed = make(map[string]error)
	for _, peer := range peers {
		if peer.Prepare != nil {
			if err := peer.Prepare(ctx); err != nil {
				failed[peer.Name] = err
				fmt.Fprintf(r.Rig.Progress, "%s: %v\n", peer.Name, err)
				continue
			}
		}
		if peer.Version == nil {
			continue
		}
		version, err := peer.Version(ctx)
		if err != nil {
			failed[peer.Name] = err
			continue
		}
		versions = append(versions, peer.Name+" "+version)
	}
	return failed, versions
}

// rows are those of a cell's table, with the failures known before its first round.
func rows(cell Cell, peers []Peer, failed map[string]error) []*Row {
	var all []*Row
	for _, peer := range peers {
		if !peer.takesPartIn(cell.Name) {
			continue
		}
		row := &Row{Peer: peer.Name, peer: peer}
		if err := failed[peer.Name]; err != nil {
			row.Failure = err.Error()
		}
		all = append(all, row)
	}
	return all
}

// table measures one cell: every peer once a round, another one first in each.
func (r *Runner) table(ctx context.Context, stage *Stage, cell Cell, rows []*Row) *Table {
	table := newTable(cell, rows)
	for round := range r.Rounds {
		if cell.atRest() {
			r.idleRound(ctx, cell, table)
		}
		for i := range table.Rows {
			row := table.Rows[(i+round)%len(table.Rows)]
			if cell.atRest() || row.Failure != "" || ctx.Err() != nil {
				continue
			}
			sample, err := r.measure(ctx, stage, cell, row.peer)
			row.add(sample, err)
			r.progress(cell, row, round)
		}
	}
	table.summarize(r.Suite.Baseline)
	return table
}

// measure runs one peer in one cell, from its start to its end.
func (r *Runner) measure(ctx context.Context, stage *Stage, cell Cell, peer Peer) (sample Sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, cellTimeout)
	defer cancel()
	running, err := r.launch(peer, cell)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, running.end(cell.Warmup+cell.Count)) }()
	if _, err := running.ready(ctx); err != nil {
		return nil, err
	}
	if cell.Hold != nil {
		return running.hold(ctx, cell)
	}
	if _, err := cell.Load(ctx, running.command.Addr, cell.Warmup); err != nil {
		return nil, fmt.Errorf("warm-up: %w", err)
	}
	if stage.Check != nil {
		if err := stage.Check(ctx, peer, running.command.Addr); err != nil {
			return nil, err
		}
	}
	return running.load(ctx, cell)
}

func (r *Runner) progress(cell Cell, row *Row, round int) {
	outcome := oneLine(row.Failure)
	if outcome == "" {
		last := row.Rounds[len(row.Rounds)-1]
		for _, figure := range cell.Figures {
			if value, ok := last[figure.Key]; ok {
				outcome += fmt.Sprintf("  %.*f %s", figure.Digits, value, figure.Title)
			}
		}
	}
	fmt.Fprintf(r.Rig.Progress, "%s %d/%d %s: %s\n", cell.Name, round+1, r.Rounds, row.Peer, strings.TrimSpace(outcome))
}
