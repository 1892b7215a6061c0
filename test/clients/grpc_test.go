// SPDX-License-Identifier: Apache-2.0

package clients_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/outrigger/outrigger/internal/testkit"
)

// grpcApp is a gRPC server in clear text, as a legacy one on loopback is. What it answers is what it was asked.
type grpcApp struct {
	pb.UnimplementedTestServiceServer
	cancelled chan error // why a call that nobody waited for ended
}

// UnaryCall echoes the payload, the metadata "x-echo" as header and trailer, and the status asked for.
func (a *grpcApp) UnaryCall(ctx context.Context, in *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if err := errors.Join(
		grpc.SetHeader(ctx, metadata.Pairs("x-header", strings.Join(md.Get("x-echo"), ","))),
		grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", strings.Join(md.Get("x-echo"), ","), "x-bin", "\x00\xff"))); err != nil {
		return nil, err
	}
	if s := in.GetResponseStatus(); s != nil {
		return nil, status.Error(codes.Code(s.GetCode()), s.GetMessage())
	}
	return &pb.SimpleResponse{Payload: in.GetPayload()}, nil
}

// StreamingOutputCall sends a message for each size asked for; without any it waits until the client goes.
func (a *grpcApp) StreamingOutputCall(in *pb.StreamingOutputCallRequest, stream pb.TestService_StreamingOutputCallServer) error {
	for _, p := range in.GetResponseParameters() {
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: make([]byte, p.GetSize())}}); err != nil {
			return err
		}
	}
	if len(in.GetResponseParameters()) == 0 {
		if err := stream.SendHeader(metadata.Pairs("x-started", "yes")); err != nil {
			return err
		}
		<-stream.Context().Done()
		a.cancelled <- stream.Context().Err()
	}
	return nil
}

// StreamingInputCall adds up what came.
func (a *grpcApp) StreamingInputCall(stream pb.TestService_StreamingInputCallServer) error {
	var sum int32
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: sum})
		}
		if err != nil {
			return err
		}
		sum += int32(len(in.GetPayload().GetBody()))
	}
}

// FullDuplexCall answers each message at once.
func (a *grpcApp) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: in.GetPayload()}); err != nil {
			return err
		}
	}
}

// startGRPC starts the server on network "tcp" or "unix" and a client that comes to it through a tls-proxy.
func startGRPC(t *testing.T, network string) (*grpcApp, *proxy, *grpc.ClientConn) {
	t.Helper()
	address, target := "127.0.0.1:0", "h2c://"
	if network == "unix" {
		address, target = testkit.SocketPath(t), "h2c+unix:"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	app, server := &grpcApp{cancelled: make(chan error, 1)}, grpc.NewServer()
	pb.RegisterTestServiceServer(server, app)
	healthpb.RegisterHealthServer(server, health.NewServer())
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("the gRPC server ended: %v", err)
		}
	})
	p := startProxy(t, target+l.Addr().String())
	conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(credentials.NewTLS(p.ca.ClientConfig("localhost"))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return app, p, conn
}

// TestGRPCPassesWhole: every shape of call, with what the shapes are made of: trailers, statuses, deadlines.
func TestGRPCPassesWhole(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			app, p, conn := startGRPC(t, network)
			client := pb.NewTestServiceClient(conn)
			t.Run("unary with header and trailer", func(t *testing.T) { testUnary(t, client) })
			t.Run("statuses and their messages", func(t *testing.T) { testStatuses(t, client) })
			t.Run("server streaming", func(t *testing.T) { testServerStream(t, client) })
			t.Run("client streaming", func(t *testing.T) { testClientStream(t, client) })
			t.Run("both ways, message by message", func(t *testing.T) { testDuplex(t, client) })
			t.Run("a deadline", func(t *testing.T) { testDeadline(t, app, client) })
			t.Run("a client that leaves", func(t *testing.T) { testCancel(t, app, client) })
			t.Run("the health service", func(t *testing.T) {
				got, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{})
				if err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
					t.Errorf("got %v, %v", got.GetStatus(), err)
				}
			})
			if v := p.Metric(`tls_proxy_http_requests_total{method="POST",code="200"}`); v < 10 {
				t.Errorf("%v calls came through the proxy", v)
			}
		})
	}
}

func testUnary(t *testing.T, client pb.TestServiceClient) {
	var header, trailer metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-echo", "hello")
	for _, size := range []int{0, 1, 64 << 10, 3 << 20} {
		body := strings.Repeat("x", size)
		got, err := client.UnaryCall(ctx, &pb.SimpleRequest{Payload: &pb.Payload{Body: []byte(body)}}, grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil || string(got.GetPayload().GetBody()) != body {
			t.Fatalf("%d bytes: %d came back, %v", size, len(got.GetPayload().GetBody()), err)
		}
		if fmt.Sprint(header.Get("x-header"), trailer.Get("x-trailer")) != "[hello] [hello]" || trailer.Get("x-bin")[0] != "\x00\xff" {
			t.Errorf("header %v, trailer %v", header, trailer)
		}
	}
}

func testStatuses(t *testing.T, client pb.TestServiceClient) {
	const message = "no such boat: \"Heron\" \u26f5 100%\n"
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		_, err := client.UnaryCall(t.Context(), &pb.SimpleRequest{ResponseStatus: &pb.EchoStatus{Code: int32(code), Message: message}})
		if s := status.Convert(err); s.Code() != code || s.Message() != message {
			t.Errorf("%v came out as %v %q", code, s.Code(), s.Message())
		}
	}
	if _, err := client.UnimplementedCall(t.Context(), &pb.Empty{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("an unknown method gives %v", err)
	}
}

func testServerStream(t *testing.T, client pb.TestServiceClient) {
	in := &pb.StreamingOutputCallRequest{}
	sizes := []int32{1, 100_000, 0, 7, 1_000_000}
	for _, size := range sizes {
		in.ResponseParameters = append(in.ResponseParameters, &pb.ResponseParameters{Size: size})
	}
	stream, err := client.StreamingOutputCall(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range sizes {
		if got, err := stream.Recv(); err != nil || len(got.GetPayload().GetBody()) != int(size) {
			t.Fatalf("got %d bytes, want %d: %v", len(got.GetPayload().GetBody()), size, err)
		}
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v", err)
	}
}

func testClientStream(t *testing.T, client pb.TestServiceClient) {
	stream, err := client.StreamingInputCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for size := 1; size <= 1<<19; size *= 4 {
		want += size
		if err := stream.Send(&pb.StreamingInputCallRequest{Payload: &pb.Payload{Body: make([]byte, size)}}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := stream.CloseAndRecv(); err != nil || int(got.GetAggregatedPayloadSize()) != want {
		t.Errorf("the application had %d bytes, want %d: %v", got.GetAggregatedPayloadSize(), want, err)
	}
}

// testDuplex waits for each answer before it sends the next message: a byte that is held back anywhere stops it.
func testDuplex(t *testing.T, client pb.TestServiceClient) {
	stream, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		body := fmt.Sprint("message ", i)
		if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: &pb.Payload{Body: []byte(body)}}); err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || string(got.GetPayload().GetBody()) != body {
			t.Fatalf("got %q, want %q: %v", got.GetPayload().GetBody(), body, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ends with %v", err)
	}
}

func testDeadline(t *testing.T, app *grpcApp, client pb.TestServiceClient) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	stream, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	waitStarted(t, stream)
	_, err = stream.Recv()
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	app.waitCancelled(t)
}

func testCancel(t *testing.T, app *grpcApp, client pb.TestServiceClient) {
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
	if err != nil {
		t.Fatal(err)
	}
	waitStarted(t, stream)
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	app.waitCancelled(t)
}

// waitStarted waits until the application is at work on the call, which its header tells while no message has come.
func waitStarted(t *testing.T, stream pb.TestService_StreamingOutputCallClient) {
	t.Helper()
	if header, err := stream.Header(); err != nil || len(header.Get("x-started")) == 0 {
		t.Fatalf("header %v, %v", header, err)
	}
}

// waitCancelled waits until the application learnt that its client has gone.
func (a *grpcApp) waitCancelled(t *testing.T) {
	t.Helper()
	select {
	case <-a.cancelled:
	case <-time.After(testkit.Patience):
		t.Error("the application works on for a client that has gone")
	}
}

// TestGRPCWithoutItsApplicationIsUnavailable is the status on which clients try again (503 becomes it).
func TestGRPCWithoutItsApplicationIsUnavailable(t *testing.T) {
	t.Parallel()
	p := startProxy(t, "h2c://"+testkit.FreeAddr(t), "--hold=0s")
	conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(credentials.NewTLS(p.ca.ClientConfig("localhost"))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := pb.NewTestServiceClient(conn).EmptyCall(t.Context(), &pb.Empty{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}
