// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Status codes of gRPC (its specification, "Status codes and their use in gRPC").
const (
	grpcDeadlineExceeded = 4
	grpcInternal         = 13
	grpcUnavailable      = 14
)

// isGRPC reports whether the request is a gRPC call. Its client wants a gRPC status rather than an HTTP one or a reset
// stream: from UNAVAILABLE it tries again, from INTERNAL it does not.
func (x *exchange) isGRPC() bool {
	types := x.r.Header["Content-Type"]
	if x.r.ProtoMajor != 2 || len(types) == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(types[0], "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// answerGRPC answers a call with a failure and nothing else ("Trailers-Only", gRPC over HTTP/2).
func (x *exchange) answerGRPC(f *failure) {
	header := x.w.Header()
	clear(header)
	header["Content-Type"] = []string{"application/grpc"}
	header["Grpc-Status"], header["Grpc-Message"] = x.grpcStatus(f)
	x.status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
}

// endGRPC ends a call whose response has begun and cannot be completed. Messages have their length in front, so that a
// part of one does not look whole.
func (x *exchange) endGRPC(f *failure) {
	header := x.w.Header()
	header[http.TrailerPrefix+"Grpc-Status"], header[http.TrailerPrefix+"Grpc-Message"] = x.grpcStatus(f)
}

// grpcStatus is the code and message of a failure. An application ends a call at the client's deadline by a reset, which
// may reach the client a moment before its own clock says the same.
func (x *exchange) grpcStatus(f *failure) (code, message []string) {
	n := grpcInternal
	switch {
	case expired(x.r.Header["Grpc-Timeout"], time.Since(x.start)):
		return []string{strconv.Itoa(grpcDeadlineExceeded)}, []string{"the deadline of the call has passed"}
	case f.status >= http.StatusBadGateway:
		n = grpcUnavailable
	}
	return []string{strconv.Itoa(n)}, []string{f.text}
}

// expired reports whether a grpc-timeout, such as "100m", has passed after so long.
func expired(timeout []string, after time.Duration) bool {
	if len(timeout) != 1 || len(timeout[0]) < 2 || len(timeout[0]) > 9 {
		return false
	}
	last := len(timeout[0]) - 1
	n, err := strconv.ParseUint(timeout[0][:last], 10, 31)
	unit := map[byte]time.Duration{
		'n': time.Nanosecond, 'u': time.Microsecond, 'm': time.Millisecond, 'S': time.Second, 'M': time.Minute, 'H': time.Hour,
	}[timeout[0][last]]
	return err == nil && unit > 0 && after/unit >= time.Duration(n)
}
