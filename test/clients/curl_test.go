// SPDX-License-Identifier: Apache-2.0

package clients_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// app is a legacy application with a large file to fetch, a place to put one, and a redirect to itself.
type app struct {
	name, addr string
	big        string // path of a page
	bigFile    string // that holds what this file does
	old        string // path that redirects
	new        string // to this one, by an absolute http:// URL
	// put uploads a file by curl's own means and returns the SHA-256 that the application has of it.
	put func(t *testing.T, c curl, file string) string
}

const bigSize = 64 << 20

func nginx(t *testing.T) app {
	s := testkit.StartNginx(t, `
		location /old { return 302 http://$http_host/hello.txt; }
		location /put/ { dav_methods PUT; create_full_put_path on; client_max_body_size 200m; }`)
	file, _ := randomFile(t, s.Root, "big.bin", bigSize)
	return app{"nginx", s.Addr, "/big.bin", file, "/old", "/hello.txt", func(t *testing.T, c curl, file string) string {
		c.ok(t, "-T", file, c.p.url("/put/up.bin"))
		return sumOf(t, filepath.Join(s.Root, "put/up.bin"))
	}}
}

func apache(t *testing.T) app {
	locks := testkit.ShortDir(t)
	if err := os.Chmod(locks, 0o777); err != nil {
		t.Fatal(err)
	}
	s := testkit.StartApache(t, `
		LoadModule dav_module ${MODULES}/mod_dav.so
		LoadModule dav_fs_module ${MODULES}/mod_dav_fs.so
		DavLockDB `+locks+`/lock
		<Location /put>
			Dav On
		</Location>
		# As Apache builds addresses by itself: ServerName, its own scheme and port.
		RedirectMatch ^/old$ /hello.txt`)
	file, _ := randomFile(t, s.Root, "big.bin", bigSize)
	dir := filepath.Join(s.Root, "put")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // for the user of its workers, past the umask
		t.Fatal(err)
	}
	return app{"apache", s.Addr, "/big.bin", file, "/old", "/hello.txt", func(t *testing.T, c curl, file string) string {
		c.ok(t, "-T", file, c.p.url("/put/up.bin"))
		return sumOf(t, filepath.Join(dir, "up.bin"))
	}}
}

func legacy(t *testing.T) app {
	addr := startLegacy(t)
	answer, err := testkit.Get(fmt.Sprintf("http://%s/download?bytes=%d", addr, bigSize))
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("the application alone: %d, %v", answer.Status, err)
	}
	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, []byte(answer.Body), 0o644); err != nil {
		t.Fatal(err)
	}
	return app{"legacy-app", addr, fmt.Sprintf("/download?bytes=%d", bigSize), file, "/login?name=skipper", "/", func(t *testing.T, c curl, file string) string {
		said := c.ok(t, "--data-binary", "@"+file, "-H", "Content-Type: application/octet-stream", c.p.url("/upload"))
		_, sum, _ := strings.Cut(said, ", sha256 ")
		return strings.TrimSpace(sum)
	}}
}

// curl is the program with the options that every call has.
type curl struct {
	p    *proxy
	path string
	args []string
}

func (p *proxy) curl(t *testing.T, more ...string) curl {
	t.Helper()
	return curl{p, testkit.Tool(t, "curl", "curl"), append([]string{"-4", "-sS", "--fail-with-body", "--max-time", "60", "--cacert", p.caFile}, more...)}
}

// with is c with more options.
func (c curl) with(more ...string) curl {
	c.args = append(c.args[:len(c.args):len(c.args)], more...)
	return c
}

// ok runs curl, which has to succeed, and returns what it printed.
func (c curl) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := run(t, c.path, append(c.args, args...)...)
	if r.Code != 0 {
		t.Fatalf("curl %s: exit code %d: %s", strings.Join(args, " "), r.Code, r.Stderr)
	}
	return r.Stdout
}

// TestCurlInFrontOfRealServers takes every application through what browsers and scripts do all day, over both protocols.
func TestCurlInFrontOfRealServers(t *testing.T) {
	for name, start := range map[string]func(*testing.T) app{"nginx": nginx, "apache": apache, "legacy-app": legacy} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := start(t)
			p := startProxy(t, app.addr)
			for _, protocol := range []string{"--http1.1", "--http2"} {
				t.Run(protocol[2:], func(t *testing.T) { testApp(t, app, p.curl(t, protocol)) })
			}
			if failures := p.Metric("tls_proxy_http_failures_total"); failures != 0 {
				t.Errorf("%v requests failed", failures)
			}
		})
	}
}

func testApp(t *testing.T, app app, c curl) {
	version := map[string]string{"--http1.1": "1.1", "--http2": "2"}[c.args[len(c.args)-1]]
	t.Run("speaks the protocol asked for, verified", func(t *testing.T) {
		if got := c.ok(t, "-o", os.DevNull, "-w", "%{http_version} %{ssl_verify_result} %{http_code}", c.p.url(app.new)); got != version+" 0 200" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a redirect stays on HTTPS and on this port", func(t *testing.T) {
		got := c.ok(t, "-o", os.DevNull, "-w", "%{http_code} %{redirect_url}", c.p.url(app.old))
		if got != "302 "+c.p.url(app.new) {
			t.Errorf("got %s, want a redirect to %s", got, c.p.url(app.new))
		}
		if got := c.ok(t, "-L", "-o", os.DevNull, "-w", "%{http_code} %{num_redirects} %{scheme}", c.p.url(app.old)); !strings.EqualFold(got, "200 1 https") {
			t.Errorf("followed, it leads to %s", got)
		}
	})
	t.Run("a large file comes whole", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "out")
		c.ok(t, "-o", out, c.p.url(app.big))
		if sumOf(t, out) != sumOf(t, app.bigFile) {
			t.Error("it came out differently")
		}
	})
	t.Run("ranges", func(t *testing.T) {
		got := c.ok(t, "-r", "1000-4999", "-w", "\n%{http_code}", c.p.url(app.big))
		body, code, _ := cutLast(got, "\n")
		if code != "206" {
			t.Errorf("status %s, want 206", code)
		}
		sameRange(t, app.bigFile, 1000, 4999, body)
		out := filepath.Join(t.TempDir(), "out")
		c.ok(t, "-r", fmt.Sprintf("0-%d", bigSize/2), "-o", out, c.p.url(app.big))
		c.ok(t, "-C", "-", "-o", out, c.p.url(app.big)) // a download that is taken up again
		if sumOf(t, out) != sumOf(t, app.bigFile) {
			t.Error("a resumed download came out differently")
		}
	})
	t.Run("a large upload arrives whole", func(t *testing.T) {
		file, sum := randomFile(t, t.TempDir(), "up", bigSize)
		if got := app.put(t, c, file); got != sum {
			t.Errorf("the application has %s, want %s", got, sum)
		}
	})
	t.Run("an upload that waits for 100 Continue", func(t *testing.T) {
		file, sum := randomFile(t, t.TempDir(), "up", 3<<20)
		if got := app.put(t, c.with("-H", "Expect: 100-continue", "--expect100-timeout", "60"), file); got != sum {
			t.Errorf("the application has %s, want %s", got, sum)
		}
	})
	t.Run("an upload in chunks", func(t *testing.T) { // HTTP/2 has no such thing: curl drops the field
		file, sum := randomFile(t, t.TempDir(), "up", 5<<20)
		if got := app.put(t, c.with("-H", "Transfer-Encoding: chunked"), file); got != sum {
			t.Errorf("the application has %s, want %s", got, sum)
		}
	})
	t.Run("HEAD and a missing page", func(t *testing.T) {
		if got := c.ok(t, "-I", "-o", os.DevNull, "-w", "%{http_code}", c.p.url(app.new)); got != "200" {
			t.Errorf("HEAD gets %s", got)
		}
		r := run(t, c.path, append(c.args, "-o", os.DevNull, "-w", "%{http_code}", c.p.url("/no/such/page"))...)
		if r.Stdout != "404" {
			t.Errorf("a missing page gets %s", r.Stdout)
		}
	})
	t.Run("many at once on one connection", func(t *testing.T) {
		var args []string
		for range 20 {
			args = append(args, "-o", os.DevNull, c.p.url(app.new))
		}
		got := c.ok(t, append(args, "-Z", "-w", "%{http_code}\n")...)
		if strings.Count(got, "200\n") != 20 {
			t.Errorf("got %s", got)
		}
	})
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// TestCurlTakesThePinOfASelfSignedCertificate as the log prints it.
func TestCurlTakesThePinOfASelfSignedCertificate(t *testing.T) {
	t.Parallel()
	p := testkit.Start(t, testkit.Binary(t, "tls-proxy"), []string{
		"--target=" + testkit.NewRawBackend(t).Addr(), "--self-signed", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
	}, nil)
	pin := p.WaitLog("serving a self-signed certificate, for development only").Attrs["spki_pin"]
	p.WaitReady()
	path := testkit.Tool(t, "curl", "curl")
	if r := run(t, path, "-sSk", "--pinnedpubkey", pin, "https://"+p.WaitAddr("https")+"/"); r.Code != 0 || r.Stdout != "ok" {
		t.Errorf("with the pin %s: exit code %d, %s%s", pin, r.Code, r.Stdout, r.Stderr)
	}
	const pinMismatch = 90 // CURLE_SSL_PINNEDPUBKEYNOTMATCH
	if r := run(t, path, "-sSk", "--pinnedpubkey", "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "https://"+p.WaitAddr("https")+"/"); r.Code != pinMismatch {
		t.Errorf("with another pin: exit code %d", r.Code)
	}
}

// TestTheApplicationSeesTheClientAndHTTPS is what redirects, cookies and logs of real applications are built from.
func TestTheApplicationSeesTheClientAndHTTPS(t *testing.T) {
	t.Parallel()
	s := testkit.StartNginx(t, `location /seen { default_type text/plain;
		return 200 "$http_x_forwarded_proto $http_x_forwarded_for $http_x_forwarded_host $http_x_forwarded_port $http_host $request_uri"; }`)
	p := startProxy(t, s.Addr)
	got := p.curl(t, "-H", "X-Forwarded-For: 203.0.113.9", "-H", "X-Forwarded-Proto: http", "-H", "X_Forwarded_Proto: http").ok(t, p.url("/seen/a%2Fb?q=%41"))
	want := "https 127.0.0.1 localhost:" + p.port + " " + p.port + " localhost:" + p.port + " /seen/a%2Fb?q=%41"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
