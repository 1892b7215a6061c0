// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// clientFrame is a frame as a client sends it.
func clientFrame(fin bool, opcode byte, payload []byte) []byte {
	b := appendFrame(nil, opcode, payload)
	if !fin {
		b[0] &^= 0x80
	}
	b[1] |= 0x80
	header := len(b) - len(payload)
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	out := append(bytes.Clone(b[:header]), mask[:]...)
	for i, c := range payload {
		out = append(out, c^mask[i%4])
	}
	return out
}

func TestReadFrameUnmasksEveryLengthForm(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 0xFFFF, 0x10000} {
		want := bytes.Repeat([]byte("boat"), n/4+1)[:n]
		got, err := readFrame(bytes.NewReader(clientFrame(true, opBinary, want)), maxMessage)
		if err != nil || !got.fin || got.opcode != opBinary || !bytes.Equal(got.payload, want) {
			t.Errorf("%d bytes: got fin %t, opcode %d, %d bytes, error %v", n, got.fin, got.opcode, len(got.payload), err)
		}
	}
}

func TestReadFrameRefusesWhatRFC6455Forbids(t *testing.T) {
	edit := func(frame []byte, at int, xor byte) []byte { frame[at] ^= xor; return frame }
	f := func(name string, frame []byte, code uint16) {
		t.Helper()
		_, err := readFrame(bytes.NewReader(frame), maxMessage)
		if verdict, ok := errors.AsType[*closed](err); !ok || verdict.code != code {
			t.Errorf("%s: got %v, want close code %d", name, err, code)
		}
	}
	f("reserved bit", edit(clientFrame(true, opText, nil), 0, 0x40), 1002)
	f("unknown data opcode", clientFrame(true, 0x3, nil), 1002)
	f("unknown control opcode", clientFrame(true, 0xB, nil), 1002)
	f("not masked", appendFrame(nil, opText, []byte("x")), 1002)
	f("fragmented ping", clientFrame(false, opPing, nil), 1002)
	f("long ping", clientFrame(true, opPing, make([]byte, 126)), 1002)
	f("16-bit length that fits in 7", []byte{0x82, 0xFE, 0, 125}, 1002)
	f("64-bit length that fits in 16", append([]byte{0x82, 0xFF}, binary.BigEndian.AppendUint64(nil, 0xFFFF)...), 1002)
	f("64-bit length with the top bit", []byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0}, 1002)
	f("too big", append([]byte{0x82, 0xFF}, binary.BigEndian.AppendUint64(nil, maxMessage+1)...), 1009)
}

func TestReadFrameTellsATornFrameFromTheEnd(t *testing.T) {
	whole := clientFrame(true, opText, bytes.Repeat([]byte("x"), 200))
	for n := range whole {
		_, err := readFrame(bytes.NewReader(whole[:n]), maxMessage)
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if !errors.Is(err, want) {
			t.Fatalf("cut after %d bytes: got %v, want %v", n, err, want)
		}
	}
}

func TestCloseFromEchoesOnlyCodesThatMayBeSent(t *testing.T) {
	f := func(payload []byte, want uint16) {
		t.Helper()
		if got := closeFrom(payload).code; got != want {
			t.Errorf("closeFrom(%q) has code %d, want %d", payload, got, want)
		}
	}
	coded := func(code uint16, reason string) []byte {
		return append(binary.BigEndian.AppendUint16(nil, code), reason...)
	}
	f(nil, 0)
	f([]byte{3}, 1002)
	f(coded(1000, "bye"), 1000)
	f(coded(1001, ""), 1001)
	f(coded(1005, ""), 1002)
	f(coded(1006, ""), 1002)
	f(coded(1015, ""), 1002)
	f(coded(2000, ""), 1002)
	f(coded(3000, ""), 3000)
	f(coded(4999, ""), 4999)
	f(coded(5000, ""), 1002)
	f(coded(1000, "\xff"), 1002)
}

func FuzzReadFrameNeverPanicsAndKeepsItsLimit(f *testing.F) {
	f.Add(clientFrame(true, opText, []byte("ahoy")))
	f.Add(clientFrame(false, opBinary, make([]byte, 300)))
	f.Add(clientFrame(true, opClose, []byte{0x03, 0xE8}))
	f.Add([]byte{0x82, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1000
		in := bytes.NewReader(data)
		got, err := readFrame(in, limit)
		if err != nil {
			return
		}
		if len(got.payload) > limit {
			t.Fatalf("%d bytes passed a limit of %d", len(got.payload), limit)
		}
		read := data[:len(data)-in.Len()]
		again, err := readFrame(bytes.NewReader(clientFrame(got.fin, got.opcode, got.payload)), limit)
		if err != nil || !bytes.Equal(again.payload, got.payload) || again.opcode != got.opcode {
			t.Fatalf("%x does not survive a round trip: %v", read, err)
		}
	})
}
