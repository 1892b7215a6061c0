// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"bytes"
	"io"
	"net/http"
)

// maxChunkLine bounds a chunk-size line with its extensions, which nobody uses.
const maxChunkLine = 256

// nextChunked returns the next data of a chunked body (RFC 9112, section 7.1). r.left counts the current chunk.
func (r *Response) nextChunked() ([]byte, error) {
	cn := r.conn
	if r.whole {
		return nil, io.EOF
	}
	if r.left <= 0 {
		last, err := r.beginChunk()
		if err != nil {
			return nil, noEOF(err)
		}
		if last {
			return nil, r.readTrailer()
		}
	}
	if cn.r == cn.w {
		if r.left > smallBuffer {
			cn.grow()
		}
		if err := cn.fill(); err != nil {
			return nil, noEOF(err)
		}
	}
	part := cn.consume(r.left)
	if r.left -= int64(len(part)); r.left > 0 {
		return part, nil
	}
	return part, r.endChunk()
}

// beginChunk reads a chunk-size line and reports whether it announces the last chunk.
func (r *Response) beginChunk() (last bool, err error) {
	line, err := r.conn.readLine()
	if err == nil && r.left == chunkEndPending {
		if len(line) != 0 {
			return false, &ProtocolError{"a chunk is longer than its size"}
		}
		line, err = r.conn.readLine()
	}
	if err != nil {
		return false, err
	}
	size, ok := parseChunkSize(line)
	if !ok {
		return false, &ProtocolError{"a chunk size is no number"}
	}
	r.left = size
	return size == 0, nil
}

// endChunk consumes the CRLF behind a chunk's data where it has come already, and the last chunk where that has
// too, so that the end of a short body is known with its last part and needs no flush. What is still to come, the
// next call reads.
func (r *Response) endChunk() error {
	cn := r.conn
	rest := cn.buf[cn.r:cn.w]
	switch {
	case string(rest) == "\r\n0\r\n\r\n":
		cn.r = cn.w
		r.whole = true
		return io.EOF
	case len(rest) >= 2 && rest[0] == '\r' && rest[1] == '\n':
		cn.r += 2
	default:
		r.left = chunkEndPending
	}
	return nil
}

// chunkBuffered reports whether nextChunked would return, with data or without, without reading from the server.
func (r *Response) chunkBuffered() bool {
	rest := r.conn.buf[r.conn.r:r.conn.w]
	if r.left > 0 || r.whole {
		return r.whole || len(rest) > 0
	}
	if r.left == chunkEndPending {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return false
		}
		if len(bytes.TrimSuffix(rest[:end], []byte("\r"))) > 0 {
			return true // an error
		}
		rest = rest[end+1:]
	}
	end := bytes.IndexByte(rest, '\n')
	if end < 0 {
		return false
	}
	size, ok := parseChunkSize(bytes.TrimSuffix(rest[:end], []byte("\r")))
	rest = rest[end+1:]
	if size > 0 {
		return len(rest) > 0
	}
	return !ok || blockEnd(rest, 0, true) >= 0
}

// chunkEndPending stands in Response.left while the CRLF behind a chunk's data is still to be read.
const chunkEndPending = -1

func (r *Response) readTrailer() error {
	block, err := r.conn.readBlock(false)
	if err != nil {
		return noEOF(err)
	}
	if len(block) > len("\r\n") {
		r.Trailer = make(http.Header)
		if err := parseFields(r.Trailer, block); err != nil {
			return err
		}
	}
	r.whole = true
	return io.EOF
}

// readLine returns the next line without its line end. It is short and may end in LF alone.
func (cn *conn) readLine() ([]byte, error) {
	for {
		i := bytes.IndexByte(cn.buf[cn.r:cn.w], '\n')
		if i > maxChunkLine || i < 0 && cn.w-cn.r > maxChunkLine {
			return nil, &ProtocolError{"a chunk-size line is too long"}
		}
		if i >= 0 {
			line := cn.buf[cn.r : cn.r+i]
			cn.r += i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if err := cn.fill(); err != nil {
			return nil, err
		}
	}
}

// parseChunkSize reads hexadecimal digits up to a chunk extension or the end of the line.
func parseChunkSize(line []byte) (int64, bool) {
	line, _, _ = bytes.Cut(line, []byte(";"))
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range line {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | int64(c-'a'+10)
		case 'A' <= c && c <= 'F':
			n = n<<4 | int64(c-'A'+10)
		default:
			return 0, false
		}
	}
	return n, true
}
