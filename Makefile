# `make demo` and `make test` are all that a fresh machine needs, besides Python >= 3.11 and make.
# Each makes a virtual environment if there is none; a second run installs nothing.

VENV ?= .venv
PYTHON ?= python3
OUT ?= demo
JOBS ?= $(shell getconf _NPROCESSORS_ONLN)
ARGS ?=

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# The tests run as many processes as there are cores, so each keeps to one thread: threads that
# contend for a core make small tensors twenty times slower.
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# Memory that a tensor leaves stays with its process, in place of going back to the system and being
# asked for again with the next tensor: a twentieth of the time (glibc alone reads these).
KEEP_MEMORY := MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_MMAP_THRESHOLD_=33554432
TESTS := $(ONE_THREAD) $(KEEP_MEMORY) $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

.PHONY: help demo test test-fast test-thorough lint format clean
.DEFAULT_GOAL := help

help: ## Say what can be made
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1	/'

demo: $(VENV)/.installed-data ## Train on real digits and write the report to OUT (demo/)
	$(BIN)/pullback demo --out "$(OUT)"

test: lint ## Check format, lint, types and imports; run the tests (ARGS are pytest's)
	$(TESTS) $(ARGS)

test-fast: $(VENV)/.installed-dev ## Run the fast tests only, without format, lint and types
	$(TESTS) -m "not slow and not thorough and not exhaustive" $(ARGS)

test-thorough: $(VENV)/.installed-dev ## Run the dear tests, which `make test` leaves out
	$(TESTS) -m "thorough and not exhaustive" $(ARGS)

lint: $(VENV)/.installed-dev ## Check format, lint and types only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove .venv, build products and caches (the demo's output stays)
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "pullback needs Python >= 3.11, but \`$(PYTHON)\` is $$($(PYTHON) --version 2>&1)." \
	    "Install a newer one and name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv "$(VENV)" || { \
	  echo "No virtual environment could be made in $(VENV). On Debian and Ubuntu, install the" \
	    "package python3-venv; then run make again." >&2; exit 1; }
	@touch $@

$(VENV)/.installed-data: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing pullback and its dependencies into $(VENV): some minutes, this once."
	@$(PIP_INSTALL) -e ".[data]"
	@touch $@

# `dev` contains `data`, so after it the demo has nothing left to install.
$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing pullback with its development tools into $(VENV): some minutes, this once."
	@$(PIP_INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/.installed-data
