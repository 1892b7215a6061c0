// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// startTimeout bounds how long tls-proxy may take to be ready: a moment, on a machine that is not
// doing much else.
const startTimeout = 30 * time.Second

// pod is the two programs side by side, as they would be in a pod.
type pod struct {
	dir               string // where certificates and logs lie, as the commands name it
	app, https, admin string // ports
	legacy, proxy     *process
}

// startPod writes dir anew, starts both programs on the ports they have by default, or on free ones
// where those are taken, and waits until tls-proxy is ready.
func startPod(ctx context.Context, dir string) (p *pod, err error) {
	p = &pod{dir: dir}
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("cannot clear %s: %w", dir, err)
	}
	if err := writeCertificates(dir); err != nil {
		return nil, err
	}
	for port, usual := range map[*string]string{&p.app: "8080", &p.https: "8443", &p.admin: "9911"} {
		if *port, err = freePort(usual); err != nil {
			return nil, err
		}
	}
	p.legacy, err = start(filepath.Join(dir, "legacy-app.log"), "bin/legacy-app",
		"-addr", "127.0.0.1:"+p.app, "-log-dir", filepath.Join(dir, "logs"), "-pid-file", filepath.Join(dir, "app.pid"))
	if err != nil {
		return nil, err
	}
	p.proxy, err = start(filepath.Join(dir, "tls-proxy.log"), "bin/tls-proxy",
		"--target", "127.0.0.1:"+p.app, "--cert-dir", filepath.Join(dir, "tls"), "--secure-cookies", "--hold", "1s",
		"--listen", "127.0.0.1:"+p.https, "--admin-listen", "127.0.0.1:"+p.admin)
	if err == nil {
		err = p.waitReady(ctx)
	}
	if err != nil {
		p.stop() // what went wrong first is the better sentence
		return nil, err
	}
	return p, nil
}

// waitReady waits until both programs answer.
func (p *pod) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, url := range []string{"http://127.0.0.1:" + p.app + "/status", "http://127.0.0.1:" + p.admin + "/readyz"} {
		for !answersOK(ctx, url) {
			select {
			case <-p.legacy.ended:
				return p.legacy.failure()
			case <-p.proxy.ended:
				return p.proxy.failure()
			case <-ctx.Done():
				return fmt.Errorf("no good answer from %s: %w; see %s", url, context.Cause(ctx), p.proxy.log)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func answersOK(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// stop ends both in a pod's order: the sidecar drains while the app still answers.
func (p *pod) stop() error {
	var err error
	if p.proxy != nil {
		err = p.proxy.stop()
	}
	p.legacy.stop() // it has ended already where the reader stopped it, and it exits 143 where not
	return err
}

// freePort returns the usual port if it is free on loopback, else one that is.
func freePort(usual string) (string, error) {
	for _, port := range []string{usual, "0"} {
		listener, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		defer listener.Close()
		_, port, err = net.SplitHostPort(listener.Addr().String())
		return port, err
	}
	return "", fmt.Errorf("no port is free on 127.0.0.1")
}
