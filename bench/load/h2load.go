// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// h2loadOutput is what h2load prints at its end.
type h2loadOutput struct {
	connection
	rate      float64 // requests a second
	succeeded int     // requests
	ok        int     // with a status 2xx
	data      int64   // body bytes
}

// connection is what h2load says about its first TLS connection; empty without TLS.
type connection struct{ version, cipher, key, protocol string }

// parseH2load reads the summary that h2load 1.52 prints:
//
//	finished in 1.20s, 25000.00 req/s, 30.10MB/s
//	requests: 30000 total, 30000 started, 30000 done, 30000 succeeded, 0 failed, 0 errored, 0 timeout
//	status codes: 30000 2xx, 0 3xx, 0 4xx, 0 5xx
//	traffic: 36.28MB (38040000) total, 5.01MB (5250000) headers (space savings 0.00%), 29.30MB (30720000) data
func parseH2load(output string) (h2loadOutput, error) {
	var out h2loadOutput
	var err error
	seen := 0
	for line := range strings.Lines(output) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case strings.HasPrefix(name, "finished in "):
			_, rate, _ := strings.Cut(name, ", ")
			rate, _, _ = strings.Cut(rate, " ")
			out.rate, err = strconv.ParseFloat(rate, 64)
			seen++
		case name == "requests":
			out.succeeded, err = item(value, "succeeded")
			seen++
		case name == "status codes":
			out.ok, err = item(value, "2xx")
			seen++
		case name == "traffic":
			out.data, err = trafficData(value)
			seen++
		case name == "TLS Protocol":
			out.version = value
		case name == "Cipher":
			out.cipher = value
		case name == "Server Temp Key":
			out.key, _, _ = strings.Cut(value, " ")
		case name == "Application protocol":
			out.protocol = value
		}
		if err != nil {
			return out, fmt.Errorf("cannot read the line %q of h2load: %w", strings.TrimSpace(line), err)
		}
	}
	if seen != 4 {
		return out, fmt.Errorf("h2load printed no summary: %s", output)
	}
	return out, nil
}

// item finds the number before a word: 12 in "15 total, 12 succeeded".
func item(list, word string) (int, error) {
	for part := range strings.SplitSeq(list, ", ") {
		if number, found := strings.CutSuffix(part, " "+word); found {
			return strconv.Atoi(number)
		}
	}
	return 0, fmt.Errorf("no number of %s", word)
}

// trafficData takes the bytes of "29.30MB (30720000) data".
func trafficData(list string) (int64, error) {
	for part := range strings.SplitSeq(list, ", ") {
		if size, found := strings.CutSuffix(part, ") data"); found {
			_, number, _ := strings.Cut(size, "(")
			return strconv.ParseInt(number, 10, 64)
		}
	}
	return 0, fmt.Errorf("no bytes of data")
}

// parseTimes reads h2load's --log-file: start in microseconds, status, duration in microseconds,
// separated by tabs. Every status must be 200.
func parseTimes(log io.Reader) ([]time.Duration, error) {
	var times []time.Duration
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) < 3 || fields[1] != "200" {
			return nil, fmt.Errorf("h2load logged %q", lines.Text())
		}
		micros, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("h2load logged %q: %w", lines.Text(), err)
		}
		times = append(times, time.Duration(micros)*time.Microsecond)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the times that h2load took: %w", err)
	}
	return times, nil
}
