// SPDX-License-Identifier: Apache-2.0

package repocheck

import "fmt"

// Exception lets one place break one rule, for a reason that a reader can judge.
type Exception struct {
	// Place is a file ("path"), or a function in it ("path: Func", "path: Type.Method").
	Place string
	Why   string
}

// longFiles may have more than 450 lines.
func longFiles() []Exception {
	return nil
}

// longFunctions may have more than 80 lines.
func longFunctions() []Exception {
	return nil
}

// sleepingTests may call time.Sleep outside a synctest bubble.
func sleepingTests() []Exception {
	return []Exception{
		{"internal/testkit/eventually.go: poll", "the one loop that waits for all tests: it polls with a deadline"},
		{"internal/testkit/rawconn.go: RawConn.SendSlowly", "a slow client is what it plays"},
	}
}

// excused keeps the books on one list of exceptions: which were needed.
type excused struct {
	rule string
	list []Exception
	used map[string]bool
}

func excuse(rule string, list []Exception) *excused {
	return &excused{rule: rule, list: list, used: map[string]bool{}}
}

// covers reports whether an exception stands for the place.
func (e *excused) covers(place string) bool {
	for _, exception := range e.list {
		if exception.Place == place {
			e.used[place] = true
			return true
		}
	}
	return false
}

// stale returns the exceptions that nothing needed, or that give no reason.
func (e *excused) stale() []string {
	var problems []string
	for _, exception := range e.list {
		if !e.used[exception.Place] {
			problems = append(problems, fmt.Sprintf("internal/repocheck/exceptions.go: %s: nothing at %s needs this exception any more", e.rule, exception.Place))
		}
		if exception.Why == "" {
			problems = append(problems, fmt.Sprintf("internal/repocheck/exceptions.go: %s: the exception for %s gives no reason", e.rule, exception.Place))
		}
	}
	return problems
}
