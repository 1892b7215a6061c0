// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
	"github.com/outrigger/outrigger/internal/testkit/apptest"
)

func program(t testing.TB) apptest.Program {
	return apptest.Program{
		Spec:   spec,
		Args:   []string{"--target=127.0.0.1:1", "--self-signed", "--listen=127.0.0.1:0", "--hold=0s"},
		Binary: testkit.Binary(t, "tls-proxy"),
		Use:    use,
	}
}

// TestConformance is what tls-proxy has in common with every program.
func TestConformance(t *testing.T) { apptest.Run(t, program(t)) }

// use causes the first event of every metric whose labels are not known at the start.
func use(t *testing.T, p apptest.Running) {
	config := &tls.Config{InsecureSkipVerify: true}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+p.WaitAddr("https")+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := testkit.Do(client, req); err != nil || answer.Status != http.StatusServiceUnavailable {
		t.Errorf("status %d, %v; want 503, as nobody listens at the target", answer.Status, err)
	}
	h2 := testkit.DialRawTLS(t, p.WaitAddr("https"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	const dataOnStream0 = "\x00\x00\x01\x00\x00\x00\x00\x00\x00x"
	h2.Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + dataOnStream0)
	_, _ = h2.ReadAll() // the end of the connection, however it comes: the error has been counted then
}

// TestReadme keeps the tables of flags and metrics fresh; -update writes them.
func TestReadme(t *testing.T) { apptest.Readme(t, program(t), "README.md") }
