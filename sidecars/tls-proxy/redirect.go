// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/outrigger/outrigger/internal/httpwire"
)

// redirectHandler sends plain HTTP requests to HTTPS with 308, which keeps method and body (RFC 9110, section
// 15.4.9). The port is dropped: HTTPS is on 443 of the Service, whatever the sidecar listens on.
type redirectHandler struct{}

func (redirectHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
		if strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	if host == "" || strings.ContainsAny(host, "/\\@?# ") || !strings.HasPrefix(r.RequestURI, "/") || !httpwire.ValidTarget(r.RequestURI) {
		http.Error(w, "400 bad request: use https://", http.StatusBadRequest)
		return
	}
	w.Header().Set("Location", "https://"+host+r.RequestURI)
	w.WriteHeader(http.StatusPermanentRedirect)
}

func serveRedirects(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
