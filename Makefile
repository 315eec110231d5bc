# Everything a newcomer needs: `make demo`, `make test`. Both set themselves up; a compiler is used if there is one.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SYSTEM_PACKAGES := libusb-1.0-0 libgl1 libgomp1 libx11-6

# Tests start a hundred Python processes; without stored bytecode each would compile torch and open_clip anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo docs test lint format types slow lock clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.ready  ## make .venv from the lock file, with this project in it

$(VENV)/.ready: requirements.lock pyproject.toml setup.py $(wildcard data_prep/native/*.?pp data_prep/native/kernels/*.?pp)
	@$(PYTHON) -c 'import sys; sys.exit("clip2 needs Python >= 3.10, this is " + sys.version.split()[0] + "; set PYTHON=python3.11, say") if sys.version_info < (3, 10) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "could not make a virtual environment; on Debian: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@$(MAKE) --no-print-directory system-libraries
	@touch $@

# open3d's wheel loads a few system libraries that pip cannot bring.
.PHONY: system-libraries
system-libraries:
	@$(BIN)/python -c 'import open3d' >/dev/null 2>&1 && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing system libraries for open3d: $(SYSTEM_PACKAGES)"; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends $(SYSTEM_PACKAGES) >/dev/null; \
	fi; \
	$(BIN)/python -c 'import open3d' >/dev/null 2>&1 || { \
		echo "open3d cannot load a system library; run: sudo apt-get install -y $(SYSTEM_PACKAGES)"; exit 1; }

demo: setup  ## the whole path on a small made-up scan, with a page to open at the end
	$(BIN)/clip2 demo --out demo

test: setup lint types  ## lint, types and the default test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

docs: setup  ## the documentation as a site, in site/index.html
	$(BIN)/python docs/build.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

slow: setup  ## the tests that take longer: many kills, a real browser, long training
	$(BIN)/python -m pytest -m slow --timeout 0

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/codespell
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive clip2 data_prep

format: setup  ## apply the formatter and the safe lint fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup
	$(BIN)/mypy

lock: setup  ## resolve the dependencies again
	$(BIN)/uv pip compile pyproject.toml --extra dev -o requirements.lock --universal --python-version 3.10 \
		--no-emit-index-url --no-emit-find-links --generate-hashes --upgrade --quiet --custom-compile-command "make lock"

clean:  ## remove the environment and everything generated
	rm -rf $(VENV) demo build site docs/reference data_prep/native/*.so *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
