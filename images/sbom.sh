#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the SPDX document of a program: the modules that are linked into it, as the binary itself says.
# usage: images/sbom.sh BINARY SECONDS     SECONDS since 1970 is the document's time of creation
set -euo pipefail
binary=$1
created=$(date -u -d "@$2" +%Y-%m-%dT%H:%M:%SZ)
name=$(basename "$binary")
digest=$(sha256sum "$binary" | cut -d' ' -f1)

go version -m -json "$binary" | jq --arg name "$name" --arg created "$created" --arg digest "$digest" '
  def identifier: "SPDXRef-" + gsub("[^A-Za-z0-9.]"; "-");
  def package($path; $version): {
    SPDXID: ($path | identifier), name: $path, versionInfo: $version,
    downloadLocation: "NOASSERTION", filesAnalyzed: false,
    licenseConcluded: "NOASSERTION", licenseDeclared: "NOASSERTION", copyrightText: "NOASSERTION",
    externalRefs: [{
      referenceCategory: "PACKAGE-MANAGER", referenceType: "purl",
      referenceLocator: "pkg:golang/\($path)@\($version)"
    }]
  };
  ([{Path: "stdlib", Version: .GoVersion}] + (.Deps // [] | map(.Replace // .))) as $linked |
  {
    spdxVersion: "SPDX-2.3", dataLicense: "CC0-1.0", SPDXID: "SPDXRef-DOCUMENT", name: $name,
    documentNamespace: "https://\(.Main.Path)/spdx/\($name)-\($digest)",
    creationInfo: {created: $created, creators: ["Tool: go version -m"]},
    packages: (
      [package(.Path; .Main.Version // "(devel)")
        + {checksums: [{algorithm: "SHA256", checksumValue: $digest}], licenseDeclared: "Apache-2.0"}]
      + ($linked | map(package(.Path; .Version)))
    ),
    relationships: (
      [{spdxElementId: "SPDXRef-DOCUMENT", relationshipType: "DESCRIBES", relatedSpdxElement: (.Path | identifier)}]
      + [(.Path | identifier) as $program | $linked[]
        | {spdxElementId: $program, relationshipType: "CONTAINS", relatedSpdxElement: (.Path | identifier)}]
    )
  }'
