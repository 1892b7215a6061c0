// SPDX-License-Identifier: Apache-2.0

// Package httpwire speaks HTTP/1.1 on the wire (RFC 9112) for programs that pass messages on: a client that
// sends a request head byte for byte as its caller wrote it, and a guard that sees what a server library hides.
//
// The client keeps a small pool of connections to one server, needs no goroutine for a request without a
// streamed body, reads the response head into the header map it is given and hands out the body as slices of
// its own buffer, so that a proxy copies nothing:
//
//	client := &httpwire.Client{Dial: dial, MaxIdle: 64, IdleTimeout: 4 * time.Second}
//	resp, err := client.Do(ctx, &httpwire.Request{Method: "GET", Wire: head, Header: w.Header()})
//	if err != nil {
//		return err // *DialError, *RequestBodyError, ErrResponseTimeout or what the connection said
//	}
//	defer resp.Close()
//	for {
//		part, err := resp.Next()
//		w.Write(part)
//		if err != nil {
//			break // io.EOF: the body is whole
//		}
//	}
package httpwire
