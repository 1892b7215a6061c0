// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheBenchIsNamedByFlagOrArgument(t *testing.T) {
	for _, args := range [][]string{
		{"-bench", "tls-proxy"},
		{"tls-proxy"},
		{"-rounds", "5", "tls-proxy"},
	} {
		s, err := parse(args, io.Discard)
		if err != nil || s.suite.Name != "tls-proxy" || s.rounds != 5 {
			t.Errorf("%q: got %q, %d rounds, %v", args, s.suite.Name, s.rounds, err)
		}
	}
}

func TestCellsAndPeersAreLists(t *testing.T) {
	s, err := parse([]string{"-cells", "keepalive,http2", "-peers", "nginx", "tls-proxy"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"keepalive", "http2"}, {"nginx"}}, [][]string{s.cells, s.peers}); diff != "" {
		t.Error(diff)
	}
}

func TestAWrongCommandLineSaysWhatWouldDo(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "use one of tls-proxy"},
		{"-bench tls-prox", "use one of tls-proxy"},
		{"-bench tls-proxy keepalive", "keepalive"},
		{"-rounds 0 tls-proxy", "use 1 or more"},
		{"-idle 0s tls-proxy", "positive duration"},
		{"-peer-core 0 tls-proxy", "use another"},
	} {
		if _, err := parse(strings.Fields(c.args), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.want)
		}
	}
}
