// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"io"
	"net"
	"testing"
)

func TestADirectionBorrowsALargeBufferOnlyWhileTheStreamIsWorthIt(t *testing.T) {
	b := newBuffer()
	for _, step := range []struct{ read, want int }{
		{1, smallBuffer},
		{smallBuffer - 1, smallBuffer},
		{smallBuffer, largeBuffer},
		{16 << 10, largeBuffer}, // a TLS record
		{largeBuffer, largeBuffer},
		{largeEnough, largeBuffer},
		{largeEnough - 1, smallBuffer},
		{100, smallBuffer},
	} {
		b.fit(step.read)
		if got := len(b.bytes); got != step.want {
			t.Errorf("after a read of %d bytes the buffer has %d, want %d", step.read, got, step.want)
		}
	}
	b.fit(smallBuffer)
	b.release()
	if b.large != nil || len(b.bytes) != smallBuffer {
		t.Error("the large buffer was not given back")
	}
	b.release() // a second time does nothing
}

// BenchmarkMessage is the cost of one small message through the relay, an answer included.
func BenchmarkMessage(b *testing.B) {
	outerA, innerA := net.Pipe()
	outerB, innerB := net.Pipe()
	done := make(chan Result)
	go func() { done <- Both(innerA, innerB, Options{}) }()
	message := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		outerA.Write(message)
		if _, err := io.ReadFull(outerB, message); err != nil {
			b.Fatal(err)
		}
	}
	outerA.Close()
	outerB.Close()
	<-done
}
