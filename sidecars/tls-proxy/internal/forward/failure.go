// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/outrigger/outrigger/internal/httpwire"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

// failure is an answer that the proxy gives itself. The reason goes into the access log and a metric; the text is
// all that a client learns.
type failure struct {
	status int
	reason string
	text   string
}

// statusClientGone is what nginx made known as "client closed request". It is never sent.
const statusClientGone = 499

var (
	failMethod   = &failure{http.StatusMethodNotAllowed, "method_not_allowed", "this method cannot be forwarded"}
	failTarget   = &failure{http.StatusBadRequest, "bad_target", "the request target is not valid"}
	failSlowBody = &failure{http.StatusRequestTimeout, "client_timeout", "the request body did not arrive in time"}
	failBody     = &failure{http.StatusBadRequest, "bad_body", "the request body is not valid"}
	failClient   = &failure{statusClientGone, "client_gone", ""}
	failRefused  = &failure{http.StatusServiceUnavailable, "app_refused", "the application is not accepting connections"}
	failQueue    = &failure{http.StatusServiceUnavailable, "hold_full", "too many requests wait for the application"}
	failStopping = &failure{http.StatusServiceUnavailable, "stopping", "the service is stopping"}
	failDialTime = &failure{http.StatusGatewayTimeout, "app_connect_timeout", "the application did not accept a connection in time"}
	failDial     = &failure{http.StatusBadGateway, "app_unreachable", "the application cannot be reached"}
	failSlow     = &failure{http.StatusGatewayTimeout, "app_timeout", "the application did not answer in time"}
	failReset    = &failure{http.StatusBadGateway, "app_closed", "the application ended the connection without a whole answer"}
	failProtocol = &failure{http.StatusBadGateway, "app_malformed", "the application's answer was not valid HTTP"}
	failSwitch   = &failure{http.StatusBadGateway, "app_switched", "the application switched to a protocol nobody asked for"}
)

// failures are all of them, so that each metric series exists from the start.
var failures = []*failure{
	failMethod, failTarget, failSlowBody, failBody, failClient, failRefused, failQueue, failStopping, failDialTime,
	failDial, failSlow, failReset, failProtocol, failSwitch,
}

// failureOf sorts an error of the way to the application and back.
func (x *exchange) failureOf(err error) *failure {
	_, writing := errors.AsType[*clientError](err)
	body, reading := errors.AsType[*httpwire.RequestBodyError](err)
	switch {
	case errors.Is(context.Cause(x.r.Context()), frontend.ErrCancelled):
		return failStopping
	case x.body != nil && x.body.late.Load(), writing && isTimeout(err):
		return failSlowBody // net/http takes a client that is late for one that has left
	case writing || x.r.Context().Err() != nil:
		return failClient
	case reading && x.r.ProtoMajor == 1 && !broken(body.Err):
		return failBody
	case reading:
		return failClient
	}
	if dial, ok := errors.AsType[*httpwire.DialError](err); ok {
		return dialFailure(dial.Err)
	}
	switch {
	case errors.Is(err, httpwire.ErrResponseTimeout), isTimeout(err):
		return failSlow
	case httpwire.IsProtocolError(err):
		return failProtocol
	}
	return failReset
}

// broken reports whether reading a body failed because the client's connection has ended, and not for what it sent.
func broken(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

func dialFailure(err error) *failure {
	switch {
	case errors.Is(err, errHoldFull):
		return failQueue
	case refused(err):
		return failRefused
	case isTimeout(err):
		return failDialTime
	}
	return failDial
}

// refused reports whether nobody listens at the target: the application is down or restarting.
func refused(err error) bool {
	// EAGAIN is how a unix socket says that its queue is full.
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, os.ErrNotExist) || errors.Is(err, net.ErrClosed)
}

// answer sends a failure to the client, unless there is no client any more.
func (x *exchange) answer(f *failure) {
	x.fail(f.reason)
	x.status = f.status
	if f.status == statusClientGone {
		panic(http.ErrAbortHandler)
	}
	if x.isGRPC() {
		x.answerGRPC(f)
		return
	}
	text := strconv.Itoa(f.status) + " " + http.StatusText(f.status) + ": " + f.text + "\n"
	header := x.w.Header()
	header["Content-Type"] = []string{"text/plain; charset=utf-8"}
	header["Content-Length"] = []string{strconv.Itoa(len(text))}
	header["Cache-Control"] = []string{"no-store"}
	header["X-Content-Type-Options"] = []string{"nosniff"}
	if x.requestID != "" {
		header["X-Request-Id"] = []string{x.requestID}
	}
	if f.status == http.StatusServiceUnavailable {
		header["Retry-After"] = []string{"1"}
	}
	if f.status == http.StatusMethodNotAllowed {
		header["Allow"] = []string{"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
	}
	control := http.NewResponseController(x.w)
	switch {
	case x.r.ProtoMajor == 2:
		_ = control.SetWriteDeadline(time.Now().Add(x.h.opts.IdleTimeout))
	case x.r.ContentLength != 0 && (x.body == nil || !x.body.ended.Load()):
		x.last = true
		_ = control.EnableFullDuplex() // else net/http waits for the rest of the body before it answers
	}
	x.endConnection(header)
	x.w.WriteHeader(f.status)
	if x.r.Method != http.MethodHead {
		n, _ := x.w.Write([]byte(text))
		x.sent = int64(n)
	}
}
