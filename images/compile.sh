#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds programs of programs.txt as the static binaries that go into the images.
# usage: images/compile.sh OUTDIR [NAME...]     all programs when no name is given; GOARCH is respected
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$1
shift

# The version inside the binary is the commit's, where the source is a working copy of git.
vcs=false
if git rev-parse HEAD >/dev/null 2>&1; then vcs=true; fi

mkdir -p "$out"
while read -r name folder _; do
  case $name in '' | '#'*) continue ;; esac
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  CGO_ENABLED=0 go build -trimpath -buildvcs=$vcs -tags timetzdata -ldflags '-s -w' -o "$out/$name" "./$folder"
done <images/programs.txt
