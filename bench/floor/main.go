// SPDX-License-Identifier: Apache-2.0

// Command floor is the least that a TLS reverse proxy in Go costs: net/http and httputil.ReverseProxy,
// tuned as their documentation advises and nothing more. The bench divides by it.
//
//	floor -listen 127.0.0.1:8443 -target 127.0.0.1:8080 -cert tls.crt -key tls.key
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8443", "where to accept HTTPS, as HOST:PORT")
	target := flag.String("target", "127.0.0.1:8080", "the plain HTTP server behind, as HOST:PORT")
	cert := flag.String("cert", "", "the file of the certificate chain")
	key := flag.String("key", "", "the file of the private key")
	access := flag.Bool("access-log", false, "write a JSON line for each request to stdout")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	_, port, _ := net.SplitHostPort(*listen)
	var handler http.Handler = proxy(&url.URL{Scheme: "http", Host: *target}, port)
	if *access {
		out := newLogWriter(os.Stdout)
		defer out.Close()
		handler = logged(handler, out)
	}
	server := &http.Server{Addr: *listen, Handler: handler}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServeTLS(*cert, *key); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func proxy(target *url.URL, port string) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport:  &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true},
		BufferPool: &buffers{},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
			r.Out.Header.Set("X-Forwarded-Port", port)
			r.Out.Header.Set("X-Request-Id", rand.Text())
		},
	}
}

// buffers are the 32 KiB copies that ReverseProxy would otherwise make for each response.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return buffer[:]
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }
