// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func FuzzTrustedProxies(f *testing.F) {
	for _, seed := range []string{
		"", "unix", "10.0.0.0/8,192.168.0.1", "2001:db8::/32 ::1\nunix", "10.0.0.1/8", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.0/33", "x", "0.0.0.0/0", "::/0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p proxies
		err := p.UnmarshalText([]byte(text))
		if err != nil {
			if !strings.Contains(err.Error(), "use ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: the error %q is no line that names the fix", text, err)
			}
			return
		}
		var spelled []string
		for _, prefix := range p.prefixes {
			// An IPv4 client is compared as an IPv4 address, so a mapped prefix would match nobody.
			if !prefix.IsValid() || prefix != prefix.Masked() || prefix.Addr().Is4In6() || prefix.Addr().Zone() != "" || !prefix.Contains(prefix.Addr()) {
				t.Errorf("%q was read as %v", text, prefix)
			}
			spelled = append(spelled, prefix.String())
		}
		if p.unix {
			spelled = append(spelled, "unix")
		}
		if p.String() != text {
			t.Errorf("%q prints as %q", text, p)
		}
		var again proxies
		if err := again.UnmarshalText([]byte(strings.Join(spelled, ","))); err != nil {
			t.Fatalf("%q was read as %q, which is refused: %v", text, spelled, err)
		}
		same := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		if diff := cmp.Diff(p, again, cmp.AllowUnexported(proxies{}), cmpopts.IgnoreFields(proxies{}, "text"), same); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	})
}
