// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// patience bounds how long a command is tried again until it gives the promised answer: a swapped
// file takes a moment to be noticed.
const patience = 15 * time.Second

// step is one line of the tour: a command, and what its answer says.
type step struct {
	title   string // "before -> after", or what is broken
	command string // for sh, in the root of the repository
	answer  string // a regular expression that a line of the output matches
	breaks  bool   // stands under "break it"
}

// steps are the tour, in the order in which they are taken.
func steps(p *pod) []step {
	curl := "curl --cacert " + p.dir + "/ca.pem"
	url := "https://localhost:" + p.https
	admin := "localhost:" + p.admin
	return []step{
		{
			title:   "plain HTTP -> verified HTTPS",
			command: curl + " " + url + "/whoami",
			answer:  `I was asked over https by 127\.0\.0\.1 for localhost:` + p.https,
		}, {
			title:   "HTTP/1.1 -> HTTP/2",
			command: curl + ` -so /dev/null -w 'HTTP/%{http_version}\n' ` + url,
			answer:  `^HTTP/2$`,
		}, {
			title:   "http:// redirects -> https://",
			command: curl + " -sI " + url + "/login | grep -i location",
			answer:  `(?i)^location: ` + regexp.QuoteMeta(url+"/"),
		}, {
			title:   "bare cookies -> Secure",
			command: curl + " -sI " + url + "/login | grep -i cookie",
			answer:  `(?i)^set-cookie: .*; secure`,
		}, {
			title:   "no metrics -> Prometheus",
			command: "curl -s " + admin + "/metrics | grep ^tls_proxy_http_requests",
			answer:  `^tls_proxy_http_requests_total.* [1-9]`,
		}, {
			title:   "a key that does not fit",
			command: fmt.Sprintf("cp %[1]s/other.key %[1]s/tls/tls.key; sleep 1; curl -s '%[2]s/readyz?verbose' | grep -F '[-]'", p.dir, admin),
			answer:  `^\[-\]certificate-files .*cannot use key .*it does not belong to certificate `,
			breaks:  true,
		}, {
			title:   "mended by renewing, no restart",
			command: fmt.Sprintf("cp %[1]s/renewed/* %[1]s/tls; sleep 1; curl -s '%[2]s/readyz?verbose' | grep certificate-files", p.dir, admin),
			answer:  `^\[\+\]certificate-files ok`,
			breaks:  true,
		}, {
			title:   "a stopped app",
			command: "kill $(cat " + p.dir + "/app.pid); " + curl + " " + url,
			answer:  `^503 Service Unavailable: the application is not accepting connections$`,
			breaks:  true,
		},
	}
}

// tour is what the reader sees. With the two lines at the end it has at most 12.
func tour(p *pod) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Boathouse, a legacy app: http://127.0.0.1:%s -> https://localhost:%s. Try with curl, in another terminal (Ctrl-C here drains):\n", p.app, p.https)
	broken := false
	for _, s := range steps(p) {
		if s.breaks && !broken {
			broken = true
			fmt.Fprintf(&b, "Break it, and read the sentence it answers with (or look at http://localhost:%s/):\n", p.admin)
		}
		fmt.Fprintf(&b, "  %-32s%s\n", s.title, s.command)
	}
	return b.String()
}

// verify runs the command until it answers as promised, for so long at most, and returns the line
// that does.
func (s step) verify(ctx context.Context, within time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	want := regexp.MustCompile(s.answer)
	for {
		shell := exec.CommandContext(ctx, "sh", "-c", s.command)
		shell.Env = append(os.Environ(), "NO_PROXY=localhost", "no_proxy=localhost")
		out, err := shell.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); want.MatchString(line) {
				return line, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s: want an answer like %q from\n  %s\ngot (%v)\n%s", s.title, s.answer, s.command, err, out)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
