# Everything that one does here. `make` alone lists it.
#
# Needs Go, make, git and bash. What else a target needs it builds (tools/tool) or installs (tools/prerequisites), or
# says what to install.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Options of `isthmus demo`: make demo ARGS="--break --datacenters 4"
ARGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## List what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/isthmus: one static binary, with the dashboard where Node.js is there
	@tools/web try
	@CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/isthmus ./cmd/isthmus

.PHONY: web
web: ## Build the dashboard, which make build embeds (needs Node.js)
	@tools/web build

# A consul that ISTHMUS_CONSUL_BIN names, or one on PATH, is used instead of the pinned one.
.PHONY: consul
consul: ## Build the pinned Consul that demo and tests run (about five minutes, once per machine)
	@if [ -n "$${ISTHMUS_CONSUL_BIN:-}" ]; then echo "using $$ISTHMUS_CONSUL_BIN"; \
	elif command -v consul; then :; \
	else tools/tool consul; fi

.PHONY: kubernetes
kubernetes: ## Build the pinned Kubernetes API that tests run (about five minutes, once per machine)
	@tools/tool etcd
	@tools/tool kube-apiserver

.PHONY: demo
demo: ## Real Consul datacenters, joined by isthmus, and its dashboard, until Ctrl-C (ARGS="--break")
	@echo "==> Consul"
	@$(MAKE) consul
	@echo "==> isthmus"
	@$(MAKE) build
	@exec bin/isthmus demo $(ARGS)

.PHONY: test
test: ## Run every test, with the race detector, against real Consul, PostgreSQL, Kubernetes and Chromium (ARGS="./store/... -run X")
	@tools/test $(ARGS)

.PHONY: check
check: ## Formatting, lint, generated files, protos, modules, the dashboard's types
	@tools/check

.PHONY: generate
generate: ## Generate Go from the protos, the OpenAPI document, the reference of commands
	@tools/generate
	@go test ./cmd/isthmus -run TestReferenceIsCurrent -update

.PHONY: format
format: ## Format Go, protos and the dashboard
	@"$$(tools/tool lint)" fmt
	@go run ./tools/protodeps third_party/proto
	@"$$(tools/tool buf)" format --write proto
	@tools/web format

.PHONY: bench
bench: ## Measure what the README states, beside etcd, Consul and others (ARGS="-bench Writes")
	@tools/bench $(ARGS)

.PHONY: screenshots
screenshots: ## Write pictures of all pages of the dashboard, light and dark, to screenshots/ (ARGS="/another/folder")
	@tools/screenshots $(ARGS)

.PHONY: clean
clean: ## Remove what make built here (the tool cache stays: ~/.cache/isthmus)
	@rm -rf bin third_party coverage* screenshots web/dist/app web/node_modules
