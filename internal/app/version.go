// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version overrides what the Go toolchain recorded, for a build without the
// repository: -ldflags "-X github.com/outrigger/outrigger/internal/app.version=v1.2.3".
var version string

// Version returns the program's version: "v1.2.3", a pseudo-version of the
// commit, or "devel".
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

// revision returns the commit that the program was built from, or "unknown".
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// versionLine is what --version and the sub-command version print.
func versionLine(program string) string {
	return fmt.Sprintf("%s %s (%s, %s/%s, revision %s)",
		program, Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, revision())
}
