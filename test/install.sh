#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that the tests, the images and the benchmarks use. Does nothing, quickly,
# where all of them are there. Packages come without their services being started: a policy-rc.d says so
# while apt runs, and is taken away again if it was made here.
set -euo pipefail

packages=(
  # go test -race, and what reads a commit
  gcc libc6-dev git ca-certificates
  # legacy applications and peers
  nginx-light apache2 haproxy
  # clients and judges
  curl openssl nghttp2-client chromium testssl.sh shellcheck
  # images and pods
  podman buildah runc netavark aardvark-dns catatonit conmon iptables
  # what scripts and tests look at the machine with
  jq iproute2 procps
)

if ! command -v dpkg-query >/dev/null; then
  echo "install: not a Debian system; the tests expect what these Debian packages hold: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  # "ii" is installed and configured.
  [[ $(dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo "install: all ${#packages[@]} Debian packages are here"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "install: missing ${missing[*]}; run test/install.sh as root" >&2
  exit 1
fi

policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\n# No service is started by a package that the tests install.\nexit 101\n' >$policy
  chmod 755 $policy
fi

echo "install: apt-get install ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get --quiet --quiet -o Dpkg::Use-Pty=0 -o Acquire::Retries=3)
log=$(mktemp)
if ! { "${apt[@]}" update && "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  cat "$log" >&2
  echo "install: apt-get failed; what it said is above" >&2
  exit 1
fi
rm -f "$log"
echo "install: ${#missing[@]} Debian packages installed"
