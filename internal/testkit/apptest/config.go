// SPDX-License-Identifier: Apache-2.0

package apptest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/app"
)

// testSpec checks the description of the program itself.
func (p Program) testSpec(t *testing.T) {
	spec := p.Spec()
	t.Run("every setting is a flag and a variable, and none looks like a service link", func(t *testing.T) {
		for _, f := range app.Flags(spec) {
			name := strings.TrimPrefix(f.Flag, "--")
			derived := spec.EnvPrefix() + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
			if f.Env != "" && f.Env != derived {
				t.Errorf("%s has the variable %s, want %s", f.Flag, f.Env, derived)
			}
			if name == "port" || name == "host" || strings.HasPrefix(name, "service-") {
				t.Errorf("%s looks like a Kubernetes service link", f.Env)
			}
		}
	})
	t.Run("every flag says what it is for, in a group", func(t *testing.T) {
		for _, f := range app.Flags(spec) {
			if !strings.HasSuffix(f.Help, ".") || f.Group == "Flags" {
				t.Errorf("%s: group %q, help %q: want a group and whole sentences", f.Flag, f.Group, f.Help)
			}
		}
	})
	t.Run("its one sentence has no period, its port a short name", func(t *testing.T) {
		if spec.Doc == "" || strings.HasSuffix(spec.Doc, ".") {
			t.Errorf("Doc is %q", spec.Doc)
		}
		if n := len(spec.AdminPortName); n == 0 || n > 15 || spec.AdminPort == 0 {
			t.Errorf("admin port %d is named %q: want 1 to 15 characters", spec.AdminPort, spec.AdminPortName)
		}
	})
}

// testConfiguration checks how every program is configured.
func testConfiguration(t *testing.T, w way) {
	t.Run("flag beats env beats file beats default", func(t *testing.T) { testPrecedence(t, w) })
	t.Run("set but empty counts as set", func(t *testing.T) {
		r := w.run(t, w.serveArgs(), w.env("shutdown-delay")+"=")
		r.want(t, 2, "env "+w.env("shutdown-delay")+`="": not a duration; use `)
	})
	t.Run("all errors at once, each with its source and the fix", func(t *testing.T) { testErrors(t, w) })
	t.Run("a value that looks like a flag or a leftover is an error", func(t *testing.T) {
		w.run(t, w.serveArgs("--shutdown-delay", "--strict-env")).want(t, 2, "--shutdown-delay: needs a value; use --shutdown-delay=")
		w.run(t, w.serveArgs("--strict-env", "true")).want(t, 2, `unexpected argument "true"; did you mean --strict-env=true?`)
		w.run(t, []string{"helthcheck"}).want(t, 2, `"helthcheck"; did you mean healthcheck?`)
	})
	t.Run("an unknown variable is a warning with the nearest name and no value", func(t *testing.T) {
		typo := w.env("log-levle")
		r := w.run(t, w.serveArgs("--check-config"), typo+"=s3cret", "UNRELATED=1")
		r.want(t, 0, typo, w.env("log-level"))
		if strings.Contains(r.stderr, "s3cret") {
			t.Errorf("the value is in the warning: %s", r.stderr)
		}
		w.run(t, w.serveArgs("--check-config", "--strict-env"), typo+"=x").want(t, 2, typo, w.env("log-level"))
		w.run(t, w.serveArgs("--print-config"), typo+"=x").want(t, 0, typo, w.env("log-level"))
		w.run(t, w.serveArgs("--log-format=xml"), typo+"=x").want(t, 2, "--log-format=xml", typo, w.env("log-level"))
	})
	t.Run("Kubernetes service links are no settings", func(t *testing.T) {
		prefix := w.spec.EnvPrefix()
		r := w.run(t, w.serveArgs("--check-config", "--strict-env"),
			prefix+"PORT=tcp://10.0.0.1:1", prefix+"SERVICE_HOST=10.0.0.1", prefix+"SERVICE_PORT=1",
			prefix+"SERVICE_PORT_HTTPS=1", prefix+"PORT_8443_TCP=tcp://10.0.0.1:1", prefix+"PORT_8443_TCP_ADDR=10.0.0.1")
		r.want(t, 0)
		if r.stderr != "" {
			t.Errorf("it said %s", r.stderr)
		}
	})
	t.Run("the file is strict", func(t *testing.T) {
		file := writeFile(t, "log-level: debug\nlog-levle: debug\n")
		w.run(t, w.serveArgs("--config="+file)).want(t, 2, file+`:2: unknown key "log-levle"; did you mean log-level?`)
		w.run(t, w.serveArgs("--config="+file+".missing")).want(t, 2, "cannot read "+file+".missing: no such file")
	})
	t.Run("a secret is refused on the command line and masked", func(t *testing.T) { testSecrets(t, w) })
	t.Run("help shows every flag with its variable", func(t *testing.T) {
		r := w.run(t, []string{"--help", "--log-level=nonsense"})
		r.want(t, 0, w.spec.Name+": "+w.spec.Doc, "healthcheck [live|ready|startup]", "manifest [native|legacy|podman|compose]")
		for _, f := range app.Flags(w.spec) {
			r.want(t, 0, f.Flag, f.Env, "\n"+f.Group+":\n")
		}
	})
	t.Run("version prints the version", func(t *testing.T) {
		w.run(t, []string{"--version", "--log-level=nonsense"}).want(t, 0, w.spec.Name+" ", "go1.")
	})
	t.Run("check-config says 0 or 2", func(t *testing.T) {
		w.run(t, w.serveArgs("--check-config")).want(t, 0)
		w.run(t, w.serveArgs("--check-config", "--log-format=xml")).want(t, 2, "--log-format=xml: not one of the choices; use json or text")
	})
}

func testPrecedence(t *testing.T, w way) {
	file := writeFile(t, "log-level: error\nshutdown-delay: 1s\nshutdown-timeout: 1s\n")
	r := w.run(t, w.serveArgs("--print-config", "--shutdown-delay=3s"),
		w.env("config")+"="+file, w.env("shutdown-delay")+"=2s", w.env("shutdown-timeout")+"=2s")
	r.want(t, 0,
		"log-level: error  # file "+file+":1\n",
		"shutdown-delay: 3s  # flag\n",
		"shutdown-timeout: 2s  # env "+w.env("shutdown-timeout")+"\n",
		"log-format: json  # default\n")
}

func testErrors(t *testing.T, w way) {
	r := w.run(t, w.serveArgs("--log-format=xml", "--log-levle=debug"),
		w.env("shutdown-timeout")+"=soon", w.env("shutdown-delay")+"=-1s", w.env("control")+"=everyone")
	r.want(t, 2,
		"--log-format=xml: ", "unknown flag --log-levle; did you mean --log-level?",
		"env "+w.env("shutdown-timeout")+`="soon": not a duration; use `,
		"env "+w.env("shutdown-delay")+`="-1s": cannot be negative; use `,
		"env "+w.env("control")+`="everyone": `)
	for line := range strings.Lines(r.stderr) {
		if !strings.HasPrefix(line, w.spec.Name+": ") {
			t.Errorf("%q does not begin with the program's name", line)
		}
	}
	if n := strings.Count(r.stderr, "\n"); n != 5 {
		t.Errorf("%d lines for 5 errors", n)
	}
}

func testSecrets(t *testing.T, w way) {
	const secret = "s3cret-value"
	for _, f := range app.Flags(w.spec) {
		if !f.Secret {
			continue
		}
		r := w.run(t, w.serveArgs(f.Flag+"="+secret))
		r.want(t, 2, f.Flag+"=***: a secret is not taken from the command line", f.Env)
		printed := w.run(t, w.serveArgs("--print-config"), f.Env+"="+secret)
		printed.want(t, 0, strings.TrimPrefix(f.Flag, "--")+": '***'  # env "+f.Env)
		for _, out := range []string{r.stderr, printed.stdout, printed.stderr} {
			if strings.Contains(out, secret) {
				t.Errorf("%s is printed: %s", f.Flag, out)
			}
		}
	}
	r := w.run(t, w.serveArgs("--control=unix://user:"+secret+"@/x"))
	r.want(t, 2, "a password in a URL is not taken from the command line")
	if strings.Contains(r.stderr, secret) {
		t.Errorf("the password is printed: %s", r.stderr)
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
