// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

// setOf loads certificates in this order; the file of the first is "0", of the second "1" and so on.
func setOf(t testing.TB, leaves ...testkit.Leaf) *Set {
	t.Helper()
	dir := t.TempDir()
	var src Source
	for i, l := range leaves {
		cert, key := l.Write(dir, fmt.Sprint(i))
		src.Pairs = append(src.Pairs, Pair{cert, key})
	}
	set, err := Load(src)
	must(t, err)
	return set
}

// picked is the place of the certificate that a client gets.
func picked(t testing.TB, set *Set, hello *tls.ClientHelloInfo) int {
	t.Helper()
	cert, err := set.Certificate(hello)
	must(t, err)
	return slices.IndexFunc(set.leaves, func(l Leaf) bool { return l.Serial == cert.Leaf.SerialNumber.Text(16) })
}

// modern is what a present-day client offers.
func modern(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName:        name,
		SupportedVersions: []uint16{tls.VersionTLS13, tls.VersionTLS12},
		CipherSuites:      []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
		SupportedCurves:   []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256},
		SupportedPoints:   []uint8{0},
		SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256, tls.PKCS1WithSHA256},
	}
}

func TestServerNamePicksExactThenWildcardThenDefault(t *testing.T) {
	ca := testkit.NewCA(t)
	set := setOf(t,
		ca.Issue("default.test"),
		ca.Issue("*.wild.test"),
		ca.Issue("exact.wild.test", "Upper.Test"),
		ca.Issue("192.0.2.1", "2001:db8::1", "*.0.2.1", "*.test."),
		ca.IssueWith(testkit.Request{CommonName: "named.by.cn"}),
	)
	cases := map[string]int{
		"":                              0,
		"default.test":                  0,
		"unknown.example":               0,
		"a.wild.test":                   1,
		"A.WILD.TEST":                   1,
		"exact.wild.test":               2,
		"EXACT.wild.Test":               2,
		"upper.test":                    2,
		"a.b.wild.test":                 0, // a wildcard is one label
		"wild.test":                     3,
		".wild.test":                    0,
		"*.wild.test":                   1,
		"192.0.2.1":                     0,
		"2001:db8::1":                   0,
		"test":                          0,
		"named.by.cn":                   4,
		strings.Repeat("a", 300):        0,
		strings.Repeat("a.", 100) + "b": 0,
	}
	for name, want := range cases {
		if got := picked(t, set, modern(name)); got != want {
			t.Errorf("%q gets certificate %d, want %d", name, got, want)
		}
	}
}

func TestClientGetsTheCheapestKeyItCanUse(t *testing.T) {
	ca := testkit.NewCA(t)
	issue := func(kind testkit.KeyType) testkit.Leaf {
		return ca.IssueWith(testkit.Request{Names: []string{"a.test"}, Key: kind})
	}
	set := setOf(t, issue(testkit.RSA2048), issue(testkit.ECDSAP384), issue(testkit.ECDSAP256), issue(testkit.Ed25519))
	const rsaPlace, p384, p256, ed25519 = 0, 1, 2, 3
	cases := map[string]struct {
		change func(*tls.ClientHelloInfo)
		want   int
	}{
		"everything":        {func(*tls.ClientHelloInfo) {}, p256},
		"TLS 1.3, RSA only": {func(h *tls.ClientHelloInfo) { h.SignatureSchemes = h.SignatureSchemes[1:] }, rsaPlace},
		"TLS 1.3, P-384": {func(h *tls.ClientHelloInfo) {
			h.SignatureSchemes = []tls.SignatureScheme{tls.ECDSAWithP384AndSHA384, tls.PSSWithSHA256}
		}, p384},
		"TLS 1.3, Ed25519": {func(h *tls.ClientHelloInfo) {
			h.SignatureSchemes = []tls.SignatureScheme{tls.Ed25519, tls.PSSWithSHA256}
		}, ed25519},
		"TLS 1.2": {func(h *tls.ClientHelloInfo) { h.SupportedVersions = h.SupportedVersions[1:] }, p256},
		"TLS 1.2, RSA suite": {func(h *tls.ClientHelloInfo) {
			h.SupportedVersions, h.CipherSuites = h.SupportedVersions[1:], h.CipherSuites[2:]
		}, rsaPlace},
		"TLS 1.2, X25519": {func(h *tls.ClientHelloInfo) {
			h.SupportedVersions, h.SupportedCurves = h.SupportedVersions[1:], h.SupportedCurves[1:2]
		}, rsaPlace},
		"nothing at all": {func(h *tls.ClientHelloInfo) { *h = tls.ClientHelloInfo{} }, rsaPlace},
	}
	for name, c := range cases {
		for _, server := range []string{"a.test", ""} { // by name, and as the default, whose first file is the RSA one
			hello := modern(server)
			c.change(hello)
			if got := picked(t, set, hello); got != c.want {
				t.Errorf("%s as %q gets certificate %d, want %d", name, server, got, c.want)
			}
		}
	}
}

// The rules of crypto/tls decide the handshake; ours decide the certificate. They have to agree for every client.
func TestChoiceAgreesWithCryptoTLSForEveryClient(t *testing.T) {
	ca := testkit.NewCA(t)
	versions := [][]uint16{{tls.VersionTLS13, tls.VersionTLS12}, {tls.VersionTLS13}, {tls.VersionTLS12}}
	suites := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	curves := []tls.CurveID{tls.CurveP256, tls.CurveP384}
	schemes := []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.Ed25519, tls.PSSWithSHA256}
	for _, key := range []testkit.KeyType{testkit.ECDSAP256, testkit.ECDSAP384, testkit.Ed25519} {
		e := setOf(t, ca.IssueWith(testkit.Request{Names: []string{"a.test"}, Key: key})).fallback[0]
		for _, v := range versions {
			for mask := 1; mask < 1<<9; mask++ {
				hello := &tls.ClientHelloInfo{
					SupportedVersions: v, SupportedPoints: []uint8{0},
					CipherSuites:     subset(suites, mask),
					SupportedCurves:  append(subset(curves, mask>>3), tls.X25519),
					SignatureSchemes: subset(schemes, mask>>5),
				}
				if len(hello.SignatureSchemes) == 0 {
					continue // too old for TLS 1.2 as of RFC 9155
				}
				if want, got := hello.SupportsCertificate(e.cert), e.kind.offeredBy(hello); got != (want == nil) {
					t.Fatalf("%s for %+v: we say %v, crypto/tls %v", key, hello, got, want)
				}
			}
		}
	}
}

func subset[T any](all []T, mask int) []T {
	var some []T
	for i, v := range all {
		if mask>>i&1 == 1 {
			some = append(some, v)
		}
	}
	return some
}

func TestHandshakesGetTheCertificateOfTheirNameAndVersion(t *testing.T) {
	ca := testkit.NewCA(t)
	set := setOf(t, ca.Issue("default.test"),
		ca.IssueWith(testkit.Request{Names: []string{"*.both.test"}, Key: testkit.RSA2048}), ca.Intermediate().Issue("*.both.test"))
	config := &tls.Config{GetCertificate: set.Certificate}
	rsaOnly := ca.ClientConfig("a.both.test")
	rsaOnly.MaxVersion, rsaOnly.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for want, client := range map[string]*tls.Config{
		"0": ca.ClientConfig("default.test"), "1": rsaOnly, "2": ca.ClientConfig("A.Both.test"),
	} {
		got := handshake(t, config, client)
		if place := slices.IndexFunc(set.leaves, func(l Leaf) bool { return l.Serial == got.SerialNumber.Text(16) }); fmt.Sprint(place) != want {
			t.Errorf("%s gets certificate %d, want %s", client.ServerName, place, want)
		}
	}
}

// handshake returns the certificate that a client accepts over a pipe.
func handshake(t *testing.T, server, client *tls.Config) *x509.Certificate {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		done <- tls.Server(far, server).HandshakeContext(t.Context())
	}()
	conn := tls.Client(near, client)
	must(t, conn.HandshakeContext(t.Context()))
	must(t, <-done)
	return conn.ConnectionState().PeerCertificates[0]
}

func TestLongestValidOfTwoForOneNameIsServed(t *testing.T) {
	ca := testkit.NewCA(t)
	long := ca.IssueWith(testkit.Request{Names: []string{"a.test"}, NotAfter: time.Now().Add(1000 * time.Hour)})
	set := setOf(t, ca.Issue("a.test", "first.test"), long)
	if got := picked(t, set, modern("a.test")); got != 1 {
		t.Errorf("a.test gets certificate %d", got)
	}
	if got := picked(t, set, modern("")); got != 0 {
		t.Errorf("the default is certificate %d, not the first", got)
	}
}

func TestSetDescribesItsCertificates(t *testing.T) {
	ca := testkit.NewCA(t)
	first, second := ca.Issue("a.test", "192.0.2.1"), ca.IssueExpired("*.b.test")
	set := setOf(t, first, second, first)
	leaves := set.Leaves()
	if len(leaves) != 2 {
		t.Fatalf("%d leaves, want the repeated one once", len(leaves))
	}
	got := leaves[0]
	sum := sha256.Sum256(first.Cert.RawSubjectPublicKeyInfo)
	want := Leaf{
		File: got.File, Names: []string{"a.test", "192.0.2.1"}, KeyType: "ECDSA P-256", NotBefore: first.Cert.NotBefore, NotAfter: first.Cert.NotAfter,
		Serial: first.Cert.SerialNumber.Text(16), SPKI: base64.StdEncoding.EncodeToString(sum[:]), Default: true,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || filepath.Base(got.File) != "0.crt" {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if leaves[1].Default || !set.NotAfter().Equal(second.Cert.NotAfter) {
		t.Errorf("second is default: %v; the set ends at %s", leaves[1].Default, set.NotAfter())
	}
	leaves[0].File = "changed"
	if set.Leaves()[0].File == "changed" {
		t.Error("a set can be changed through its leaves")
	}
}

func TestExpiringNamesEveryCertificateThatIsLate(t *testing.T) {
	ca := testkit.NewCA(t)
	set := setOf(t, ca.Issue("a.test"), ca.IssueExpired("b.test"))
	now := time.Now()
	if err := set.Expiring(now.Add(-10*time.Hour), 0); err != nil {
		t.Errorf("before the end of either: %v", err)
	}
	if err := set.Expiring(now, 0); err == nil || !strings.Contains(err.Error(), "1.crt (b.test) expired at ") || strings.Contains(err.Error(), "a.test") {
		t.Errorf("now: %v", err)
	}
	if err := set.DefaultExpiring(now, 0); err != nil {
		t.Errorf("the default is well, DefaultExpiring says %v", err)
	}
	if err := set.DefaultExpiring(now, 48*time.Hour); err == nil || strings.Contains(err.Error(), "b.test") {
		t.Errorf("the default expires within two days, DefaultExpiring says %v", err)
	}
	if err := set.Expiring(now, 48*time.Hour); err == nil || !strings.Contains(err.Error(), "0.crt (a.test) expires at ") || !strings.Contains(err.Error(), "; certificate ") {
		t.Errorf("within two days: %v", err)
	}
}

func TestFingerprintIsThatOfWhatIsServed(t *testing.T) {
	ca := testkit.NewCA(t)
	a, b := ca.Issue("a.test"), ca.Issue("b.test")
	same := setOf(t, a, b).Fingerprint()
	if other := setOf(t, a, b).Fingerprint(); other != same {
		t.Error("two loads of the same files differ")
	}
	for name, set := range map[string]*Set{"another default": setOf(t, b, a), "one less": setOf(t, a), "another chain": setOf(t, ca.IssueWith(testkit.Request{Names: []string{"a.test"}, Signer: a.Key}), b)} {
		if set.Fingerprint() == same {
			t.Errorf("%s has the same fingerprint", name)
		}
	}
}

func TestWeakRSAKeyIsRefused(t *testing.T) {
	if _, err := kindOf(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 511), E: 65537}); err == nil || !strings.Contains(err.Error(), "512 bits") {
		t.Errorf("the error is %v", err)
	}
	if _, err := kindOf(errors.New("no key")); err == nil {
		t.Error("anything passes as a key")
	}
}

func TestSelectionDoesNotAllocate(t *testing.T) {
	set, hellos := selection(t)
	for name, hello := range hellos {
		if n := testing.AllocsPerRun(100, func() { _, _ = set.Certificate(hello) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// selection is a set of many certificates and clients that reach each kind of answer.
func selection(t testing.TB) (*Set, map[string]*tls.ClientHelloInfo) {
	ca := testkit.NewCA(t)
	leaves := []testkit.Leaf{ca.Issue("default.test"), ca.Issue("*.wild.test"), ca.IssueWith(testkit.Request{Names: []string{"both.test"}, Key: testkit.RSA2048}), ca.Issue("both.test")}
	for i := range 200 {
		leaves = append(leaves, ca.Issue(fmt.Sprintf("host%d.test", i)))
	}
	hellos := map[string]*tls.ClientHelloInfo{}
	for name, server := range map[string]string{"exact": "host77.test", "upper-case": "HOST77.Test", "wildcard": "any.wild.test", "default": "", "unknown": "nobody.example"} {
		hellos[name] = modern(server)
	}
	hellos["ecdsa-of-both"] = modern("both.test")
	hellos["rsa-of-both"] = modern("both.test")
	hellos["rsa-of-both"].SignatureSchemes = hellos["rsa-of-both"].SignatureSchemes[1:]
	return setOf(t, leaves...), hellos
}

func BenchmarkCertificate(b *testing.B) {
	set, hellos := selection(b)
	for name, hello := range hellos {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = set.Certificate(hello)
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	v := testkit.NewVolume(b, testkit.NewCA(b).Intermediate().Issue("a.test").Files("tls"))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(Source{Dir: v.Path()}); err != nil {
			b.Fatal(err)
		}
	}
}
