// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
)

// fill writes files into a new directory.
func fill(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(content), 0o600))
	}
	return dir
}

func TestDirectoryGivesEveryPairInItTheConventionalFirst(t *testing.T) {
	ca := testkit.NewCA(t)
	leaf := func(name string) (cert, key string) {
		l := ca.Issue(name)
		return string(l.CertPEM), string(l.KeyPEM)
	}
	files := map[string]string{"ca.crt": string(ca.PEM()), "ca.pem": string(ca.PEM()), "notes.txt": "x", ".hidden.crt": "x", "key.der": "x"}
	put := func(cert, key, name string) { files[cert], files[key] = leaf(name) }
	put("tls.crt", "tls.key", "tls.test")
	put("a.crt", "a.key", "a.test")
	put("b.pem", "b.key", "b.test")
	put("mkcert.pem", "mkcert-key.pem", "mkcert.test")
	put("sub/tls.crt", "sub/tls.key", "sub.test")
	put("bot/fullchain.pem", "bot/privkey.pem", "bot.test")
	files["bot/cert.pem"], files["bot/chain.pem"] = files["bot/fullchain.pem"], string(ca.PEM())
	cert, key := leaf("combined.test")
	files["combined.pem"] = key + cert
	files["empty/readme"] = "x"
	files["lonely.crt"], _ = leaf("lonely.test")
	_, files["orphan.key"] = leaf("orphan.test")

	for _, kind := range []string{"plain", "volume"} {
		t.Run(kind, func(t *testing.T) {
			dir := ""
			if kind == "plain" {
				dir = fill(t, files)
			} else {
				volume := map[string]string{}
				maps.Copy(volume, files)
				dir = testkit.NewVolume(t, volume).Path()
			}
			set, err := Load(Source{Dir: dir})
			must(t, err)
			var names []string
			for _, l := range set.Leaves() {
				names = append(names, l.Names[0])
				if !strings.HasPrefix(l.File, dir+"/") || strings.Contains(l.File, "..") {
					t.Errorf("the file is called %s", l.File)
				}
			}
			if got, want := fmt.Sprint(names), "[tls.test a.test b.test combined.test mkcert.test bot.test sub.test]"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			want := fmt.Sprint([]string{
				dir + "/lonely.crt: there is no lonely.key beside it and it is left out",
				dir + "/orphan.key: there is no orphan.crt beside it and it is left out",
				dir + "/empty: it has no tls.crt and tls.key and is left out",
			})
			if got := fmt.Sprint(set.Warnings()); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestVolumeMountedInsideAVolumeIsFound(t *testing.T) {
	ca := testkit.NewCA(t)
	v := testkit.NewVolume(t, ca.Issue("outer.test").Files("tls"))
	inner := filepath.Join(v.Path(), "inner")
	must(t, os.Mkdir(inner, 0o755))
	testkit.OpenVolume(t, inner).Update(ca.Issue("inner.test").Files("tls"))
	set, err := Load(Source{Dir: v.Path()})
	must(t, err)
	if got := set.Leaves(); len(got) != 2 || got[1].Names[0] != "inner.test" {
		t.Errorf("got %+v", got)
	}
}

func TestDirectoryWithoutAUsablePairIsAnError(t *testing.T) {
	leaf := testkit.NewCA(t).Issue("a.test")
	cert, key := string(leaf.CertPEM), string(leaf.KeyPEM)
	cases := map[string]struct {
		files map[string]string
		want  string
	}{
		"empty":       {nil, "cannot use certificate directory DIR: it holds no certificate with its key; put tls.crt and tls.key there, or mount the Secret there"},
		"no key":      {map[string]string{"tls.crt": cert}, "cannot use key DIR/tls.key: there is no such file; check the path and the volume mount"},
		"no cert":     {map[string]string{"tls.key": key, "a.crt": cert, "a.key": key}, "cannot use certificate DIR/tls.crt: there is no such file; check the path and the volume mount"},
		"two bad":     {map[string]string{"a.crt": "", "a.key": key, "b.crt": cert, "b.key": ""}, "cannot use certificate DIR/a.crt: it is empty; whoever writes it has not done so yet, or wrote nothing\ncannot use key DIR/b.key: it is empty; whoever writes it has not done so yet, or wrote nothing"},
		"lonely only": {map[string]string{"a.crt": cert}, "cannot use certificate directory DIR: it holds no certificate with its key; put tls.crt and tls.key there, or mount the Secret there"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := fill(t, c.files)
			_, err := Load(Source{Dir: dir})
			if want := strings.ReplaceAll(c.want, "DIR", dir); err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	for path, want := range map[string]string{"/nowhere": "there is no such directory; check the path and the volume mount", os.Args[0]: "not a directory"} {
		if _, err := Load(Source{Dir: path}); err == nil || err.Error() != "cannot use certificate directory "+path+": "+want {
			t.Errorf("got %v", err)
		}
	}
}

func TestTooManyPairsAreRefused(t *testing.T) {
	files := map[string]string{}
	for i := range maxPairs + 1 {
		files[fmt.Sprintf("%d.crt", i)], files[fmt.Sprintf("%d.key", i)] = "", ""
	}
	if _, err := Load(Source{Dir: fill(t, files)}); err == nil || !strings.Contains(err.Error(), "1001 pairs, more than 1000") {
		t.Errorf("got %v", err)
	}
}
