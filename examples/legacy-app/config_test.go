// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestParseConfigReadsEveryKey(t *testing.T) {
	text := "# the pier\ntitle = North Pier\n\ngreeting = a = b\nlog_level = warn\nsession_minutes = 5\nmaintenance = true\nbunting = yes\n"
	c, err := parseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	want := "title = North Pier\ngreeting = a = b\nlog_level = warn\nsession_minutes = 5\nmaintenance = true\n"
	if c.String() != want {
		t.Errorf("got\n%s\nwant\n%s", c, want)
	}
	if len(c.Unknown) != 1 || c.Unknown[0] != "bunting" {
		t.Errorf("unknown keys: %q", c.Unknown)
	}
}

func TestParseConfigNamesTheLineAtFault(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := parseConfig(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
	}
	f("title = x\ntitle", "line 2: ")
	f("session_minutes = 0", "must be above zero")
	f("session_minutes = many", "line 1: ")
	f("maintenance = perhaps", "line 1: ")
	f("log_level = loud", "use debug, info, warn or error")
}

func FuzzParseConfigWritesWhatItReads(f *testing.F) {
	f.Add("title = x\nmaintenance = 1\n")
	f.Add("#\n=\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig(text)
		if err != nil {
			return
		}
		again, err := parseConfig(c.String())
		if err != nil || again.String() != c.String() {
			t.Fatalf("%q became %q and then %q: %v", text, c, again, err)
		}
	})
}
