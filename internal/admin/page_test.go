// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"html"
	"math"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const nasty = `<script>alert("x" + '&')</script>`

// nastyServer says something that no page may take at its word wherever a program or its surroundings can say something.
func nastyServer(t *testing.T) (*Server, string) {
	t.Helper()
	s, local := serve(t, Options{Version: nasty, EnablePprof: true, Settings: func() []Setting {
		return []Setting{{Name: nasty, Env: nasty, Value: nasty, Origin: nasty}, {Name: "listen", Value: "", Origin: "default"}}
	}})
	s.Ready(nasty, fails(nasty))
	s.Note("app", fails(nasty))
	s.Figure(Figure{Title: nasty, Unit: nasty, Value: func() float64 { return 1 }})
	s.Figure(Figure{Title: "nothing", Value: func() float64 { return math.NaN() }})
	s.Table(Table{Title: nasty, Head: []string{nasty, nasty}, Rows: func() [][]string { return [][]string{{nasty, nasty, nasty}, {nasty}, {}} }})
	return s, local
}

func TestThePageTakesNothingAtItsWord(t *testing.T) {
	s, local := nastyServer(t)
	s.SetNotReady(nasty)
	got := ask(t, local, request{path: "/"})
	if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %s", got.status, got.header.Get("Content-Type"))
	}
	if strings.Contains(got.body, "<script>alert") || strings.Contains(got.body, `alert("x"`) {
		t.Errorf("unescaped text in\n%s", got.body)
	}
	if n := strings.Count(got.body, html.EscapeString(nasty)); n < 15 {
		t.Errorf("only %d of the texts are shown", n)
	}
}

func TestThePageNeedsNothingFromOutside(t *testing.T) {
	_, local := nastyServer(t)
	got := ask(t, local, request{path: "/"})
	for _, part := range []string{"default-src 'none'", "style-src 'sha256-", "script-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(got.header.Get("Content-Security-Policy"), part) {
			t.Errorf("the policy lacks %s: %s", part, got.header.Get("Content-Security-Policy"))
		}
	}
	for _, address := range regexp.MustCompile(`(?:src|href|url\()\s*=?\s*["']?([a-z]+:)`).FindAllStringSubmatch(got.body, -1) {
		if address[1] != "data:" {
			t.Errorf("the page names %s", address[0])
		}
	}
	if strings.Contains(got.body, " style=") || regexp.MustCompile(` on[a-z]+="`).MatchString(got.body) {
		t.Error("an attribute that the policy forbids")
	}
}

func TestStatusIsJSONWithoutValuesThatItCannotHold(t *testing.T) {
	s, local := nastyServer(t)
	until(t, "the first sample is taken", func() bool { return len(s.figures()[1].window()) > 0 })
	got := ask(t, local, request{path: "/status"})
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %s", kind)
	}
	var st struct {
		Program, Title, Sentence string
		Ready, Live              bool
		Figures                  []struct {
			Value  *float64
			Number string
		}
		Checks []map[string]any
		Tables []struct{ Rows [][]string }
	}
	if err := json.Unmarshal([]byte(got.body), &st); err != nil {
		t.Fatalf("%v in\n%s", err, got.body)
	}
	if st.Program != "tls-proxy" || st.Ready || !st.Live || st.Title != "Not ready" || st.Sentence != nasty+": "+nasty+"." {
		t.Errorf("%+v", st)
	}
	if f := st.Figures[0]; f.Value == nil || *f.Value != 1 || f.Number != "1" {
		t.Errorf("%+v", f)
	}
	if f := st.Figures[1]; f.Value != nil || f.Number != "–" {
		t.Errorf("%+v", f)
	}
	if len(st.Checks) != 2 || len(st.Tables[0].Rows) != 3 {
		t.Errorf("%+v", st)
	}
}

func TestTheStateIsOneSentence(t *testing.T) {
	phase := "running"
	s := New(Options{Program: "p", Phase: func() string { return phase }})
	f := func(title, sentence string, m mood) {
		t.Helper()
		if st := s.status(time.Now()); st.Title != title || st.Sentence != sentence || st.Mood != m {
			t.Errorf("%s: %s (%s)", st.Title, st.Sentence, st.Mood)
		}
	}
	f("Ready", "Every check passes.", moodGood)
	s.Note("app", fails("connection refused"))
	f("Ready", "Every check that counts passes. Worth a look: app: connection refused.", moodGood)
	s.Ready("certificate", fails("expired"))
	s.Ready("listeners", fails("closed"))
	f("Not ready", "certificate: expired; listeners: closed.", moodBad)
	s.Startup("certificate", fails("/tls is empty"))
	f("Starting", "Waiting: certificate: /tls is empty.", moodWait)
	s.SetNotReady("drained by an operator")
	f("Drained", "Taken out of service by an operator, and still working for whoever comes: drained by an operator.", moodWait)
	phase = "starting"
	f("Starting", "The program is not ready for work yet.", moodWait)
	phase = "draining"
	f("Shutting down", "No new work is wanted; what is under way is being finished.", moodWait)
	s.Live("loop", fails("no progress"))
	f("Stuck", "A part of the program no longer advances, which a liveness probe takes as the order to restart its container: loop: no progress.", moodBad)
}

func TestChartsAreDrawnToScale(t *testing.T) {
	nan := number(math.NaN())
	f := func(samples []number, wantLine, wantArea string) {
		t.Helper()
		line, area := chart(samples)
		if line != wantLine || area != wantArea {
			t.Errorf("%v:\n%s\n%s", samples, line, area)
		}
	}
	f(nil, "", "")
	f([]number{nan, nan}, "", "")
	f([]number{0, 0}, "M298,55L300,55", "M298,55L300,55L300,56L298,56Z")
	f([]number{0, 10}, "M298,55L300,5.9", "M298,55L300,5.9L300,56L298,56Z")
	f([]number{10, nan, 10, 10}, "M294,5.9M298,5.9L300,5.9", "M294,5.9L294,56L294,56ZM298,5.9L300,5.9L300,56L298,56Z")
	f([]number{-10, 0}, "M298,55L300,5.9", "M298,55L300,5.9L300,56L298,56Z")
	line, _ := chart(make([]number, sampleCount))
	if !strings.HasPrefix(line, "M0,55L2,55") {
		t.Errorf("all samples: %s", line)
	}
}

// The browser runs the page's script under the page's policy, draws what the server drew, and forgets nothing.
func TestTheBrowserRefreshesThePage(t *testing.T) {
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: apt-get install chromium")
	}
	_, local := nastyServer(t)
	// The sandbox needs a user namespace, which root in a container may not have.
	command := exec.CommandContext(t.Context(), browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=5000", "--dump-dom", "http://"+local+"/")
	var stderr strings.Builder
	command.Stderr = &stderr
	dom, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	for _, complaint := range []string{"Refused to", "violates the following", "Uncaught"} {
		if strings.Contains(stderr.String(), complaint) {
			t.Errorf("the browser complains:\n%s", stderr.String())
		}
	}
	for _, part := range []string{`<p class="live on" id="live">live</p>`, `class="state bad"`, "&lt;script&gt;alert"} {
		if !strings.Contains(string(dom), part) {
			t.Errorf("the page lacks %s:\n%s", part, dom)
		}
	}
	if regexp.MustCompile(`<path class="line" d="[^"]*(NaN|Infinity|undefined)`).Match(dom) {
		t.Errorf("a chart is broken:\n%s", dom)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add(nasty)
	f.Add("\x00\xff'\"")
	f.Fuzz(func(t *testing.T, text string) {
		got := escape(text)
		if strings.ContainsAny(got, "<>\"'\x00") || !utf8.ValidString(got) {
			t.Fatalf("%q: %q", text, got)
		}
		if utf8.ValidString(text) && !strings.Contains(text, "\x00") && html.UnescapeString(got) != text {
			t.Fatalf("%q: %q means something else", text, got)
		}
	})
}
