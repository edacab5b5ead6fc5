# podinit. `make` lists what there is; each target says what it does and installs what it is missing (as root, on Debian).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BINARY := target/$(TARGET)/release/podinit
# What the demo and the tests run for real (wrk makes load; tini is what `podinit --` is compared with).
STACK := php8.2-fpm php8.2-cli php-redis php8.2-sqlite3 php-laravel-framework nginx redis-server wrk tini python3 curl iproute2
# Peers that the benchmarks run beside podinit.
PEERS := s6 tini supervisor runit dumb-init
BUILD := gcc libc6-dev make
# Installed where no cargo-deny is.
CARGO_DENY := 0.20.2
# What a kind cluster takes, and what else where no Docker answers: one of our own, and a node image built from packages.
E2E := busybox-static jq python3 zstd
OWN_DOCKER := ca-certificates debootstrap docker.io iproute2 iptables

# What is tested against an API server mostly waits.
API_THREADS := --test-threads 5

say = @printf '\n\033[1m== %s\033[0m\n' "$(1)"

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Installs the Debian packages that are missing; says how where it may not.
define install
	@missing=(); for package in $(1); do \
	  [[ "$$(dpkg-query -W -f='$${db:Status-Status}' $$package 2>/dev/null)" == installed ]] || missing+=($$package); \
	done; \
	if (($${#missing[@]})); then \
	  if [[ $$(id -u) != 0 ]]; then echo "missing: $${missing[*]}. As root: apt-get install $${missing[*]}" >&2; exit 1; fi; \
	  echo "installing $${missing[*]}"; \
	  apt-get update -qq; \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null; \
	fi
endef

.PHONY: stack
stack:
	$(call say,the real stack: nginx, php-fpm, redis, Laravel)
	$(call install,$(BUILD) $(STACK))

.PHONY: peers
peers:
	$(call say,peers for the benchmarks)
	$(call install,$(BUILD) $(STACK) $(PEERS))

.PHONY: build
build: ## the static release binary
	$(call say,building $(BINARY))
	cargo build --release --locked
	@ls -l $(BINARY)

.PHONY: demo
demo: stack build ## a real Laravel stack under podinit as PID 1, step by step with a verdict
	$(call say,a Laravel pod under podinit)
	examples/laravel/demo $(BINARY)

.PHONY: test
test: ## the whole test suite, on real processes, the real stack and a real API server
	@$(MAKE) --no-print-directory --keep-going test-processes test-api
	$(call say,every test passed)

.PHONY: test-processes
test-processes: stack ## the tests that take no API server
	$(call say,tests)
	cargo test --locked --no-fail-fast --features api --lib --bins --test '[!a]*' --test 'a[!p]*'

.PHONY: test-api
test-api: stack kubernetes ## the tests against a real API server
	$(call say,tests against a real API server)
	cargo test --locked --no-fail-fast --features api --test 'api*' -- $(API_THREADS)
	$(call say,every test against a real API server passed)

.PHONY: docker
docker:
	$(call say,Docker for the tests)
	$(call install,git python3)
	$(if $(shell docker version >/dev/null 2>&1 && echo yes),,$(call install,debootstrap docker.io docker-compose iptables iproute2 util-linux))

.PHONY: images
images: docker build ## podinit's images, made without Docker or a registry, into ~/.cache/podinit
	$(call say,images)
	@kind-e2e/images $(BINARY)

.PHONY: test-images
test-images: docker build ## the images in a real Docker, without building them by it
	$(call say,tests of the images in Docker)
	kind-e2e/docker-test $(BINARY) --packed

.PHONY: test-docker
test-docker: docker build ## the images in a real Docker, and every command of docs/docker.md
	$(call say,tests in Docker)
	kind-e2e/docker-test $(BINARY)

.PHONY: test-charts
test-charts: stack kubernetes ## the Helm charts: rendered by Helm 3 and 4, checked, run, and installed into a real API server
	$(call say,tests of the Helm charts)
	$(if $(shell command -v go),,$(call install,golang-go ca-certificates))
	$(call install,python3-venv util-linux openssl)
	@[[ -n "$${PODINIT:-}" ]] || $(MAKE) build
	@tools=$$(charts/tests/tools); eval "$$tools"; export HELM3 HELM4 PYTHON PYTHONDONTWRITEBYTECODE=1; \
	  PODINIT=$${PODINIT:-$(BINARY)} $$PYTHON -m pytest -q -p no:cacheprovider --numprocesses 2 --dist loadfile charts/tests
	$(call say,every test of the charts passed)

.PHONY: kubernetes
kubernetes: ## Kubernetes and etcd for the tests, from their Go modules, into ~/.cache/podinit
	$(call say,Kubernetes for the tests)
	$(if $(shell command -v go),,$(call install,golang-go ca-certificates))
	@kind-e2e/build

.PHONY: e2e-packages
e2e-packages:
	$(call say,kind)
	$(call install,$(E2E))
	$(if $(shell docker version 2>/dev/null),,$(call install,$(OWN_DOCKER)))
	$(if $(shell command -v go),,$(call install,golang-go ca-certificates))

.PHONY: e2e-up
e2e-up: e2e-packages ## a kind cluster of two nodes to work with by hand; prints what to eval
	@kind-e2e/up

.PHONY: e2e-down
e2e-down: ## deletes that cluster and all that came with it
	@kind-e2e/down

.PHONY: e2e-root
e2e-root:
	@kind-e2e/suite/run --as-root

.PHONY: e2e
e2e: e2e-root build e2e-packages docker ## podinit on a real kubelet, as root: makes a kind cluster, runs the suite in it, deletes it
	$(call say,podinit in a kind cluster)
	$(call install,python3-venv)
	@tools=$$(charts/tests/tools); eval "$$tools"; export PYTHON HELM=$$HELM4; \
	  kind-e2e/run --images $(BINARY) kind-e2e/suite/run $(BINARY)
	$(call say,every test in the cluster passed)

.PHONY: fmt
fmt: ## formats the code
	cargo fmt

.PHONY: lint
lint: ## format, clippy, dependencies
	$(call say,format)
	cargo fmt --check
	$(call say,clippy)
	cargo clippy --locked --all-targets --features api -- -D warnings
	$(call say,dependencies: licences, bans, sources)
	@command -v cargo-deny >/dev/null || cargo install --locked --quiet --version $(CARGO_DENY) cargo-deny
	cargo deny --log-level error check bans licenses sources

.PHONY: bench
bench: peers build ## podinit beside s6, tini, runit, dumb-init and supervisord in one run; prints the table of the README
	$(call say,benchmarks)
	benches/run $(BINARY)

.PHONY: ci
ci: ## all that continuous integration checks
	$(MAKE) lint
	$(MAKE) test
	$(MAKE) test-charts
	$(MAKE) demo
	$(MAKE) e2e
	$(MAKE) test-images
