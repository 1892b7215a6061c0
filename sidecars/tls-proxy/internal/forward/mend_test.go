// SPDX-License-Identifier: Apache-2.0

package forward

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrigger/outrigger/internal/address"
)

func redirectsFor(t testing.TB, target string) redirects {
	t.Helper()
	var to address.Target
	if err := to.UnmarshalText([]byte(target)); err != nil {
		t.Fatal(err)
	}
	return redirectsTo(to)
}

func TestURLsThatNameTheApplicationBecomeHTTPS(t *testing.T) {
	for _, tt := range []struct{ target, host, url, want string }{
		{"127.0.0.1:8080", "shop.example", "http://shop.example/a?b#c", "https://shop.example/a?b#c"},
		{"127.0.0.1:8080", "shop.example", "HTTP://SHOP.example", "https://shop.example"},
		{"127.0.0.1:8080", "shop.example", "http://shop.example:80/", "https://shop.example/"},
		{"127.0.0.1:8080", "shop.example", "http://shop.example:8080/", "https://shop.example/"},
		{"127.0.0.1:8080", "shop.example", "http://shop.example?x", "https://shop.example?x"},
		{"127.0.0.1:8080", "shop.example:8443", "http://shop.example/", "https://shop.example:8443/"},
		{"127.0.0.1:8080", "shop.example:8443", "http://shop.example:8443/", "https://shop.example:8443/"},
		{"127.0.0.1:8080", "shop.example:8443", "http://shop.example:80/", "https://shop.example:8443/"},
		{"127.0.0.1:8080", "shop.example", "http://127.0.0.1:8080/x", "https://shop.example/x"},
		{"127.0.0.1:8080", "shop.example", "http://localhost:8080/x", "https://shop.example/x"},
		{"127.0.0.1:8080", "shop.example", "http://[::1]:8080/x", "https://shop.example/x"},
		{"[::1]:8080", "shop.example", "http://[::1]:8080/x", "https://shop.example/x"},
		{"localhost:8080", "shop.example", "http://127.0.0.1:8080/x", "https://shop.example/x"},
		{"h2c://127.0.0.1:8080", "shop.example", "http://127.0.0.1:8080/x", "https://shop.example/x"},
		{"app.internal:8080", "shop.example", "http://app.internal:8080/x", "https://shop.example/x"},
		{"unix:/run/app.sock", "shop.example", "http://localhost/x", "https://shop.example/x"},
		{"unix:/run/app.sock", "shop.example", "http://shop.example/x", "https://shop.example/x"},
		{"127.0.0.1:8080", "[2001:db8::1]:8443", "http://[2001:db8::1]/", "https://[2001:db8::1]:8443/"},
		{"127.0.0.1:8080", "[2001:db8::1]", "http://[2001:DB8::1]:80/", "https://[2001:db8::1]/"},
		{"127.0.0.1:8080", "[::1]", "http://[::1]:8080", "https://[::1]"},
	} {
		rd := redirectsFor(t, tt.target)
		if got := rd.rewrite(tt.url, tt.host); got != tt.want {
			t.Errorf("target %s, host %s: %s became %s, want %s", tt.target, tt.host, tt.url, got, tt.want)
		}
	}
}

func TestOtherURLsStay(t *testing.T) {
	rd := redirectsFor(t, "127.0.0.1:8080")
	for _, url := range []string{
		"", "/", "//shop.example/x", "x", "?", "https://shop.example/", "ftp://shop.example/", "http:", "http:/shop.example", "http:///x",
		"http://other.example/", "http://other.example/http://shop.example/", "http://other.example/?u=http://shop.example/",
		"http://shop.example.evil/", "http://evil-shop.example/", "http://sub.shop.example/", "http://shop.example:9090/", "http://shop.example:443/",
		"http://shop.example@evil.example/", "http://shop.example:80@evil.example/", "http://evil@shop.example/", "http://u:p@shop.example:80/",
		"http://shop.example:8080@evil", "http://127.0.0.1/", "http://127.0.0.1:9/", "http://127.0.0.2:8080/", "http://[::1]:80/", "http://[::1",
		"http://:8080/", "http://shop.example%2eevil/", "http://shop.example;x/", " http://shop.example/", "javascript:http://shop.example/",
	} {
		if got := rd.rewrite(url, "shop.example"); got != url {
			t.Errorf("%q became %q", url, got)
		}
	}
}

func TestRedirectFieldsAreMended(t *testing.T) {
	rd := redirectsFor(t, "127.0.0.1:8080")
	for value, want := range map[string]string{
		"5; url=http://shop.example/x":       "5; url=https://shop.example/x",
		"5;URL='http://shop.example/x'":      "5;URL='https://shop.example/x'",
		`0; Url = "http://127.0.0.1:8080/"`:  `0; Url = "https://shop.example/"`,
		"5, http://shop.example/x":           "5, https://shop.example/x",
		"5 http://shop.example/x":            "5 https://shop.example/x",
		"0.5;url=http://shop.example":        "0.5;url=https://shop.example",
		"5":                                  "5",
		"5; url=":                            "5; url=",
		"":                                   "",
		"5; url=/x":                          "5; url=/x",
		"5; url=http://other.example/":       "5; url=http://other.example/",
		"5; url=/go?to=http://shop.example/": "5; url=/go?to=http://shop.example/",
		"5; url=https://x/?to=http://shop.example":            "5; url=https://x/?to=http://shop.example",
		"0; url=/" + strings.Repeat("\u0130", 50) + "http://": "0; url=/" + strings.Repeat("\u0130", 50) + "http://",
		"\u212a; url=http://shop.example":                     "\u212a; url=http://shop.example",
	} {
		header := http.Header{"Refresh": {value}}
		rd.mend(header, "shop.example")
		if got := header.Get("Refresh"); got != want {
			t.Errorf("Refresh %q became %q, want %q", value, got, want)
		}
	}
	header := http.Header{"Location": {"http://shop.example/"}, "Content-Location": {"http://shop.example/"}, "Link": {"<http://shop.example/>"}}
	rd.mend(header, "shop.example")
	want := http.Header{"Location": {"https://shop.example/"}, "Content-Location": {"https://shop.example/"}, "Link": {"<http://shop.example/>"}}
	if diff := cmp.Diff(want, header); diff != "" {
		t.Error(diff)
	}
	header = http.Header{"Location": {"http://shop.example/"}}
	rd.mend(header, "")
	if header.Get("Location") != "http://shop.example/" {
		t.Errorf("without a host: %v", header)
	}
}

func TestCookiesBecomeSecureOnce(t *testing.T) {
	for cookie, want := range map[string]string{
		"a=b":                      "a=b; Secure",
		"a=b; Path=/; HttpOnly":    "a=b; Path=/; HttpOnly; Secure",
		"a=b; Secure":              "a=b; Secure",
		"a=b;secure;Path=/":        "a=b;secure;Path=/",
		"a=b; SECURE=x":            "a=b; SECURE=x",
		"a=secure":                 "a=secure; Secure",
		"secure=1":                 "secure=1; Secure",
		"a=b; Path=/secure":        "a=b; Path=/secure; Secure",
		"a=b; Insecure":            "a=b; Insecure; Secure",
		"a=b; Expires=x; secure  ": "a=b; Expires=x; secure  ",
		"":                         "; Secure",
	} {
		cookies := []string{cookie}
		secureCookies(cookies)
		if cookies[0] != want {
			t.Errorf("%q became %q, want %q", cookie, cookies[0], want)
		}
	}
}

func TestTheOriginFormOfATargetIsItsOwnBytes(t *testing.T) {
	for target, want := range map[string]string{
		"/": "/", "*": "*", "//a": "//a", "/http://x/y": "/http://x/y", "": "",
		"http://h": "/", "http://h/": "/", "http://h//a/../b?c": "//a/../b?c", "http://h?x/y": "/?x/y", "https://[::1]:1/a": "/a",
		"h:443": "", "http:a": "", "a": "",
	} {
		if got := originForm(target); got != want {
			t.Errorf("%q became %q, want %q", target, got, want)
		}
	}
}

func FuzzOriginForm(f *testing.F) {
	for _, seed := range []string{"/a?b", "*", "http://h/x", "http://h?x", "h:1", "", "a://b://c/d", "/\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		got := originForm(target)
		switch {
		case got == "":
			if target != "" && target[0] == '/' || strings.Contains(target, "://") {
				t.Errorf("%q was refused", target)
			}
		case got != "*" && got[0] != '/':
			t.Errorf("%q became %q, which is no origin form", target, got)
		case target[0] == '/' && got != target, !strings.HasSuffix(target, got) && got != "/" && !strings.HasSuffix(target, got[1:]):
			t.Errorf("%q became %q", target, got)
		}
	})
}

func FuzzRewriteOfRedirects(f *testing.F) {
	for _, seed := range []string{"http://shop.example/", "http://shop.example:80@evil/", "5; url='http://127.0.0.1:8080/'", "0;url=\u0130http://", "http://[::1]:8080"} {
		f.Add(seed, "shop.example:8443")
	}
	rd := redirectsFor(f, "127.0.0.1:8080")
	f.Fuzz(func(t *testing.T, url, host string) {
		got := rd.rewrite(url, host)
		if got != url && !strings.HasPrefix(got, "https://"+host) {
			t.Errorf("%q became %q, which names another host than %q", url, got, host)
		}
		if again := rd.rewrite(got, host); got != url && again != got {
			t.Errorf("%q became %q and then %q", url, got, again)
		}
		if i := refreshURL(url); i < 0 || i > len(url) {
			t.Errorf("%q: the URL begins at %d", url, i)
		}
		header := http.Header{"Refresh": {url}, "Location": {url}}
		rd.mend(header, host)
	})
}
