// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit codes of all programs.
const (
	exitOK    = 0 // done, or drained
	exitError = 1 // run-time error, failed bind, forced drain
	exitUsage = 2 // the settings are wrong
)

// UsageError marks an error that the user mends in the settings: exit code 2.
type UsageError struct{ Err error }

// Error returns the error's text.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *UsageError) Unwrap() error { return e.Err }

// BindError marks a listener that could not be bound: exit code 1.
type BindError struct{ Err error }

// Error returns the error's text.
func (e *BindError) Error() string { return e.Err.Error() }

// Unwrap returns the error itself.
func (e *BindError) Unwrap() error { return e.Err }

// exitCode returns the exit code for an error that ended the start. A failed
// bind wins: it may go away by itself, wrong settings do not.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*BindError](err); ok {
		return exitError
	}
	if _, ok := errors.AsType[*UsageError](err); ok {
		return exitUsage
	}
	return exitError
}

// printError writes one line per error. The start fails before there is a log
// that anyone reads, so these lines are plain text.
func printError(w io.Writer, program string, err error) {
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			fmt.Fprintf(w, "%s: %s\n", program, line)
		}
	}
}
