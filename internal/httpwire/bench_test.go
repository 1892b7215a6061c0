// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// BenchmarkDo is a request over a kept connection on loopback, response body included. The server costs as little
// as one can: two system calls for each request.
func BenchmarkDo(b *testing.B) {
	small := "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Type: text/html\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 1024\r\n\r\n" + strings.Repeat("x", 1024)
	large := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 1<<20, strings.Repeat("x", 1<<20))
	withBody := func() *Request {
		return &Request{Method: "POST", Wire: []byte("POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 4\r\n\r\n"), Body: strings.NewReader("body"), Length: 4}
	}
	for _, bench := range []struct {
		name     string
		response string
		request  func() *Request
		cancel   bool
	}{
		{"get", small, func() *Request { return get("/") }, false},
		{"get/cancellable", small, func() *Request { return get("/") }, true},
		{"get/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n" + strings.Repeat("x", 1024) + "\r\n0\r\n\r\n", func() *Request { return get("/") }, false},
		{"get/1MB", large, func() *Request { return get("/") }, false},
		{"post", small, func() *Request {
			req := get("/")
			req.Method, req.Idempotent = "POST", false
			return req
		}, false},
		{"post/streamed", small, withBody, false},
	} {
		b.Run(bench.name, func(b *testing.B) {
			client := &Client{MaxIdle: 1, Dial: dialTo(b, len(bench.request().Wire)+int(bench.request().Length), bench.response)}
			defer client.CloseIdle()
			ctx := context.Background()
			if bench.cancel {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				defer cancel()
			}
			req := bench.request()
			header := make(http.Header)
			b.ReportAllocs()
			b.SetBytes(int64(len(bench.response)))
			for b.Loop() {
				clear(header)
				req.Header = header
				if body, ok := req.Body.(*strings.Reader); ok {
					body.Seek(0, io.SeekStart)
				}
				resp, err := client.Do(ctx, req)
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, err = resp.Next()
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				resp.Close()
			}
		})
	}
}

// dialTo connects to a server that answers each request, which is so long, with response.
func dialTo(b *testing.B, request int, response string) func(context.Context) (net.Conn, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	answer := []byte(response)
	var servers sync.WaitGroup
	servers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			servers.Go(func() {
				defer conn.Close()
				buf := make([]byte, request)
				for {
					if _, err := io.ReadFull(conn, buf); err != nil {
						return
					}
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			})
		}
	})
	b.Cleanup(func() {
		listener.Close()
		servers.Wait()
	})
	return func(context.Context) (net.Conn, error) { return net.Dial("tcp", listener.Addr().String()) }
}
