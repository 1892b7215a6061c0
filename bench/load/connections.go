// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"
)

// Connections opens connections, has one request answered on each, and leaves them open.
type Connections struct {
	Site Site
	// Path is requested; its body has Size bytes.
	Path string
	Size int64
}

// Hold opens count connections to addr one after another; release closes them.
func (c Connections) Hold(ctx context.Context, addr string, count int) (release func(), err error) {
	open := make([]net.Conn, 0, count)
	release = func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}
	for i := range count {
		conn, err := c.Site.dial(ctx, addr)
		if err == nil {
			open = append(open, conn)
			err = c.Site.fetch(conn, bufio.NewReaderSize(conn, 2048), c.Path, c.Size)
		}
		if err != nil {
			release()
			return nil, fmt.Errorf("connection %d of %d: %w", i+1, count, err)
		}
		_ = conn.SetDeadline(time.Time{})
	}
	return release, nil
}
