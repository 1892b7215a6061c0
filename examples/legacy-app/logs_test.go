// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func TestLogLinesGoToTheFileOfTheirLevel(t *testing.T) {
	dir := t.TempDir()
	logs, err := openLogs(dir, 1<<20, 2, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	logs.Debug("Web", "not shown")
	logs.Info("Web", "one\ntwo")
	logs.Warn("Web", "three")
	logs.Error("Web", "four")
	logs.Access("10.0.0.1", "GET / HTTP/1.1", 200, 12)
	const stamp = `\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} `
	f := func(name, want string) {
		t.Helper()
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !regexp.MustCompile(`^`+want+`$`).Match(got) {
			t.Errorf("%s is %q, %v, want %s", name, got, err, want)
		}
	}
	f("app.log", stamp+`INFO  \[Web\] one\n    two\n`+stamp+`WARN  \[Web\] three\n`)
	f("error.log", stamp+`ERROR \[Web\] four\n`)
	f("access.log", `10\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET / HTTP/1\.1" 200 12\n`)
}

func TestRotationKeepsEveryLineWholeAndInOrder(t *testing.T) {
	dir := t.TempDir()
	logs, err := openLogs(dir, 1000, 100, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 100 {
				logs.Info("Web", "writer %d line %03d", w, i)
			}
		})
	}
	writers.Wait()
	var all strings.Builder
	for i := 100; i >= 0; i-- {
		data, err := os.ReadFile((&rotatingFile{path: filepath.Join(dir, "app.log")}).numbered(i))
		if err == nil && len(data) > 1000 {
			t.Errorf("file %d holds %d bytes, want at most 1000", i, len(data))
		}
		all.Write(data)
	}
	for w := range 4 {
		rest := all.String()
		for i := range 100 {
			_, after, found := strings.Cut(rest, fmt.Sprintf("writer %d line %03d\n", w, i))
			if !found {
				t.Fatalf("line %d of writer %d is missing or out of order", i, w)
			}
			rest = after
		}
	}
}

func TestRotationRemovesTheOldestFile(t *testing.T) {
	dir := t.TempDir()
	logs, err := openLogs(dir, 1, 2, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	for i := range 5 {
		logs.Error("Web", "line %d", i)
	}
	for i, want := range []string{"line 4\n", "line 3\n", "line 2\n", ""} {
		got, _ := os.ReadFile((&rotatingFile{path: filepath.Join(dir, "error.log")}).numbered(i))
		if !strings.HasSuffix(string(got), want) || want == "" && len(got) > 0 {
			t.Errorf("file %d is %q, want %q at its end", i, got, want)
		}
	}
}

func TestALogLineThatCannotBeWrittenIsReportedOnce(t *testing.T) {
	var stderr strings.Builder
	logs, err := openLogs(t.TempDir(), 1000, 2, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	logs.Close()
	logs.Info("Web", "one")
	logs.Info("Web", "two")
	if got := strings.Count(stderr.String(), "cannot write a log line"); got != 1 {
		t.Errorf("said so %d times, want once: %q", got, stderr.String())
	}
}
