// SPDX-License-Identifier: Apache-2.0

package app_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/outrigger/outrigger/internal/address"
	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/lifecycle"
)

// TestMain runs the stub when the test binary is started under its name, so that
// the chassis is tested as a real process without a build.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == stubName {
		app.Main(stubSpec())
	}
	goleak.VerifyTestMain(m)
}

const stubName = "stub"

// stubBinary returns the path of the stub.
func stubBinary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), stubName)
	if err := os.Link(self, path); err != nil {
		if err := os.Symlink(self, path); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// stubConfig is the settings of a program that greets.
type stubConfig struct {
	Listen   address.Listen `group:"Greeting" default:"127.0.0.1:0" placeholder:"HOST:PORT" help:"Where to greet."`
	Name     []string       `group:"Greeting" help:"Whom to greet."`
	Password app.Secret     `group:"Greeting" help:"What the greeter knows."`
	Dir      string         `group:"Greeting" mount:"/greetings" help:"Where greetings are."`
}

// Check looks at the files.
func (c *stubConfig) Check(r *app.Report) {
	if c.Dir == "" {
		return
	}
	if _, err := os.Stat(c.Dir); err != nil {
		r.Errorf("dir", "cannot read the greetings: %w; mount a volume there", err)
	}
}

// stubRules are its structured rules.
type stubRules struct {
	Greetings []struct {
		Language string `yaml:"language"`
		Text     string `yaml:"text"`
	} `yaml:"greetings"`
}

// Validate refuses an empty text.
func (s *stubRules) Validate(r *app.Report) {
	for i, g := range s.Greetings {
		if g.Text == "" {
			r.Errorf(fmt.Sprintf("greetings[%d].text", i), "is empty; write a greeting")
		}
	}
}

func stubSpec() app.Spec {
	c := new(stubConfig)
	return app.Spec{
		Name: stubName, Doc: "Greets whoever asks", AdminPort: 9999, AdminPortName: "stub-admin",
		Config: c,
		File:   new(stubRules),
		Commands: []app.Command{{
			Name: "drain", Help: "Take the program out of service.",
			Run: func(ctx context.Context, env *app.CommandEnv) int {
				answer, err := env.Admin.Post(ctx, "/-/drain", "")
				if err != nil || !answer.OK() {
					fmt.Fprintln(env.Stderr, err, answer.Body)
					return 1
				}
				return 0
			},
		}},
		Manifest: func() app.Container {
			return app.Container{
				Ports:   []app.Port{{Name: "greeting", Port: 8080}},
				Mounts:  []app.Mount{{Name: "greetings", Path: "/greetings", Volume: "configMap:greetings", ReadOnly: true}},
				PreStop: []string{"drain"},
			}
		},
		Setup: func(env *app.Env) error { return setupStub(env, c) },
	}
}

func setupStub(env *app.Env, c *stubConfig) error {
	ln, err := env.Listen("greeting", c.Listen)
	if err != nil {
		return err
	}
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "stub_requests_total", Help: "Greetings by whom they went to.",
	}, []string{"name"})
	env.Metrics.MustRegister(requests)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.WithLabelValues("anyone").Inc()
		if block := r.URL.Query().Get("block"); block != "" {
			<-r.Context().Done()
		}
		fmt.Fprintln(w, "hello")
	})}
	env.Admin.Control("POST /-/drain", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		env.Admin.SetNotReady("drained")
	}))
	env.OnRules(func(_ context.Context, rules any) error {
		env.Log.Info("greetings changed", "count", len(rules.(*stubRules).Greetings))
		return nil
	})
	env.Life.OnReload("names", func(context.Context) error { return nil })
	env.Life.Add(lifecycle.Actor{
		Name: "greeting",
		Run: func(context.Context) error {
			if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		},
		StopAccepting: func() { server.SetKeepAlivesEnabled(false); _ = ln.Close() },
		Drain:         server.Shutdown,
		Cancel:        func() { _ = server.Close() },
	})
	return nil
}
