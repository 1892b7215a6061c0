// SPDX-License-Identifier: Apache-2.0

package frontend

import (
	"sync"

	"github.com/outrigger/outrigger/internal/httpwire"
)

const (
	// maxRecord is the most plaintext that a TLS record holds (RFC 8446, section 5.1).
	maxRecord = 16 << 10
	// corkSize holds the records of one large write of a response body.
	corkSize = 72 << 10
)

var corks = sync.Pool{New: func() any { return new([corkSize]byte) }}

// cork gathers the records of one large write. crypto/tls writes each record to the socket by itself; sent together
// they cost a quarter of the system calls, and fewer, larger packets below.
type cork struct {
	mu   sync.Mutex
	buf  *[corkSize]byte // nil unless corked
	used int
}

// http1Conn is what the HTTP/1.1 server sees: TLS under guard, corked for large writes.
type http1Conn struct {
	*httpwire.Guard
	raw *Conn
}

// Write writes p; its records go out together where it is more than one.
func (c *http1Conn) Write(p []byte) (int, error) {
	if len(p) <= maxRecord {
		return c.Guard.Write(p)
	}
	c.raw.cork.begin()
	n, err := c.Guard.Write(p)
	if flushErr := c.raw.uncork(); err == nil {
		err = flushErr
	}
	return n, err
}

func (k *cork) begin() {
	k.mu.Lock()
	k.buf = corks.Get().(*[corkSize]byte)
	k.used = 0
	k.mu.Unlock()
}

// add takes p in where the connection is corked and has room.
func (k *cork) add(p []byte) bool {
	if k.buf == nil || len(p) > corkSize-k.used {
		return false
	}
	k.used += copy(k.buf[k.used:], p)
	return true
}

// uncork sends what was gathered.
func (c *Conn) uncork() error {
	c.cork.mu.Lock()
	defer c.cork.mu.Unlock()
	err := c.flushCork()
	corks.Put(c.cork.buf)
	c.cork.buf = nil
	return err
}

// flushCork is called with the cork's lock held.
func (c *Conn) flushCork() error {
	if c.cork.buf == nil || c.cork.used == 0 {
		return nil
	}
	gathered := c.cork.buf[:c.cork.used]
	c.cork.used = 0
	_, err := c.send(gathered)
	return err
}
