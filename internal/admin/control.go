// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strings"
	"text/tabwriter"
	"time"
)

// reloadTimeout is how long a reload over HTTP may take.
const reloadTimeout = time.Minute

// serveReload answers after the reload, so that `curl --fail` tells a script whether it worked.
func (s *Server) serveReload(w http.ResponseWriter, r *http.Request) {
	if s.o.Reload == nil {
		plain(w, http.StatusNotFound, "this program has nothing to reload\n")
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadTimeout + writeTimeout))
	// A client that goes away leaves no reload half done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), reloadTimeout)
	defer cancel()
	if err := s.o.Reload(ctx); err != nil {
		plain(w, http.StatusInternalServerError, err.Error()+"\n")
		return
	}
	plain(w, http.StatusOK, "reloaded\n")
}

func (s *Server) serveLogLevel(w http.ResponseWriter, _ *http.Request) {
	if s.o.LogLevel == nil {
		plain(w, http.StatusNotFound, "this program has no log level\n")
		return
	}
	plain(w, http.StatusOK, strings.ToLower(s.o.LogLevel.Level().String())+"\n")
}

// setLogLevel takes the level's name as the body: curl -X PUT -H 'X-Outrigger: 1' -d debug localhost:9911/-/log-level
func (s *Server) setLogLevel(w http.ResponseWriter, r *http.Request) {
	if s.o.LogLevel == nil {
		plain(w, http.StatusNotFound, "this program has no log level\n")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64))
	if err != nil {
		plain(w, http.StatusBadRequest, "cannot read the level; send one of debug, info, warn, error\n")
		return
	}
	level, err := parseLevel(string(body))
	if err != nil {
		plain(w, http.StatusBadRequest, err.Error()+"\n")
		return
	}
	was := s.o.LogLevel.Level()
	s.o.LogLevel.Set(level)
	s.log.Info("log level changed", "from", was, "to", level)
	plain(w, http.StatusOK, strings.ToLower(level.String())+"\n")
}

func parseLevel(text string) (slog.Level, error) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf("unknown log level %q; send one of debug, info, warn, error", text)
}

// serveQuit is for Jobs with plain containers: the last one to work ends the others.
func (s *Server) serveQuit(w http.ResponseWriter, r *http.Request) {
	if !s.o.EnableQuit || s.o.Quit == nil {
		s.deny(w, &refusal{reasonOff, "quitting over HTTP is not enabled; start with --enable-quit"})
		return
	}
	s.log.Info("control request", "method", r.Method, "path", r.URL.Path)
	s.o.Quit()
	plain(w, http.StatusOK, "shutting down\n")
}

func (s *Server) pprofHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.o.EnablePprof {
			s.deny(w, &refusal{reasonOff, "profiling is not enabled; start with --enable-pprof"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// serveConfig prints the settings in columns: name, value, origin.
func (s *Server) serveConfig(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, set := range s.settings() {
		fmt.Fprintf(columns, "--%s\t%s\t%s\n", set.Name, oneLine(set.Value), oneLine(set.Origin))
	}
	if err := columns.Flush(); err != nil {
		plain(w, http.StatusInternalServerError, errors.Join(errors.New("cannot print the settings"), err).Error()+"\n")
		return
	}
	plain(w, http.StatusOK, b.String())
}

func (s *Server) settings() []Setting {
	if s.o.Settings == nil {
		return nil
	}
	return s.o.Settings()
}
