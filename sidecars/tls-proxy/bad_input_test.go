// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// refused runs the built binary with bad input and compares the lines that it ends with. Log lines (JSON) in front
// of them are left out.
func refused(t *testing.T, run testkit.Result, code int, want ...string) {
	t.Helper()
	if run.Code != code {
		t.Errorf("exit code %d, want %d", run.Code, code)
	}
	var got []string
	for line := range strings.Lines(run.Stderr) {
		if !strings.HasPrefix(line, "{") {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
	}
	for i := range want {
		want[i] = "tls-proxy: " + want[i]
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if run.Stdout != "" {
		t.Errorf("stdout, which is for the access log, holds %q", run.Stdout)
	}
}

// runWith runs the binary to its end on free ports; later arguments win.
func runWith(t *testing.T, args ...string) testkit.Result {
	t.Helper()
	return testkit.Run(t, testkit.Binary(t, "tls-proxy"), append([]string{"--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--target=127.0.0.1:1"}, args...), nil)
}

func TestEachUnusableCertificateFileEndsTheStartWithOneLine(t *testing.T) {
	t.Parallel()
	ca := testkit.NewCA(t)
	good, other := ca.Issue("localhost"), ca.Issue("localhost")
	write := func(cert, key []byte) (certFile, keyFile string) {
		dir := t.TempDir()
		certFile, keyFile = filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
		for path, data := range map[string][]byte{certFile: cert, keyFile: key} {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return certFile, keyFile
	}
	for _, tt := range []struct {
		name      string
		cert, key []byte
		want      []string
	}{
		{"a mismatched key", good.CertPEM, other.KeyPEM, []string{"--key=KEY: cannot use key KEY: it does not belong to certificate CERT (localhost); give the key that the certificate was issued for"}},
		{"text in place of a certificate", []byte(testkit.NotPEM), good.KeyPEM, []string{"--cert=CERT: cannot use certificate CERT: it is not PEM; name a file with -----BEGIN lines"}},
		{"certificate and key swapped", good.KeyPEM, good.CertPEM, []string{
			"--cert=CERT: cannot use certificate CERT: it holds a private key and no certificate; the certificate and the key may be swapped",
			"--key=KEY: cannot use key KEY: it holds a certificate and no private key; the certificate and the key may be swapped",
		}},
		{"a file that is cut off", testkit.Truncated(good.CertPEM), good.KeyPEM, []string{"--cert=CERT: cannot use certificate CERT: 1 of its 1 PEM blocks are cut off or damaged; write the whole file again"}},
		{"two bad files", nil, testkit.Damaged(good.KeyPEM), []string{
			"--cert=CERT: cannot use certificate CERT: it is empty; whoever writes it has not done so yet, or wrote nothing",
			"--key=KEY: cannot use key KEY: the key cannot be read as PKCS#1, PKCS#8 or EC; write the whole file again",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert, key := write(tt.cert, tt.key)
			for i := range tt.want {
				tt.want[i] = strings.NewReplacer("CERT", cert, "KEY", key).Replace(tt.want[i])
			}
			refused(t, runWith(t, "--cert="+cert, "--key="+key), 2, tt.want...)
		})
	}
}

// TestANamedPipeInPlaceOfACertificateDoesNotHang, though nobody ever writes into it.
func TestANamedPipeInPlaceOfACertificateDoesNotHang(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, key := testkit.NewCA(t).Issue("localhost").Write(dir, "tls")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, runWith(t, "--cert="+pipe, "--key="+key), 2, "--cert="+pipe+": cannot use certificate "+pipe+": it is not a regular file; name a PEM file")
}

func TestMissingCertificatesEndTheStartWithTheFix(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	refused(t, runWith(t), 2,
		"--cert-dir (env TLS_PROXY_CERT_DIR): no certificate; mount one at /tls or name it with --cert-dir or --cert and --key, or use --self-signed for development")
	refused(t, runWith(t, "--cert-dir=/nope"), 2,
		"--cert-dir=/nope: cannot use certificate directory /nope: there is no such directory; check the path and the volume mount")
	refused(t, runWith(t, "--cert-dir="+empty), 2,
		"--cert-dir="+empty+": cannot use certificate directory "+empty+": it holds no certificate with its key; put tls.crt and tls.key there, or mount the Secret there")
	refused(t, runWith(t, "--cert=/nope.crt", "--key=/nope.key", "--cert-dir=/nope"), 2,
		"--cert=/nope.crt: cannot use certificate /nope.crt: there is no such file; check the path and the volume mount",
		"--key=/nope.key: cannot use key /nope.key: there is no such file; check the path and the volume mount",
		"--cert-dir=/nope: cannot use certificate directory /nope: there is no such directory; check the path and the volume mount")
	refused(t, runWith(t, "--cert=/nope.crt"), 2,
		"--cert=/nope.crt: certificate 1 has no key; give one --key for each --cert, in the same order")
}

func TestSettingsAndFilesAreJudgedTogether(t *testing.T) {
	t.Parallel()
	run := testkit.Run(t, testkit.Binary(t, "tls-proxy"), []string{"--cert-dir=/nope", "--hodl=3s", "--tls-profile=old"}, []string{"TLS_PROXY_TARGET=x"})
	refused(t, run, 2,
		"unknown flag --hodl; did you mean --hold?",
		"--tls-profile=old: not one of the choices; use intermediate or modern",
		`env TLS_PROXY_TARGET="x": the port is missing; use HOST:PORT or unix:PATH`,
		"--cert-dir=/nope: cannot use certificate directory /nope: there is no such directory; check the path and the volume mount")
}

func TestABusyPortEndsTheStartWithOne(t *testing.T) {
	t.Parallel()
	busy := testkit.HoldPort(t)
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	held := fmt.Sprintf("cannot listen on %s: address already in use by %s (process %d); stop it or choose another port", busy.Addr(), strings.TrimSpace(string(name)), os.Getpid())
	for _, flag := range []string{"--listen=", "--http-redirect=", "--admin-listen="} {
		t.Run(flag, func(t *testing.T) {
			args := []string{"--target=127.0.0.1:1", "--self-signed", flag + busy.Addr()}
			for _, other := range []string{"--listen=", "--admin-listen="} {
				if other != flag {
					args = append(args, other+"127.0.0.1:0")
				}
			}
			refused(t, testkit.Run(t, testkit.Binary(t, "tls-proxy"), args, nil), 1, flag+busy.Addr()+": "+held)
		})
	}
}

func TestAnImpossibleListenerEndsTheStartWithOne(t *testing.T) {
	t.Parallel()
	refused(t, runWith(t, "--self-signed", "--http-redirect=192.0.2.1:8000"), 1,
		"--http-redirect=192.0.2.1:8000: cannot listen on 192.0.2.1:8000: cannot assign requested address: no interface here has it; use :8000 for all addresses or 127.0.0.1:8000")
	path := testkit.SocketPath(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	run := testkit.Run(t, testkit.Binary(t, "tls-proxy"), []string{"--target=127.0.0.1:1", "--self-signed", "--admin-listen=127.0.0.1:0", "--listen=unix:" + path}, nil)
	if run.Code != 1 || !strings.Contains(run.Stderr, "tls-proxy: --listen=unix:"+path+": cannot listen on unix:"+path+": address already in use") {
		t.Errorf("exit %d, %s", run.Code, run.Stderr)
	}
}

// TestAKeyThatTheUserMayNotReadIsToldWithOwnerAndFix is the mistake of every second pod: a Secret mounted for root.
func TestAKeyThatTheUserMayNotReadIsToldWithOwnerAndFix(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("this test starts the program as another user, which takes root")
	}
	dir := testkit.ShortDir(t)
	cert, key := testkit.NewCA(t).Issue("localhost").Write(dir, "tls")
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartCommand(t, testkit.Command{
		Path: readableBinary(t), User: &syscall.Credential{Uid: 65532, Gid: 65532},
		Args: []string{"--target=127.0.0.1:1", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0", "--cert=" + cert, "--key=" + key},
	})
	code := p.Wait()
	refused(t, testkit.Result{Code: code, Stdout: p.Stdout(), Stderr: p.Stderr()}, 2,
		"--key="+key+": cannot use key "+key+": permission denied: "+key+" belongs to uid 0, gid 0 with mode 0600, and this process is "+
			"uid 65532, gid 65532: set the pod's securityContext.fsGroup: 65532 and mode 0440 (defaultMode of the volume, or chmod)")
}

// readableBinary is a copy of the program where every user may run it.
func readableBinary(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(testkit.Binary(t, "tls-proxy"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(testkit.ShortDir(t), "tls-proxy")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
