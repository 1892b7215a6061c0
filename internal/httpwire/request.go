// SPDX-License-Identifier: Apache-2.0

package httpwire

// AppendRequestLine appends the request line of an HTTP/1.1 request. The caller has made sure that method is a
// token and that target holds no space and no control character (see ValidTarget).
func AppendRequestLine(b []byte, method, target string) []byte {
	b = append(b, method...)
	b = append(b, ' ')
	b = append(b, target...)
	return append(b, " HTTP/1.1\r\n"...)
}

// AppendField appends one field line. The caller vouches that neither part holds CR or LF.
func AppendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// ValidTarget reports whether a request target can stand in a request line: no space, no control character, not
// empty. Bytes of 0x80 and above pass, since applications receive them from browsers (RFC 9112, section 3.2,
// would have them percent-encoded).
func ValidTarget(target string) bool {
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return target != ""
}

// ValidMethod reports whether method is a token (RFC 9110, section 9.1).
func ValidMethod(method string) bool { return isToken(method) }

// isToken reports whether s is a token (RFC 9110, section 5.6.2), as methods and field names are.
func isToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}
