// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// ProtocolError says what in the server's response is not HTTP/1.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "malformed response: " + e.Reason }

var errHeadTooLarge = &ProtocolError{"its head is larger than the limit"}

// readHead reads one response head into the connection's response and returns its status. Heads of 1xx
// responses other than 101 go to req.Informational.
func (cn *conn) readHead(req *Request) (int, error) {
	block, err := cn.readBlock(true)
	if err != nil {
		return 0, err
	}
	line, fields, _ := strings.Cut(block, "\n")
	resp := &cn.resp
	if err := resp.parseStatusLine(strings.TrimSuffix(line, "\r")); err != nil {
		return 0, err
	}
	if resp.Status < 200 && resp.Status != http.StatusSwitchingProtocols {
		header := make(http.Header)
		if err := parseFields(header, fields); err != nil {
			return 0, err
		}
		if req.Informational != nil {
			err = req.Informational(resp.Status, header)
		}
		return resp.Status, err
	}
	resp.Header = req.Header
	if err := parseFields(resp.Header, fields); err != nil {
		return 0, err
	}
	return resp.Status, resp.frame(req.Method)
}

// readBlock reads lines through the first empty one and returns them without it. A head (statusLine) holds at
// least one line; a trailer section may be empty. Lines may end in LF alone: old applications write such. After an
// error nothing has been consumed, so that a read that came too early can be repeated.
func (cn *conn) readBlock(statusLine bool) (string, error) {
	limit := cn.client.maxHeaderBytes()
	scanned := cn.r
	for {
		end := blockEnd(cn.buf[cn.r:cn.w], scanned-cn.r, !statusLine)
		if end > limit || end < 0 && cn.w-cn.r >= limit {
			return "", errHeadTooLarge
		}
		if end >= 0 {
			block := string(cn.buf[cn.r : cn.r+end])
			cn.r += end
			return block, nil
		}
		unread := cn.w - cn.r
		if unread == len(cn.buf) {
			cn.enlarge()
		}
		if err := cn.fill(); err != nil {
			if err == io.EOF && (unread > 0 || !statusLine) {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
		scanned = cn.r + max(unread-3, 0)
	}
}

// blockEnd returns the length of the lines in b through the empty one, or -1. The first from bytes are known to
// hold no end. With emptyAllowed the empty line may come first.
func blockEnd(b []byte, from int, emptyAllowed bool) int {
	if emptyAllowed {
		if bytes.HasPrefix(b, []byte("\r\n")) {
			return 2
		}
		if bytes.HasPrefix(b, []byte("\n")) {
			return 1
		}
	}
	for i := from; ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return -1
		}
		i += n + 1
		switch {
		case i < len(b) && b[i] == '\n':
			return i + 1
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i + 2
		}
	}
}

// parseStatusLine reads "HTTP/1.1 200 OK"; the reason phrase may be missing.
func (r *Response) parseStatusLine(line string) error {
	version, rest, _ := strings.Cut(line, " ")
	switch version {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
		r.Minor = 0
	default:
		return &ProtocolError{fmt.Sprintf("it begins with %.20q, not with HTTP/1.1 or HTTP/1.0", line)}
	}
	code, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	status, err := strconv.Atoi(code)
	if err != nil || len(code) != 3 || status < 100 {
		return &ProtocolError{fmt.Sprintf("its status is %.20q", code)}
	}
	r.Status = status
	return nil
}

// parseFields reads field lines into header. Values share the block's memory and one backing array. A folded
// line (obs-fold) is joined by spaces; a line that is no field makes the message malformed, since guessing what
// it meant is how messages are split (RFC 9112, sections 5.1 and 5.2).
func parseFields(header http.Header, block string) error {
	values := make([]string, 0, strings.Count(block, "\n"))
	for len(block) > 0 {
		var line string
		line, block, _ = strings.Cut(block, "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			return nil
		}
		if folded(block) {
			line, block = unfold(line, block)
		}
		name, value, ok := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t") // which a proxy must remove from a response
		if !ok || !isToken(name) || !validValue(value) {
			return &ProtocolError{fmt.Sprintf("its header line %.40q is no field", line)}
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		values = append(values, strings.Trim(value, " \t"))
		n := len(values)
		if old, seen := header[key]; seen {
			header[key] = append(old, values[n-1])
		} else {
			header[key] = values[n-1 : n : n]
		}
	}
	return nil
}

// folded reports whether block begins with the continuation of the line before it.
func folded(block string) bool { return block != "" && (block[0] == ' ' || block[0] == '\t') }

// unfold joins line with its continuations and returns what is behind them.
func unfold(line, block string) (joined, rest string) {
	parts := []string{strings.TrimRight(line, " \t\r")}
	for folded(block) {
		line, block, _ = strings.Cut(block, "\n")
		parts = append(parts, strings.Trim(strings.TrimSuffix(line, "\r"), " \t"))
	}
	return strings.Join(parts, " "), block
}

// validValue reports whether a field value holds no control character but TAB.
func validValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// frame decides how the body ends (RFC 9112, section 6.3) and whether the connection outlives it (section 9.3).
// It takes the coding, which describes this connection, out of the header, and a Content-Length that is not true.
func (r *Response) frame(method string) error {
	h := r.Header
	coding, coded := h["Transfer-Encoding"]
	length, err := contentLength(h)
	if err != nil {
		return err
	}
	delete(h, "Transfer-Encoding")
	isChunked := len(coding) == 1 && strings.EqualFold(coding[0], "chunked")
	isPlain := !coded || len(coding) == 1 && strings.EqualFold(coding[0], "identity") // of RFC 2616: no coding
	if isChunked && length != Unknown {
		delete(h, "Content-Length")
	}
	// Where the two disagree, where HTTP/1.0 uses what it does not have, and where a response without a body
	// announces one, the server may see its end elsewhere.
	r.keep = keepsAlive(r.Minor, h["Connection"]) && !(coded && (length != Unknown || r.Minor == 0))
	switch {
	case r.Status == http.StatusSwitchingProtocols:
		r.framing, r.Length, r.whole, r.keep = noBody, 0, true, false // to another protocol or not, it is no longer HTTP/1.1
	case r.Status == http.StatusNoContent:
		delete(h, "Content-Length") // RFC 9110, section 8.6
		r.framing, r.Length, r.whole, r.keep = noBody, 0, true, r.keep && !coded && length <= 0
	case r.Status == http.StatusNotModified:
		r.framing, r.Length, r.whole, r.keep = noBody, 0, true, r.keep && !coded
	case method == http.MethodHead:
		r.framing, r.Length, r.whole = noBody, 0, true
	case isChunked:
		r.framing, r.Length = chunked, Unknown
	case !isPlain:
		return &ProtocolError{fmt.Sprintf("its transfer coding is %.40q, only chunked is known", strings.Join(coding, ", "))}
	case length == 0:
		r.framing, r.Length, r.whole = noBody, 0, true
	case length > 0:
		r.framing, r.Length, r.left = byLength, length, length
	default:
		r.framing, r.Length, r.keep = untilClose, Unknown, false
	}
	return nil
}

func keepsAlive(minor int, connection []string) bool {
	if HasToken(connection, "close") {
		return false
	}
	return minor == 1 || HasToken(connection, "keep-alive")
}

// contentLength returns the announced length or Unknown. Several equal values count as one.
func contentLength(h http.Header) (int64, error) {
	values := h["Content-Length"]
	if len(values) == 0 {
		return Unknown, nil
	}
	for _, v := range values[1:] {
		if v != values[0] {
			return 0, &ProtocolError{"it has two different Content-Length fields"}
		}
	}
	n, err := strconv.ParseUint(values[0], 10, 63)
	if err != nil {
		return 0, &ProtocolError{fmt.Sprintf("its Content-Length is %.20q", values[0])}
	}
	if len(values) > 1 {
		h["Content-Length"] = values[:1]
	}
	return int64(n), nil
}

// HasToken reports whether a comma-separated field, given as its values, lists token in any case.
func HasToken(values []string, token string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.Trim(part, " \t"), token) {
				return true
			}
		}
	}
	return false
}

// IsProtocolError reports whether err says that the server spoke something that is not HTTP/1.
func IsProtocolError(err error) bool {
	_, ok := errors.AsType[*ProtocolError](err)
	return ok
}
