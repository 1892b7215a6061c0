// SPDX-License-Identifier: Apache-2.0

package lifecycle_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/lifecycle"
)

// TestSIGTERMDrainsARequestInFlight sends itself a real signal while a real server answers.
func TestSIGTERMDrainsARequestInFlight(t *testing.T) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	defer signal.Stop(signals)

	group := lifecycle.New(lifecycle.Options{ShutdownTimeout: time.Minute})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-group.Stopping()
		_, _ = io.WriteString(w, "answered")
	})}
	group.Add(lifecycle.Actor{
		Name: "web",
		Run: func(context.Context) error {
			if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		},
		Drain:  server.Shutdown,
		Cancel: func() { _ = server.Close() },
	})

	exit := make(chan int, 1)
	go func() { exit <- group.Run(t.Context(), signals) }()
	body := make(chan string, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get("http://" + ln.Addr().String())
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		body <- string(text)
	}()
	<-arrived
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := <-body; got != "answered" {
		t.Errorf("the request in flight got %q", got)
	}
	if code := <-exit; code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
