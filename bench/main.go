// SPDX-License-Identifier: Apache-2.0

// Command bench measures a program of this repository beside what people would use instead.
//
//	go run ./bench -bench tls-proxy
//	go run ./bench -bench tls-proxy -cells keepalive,handshake -rounds 3 -idle 10s
//
// It takes a quarter of an hour, needs two cores that nobody else uses, and writes its tables to
// bench/results as Markdown and JSON. docs/performance.md says what they mean.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/outrigger/outrigger/bench/harness"
	"github.com/outrigger/outrigger/bench/tlsproxy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// suites are the programs that have a bench.
func suites() map[string]harness.Suite {
	all := make(map[string]harness.Suite)
	for _, suite := range []harness.Suite{tlsproxy.Suite()} {
		all[suite.Name] = suite
	}
	return all
}

// settings are the command line.
type settings struct {
	suite    harness.Suite
	cells    []string
	peers    []string
	rounds   int
	idle     time.Duration
	out      string
	page     string
	peerCore int
	loadCore int
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var name, cells, peers string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&name, "bench", "", "the program to measure: "+strings.Join(slices.Sorted(maps.Keys(suites())), ", "))
	flags.StringVar(&cells, "cells", "", "measure only these cells, by name with commas (default all)")
	flags.StringVar(&peers, "peers", "", "measure only these peers and the baseline (default all)")
	flags.IntVar(&s.rounds, "rounds", 5, "how often each peer is measured in each cell")
	flags.DurationVar(&s.idle, "idle", time.Minute, "how long the idle figures wait after the start")
	flags.StringVar(&s.out, "out", "bench/results", "the directory for the tables")
	flags.StringVar(&s.page, "page", "", "also put the tables between the markers of this page")
	flags.IntVar(&s.peerCore, "peer-core", 1, "the core that the measured program has for itself")
	flags.IntVar(&s.loadCore, "load-core", 0, "the core of the load and the backend")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.cells, s.peers = words(cells), words(peers)
	suite, known := suites()[name]
	switch {
	case flags.NArg() > 0:
		return s, fmt.Errorf("cannot use the argument %q: all settings are flags", flags.Arg(0))
	case !known:
		return s, fmt.Errorf("-bench=%s: no such bench; use one of %s", name, strings.Join(slices.Sorted(maps.Keys(suites())), ", "))
	case s.rounds < 1:
		return s, fmt.Errorf("-rounds=%d: use 1 or more", s.rounds)
	case s.idle <= 0:
		return s, fmt.Errorf("-idle=%s: use a positive duration", s.idle)
	case s.peerCore == s.loadCore:
		return s, fmt.Errorf("-peer-core=%d: the load is on that core; use another", s.peerCore)
	}
	s.suite = suite
	return s, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	root, err := repositoryRoot()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "outrigger-bench-*")
	if err != nil {
		return fmt.Errorf("cannot make a scratch directory: %w", err)
	}
	defer os.RemoveAll(dir)
	runner := harness.Runner{
		Suite: s.suite, Rounds: s.rounds, Idle: s.idle, Cells: s.cells, Peers: s.peers,
		Rig: &harness.Rig{Root: root, Dir: dir, LoadCore: s.loadCore, PeerCore: s.peerCore, Progress: stderr},
	}
	report, err := runner.Run(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(report.Failures(), report.Save(s.out), report.WriteMarkdown(stdout))
	if s.page != "" {
		err = errors.Join(err, report.Insert(s.page))
	}
	return err
}

// words splits a list with commas; empty is none.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// repositoryRoot is the directory of the nearest go.mod at or above the working directory.
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("cannot find the repository: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("cannot find go.mod at or above %s; run the bench inside the repository", dir)
		}
	}
}
