# What people type. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The PostgreSQL to install into, as with any extension: make install PG_CONFIG=/path/to/pg_config
PG_CONFIG ?= pg_config
DESTDIR ?=
# A part of test names: make test-cluster FILTER=restart
FILTER ?=
# Every case of the tests that try many, and not a quarter of them: make test EXTRA=1
EXTRA ?=
export PG_BACKUP_TEST_EXTRA := $(or $(EXTRA),$(PG_BACKUP_TEST_EXTRA))
# The major version of PostgreSQL that is tested: make test PG=17
PG ?= 15

# Not in the checkout: the operating system's user `postgres` must be able to read it.
export PG_BACKUP_TEST_DIR ?= $(patsubst %/,%,$(or $(TMPDIR),/tmp))/pg_backup-test-$(shell id -u)
# One directory per major version: trees, templates and clusters stay apart.
TESTS = $(PG_BACKUP_TEST_DIR)$(if $(filter-out 15,$(PG)),/pg$(PG))
TEST_FEATURES := pg_test,fault_points
# The Cargo feature of that major version; the default is pg15.
PG_FEATURE = $(if $(filter-out 15,$(PG)),--no-default-features --features pg$(PG))
# The headers of that major version; those of 15 are set in .cargo/config.toml.
PG_HEADERS = $(if $(filter-out 15,$(PG)),export PGRX_PG_CONFIG_PATH=$$(scripts/pg.sh $(PG));)
TEST_RUNNER = $(if $(shell command -v cargo-nextest),nextest run,test)

.PHONY: help setup pg demo demo-stop test test-all test-core test-cluster test-install \
        test-timescale install uninstall bench lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing (Debian 12 or 13)
	@scripts/setup.sh

pg: setup ## a PostgreSQL of another major version (PG=15 to 18), made where there is none
	@scripts/pg.sh "$(PG)"

demo: ## a verified backup of a sample database, in a throwaway cluster
	@scripts/demo.sh

demo-stop: ## stop the demo's server; its databases and backups stay
	@scripts/stop-demo.sh

test: test-core test-cluster ## every test (PG=16 for another major version)

test-all: test-core ## every test with every major version, and a table of what passed
	@scripts/test-all.sh

test-core: setup ## the tests that need no server (FILTER=part of a name)
	cargo $(TEST_RUNNER) --all-features -p pg_backup_core -p xtask $(FILTER)
	$(if $(FILTER),,cargo test --quiet --doc --all-features -p pg_backup_core)

test-cluster: test-install ## the tests on real clusters (PG=16, FILTER=part of a name)
	@rm -f "$(TESTS)/skipped" "$(TESTS)/sampled"
	@place=$$(scripts/test-place.sh "$(TESTS)" $$$$); \
	[ "$$place" = "$(TESTS)" ] || trap 'rm -rf "$$place" || true' EXIT; \
	PG_BACKUP_TEST_DIR="$(TESTS)" PG_BACKUP_TEST_RUN="$$place" \
	    cargo $(TEST_RUNNER) -p pg_backup_tests $(FILTER)
	@[ ! -f "$(TESTS)/sampled" ] || awk '{ tried += $$1; all += $$2 } END { print \
	    "Of the tests that try many cases, " tried " of " all " were tried: EXTRA=1 tries all." }' \
	    "$(TESTS)/sampled"

test-install: setup ## build and install for the tests, into a private tree
	@mkdir -p "$$PG_BACKUP_TEST_DIR"; [ -O "$$PG_BACKUP_TEST_DIR" ] || \
	    { echo "make: PG_BACKUP_TEST_DIR belongs to another user" >&2; exit 1; }
	@mkdir -p "$(TESTS)"; chmod 755 "$$PG_BACKUP_TEST_DIR" "$(TESTS)"
	@scripts/test-clients.sh
	@[ "$(PG)" = 15 ] || ln -sfn ../clients ../frameworks "$(TESTS)/"
	@$(PG_HEADERS) pg_config=$$(cargo xtask tree "$(TESTS)/pg"); \
	cargo xtask install --features $(TEST_FEATURES) --pg-config "$$pg_config" >/dev/null

test-timescale: setup ## the round trip with the real TimescaleDB, in a root of Debian 13 (as root)
	@scripts/test-timescale.sh

# Of the major version that it is for, nothing but that PostgreSQL is needed.
define INSTALL
@$(if $(filter file,$(origin PG_CONFIG)),,"$(PG_CONFIG)" --version >/dev/null;) \
major=$$("$(PG_CONFIG)" --version 2>/dev/null | sed -E 's/[^0-9]*([0-9]+).*/\1/') || true; \
[ "$${major:-15}" = 15 ] || export PGRX_PG_CONFIG_PATH="$$("$(PG_CONFIG)" --bindir)/pg_config"; \
scripts/setup.sh; \
cargo xtask install --release --pg-config "$(PG_CONFIG)"
endef

install: ## build and install into the PostgreSQL of PG_CONFIG
	$(INSTALL) $(if $(DESTDIR),--destdir "$(DESTDIR)")

uninstall: ## remove what `make install` has put there
	@library=$$("$(PG_CONFIG)" --pkglibdir); scripts=$$("$(PG_CONFIG)" --sharedir)/extension; \
	rm -fv "$(DESTDIR)$$library/pg_backup.so" "$(DESTDIR)$$scripts/pg_backup.control" \
	    "$(DESTDIR)$$scripts"/pg_backup--*.sql

bench: ## measure the claims of the README (PG=18 for another major version)
	@PG="$(PG)" bench/run.sh

lint: setup ## formatting and clippy, warnings are errors
	cargo fmt --all --check
	$(PG_HEADERS) cargo clippy --quiet --workspace --all-targets $(PG_FEATURE) -- -D warnings
	$(PG_HEADERS) cargo clippy --quiet --workspace --all-targets $(PG_FEATURE) \
	    --features $(TEST_FEATURES) -- -D warnings

clean: ## remove what was built and the tests' private tree
	cargo clean --quiet
	@rm -rf "$$PG_BACKUP_TEST_DIR"/{,pg1[678]/}{pg,run,template-*,lock}

# Packages.
.PHONY: all deb test-deb test-docker test-pgrx dist

# What PGXN's client calls before `make install`.
all:
	$(INSTALL) --destdir target/stage

deb: ## a Debian package: make deb PG=17
	@$(PG_HEADERS) scripts/setup.sh; scripts/deb.sh "$(or $(PG),15)"

test-deb: setup ## the Debian packages in clean roots of Debian 12 and 13 (as root)
	@scripts/test-deb.sh

test-docker: setup ## the steps of the Dockerfile, without a registry (as root; PG=15 or 17)
	@scripts/test-docker.sh "$(or $(PG),15)"

test-pgrx: setup ## what cargo pgrx package makes (PG=17 for another major version)
	@scripts/test-pgrx.sh "$(PG)"

dist: ## the committed source as PGXN takes it: target/dist/pg_backup-VERSION.zip
	@version=$$(cargo pkgid --package pg_backup | sed 's/.*[@#]//'); mkdir -p target/dist; \
	zip=target/dist/pg_backup-$$version.zip; \
	git archive --format=zip --prefix="pg_backup-$$version/" --output="$$zip" HEAD; echo "$$zip"

.PHONY: reference
reference: test-install ## write docs/reference.md, and what SQL prints, into the documents
	PG_BACKUP_WRITE_DOCS=1 cargo $(TEST_RUNNER) -p pg_backup_tests -- \
	    documentation:: readme:: readme_sql::

.PHONY: demo-record
demo-record: ## run the demo and write its session into the README
	@scripts/record-demo.sh
