// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
)

// httpFlags are those of the http verb.
type httpFlags struct {
	cacert, cert, key string
	insecure, http2   bool
	headers           []string
	body, to          string
	status            int
}

const httpUsage = "http [-cacert FILE] [-cert FILE -key FILE] [-k] [-H 'K: V']... [-d BODY] [-status CODE] [-to ADDR] [-http2] METHOD URL"

func (s *script) http(args []string) {
	var f httpFlags
	set := newFlagSet(httpUsage)
	set.StringVar(&f.cacert, "cacert", "", "")
	set.StringVar(&f.cert, "cert", "", "")
	set.StringVar(&f.key, "key", "", "")
	set.BoolVar(&f.insecure, "k", false, "")
	set.BoolVar(&f.http2, "http2", false, "")
	set.Func("H", "", func(h string) error { f.headers = append(f.headers, h); return nil })
	set.StringVar(&f.body, "d", "", "")
	set.StringVar(&f.to, "to", "", "")
	set.IntVar(&f.status, "status", 0, "")
	args = set.parse(s, args, 2)

	client := s.httpClient(f)
	defer client.CloseIdleConnections()
	var text string
	send := func() error {
		answer, err := s.request(client, f, args[0], args[1], &text)
		if err == nil && f.status != 0 {
			err = wantStatus(f.status, answer)
		}
		return err
	}
	if f.status != 0 && !s.neg {
		Eventually(s, fmt.Sprintf("%s to answer %d", args[1], f.status), send)
		s.print(text)
		return
	}
	err := send()
	switch {
	case err != nil && !s.neg:
		s.Fatalf("%s %s: %v", args[0], args[1], err)
	case err == nil && s.neg:
		s.Fatalf("%s %s was answered, but had to fail:\n%s", args[0], args[1], text)
	case err != nil:
		_, _ = io.WriteString(s.ts.Stderr(), err.Error()+"\n")
	}
	s.print(text)
}

func wantStatus(want int, got Answer) error {
	if got.Status != want {
		return fmt.Errorf("status %d: %s", got.Status, strings.TrimSpace(got.Body))
	}
	return nil
}

// request sends one request and renders its answer for stdout.
func (s *script) request(client *http.Client, f httpFlags, method, url string, text *string) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(f.body))
	s.ts.Check(err)
	for _, h := range f.headers {
		name, value, _ := strings.Cut(h, ":")
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, fmt.Errorf("cannot read the body: %w", err)
	}
	*text = render(resp, string(body))
	return Answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}, nil
}

// render is the answer as the http verb prints it.
func render(resp *http.Response, body string) string {
	var lines []string
	for name, values := range resp.Header {
		for _, value := range values {
			lines = append(lines, name+": "+value)
		}
	}
	slices.Sort(lines)
	lines = slices.Insert(lines, 0, resp.Proto+" "+resp.Status)
	return strings.Join(lines, "\n") + "\n\n" + body + "\n"
}

func (s *script) httpClient(f httpFlags) *http.Client {
	config := &tls.Config{InsecureSkipVerify: f.insecure, MinVersion: tls.VersionTLS12}
	if f.cacert != "" {
		pem, err := os.ReadFile(s.ts.MkAbs(f.cacert))
		s.ts.Check(err)
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			s.Fatalf("%s holds no certificate", f.cacert)
		}
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.ts.MkAbs(f.cert), s.ts.MkAbs(f.key))
		s.ts.Check(err)
		config.Certificates = []tls.Certificate{pair}
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: f.http2, DisableKeepAlives: !f.http2}
	if f.to != "" {
		network, address := splitAddr(f.to)
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (s *script) metric(args []string) {
	s.need(args, 4, "metric URL SELECTOR OP VALUE")
	url, selector, op := args[0], args[1], args[2]
	want, err := strconv.ParseFloat(args[3], 64)
	s.ts.Check(err)
	holds, ok := comparisons()[op]
	if !ok {
		s.Fatalf("%q is not one of == != < <= > >=", op)
	}
	check := func() error {
		got, err := Metric(url, selector)
		if err == nil && !holds(got, want) {
			err = fmt.Errorf("%s is %v", selector, got)
		}
		return err
	}
	if !s.neg {
		Eventually(s, strings.Join(args[1:], " "), check)
	} else if check() == nil {
		s.Fatalf("%s, but must not be", strings.Join(args[1:], " "))
	}
}

func comparisons() map[string]func(a, b float64) bool {
	return map[string]func(a, b float64) bool{
		"==": func(a, b float64) bool { return a == b },
		"!=": func(a, b float64) bool { return a != b },
		"<":  func(a, b float64) bool { return a < b },
		"<=": func(a, b float64) bool { return a <= b },
		">":  func(a, b float64) bool { return a > b },
		">=": func(a, b float64) bool { return a >= b },
	}
}
