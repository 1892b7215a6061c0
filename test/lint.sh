#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every linter over the root module and says all that they found, not just what the first one did.
# The linters are built by `make tools`; `make fmt` mends what gofumpt and go fix report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
# check NAME COMMAND... fails when the command does, or when it prints anything: gofumpt -l exits 0.
check() {
  local name=$1 output status=0
  output=$("${@:2}" 2>&1) || status=$?
  if [ $status -ne 0 ] || [ -n "$output" ]; then
    failed+=("$name")
    printf '%s\nlint: %s found the above\n' "$output" "$name" >&2
  fi
}

scripts=$(git ls-files --cached --others --exclude-standard | xargs grep -lIE '^#!.*\b(ba)?sh\b|^# shellcheck shell=')

check 'go vet' go vet ./...
check staticcheck staticcheck ./...
check gofumpt gofumpt -l .
check 'go fix' go fix -diff ./...
check 'go mod tidy' go mod tidy -diff
if command -v shellcheck >/dev/null; then
  # shellcheck disable=SC2086 # a list of file names without spaces
  check shellcheck shellcheck --external-sources $scripts
fi

if [ ${#failed[@]} -gt 0 ]; then
  echo "lint: failed: ${failed[*]}" >&2
  exit 1
fi
echo "lint: clean"
