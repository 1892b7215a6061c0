// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"cmp"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/outrigger/outrigger/internal/httpwire"
)

// authority stands for the application in URLs that only the transport sees; requests carry the client's Host.
const authority = "app"

// expectTimeout is how long an application that is asked for leave to send a body may stay silent before it is sent
// all the same.
const expectTimeout = time.Second

// h2cTransport speaks cleartext HTTP/2 by prior knowledge (RFC 9113, section 3.3), for gRPC servers.
func h2cTransport(d *dialer, o Options) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := d.dial(ctx)
			if err != nil {
				return nil, &httpwire.DialError{Err: err}
			}
			return conn, nil
		},
		Protocols:             protocols,
		DisableCompression:    true,
		ResponseHeaderTimeout: o.ResponseTimeout,
		ExpectContinueTimeout: expectTimeout,
		IdleConnTimeout:       time.Minute, // one connection serves all: it holds no worker of the application
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: 30 * time.Second},
	}
}

// overHTTP2 forwards over cleartext HTTP/2.
func (x *exchange) overHTTP2() {
	ctx, stop := context.WithCancel(x.r.Context())
	defer stop()
	relayed := &informationals{x: x}
	var working atomic.Bool // the application has the request
	req := x.request(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: relayed.got,
		GotConn: func(httptrace.GotConnInfo) {
			if !working.Swap(true) {
				x.h.streams.Add(1)
			}
		},
	}))
	defer func() {
		if working.Load() {
			x.h.streams.Add(-1)
		}
	}()
	asked := time.Now()
	resp, err := x.h.http2.RoundTrip(req)
	relayed.end()
	x.upstream = time.Since(asked)
	if err != nil {
		x.answer(x.failureOf(err))
		return
	}
	defer resp.Body.Close()
	x.respondHTTP2(resp)
}

// request makes the outgoing request; its URL holds the target's bytes as they came.
func (x *exchange) request(ctx context.Context) *http.Request {
	path, query, hasQuery := strings.Cut(x.target, "?")
	if strings.HasPrefix(path, "//") {
		path = "//" + cmp.Or(x.r.Host, authority) + path // what the transport cuts off again
	}
	out := &http.Request{
		Method:        x.r.Method,
		URL:           &url.URL{Scheme: "http", Host: authority, Opaque: path, RawQuery: query, ForceQuery: hasQuery && query == ""},
		Host:          x.r.Host,
		Header:        make(http.Header, len(x.r.Header)+6),
		ContentLength: x.r.ContentLength,
		Trailer:       x.trailer(),
	}
	x.eachField(func(name, value string) {
		key := textproto.CanonicalMIMEHeaderKey(name)
		out.Header[key] = append(out.Header[key], value)
	})
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = nil // else the transport sends its own
	}
	if x.r.ContentLength != 0 {
		out.Body = &readCloser{Reader: x.requestBody(), close: x.body.stop}
		if httpwire.HasToken(x.r.Header["Expect"], "100-continue") {
			out.Header["Expect"] = []string{"100-continue"}
		}
		if x.r.ProtoMajor == 1 {
			_ = http.NewResponseController(x.w).EnableFullDuplex()
		}
	}
	return out.WithContext(ctx)
}

// readCloser closes without waiting for a Read that waits for the client.
type readCloser struct {
	io.Reader
	close func()
}

func (r *readCloser) Close() error { r.close(); return nil }

// informationals passes 1xx responses on until the final one has come.
type informationals struct {
	x *exchange

	mu   sync.Mutex
	over bool
}

func (i *informationals) got(status int, header textproto.MIMEHeader) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over || !i.x.r.ProtoAtLeast(1, 1) {
		return nil
	}
	return i.x.informational(status, http.Header(header))
}

func (i *informationals) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.over = true
}

// respondHTTP2 passes the response on.
func (x *exchange) respondHTTP2(resp *http.Response) {
	header := x.w.Header()
	maps.Copy(header, resp.Header)
	dropHopByHop(header)
	announced := keys(resp.Trailer)
	if len(announced) > 0 {
		header["Trailer"] = []string{strings.Join(announced, ", ")}
		if x.r.ProtoMajor == 1 {
			delete(header, "Content-Length") // trailers need the chunked coding
		}
	}
	if resp.StatusCode == http.StatusNotModified {
		delete(header, "Content-Length")
	}
	x.mend(header)
	if x.body != nil {
		x.body.unhurry()
		x.last = x.last || x.r.ProtoMajor == 1 && !x.body.ended.Load()
	}
	x.endConnection(header)
	x.status = resp.StatusCode
	x.w.WriteHeader(resp.StatusCode)
	if err := x.copyStream(resp); err != nil {
		x.abort(err)
		return
	}
	if len(resp.Trailer) > 0 {
		x.sendTrailer(announced, resp.Trailer)
	}
}

// copyStream passes the body on, each part flushed at once: parts are messages to gRPC. The head of a response
// whose first message is a while away must not wait for it.
func (x *exchange) copyStream(resp *http.Response) error {
	guard := x.guardWrites()
	defer guard.end()
	if resp.ContentLength < 0 {
		if err := guard.flush(); err != nil {
			return err
		}
	}
	buf := streamBuffers.Get().(*[32 << 10]byte)
	defer streamBuffers.Put(buf)
	for {
		n, err := resp.Body.Read(buf[:])
		if n > 0 {
			if werr := guard.write(buf[:n]); werr != nil {
				return werr
			}
			x.sent += int64(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if resp.ContentLength < 0 || x.sent < resp.ContentLength {
			if werr := guard.flush(); werr != nil {
				return werr
			}
		}
	}
}

var streamBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}
