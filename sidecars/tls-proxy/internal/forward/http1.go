// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger/outrigger/internal/httpwire"
)

// inlineBody is the size up to which a request body is read before the application is asked: it then travels in
// one write with the head, and a slow client holds none of the application's workers.
const inlineBody = 16 << 10

// overHTTP1 forwards over HTTP/1.1, the language of legacy applications.
func (x *exchange) overHTTP1() {
	req := &httpwire.Request{Method: x.r.Method, Idempotent: idempotent(x.r), Header: x.w.Header()}
	if fail := x.compose(req); fail != nil {
		x.answer(fail)
		return
	}
	resp, err := x.ask(x.r.Context(), req)
	if err != nil {
		clear(x.w.Header())
		x.answer(x.failureOf(err))
		return
	}
	defer resp.Close()
	if resp.Status == http.StatusSwitchingProtocols {
		clear(x.w.Header())
		x.answer(failSwitch) // nobody asked for another protocol
		return
	}
	x.respondHTTP1(req, resp)
}

// ask sends the request, timing the application's answer and counting what is under way there.
func (x *exchange) ask(ctx context.Context, req *httpwire.Request) (*httpwire.Response, error) {
	asked := time.Now()
	resp, err := x.h.http1.Do(ctx, req)
	x.upstream = time.Since(asked)
	return resp, err
}

// compose writes the request head, and a small body behind it, into x.wire.
func (x *exchange) compose(req *httpwire.Request) *failure {
	r := x.r
	length := r.ContentLength
	expect := length != 0 && httpwire.HasToken(r.Header["Expect"], "100-continue")
	x.composeHead()
	switch {
	case length > 0 || length == 0 && announcesEmptyBody(r):
		x.wire = append(x.wire, "Content-Length: "...)
		x.wire = strconv.AppendInt(x.wire, length, 10)
		x.wire = append(x.wire, "\r\n"...)
	case length < 0:
		x.wire = append(x.wire, "Transfer-Encoding: chunked\r\n"...)
		if len(x.trailer()) > 0 {
			x.wire = httpwire.AppendField(x.wire, "Trailer", strings.Join(keys(x.trailer()), ", "))
		}
	}
	if expect {
		x.wire = append(x.wire, "Expect: 100-continue\r\n"...)
	}
	x.wire = append(x.wire, "\r\n"...)
	if length > 0 && length <= inlineBody && !expect {
		if fail := x.inline(int(length)); fail != nil {
			return fail
		}
	} else if length != 0 {
		x.stream(req, length, expect)
	}
	req.Wire = x.wire
	if r.ProtoAtLeast(1, 1) {
		req.Informational = x.informational
	}
	return nil
}

// composeHead writes the request line and every field but those that frame the body.
func (x *exchange) composeHead() {
	x.wire = httpwire.AppendRequestLine(x.wire, x.r.Method, x.target)
	x.wire = httpwire.AppendField(x.wire, "Host", x.r.Host)
	x.eachField(func(name, value string) { x.wire = httpwire.AppendField(x.wire, name, value) })
}

// announcesEmptyBody reports whether a request without a body says so: POST and its kind do, and applications
// answer 411 where it is missing (RFC 9110, section 8.6).
func announcesEmptyBody(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	return len(r.Header["Content-Length"]) > 0
}

// inline reads a small body to the end of x.wire.
func (x *exchange) inline(length int) *failure {
	body := x.requestBody()
	from := len(x.wire)
	x.wire = append(x.wire, make([]byte, length)...)
	if _, err := io.ReadFull(body, x.wire[from:]); err != nil {
		return x.failureOf(&httpwire.RequestBodyError{Err: err})
	}
	return nil
}

// stream has the body sent while the response is awaited.
func (x *exchange) stream(req *httpwire.Request, length int64, expect bool) {
	body := x.requestBody()
	req.Body, req.Length, req.ExpectContinue = body, length, expect
	req.StopBody = body.stop
	req.Trailer = x.trailer
	if x.r.ProtoMajor == 1 {
		// The response may begin while the request is still coming; without this, net/http would swallow the
		// rest of the request first.
		_ = http.NewResponseController(x.w).EnableFullDuplex()
	}
}

// trailer returns the request's trailer fields as far as the application gets them: one that merges them into the
// header must not be told there what the header would not have told it.
func (x *exchange) trailer() http.Header {
	nominated := x.r.Header["Connection"]
	trailer := x.r.Trailer
	for name := range trailer {
		if !x.passes(name, nominated) {
			delete(trailer, name)
		}
	}
	return trailer
}

// informational passes a 1xx response on. The map that the final response will be read into is lent to it.
func (x *exchange) informational(status int, header http.Header) error {
	dropHopByHop(header)
	out := x.w.Header()
	maps.Copy(out, header)
	x.w.WriteHeader(status)
	clear(out)
	return nil
}

// respondHTTP1 passes the response on.
func (x *exchange) respondHTTP1(req *httpwire.Request, resp *httpwire.Response) {
	header := x.w.Header()
	trailers := header["Trailer"]
	dropHopByHop(header)
	if resp.Length == httpwire.Unknown || resp.Status == http.StatusNotModified {
		delete(header, "Content-Length") // of a 304 some clients would take it for a body that is missing
	}
	x.mend(header)
	if x.body != nil {
		x.body.unhurry()
	}
	if !resp.RequestRead() {
		x.last = true
	}
	x.endConnection(header)
	x.status = resp.Status
	x.w.WriteHeader(resp.Status)
	if err := x.copyBody(resp); err != nil {
		x.abort(err)
		return
	}
	if len(resp.Trailer) > 0 {
		x.sendTrailer(trailers, resp.Trailer)
	}
}

// endConnection makes this the last response on an HTTP/1.1 connection where it has to be.
func (x *exchange) endConnection(header http.Header) {
	if x.r.ProtoMajor == 1 && (x.last || x.h.opts.Draining()) {
		header["Connection"] = []string{"close"}
		x.conn.Linger()
	}
}

// copyBody passes the body on part by part, each flushed at once unless the next is here already. So is the head
// of a stream, whose first part may be a while away.
func (x *exchange) copyBody(resp *httpwire.Response) error {
	guard := x.guardWrites()
	defer guard.end()
	if resp.Length == httpwire.Unknown && !resp.Buffered() {
		if err := guard.flush(); err != nil {
			return err
		}
	}
	for {
		part, err := resp.Next()
		if len(part) > 0 {
			if werr := guard.write(part); werr != nil {
				return werr
			}
			x.sent += int64(len(part))
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case !resp.Buffered():
			if werr := guard.flush(); werr != nil {
				return werr
			}
		}
	}
}

// sendTrailer passes trailer fields on: as announced where they were, else under net/http's prefix for late ones.
func (x *exchange) sendTrailer(announced []string, trailer http.Header) {
	_ = http.NewResponseController(x.w).Flush() // makes HTTP/1.1 use the chunked coding, which trailers need
	header := x.w.Header()
	for name, values := range trailer {
		if hopByHop(name) || name == "Content-Length" {
			continue
		}
		if !httpwire.HasToken(announced, name) {
			name = http.TrailerPrefix + name
		}
		header[name] = values
	}
}

// abort ends a response that cannot be completed. What the client has so far must not look whole: to HTTP/1.0 a
// proper end of the TLS connection is the end of the body.
func (x *exchange) abort(err error) {
	f := x.failureOf(err)
	x.fail(f.reason)
	if f != failClient && x.isGRPC() {
		x.endGRPC(f)
		return
	}
	if !x.r.ProtoAtLeast(1, 1) {
		x.conn.Reset()
	}
	panic(http.ErrAbortHandler)
}

// idempotent reports whether a request may be sent twice (RFC 9110, section 9.2.2).
func idempotent(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return len(r.Header["Idempotency-Key"]) > 0
}

func keys(h http.Header) []string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	return names
}

// clientError says that the client did not take a response.
type clientError struct{ err error }

func (e *clientError) Error() string { return "cannot write to the client: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

var errStopped = errors.New("the body is no longer wanted")
