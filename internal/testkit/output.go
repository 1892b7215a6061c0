// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
)

// output collects what a process writes, while it writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail is the last n lines, for the log of a failed test.
func (o *output) tail(n int) string {
	lines := strings.SplitAfter(o.String(), "\n")
	if len(lines) <= n {
		return strings.Join(lines, "")
	}
	return fmt.Sprintf("(%d lines before)\n%s", len(lines)-n, strings.Join(lines[len(lines)-n:], ""))
}

// LogLine is one JSON line of a program's log, as log/slog writes them.
type LogLine struct {
	Level, Msg string
	// Attrs are the line's other fields as text; a group's are named "group.attr".
	Attrs map[string]string
	Raw   string
}

// ParseLog returns the lines of text that are JSON objects; others are left out.
func ParseLog(text string) []LogLine {
	var lines []LogLine
	for raw := range strings.Lines(text) {
		raw = strings.TrimRight(raw, "\r\n")
		d := json.NewDecoder(strings.NewReader(raw))
		d.UseNumber() // a large integer stays what it was
		var fields map[string]any
		if !strings.HasPrefix(raw, "{") || d.Decode(&fields) != nil {
			continue
		}
		line := LogLine{Attrs: map[string]string{}, Raw: raw}
		flatten("", fields, line.Attrs)
		line.Level, line.Msg = line.Attrs["level"], line.Attrs["msg"]
		delete(line.Attrs, "level")
		delete(line.Attrs, "msg")
		lines = append(lines, line)
	}
	return lines
}

func flatten(prefix string, fields map[string]any, into map[string]string) {
	for name, value := range fields {
		switch v := value.(type) {
		case map[string]any:
			flatten(prefix+name+".", v, into)
		case []any:
			text, _ := json.Marshal(v)
			into[prefix+name] = string(text)
		default:
			into[prefix+name] = fmt.Sprint(v)
		}
	}
}

// is reports whether the line has the message and all the attributes, which come in
// pairs of name and value.
func (l LogLine) is(msg string, attrs []any) bool {
	if l.Msg != msg {
		return false
	}
	for i := 0; i+1 < len(attrs); i += 2 {
		got, ok := l.Attrs[fmt.Sprint(attrs[i])]
		if !ok || got != fmt.Sprint(attrs[i+1]) {
			return false
		}
	}
	return true
}
