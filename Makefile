# Two commands: `make up` runs Muninn here, `make test` proves it. The rest is for those who change it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE ?=
.DEFAULT_GOAL := help
.PHONY: help setup up down status test check chaos bench bench-ingest bench-detect fuzz lock clean browser

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 14

setup: .venv/.ready  ## the environment alone

# uv is quick but reads nothing of pip's configuration except what is handed on here; where it cannot, pip can.
.venv/.ready: requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Muninn needs Python 3.11 or newer: make PYTHON=python3.x $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Setting up the environment in .venv (once; a minute or two) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || { rm -rf .venv; echo "python3 -m venv failed: install the venv package of your Python (Debian: python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/python -m pip config get global.index-url 2>/dev/null)}}"; \
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements/dev.txt || { \
	  echo "uv could not install the packages, trying pip ..."; \
	  $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-deps --require-hashes -r requirements/dev.txt; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@$(BIN)/python -m muninn.run.warm
	@touch $@

up: setup  ## start everything, in the foreground; Ctrl-C ends it
	@exec $(BIN)/muninn up

down: setup  ## end what `make up` started elsewhere
	@$(BIN)/muninn down

status: setup  ## every part with its health
	@$(BIN)/muninn status

browser:  ## a Chromium for the browser tests, where one may be installed
	@bash tests/install-browser.sh

test: setup browser  ## the whole suite, on real embedded PostgreSQL and Valkey
	@$(BIN)/python -m pytest -n 2 --dist loadfile

chaos: setup  ## kill and pause everything under load, longer than the suite does: MUNINN_TEST_CHAOS_S (120), ..._SEEDS
	@MUNINN_TEST_CHAOS_S=$${MUNINN_TEST_CHAOS_S:-120} MUNINN_TEST_CHAOS_SEEDS=$${MUNINN_TEST_CHAOS_SEEDS:-11,12,13,14} $(BIN)/python -m pytest tests/chaos

check: setup  ## the fast loop: style, types, imports, unit tests
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache && $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow" --hypothesis-profile=quick tests/unit tests/architecture

bench: setup  ## measure, print ratios, write bench/results/*.json
	@$(BIN)/python -m bench

bench-ingest: setup  ## from bytes on the socket to committed rows: samples/s, share of COPY, CPU by stage
	@$(BIN)/python -m bench ingest

bench-detect: setup  ## the labelled anomaly benchmark (MUNINN_BENCH_NAB) with baselines, and speed
	@$(BIN)/python -m bench detect

fuzz: setup  ## each decoder under a coverage-guided fuzzer for a minute (MUNINN_TEST_FUZZ_S), scanners with bounds checked
	@NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=.numba_bounds MUNINN_TEST_FUZZ_S=$${MUNINN_TEST_FUZZ_S:-60} $(BIN)/python -m pytest tests/fuzz

lock: setup  ## renew requirements/*.txt from *.in
	@for set in uv dev run; do $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header $$(test $$set = run && echo "-c requirements/dev.txt") requirements/$$set.in -o requirements/$$set.txt; done

clean: ## remove the environment and caches (the data in MUNINN_HOME stays)
	@rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
