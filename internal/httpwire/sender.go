// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// chunkRoom is kept free before the data of a chunk for its size line: eight hexadecimal digits and CRLF.
const chunkRoom = 10

// lastWrite is how long a whole response waits for the write of the request's last bytes to return. The server has
// taken them, as a rule, and only the scheduler is behind.
const lastWrite = 100 * time.Millisecond

// sender streams a request body while the response is awaited, since a server may answer early.
type sender struct {
	conn *conn
	req  *Request

	once   sync.Once
	read   atomic.Bool   // the body was read to its end
	failed atomic.Bool   // the message cannot be completed; err says why
	done   chan struct{} // closed at the end; nil before start
	err    error         // valid once failed is set or done is closed
}

func newSender(cn *conn, req *Request) *sender {
	s := &sender{conn: cn, req: req}
	s.read.Store(req.Length == 0)
	return s
}

// start begins to send. It is called at most once, by the goroutine that calls stop and sent.
func (s *sender) start() {
	s.once.Do(func() {
		s.done = make(chan struct{})
		go s.run()
	})
}

func (s *sender) run() {
	defer close(s.done)
	s.err = s.send()
	if isTimeout(s.err) {
		s.err = ErrResponseTimeout
	}
	if _, unread := errors.AsType[*RequestBodyError](s.err); unread || s.err == ErrResponseTimeout {
		// The message can no longer be completed: closing is how HTTP/1.1 says so to the server, and it wakes
		// whoever waits for the response.
		s.failed.Store(true)
		s.conn.abandon()
		return
	}
	// Also where a write failed: the server may have answered before it closed.
	s.conn.awaitResponse()
}

// stop ends the sending and waits for it to end. The connection is closed already, so no write blocks.
func (s *sender) stop() {
	s.once.Do(func() {}) // where it was never started, it never will be
	if s.done == nil {
		return
	}
	if !s.ended() {
		if s.req.StopBody != nil {
			s.req.StopBody()
		}
		<-s.done
	}
}

// ended reports whether the sending has ended, well or not.
func (s *sender) ended() bool {
	if s.done == nil {
		return false
	}
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// sent reports, once the response is whole, whether the request is.
func (s *sender) sent() bool {
	if s.ended() {
		return s.err == nil
	}
	if s.done == nil || !s.read.Load() {
		return false
	}
	timer := time.NewTimer(lastWrite)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.err == nil
	case <-timer.C:
		return false // the server answered without taking it all
	}
}

// cause returns why the sender gave the exchange up, nil where it did not.
func (s *sender) cause() error {
	if s.failed.Load() {
		return s.err
	}
	return nil
}

func (s *sender) send() error {
	buf := copyBuffers.Get().(*[32 << 10]byte)
	defer copyBuffers.Put(buf)
	if s.req.Length >= 0 {
		return s.sendPlain(buf[:])
	}
	return s.sendChunked(buf[:])
}

func (s *sender) sendPlain(buf []byte) error {
	for left := s.req.Length; left > 0; {
		n, err := s.req.Body.Read(buf[:min(int64(len(buf)), left)])
		if left -= int64(n); left == 0 {
			s.read.Store(true)
		}
		if n > 0 {
			if err := s.write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil && left > 0 {
			return &RequestBodyError{noEOF(err)}
		}
	}
	return nil
}

// sendChunked writes each read as one chunk, so that nothing waits in a buffer (RFC 9112, section 7.1).
func (s *sender) sendChunked(buf []byte) error {
	for {
		n, err := s.req.Body.Read(buf[chunkRoom : len(buf)-2])
		if n > 0 {
			if err := s.write(frameChunk(buf, n)); err != nil {
				return err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return &RequestBodyError{err}
		}
	}
	end, err := s.appendTrailer(append(buf[:0], "0\r\n"...))
	if err != nil {
		return err
	}
	s.read.Store(true)
	return s.write(append(end, "\r\n"...))
}

// appendTrailer appends the trailer fields. Those that frame or route a message have no business there, and a
// server that merges trailers into the header would believe them (RFC 9110, section 6.5.1). Whoever parsed the
// trailer may have let names pass that are no tokens: net/http does.
func (s *sender) appendTrailer(b []byte) ([]byte, error) {
	if s.req.Trailer == nil {
		return b, nil
	}
	for name, values := range s.req.Trailer() {
		switch name {
		case "Transfer-Encoding", "Content-Length", "Host", "Connection", "Trailer", "Te", "Upgrade":
			continue
		}
		for _, value := range values {
			if !isToken(name) || !validValue(value) {
				return nil, &RequestBodyError{fmt.Errorf("its trailer %.40q is no field", name)}
			}
			b = AppendField(b, name, value)
		}
	}
	return b, nil
}

func (s *sender) write(b []byte) error {
	s.conn.hurrySending()
	_, err := s.conn.nc.Write(b)
	return err
}

// frameChunk puts the size line and the closing CRLF around the n bytes of data at buf[chunkRoom:].
func frameChunk(buf []byte, n int) []byte {
	var digits [16]byte
	size := strconv.AppendUint(digits[:0], uint64(n), 16)
	start := chunkRoom - 2 - len(size)
	copy(buf[start:], size)
	copy(buf[chunkRoom-2:], "\r\n")
	copy(buf[chunkRoom+n:], "\r\n")
	return buf[start : chunkRoom+n+2]
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
