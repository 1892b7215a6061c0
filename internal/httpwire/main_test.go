// SPDX-License-Identifier: Apache-2.0

package httpwire

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

// newClient returns a client of app that keeps connections, and checks at the end that it has lost count of none.
func newClient(t testing.TB, app *testkit.RawBackend) *Client {
	t.Helper()
	c := &Client{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", app.Addr())
		},
		MaxIdle:     16,
		IdleTimeout: time.Minute,
	}
	t.Cleanup(func() {
		c.CloseIdle()
		testkit.Eventually(t, "all connections to be closed", func() error {
			if c.Open() != 0 || c.Idle() != 0 {
				return errors.New("some are open")
			}
			return nil
		})
	})
	return c
}

func get(target string) *Request {
	wire := AppendField(AppendRequestLine(nil, "GET", target), "Host", "app")
	return &Request{Method: "GET", Wire: append(wire, "\r\n"...), Idempotent: true, Header: make(http.Header)}
}

// post streams body with the chunked coding.
func post(target string, body io.Reader) *Request {
	wire := AppendField(AppendRequestLine(nil, "POST", target), "Host", "app")
	wire = AppendField(wire, "Transfer-Encoding", "chunked")
	return &Request{Method: "POST", Wire: append(wire, "\r\n"...), Body: body, Length: -1, Header: make(http.Header)}
}

// answer is a response that was read to its end.
type answer struct {
	Status  int
	Minor   int
	Length  int64
	Header  http.Header
	Body    string
	Trailer http.Header
}

// ask sends req and reads the response to its end. err is that of Do or of the body.
func ask(c *Client, req *Request) (a answer, err error) {
	resp, err := c.Do(context.Background(), req)
	if err != nil {
		return a, err
	}
	defer resp.Close()
	a = answer{Status: resp.Status, Minor: resp.Minor, Length: resp.Length, Header: resp.Header}
	a.Body, err = readAll(resp)
	a.Trailer = resp.Trailer
	return a, err
}

func mustAsk(t testing.TB, c *Client, req *Request) answer {
	t.Helper()
	a, err := ask(c, req)
	if err != nil {
		t.Fatalf("%s: %v", strings.SplitN(string(req.Wire), "\r\n", 2)[0], err)
	}
	return a
}

func readAll(resp *Response) (string, error) {
	var body strings.Builder
	for {
		part, err := resp.Next()
		body.Write(part)
		switch err {
		case nil:
		case io.EOF:
			return body.String(), nil
		default:
			return body.String(), err
		}
	}
}

// scriptConn is a connection whose peer sends the pieces, one for each read, then closes, and takes all writes.
type scriptConn struct {
	net.Conn
	pieces []string
	reads  int
	closed bool
}

func (c *scriptConn) Read(b []byte) (int, error) {
	c.reads++
	if len(c.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.pieces[0])
	if c.pieces[0] = c.pieces[0][n:]; c.pieces[0] == "" {
		c.pieces = c.pieces[1:]
	}
	return n, nil
}

func (c *scriptConn) Write(b []byte) (int, error)      { return len(b), nil }
func (c *scriptConn) Close() error                     { c.closed = true; return nil }
func (c *scriptConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }

// scripted returns a client whose one connection receives the pieces.
func scripted(pieces ...string) (*Client, *scriptConn) {
	conn := &scriptConn{pieces: pieces}
	dialled := false
	return &Client{
		MaxIdle: 1,
		Dial: func(context.Context) (net.Conn, error) {
			if dialled {
				return nil, errors.New("one connection is all there is")
			}
			dialled = true
			return conn, nil
		},
	}, conn
}

// splits cuts s in several ways: not at all, into bytes, and at random.
func splits(s string) map[string][]string {
	all := map[string][]string{"whole": cut(s, func() int { return len(s) }), "bytes": strings.Split(s, "")}
	random := rand.New(rand.NewPCG(1, 2))
	all["random"] = cut(s, func() int { return 1 + random.IntN(9) })
	return all
}

// cut cuts s into pieces of the sizes that next says.
func cut(s string, next func() int) []string {
	var pieces []string
	for s != "" {
		n := min(max(next(), 1), len(s))
		pieces = append(pieces, s[:n])
		s = s[n:]
	}
	return pieces
}
