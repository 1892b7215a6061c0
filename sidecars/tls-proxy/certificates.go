// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/outrigger/outrigger/internal/admin"
	"github.com/outrigger/outrigger/internal/app"
	"github.com/outrigger/outrigger/internal/certs"
	"github.com/outrigger/outrigger/internal/lifecycle"
)

// certificates joins the store that follows the files with probes, metrics and the status page.
type certificates struct {
	store   *certs.Store
	unready time.Duration

	notAfter    *prometheus.GaugeVec
	reloads     *prometheus.CounterVec
	lastSuccess prometheus.Gauge
}

func newCertificates(c *Config, env *app.Env) (*certificates, error) {
	cs := &certificates{
		unready: c.CertExpiryUnready,
		notAfter: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tls_proxy_certificate_expiry_timestamp_seconds", Help: "When each certificate that is served expires, by file.",
		}, []string{"file"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tls_proxy_certificate_loads_total", Help: "Loads of changed certificate files, by result; after a failure the last good set stays.",
		}, []string{"result"}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tls_proxy_certificate_last_load_timestamp_seconds", Help: "When certificates were last loaded.",
		}),
	}
	cs.reloads.WithLabelValues("ok")
	cs.reloads.WithLabelValues("error")
	env.Metrics.MustRegister(cs.notAfter, cs.reloads, cs.lastSuccess,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "tls_proxy_certificate_files_valid", Help: "1 where the files hold what is served, 0 where they are wrong and the last good set is served.",
		}, cs.filesGauge))
	cs.store = certs.NewStore(certs.Options{Source: c.source(), Log: env.Log, Poll: c.CertPoll, OnSwap: cs.swapped, OnError: cs.failed})
	if err := cs.store.Load(); err != nil {
		if !c.CertWait {
			return nil, env.Errorf("cert-dir", "%w", err)
		}
		env.Log.Warn("waiting for a certificate", "error", err)
	}
	if c.SelfSigned {
		env.Log.Warn("serving a self-signed certificate, for development only", "spki_pin", "sha256//"+cs.store.Set().Leaves()[0].SPKI)
	}
	env.Life.OnReload("certificates", cs.store.Reload)
	env.Life.Add(lifecycle.Actor{Name: "certificates", Run: cs.store.Run})
	env.Admin.Startup("certificate", cs.loaded)
	env.Admin.Ready("certificate", cs.valid)
	env.Admin.Note("certificate-files", cs.filesValid)
	env.Admin.Note("certificate-expiry", cs.othersValid)
	env.Admin.Table(admin.Table{Title: "Certificates", Head: []string{"File", "Names", "Key", "Expires", "Serial"}, Rows: cs.rows})
	return cs, nil
}

func (cs *certificates) swapped(set *certs.Set) {
	cs.notAfter.Reset()
	for _, leaf := range set.Leaves() {
		cs.notAfter.WithLabelValues(leaf.File).Set(float64(leaf.NotAfter.Unix()))
	}
	cs.reloads.WithLabelValues("ok").Inc()
	cs.lastSuccess.SetToCurrentTime()
}

func (cs *certificates) failed(error) {
	cs.reloads.WithLabelValues("error").Inc()
}

func (cs *certificates) loaded() error {
	if cs.store.Set() == nil {
		return errors.New("no certificate yet")
	}
	return nil
}

// valid is the readiness check: there is a certificate, and the default one does not expire too soon.
func (cs *certificates) valid() error {
	set := cs.store.Set()
	if set == nil {
		if err := cs.store.Err(); err != nil {
			return err
		}
		return errors.New("no certificate yet")
	}
	return set.DefaultExpiring(time.Now(), cs.unready)
}

// othersValid tells about certificates of single names that expire; the rest of the names goes on.
func (cs *certificates) othersValid() error {
	if set := cs.store.Set(); set != nil {
		return set.Expiring(time.Now(), cs.unready)
	}
	return nil
}

// filesValid tells about a failed reload; the last good certificate goes on serving meanwhile.
func (cs *certificates) filesValid() error { return cs.store.Err() }

func (cs *certificates) filesGauge() float64 {
	if cs.store.Err() != nil {
		return 0
	}
	return 1
}

// awaited waits for the first certificate and reports whether there is one.
func (cs *certificates) awaited(ctx context.Context, stopping <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- cs.store.Wait(ctx) }()
	select {
	case err := <-done:
		return err == nil
	case <-stopping:
		cancel()
		<-done
		return false
	}
}

func (cs *certificates) rows() [][]string {
	set := cs.store.Set()
	if set == nil {
		return nil
	}
	var rows [][]string
	for _, leaf := range set.Leaves() {
		rows = append(rows, []string{leaf.File, strings.Join(leaf.Names, ", "), leaf.KeyType, leaf.NotAfter.UTC().Format("2006-01-02 15:04 UTC"), leaf.Serial})
	}
	return rows
}

// tlsConfig follows Mozilla's server side TLS guidelines 5.7. Key exchange is Go's default, X25519MLKEM768 first;
// TLS 1.3 cipher suites are fixed in crypto/tls; renegotiation and early data do not exist on its server side.
func (cs *certificates) tlsConfig(profile string) *tls.Config {
	config := &tls.Config{
		GetCertificate: cs.store.GetCertificate,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
	if profile == "modern" {
		config.MinVersion = tls.VersionTLS13
	}
	return config
}
