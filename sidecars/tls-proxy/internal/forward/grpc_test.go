// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// call makes a gRPC call by hand and returns its status, from the trailer or, where that is all there is, the header.
func call(t *testing.T, p *proxy, timeout string) (status, message string) {
	t.Helper()
	req := p.request(http.MethodPost, "/a.B/C", nil)
	req.Header.Set("Content-Type", "application/grpc+proto")
	req.Header.Set("Grpc-Timeout", timeout)
	resp, err := p.client("h2").Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Fatalf("the stream was reset: %v", err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HTTP status %d", resp.StatusCode)
	}
	if status := resp.Header.Get("Grpc-Status"); status != "" {
		return status, resp.Header.Get("Grpc-Message")
	}
	return resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
}

func TestACallThatTheApplicationBreaksOffEndsWithAStatus(t *testing.T) {
	t.Parallel()
	p := newProxy(t, h2cApp(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(w, "half a mess")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // resets the stream
	}))
	if status, message := call(t, p, "1H"); status != "14" || message == "" {
		t.Errorf("status %q %q, want 14, unavailable", status, message)
	}
	p.expectEnd(1, 200, "app_closed")
	if status, _ := call(t, p, "1n"); status != "4" {
		t.Errorf("behind its deadline: status %q, want 4", status)
	}
}

func TestACallThatReachesNoApplicationIsUnavailable(t *testing.T) {
	t.Parallel()
	p := newProxy(t, "h2c://"+testkit.FreeAddr(t), func(o *options) { o.forward.Hold = time.Millisecond })
	if status, message := call(t, p, "1H"); status != "14" || message != "the application is not accepting connections" {
		t.Errorf("status %q %q, want 14, unavailable", status, message)
	}
	p.expectEnd(1, 200, "app_refused")
}
