// SPDX-License-Identifier: Apache-2.0

package forward_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestEventsArriveWhileTheResponseIsOpen(t *testing.T) {
	app := testkit.NewRawBackend(t)
	next := make(chan struct{})
	app.Handle(func(x *testkit.RawExchange) {
		chunked := x.Request().Target() == "/chunked"
		head := "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		if chunked {
			head += "Transfer-Encoding: chunked\r\n"
		}
		_ = x.Send(head + "\r\n")
		for i := range 3 {
			select {
			case <-next:
			case <-x.Done():
				return
			}
			event := fmt.Sprintf("data: %d\n\n", i)
			if chunked {
				event = fmt.Sprintf("%x\r\n%s\r\n", len(event), event)
			}
			_ = x.Send(event)
		}
		if chunked {
			_ = x.Send("0\r\n\r\n")
		}
		x.Close()
	})
	p := newProxy(t, app.Addr())
	for _, protocol := range protocols {
		for _, path := range []string{"/chunked", "/by-the-end"} {
			resp, err := p.client(protocol).Do(p.request("GET", path, nil)) // the head comes before the first event
			if err != nil {
				t.Fatal(err)
			}
			events := bufio.NewReader(resp.Body)
			for i := range 3 {
				next <- struct{}{}
				if line, err := events.ReadString('\n'); line != fmt.Sprintf("data: %d\n", i) {
					t.Errorf("%s %s: event %d is %q %v", protocol, path, i, line, err)
				}
				_, _ = events.ReadString('\n')
			}
			if rest, err := io.ReadAll(events); len(rest) > 0 || err != nil {
				t.Errorf("%s %s: at the end %q %v", protocol, path, rest, err)
			}
			_ = resp.Body.Close()
		}
	}
}

func TestPartsOfABodyOfKnownLengthArriveAsTheyCome(t *testing.T) {
	app := testkit.NewRawBackend(t)
	next := make(chan struct{})
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
		select {
		case <-next:
		case <-x.Done():
		}
		_ = x.Send("def")
	})
	p := newProxy(t, app.Addr())
	for _, protocol := range protocols {
		resp, err := p.client(protocol).Do(p.request("GET", "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 3)
		_, err = io.ReadFull(resp.Body, part)
		next <- struct{}{}
		rest, _ := io.ReadAll(resp.Body)
		if string(part)+string(rest) != "abcdef" {
			t.Errorf("%s: %q %q %v", protocol, part, rest, err)
		}
		_ = resp.Body.Close()
	}
}

func TestAnUploadReachesTheAppAsItComes(t *testing.T) {
	app := testkit.NewRawBackend(t)
	seen := make(chan string)
	app.Handle(func(x *testkit.RawExchange) {
		body := x.Reader
		if x.Request().Has("Transfer-Encoding") {
			body = bufio.NewReader(httputil.NewChunkedReader(x.Reader))
		}
		for range 3 {
			line, err := body.ReadString('\n')
			if err != nil {
				return
			}
			select {
			case seen <- line:
			case <-x.Done():
				return
			}
		}
		_ = x.Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		x.Close()
	})
	parts := []string{"0\n", "1\n", strings.Repeat("x", inline) + "\n"}
	length := len(strings.Join(parts, ""))
	p := newProxy(t, app.Addr())
	expect := func(how string, send func(string)) {
		t.Helper()
		for i, part := range parts {
			send(part)
			select {
			case got := <-seen:
				if strings.TrimSpace(got) != strings.TrimSpace(part) {
					t.Errorf("%s: part %d is %.20q", how, i, got)
				}
			case <-time.After(testkit.Patience):
				t.Fatalf("%s: part %d did not come", how, i)
			}
		}
	}
	for _, chunked := range []bool{false, true} {
		c := p.dial()
		if chunked {
			c.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
			expect("chunked", func(part string) { c.Send(fmt.Sprintf("%x\r\n%s\r\n", len(part), part)) })
			c.Send("0\r\n\r\n")
		} else {
			c.Send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", length))
			expect("plain", c.Send)
		}
		if r := c.ReadResponse("POST"); r.Status() != 200 {
			t.Errorf("answer: %q", r.Head)
		}
	}
	for _, length := range []int{-1, length} {
		body, write := io.Pipe()
		req := p.request("POST", "/", body)
		req.ContentLength = int64(length)
		done := make(chan error, 1)
		go func() {
			_, err := p.do(p.client("h2"), req)
			done <- err
		}()
		expect("h2", func(part string) {
			_, _ = io.WriteString(write, part)
			if part == parts[len(parts)-1] {
				_ = write.Close() // the client's library waits for it before it sends the end of a known length
			}
		})
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestTalkGoesBothWaysAtOnce(t *testing.T) {
	app := testkit.NewRawBackend(t)
	app.Handle(func(x *testkit.RawExchange) {
		_ = x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			size, err := x.Reader.ReadString('\n')
			if err != nil || size == "0\r\n" {
				break
			}
			data, _ := x.Reader.ReadString('\n')
			_ = x.Send(size + data)
		}
		_ = x.Send("0\r\n\r\n")
		x.Close()
	})
	echo := newProxy(t, h2cApp(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	}))
	for _, to := range []*proxy{newProxy(t, app.Addr()), echo} {
		c := to.dial()
		c.Send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
		head := c.ReadUntil("\r\n\r\n") // before a byte of the body was sent
		for range 3 {
			c.Send("4\r\nping\r\n")
			if got := c.ReadUntil("ping\r\n"); got != "4\r\nping\r\n" {
				t.Errorf("echo %q behind %q", got, head)
			}
		}
		c.Send("0\r\n\r\n")
		if got := c.ReadUntil("0\r\n\r\n"); got != "0\r\n\r\n" {
			t.Errorf("end %q", got)
		}
	}
	body, write := io.Pipe()
	resp, err := echo.client("h2").Do(echo.request("POST", "/", body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := bufio.NewReader(resp.Body)
	for range 3 {
		_, _ = io.WriteString(write, "ping\n")
		if got, err := answer.ReadString('\n'); got != "ping\n" {
			t.Errorf("echo %q %v", got, err)
		}
	}
	_ = write.Close()
	if rest, err := io.ReadAll(answer); len(rest) > 0 || err != nil {
		t.Errorf("at the end %q %v", rest, err)
	}
}

// raw is the body of a gRPC message as it stands, so that no generated code is needed.
type raw []byte

type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*raw), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*raw) = append(raw(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "raw" }

// grpcApp is a gRPC server of any method: it says each message back, until one is "fail".
func grpcApp(t *testing.T) string {
	t.Helper()
	server := grpc.NewServer(grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		md, _ := metadata.FromIncomingContext(s.Context())
		_ = s.SendHeader(metadata.Pairs("x-saw-for", strings.Join(md["x-forwarded-for"], ",")))
		s.SetTrailer(metadata.Pairs("x-trailer", "t"))
		for {
			var m raw
			if err := s.RecvMsg(&m); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			if string(m) == "fail" {
				return status.Error(codes.DataLoss, "as asked")
			}
			if err := s.SendMsg(&m); err != nil {
				return err
			}
		}
	}))
	l := listenTCP(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	return "h2c://" + l.Addr().String()
}

func TestGRPCPasses(t *testing.T) {
	p := newProxy(t, grpcApp(t))
	config := p.ca.ClientConfig("localhost")
	config.MinVersion = tls.VersionTLS13
	conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{})))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()

	var header, trailer metadata.MD
	in, out := raw("one"), raw(nil)
	if err := conn.Invoke(ctx, "/a.B/Unary", &in, &out, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil || string(out) != "one" {
		t.Errorf("unary: %q %v", out, err)
	}
	if header.Get("x-saw-for")[0] != "127.0.0.1" || trailer.Get("x-trailer")[0] != "t" {
		t.Errorf("header %v, trailer %v", header, trailer)
	}

	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/a.B/Bidi")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		in, out := raw(strings.Repeat("x", i*100)), raw(nil)
		if err := stream.SendMsg(&in); err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(&out); err != nil || string(out) != string(in) {
			t.Fatalf("message %d: %d bytes, %v", i, len(out), err)
		}
	}
	fail := raw("fail")
	_ = stream.SendMsg(&fail)
	if err := stream.RecvMsg(&out); status.Code(err) != codes.DataLoss || status.Convert(err).Message() != "as asked" {
		t.Errorf("end: %v", err)
	}

	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	hung, err := conn.NewStream(short, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/a.B/Hung")
	if err == nil {
		err = hung.RecvMsg(&out)
	}
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("a call past its deadline: %v", err)
	}
	p.awaitMetric(0, "tls_proxy_http_requests_in_flight")
}

func TestClientsThatLeaveInTheMiddleOfAnUploadToAnHTTP2AppCostNobodyElse(t *testing.T) {
	t.Parallel()
	p := newProxy(t, h2cApp(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		if r.URL.Path == "/early" {
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	for i := range 40 {
		path := []string{"/early", "/late"}[i%2]
		client := p.client(protocols[i/2%2])
		ctx, leave := context.WithCancel(t.Context())
		body := readerFunc(func(b []byte) (int, error) {
			if i%3 == 0 {
				pace(time.Millisecond)
			}
			clear(b)
			return min(len(b), 4000), nil
		})
		sent := 0
		counted := readerFunc(func(b []byte) (int, error) {
			n, err := body.Read(b)
			if sent += n; sent > 20000*(i%5+1) {
				leave()
			}
			return n, err
		})
		if resp, err := client.Do(p.request("POST", path, counted).WithContext(ctx)); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		leave()
	}
	p.awaitMetric(0, "tls_proxy_http_requests_in_flight")
	if log := p.log.String(); strings.Contains(log, "BUG") || strings.Contains(log, "panic") {
		t.Error(log)
	}
}

// readerFunc is an io.Reader made of a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
