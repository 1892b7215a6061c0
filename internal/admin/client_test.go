// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAWildcardMeansLoopback(t *testing.T) {
	f := func(addr, network string, want ...string) {
		t.Helper()
		if n, got := targets(addr); n != network || !slices.Equal(got, want) {
			t.Errorf("%s: %s %q, want %q", addr, n, got, want)
		}
	}
	f(":9911", "tcp", "127.0.0.1:9911", "[::1]:9911")
	f("[::]:9911", "tcp", "127.0.0.1:9911", "[::1]:9911")
	f("0.0.0.0:9911", "tcp", "127.0.0.1:9911")
	f("[::ffff:0.0.0.0]:9911", "tcp", "127.0.0.1:9911")
	f("127.0.0.1:9911", "tcp", "127.0.0.1:9911")
	f("[fd00::2]:9911", "tcp", "[fd00::2]:9911")
	f("localhost:9911", "tcp", "localhost:9911")
	f("unix:/run/admin", "unix", "/run/admin")
}

func TestTheClientFindsThePortWhereOnlyIPv6Listens(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatalf("the tests need IPv6 on loopback: %v", err)
	}
	_, local := serveOn(t, Options{}, l)
	_, port, _ := net.SplitHostPort(local)
	a, err := Client(":"+port, Control{}).Get(t.Context(), "/readyz?verbose")
	if err != nil || !a.OK() || !strings.Contains(a.Body, "readyz check passed") {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestTheClientMayControl(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	for _, c := range []Control{{}, {Path: path}} {
		s, local := serve(t, Options{Control: c})
		if err := s.Bind(t.Context()); err != nil {
			t.Fatal(err)
		}
		client := Client(local, c)
		if a, err := client.Post(t.Context(), "/-/reload", ""); err != nil || a.Status != 404 || a.OK() {
			t.Errorf("%s: %+v, %v", c, a, err)
		}
		if a, err := client.Put(t.Context(), "/-/log-level", "debug"); err != nil || a.Status != 404 {
			t.Errorf("%s: %+v, %v", c, a, err)
		}
		if a, err := client.Get(t.Context(), "/status"); err != nil || !a.OK() {
			t.Errorf("%s: %+v, %v", c, a, err)
		}
	}
}

func TestTheClientSaysWhereNobodyAnswers(t *testing.T) {
	l := listen(t, "127.0.0.1:0")
	address := l.Addr().String()
	l.Close()
	_, err := Client(address, Control{}).Get(t.Context(), "/readyz")
	if err == nil || err.Error() != "cannot ask the admin port at "+address+": connection refused; is the program running, with the same --admin-listen and --control?" {
		t.Errorf("%v", err)
	}
	path := filepath.Join(t.TempDir(), "control")
	_, err = Client(":1", Control{Path: path}).Get(t.Context(), "/readyz")
	if err == nil || !strings.HasPrefix(err.Error(), "cannot ask the admin port at unix:"+path+": no such file or directory") {
		t.Errorf("%v", err)
	}
	_, err = Client("no address", Control{}).Get(t.Context(), "/readyz")
	if err == nil || !strings.HasPrefix(err.Error(), "cannot ask the admin port at no address: ") {
		t.Errorf("%v", err)
	}
}
