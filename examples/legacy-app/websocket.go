// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// maxMessage bounds what one message may hold, all its fragments together.
const maxMessage = 1 << 20

// closed ends a WebSocket conversation with a close frame that carries this code (RFC 6455, section
// 7.4.1); code 0 sends an empty one.
type closed struct {
	code   uint16
	reason string
}

func (c *closed) Error() string { return fmt.Sprintf("closed with %d: %s", c.code, c.reason) }

// websocket echoes each message, text as text and binary as binary.
func (a *app) websocket(w http.ResponseWriter, r *http.Request) {
	accept, status := handshake(r)
	if status != http.StatusSwitchingProtocols {
		w.Header().Set("Sec-WebSocket-Version", "13")
		http.Error(w, http.StatusText(status), status)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		a.logs.Error("Socket", "cannot take over the connection: %v", err)
		http.Error(w, "cannot switch protocols", http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	a.stats.sockets.Add(1)
	defer a.stats.sockets.Add(-1)
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: %s\r\n\r\n", accept)
	s := &socket{conn: conn, in: buffered.Reader}
	if err := s.echo(func() { a.stats.messages.Add(1) }); err != nil {
		a.logs.Debug("Socket", "%v", err)
	}
}

// handshake judges an opening request (RFC 6455, section 4.2.1) and returns the value for
// Sec-WebSocket-Accept and the status to answer with.
func handshake(r *http.Request) (accept string, status int) {
	key := r.Header.Get("Sec-WebSocket-Key")
	nonce, err := base64.StdEncoding.DecodeString(key)
	switch {
	case !hasToken(r.Header, "Upgrade", "websocket") || !hasToken(r.Header, "Connection", "upgrade"):
		return "", http.StatusUpgradeRequired
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return "", http.StatusUpgradeRequired
	case err != nil || len(nonce) != 16:
		return "", http.StatusBadRequest
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:]), http.StatusSwitchingProtocols
}

func hasToken(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// socket is the server's end of an open WebSocket.
type socket struct {
	conn net.Conn
	in   *bufio.Reader
}

// echo answers until the client closes, breaks the protocol or goes away.
func (s *socket) echo(count func()) error {
	for {
		opcode, message, err := s.next()
		if err != nil {
			return s.end(err)
		}
		count()
		if err := s.send(opcode, message); err != nil {
			return err
		}
	}
}

// next returns the next whole message; pings that come before or inside it are answered on the way.
func (s *socket) next() (opcode byte, message []byte, err error) {
	started := false
	for {
		f, err := readFrame(s.in, maxMessage-len(message))
		if err != nil {
			return 0, nil, err
		}
		switch f.opcode {
		case opPing:
			if err := s.send(opPong, f.payload); err != nil {
				return 0, nil, err
			}
			continue
		case opPong:
			continue
		case opClose:
			return 0, nil, closeFrom(f.payload)
		}
		if (f.opcode == opContinuation) != started {
			return 0, nil, &closed{1002, "fragments out of order"}
		}
		if !started {
			started, opcode = true, f.opcode
		}
		message = append(message, f.payload...)
		if !f.fin {
			continue
		}
		if opcode == opText && !utf8.Valid(message) {
			return 0, nil, &closed{1007, "text is not UTF-8"}
		}
		return opcode, message, nil
	}
}

func (s *socket) send(opcode byte, payload []byte) error {
	s.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := s.conn.Write(appendFrame(nil, opcode, payload))
	return err
}

// end sends the close frame err calls for, and then reads on for a moment: closing a connection with
// bytes unread would reset it and take the close frame along.
func (s *socket) end(err error) error {
	verdict, ok := errors.AsType[*closed](err)
	if !ok {
		return err
	}
	var payload []byte
	if verdict.code != 0 {
		payload = append(binary.BigEndian.AppendUint16(nil, verdict.code), verdict.reason...)
	}
	if err := s.send(opClose, payload); err != nil {
		return err
	}
	if half, ok := s.conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	s.conn.SetReadDeadline(time.Now().Add(time.Second))
	io.Copy(io.Discard, io.LimitReader(s.in, maxMessage))
	return verdict
}
