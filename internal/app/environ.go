// SPDX-License-Identifier: Apache-2.0

package app

import (
	"regexp"
	"slices"
	"strings"

	"github.com/outrigger/outrigger/internal/spec"
)

// envName turns a flag's or a program's name into the form of a variable.
func envName(name string) string {
	return strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name))
}

// environment returns environ as a map. Of a name that stands there twice the
// first counts, as in os.Getenv.
func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, kv := range environ {
		name, value, ok := strings.Cut(kv, "=")
		if _, seen := env[name]; ok && !seen {
			env[name] = value
		}
	}
	return env
}

// unknownVariable is a variable with the program's prefix that no flag knows.
type unknownVariable struct{ name, nearest string }

// unknownVariables returns the variables that look like settings and are none,
// sorted. It names no values: containers of a pod share their environment by
// habit, and a mistyped name may hold a secret.
func unknownVariables(env map[string]string, prefix string, known []string) []unknownVariable {
	var out []unknownVariable
	for name, value := range env {
		if !strings.HasPrefix(name, prefix) || slices.Contains(known, name) || isServiceLink(name, value) {
			continue
		}
		nearest, _ := spec.Nearest(name, known)
		out = append(out, unknownVariable{name: name, nearest: nearest})
	}
	slices.SortFunc(out, func(a, b unknownVariable) int { return strings.Compare(a.name, b.name) })
	return out
}

// isServiceLink tells whether Kubernetes made the variable for a Service whose
// name begins like ours: NAME_SERVICE_HOST, NAME_SERVICE_PORT[_PORTNAME],
// NAME_PORT, NAME_PORT_8443_TCP[_PROTO|_PORT|_ADDR].
func isServiceLink(name, value string) bool {
	if strings.HasSuffix(name, "_PORT") && strings.Contains(value, "://") {
		return true
	}
	return regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`).MatchString(name)
}

// reservedFlag tells whether a flag's variable would look like a service link,
// which is why no flag may have that name.
func reservedFlag(name string) bool {
	return name == "port" || name == "host" || strings.HasPrefix(name, "service-")
}

// didYouMean returns "; did you mean X?" for the nearest candidate, or "".
func didYouMean(name string, candidates []string) string {
	if nearest, ok := spec.Nearest(name, candidates); ok {
		return "; did you mean " + nearest + "?"
	}
	return ""
}
