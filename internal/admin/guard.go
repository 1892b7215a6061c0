// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
)

// Control says who may see the status page and use the control surface. Its text form, the value of --control, is "loopback"
// (also the zero value), "off" or "unix:PATH".
type Control struct {
	// Off closes the surface to everyone.
	Off bool
	// Path, where set, is the Unix socket that serves the surface instead of the TCP port: a pod's containers share the
	// loopback interface, but not each other's files.
	Path string
}

// UnmarshalText reads the value of --control.
func (c *Control) UnmarshalText(text []byte) error {
	value := string(text)
	path, unix := strings.CutPrefix(value, "unix:")
	switch {
	case value == "loopback":
		*c = Control{}
	case value == "off":
		*c = Control{Off: true}
	case unix && strings.HasPrefix(path, "@"):
		return errors.New("an abstract socket has no file mode that could guard it; use unix:/PATH")
	case unix && !filepath.IsAbs(path), strings.ContainsRune(path, 0):
		return errors.New("use off, loopback or unix:/PATH")
	case unix && len(path) > maxSocketPath:
		return fmt.Errorf("a socket's path has at most %d bytes; use a shorter one", maxSocketPath)
	case unix:
		*c = Control{Path: path}
	default:
		return errors.New("use off, loopback or unix:/PATH")
	}
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (c Control) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (c Control) String() string {
	switch {
	case c.Off:
		return "off"
	case c.Path != "":
		return "unix:" + c.Path
	default:
		return "loopback"
	}
}

// maxSocketPath is what sockaddr_un holds beside the final zero byte (unix(7)).
const maxSocketPath = 107

// The header that a control request carries: no form and no link of a foreign page can set it.
const (
	controlHeader = "X-Outrigger"
	controlValue  = "1"
)

// refusal says why a request is turned away: a reason for the metric, and one sentence for the person who asked.
type refusal struct{ reason, sentence string }

// The reasons of PROGRAM_admin_refused_total.
const (
	reasonAddress     = "address"
	reasonBrowser     = "browser"
	reasonConnections = "connections"
	reasonForwarded   = "forwarded"
	reasonHeader      = "header"
	reasonHost        = "host"
	reasonOff         = "off"
	reasonAccept      = "accept"
)

// refuse is the loopback rule; nil means that the request passes. A connection that only looks local does not pass:
//   - A service mesh delivers foreign traffic from 127.0.0.6 to the pod's address, so both ends must be loopback.
//   - A foreign page whose name was made to resolve to 127.0.0.1 (DNS rebinding) sends that name as Host, with GET as well.
//   - A foreign page that asks localhost itself is marked by the browser with Origin or Sec-Fetch-Site.
//   - A proxy beside us says so in Forwarded, Via or X-Forwarded-*. All of them are looked at, for a client may have one of
//     them taken off by naming it in Connection.
//
// On a Unix socket the file's mode is the rule for the address and the name.
func refuse(r *http.Request) *refusal {
	end, _ := r.Context().Value(endpointKey{}).(endpoint)
	if !end.unix {
		if !end.local.IsLoopback() || !end.remote.IsLoopback() {
			return &refusal{reasonAddress, "this path answers only to loopback connections; run the command inside the pod, or use kubectl port-forward"}
		}
		if !loopbackHost(r.Host) {
			return &refusal{reasonHost, "this path answers only where the Host header names localhost or a loopback address"}
		}
	}
	if forwarded(r.Header) {
		return &refusal{reasonForwarded, "this path does not answer to requests that came through a proxy"}
	}
	if !sameOrigin(r) {
		return &refusal{reasonBrowser, "this path does not answer to requests that another site caused; type the address into the browser"}
	}
	return nil
}

// loopbackHost tells whether a Host header names localhost or a loopback literal, with or without a port. Names below
// localhost and short forms such as 127.1 are not taken: what one resolver makes of them another does not.
func loopbackHost(host string) bool {
	if name, port, err := net.SplitHostPort(host); err == nil {
		if strings.Trim(port, "0123456789") != "" {
			return false
		}
		// A host with colons is in brackets, and nothing else is.
		if strings.HasPrefix(host, "[") != strings.Contains(name, ":") {
			return false
		}
		host = name
	} else if inner, ok := strings.CutPrefix(host, "["); ok {
		host, ok = strings.CutSuffix(inner, "]")
		if !ok || !strings.Contains(host, ":") {
			return false
		}
	} else if strings.Contains(host, ":") {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

// forwarded tells whether a proxy handled the request.
func forwarded(h http.Header) bool {
	for name := range h {
		switch {
		case name == "Forwarded", name == "Via", name == "X-Real-Ip", strings.HasPrefix(name, "X-Forwarded-"):
			return true
		}
	}
	return false
}

// sameOrigin tells whether no browser is involved, or our own page or the person at the browser made the request.
func sameOrigin(r *http.Request) bool {
	for _, origin := range r.Header.Values("Origin") {
		if !strings.EqualFold(origin, "http://"+r.Host) {
			return false
		}
	}
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return false
		}
	}
	return true
}

// endpoint is what is known of the connection that a request came over.
type endpoint struct {
	local, remote netip.Addr // invalid on a Unix socket
	unix          bool
	control       bool // the socket of --control unix:PATH
}

type endpointKey struct{}

// withEndpoint is the http.Server's ConnContext.
func withEndpoint(ctx context.Context, nc net.Conn) context.Context {
	var end endpoint
	if c, ok := nc.(*conn); ok {
		end = endpoint{
			local:   addrOf(c.LocalAddr()),
			remote:  addrOf(c.RemoteAddr()),
			unix:    c.LocalAddr().Network() == "unix",
			control: c.control,
		}
	}
	return end.in(ctx)
}

func (e endpoint) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, endpointKey{}, e)
}

func addrOf(a net.Addr) netip.Addr {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return tcp.AddrPort().Addr().Unmap()
}

// Control adds a path that changes something, "POST /-/drain": it answers only to loopback and only with the header
// "X-Outrigger: 1", and is in the log.
func (s *Server) Control(pattern string, h http.Handler) {
	s.mu.Lock()
	s.patterns = append(s.patterns, pattern)
	s.mu.Unlock()
	s.private(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(controlHeader) != controlValue {
			s.deny(w, &refusal{reasonHeader, "this path changes something and answers only with the header " + controlHeader + ": " + controlValue})
			return
		}
		s.log.Info("control request", "method", r.Method, "path", r.URL.Path)
		h.ServeHTTP(w, r)
	}))
}

// private adds a path that answers to loopback, or to the control socket alone where there is one.
func (s *Server) private(pattern string, h http.Handler) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		no := refuse(r)
		if no == nil {
			no = s.closedHere(r)
		}
		if no != nil {
			s.deny(w, no)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		h.ServeHTTP(w, r)
	})
}

// closedHere is what --control takes away from connections that pass the loopback rule.
func (s *Server) closedHere(r *http.Request) *refusal {
	end, _ := r.Context().Value(endpointKey{}).(endpoint)
	switch {
	case s.o.Control.Off:
		return &refusal{reasonOff, "this path is closed by --control=off"}
	case s.o.Control.Path != "" && !end.control:
		return &refusal{reasonOff, "this path answers only on the socket that --control names"}
	}
	return nil
}

func (s *Server) deny(w http.ResponseWriter, no *refusal) {
	s.refused(no.reason)
	plain(w, http.StatusForbidden, no.sentence+"\n")
}

// maxBody is the most a control request may send, in bytes.
const maxBody = 1 << 20
