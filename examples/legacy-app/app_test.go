// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// TestMain lets the test binary be the program: the tests of signals need a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_LEGACY_APP") != "" {
		main()
	}
	testkit.VerifyMain(m)
}

func startServer(t *testing.T, opts options) *httptest.Server {
	t.Helper()
	opts.logBytes, opts.logKeep = max(opts.logBytes, 1000), max(opts.logKeep, 2)
	a, err := newApp(opts, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(a.handler())
	t.Cleanup(func() {
		server.Close()
		a.logs.Close()
	})
	return server
}

// ask sends a request without following redirects.
func ask(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			request.Host = value
		}
		request.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestRedirectsAreAbsoluteHTTPToTheHostAskedFor(t *testing.T) {
	server := startServer(t, options{})
	f := func(path, header, want string) {
		t.Helper()
		response, _ := ask(t, http.MethodGet, server.URL+path, "Host: boats.example:8443", "X-Forwarded-Proto: https")
		if got := response.Header.Get(header); got != want {
			t.Errorf("%s: %s is %q, want %q", path, header, got, want)
		}
	}
	f("/login", "Location", "http://boats.example:8443/")
	f("/logout", "Refresh", "0; url=http://boats.example:8443/")
	f("/ledger", "Content-Location", "http://boats.example:8443/ledger?format=text")
}

func TestLoginSetsACookieWithoutSecureThatTheHomePageKnows(t *testing.T) {
	server := startServer(t, options{})
	client := server.Client()
	client.Jar, _ = cookiejar.New(nil)
	response, err := client.Get(server.URL + "/login?name=Ames")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if page, _ := io.ReadAll(response.Body); !strings.Contains(string(page), "Ames (") {
		t.Errorf("the home page does not greet Ames:\n%s", page)
	}
	bare, _ := ask(t, http.MethodPost, server.URL+"/login")
	if got := bare.Header.Get("Set-Cookie"); !strings.HasPrefix(got, cookieName+"=") || strings.Contains(got, "Secure") {
		t.Errorf("Set-Cookie is %q", got)
	}
}

func TestPagesShowWhatXForwardedSays(t *testing.T) {
	server := startServer(t, options{})
	_, told := ask(t, http.MethodGet, server.URL+"/whoami",
		"X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9, 10.0.0.1", "X-Forwarded-Host: boats.example")
	if want := "I was asked over https by 203.0.113.9 for boats.example\n"; told != want {
		t.Errorf("got %q, want %q", told, want)
	}
	_, bare := ask(t, http.MethodGet, server.URL+"/whoami", "Host: localhost:1")
	if want := "I was asked over http by 127.0.0.1 for localhost:1\n"; bare != want {
		t.Errorf("got %q, want %q", bare, want)
	}
	_, page := ask(t, http.MethodGet, server.URL+"/", "X-Forwarded-For: <b>")
	if strings.Contains(page, "<b></td>") || !strings.Contains(page, "&lt;b&gt;") {
		t.Error("the home page does not escape what a header says")
	}
}

func TestDownloadHasTheSizeAskedForAndRanges(t *testing.T) {
	server := startServer(t, options{})
	response, body := ask(t, http.MethodGet, server.URL+"/download?bytes=1000")
	if len(body) != 1000 || response.ContentLength != 1000 || !strings.HasPrefix(body, archiveLine+archiveLine) {
		t.Errorf("got %d bytes, Content-Length %d", len(body), response.ContentLength)
	}
	part, rest := ask(t, http.MethodGet, server.URL+"/download?bytes=1000", "Range: bytes=990-")
	if part.StatusCode != http.StatusPartialContent || rest != body[990:] {
		t.Errorf("range: status %d, %q, want %q", part.StatusCode, rest, body[990:])
	}
	if bad, _ := ask(t, http.MethodGet, server.URL+"/download?bytes=-1"); bad.StatusCode != http.StatusBadRequest {
		t.Errorf("a size below zero: status %d", bad.StatusCode)
	}
}

func TestUploadAnswersWithSizeAndHash(t *testing.T) {
	server := startServer(t, options{})
	sent := bytes.Repeat([]byte("oar"), 100_000)
	response, err := server.Client().Post(server.URL+"/upload", "application/octet-stream", bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, _ := io.ReadAll(response.Body)
	if want := fmt.Sprintf("300000 bytes, sha256 %x\n", sha256.Sum256(sent)); string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEventsArriveOneByOne(t *testing.T) {
	server := startServer(t, options{})
	response, err := server.Client().Get(server.URL + "/events?every=1ms&count=3")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type %q", kind)
	}
	body, _ := io.ReadAll(response.Body)
	if got := strings.Count(string(body), "event: tick\ndata: {\"n\":"); got != 3 {
		t.Errorf("%d ticks, want 3:\n%s", got, body)
	}
}

func TestSlowWaitsAsToldAndRefusesNonsense(t *testing.T) {
	server := startServer(t, options{})
	if _, body := ask(t, http.MethodGet, server.URL+"/slow?for=1ms"); body != "the report took 1ms\n" {
		t.Errorf("got %q", body)
	}
	if bad, _ := ask(t, http.MethodGet, server.URL+"/slow?for=soon"); bad.StatusCode != http.StatusBadRequest {
		t.Errorf("nonsense: status %d", bad.StatusCode)
	}
}

func TestStatsAreNestedJSON(t *testing.T) {
	server := startServer(t, options{})
	ask(t, http.MethodGet, server.URL+"/whoami")
	ask(t, http.MethodGet, server.URL+"/nowhere")
	_, body := ask(t, http.MethodGet, server.URL+"/stats")
	var got struct {
		Requests struct {
			Total    int64
			ByStatus map[string]int64 `json:"by_status"`
			ByPage   map[string]int64 `json:"by_page"`
		}
		Jobs []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	r := got.Requests
	if r.Total != 2 || r.ByStatus["2xx"] != 1 || r.ByStatus["4xx"] != 1 || r.ByPage["GET /whoami"] != 1 || r.ByPage["unknown"] != 1 {
		t.Errorf("got %+v", r)
	}
	if len(got.Jobs) != 1 || got.Jobs[0].Name != "housekeeping" {
		t.Errorf("jobs: %+v", got.Jobs)
	}
}

func TestAFailureIs500WithItsStackInErrorLog(t *testing.T) {
	dir := t.TempDir()
	server := startServer(t, options{logDir: dir, logBytes: 1 << 20})
	if response, _ := ask(t, http.MethodGet, server.URL+"/fail"); response.StatusCode != http.StatusInternalServerError {
		t.Errorf("status %d", response.StatusCode)
	}
	errs, _ := os.ReadFile(filepath.Join(dir, "error.log"))
	first, rest, _ := strings.Cut(string(errs), "\n")
	if !strings.Contains(first, " ERROR [Web] GET /fail: cannot save the ledger") {
		t.Errorf("first line of error.log: %q", first)
	}
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "    ") {
			t.Errorf("stack line is not indented: %q", line)
		}
	}
}

// process is a legacy-app of its own.
type process struct {
	*exec.Cmd
	url    string
	stderr *bytes.Buffer
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], append([]string{"-addr", "127.0.0.1:0"}, args...)...), stderr: &bytes.Buffer{}}
	p.Env = append(os.Environ(), "RUN_LEGACY_APP=1")
	p.Stderr = p.stderr
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait() // an error where the test has waited already
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("no start line: %v\n%s", err, p.stderr)
	}
	p.url = strings.TrimSpace(strings.TrimPrefix(line, "legacy-app listens on "))
	return p
}

func TestSIGHUPReadsTheConfigurationAgainAndKeepsTheOldOneIfBad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "boathouse.conf")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	waitFor := func(path, want string) {
		t.Helper()
		testkit.Eventually(t, path+" says "+want, func() error {
			if _, body := ask(t, http.MethodGet, path); !strings.Contains(body, want) {
				return fmt.Errorf("it says %q", body)
			}
			return nil
		})
	}
	write("title = North Pier\n")
	p := startProcess(t, "-config", file)
	waitFor(p.url, "North Pier")
	write("title = South Pier\nmaintenance = true\n")
	p.Process.Signal(syscall.SIGHUP)
	waitFor(p.url, "South Pier")
	waitFor(p.url+"/status", "DOWN (maintenance)")
	write("session_minutes = soon\n")
	p.Process.Signal(syscall.SIGHUP)
	waitFor(p.url+"/stats", `"failures": 1`)
	waitFor(p.url+"/config", "title = South Pier")
}

func TestSIGTERMCutsRequestsOffAndExits143(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "app.pid")
	p := startProcess(t, "-pid-file", pidFile)
	response, err := http.Get(p.url + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if pid, _ := os.ReadFile(pidFile); strings.TrimSpace(string(pid)) != fmt.Sprint(p.Process.Pid) {
		t.Errorf("pid file holds %q, want %d", pid, p.Process.Pid)
	}
	p.Process.Signal(syscall.SIGTERM)
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("the stream ended in order, want it cut")
	}
	p.Wait()
	if code := p.ProcessState.ExitCode(); code != 143 {
		t.Errorf("exit code %d, want 143\n%s", code, p.stderr)
	}
}

func TestBadUsageExits2AndABusyPort1(t *testing.T) {
	f := func(want int, message string, args ...string) {
		t.Helper()
		var stderr bytes.Buffer
		signals := make(chan os.Signal, 1)
		signals <- syscall.SIGTERM // should it start after all
		if got := run(args, io.Discard, &stderr, signals); got != want || !strings.Contains(stderr.String(), message) {
			t.Errorf("%q: exit code %d with %q, want %d with %q", args, got, stderr.String(), want, message)
		}
	}
	busy := startServer(t, options{})
	f(2, "unexpected argument", "please")
	f(2, "-job-every must be above zero", "-job-every", "0s")
	f(1, "cannot listen on -addr", "-addr", busy.Listener.Addr().String())
	f(1, "cannot read -config", "-config", filepath.Join(t.TempDir(), "missing"))
	f(143, "got terminated", "-addr", "127.0.0.1:0")
}
