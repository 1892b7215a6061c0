# SPDX-License-Identifier: Apache-2.0
# A target is a few lines at most; what is longer is a script in images/ or test/.

.DEFAULT_GOAL := help
# The tests run what was built here, and find the pinned tools first.
export OUTRIGGER_BIN := $(CURDIR)/bin
export PATH := $(CURDIR)/.cache/tools:$(PATH)
tools = GOBIN=$(CURDIR)/.cache/tools go -C test/tools/$(1) install tool

help: ## print this help
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | \
		while IFS="$$(printf '\t')" read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

build: ## build every program into bin/, with the flags its image has
	@images/compile.sh bin

demo: build ## see a legacy app answer over HTTPS (CHECK=1 runs the demo's commands and ends)
	@go build -o .cache/demo ./examples/demo && CHECK=$(CHECK) exec .cache/demo

test: install tools build lint ## install what it needs, then lint and run every test
	@$(MAKE) --no-print-directory demo CHECK=1
	go test -race -count=1 -timeout 20m ./...

e2e: install tools build ## run the black-box tests alone: test/ and the programs' own against bin/
	go test -count=1 -timeout 20m ./test/... ./sidecars/...

images: ## build the images [REGISTRY=localhost/outrigger TAG=dev PLATFORMS=linux/amd64,linux/arm64]
	@images/build.sh

bench: install build ## measure a program beside its peers: BENCH=tls-proxy
	go run ./bench -bench "$(BENCH)"

lint: tools ## go vet, staticcheck, gofumpt, go fix, shellcheck
	@test/lint.sh

fmt: tools ## rewrite what gofumpt and go fix would change
	gofumpt -w .
	go fix ./...

generate: ## write the flag and metric tables of the READMEs anew
	go test -run TestReadme $$(grep -rl --include='*_test.go' '^func TestReadme' . | xargs dirname | sort -u) -update

clean: ## remove all that the other targets made
	rm -rf bin .cache demo bench/results

install:
	@test/install.sh

tools:
	@$(call tools,lint) && $(call tools,h2spec)

.PHONY: help build demo test e2e images bench lint fmt generate clean install tools
