// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"time"
)

//go:embed home.html
var homeHTML string

var homePage = template.Must(template.New("home").Parse(homeHTML))

// home shows the ledger's front page, with what the application believes about its visitor.
func (a *app) home(w http.ResponseWriter, r *http.Request) {
	var page bytes.Buffer
	err := homePage.Execute(&page, map[string]any{
		"Config":  a.config.Load(),
		"Reloads": a.stats.reloads.Load(),
		"Belief":  believed(r),
		"Visitor": a.sessions.visitor(r),
		"Version": version,
	})
	if err != nil {
		panic(err) // the template and the data are both ours
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page.Bytes())
}

// whoami is the belief alone, for curl.
func (a *app) whoami(w http.ResponseWriter, r *http.Request) {
	b := believed(r)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "I was asked over %s by %s for %s\n", b.Scheme, b.Client, b.Host)
}

// absolute is an address of this application as it builds them: it knows one scheme.
func absolute(r *http.Request, path string) string { return "http://" + r.Host + path }

// login signs in whoever asks (?name=) with a cookie that lacks Secure, and redirects to an absolute
// http:// address.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("name")
	if name == "" {
		name = "guest"
	}
	id := a.sessions.begin(name)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: id, Path: "/", HttpOnly: true})
	a.logs.Info("Sessions", "%q signed in from %s", name, believed(r).Client)
	w.Header().Set("Location", absolute(r, "/"))
	w.WriteHeader(http.StatusFound)
}

// logout goes home by way of Refresh, the redirect of the years before.
func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	a.sessions.end(r)
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1})
	w.Header().Set("Refresh", "0; url="+absolute(r, "/"))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "Fair winds.\n")
}

// ledger names its own address in Content-Location.
func (a *app) ledger(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Location", absolute(r, "/ledger?format=text"))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "boat      out    back   keeper\nHeron     08:10  11:45  M. Ames\nKittiwake 09:30  -      R. Okafor\n")
}

// download sends ?bytes= (10 MB unless told) of the ledger's archive, with ranges.
func (a *app) download(w http.ResponseWriter, r *http.Request) {
	size := int64(10_000_000)
	if given := r.FormValue("bytes"); given != "" {
		var err error
		if size, err = strconv.ParseInt(given, 10, 64); err != nil || size < 0 {
			http.Error(w, "bytes must be a number, 0 or more", http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="ledger-1998.txt"`)
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(archive{}, 0, size))
}

// archive is an endless file: one line of the ledger again and again.
type archive struct{}

const archiveLine = "1998-07-04 Heron out 08:10 back 11:45, keeper M. Ames, hull dry, oars two\n"

func (archive) ReadAt(p []byte, offset int64) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], archiveLine[(offset+int64(n))%int64(len(archiveLine)):])
	}
	return len(p), nil
}

// upload reads the body to its end and answers with its size and SHA-256.
func (a *app) upload(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	n, err := io.Copy(sum, r.Body)
	a.stats.uploadBytes.Add(n)
	if err != nil {
		a.logs.Warn("Uploads", "upload broke off after %d bytes: %v", n, err)
		http.Error(w, "upload broke off", http.StatusBadRequest)
		return
	}
	a.stats.uploads.Add(1)
	a.logs.Info("Uploads", "took in %d bytes", n)
	fmt.Fprintf(w, "%d bytes, sha256 %x\n", n, sum.Sum(nil))
}

// slow answers after ?for= (3s unless told), as a report on a busy database does.
func (a *app) slow(w http.ResponseWriter, r *http.Request) {
	wait, err := durationOr(r.FormValue("for"), 3*time.Second)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	select {
	case <-r.Context().Done():
		a.logs.Warn("Reports", "nobody waited for the report")
	case <-time.After(wait):
		fmt.Fprintf(w, "the report took %s\n", wait)
	}
}

// fail is the page with the bug: a stack over many lines in error.log, 500 for the visitor.
func (a *app) fail(http.ResponseWriter, *http.Request) {
	panic("cannot save the ledger: table is read-only")
}

// events ticks as server-sent events: ?every= (1s unless told), ?count= of them (0: for ever).
func (a *app) events(w http.ResponseWriter, r *http.Request) {
	every, err := durationOr(r.FormValue("every"), time.Second)
	count, _ := strconv.Atoi(r.FormValue("count"))
	if err != nil || every == 0 {
		http.Error(w, "every must be a duration above zero such as 500ms", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	a.stats.streams.Add(1)
	defer a.stats.streams.Add(-1)
	stream := http.NewResponseController(w)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		fmt.Fprintf(w, "id: %d\nevent: tick\ndata: {\"n\":%d,\"time\":%q}\n\n", n, n, time.Now().Format(time.RFC3339Nano))
		if err := stream.Flush(); err != nil || n == count {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

func durationOr(text string, otherwise time.Duration) (time.Duration, error) {
	if text == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 500ms or 3s", text)
	}
	return d, nil
}

// showConfig prints the configuration in use.
func (a *app) showConfig(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, a.config.Load().String())
}

// status is the health page of its time: the verdict is in the text, the code is always 200.
func (a *app) status(w http.ResponseWriter, _ *http.Request) {
	verdict := "UP"
	if a.config.Load().Maintenance {
		verdict = "DOWN (maintenance)"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "STATUS: %s\nSESSIONS: %d\nUPTIME: %d\n",
		verdict, a.sessions.open(), int(time.Since(a.stats.started).Seconds()))
}
