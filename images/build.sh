#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds the images of programs.txt and says how large each is. usage: images/build.sh [NAME...]
#   REGISTRY=localhost/outrigger  what stands in front of the image's name
#   TAG=dev                       the tag
#   PLATFORMS=linux/amd64         this machine's own by default; several, with commas, make one multi-platform image
#   OUT=.cache/images             where each image goes as an OCI layout, with its SBOM beside it
#   SOURCE_DATE_EPOCH=0           the only timestamp inside: the commit's by default, so that one commit
#                                 gives one digest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. test/podman/setup

registry=${REGISTRY:-localhost/outrigger}
tag=${TAG:-dev}
platforms=${PLATFORMS:-linux/$(go env GOARCH)}
out=${OUT:-.cache/images}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
source=https://$(go list -m)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$out"

# build NAME FOLDER PORTS TITLE ARCH REFERENCE... builds the image of one program for one machine.
build() {
  local name=$1 folder=$2 ports=$3 title=$4 arch=$5 label='org.opencontainers.image'
  GOARCH=$arch images/compile.sh "$stage/$arch" "$name"
  images/sbom.sh "$stage/$arch/$name" "$epoch" >"$out/$name.$arch.spdx.json"
  sed -e "s|\${PROGRAM}|$name|g" -e "s|\${PORTS}|${ports//,/ }|" -e '/^EXPOSE -$/d' images/Containerfile >"$stage/Containerfile"
  buildah build --quiet --timestamp "$epoch" --identity-label=false --platform "linux/$arch" \
    --label "$label.title=$name" \
    --label "$label.description=$title" \
    --label "$label.source=$source" \
    --label "$label.documentation=$source/blob/main/$folder/README.md" \
    --label "$label.licenses=Apache-2.0" \
    --label "$label.vendor=Outrigger" \
    --label "$label.version=$tag" \
    --label "$label.revision=$revision" \
    --file "$stage/Containerfile" "${@:6}" "$stage/$arch" >/dev/null
}

# layers LAYOUT prints the gzip layers' bytes of each image in an OCI layout, and its digest.
layers() {
  local digest media manifest
  while read -r digest media; do
    manifest=$1/blobs/sha256/${digest#sha256:}
    case $media in
    *index*) jq -r '.manifests[].digest' "$manifest" ;;
    *) echo "$digest" ;;
    esac
  done < <(jq -r '.manifests[] | "\(.digest) \(.mediaType)"' "$1/index.json") |
    while read -r digest; do
      jq -r --arg digest "$digest" '"\([.layers[].size] | add) \($digest)"' "$1/blobs/sha256/${digest#sha256:}"
    done
}

while read -r name folder budget ports title; do
  case $name in '' | '#'*) continue ;; esac
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  image=$registry/$name:$tag
  rm -rf "${out:?}/$name"
  # What the name meant before may be of the other kind (one image, or a list of them).
  buildah manifest rm "$image" >/dev/null 2>&1 || true
  if [[ $platforms == *,* ]]; then
    buildah manifest create "$image" >/dev/null
    for platform in ${platforms//,/ }; do
      build "$name" "$folder" "$ports" "$title" "${platform#linux/}" --manifest "$image"
    done
    buildah manifest push --quiet --all "$image" "oci:$out/$name:$tag"
  else
    before=$(buildah images --quiet "$image" 2>/dev/null || true)
    build "$name" "$folder" "$ports" "$title" "${platforms#linux/}" --tag "$image"
    buildah push --quiet "$image" "oci:$out/$name:$tag"
    # What lost its name to the new image is of no use to anyone, unless a container still runs it.
    if [ -n "$before" ] && [ "$before" != "$(buildah images --quiet "$image")" ]; then
      buildah rmi "$before" >/dev/null 2>&1 || true
    fi
  fi
  layers "$out/$name" | while read -r bytes digest; do
    printf '%s  %d.%02d MB of %s MB  %s\n' "$image" $((bytes / 1000000)) $((bytes / 10000 % 100)) "$budget" "$digest"
  done
done <images/programs.txt
