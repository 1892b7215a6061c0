// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/outrigger/outrigger/internal/httpwire"
	"github.com/outrigger/outrigger/internal/relay"
)

// isUpgrade reports whether an HTTP/1.1 client asks for another protocol on its connection (RFC 9110, section
// 7.8). "h2c" is never passed on: it would lead around the proxy's rules. A request with a long body, or one of
// unknown length, is passed on without the wish, which a server is free to ignore.
func isUpgrade(r *http.Request) bool {
	upgrade := r.Header["Upgrade"]
	return r.ProtoMajor == 1 && r.ProtoMinor >= 1 && len(upgrade) > 0 &&
		httpwire.HasToken(r.Header["Connection"], "upgrade") && !httpwire.HasToken(upgrade, "h2c") &&
		r.ContentLength >= 0 && r.ContentLength <= inlineBody
}

// upgrade forwards a request that may turn its connection into a tunnel. Whatever the application answers, the
// client's connection carries no other request.
func (x *exchange) upgrade() {
	req := &httpwire.Request{Method: x.r.Method, Header: x.w.Header(), Informational: x.informational}
	if fail := x.composeUpgrade(req); fail != nil {
		x.answer(fail)
		return
	}
	resp, err := x.ask(x.r.Context(), req)
	if err != nil {
		clear(x.w.Header())
		x.answer(x.failureOf(err))
		return
	}
	defer resp.Close()
	if resp.Status != http.StatusSwitchingProtocols {
		x.respondHTTP1(req, resp)
		return
	}
	if !strings.EqualFold(strings.Join(resp.Header["Upgrade"], ","), strings.Join(x.r.Header["Upgrade"], ",")) && !offered(x.r.Header["Upgrade"], resp.Header["Upgrade"]) {
		clear(x.w.Header())
		x.answer(failSwitch)
		return
	}
	x.tunnel(resp)
}

// offered reports whether the one protocol that was chosen is among those that the client listed.
func offered(list, chosen []string) bool {
	return len(chosen) == 1 && httpwire.HasToken(list, strings.TrimSpace(chosen[0]))
}

func (x *exchange) composeUpgrade(req *httpwire.Request) *failure {
	x.composeHead()
	length := x.r.ContentLength
	if length > 0 || announcesEmptyBody(x.r) {
		x.wire = httpwire.AppendField(x.wire, "Content-Length", strconv.FormatInt(length, 10))
	}
	x.wire = httpwire.AppendField(x.wire, "Connection", "Upgrade")
	for _, protocol := range x.r.Header["Upgrade"] {
		x.wire = httpwire.AppendField(x.wire, "Upgrade", protocol)
	}
	x.wire = append(x.wire, "\r\n"...)
	if length > 0 {
		if fail := x.inline(int(length)); fail != nil {
			return fail
		}
	}
	req.Wire = x.wire
	return nil
}

// closeHandshake is how long a WebSocket lives on once one side has ended its stream: the other's close frame is all
// that can still come (RFC 6455, section 7.1.1).
const closeHandshake = 10 * time.Second

// tunnel answers 101 and carries bytes both ways until both sides are done.
func (x *exchange) tunnel(resp *httpwire.Response) {
	protocol := strings.Join(resp.Header["Upgrade"], ", ")
	client, buffered, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.fail("client_gone")
		return
	}
	x.status = http.StatusSwitchingProtocols
	head := x.switchHead(resp.Header, protocol)
	app, early := resp.Hijack()
	if _, err := client.Write(head); err != nil {
		client.Close()
		app.Close()
		x.fail("client_gone")
		return
	}
	early2, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	t := newTunnel(client, app, early2, early, strings.EqualFold(protocol, "websocket"))
	x.h.tunnels.add(t)
	defer x.h.tunnels.remove(t)
	x.conn.TakenOver()
	options := relay.Options{Idle: x.h.opts.TunnelTimeout}
	if t.websocket {
		options.HalfOpen = closeHandshake
	}
	result := relay.Both(t.client, t.app, options)
	x.received, x.sent = result.AToB, result.BToA
	switch {
	case t.drained():
		x.fail("drained")
	case result.End == relay.Idle:
		x.fail("tunnel_idle")
	case result.End == relay.AFailed:
		x.fail("client_gone")
	case result.End == relay.BFailed:
		x.fail("app_closed")
	}
}

// switchHead writes the head of the 101 response: the application's, mended like any other.
func (x *exchange) switchHead(header http.Header, protocol string) []byte {
	dropHopByHop(header)
	x.mend(header)
	head := append(x.wire[:0], "HTTP/1.1 101 Switching Protocols\r\n"...)
	head = httpwire.AppendField(head, "Connection", "Upgrade")
	head = httpwire.AppendField(head, "Upgrade", protocol)
	for name, values := range header {
		for _, value := range values {
			head = httpwire.AppendField(head, name, value)
		}
	}
	return append(head, "\r\n"...)
}

// prefixed reads what was received before the tunnel began, then the connection.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) > 0 {
		n := copy(b, p.prefix)
		p.prefix = p.prefix[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}

func (p *prefixed) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return p.Conn.Close()
}
