# Thin wrappers. `make` alone lists them.
SHELL := /bin/bash
export CARGO_TERM_PROGRESS_WHEN ?= auto
ULVS := target/release/ulvs

.PHONY: help demo build install test test-packet soak conformance lint bench bench-core bench-ipvs bench-tls bench-health fuzz oracle deny docs

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## build, then the lecture in two minutes, in a laboratory of network namespaces
	@tests/setup.sh demo
	@$(ULVS) lab run lecture --minutes 2

build: ## target/release/ulvs
	@tests/setup.sh build
	@cargo build --release --quiet

install: PREFIX ?= /usr/local
install: build ## the program with all its names, man pages, completions and systemd unit: PREFIX=/usr/local DESTDIR=
	@DESTDIR="$(DESTDIR)" proxy/dist/install.sh "$(CURDIR)/$(ULVS)" "$(PREFIX)"

test: ## every test, as root; ends with plain counts
	@tests/setup.sh test
	@tests/run.sh

test-packet: ## every namespace test once more, on the packet port
	@tests/setup.sh test
	@ULVS_PORT=packet tests/run.sh --workspace --test main -- $(PORTLESS)

# The workspace as `test` builds it, or everything would be built again.
# Tests that no engine takes part in, that choose the port themselves or are about having none, or about what is shown.
PORTLESS := $(foreach module,alone bench ca conformance doctor examples foreign health_cli labs packet real soak surroundings top vlan words,--skip $(module)::)

soak: build ## traffic by every method under edits, for SECONDS (600) on each port: every byte right, memory flat
	@tests/setup.sh test
	@SOAK_SECONDS=$(or $(SECONDS),600) ULVS_BIN=$(CURDIR)/$(ULVS) tests/run.sh -p tests --test main soak:: -- --nocapture

conformance: build ## every scenario, against what a kernel's IPVS printed
	@tests/setup.sh test
	@tests/conformance/replay.sh

lint: ## formatting, clippy with warnings as errors, documentation links
	@cargo fmt --check
	@cargo clippy --workspace --all-targets --quiet -- -D warnings
	@RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet

bench: build ## ulvs against routing, nftables, HAProxy and nginx (an hour), then commands with 16,000 services: OUT=directory ARGS="--rounds 1"
	@tests/setup.sh bench
	@$(ULVS) lab bench --out $(or $(OUT),target/bench) $(ARGS)
	@tests/services.sh $(ULVS)

bench-core: ## the pure engine: instructions and allocations beside the baseline (ARGS=--save: makes a new one), then times
	@tests/setup.sh bench-core
	@proxy/engine/benches/instructions.sh $(ARGS)
	@GLIBC_TUNABLES=glibc.malloc.hugetlb=1 cargo bench -p engine --bench table
	@GLIBC_TUNABLES=glibc.malloc.hugetlb=1 cargo bench -p engine --bench packets
	@cargo bench -p engine --bench edits

bench-ipvs: build ## ulvs beside a kernel's IPVS, on an emulated machine that has it
	@tests/bench-ipvs.sh $(ULVS)

bench-tls: build ## ulvs, HAProxy and nginx ending TLS at the director; ARGS=--loss: over links that lose packets
	@tests/setup.sh bench
	@$(ULVS) lab bench tls $(ARGS)

bench-health: build ## what 2,000 health checks a second do to requests: ARGS="--kind http --servers 500"
	@tests/setup.sh test
	@$(ULVS) lab bench health $(ARGS)

fuzz: ## search for bytes that break the packet parser or the engine: SECONDS_EACH=60
	@tests/setup.sh fuzz
	@for target in packet engine; do tests/fuzz/run.sh $$target $${SECONDS_EACH:-60} || exit 1; done

oracle: export ORACLE ?= $(CURDIR)/tests/conformance/machine
oracle: ## ask a kernel IPVS and iptables again (half an hour): ORACLE=command that runs a script on a machine that has it
	@sched/tests/oracle/record.sh
	@proxy/src/cli/ipvsadm/tests/record.sh
	@proxy/src/cli/iptables/tests/record.sh
	@tests/conformance/record.sh

deny: ## licences, advisories, banned crates (needs cargo-deny)
	@cargo deny check

docs: ## the code's own documentation, in target/doc
	@cargo doc --workspace --no-deps
