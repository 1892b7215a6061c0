// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Site is what the loads expect to find at an address.
type Site struct {
	// Host is sent as Host, and as SNI.
	Host string
	// Leaf is the certificate that the server must show, in DER. Empty means plain HTTP.
	Leaf []byte
}

// dial opens one connection: for TLS version 1.3, X25519, TLS_AES_128_GCM_SHA256, never resumed.
// Anything else is an error.
func (s Site) dial(ctx context.Context, addr string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if len(s.Leaf) == 0 {
		return conn, nil
	}
	// The chain is not verified, since the expected leaf is known byte for byte:
	// the client's cost is not the matter here.
	client := tls.Client(conn, &tls.Config{
		ServerName: s.Host, InsecureSkipVerify: true, VerifyPeerCertificate: s.verifyLeaf,
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: []string{"http/1.1"},
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	state := client.ConnectionState()
	if state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || state.CurveID != tls.X25519 || state.DidResume {
		return nil, errors.Join(fmt.Errorf("the server chose %s and %s", tls.CipherSuiteName(state.CipherSuite), state.CurveID), client.Close())
	}
	return client, nil
}

func (s Site) verifyLeaf(certificates [][]byte, _ [][]*x509.Certificate) error {
	if len(certificates) == 0 || !bytes.Equal(certificates[0], s.Leaf) {
		return errors.New("the server shows another certificate")
	}
	return nil
}

// Get requests path with HTTP/1.1 on a connection of its own and returns the body of an answer 200.
func (s Site) Get(ctx context.Context, addr, path string) ([]byte, error) {
	conn, err := s.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	response, err := s.exchange(conn, bufio.NewReader(conn), path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}

// exchange sends a request and reads the head of its answer, which must be 200.
func (s Site) exchange(conn net.Conn, reader *bufio.Reader, path string) (*http.Response, error) {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n\r\n", path, s.Host); err != nil {
		return nil, fmt.Errorf("cannot send the request: %w", err)
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot read the response: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	return response, nil
}

// fetch requests path and reads its body away, which must have the given size.
func (s Site) fetch(conn net.Conn, reader *bufio.Reader, path string, size int64) error {
	response, err := s.exchange(conn, reader, path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); err != nil || n != size {
		return errors.Join(fmt.Errorf("the body of %s has %d of %d bytes", path, n, size), err)
	}
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
