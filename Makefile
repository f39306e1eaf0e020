# The few words people type. `make` alone lists them.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help up build bridge test bench openapi lint clean

# Where `make up` serves.
LISTEN ?= 127.0.0.1:3000
# On what the shop runs: our own host, or `spin` where it is installed. Not from the environment, where some shells keep
# the machine's name in HOST; there it is BODEGA_HOST.
HOST := bodega-host
BODEGA_HOST ?= $(HOST)
export LISTEN BODEGA_HOST

# A folder with a manifest is a component, or a guest of the tests, and is named as its package is.
COMPONENTS := $(notdir $(patsubst %/Cargo.toml,%,$(wildcard components/*/Cargo.toml tests/guests/*/Cargo.toml)))

help:
	@echo 'make up       build, start the shop on http://$(LISTEN) with demo products; Ctrl-C stops it'
	@echo 'make test     build, then run every test, those of the shop on SQLite and on Postgres'
	@echo 'make bench    build, then measure'
	@echo 'make build    build all components'
	@echo 'make bridge   build bodega-bridge, which carries events to and from Kafka, and mails'
	@echo 'make openapi  write down the contract of each service, after a change of its operations'
	@echo 'make lint     formatting and lints'
	@echo 'make clean    remove what was built and the data of `make up`'
	@echo
	@echo 'LISTEN=127.0.0.1:3001   serve somewhere else'
	@echo 'HOST=spin               run on Spin instead of our own host'

up: build
	@scripts/up

build:
	@scripts/need cargo
	@echo '==> components: $(COMPONENTS)'
	@scripts/cargo-wasm build --release $(addprefix -p ,$(COMPONENTS))

bridge:
	@scripts/need cargo cc openssl-dev
	@echo '==> bridge'
	@cargo build --release -p bodega-bridge
	@echo "$${CARGO_TARGET_DIR:-target}/release/bodega-bridge"

test: build
	@scripts/need cargo cc openssl-dev
	@echo '==> tests'
	@scripts/test

bench: build
	@scripts/need cargo cc openssl-dev
	@echo '==> bench'
	@cargo build --workspace --bin bench
	@"$${CARGO_TARGET_DIR:-target}/debug/bench"

# The document of a service is assembled by its own unit test, which otherwise compares it with the file. Once more for what
# refers to the document of another service.
openapi:
	@scripts/need cargo cc openssl-dev
	@export BODEGA_WRITE_OPENAPI=1; for _ in once again; do cargo test --workspace --lib --no-fail-fast contract || [ $$_ = once ]; done

lint:
	@scripts/need cargo cc openssl-dev
	@echo '==> formatting'
	@scripts/cargo-lint fmt --all --check
	@echo '==> lints'
	@scripts/cargo-lint clippy --workspace --all-targets -- -D warnings

clean:
	cargo clean
	rm -rf .spin
