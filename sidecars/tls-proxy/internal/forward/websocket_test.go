// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"bytes"
	"encoding/binary"
	"net"
	"strings"
	"testing"
)

// recorder is a connection that keeps what is written to it.
type recorder struct {
	net.Conn
	bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error)  { return r.Buffer.Read(p) }
func (r *recorder) Write(p []byte) (int, error) { return r.Buffer.Write(p) }

// wsFrame is a frame of a server, unmasked, with the shortest length or a longer one.
func wsFrame(opcode byte, payload string, lengthBytes int) string {
	header := []byte{0x80 | opcode}
	switch {
	case lengthBytes == 8 || len(payload) >= 1<<16:
		header = binary.BigEndian.AppendUint64(append(header, 127), uint64(len(payload)))
	case lengthBytes == 2 || len(payload) >= 126:
		header = binary.BigEndian.AppendUint16(append(header, 126), uint16(len(payload)))
	default:
		header = append(header, byte(len(payload)))
	}
	return string(header) + payload
}

const bye = "\x88\x02\x03\xe9"

func TestAGoodbyeStandsBetweenTwoFramesWhereverItIsAsked(t *testing.T) {
	t.Parallel()
	frames := []string{
		wsFrame(1, "hello", 0), wsFrame(9, "", 0), wsFrame(2, strings.Repeat("x", 300), 0), wsFrame(0, "", 8), wsFrame(2, strings.Repeat("y", 70000), 0), wsFrame(1, "last", 2),
	}
	stream := strings.Join(frames, "")
	var ends []int
	for i, end := 0, 0; i < len(frames); i++ {
		end += len(frames[i])
		ends = append(ends, end)
	}
	for _, piece := range []int{1, 7, 1 << 20} {
		for _, at := range []int{0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 300, 313, 314, 323, 400, 69000, len(stream) - 1, len(stream)} {
			conn := new(recorder)
			f := &frameWriter{Conn: conn}
			write := func(s string) {
				for len(s) > 0 {
					n := min(piece, len(s))
					if got, err := f.Write([]byte(s[:n])); got != n || err != nil {
						t.Fatalf("Write: %d %v", got, err)
					}
					s = s[n:]
				}
			}
			write(stream[:at])
			f.goAway()
			write(stream[at:])
			end := 0
			for _, e := range ends {
				if end < at {
					end = e
				}
			}
			if got, want := conn.String(), stream[:end]+bye; got != want {
				t.Errorf("asked at %d, in pieces of %d: %d bytes were written, want %d", at, piece, len(got), len(want))
			}
		}
	}
}

func TestAPeersOwnGoodbyeIsTheOnlyOne(t *testing.T) {
	farewell := wsFrame(8, "\x03\xe8done", 0)
	for at := range len(farewell) + 1 {
		if at == 0 {
			continue // then ours comes first
		}
		conn := new(recorder)
		f := &frameWriter{Conn: conn}
		_, _ = f.Write([]byte(farewell[:at]))
		f.goAway()
		_, _ = f.Write([]byte(farewell[at:]))
		f.goAway()
		if got := conn.String(); got != farewell {
			t.Errorf("asked at %d: %q was written, want %q", at, got, farewell)
		}
	}
}

func FuzzFrameWriter(f *testing.F) {
	f.Add([]byte(wsFrame(1, "hello", 0)+wsFrame(8, "\x03\xe8", 0)), uint(3), uint(2))
	f.Add([]byte{0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5}, uint(4), uint(1))
	f.Add([]byte{0x81, 0xfe, 0, 1, 1, 2, 3, 4, 5, 0x88, 0x80, 1, 2, 3, 4}, uint(9), uint(100))
	f.Fuzz(func(t *testing.T, stream []byte, at, piece uint) {
		at, piece = min(at, uint(len(stream))), max(piece, 1)
		conn := new(recorder)
		w := &frameWriter{Conn: conn}
		write := func(p []byte) {
			for len(p) > 0 {
				n := min(piece, uint(len(p)))
				if got, err := w.Write(p[:n]); got != int(n) || err != nil {
					t.Fatalf("Write: %d %v", got, err)
				}
				p = p[n:]
			}
		}
		write(stream[:at])
		if got := conn.Bytes(); !bytes.Equal(got, stream[:at]) {
			t.Fatalf("before a goodbye, %x became %x", stream[:at], got)
		}
		w.goAway()
		write(stream[at:])
		got := conn.Bytes()
		same := 0
		for same < min(len(got), len(stream)) && got[same] == stream[same] {
			same++
		}
		if rest := string(got[same:]); same < int(at) || rest != "" && !strings.HasSuffix(string(got), bye) {
			t.Errorf("%x became %x with a goodbye asked at %d", stream, got, at)
		}
		if len(got) > len(stream)+len(bye) {
			t.Errorf("%d bytes became %d", len(stream), len(got))
		}
	})
}
