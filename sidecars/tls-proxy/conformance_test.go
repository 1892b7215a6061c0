// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/outrigger/outrigger/internal/testkit"
	"github.com/outrigger/outrigger/internal/testkit/apptest"
)

func program(t testing.TB) apptest.Program {
	return apptest.Program{
		Spec:   spec,
		Args:   []string{"--target=127.0.0.1:1", "--self-signed", "--listen=127.0.0.1:0"},
		Binary: testkit.Binary(t, "tls-proxy"),
	}
}

// TestConformance is what tls-proxy has in common with every program.
func TestConformance(t *testing.T) { apptest.Run(t, program(t)) }
