# What a contributor and a user type. Every target installs what it lacks, says so, and needs no other step.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PREFIX      ?= /usr/local
DESTDIR     ?=
CARGO       ?= cargo
BINARIES    := life life-agentd life-vault life-platform

.PHONY: help build demo test lint bench soak fuzz install uninstall clean

help: ## Lists the targets.
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## Builds the release binaries into target/release.
	@scripts/need build
	$(CARGO) build --release --locked

demo: ## Does the main job from end to end and prints what it proved.
	@scripts/need build demo
	$(CARGO) build --release --locked
	@demo/run

test: ## Runs every test.
	@scripts/need build test
	$(CARGO) build --workspace --bins --locked
	$(CARGO) test --workspace --locked
	@scripts/miri
	@client-stubs/python/test
	@client-stubs/typescript/test

lint: ## Checks format, lints, layers, licences and scripts.
	@scripts/need build lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) fmt --manifest-path agent/tests/card-rig/Cargo.toml --check
	$(CARGO) clippy --manifest-path agent/tests/card-rig/Cargo.toml --target-dir target/card-rig --locked -- -D warnings
	@scripts/check-macos
	@scripts/check-layers
	@scripts/check-tree
	@scripts/check-secrets
	@client-stubs/typescript/lint

bench: ## Measures, beside the raw limits and programs that do similar work, in one run.
	@scripts/need build bench
	$(CARGO) build --release --locked
	LIFE_BIN_DIR=$(CURDIR)/target/release $(CARGO) bench --locked -p life-e2e --bench agent

soak: ## Runs every test with the long counts: 4 GiB streams, hundreds of kills, LIFE_SOAK_MINUTES (60) of load.
	@scripts/need build test
	$(CARGO) build --workspace --bins --locked
	LIFE_SOAK=1 PROPTEST_CASES=1000 $(CARGO) test --workspace --locked

fuzz: ## Fuzzes every parser where a nightly toolchain is there: make fuzz SECONDS_EACH=60.
	@scripts/need build
	@fuzz/run.sh $(or $(SECONDS_EACH),60)

install: ## Installs binaries, man pages, completions and service units under PREFIX and DESTDIR.
	@scripts/need build
	$(CARGO) build --release --locked
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install $(BINARIES)

uninstall: ## Takes away what install put there.
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install --remove $(BINARIES)

clean: ## Removes everything that was built.
	$(CARGO) clean
	rm -rf .venv client-stubs/typescript/{build,node_modules,proto,src/contract}
