# usertcp: what a newcomer and the project run; `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := all

PREFIX ?= /usr/local
DESTDIR ?=
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
DOCDIR ?= $(PREFIX)/share/doc/usertcp
PYTHON ?= python3
CARGO ?= cargo
CC ?= cc
CXX ?= c++
CFLAGS ?= -O2
LDCONFIG ?= ldconfig

# Absolute, since pip and the tests build from other directories.
CARGO_TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
RELEASE := $(CARGO_TARGET_DIR)/release
VENV := $(CARGO_TARGET_DIR)/venv
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
SOVERSION := $(firstword $(subst ., ,$(VERSION)))
EXAMPLES := $(patsubst examples/c/%.c,$(CARGO_TARGET_DIR)/examples-c/%,$(wildcard examples/c/*.c))
# One of them needs another library; without it there are the others.
OPENSSL := $(shell pkg-config --cflags --libs openssl 2>/dev/null)
EXAMPLES := $(if $(OPENSSL),$(EXAMPLES),$(filter-out %/tls_get,$(EXAMPLES)))
BENCH_OURS := $(CARGO_TARGET_DIR)/contenders/ours
export CARGO_TARGET_DIR CARGO CC CXX PYTHON VENV DEMO_ARGS

# What `make check` adds to `make test`, in this order.
CHECKS := check-style check-docs check-loom check-fuzz check-types check-wheel check-install check-internet check-valgrind check-asan \
    check-pythons check-user

.PHONY: all help need venv wheel examples docs program demo bench compare netsim test test-rust test-python check clean install $(CHECKS)

all: need ## the libraries libusertcp.so and libusertcp.a, optimised
	$(CARGO) build --release -p usertcp-ffi
	@ln -sf libusertcp.so $(RELEASE)/libusertcp.so.$(SOVERSION)
	@echo "built $(RELEASE)/libusertcp.so and libusertcp.a; header: include/usertcp.h"

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  variables: PREFIX=$(PREFIX) DESTDIR= PYTHON=$(PYTHON) CC=$(CC) CARGO_TARGET_DIR"

need:
	@tools/need.sh build

# The wheel is built with the release profile into the same target directory.
venv: need
	@test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet './python[test]'

DIST := $(CARGO_TARGET_DIR)/dist

wheel: venv ## the Python package as it is published: a wheel for Python 3.11 and later and an sdist, in target/dist
	@rm -rf $(DIST)
	$(VENV)/bin/pip install --quiet 'maturin>=1.9.4,<2'
	$(VENV)/bin/maturin build --quiet --release --manifest-path python/Cargo.toml --out $(DIST)
	@$(VENV)/bin/maturin sdist --manifest-path python/Cargo.toml --out $(DIST) 2>$(DIST)/log || { cat $(DIST)/log >&2; exit 1; }
	@rm $(DIST)/log

examples: all $(EXAMPLES)

$(CARGO_TARGET_DIR)/examples-c/%: examples/c/%.c include/usertcp.h all
	@mkdir -p $(@D)
	$(CC) -std=c99 -D_GNU_SOURCE -Wall -Wextra $(CFLAGS) -Iinclude -o $@ $< -L$(RELEASE) -lusertcp -Wl,-rpath,$(RELEASE) -pthread \
	    $(if $(filter %/tls_get,$@),$(OPENSSL))

demo: venv examples ## downloads and servers over the stack in a sandbox, with a table of results
	$(CARGO) build --quiet --release -p usertcp-tracecheck
	$(VENV)/bin/python examples/demo.py --examples $(CARGO_TARGET_DIR)/examples-c --judge $(RELEASE)/usertcp-tracecheck $(DEMO_ARGS)

# ONLY="measure;..." and WHO=contender,... choose by names; ROUNDS=n, WINDOW=ms, LOAD=cores as docs/PERFORMANCE.md says.
# PyTCP is compared with: nothing that is installed needs it.
bench: $(BENCH_OURS) venv ## as fast as a TUN allows? The table of docs/PERFORMANCE.md, in target/bench/results.json; QUICK=1
	$(VENV)/bin/pip install --quiet pmd-pytcp==0.3.8
	$(CARGO) build --quiet --release -p usertcp-bench --bin bench
	$(RELEASE)/bench $(CURDIR)/target/bench/results.json $(foreach who,ours ours-spin ours-one ours-bridge ours-two,$(who)=$(BENCH_OURS)) \
	    $(foreach who,ours-python ours-asyncio kernel-asyncio,$(who)=$(VENV)/bin/python $(who)=$(CURDIR)/core/bench/contenders/python.py) \
	    pytcp=$(VENV)/bin/python pytcp=$(CURDIR)/core/bench/contenders/pytcp.py

$(BENCH_OURS): core/bench/contenders/ours.c include/usertcp.h all
	@mkdir -p $(@D)
	$(CC) -std=c99 -D_GNU_SOURCE -Wall -Wextra $(CFLAGS) -Iinclude -o $@ $< -L$(RELEASE) -lusertcp -Wl,-rpath,$(RELEASE) -pthread

compare: need ## against Linux on the same wire, in target/compare/results.json; QUICK=1, CELLS=name,..., ROUNDS=n
	$(CARGO) build --quiet --release -p usertcp-bench --bin compare
	$(RELEASE)/compare $(CURDIR)/target/compare/results.json

test: need ## every test a newcomer can run: Rust, C and Python
	@tools/need.sh report
	$(MAKE) --no-print-directory test-rust
	$(MAKE) --no-print-directory test-python
	@tools/skipped.sh $(CARGO_TARGET_DIR)/test-rust.log $(CARGO_TARGET_DIR)/test-python.log

test-rust: need
	tools/rust.sh $(CARGO_TARGET_DIR)/test-rust.log

test-python: venv
	$(VENV)/bin/python -m pytest python/tests -ra 2>&1 | tee $(CARGO_TARGET_DIR)/test-python.log

# RUN names a cell or has settings: make netsim RUN="rate=10M rtt=50ms loss=1% flows=2 seed=7"; make netsim RUN=--help lists them.
netsim: need ## the grid of simulated paths, or RUN="a cell or settings" over time, as numbers and pictures
	$(CARGO) run --quiet --release -p usertcp-bench --bin netsim -- $(RUN)

check: ## what takes longer or needs more
	@for stage in $(CHECKS); do \
	    echo "== $$stage"; \
	    $(MAKE) --no-print-directory $$stage || { echo "failed: make $$stage" >&2; exit 1; }; \
	done
	@echo "make check: all passed"

check-style: need ## rustfmt, clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

check-docs: need ## rustdoc without a warning; the reference of the Python package, whole
	$(PYTHON) tools/reference.py $(MANUAL)/python
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --document-private-items

check-loom: need ## every interleaving of bell, cell, gate, seat, readiness, poll set and handle table
	tools/loom.sh

check-valgrind: all ## the C tests under valgrind
	tools/valgrind.sh

check-asan: need ## the C tests with AddressSanitizer
	tools/asan.sh

check-fuzz: need ## corpora and mutations for a longer while, then libFuzzer where it can be built
	tools/fuzz.sh

check-types: venv ## mypy on the module, and its stubs against what is compiled
	tools/types.sh

check-wheel: wheel ## the wheel and the sdist: tag and content, and both installed and used
	tools/wheel.sh

check-pythons: venv ## the Python tests, and CPython's own of sockets, with every Python found
	tools/pythons.sh

check-install: all program docs ## make install into a folder, consumers by pkg-config, CMake, cargo-c; the manual; the Debian packages
	tools/install.sh
	tools/debian.sh

check-internet: venv examples ## the README's commands for the internet, word for word in a namespace
	tools/internet.sh

check-user: venv examples ## the demo as an ordinary user
	tools/user.sh

MANUAL := $(CARGO_TARGET_DIR)/manual

docs: ## the C library's manual from its header, man pages and HTML; the Python package's guide and reference, HTML; in target/manual
	@rm -rf $(MANUAL)
	$(PYTHON) tools/manual.py $(MANUAL)
	$(PYTHON) tools/reference.py $(MANUAL)/python

# What pkg-config and CMake read, with the folders filled in.
FILL := sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' \
    -e 's|@SOVERSION@|$(SOVERSION)|' -e "s|@TO_INCLUDEDIR@|$$(realpath -m --relative-to=$(LIBDIR)/cmake/usertcp $(INCLUDEDIR))|"

program: need ## the program usertcp, which is installed beside the library
	$(CARGO) build --release -p usertcp-cli

install: all program docs ## into $(DESTDIR)$(PREFIX)
	install -D -m 755 $(RELEASE)/usertcp $(DESTDIR)$(BINDIR)/usertcp
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(LIBDIR)/cmake/usertcp $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(DOCDIR)/examples
	install -m 755 $(RELEASE)/libusertcp.so $(DESTDIR)$(LIBDIR)/libusertcp.so.$(VERSION)
	ln -sf libusertcp.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libusertcp.so.$(SOVERSION)
	ln -sf libusertcp.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/libusertcp.so
	install -m 644 $(RELEASE)/libusertcp.a $(DESTDIR)$(LIBDIR)/libusertcp.a
	install -m 644 include/usertcp.h include/usertcp.hpp $(DESTDIR)$(INCLUDEDIR)
	$(FILL) ffi/usertcp.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/usertcp.pc
	for file in usertcp-config usertcp-config-version; do \
	    $(FILL) ffi/$$file.cmake.in > $(DESTDIR)$(LIBDIR)/cmake/usertcp/$$file.cmake || exit 1; \
	done
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/usertcp.pc $(DESTDIR)$(LIBDIR)/cmake/usertcp/*.cmake
	cd $(MANUAL)/man && find . -type f -exec install -D -m 644 {} $(if $(DESTDIR),$(abspath $(DESTDIR)))$(MANDIR)/{} \;
	cd $(MANUAL)/html && find . -type f -exec install -D -m 644 {} $(if $(DESTDIR),$(abspath $(DESTDIR)))$(DOCDIR)/html/{} \;
	install -m 644 examples/c/*.c examples/c/Makefile $(DESTDIR)$(DOCDIR)/examples
	$(if $(DESTDIR),,$(LDCONFIG) || echo "$(LIBDIR) may not be known to the loader: run ldconfig as root, or set LD_LIBRARY_PATH" >&2)

clean: ## removes what was built
	$(CARGO) clean
