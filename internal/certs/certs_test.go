// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outrigger/outrigger/internal/testkit"
)

func TestMain(m *testing.M) { testkit.VerifyMain(m) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pairOf writes two files and returns them as a source.
func pairOf(t testing.TB, cert, key []byte) Source {
	t.Helper()
	dir := t.TempDir()
	p := Pair{filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")}
	must(t, os.WriteFile(p.Cert, cert, 0o600))
	must(t, os.WriteFile(p.Key, key, 0o600))
	return Source{Pairs: []Pair{p}}
}

func encode(blockType string, der []byte, headers map[string]string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der, Headers: headers})
}

func TestEveryFormOfAPairThatToolsWriteIsAccepted(t *testing.T) {
	ca := testkit.NewCA(t)
	ec := ca.Intermediate().Issue("a.test")
	rsaLeaf := ca.IssueWith(testkit.Request{Names: []string{"a.test"}, Key: testkit.RSA2048})
	ed := ca.IssueWith(testkit.Request{Names: []string{"a.test"}, Key: testkit.Ed25519})
	ecDER, err := x509.MarshalECPrivateKey(ec.Key.(*ecdsa.PrivateKey))
	must(t, err)
	sec1 := encode("EC PRIVATE KEY", ecDER, nil)
	params := encode("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, nil)
	pkcs1 := encode("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaLeaf.Key.(*rsa.PrivateKey)), nil)
	crlf := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")) }

	cases := map[string]struct {
		cert, key []byte
		kind      string
	}{
		"PKCS#8 with a chain":      {ec.CertPEM, ec.KeyPEM, "ECDSA P-256"},
		"SEC 1 after parameters":   {ec.CertPEM, append(params, sec1...), "ECDSA P-256"},
		"PKCS#1":                   {rsaLeaf.CertPEM, pkcs1, "RSA 2048"},
		"Ed25519":                  {ed.CertPEM, ed.KeyPEM, "Ed25519"},
		"CRLF":                     {crlf(ec.CertPEM), crlf(ec.KeyPEM), "ECDSA P-256"},
		"text before and between":  {append([]byte("subject=a\n"), bytes.ReplaceAll(ec.CertPEM, []byte("-----BEGIN"), []byte("issuer=x\n-----BEGIN"))...), append([]byte("Bag Attributes\n"), ec.KeyPEM...), "ECDSA P-256"},
		"byte order mark":          {append([]byte("\xef\xbb\xbf"), ec.CertPEM...), ec.KeyPEM, "ECDSA P-256"},
		"no newline at the end":    {bytes.TrimSpace(ec.CertPEM), bytes.TrimSpace(ec.KeyPEM), "ECDSA P-256"},
		"key in front of a chain":  {append(bytes.Clone(ec.KeyPEM), ec.CertPEM...), ec.KeyPEM, "ECDSA P-256"},
		"PKCS#8 under PKCS#1 name": {ec.CertPEM, bytes.ReplaceAll(ec.KeyPEM, []byte("PRIVATE"), []byte("RSA PRIVATE")), "ECDSA P-256"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			set, err := Load(pairOf(t, c.cert, c.key))
			must(t, err)
			if got := set.Leaves()[0].KeyType; got != c.kind {
				t.Errorf("key type %s, want %s", got, c.kind)
			}
			if w := set.Warnings(); len(w) != 0 {
				t.Errorf("warnings: %q", w)
			}
		})
	}
	t.Run("both in one file", func(t *testing.T) {
		src := pairOf(t, append(bytes.Clone(ec.KeyPEM), ec.CertPEM...), nil)
		src.Pairs[0].Key = ""
		set, err := Load(src)
		must(t, err)
		if n := len(set.fallback[0].cert.Certificate); n != 2 {
			t.Errorf("%d certificates are served, want leaf and intermediate", n)
		}
	})
}

func TestEachBadFileGetsOneSentenceWithItsNameAndTheFix(t *testing.T) {
	ca := testkit.NewCA(t)
	good, other := ca.Intermediate().Issue("a.test", "b.test"), ca.Issue("other.test")
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	odd := ca.IssueWith(testkit.Request{Names: []string{"a.test"}, Signer: p224})
	text := func(s string) []byte { return []byte(s) }

	cases := map[string]struct {
		cert, key []byte
		want      string
	}{
		"empty certificate": {nil, good.KeyPEM, "cannot use certificate %C: it is empty; whoever writes it has not done so yet, or wrote nothing"},
		"blank key":         {good.CertPEM, text(" \n\t\n"), "cannot use key %K: it is empty; whoever writes it has not done so yet, or wrote nothing"},
		"text":              {text(testkit.NotPEM), good.KeyPEM, "cannot use certificate %C: it is not PEM; name a file with -----BEGIN lines"},
		"DER":               {good.Cert.Raw, good.KeyPEM, "cannot use certificate %C: it is binary (DER or PKCS#12), not PEM; convert it with openssl x509, openssl pkey or openssl pkcs12"},
		"base64 of PEM":     {text(base64.StdEncoding.EncodeToString(good.CertPEM)), good.KeyPEM, "cannot use certificate %C: it is PEM encoded once more in base64; decode it with base64 -d"},
		"indented":          {bytes.ReplaceAll(good.CertPEM, text("-----BEGIN"), text("  -----BEGIN")), good.KeyPEM, "cannot use certificate %C: its PEM lines do not start at the beginning of a line; remove what stands before them"},
		"cut off":           {good.CertPEM[:200], good.KeyPEM, "cannot use certificate %C: 1 of its 1 PEM blocks are cut off or damaged; write the whole file again"},
		"cut off in chain":  {good.CertPEM[:len(good.CertPEM)-40], good.KeyPEM, "cannot use certificate %C: 1 of its 2 PEM blocks are cut off or damaged; write the whole file again"},
		"garbage inside":    {testkit.Damaged(good.CertPEM), good.KeyPEM, "cannot use certificate %C: certificate 1 in it cannot be read (x509: malformed certificate); write the whole file again"},
		"garbage key":       {good.CertPEM, testkit.Damaged(good.KeyPEM), "cannot use key %K: the key cannot be read as PKCS#1, PKCS#8 or EC; write the whole file again"},
		"mismatch":          {good.CertPEM, other.KeyPEM, "cannot use key %K: it does not belong to certificate %C (a.test, b.test); give the key that the certificate was issued for"},
		"key missing":       {good.CertPEM, good.CertPEM, "cannot use key %K: it holds a certificate and no private key; the certificate and the key may be swapped"},
		"request":           {encode("CERTIFICATE REQUEST", []byte{1}, nil), good.KeyPEM, "cannot use certificate %C: it holds a signing request; name the certificate that the authority made of it"},
		"public key":        {good.CertPEM, encode("PUBLIC KEY", []byte{1}, nil), `cannot use key %K: it holds "PUBLIC KEY" and no private key; name a file with -----BEGIN PRIVATE KEY-----`},
		"PKCS#8 encrypted":  {good.CertPEM, encode("ENCRYPTED PRIVATE KEY", []byte{1}, nil), "cannot use key %K: the key is encrypted with a passphrase; decrypt it with openssl pkey -in %K"},
		"PKCS#1 encrypted":  {good.CertPEM, encode("RSA PRIVATE KEY", []byte{1}, map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}), "cannot use key %K: the key is encrypted with a passphrase; decrypt it with openssl pkey -in %K"},
		"SSH key":           {good.CertPEM, encode("OPENSSH PRIVATE KEY", []byte{1}, nil), "cannot use key %K: it holds an SSH key; name the key of the certificate"},
		"odd curve":         {odd.CertPEM, odd.KeyPEM, "cannot use certificate %C: no TLS client supports the curve P-224; have it issued for P-256"},
		"too large":         {bytes.Repeat(text("x"), maxFile+1), good.KeyPEM, "cannot use certificate %C: it is larger than 1024 KiB; name a PEM file"},
		"swapped": {
			good.KeyPEM, good.CertPEM,
			"cannot use certificate %C: it holds a private key and no certificate; the certificate and the key may be swapped\n" +
				"cannot use key %K: it holds a certificate and no private key; the certificate and the key may be swapped",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			src := pairOf(t, c.cert, c.key)
			set, err := Load(src)
			if err == nil {
				t.Fatal("no error")
			}
			if set != nil {
				t.Error("a set came with the error")
			}
			want := strings.NewReplacer("%C", src.Pairs[0].Cert, "%K", src.Pairs[0].Key).Replace(c.want)
			if err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
		})
	}
}

func TestMissingAndIrregularFilesAreNamed(t *testing.T) {
	leaf := testkit.NewCA(t).Issue("a.test")
	src := pairOf(t, leaf.CertPEM, leaf.KeyPEM)
	dir := t.TempDir()
	_, err := Load(Source{Pairs: []Pair{{dir, src.Pairs[0].Key}, {src.Pairs[0].Cert, "/nowhere/tls.key"}, {"/dev/zero", src.Pairs[0].Key}}})
	want := "cannot use certificate " + dir + ": it is not a regular file; name a PEM file\n" +
		"cannot use key /nowhere/tls.key: there is no such file; check the path and the volume mount\n" +
		"cannot use certificate /dev/zero: it is not a regular file; name a PEM file"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := Load(Source{}); err == nil {
		t.Error("an empty source is accepted")
	}
}

func TestNoMessageHoldsAKey(t *testing.T) {
	leaf := testkit.NewCA(t).Issue("a.test")
	secret := strings.Split(string(leaf.KeyPEM), "\n")[1]
	for _, key := range [][]byte{testkit.Damaged(leaf.KeyPEM), testkit.Truncated(leaf.KeyPEM), bytes.ReplaceAll(leaf.KeyPEM, []byte("PRIVATE"), []byte("SECRET"))} {
		if _, err := Load(pairOf(t, leaf.CertPEM, key)); err == nil || strings.Contains(err.Error(), secret[8:24]) {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestQuestionableCertificatesAreServedWithAWarning(t *testing.T) {
	ca := testkit.NewCA(t)
	inter := ca.Intermediate()
	leaf := inter.Issue("a.test")
	blocks := bytes.SplitAfter(leaf.CertPEM, []byte("-----END CERTIFICATE-----\n"))
	interPEM, leafPEM, rootPEM := blocks[1], blocks[0], ca.PEM()
	noName := ca.IssueWith(testkit.Request{CommonName: "a.test"})
	expired, future, client := ca.IssueExpired("a.test"), ca.IssueFuture("a.test"), ca.IssueClient("a.test")
	stranger := testkit.NewCA(t).PEM() // of the same name as our root
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

	cases := map[string]struct {
		cert, key []byte
		want      []string
	}{
		"expired":     {expired.CertPEM, expired.KeyPEM, []string{"the certificate expired at " + expired.Cert.NotAfter.UTC().Format(time.RFC3339) + "; renew it"}},
		"future":      {future.CertPEM, future.KeyPEM, []string{"the certificate is valid only from " + future.Cert.NotBefore.UTC().Format(time.RFC3339) + "; check the clock"}},
		"no name":     {noName.CertPEM, noName.KeyPEM, []string{"the certificate has no subject alternative name for a host, which clients require; have it issued with one"}},
		"client only": {client.CertPEM, client.KeyPEM, []string{"the certificate has no subject alternative name for a host, which clients require; have it issued with one", "the certificate is not made for servers (extended key usage); have it issued with serverAuth"}},
		"leaf last":   {join(interPEM, leafPEM), leaf.KeyPEM, []string{"its first certificate is not the server's, the one at place 2 is; it is served first"}},
		"disordered":  {join(leafPEM, rootPEM, interPEM), leaf.KeyPEM, []string{"its chain is out of order; it is served in order"}},
		"a stranger":  {join(leafPEM, interPEM, stranger), leaf.KeyPEM, []string{"certificate 3 of its chain (testkit root) did not issue the one before it; give leaf and intermediates only"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			src := pairOf(t, c.cert, c.key)
			set, err := Load(src)
			must(t, err)
			var want []string
			for _, w := range c.want {
				want = append(want, src.Pairs[0].Cert+": "+w)
			}
			if got := set.Warnings(); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if served := set.fallback[0].chain; !served[0].Equal(set.fallback[0].cert.Leaf) || len(served) > 1 && !issued(served[1], served[0]) {
				t.Error("it is not served with the leaf first and its issuer next")
			}
		})
	}
}

func TestVolumeSwapNeverMixesTwoGenerations(t *testing.T) {
	ca := testkit.NewCA(t)
	gens := []map[string]string{ca.Issue("a.test").Files("tls"), ca.Issue("a.test").Files("tls")}
	v := testkit.NewVolume(t, gens[0])
	sources := []Source{{Dir: v.Path()}, {Pairs: []Pair{{v.File("tls.crt"), v.File("tls.key")}}}}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for i := range 300 {
			v.Update(gens[(i+1)%2])
		}
	})
	loads := 0
	for running := true; running; loads++ {
		select {
		case <-done:
			running = false
		default:
		}
		if _, err := Load(sources[loads%2]); err != nil && !strings.Contains(err.Error(), "changed 10 times") {
			t.Fatalf("load %d: %v", loads, err)
		}
	}
	wg.Wait()
	t.Logf("%d loads during 300 swaps", loads)
}

func TestEveryStepOfAVolumeUpdateCanBeLoaded(t *testing.T) {
	ca := testkit.NewCA(t)
	v := testkit.NewVolume(t, ca.Issue("a.test").Files("tls"))
	v.OnStep = func(step testkit.VolumeStep) {
		for _, src := range []Source{{Dir: v.Path()}, {Pairs: []Pair{{v.File("tls.crt"), v.File("tls.key")}}}} {
			if _, err := Load(src); err != nil {
				t.Errorf("after %s: %v", step, err)
			}
		}
	}
	v.Update(ca.Issue("b.test").Files("tls"))
	files := ca.Issue("c.test").Files("tls")
	maps.Copy(files, ca.Issue("d.test").Files("extra"))
	v.Update(files)
}

func FuzzAnyBytesAsAPairGiveACertificateOrASentence(f *testing.F) {
	leaf := testkit.NewCA(f).Issue("a.test")
	f.Add(leaf.CertPEM, leaf.KeyPEM)
	f.Add(leaf.KeyPEM, leaf.CertPEM)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), testkit.Truncated(leaf.KeyPEM))
	f.Add([]byte{0x30, 0x82}, []byte("LS0tLS1CRUdJTi"))
	f.Fuzz(func(t *testing.T, cert, key []byte) {
		certBlocks, err := blocks(cert)
		if (len(certBlocks) == 0) == (err == nil) {
			t.Fatalf("%d blocks, error %v", len(certBlocks), err)
		}
		keyBlocks, keyErr := blocks(key)
		if err != nil || keyErr != nil {
			return
		}
		chain, err := chainOf(certBlocks)
		signer, block, keyErr := keyOf("key", keyBlocks)
		if err != nil || keyErr != nil {
			return
		}
		e, err := pairUp("cert", "key", chain, signer, block)
		if (e == nil) == (err == nil) {
			t.Fatalf("entry %v, error %v", e, err)
		}
		if e != nil {
			e.warnings = append(e.warnings, concerns(e, time.Now())...)
			newSet([]*entry{e}, nil, time.Now())
		}
	})
}
