// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// pageAssets is the policy that lets a browser use our style and script, known by their hashes, and nothing else. A reason or
// a setting that should ever reach the page unescaped could then still do nothing.
type pageAssets struct{ policy string }

func newPageAssets() pageAssets {
	hash := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return pageAssets{policy: strings.Join([]string{
		"default-src 'none'",
		"style-src " + hash(pageStyle),
		"script-src " + hash(pageScript),
		"connect-src 'self'",
		"img-src data:",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
	}, "; ")}
}

// The mark of the project, a canoe and its outrigger seen from above.
const logo = `<svg viewBox="0 0 32 32" aria-hidden="true"><g transform="rotate(-35 16 16)" fill="currentColor">` +
	`<path d="M-2 12.5Q16 4.5 34 12.5Q16 20.5-2 12.5ZM6 25.5Q16 21.5 26 25.5Q16 29.5 6 25.5Z"/>` +
	`<path stroke="currentColor" stroke-width="1.5" d="M11.5 15V25.5M20.5 15V25.5"/></g></svg>`

const icon = `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E` +
	`%3Cg transform='rotate(-35 16 16)' fill='%230f8f88'%3E%3Cpath d='M-2 12.5Q16 4.5 34 12.5Q16 20.5-2 12.5ZM6 25.5Q16 21.5 26 25.5Q16 29.5 6 25.5Z'/%3E` +
	`%3Cpath stroke='%230f8f88' stroke-width='1.5' d='M11.5 15V25.5M20.5 15V25.5'/%3E%3C/g%3E%3C/svg%3E`

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", s.page.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(s.renderPage(s.status(time.Now()), r.Host))) // the client may be gone
}

func (s *Server) renderPage(st status, host string) string {
	m := new(markup)
	m.line(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>`, st.Program, ` on `, st.Host, `</title>`)
	m.raw(`<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="` + icon + `">`)
	m.raw(`<noscript><meta http-equiv="refresh" content="10"></noscript><style>` + pageStyle + `</style></head><body><main>`)
	m.header(st)
	m.figures(st.Figures)
	m.checks(st.Checks)
	for i, t := range st.Tables {
		m.table(t, i)
	}
	m.settings(st.Settings)
	m.links(s.o.EnablePprof)
	m.commands(s.commands(host))
	m.raw(`</main><script>` + pageScript + `</script></body></html>`)
	return m.b.String()
}

func (m *markup) header(st status) {
	m.raw(`<header>` + logo)
	m.line(`<div><h1>`, st.Program, `</h1><p>`, st.Version, ` on `, st.Host, ` · up <span id="uptime">`, st.Uptime, `</span></p></div>`)
	m.raw(`<p class="live" id="live">as of `)
	m.line(``, time.Now().UTC().Format("15:04:05 MST"), `</p></header>`)
	m.line(`<section class="state `, string(st.Mood), `" id="state" role="status"><strong id="title">`, st.Title,
		`</strong><span id="sentence">`, st.Sentence, `</span></section>`)
}

func (m *markup) figures(figures []figureState) {
	m.raw(`<h2 class="away">Key figures of the last five minutes</h2><ul class="figures">`)
	for i, f := range figures {
		line, area := chart(f.Samples)
		m.line(`<li data-figure="`+strconv.Itoa(i)+`"><div><h3>`, f.Title, `</h3><b>`, f.Number, `</b> <i>`, f.Unit,
			`</i> <small>peak `, f.Peak, `</small></div><svg viewBox="0 0 300 56" preserveAspectRatio="none" role="img" aria-label="`, f.Label,
			`"><path class="area" d="`+area+`"/><path class="line" d="`+line+`"/></svg></li>`)
	}
	m.raw(`</ul>`)
}

func (m *markup) checks(checks []result) {
	m.raw(`<h2 id="h-checks">Checks</h2><div class="sheet">`)
	m.head("checks", "h-checks", []string{"Check", "Counts for", "State"}, `id="checks"`)
	for _, c := range checks {
		state := c.Reason
		if c.OK {
			state = "ok"
		}
		m.line(`<tr role="row"><th scope="row" role="rowheader">`, c.Name, `</th><td data-label="Counts for" role="cell">`, c.Counts,
			`</td><td data-label="State" role="cell" class="mark `, string(c.Mood), `">`, state, `</td></tr>`)
	}
	m.raw(`</tbody></table></div>`)
}

// head opens a table up to its body. The roles are spelled out because a narrow screen gets the rows as blocks, which takes
// their meaning from a screen reader.
func (m *markup) head(class, labelledBy string, heads []string, body string) {
	m.line(`<table role="table" class="`, class, `" aria-labelledby="`, labelledBy, `"><thead role="rowgroup"><tr role="row">`)
	for _, h := range heads {
		m.line(`<th scope="col" role="columnheader">`, h, `</th>`)
	}
	m.raw(`</tr></thead><tbody role="rowgroup" ` + body + `>`)
}

func (m *markup) table(t tableState, i int) {
	id := "h-" + strconv.Itoa(i)
	m.line(`<h2 id="`+id+`">`, t.Title, `</h2><div class="sheet">`)
	m.head("rows", id, t.Head, `data-table="`+strconv.Itoa(i)+`"`)
	for _, row := range t.Rows {
		m.raw(`<tr role="row">`)
		for j, cell := range row {
			if j == 0 {
				m.line(`<th scope="row" role="rowheader">`, cell, `</th>`)
				continue
			}
			label := ""
			if j < len(t.Head) {
				label = t.Head[j]
			}
			m.line(`<td data-label="`, label, `" role="cell">`, cell, `</td>`)
		}
		m.raw(`</tr>`)
	}
	m.raw(`</tbody></table></div>`)
}

// settings shows what somebody chose, and the defaults for those who ask.
func (m *markup) settings(settings []Setting) {
	if len(settings) == 0 {
		return
	}
	var chosen, defaults []Setting
	for _, set := range settings {
		if set.Origin == "default" || set.Origin == "" {
			defaults = append(defaults, set)
		} else {
			chosen = append(chosen, set)
		}
	}
	m.raw(`<h2 id="h-settings">Configuration</h2><div class="sheet">`)
	if len(chosen) > 0 {
		m.settingRows(chosen)
	}
	if len(defaults) > 0 {
		label := strconv.Itoa(len(defaults)) + " settings at their defaults"
		if len(defaults) == 1 {
			label = "1 setting at its default"
		}
		m.line(`<details><summary>`, label, `</summary>`)
		m.settingRows(defaults)
		m.raw(`</details>`)
	}
	m.raw(`</div>`)
}

func (m *markup) settingRows(settings []Setting) {
	m.head("settings", "h-settings", []string{"Setting", "Value", "From"}, "")
	for _, set := range settings {
		m.line(`<tr role="row"><th scope="row" role="rowheader"><code>--`, set.Name, `</code><small>`, set.Env, `</small></th>`)
		if set.Value == "" {
			m.raw(`<td data-label="Value" role="cell" class="empty">empty</td>`)
		} else {
			m.line(`<td data-label="Value" role="cell"><code>`, set.Value, `</code></td>`)
		}
		m.line(`<td data-label="From" role="cell">`, set.Origin, `</td></tr>`)
	}
	m.raw(`</tbody></table>`)
}

func (m *markup) links(pprof bool) {
	paths := []string{"/readyz?verbose", "/livez?verbose", "/startupz?verbose", "/metrics", "/status", "/-/config"}
	if pprof {
		paths = append(paths, "/debug/pprof/")
	}
	m.raw(`<h2>Endpoints</h2><ul class="links">`)
	for _, path := range paths {
		m.line(`<li><a href="`, path, `">`, path, `</a></li>`)
	}
	m.raw(`</ul>`)
}

func (m *markup) commands(commands []string) {
	m.raw(`<pre tabindex="0" aria-label="Control commands">`)
	for i, command := range commands {
		if i > 0 {
			m.raw("\n")
		}
		m.text(command)
	}
	m.raw(`</pre>`)
}

// commands are the control paths as one would type them.
func (s *Server) commands(host string) []string {
	curl := "curl -H 'X-Outrigger: 1'"
	if s.o.Control.Path != "" {
		curl, host = curl+" --unix-socket "+s.o.Control.Path, "localhost"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, pattern := range s.patterns {
		method, path, _ := strings.Cut(pattern, " ")
		data := ""
		switch path {
		case "/-/log-level":
			data = " -d debug"
			if s.o.LogLevel == nil {
				continue
			}
		case "/-/reload":
			if s.o.Reload == nil {
				continue
			}
		}
		out = append(out, curl+" -X "+method+data+" http://"+host+path)
	}
	return out
}
