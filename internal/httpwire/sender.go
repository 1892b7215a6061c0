// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"errors"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
)

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// chunkRoom is kept free before the data of a chunk for its size line: eight hexadecimal digits and CRLF.
const chunkRoom = 10

// sender streams a request body while the response is awaited, since a server may answer early.
type sender struct {
	conn *conn
	req  *Request

	once sync.Once
	read atomic.Bool   // the body was read to its end
	done chan struct{} // closed when the body is sent or failed; nil before start
	err  error         // valid once done is closed
}

func newSender(cn *conn, req *Request) *sender { return &sender{conn: cn, req: req} }

// start begins to send; later calls do nothing.
func (s *sender) start() {
	s.once.Do(func() {
		s.done = make(chan struct{})
		go func() {
			s.err = s.send()
			broken := s.bodyError() != nil
			if s.err == nil {
				s.conn.armResponseTimeout()
			}
			close(s.done)
			if broken {
				// The message can no longer be completed: closing is how HTTP/1.1 says so to the server,
				// and it wakes whoever waits for the response.
				s.conn.abandon()
			}
		}()
	})
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

// bodyError returns the error of the body's reader, nil where there was none. Only once the sending has ended.
func (s *sender) bodyError() error {
	if bodyErr, ok := errors.AsType[*RequestBodyError](s.err); ok {
		return bodyErr
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
			if _, err := s.conn.nc.Write(buf[:n]); err != nil {
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
			if _, err := s.conn.nc.Write(frameChunk(buf, n)); err != nil {
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
	s.read.Store(true)
	end := append(buf[:0], "0\r\n"...)
	if s.req.Trailer != nil {
		for key, values := range s.req.Trailer() {
			for _, value := range values {
				end = AppendField(end, key, value)
			}
		}
	}
	_, err := s.conn.nc.Write(append(end, "\r\n"...))
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
