// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/outrigger/outrigger/internal/httpwire"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/accesslog"
	"github.com/outrigger/outrigger/sidecars/tls-proxy/internal/frontend"
)

// exchange is one request on its way and what is to be said of it at its end.
type exchange struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	conn *frontend.Conn

	start     time.Time
	target    string // the request target in origin form, byte for byte as it came
	requestID string
	trusted   bool // the peer is a trusted proxy
	last      bool // the client's connection carries no further request
	wire      []byte
	body      *requestBody // nil where the request has none
	guard     guardedWriter

	status   int
	sent     int64 // bytes of the response body
	received int64 // bytes of the request body
	upstream time.Duration
	end      string // "" until known
	log      accesslog.Entry
}

// endOK is the end of an exchange in which nothing went wrong.
const endOK = "ok"

// ServeHTTP forwards one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := h.exchanges.Get().(*exchange)
	*x = exchange{h: h, w: w, r: r, conn: frontend.ConnOf(r.Context()), start: time.Now(), wire: x.wire[:0], end: endOK}
	h.opts.Metrics.inFlight.Add(1)
	defer x.finish()
	if fail := x.admit(); fail != nil {
		x.answer(fail)
		return
	}
	x.forward()
}

func (x *exchange) forward() {
	switch {
	case isUpgrade(x.r):
		x.upgrade()
	case x.h.http2 != nil:
		x.overHTTP2()
	default:
		x.overHTTP1()
	}
}

// admit refuses what cannot be forwarded and settles what every way on needs.
func (x *exchange) admit() *failure {
	// httpwire.Guard follows a connection no further than a request with an Upgrade field.
	x.last = x.r.ProtoMajor == 1 && len(x.r.Header["Upgrade"]) > 0
	if x.r.Method == http.MethodConnect || !httpwire.ValidMethod(x.r.Method) {
		return failMethod
	}
	x.target = originForm(x.r.RequestURI)
	if !httpwire.ValidTarget(x.target) {
		return failTarget
	}
	x.trusted = x.h.trusts(x.conn)
	x.requestID = x.chooseRequestID()
	return nil
}

// originForm cuts scheme and authority off an absolute-form target; the host is in Request.Host already
// (RFC 9112, section 3.2.2).
func originForm(target string) string {
	if target == "" || target[0] == '/' || target == "*" {
		return target
	}
	if _, rest, ok := strings.Cut(target, "://"); ok {
		i := strings.IndexAny(rest, "/?")
		switch {
		case i < 0:
			return "/"
		case rest[i] == '?':
			return "/" + rest[i:]
		default:
			return rest[i:]
		}
	}
	return "" // authority form, which only CONNECT has
}

// chooseRequestID keeps the request id of a trusted proxy and makes one for everybody else.
func (x *exchange) chooseRequestID() string {
	if x.trusted {
		if ids := x.r.Header["X-Request-Id"]; len(ids) > 0 && ids[0] != "" && len(ids[0]) <= 128 {
			return ids[0]
		}
	}
	const digits = "0123456789abcdef"
	var id [32]byte
	for half := range 2 {
		n := rand.Uint64()
		for i := range 16 {
			id[half*16+i] = digits[n&15]
			n >>= 4
		}
	}
	return string(id[:])
}

// finish counts and logs the exchange. It also catches panics: a bug costs one request, not the sidecar.
func (x *exchange) finish() {
	h := x.h
	cause := recover()
	if cause != nil && cause != http.ErrAbortHandler {
		h.opts.Log.Error("BUG: a request panicked", "panic", cause, "stack", string(debug.Stack()))
		x.fail("panic")
		if x.status == 0 {
			x.status = http.StatusInternalServerError
		}
		cause = http.ErrAbortHandler
	}
	x.letGo()
	took := time.Since(x.start)
	h.opts.Metrics.request(x, took)
	if h.opts.AccessLog.Enabled() {
		x.fillLog(took)
		h.opts.AccessLog.Write(&x.log)
	}
	h.opts.Metrics.inFlight.Add(-1) // behind the log line, for which Settle waits
	*x = exchange{wire: x.wire}
	if cap(x.wire) <= 64<<10 {
		h.exchanges.Put(x)
	}
	if cause != nil {
		panic(cause) // net/http ends the connection or stream, so that nobody takes what was sent for the whole
	}
}

// letGo ends what the exchange has going with the client: the server may use the connection again, or never wait
// for a body that nobody wants.
func (x *exchange) letGo() {
	if x.body != nil {
		x.body.stop()
		x.received += x.body.received.Load()
	} else if x.last && x.r.ProtoMajor == 1 && x.r.ContentLength != 0 {
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Unix(1, 0))
	}
}

// fail notes why the exchange ended before it should have; the first reason stands.
func (x *exchange) fail(reason string) {
	if x.end == endOK {
		x.end = reason
	}
}

func (x *exchange) fillLog(took time.Duration) {
	path, _, _ := strings.Cut(x.target, "?")
	if x.target == "" {
		path, _, _ = strings.Cut(x.r.RequestURI, "?")
	}
	x.log = accesslog.Entry{
		Time: x.start, Method: x.r.Method, Path: path, Proto: x.r.Proto, Host: x.r.Host, Status: x.status,
		RequestBytes: x.received, Bytes: x.sent, Duration: took, Upstream: x.upstream,
		TLSVersion: x.conn.Version, Curve: x.conn.Curve, ALPN: x.conn.ALPN, ServerName: x.conn.ServerName,
		Resumed: x.conn.Resumed, Client: x.conn.ClientIP, RequestID: x.requestID, End: x.end,
	}
}
