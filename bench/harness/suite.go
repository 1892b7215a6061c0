// SPDX-License-Identifier: Apache-2.0

// Package harness measures programs that do the same job side by side: a [Suite] says which peers are
// compared under which loads, a [Runner] takes the figures, a [Report] prints them as Markdown and JSON.
//
// The figure of merit is CPU time for a unit of work, read from /proc/PID/task/*/schedstat over all
// processes and threads of a peer. Unlike requests a second it does not depend on how fast the load
// generator is, and it is what a sidecar costs whoever pays for the node. Peers take turns within each
// round, so that a change in the machine's mood meets all of them.
//
//	runner := harness.Runner{Suite: tlsproxy.Suite(), Rig: rig, Rounds: 5}
//	report, err := runner.Run(ctx)
//	report.WriteMarkdown(os.Stdout)
//
// To measure another program write a package beside tlsproxy whose Suite function lists its peers and
// cells, and name it in the table in bench/main.go.
package harness

import (
	"context"
	"slices"
	"time"
)

// Suite is one comparison: a program of ours, what people would use instead, and the loads.
type Suite struct {
	// Name is what -bench calls it: the program's name.
	Name string
	// Baseline is the peer that all others are divided by.
	Baseline string
	// Bars are the promises that the report judges.
	Bars []Bar
	// Open starts what the peers need (backends); the Stage's Close ends that.
	Open func(ctx context.Context, rig *Rig) (*Stage, error)
}

// Bar promises that Peer needs at most AtMost times what the baseline needs, in each of Cells.
type Bar struct {
	Peer   string
	AtMost float64
	Cells  []string
}

// Stage is a Suite with everything around the peers running.
type Stage struct {
	Peers []Peer
	Cells []Cell
	// Facts are the lines of the report that say what is equal for all peers.
	Facts []string
	// Check says whether a warmed-up peer does the whole job: a proxy that omits
	// half of it must not win. Nil checks nothing.
	Check func(ctx context.Context, peer Peer, addr string) error
	Close func()
}

// Peer is one program in the comparison.
type Peer struct {
	// Name is the row's heading.
	Name string
	// Cells names the cells that it takes part in; nil means all.
	Cells []string
	// Prepare builds the program, or says how to get it. Nil where there is nothing to do.
	Prepare func(ctx context.Context) error
	// Version asks the prepared program for its version; nil for one of this repository.
	Version func(ctx context.Context) (string, error)
	// Command writes the peer's configuration for the cell's Variant into dir and says how to start it.
	Command func(dir, variant string) (Command, error)
}

// Command is how a peer is started and where it answers.
type Command struct {
	// Args are the program and its arguments. Empty means that there is nothing to start
	// at Addr (the backend itself, as a reference) and no CPU time to read.
	Args []string
	// Env is added to the environment, as NAME=value.
	Env []string
	// Addr is the HOST:PORT that loads are sent to.
	Addr string
	// Ready returns nil once the peer answers at Addr.
	Ready func(ctx context.Context) error
	// Scrape is the URL of the peer's metrics, read once while it idles; empty means that it has none.
	Scrape string
	// AccessLog is the file in the peer's directory that must have a line for each request
	// when the peer has ended; empty means no such check. Stdout says that the peer writes it
	// to its standard output.
	AccessLog string
	Stdout    bool
}

// Cell is one load. It has a Load, a Hold, or neither: then it is measured by waiting.
type Cell struct {
	// Name is what -cells calls it.
	Name string
	// Title and Note head the table: what the load is, with key, cipher and sizes.
	Title, Note string
	// Variant reaches Peer.Command: how the peers are configured for this cell.
	Variant string
	// Figures are the table's columns, the figure of merit first: for a Load that is CPU time.
	Figures []Figure
	// Warmup and Count are how many units of work the load does before and while CPU time is read.
	Warmup, Count int
	// Load does count units of work and verifies each answer. The sample holds figures by key,
	// those that the harness does not measure itself.
	Load func(ctx context.Context, addr string, count int) (Sample, error)
	// Hold makes the peer hold count units (connections, series) until release, for the memory that each takes.
	Hold func(ctx context.Context, addr string, count int) (release func(), err error)
}

// The keys of the figures that the harness measures itself.
const (
	// CPU is CPU time: for a unit of a Load, in the figure's Scale; at rest in % of a core.
	CPU = "cpu"
	// RSS is the resident memory of all processes: after a Load or at rest, in MB (10^6 bytes).
	RSS = "rss"
	// Anon is the private part of it (heap and stacks).
	Anon = "anon"
	// Ready is the time from the start to the first right answer, in ms; at rest only.
	Ready = "ready"
	// PerUnit is how much Anon grows for each unit that a peer holds, in KB (10^3 bytes).
	PerUnit = "per-unit"
)

// Figure is a column: the key in a Sample and how to print its values.
type Figure struct {
	Key string `json:"key"`
	// Title is the heading with the unit: "CPU µs/request".
	Title string `json:"title"`
	// Digits are the decimals printed.
	Digits int `json:"digits"`
	// Scale is one unit of a figure that is a time: CPU of a Load.
	Scale time.Duration `json:"-"`
}

// Sample is one round's figures by key. A figure that does not apply to a peer is absent.
type Sample map[string]float64

func (p Peer) takesPartIn(cell string) bool { return p.Cells == nil || slices.Contains(p.Cells, cell) }

func (c Cell) atRest() bool { return c.Load == nil && c.Hold == nil }
