// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"strings"
)

// Guard wraps a client's connection under an HTTP/1.1 server that, like net/http, resolves ambiguous framing
// before anyone can object to it. It follows the requests as they are read and refuses those whose end two
// parties could see in different places, the root of request smuggling (RFC 9112, sections 5.2, 6.1 and 11.2):
//
//   - Content-Length together with Transfer-Encoding;
//   - Transfer-Encoding in an HTTP/1.0 request, which net/http ignores;
//   - a Content-Length that is no number, or padded to hide it;
//   - a folded header or trailer line;
//   - a chunk whose size is no number, or is not its size.
//
// To refuse a head, it puts a line that is no field into it and ends the stream behind it, so that the server
// answers 400 itself, in its turn behind earlier responses, and closes. Within a body the stream just ends.
//
// A request with an Upgrade field is the last that a Guard follows, since the bytes behind it may be another
// protocol: the server must close the connection where it does not switch. net/http does not where it answers
// "OPTIONS *" by itself, so http.Server.DisableGeneralOptionsHandler must be set.
type Guard struct {
	net.Conn
	refused func(reason string)

	state   guardState
	left    int64  // of the body or the chunk
	line    []byte // the beginning (of a request line: the end) of a line that came in several reads, its LF not
	pending string // to be delivered before the stream ends

	version11, length, coding, upgrade bool // seen in this head
	contentLength                      int64
}

type guardState uint8

const (
	atRequestLine guardState = iota
	inHead
	inBody
	atChunkSize
	inChunk
	atChunkEnd
	inTrailer
	passing // behind an Upgrade
	ended   // refused: nothing more is delivered
)

// Reasons of a refusal.
const (
	contentLengthAndTransferEncoding = "content_length_and_transfer_encoding"
	transferEncodingInHTTP10         = "transfer_encoding_in_http_1_0"
	malformedContentLength           = "malformed_content_length"
	foldedHeader                     = "folded_header"
	malformedChunk                   = "malformed_chunk"
)

// maxGuardLine is how long a line is that no longer matters as a whole: longer than any number. One byte more of a
// split line is kept, for its CR.
const maxGuardLine = 64

// Refusals lists all reasons, for metrics whose series exist from the start.
func Refusals() []string {
	return []string{contentLengthAndTransferEncoding, transferEncodingInHTTP10, malformedContentLength, foldedHeader, malformedChunk}
}

// NewGuard returns conn under guard. refused, which may be nil, is told the reason of each refusal, one of Refusals.
func NewGuard(conn net.Conn, refused func(reason string)) *Guard {
	return &Guard{Conn: conn, refused: refused}
}

// NetConn returns the connection under guard.
func (g *Guard) NetConn() net.Conn { return g.Conn }

// CloseWrite half-closes the connection where it can be.
func (g *Guard) CloseWrite() error {
	if half, ok := g.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Read reads from the connection and follows what it delivers.
func (g *Guard) Read(p []byte) (int, error) {
	if g.state == ended {
		if g.pending == "" {
			return 0, io.EOF
		}
		n := copy(p, g.pending)
		g.pending = g.pending[n:]
		return n, nil
	}
	n, err := g.Conn.Read(p)
	if g.state == passing || n == 0 {
		return n, err
	}
	if deliver := g.follow(p[:n]); g.state == ended {
		return deliver, nil
	}
	return n, err
}

// follow advances through b and returns how much of it may be delivered where the stream was refused.
func (g *Guard) follow(b []byte) int {
	for i := 0; i < len(b); {
		switch g.state {
		case inBody, inChunk:
			n := min(int64(len(b)-i), g.left)
			i += int(n)
			if g.left -= n; g.left == 0 {
				if g.state == inChunk {
					g.state = atChunkEnd
				} else {
					g.begin()
				}
			}
		case passing:
			return len(b)
		default:
			end := bytes.IndexByte(b[i:], '\n')
			if end < 0 {
				g.keepPart(b[i:])
				return len(b)
			}
			line := b[i : i+end]
			i += end + 1
			if reason := g.take(g.whole(line)); reason != "" {
				g.refuse(reason)
				return i
			}
		}
	}
	return len(b)
}

// keepPart remembers a line that has not ended yet: its end where it is a request line (the version stands
// there), else its beginning.
func (g *Guard) keepPart(part []byte) {
	const limit = maxGuardLine + 1
	if g.state == atRequestLine {
		g.line = append(g.line, part[max(0, len(part)-limit):]...)
		if extra := len(g.line) - limit; extra > 0 {
			g.line = append(g.line[:0], g.line[extra:]...)
		}
		return
	}
	g.line = append(g.line, part[:min(len(part), limit-len(g.line))]...)
}

// whole joins line with what came of it before and strips the CR.
func (g *Guard) whole(line []byte) []byte {
	if len(g.line) > 0 {
		g.keepPart(line)
		line = g.line
		g.line = g.line[:0]
	}
	return bytes.TrimSuffix(line, []byte("\r"))
}

// take advances by one line and returns the reason to refuse it, if any.
func (g *Guard) take(line []byte) string {
	switch g.state {
	case atRequestLine:
		if len(line) < maxGuardLine && len(bytes.TrimRight(line, "\r")) == 0 {
			return "" // empty lines that net/http, too, skips behind a POST, or answers 400 to
		}
		g.version11 = bytes.HasSuffix(line, []byte(" HTTP/1.1"))
		g.state = inHead
	case inHead:
		if len(line) == 0 {
			g.endHead()
			return ""
		}
		return g.field(line)
	case atChunkSize:
		size, ok := parseChunkSize(line)
		if !ok || len(line) >= maxGuardLine && bytes.IndexByte(line[:maxGuardLine], ';') < 0 {
			return malformedChunk
		}
		g.left = size
		g.state = inChunk
		if size == 0 {
			g.state = inTrailer
		}
	case atChunkEnd:
		if len(line) != 0 {
			return malformedChunk
		}
		g.state = atChunkSize
	case inTrailer:
		switch {
		case len(line) == 0:
			g.begin()
		case line[0] == ' ' || line[0] == '\t':
			return foldedHeader
		}
	}
	return ""
}

// field looks at one header line.
func (g *Guard) field(line []byte) string {
	switch line[0] {
	case ' ', '\t':
		return foldedHeader
	case 'c', 'C':
		if value, ok := cutField(line, "content-length"); ok {
			size, err := strconv.ParseUint(string(value), 10, 63)
			if err != nil || len(line) >= maxGuardLine {
				return malformedContentLength
			}
			g.length = true
			g.contentLength = int64(size)
		}
	case 't', 'T':
		if _, ok := cutField(line, "transfer-encoding"); ok {
			g.coding = true
			if !g.version11 {
				return transferEncodingInHTTP10
			}
		}
	case 'u', 'U':
		if _, ok := cutField(line, "upgrade"); ok {
			g.upgrade = true
		}
	}
	if g.length && g.coding {
		return contentLengthAndTransferEncoding
	}
	return ""
}

// cutField returns the value of a field line whose name is name, given in lower case.
func cutField(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || !strings.EqualFold(string(line[:len(name)]), name) {
		return nil, false
	}
	return bytes.Trim(line[len(name)+1:], " \t"), true
}

func (g *Guard) endHead() {
	switch {
	case g.upgrade:
		g.state = passing
	case g.coding:
		g.state = atChunkSize
	case g.contentLength > 0:
		g.left = g.contentLength
		g.state = inBody
	default:
		g.begin()
	}
}

// begin makes ready for the next request.
func (g *Guard) begin() {
	g.state = atRequestLine
	g.version11, g.length, g.coding, g.upgrade = false, false, false, false
	g.contentLength = 0
}

func (g *Guard) refuse(reason string) {
	if g.state == inHead {
		g.pending = "refused\n"
	}
	g.state = ended
	if g.refused != nil {
		g.refused(reason)
	}
}
