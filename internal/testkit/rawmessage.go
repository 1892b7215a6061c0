// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxHead bounds a head, so that garbage ends a test and not its machine.
const maxHead = 1 << 20

// rawMessage is an HTTP/1.1 message as its bytes came.
type rawMessage struct {
	// Head is the first line, the fields and the empty line, with their line ends.
	Head string
	// Body is what followed, framing included: chunk sizes, extensions, trailers.
	Body string
	// Err says why the body ended too early; nil for a whole message.
	Err error
}

// Line is the first line without its end.
func (m rawMessage) Line() string {
	line, _, _ := strings.Cut(m.Head, "\n")
	return strings.TrimSuffix(line, "\r")
}

// Values are the values of all fields of that name, in order; names are compared
// without case, and only a space or tab around the value is dropped.
func (m rawMessage) Values(name string) []string {
	var values []string
	for _, field := range m.Fields() {
		key, value, _ := strings.Cut(field, ":")
		if strings.EqualFold(key, name) {
			values = append(values, strings.Trim(value, " \t"))
		}
	}
	return values
}

// Value is the first of [rawMessage.Values], "" if there is none.
func (m rawMessage) Value(name string) string {
	if v := m.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Has reports whether there is a field of that name.
func (m rawMessage) Has(name string) bool { return len(m.Values(name)) > 0 }

// Fields are the header lines as they came, in order, without their ends.
func (m rawMessage) Fields() []string {
	var fields []string
	_, rest, _ := strings.Cut(m.Head, "\n")
	for line := range strings.Lines(rest) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			fields = append(fields, line)
		}
	}
	return fields
}

// Content is the body without the framing of chunks.
func (m rawMessage) Content() string {
	content, _ := m.unchunk()
	return content
}

// Trailers are the trailer lines of a chunked body, as they came.
func (m rawMessage) Trailers() []string {
	_, trailers := m.unchunk()
	return trailers
}

func (m rawMessage) chunked() bool {
	for _, v := range m.Values("Transfer-Encoding") {
		if strings.HasSuffix(strings.ToLower(v), "chunked") {
			return true
		}
	}
	return false
}

func (m rawMessage) unchunk() (content string, trailers []string) {
	if !m.chunked() {
		return m.Body, nil
	}
	rest := m.Body
	for {
		line, after, _ := strings.Cut(rest, "\n")
		size, err := chunkSize(line)
		if err != nil || size > int64(len(after)) {
			return content, nil
		}
		if size == 0 {
			rest = after
			break
		}
		content += after[:size]
		_, rest, _ = strings.Cut(after[size:], "\n")
	}
	for line := range strings.Lines(rest) {
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			trailers = append(trailers, line)
		}
	}
	return content, trailers
}

// chunkSize parses a chunk's first line: hexadecimal digits, then maybe extensions.
func chunkSize(line string) (int64, error) {
	digits, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ";")
	size, err := strconv.ParseInt(strings.TrimSpace(digits), 16, 64)
	if err != nil || size < 0 {
		return 0, fmt.Errorf("the chunk size %q is not a hexadecimal number", digits)
	}
	return size, nil
}

// readHead reads up to and including the first empty line.
func readHead(r *bufio.Reader) (string, error) {
	var head bytes.Buffer
	for head.Len() < maxHead {
		line, err := r.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return head.String(), err
		}
		if strings.TrimRight(line, "\r\n") == "" && head.Len() > len(line) {
			return head.String(), nil
		}
	}
	return head.String(), fmt.Errorf("the head is longer than %d bytes", maxHead)
}

// readFramed reads a body whose framing the head states; untilClose is the framing of
// a message that states none (RFC 9112, section 6.3).
func (m rawMessage) readFramed(r *bufio.Reader, untilClose bool) (string, error) {
	if m.chunked() {
		return readChunked(r)
	}
	if length := m.Value("Content-Length"); length != "" {
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil || n < 0 {
			return "", fmt.Errorf("the content length %q is not a number", length)
		}
		return copyN(r, n)
	}
	if !untilClose {
		return "", nil
	}
	body, err := io.ReadAll(r)
	return string(body), err
}

// copyN reads n bytes and returns what there was of them.
func copyN(r io.Reader, n int64) (string, error) {
	var b strings.Builder
	_, err := io.CopyN(&b, r, n)
	return b.String(), err
}

// readChunked returns the raw bytes of a chunked body with its trailers.
func readChunked(r *bufio.Reader) (string, error) {
	var raw strings.Builder
	for {
		line, err := r.ReadString('\n')
		raw.WriteString(line)
		if err != nil {
			return raw.String(), err
		}
		size, err := chunkSize(line)
		if err != nil {
			return raw.String(), err
		}
		if size == 0 {
			break
		}
		chunk, err := copyN(r, size)
		raw.WriteString(chunk)
		if err != nil {
			return raw.String(), err
		}
		end, err := r.ReadString('\n')
		raw.WriteString(end)
		if err != nil {
			return raw.String(), err
		}
	}
	for { // trailers, up to the empty line
		line, err := r.ReadString('\n')
		raw.WriteString(line)
		if err != nil || strings.TrimRight(line, "\r\n") == "" {
			return raw.String(), err
		}
	}
}

// RawResponse is a response as its bytes came.
type RawResponse struct{ rawMessage }

// Status is the code of the status line; 0 if there is none.
func (r RawResponse) Status() int {
	fields := strings.Fields(r.Line())
	if len(fields) < 2 {
		return 0
	}
	code, _ := strconv.Atoi(fields[1])
	return code
}

func (r RawResponse) readBody(from *bufio.Reader, method string) (string, error) {
	status := r.Status()
	if method == "HEAD" || status < 200 || status == 204 || status == 304 {
		return "", nil
	}
	return r.readFramed(from, true)
}

// RawRequest is a request as its bytes came.
type RawRequest struct {
	rawMessage
	// Conn numbers the connection that it came on, from 1.
	Conn int

	whole bool // nothing more of it will be read
}

// Method is the first word of the request line.
func (r RawRequest) Method() string {
	method, _, _ := strings.Cut(r.Line(), " ")
	return method
}

// Target is what stands between the method and the version, byte for byte.
func (r RawRequest) Target() string {
	_, rest, _ := strings.Cut(r.Line(), " ")
	if i := strings.LastIndexByte(rest, ' '); i >= 0 {
		return rest[:i]
	}
	return rest
}
