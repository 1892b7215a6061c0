// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

func TestMemoryOfThisProcess(t *testing.T) {
	m, err := ReadMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	const least, most = 1 << 16, 1 << 34
	if m.RSSAnon < least || m.RSS <= m.RSSAnon || m.RSS > most {
		t.Errorf("memory %+v", m)
	}
}

func TestDescriptorsOfThisProcess(t *testing.T) {
	before, err := Descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		file, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
	}
	after, err := Descriptors(os.Getpid())
	if err != nil || after != before+3 {
		t.Errorf("%d descriptors and then %d, error %v; want 3 more", before, after, err)
	}
}

func TestAProcessThatIsNotThereIsAnErrorOfThatKind(t *testing.T) {
	const none = 1 << 30 // above the kernel's largest process id
	if _, err := ReadMemory(none); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadMemory: %v", err)
	}
	if _, err := Descriptors(none); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Descriptors: %v", err)
	}
}

func TestStatusIsReadStrictly(t *testing.T) {
	got, err := parseStatus([]byte("Name:\tapp\nVmRSS:\t    2048 kB\nRssAnon:\t     512 kB\nRssFile:\t 1536 kB\n"))
	if want := (Memory{RSS: 2 << 20, RSSAnon: 512 << 10}); err != nil || got != want {
		t.Errorf("memory %+v, error %v; want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"Name:\tapp\nState:\tZ (zombie)\n": "status has no VmRSS and RssAnon; has the process ended?",
		"VmRSS:\t-1 kB\nRssAnon:\t1 kB\n":  `status has VmRSS "-1 kB" where a number of kB was expected`,
		"VmRSS:\t1 kB\nRssAnon:\t1 MB\n":   `status has RssAnon "1 MB" where a number of kB was expected`,
	} {
		if _, err := parseStatus([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte("VmRSS:\t    2048 kB\nRssAnon:\t     512 kB\n"))
	f.Add([]byte("VmRSS:1 kB"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := parseStatus(data); err == nil && (m.RSS < 0 || m.RSSAnon < 0) {
			t.Errorf("memory %+v", m)
		}
	})
}
