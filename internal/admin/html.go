// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"html"
	"math"
	"strconv"
	"strings"
)

// markup writes HTML. The template packages of the standard library would do so too, but they call methods by name, which
// makes the linker keep every method of the program: megabytes for one page.
type markup struct{ b strings.Builder }

// raw writes what the program itself spells out.
func (m *markup) raw(s string) { m.b.WriteString(s) }

// text writes what comes from anywhere else, in a place for text or for an attribute's value in double quotes.
func (m *markup) text(s string) { m.b.WriteString(escape(s)) }

// line writes raw and text in turn, beginning with raw: line("<p>", name, "</p>").
func (m *markup) line(parts ...string) {
	for i, part := range parts {
		if i%2 == 0 {
			m.raw(part)
		} else {
			m.text(part)
		}
	}
}

func escape(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.ReplaceAll(s, "\x00", "\uFFFD") // HTML knows no zero byte
	return html.EscapeString(s)
}

// The size of a chart in its own units; page.js draws with the same.
const (
	chartWidth  = 300.0
	chartHeight = 56.0
)

// chart is a line of the samples as two SVG paths, the line and the area below it. The newest sample is at the right edge; the
// scale goes from 0, or from the lowest sample below it, to a little above the highest.
func chart(samples []number) (line, area string) {
	low, high := 0.0, 0.0
	for _, v := range samples {
		if !math.IsNaN(float64(v)) {
			low, high = min(low, float64(v)), max(high, float64(v))
		}
	}
	span := (high - low) * 1.1
	if span == 0 {
		span = 1
	}
	var l, a strings.Builder
	first := 0.0
	open := false
	closeArea := func(x float64) {
		if open {
			a.WriteString("L" + coordinate(x) + "," + coordinate(chartHeight) + "L" + coordinate(first) + "," + coordinate(chartHeight) + "Z")
		}
		open = false
	}
	x := 0.0
	for i, v := range samples {
		at := chartWidth - float64(len(samples)-1-i)*chartWidth/(sampleCount-1)
		if math.IsNaN(float64(v)) {
			closeArea(x)
			continue
		}
		x = at
		point := coordinate(x) + "," + coordinate(chartHeight-1-(float64(v)-low)/span*(chartHeight-2))
		if open {
			l.WriteString("L" + point)
			a.WriteString("L" + point)
			continue
		}
		l.WriteString("M" + point)
		a.WriteString("M" + point)
		first, open = x, true
	}
	closeArea(x)
	return l.String(), a.String()
}

func coordinate(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }
