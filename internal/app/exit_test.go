// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExitCodes(t *testing.T) {
	cause := errors.New("cause")
	f := func(err error, want int) {
		t.Helper()
		if got := exitCode(err); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
	f(nil, 0)
	f(cause, 1)
	f(&UsageError{cause}, 2)
	f(&BindError{cause}, 1)
	f(fmt.Errorf("cannot start: %w", &UsageError{cause}), 2)
	f(&UsageError{fmt.Errorf("--listen: %w", &BindError{cause})}, 1)
	f(errors.Join(&UsageError{cause}, &BindError{cause}), 1)
	f(errors.Join(cause, &UsageError{cause}), 2)
}

func TestAnErrorKeepsItsCauseBehindItsSource(t *testing.T) {
	_, p, err := parseTest(t, nil, []string{"TEST_PROG_TARGET=/x"})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Errorf("target", "cannot read: %w", fs.ErrNotExist)
	if want := `env TEST_PROG_TARGET="/x": cannot read: file does not exist`; err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if err := p.Errorf("listen", "is busy"); err.Error() != "--listen (env TEST_PROG_LISTEN): is busy" {
		t.Errorf("got %v", err)
	}
	if err := p.Errorf("nonesuch", "is odd"); err.Error() != "is odd" {
		t.Errorf("got %v", err)
	}
}

// checkedConfig has a rule for each moment of checking.
type checkedConfig struct {
	A string `help:"A."`
	B int    `help:"B."`
	C string `required:"" placeholder:"FILE" help:"C."`
	D string `and:"pair" help:"D."`
	E string `and:"pair" help:"E."`
}

func (c *checkedConfig) Validate(r *Report) {
	if c.A == "bad" {
		r.Errorf("a", "is bad; use good")
	}
	if c.B == 0 {
		r.Errorf("b", "is zero; use more") // not said when its text is wrong already
	}
	if r.IsSet("a") {
		r.Warnf("a", "is rarely needed")
	}
}

func (c *checkedConfig) Check(r *Report) { r.Errorf("c", "cannot read the file; mount it") }

func TestValidateAndCheckReportWithParseAllAtOnce(t *testing.T) {
	p, err := Parse(testSpec(new(checkedConfig)), []string{"--a=bad", "--b=x", "--d=1"}, nil)
	if err == nil {
		t.Fatal("no error")
	}
	wantErrors(t, p.Check(),
		"--b=x: not a whole number; use digits only",
		"--c (env TEST_PROG_C): is not set; use --c=FILE or env TEST_PROG_C",
		"--e (env TEST_PROG_E): is not set, but --d is; set both or none",
		"--a=bad: is bad; use good",
		"--c (env TEST_PROG_C): cannot read the file; mount it")
	if diff := cmp.Diff([]string{"--a=bad: is rarely needed"}, p.Warnings); diff != "" {
		t.Error(diff)
	}
}
