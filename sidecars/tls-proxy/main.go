// SPDX-License-Identifier: Apache-2.0

// Command tls-proxy terminates HTTPS in front of an application that listens on loopback.
//
//	tls-proxy --target 127.0.0.1:8080 --cert-dir /tls
//
// The way of a request: a listener (internal/frontend: TLS, HTTP/1.1 and HTTP/2) -> the handler
// (internal/forward: headers, the application, the response mended) -> one access log line (internal/accesslog).
// Beside it: certificates that follow their files (certificates.go), an eye on the application (target.go), and the
// order in which all this ends (drain.go).
package main

import (
	"context"

	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/lifecycle"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/forward"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

func main() { app.Main(spec()) }

// spec describes the program to the chassis, its documentation and its tests.
func spec() app.Spec {
	c := new(Config)
	return app.Spec{
		Name:          "tls-proxy",
		Doc:           "HTTPS in front of an application that listens on loopback, with certificates that renew without a restart",
		AdminPort:     9911,
		AdminPortName: "tls-admin",
		Config:        c,
		Commands:      []app.Command{drainCommand()},
		Manifest:      c.manifest,
		Setup:         func(env *app.Env) error { return setup(c, env) },
	}
}

// setup binds the listeners and puts the parts together.
func setup(c *Config, env *app.Env) error {
	lines := accessLog(c, env)
	certificates, err := newCertificates(c, env)
	if err != nil {
		return err
	}
	forwarding, fronting := forward.NewMetrics(env.Metrics), frontend.NewMetrics(env.Metrics)
	var front *frontend.Frontend
	handler := forward.New(forward.Options{
		Target: c.Target, Log: env.Log, AccessLog: lines, Metrics: forwarding,
		TrustedProxies: c.TrustedProxies.prefixes, TrustUnix: c.TrustedProxies.unix,
		RewriteRedirects: c.RewriteRedirects, SecureCookies: c.SecureCookies, HSTS: c.hsts(),
		Hold: c.Hold, ConnectTimeout: c.ConnectTimeout, ResponseTimeout: c.ResponseTimeout,
		IdleTimeout: c.IdleTimeout, TunnelTimeout: c.TunnelIdleTimeout,
		KeepAlive: c.TargetKeepAlive, KeepAliveTime: c.TargetIdleTimeout,
		Draining: func() bool { return front.Draining() },
	})
	front = frontend.New(frontend.Options{
		TLS: certificates.tlsConfig(c.TLSProfile), Handler: handler, Log: env.Log, Metrics: fronting,
		HandshakeTimeout: c.HandshakeTimeout, HeaderTimeout: c.HeaderTimeout, IdleTimeout: c.IdleTimeout,
		MaxHeaderBytes: int(c.MaxHeaderBytes), MaxStreams: c.HTTP2MaxStreams,
	})
	if err := listen(c, env, front, certificates); err != nil {
		return err
	}
	watch := newTarget(c, env, handler)
	env.Life.Add(lifecycle.Actor{Name: "access log", Run: lines.Run, Flush: func(context.Context) error { lines.Flush(); return nil }})
	env.Life.Add(lifecycle.Actor{Name: "target", Run: watch.run})
	addDrain(env, front, handler, lines, watch)
	showFigures(env, handler, forwarding, fronting, certificates)
	return nil
}

// listen binds every listener and has it served once there is a certificate.
func listen(c *Config, env *app.Env, front *frontend.Frontend, certificates *certificates) error {
	for _, address := range c.Listen {
		l, err := env.Listen("https", address)
		if err != nil {
			return env.Errorf("listen", "%w", err)
		}
		env.Life.Add(lifecycle.Actor{Name: "https " + l.Addr().String(), Run: func(ctx context.Context) error {
			if !certificates.awaited(ctx, env.Life.Stopping()) {
				return l.Close()
			}
			return front.Serve(l)
		}})
	}
	if c.HTTPRedirect.Network == "" {
		return nil
	}
	l, err := env.Listen("http", c.HTTPRedirect)
	if err != nil {
		return env.Errorf("http-redirect", "%w", err)
	}
	server := redirectServer(c, env.Log)
	env.Life.Add(lifecycle.Actor{
		Name:  "http " + l.Addr().String(),
		Run:   func(context.Context) error { return serveRedirects(server, l) },
		Drain: server.Shutdown, Cancel: func() { server.Close() },
	})
	return nil
}
