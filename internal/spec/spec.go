// SPDX-License-Identifier: Apache-2.0

// Package spec parses the one mini-language in which settings name a thing with options: KIND://ADDRESS?key=value&key=value.
package spec
