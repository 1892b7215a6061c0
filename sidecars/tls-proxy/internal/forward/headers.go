// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/outrigger/outrigger/internal/httpwire"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

// identity are the request fields by which a proxy tells an application who asks. Ours replace the client's,
// and what CGI and WSGI would take for one of them never passes, whoever sends it: "X_Forwarded_For" and
// "X.Forwarded.For" become the same variable as "X-Forwarded-For" there.
var identity = map[string]bool{
	"X-Forwarded-For": true, "X-Forwarded-Proto": true, "X-Forwarded-Host": true, "X-Forwarded-Port": true,
	"X-Request-Id": true,
}

// impersonating reports whether an untrusted peer's field claims what only a proxy in front may say.
func impersonating(name string) bool {
	switch name {
	case "Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Cluster-Client-Ip", "X-Original-Forwarded-For", "Front-End-Https", "X-Url-Scheme":
		return true
	}
	return strings.HasPrefix(name, "X-Forwarded-")
}

// hopByHop are fields that speak of one connection (RFC 9110, section 7.6.1; RFC 9113, section 8.2.2).
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// isAlias reports whether name, read as CGI does, is one of the fields that this proxy sets or removes. Some servers
// turn no more than "_" and "." into the underscore of a variable, some every character but letters and digits.
func isAlias(name string) bool {
	if strings.IndexFunc(name, isOdd) < 0 {
		return false
	}
	plain := textproto.CanonicalMIMEHeaderKey(strings.Map(func(r rune) rune {
		if isOdd(r) {
			return '-'
		}
		return r
	}, name))
	return identity[plain] || impersonating(plain) || hopByHop(plain) || plain == "Proxy" || plain == "Content-Length"
}

// isOdd reports whether a character of a field name is neither letter nor digit nor hyphen.
func isOdd(r rune) bool {
	return r != '-' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
}

// passes reports whether a request field goes on to the application. nominated are the Connection values, whose
// tokens are hop-by-hop too.
func (x *exchange) passes(name string, nominated []string) bool {
	switch {
	case identity[name], hopByHop(name), name == "Content-Length", name == "Expect", name == "Host":
		return false // set anew where needed
	case name == "Proxy":
		return false // CGI would take it for HTTP_PROXY (CVE-2016-5385)
	case isAlias(name):
		return false
	case !x.trusted && impersonating(name):
		return false
	}
	return nominated == nil || !httpwire.HasToken(nominated, name)
}

// eachField calls emit for every field that the application gets, framing and upgrade fields excepted.
func (x *exchange) eachField(emit func(name, value string)) {
	nominated := x.r.Header["Connection"]
	for name, values := range x.r.Header {
		if !x.passes(name, nominated) {
			continue
		}
		for _, value := range values {
			emit(name, value)
		}
	}
	if httpwire.HasToken(x.r.Header["Te"], "trailers") {
		emit("TE", "trailers") // gRPC servers insist on it
	}
	x.eachIdentity(emit)
}

// eachIdentity emits X-Forwarded-* and X-Request-Id. A trusted proxy's word is kept and extended.
func (x *exchange) eachIdentity(emit func(name, value string)) {
	if chain := x.forwardedFor(); chain != "" {
		emit("X-Forwarded-For", chain)
	}
	host := x.r.Host
	emit("X-Forwarded-Proto", x.orTrusted("X-Forwarded-Proto", "https"))
	if host = x.orTrusted("X-Forwarded-Host", host); host != "" {
		emit("X-Forwarded-Host", host)
	}
	emit("X-Forwarded-Port", x.orTrusted("X-Forwarded-Port", portOf(x.r.Host)))
	emit("X-Request-Id", x.requestID)
}

// orTrusted returns what a trusted proxy said, or own.
func (x *exchange) orTrusted(name, own string) string {
	if x.trusted {
		if said := x.r.Header[name]; len(said) > 0 && said[0] != "" {
			return said[0]
		}
	}
	return own
}

func (x *exchange) forwardedFor() string {
	if !x.trusted {
		return x.conn.ClientIP
	}
	chain := x.r.Header["X-Forwarded-For"]
	if x.conn.ClientIP != "" {
		chain = append(chain[:len(chain):len(chain)], x.conn.ClientIP)
	}
	return strings.Join(chain, ", ")
}

// portOf returns the port that the client used, which is the one in the Host field: what the sidecar listens on
// is hidden behind the Service in front of the pod.
func portOf(host string) string {
	if _, port, err := net.SplitHostPort(host); err == nil && port != "" {
		return port
	}
	return "443"
}

// trusts reports whether the peer's own word about the client is believed.
func (h *Handler) trusts(conn *frontend.Conn) bool {
	if !conn.ClientAddr.IsValid() {
		return h.opts.TrustUnix
	}
	for _, prefix := range h.opts.TrustedProxies {
		if prefix.Contains(conn.ClientAddr) {
			return true
		}
	}
	return false
}

// dropHopByHop takes out of a response what speaks of the application's connection. Trailer stays: it announces.
func dropHopByHop(header http.Header) {
	for _, nominated := range header["Connection"] {
		for token := range strings.SplitSeq(nominated, ",") {
			if key := textproto.CanonicalMIMEHeaderKey(strings.Trim(token, " \t")); key != "" {
				delete(header, key)
			}
		}
	}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Transfer-Encoding", "Upgrade"} {
		delete(header, name)
	}
}
