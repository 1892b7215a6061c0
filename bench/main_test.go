// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOneFlagIsEnough(t *testing.T) {
	s, err := parse([]string{"-bench", "tls-proxy"}, io.Discard)
	if err != nil || s.suite.Name != "tls-proxy" || s.rounds != 5 || s.idle != time.Minute || s.peerCore != 1 {
		t.Errorf("got %+v, %v", s, err)
	}
}

func TestCellsAndPeersAreLists(t *testing.T) {
	s, err := parse([]string{"-cells", "keepalive,http2", "-peers", "nginx", "-bench", "tls-proxy"}, io.Discard)
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
		{"-rounds 0 -bench tls-proxy", "use 1 or more"},
		{"-idle 0s -bench tls-proxy", "positive duration"},
		{"-peer-core 0 -bench tls-proxy", "use another"},
	} {
		if _, err := parse(strings.Fields(c.args), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.want)
		}
	}
}
