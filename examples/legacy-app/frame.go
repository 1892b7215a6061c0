// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"
)

// Opcodes of RFC 6455, section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// frame is one frame as a client sends it, unmasked.
type frame struct {
	fin     bool
	opcode  byte
	payload []byte
}

// readFrame reads a client's frame (RFC 6455, section 5.2) whose payload is at most limit bytes
// unless it is a control frame. What breaks the protocol comes back as *closed.
func readFrame(in io.Reader, limit int) (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{fin: head[0]&0x80 != 0, opcode: head[0] & 0x0F}
	control := f.opcode >= opClose
	size := uint64(head[1] & 0x7F)
	switch {
	case head[0]&0x70 != 0:
		return frame{}, &closed{1002, "reserved bits set"}
	case f.opcode > opBinary && f.opcode < opClose, f.opcode > opPong:
		return frame{}, &closed{1002, "unknown opcode"}
	case head[1]&0x80 == 0:
		return frame{}, &closed{1002, "frame not masked"}
	case control && (!f.fin || size > 125):
		return frame{}, &closed{1002, "control frame fragmented or too long"}
	}
	size, err := extendedSize(in, size)
	if err != nil {
		return frame{}, err
	}
	if !control && size > uint64(max(limit, 0)) {
		return frame{}, &closed{1009, "message too big"}
	}
	var mask [4]byte
	if _, err := io.ReadFull(in, mask[:]); err != nil {
		return frame{}, noEOF(err)
	}
	f.payload = make([]byte, size)
	if _, err := io.ReadFull(in, f.payload); err != nil {
		return frame{}, noEOF(err)
	}
	for i := range f.payload {
		f.payload[i] ^= mask[i%4]
	}
	return f, nil
}

// extendedSize reads the longer forms of a payload's length; the shortest form is the only valid one.
func extendedSize(in io.Reader, short uint64) (size uint64, err error) {
	var b [8]byte
	switch short {
	case 126:
		if _, err := io.ReadFull(in, b[:2]); err != nil {
			return 0, noEOF(err)
		}
		if size = uint64(binary.BigEndian.Uint16(b[:2])); size < 126 {
			return 0, &closed{1002, "length not minimal"}
		}
	case 127:
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return 0, noEOF(err)
		}
		if size = binary.BigEndian.Uint64(b[:]); size <= 0xFFFF || size>>63 != 0 {
			return 0, &closed{1002, "length not minimal"}
		}
	default:
		size = short
	}
	return size, nil
}

// noEOF makes an end inside a frame tell itself from an end between two.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendFrame appends a server's frame: whole, unmasked.
func appendFrame(to []byte, opcode byte, payload []byte) []byte {
	to = append(to, 0x80|opcode)
	switch n := len(payload); {
	case n <= 125:
		to = append(to, byte(n))
	case n <= 0xFFFF:
		to = binary.BigEndian.AppendUint16(append(to, 126), uint16(n))
	default:
		to = binary.BigEndian.AppendUint64(append(to, 127), uint64(n))
	}
	return append(to, payload...)
}

// closeFrom is the answer to a client's close frame: its own code back, or 1002 for one that RFC 6455,
// section 7.4, does not let go over the wire.
func closeFrom(payload []byte) *closed {
	if len(payload) == 0 {
		return &closed{}
	}
	if len(payload) == 1 || !utf8.Valid(payload[2:]) {
		return &closed{1002, "malformed close frame"}
	}
	code := binary.BigEndian.Uint16(payload)
	switch {
	case code >= 1000 && code <= 1003, code >= 1007 && code <= 1014, code >= 3000 && code <= 4999:
		return &closed{code: code}
	}
	return &closed{1002, "close code out of range"}
}
