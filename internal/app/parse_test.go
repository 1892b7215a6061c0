// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// testConfig has a flag of every kind.
type testConfig struct {
	Target   string        `group:"App" placeholder:"HOST:PORT" help:"Where the app listens."`
	Listen   []string      `group:"App" default:":8443" help:"Where to listen."`
	Wait     time.Duration `group:"App" default:"5s" help:"How long to wait."`
	Max      int           `group:"App" default:"10" help:"How many."`
	Size     Bytes         `group:"App" default:"1MiB" help:"How large."`
	Secure   bool          `group:"App" help:"Whether."`
	Mode     string        `group:"App" enum:"fast,safe" default:"safe" help:"How."`
	Password Secret        `group:"App" help:"The password."`
	Dir      string        `group:"App" mount:"/conventional" unless:"target" help:"Where files are."`
	Old      string        `group:"App" aliases:"older" help:"Has another name."`
	Left     string        `group:"App" xor:"side" help:"One side."`
	Right    string        `group:"App" xor:"side" help:"The other side."`
}

func testSpec(c any) Spec {
	return Spec{Name: "test-prog", Doc: "Tests the chassis", AdminPort: 9999, AdminPortName: "test-admin", Config: c}
}

// parseTest parses without a default file.
func parseTest(t *testing.T, args, environ []string) (*testConfig, *Parsed, error) {
	t.Helper()
	c := new(testConfig)
	p, err := Parse(testSpec(c), args, environ)
	if p == nil {
		t.Fatalf("no outcome: %v", err)
	}
	return c, p, err
}

func TestPrecedenceIsFlagThenEnvThenFileThenDefault(t *testing.T) {
	file := writeFile(t, "max: 3\nwait: 3s\nmode: fast\n")
	c, _, err := parseTest(t,
		[]string{"--config", file, "--max=1"},
		[]string{"TEST_PROG_MAX=2", "TEST_PROG_WAIT=2s"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Max != 1 || c.Wait != 2*time.Second || c.Mode != "fast" || c.Size != 1<<20 {
		t.Errorf("got %+v", c)
	}
}

func TestSetButEmptyCountsAsSet(t *testing.T) {
	file := writeFile(t, "old: from file\nlisten: [a, b]\n")
	c, p, err := parseTest(t, []string{"--config=" + file}, []string{"TEST_PROG_OLD=", "TEST_PROG_LISTEN="})
	if err != nil {
		t.Fatal(err)
	}
	if c.Old != "" || len(c.Listen) != 0 || !p.IsSet("old") || !p.IsSet("listen") || p.IsSet("max") {
		t.Errorf("got %+v", c)
	}
}

func TestRepeatableTakesOneValuePerLineAndNoCommas(t *testing.T) {
	f := func(args, environ, want []string) {
		t.Helper()
		c, _, err := parseTest(t, args, environ)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.Listen); diff != "" {
			t.Error(diff)
		}
	}
	f(nil, nil, []string{":8443"})
	f([]string{"--listen=:1", "--listen", ":2"}, nil, []string{":1", ":2"})
	f([]string{"--listen=:1,:2"}, nil, []string{":1,:2"})
	f(nil, []string{"TEST_PROG_LISTEN=:1\n\n  :2\n"}, []string{":1", ":2"})
	f([]string{"--config=" + writeFile(t, "listen:\n  - :1\n  - :2\n")}, nil, []string{":1", ":2"})
	f([]string{"--config=" + writeFile(t, "listen: :1\n")}, nil, []string{":1"})
}

func TestAllErrorsAtOnceEachWithItsSource(t *testing.T) {
	file := writeFile(t, "size: huge\nsecur: true\n")
	_, _, err := parseTest(t,
		[]string{"--config=" + file, "--max=many", "--targett=x", "leftover", "--wait"},
		[]string{"TEST_PROG_MODE=slow", "TEST_PROG_SECURE=perhaps"})
	wantErrors(t, err,
		`unknown flag --targett; did you mean --target?`,
		`unexpected argument "leftover"`,
		`--wait: needs a value; use --wait=VALUE`,
		`--max=many: not a whole number; use digits only`,
		file+`:2: unknown key "secur"; did you mean secure?`,
		`env TEST_PROG_SECURE="perhaps": not a truth value; use true or false`,
		`env TEST_PROG_MODE="slow": not one of the choices; use fast or safe`,
		file+`:1: size: "huge": not a size; use a whole number with a unit, such as 32KiB or 10MB`,
	)
	if _, ok := errors.AsType[*UsageError](err); !ok {
		t.Errorf("not a UsageError: %T", err)
	}
}

func TestErrorsNameTheFix(t *testing.T) {
	f := func(args, environ []string, want string) {
		t.Helper()
		_, _, err := parseTest(t, args, environ)
		wantErrors(t, err, want)
	}
	f([]string{"--wait=5"}, nil, `--wait=5: not a duration; use a number with a unit, such as 500ms, 25s or 5m`)
	f([]string{"--wait", "--max=1"}, nil, `--wait: needs a value; use --wait=VALUE`)
	f([]string{"-target=x"}, nil, `unknown flag -target; did you mean --target?`)
	f([]string{"--secure", "false"}, nil, `unexpected argument "false"; did you mean --secure=false?`)
	f([]string{"helthcheck"}, nil, `unexpected argument "helthcheck"; did you mean healthcheck?`)
	f([]string{"--older=x", "--max=1e99"}, nil, `--max=1e99: number out of range; use a smaller whole number`)
	f([]string{"--left=1", "--right=2"}, nil, `--right=2: cannot be used together with --left; use one of the two`)
	f([]string{"--log-level=loud"}, nil, `--log-level=loud: not a level; use debug, info, warn or error`)
	f([]string{"--config=/does/not/exist.yaml"}, nil,
		`--config=/does/not/exist.yaml: cannot read /does/not/exist.yaml: no such file or directory; check the path and the mount`)
	f(nil, []string{"TEST_PROG_LISTEN=:1", "TEST_PROG_SHUTDOWN_DELAY=-1s"},
		`env TEST_PROG_SHUTDOWN_DELAY="-1s": cannot be negative; use 0s for none`)
}

func TestAliasesAndSingleDashNamesHaveNoEnv(t *testing.T) {
	c := new(testConfig)
	spec := testSpec(c)
	spec.SingleDash = []string{"older"}
	if _, err := Parse(spec, []string{"-older", "v"}, nil); err != nil || c.Old != "v" {
		t.Errorf("got %q, %v", c.Old, err)
	}
	_, p, err := parseTest(t, nil, []string{"TEST_PROG_OLDER=v"})
	if err != nil || len(p.Warnings) != 1 {
		t.Errorf("got %v, %v", p.Warnings, err)
	}
}

func TestUnknownVariableIsAWarningWithTheNearestNameAndNoValue(t *testing.T) {
	environ := []string{"TEST_PROG_TARGTE=s3cret", "TEST_PROGRAM=x", "OTHER=y"}
	_, p, err := parseTest(t, nil, environ)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"env TEST_PROG_TARGTE: no setting has this name; did you mean TEST_PROG_TARGET?"}
	if diff := cmp.Diff(want, p.Warnings); diff != "" {
		t.Error(diff)
	}
	_, _, err = parseTest(t, []string{"--strict-env"}, environ)
	wantErrors(t, err, want[0])
}

func TestServiceLinksAreSkipped(t *testing.T) {
	_, p, err := parseTest(t, []string{"--strict-env"}, []string{
		"TEST_PROG_PORT=tcp://10.0.0.1:8443", "TEST_PROG_SERVICE_HOST=10.0.0.1", "TEST_PROG_SERVICE_PORT=8443",
		"TEST_PROG_SERVICE_PORT_HTTPS=8443", "TEST_PROG_PORT_8443_TCP=tcp://10.0.0.1:8443",
		"TEST_PROG_PORT_8443_TCP_PROTO=tcp", "TEST_PROG_PORT_8443_TCP_PORT=8443", "TEST_PROG_PORT_8443_TCP_ADDR=10.0.0.1",
		"TEST_PROG_CANARY_PORT=tcp://10.0.0.2:1", "TEST_PROG_CANARY_SERVICE_HOST=10.0.0.2",
	})
	if err != nil || len(p.Warnings) != 0 {
		t.Errorf("got %v, %v", p.Warnings, err)
	}
}

func TestSecretsAreRefusedOnTheCommandLineAndNeverPrinted(t *testing.T) {
	const secret = "hunter2"
	_, _, err := parseTest(t, []string{"--password=" + secret, "--target=redis://u:" + secret + "@h:1", "--old=etcd://h?token=" + secret}, nil)
	wantErrors(t, err,
		"--password=***: a secret is not taken from the command line, where every process sees it; use env TEST_PROG_PASSWORD",
		"--target=redis://u:***@h:1: a password in a URL is not taken from the command line, where every process sees it; use env TEST_PROG_TARGET or a password file",
		"--old=etcd://h?token=***: a password in a URL is not taken from the command line, where every process sees it; use env TEST_PROG_OLD or a password file",
	)
	c, p, err := parseTest(t, nil, []string{"TEST_PROG_PASSWORD=" + secret, "TEST_PROG_TARGET=redis://u:" + secret + "@h:1?password-file=/p"})
	if err != nil || c.Password.Reveal() != secret || !strings.Contains(c.Target, secret) {
		t.Fatalf("got %+v, %v", c, err)
	}
	var out strings.Builder
	if err := p.writeConfig(&out); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Settings() {
		out.WriteString(s.Value + "\n")
	}
	if text := out.String(); strings.Contains(text, secret) || !strings.Contains(text, "redis://u:***@h:1?password-file=/p") {
		t.Errorf("got %s", text)
	}
}

func TestMountIsTheDefaultWhenItExistsAndNothingSaysOtherwise(t *testing.T) {
	f := func(args []string, exists bool, want string) {
		t.Helper()
		c := new(testConfig)
		p := newParser(testSpec(c), nil)
		p.exists = func(path string) bool { return exists && path == "/conventional" }
		if _, err := p.parse(args); err != nil {
			t.Fatal(err)
		}
		if c.Dir != want {
			t.Errorf("got %q, want %q", c.Dir, want)
		}
	}
	f(nil, true, "/conventional")
	f(nil, false, "")
	f([]string{"--dir=/own"}, true, "/own")
	f([]string{"--target=x"}, true, "")
}

func TestParseIsAFunctionOfItsArguments(t *testing.T) {
	t.Setenv("TEST_PROG_TARGET", "from the process")
	c, _, err := parseTest(t, nil, nil)
	if err != nil || c.Target != "" {
		t.Errorf("got %q, %v", c.Target, err)
	}
}

func TestHealthcheckIgnoresAllOtherSettings(t *testing.T) {
	_, p, err := parseTest(t, []string{"healthcheck", "live", "--admin-listen=:1234"},
		[]string{"TEST_PROG_MAX=wrong", "TEST_PROG_STRICT_ENV=true", "TEST_PROG_TYPO=1", "TEST_PROG_CONFIG=/does/not/exist"})
	if err != nil || p.Command != "healthcheck" || p.Common.AdminListen.Address != ":1234" {
		t.Errorf("got %+v, %v", p, err)
	}
	_, _, err = parseTest(t, []string{"healthcheck", "lively", "--bogus"}, []string{"TEST_PROG_ADMIN_LISTEN=nonsense"})
	wantErrors(t, err,
		`unknown flag --bogus; --help lists the flags`,
		`argument "lively": not one of the choices; use live, ready or startup; did you mean live?`,
		`env TEST_PROG_ADMIN_LISTEN="nonsense":`)
}

func TestValuesMayBeginWithADash(t *testing.T) {
	c, _, err := parseTest(t, []string{"--max", "-5", "--old", "-"}, nil)
	if err != nil || c.Max != -5 || c.Old != "-" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestReservedFlagNamesAreRefused(t *testing.T) {
	c := &struct{ Port int }{}
	if _, err := Parse(testSpec(c), nil, nil); !errors.Is(err, errBadSpec) {
		t.Errorf("got %v", err)
	}
}

func TestFlagNames(t *testing.T) {
	f := func(field, want string) {
		t.Helper()
		if got := flagName(field); got != want {
			t.Errorf("%s: got %s, want %s", field, got, want)
		}
	}
	f("MaxHeaderBytes", "max-header-bytes")
	f("TLSProfile", "tls-profile")
	f("HTTP2Streams", "http2-streams")
	f("H2C", "h2c")
	f("Http2MaxStreams", "http2-max-streams")
	f("HSTS", "hsts")
}

// wantErrors checks that the error holds exactly these lines; each may be cut.
func wantErrors(t *testing.T, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	if len(got) != len(want) {
		t.Errorf("%d errors, want %d", len(got), len(want))
	}
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || strings.HasPrefix(g, w)
		}
		if !found {
			t.Errorf("missing: %s\ngot:\n%s", w, err)
		}
	}
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
