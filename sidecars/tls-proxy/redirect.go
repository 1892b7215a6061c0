// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log/slog"
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

// redirectServer answers quickly and hangs up on whoever does not: there is nothing to wait for.
func redirectServer(c *Config, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           redirectHandler{},
		ReadHeaderTimeout: c.HeaderTimeout, ReadTimeout: c.HeaderTimeout, WriteTimeout: c.HeaderTimeout,
		IdleTimeout: c.IdleTimeout, MaxHeaderBytes: int(c.MaxHeaderBytes),
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func serveRedirects(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
