// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net"
	"net/http"
	"strings"

	"github.com/outrigger/outrigger/internal/address"
)

// mend repairs what an application that knows nothing of HTTPS puts into a response. A client that came to a trusted
// proxy by plain HTTP gets what the application said.
func (x *exchange) mend(header http.Header) {
	o := &x.h.opts
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // keeps net/http from guessing one
	}
	if x.orTrusted("X-Forwarded-Proto", "https") != "https" {
		return
	}
	if o.RewriteRedirects {
		x.h.redirects.mend(header, x.r.Host)
	}
	if o.SecureCookies {
		secureCookies(header["Set-Cookie"])
	}
	if o.HSTS != "" && header["Strict-Transport-Security"] == nil {
		header["Strict-Transport-Security"] = []string{o.HSTS}
	}
}

// redirects turns the http:// URLs by which an application names itself into https:// ones.
type redirects struct {
	own  []string // authorities of the target
	port string   // the target's port, "" for a unix socket
}

func redirectsTo(target address.Target) redirects {
	if target.Network != "tcp" {
		return redirects{own: []string{"localhost"}}
	}
	host, port, err := net.SplitHostPort(target.Address)
	if err != nil {
		return redirects{}
	}
	own := []string{net.JoinHostPort(host, port)}
	if target.Loopback() {
		own = append(own, "localhost:"+port, "127.0.0.1:"+port, "[::1]:"+port)
	}
	return redirects{own: own, port: port}
}

func (rd *redirects) mend(header http.Header, host string) {
	if host == "" {
		return
	}
	for _, name := range [...]string{"Location", "Content-Location"} {
		if values := header[name]; len(values) == 1 {
			values[0] = rd.rewrite(values[0], host)
		}
	}
	if values := header["Refresh"]; len(values) == 1 {
		i := refreshURL(values[0])
		values[0] = values[0][:i] + rd.rewrite(values[0][i:], host)
	}
}

// refreshURL returns where the URL of a Refresh field begins: 5; url='http://...', with or without "url=" and
// quotes, as browsers read it (HTML, section 4.2.4.6, the refresh pragma).
func refreshURL(value string) int {
	rest := strings.TrimLeft(value, " \t.0123456789")
	rest = strings.TrimLeft(rest, " \t;,")
	if len(rest) > len("url") && strings.EqualFold(rest[:len("url")], "url") {
		if after := strings.TrimLeft(rest[len("url"):], " \t"); strings.HasPrefix(after, "=") {
			rest = strings.TrimLeft(after[1:], " \t")
		}
	}
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		rest = rest[1:]
	}
	return len(value) - len(rest)
}

// rewrite returns url with https and the host as the client knows it, where url names this application.
func (rd *redirects) rewrite(url, host string) string {
	const scheme = "http://"
	if len(url) < len(scheme) || !strings.EqualFold(url[:len(scheme)], scheme) {
		return url
	}
	rest := url[len(scheme):]
	end := strings.IndexAny(rest, "/?#\\\"' \t")
	if end < 0 {
		end = len(rest)
	}
	if !rd.names(rest[:end], host) {
		return url
	}
	return "https://" + host + rest[end:]
}

// names reports whether authority is the application: as the client called it, with the port of plain HTTP or
// the application's own in place of the client's, or as the target.
func (rd *redirects) names(authority, host string) bool {
	if strings.EqualFold(authority, host) {
		return true
	}
	for _, own := range rd.own {
		if strings.EqualFold(authority, own) {
			return true
		}
	}
	name, port := splitPort(authority)
	asked, _ := splitPort(host)
	return strings.EqualFold(name, asked) && (port == "" || port == "80" || rd.port != "" && port == rd.port)
}

// splitPort splits "host:port" and "[v6]:port"; the port may be missing.
func splitPort(authority string) (host, port string) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority, ""
	}
	return authority[:i], authority[i+1:]
}

// secureCookies adds the Secure attribute where it is missing (RFC 6265, section 5.2.5).
func secureCookies(cookies []string) {
	for i, cookie := range cookies {
		if !isSecure(cookie) {
			cookies[i] = cookie + "; Secure"
		}
	}
}

func isSecure(cookie string) bool {
	_, attributes, _ := strings.Cut(cookie, ";")
	for attribute := range strings.SplitSeq(attributes, ";") {
		name, _, _ := strings.Cut(attribute, "=")
		if strings.EqualFold(strings.TrimSpace(name), "secure") {
			return true
		}
	}
	return false
}
