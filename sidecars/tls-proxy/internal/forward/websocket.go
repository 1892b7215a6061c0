// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"sync"
)

// closeGoingAway is a close frame's payload: status 1001 (RFC 6455, section 7.4.1).
var closeGoingAway = []byte{0x03, 0xe9}

// frameWriter writes one direction of a WebSocket and follows its frames (RFC 6455, section 5.2), so that a close
// frame can be put between two of them. After it, nothing more is written, as the protocol demands.
type frameWriter struct {
	net.Conn
	masked bool // towards the server every frame is masked

	mu     sync.Mutex
	header []byte // of a frame whose header has not come whole
	left   uint64 // bytes of the current frame's payload that are still to come
	leave  bool   // send the close frame as soon as a frame ends
	closed bool   // it was sent, by us or by the peer
}

// Write passes p on. What comes after a close frame of ours is swallowed, and reported as written.
func (f *frameWriter) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed && f.leave {
		return len(p), nil
	}
	end := f.follow(p)
	if !f.leave || end < 0 {
		return f.Conn.Write(p)
	}
	if _, err := f.Conn.Write(p[:end]); err != nil {
		return 0, err
	}
	return len(p), f.sendClose()
}

// follow advances through p and returns the end of the first frame that ends in p, or -1. Where no goodbye is due
// it goes on to the end of p.
func (f *frameWriter) follow(p []byte) int {
	for i := 0; i < len(p); {
		if f.left > 0 {
			n := min(uint64(len(p)-i), f.left)
			i += int(n)
			f.left -= n
		} else {
			need := headerLength(f.header) - len(f.header)
			n := min(need, len(p)-i)
			f.header = append(f.header, p[i:i+n]...)
			i += n
			if len(f.header) < headerLength(f.header) {
				continue
			}
			f.left = payloadLength(f.header)
			if f.header[0]&0x0f == 0x8 {
				f.closed, f.leave = true, false // the peer says goodbye itself
			}
			f.header = f.header[:0]
		}
		if f.left == 0 && len(f.header) == 0 && f.leave {
			return i
		}
	}
	return -1
}

// headerLength returns how long the header is that h begins; 2 where that is not known yet.
func headerLength(h []byte) int {
	if len(h) < 2 {
		return 2
	}
	n := 2
	switch h[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if h[1]&0x80 != 0 {
		n += 4
	}
	return n
}

func payloadLength(h []byte) uint64 {
	switch n := h[1] & 0x7f; n {
	case 126:
		return uint64(binary.BigEndian.Uint16(h[2:]))
	case 127:
		return binary.BigEndian.Uint64(h[2:])
	default:
		return uint64(n)
	}
}

// goAway sends the close frame now where no frame is under way, else behind it.
func (f *frameWriter) goAway() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.leave || f.closed {
		return
	}
	f.leave = true
	if f.left == 0 && len(f.header) == 0 {
		_ = f.sendClose()
	}
}

func (f *frameWriter) sendClose() error {
	f.closed = true
	frame := []byte{0x88, byte(len(closeGoingAway))}
	payload := append([]byte(nil), closeGoingAway...)
	if f.masked {
		var key [4]byte
		_, _ = rand.Read(key[:]) // never fails
		frame[1] |= 0x80
		frame = append(frame, key[:]...)
		for i := range payload {
			payload[i] ^= key[i%4]
		}
	}
	_, err := f.Conn.Write(append(frame, payload...))
	return err
}

// CloseWrite half-closes.
func (f *frameWriter) CloseWrite() error {
	return f.Conn.(*prefixed).CloseWrite()
}
