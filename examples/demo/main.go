// SPDX-License-Identifier: Apache-2.0

// Command demo puts tls-proxy in front of legacy-app on this machine and says what to try. It is
// what `make demo` runs, from the root of the repository, after `make build`:
//
//	make demo           prints commands to try, and drains on Ctrl-C
//	make demo CHECK=1   runs those commands itself and exits 1 if an answer is not the promised one
//
// All that it writes lies in the folder demo/: a certificate authority, certificates, logs.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	var err error
	if os.Getenv("CHECK") != "" {
		err = check(ctx, os.Stdout)
	} else {
		err = show(ctx, os.Stdout)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// show starts the demo, prints what to try and waits for Ctrl-C, or for tls-proxy to end.
func show(ctx context.Context, out io.Writer) error {
	p, err := startPod(ctx, "demo")
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, tour(p)); err != nil {
		return errors.Join(err, p.stop())
	}
	select {
	case <-ctx.Done():
	case <-p.proxy.ended:
		return errors.Join(p.proxy.failure(), p.stop())
	}
	if err := p.stop(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nDrained: tls-proxy answered what it had begun, then both ended.")
	return nil
}

// check is show without a reader: it runs each command, and Ctrl-C at the end, in a folder of its own.
func check(ctx context.Context, out io.Writer) error {
	parent, err := os.MkdirTemp("", "outrigger")
	if err != nil {
		return err
	}
	defer os.RemoveAll(parent)
	p, err := startPod(ctx, filepath.Join(parent, "demo"))
	if err != nil {
		return err
	}
	for _, s := range steps(p) {
		answer, err := s.verify(ctx, patience)
		if err != nil {
			return errors.Join(err, p.stop())
		}
		fmt.Fprintf(out, "ok  %s: %s\n", s.title, answer)
	}
	return p.stop()
}
