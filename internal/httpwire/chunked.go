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

// endChunk consumes the CRLF behind a chunk's data where it has come already together with the last chunk, so
// that the end of a short body is known with its last part and needs no flush; else the next call does.
func (r *Response) endChunk() error {
	cn := r.conn
	rest := cn.buf[cn.r:cn.w]
	if bytes.Equal(rest, []byte("\r\n0\r\n\r\n")) {
		cn.r = cn.w
		r.whole = true
		return io.EOF
	}
	r.left = chunkEndPending
	return nil
}

// chunkEndPending stands in Response.left while the CRLF behind a chunk's data is still to be read.
const chunkEndPending = -1

func (r *Response) readTrailer() error {
	block, err := r.conn.readBlock(false)
	if err != nil {
		return noEOF(err)
	}
	trailer := make(http.Header)
	if err := parseFields(trailer, block); err != nil {
		return err
	}
	if len(trailer) > 0 {
		r.Trailer = trailer
	}
	r.whole = true
	return io.EOF
}

// readLine returns the next line without its line end. It is short and may end in LF alone.
func (cn *conn) readLine() ([]byte, error) {
	for {
		if i := bytes.IndexByte(cn.buf[cn.r:cn.w], '\n'); i >= 0 {
			line := cn.buf[cn.r : cn.r+i]
			cn.r += i + 1
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if cn.w-cn.r > maxChunkLine {
			return nil, &ProtocolError{"a chunk-size line is too long"}
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
