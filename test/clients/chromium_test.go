// SPDX-License-Identifier: Apache-2.0

package clients_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/outrigger/outrigger/internal/testkit"
)

// TestABrowserUsesTheLegacyApplicationOverHTTPS: its page, its sign-in, its WebSocket and its event stream.
func TestABrowserUsesTheLegacyApplicationOverHTTPS(t *testing.T) {
	t.Parallel()
	p := startProxy(t, startLegacy(t), "--secure-cookies")
	// The sign-in redirects to an absolute http:// address and sets a cookie: unless both are mended, nobody is signed in.
	b := browse(t, p.url("/login?name=skipper"))
	wants := []*regexp.Regexp{
		regexp.MustCompile(`<b id="scheme">https</b>`),
		regexp.MustCompile(`<td id="host">localhost:` + p.port + `</td>`),
		regexp.MustCompile(`skipper \(<a href="/logout">`),
		regexp.MustCompile(`<td id="echo">ahoy came back</td>`),
		regexp.MustCompile(`<td id="events">tick [2-9]</td>`), // the second comes a second later: nothing holds it back
	}
	testkit.Eventually(t, "the page that the scripts make", func() error {
		page, err := b.page()
		if err != nil {
			return err
		}
		for _, want := range wants {
			if !want.MatchString(page) {
				return fmt.Errorf("%s is not in\n%s", want, page)
			}
		}
		return nil
	})
	p.WaitMetric("tls_proxy_tunnels_open", func(v float64) bool { return v == 1 })
	b.close(t)
	p.WaitMetric("tls_proxy_tunnels_open", func(v float64) bool { return v == 0 })
	if log := p.Stdout(); !strings.Contains(log, `"path":"/login","status":302`) || !strings.Contains(log, `"proto":"HTTP/2.0"`) {
		t.Errorf("the browser did not come over HTTP/2:\n%s", log)
	}
}

// browser is a headless Chromium with one page, spoken to by its DevTools protocol: a page whose event stream never
// ends is never "loaded", which --dump-dom waits for.
type browser struct {
	*testkit.Process
	ctx  context.Context
	conn *websocket.Conn // to the page
	id   int
}

func browse(t *testing.T, url string) *browser {
	t.Helper()
	profile := testkit.ShortDir(t)
	b := &browser{ctx: t.Context(), Process: testkit.StartCommand(t, testkit.Command{
		Path: testkit.Tool(t, "chromium", "chromium"),
		Args: []string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
			"--disable-sync", "--disable-dev-shm-usage", "--ignore-certificate-errors", "--user-data-dir=" + profile, "--remote-debugging-port=0", url,
		},
		Env: []string{"HOME=" + profile, "TMPDIR=" + profile},
	})}
	testkit.Eventually(t, "the browser's page", func() error {
		target, err := pageOf(profile)
		if err != nil {
			return err
		}
		b.conn, _, err = websocket.Dial(t.Context(), target, nil)
		return err
	})
	b.conn.SetReadLimit(16 << 20)
	t.Cleanup(func() { _ = b.conn.CloseNow() })
	return b
}

// pageOf finds the address of the page's DevTools in the profile of a browser that has started.
func pageOf(profile string) (string, error) {
	active, err := os.ReadFile(filepath.Join(profile, "DevToolsActivePort"))
	if err != nil {
		return "", err
	}
	port, _, _ := strings.Cut(string(active), "\n")
	answer, err := testkit.Get("http://127.0.0.1:" + port + "/json/list")
	if err != nil {
		return "", err
	}
	var targets []struct{ Type, WebSocketDebuggerURL string }
	if err := json.Unmarshal([]byte(answer.Body), &targets); err != nil {
		return "", err
	}
	for _, target := range targets {
		if target.Type == "page" {
			return target.WebSocketDebuggerURL, nil
		}
	}
	return "", errors.New("it has no page yet")
}

// call sends a command and returns the raw answer; events are passed over.
func (b *browser) call(method string, params any) (json.RawMessage, error) {
	b.id++
	ctx, cancel := context.WithTimeout(b.ctx, testkit.Patience)
	defer cancel()
	command, err := json.Marshal(map[string]any{"id": b.id, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	if err := b.conn.Write(ctx, websocket.MessageText, command); err != nil {
		return nil, err
	}
	for {
		_, message, err := b.conn.Read(ctx)
		if err != nil {
			return nil, err
		}
		var answer struct {
			ID            int
			Result, Error json.RawMessage
		}
		if err := json.Unmarshal(message, &answer); err != nil {
			return nil, err
		}
		if answer.ID == b.id {
			if answer.Error != nil {
				return nil, errors.New(string(answer.Error))
			}
			return answer.Result, nil
		}
	}
}

// page is the document as it stands now.
func (b *browser) page() (string, error) {
	raw, err := b.call("Runtime.evaluate", map[string]any{"expression": "document.documentElement.outerHTML", "returnByValue": true})
	if err != nil {
		return "", err
	}
	var evaluated struct{ Result struct{ Value string } }
	err = json.Unmarshal(raw, &evaluated)
	return evaluated.Result.Value, err
}

// close ends the browser and its children.
func (b *browser) close(t *testing.T) {
	t.Helper()
	if _, err := b.call("Browser.close", nil); err != nil && websocket.CloseStatus(err) == -1 && !errors.Is(err, context.DeadlineExceeded) {
		t.Logf("closing the browser: %v", err) // it may end before it answers
	}
	b.Wait()
}
