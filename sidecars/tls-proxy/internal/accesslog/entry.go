// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// Entry is what is known of a request when it has ended. Empty strings and zero durations are left out of a line.
type Entry struct {
	Time         time.Time // when the request came
	Method       string
	Path         string // without the query, which may hold secrets
	Proto        string // "HTTP/1.1"
	Host         string
	Status       int
	RequestBytes int64 // of the body
	Bytes        int64 // of the response body
	Duration     time.Duration
	Upstream     time.Duration // from sending the request to the application's response head
	TLSVersion   string
	Curve        string
	ALPN         string
	ServerName   string
	Resumed      bool
	Client       string
	RequestID    string
	End          string // how it ended: "ok" or a reason
}

func (e *Entry) appendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, '"')
	b = appendString(b, "method", e.Method)
	b = appendString(b, "path", e.Path)
	b = appendInt(b, "status", int64(e.Status))
	b = appendInt(b, "bytes", e.Bytes)
	b = appendMillis(b, "duration_ms", e.Duration)
	if e.Upstream > 0 {
		b = appendMillis(b, "upstream_ms", e.Upstream)
	}
	b = appendString(b, "end", e.End)
	b = appendString(b, "client", e.Client)
	b = appendString(b, "host", e.Host)
	b = appendString(b, "proto", e.Proto)
	b = appendInt(b, "request_bytes", e.RequestBytes)
	b = appendString(b, "tls_version", e.TLSVersion)
	b = appendString(b, "curve", e.Curve)
	b = appendString(b, "alpn", e.ALPN)
	b = appendString(b, "sni", e.ServerName)
	b = append(b, `,"resumed":`...)
	b = strconv.AppendBool(b, e.Resumed)
	b = appendString(b, "request_id", e.RequestID)
	return append(b, "}\n"...)
}

// appendCommon writes the Common Log Format of the first web servers: host ident user [time] "request" status bytes.
func (e *Entry) appendCommon(b []byte) []byte {
	client := e.Client
	if client == "" {
		client = "-"
	}
	b = append(b, client...)
	b = append(b, " - - ["...)
	b = e.Time.UTC().AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = appendEscaped(b, e.Method)
	b = append(b, ' ')
	b = appendEscaped(b, e.Path)
	b = append(b, ' ')
	b = append(b, e.Proto...)
	b = append(b, `" `...)
	b = strconv.AppendInt(b, int64(e.Status), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, e.Bytes, 10)
	return append(b, '\n')
}

func appendString(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, `,"`...)
	b = append(b, key...)
	b = append(b, `":"`...)
	b = appendEscaped(b, value)
	return append(b, '"')
}

func appendInt(b []byte, key string, n int64) []byte {
	b = append(b, `,"`...)
	b = append(b, key...)
	b = append(b, `":`...)
	return strconv.AppendInt(b, n, 10)
}

// appendMillis writes a duration in milliseconds with three decimals.
func appendMillis(b []byte, key string, d time.Duration) []byte {
	d = max(d, 0)
	b = appendInt(b, key, d.Milliseconds())
	micros := d.Microseconds() % 1000
	return append(b, '.', byte('0'+micros/100), byte('0'+micros/10%10), byte('0'+micros%10))
}

const hexDigits = "0123456789abcdef"

// appendEscaped writes s as the inside of a JSON string (RFC 8259, section 7). Bytes that are no UTF-8 become
// U+FFFD, so that a line always is JSON.
func appendEscaped(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < ' ' || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
		}
	}
	return b
}
