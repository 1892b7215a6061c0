// SPDX-License-Identifier: Apache-2.0

package address

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// unixPathMax is the longest path that fits into sockaddr_un with its closing zero (unix(7)).
const unixPathMax = 107

// cutUnix returns the path of "unix:PATH" and "unix:///PATH", and whether text is of that form.
func cutUnix(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, "unix:")
	if abs, found := strings.CutPrefix(rest, "//"); ok && found && strings.HasPrefix(abs, "/") {
		rest = abs
	}
	return rest, ok
}

// parseUnix checks the path of a unix socket and returns its one form. "@name" is in Linux' abstract namespace, which is
// the pod's and knows no file permissions.
func parseUnix(text string) (string, error) {
	switch {
	case text == "" || text == "@":
		return "", errors.New("the path is missing; use unix:PATH")
	case strings.HasPrefix(text, "//"):
		return "", errors.New("a unix socket has no host; use unix:/PATH")
	case strings.HasSuffix(text, "/"):
		return "", errors.New("the path is a directory; use unix:PATH with the socket's name")
	}
	if !strings.HasPrefix(text, "@") {
		if text = path.Clean(text); strings.HasPrefix(text, "@") {
			text = "./" + text // still a file
		}
	}
	if len(text) > unixPathMax {
		return "", fmt.Errorf("the path has %d bytes and a unix socket's at most %d; use a shorter one", len(text), unixPathMax)
	}
	return text, nil
}
