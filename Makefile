# What can be made. PYTHON=python3.13 takes another Python than python3.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STARTED := $(shell date +%s)
# One stamp for each Python: with another PYTHON the environment is made anew.
VERSION := $(shell $(PYTHON) -c 'print("%d.%d" % __import__("sys").version_info[:2])' 2>/dev/null)
STAMP := $(VENV)/set-up-with-$(VERSION)
# Four at once, on two cores too: for a good part of their time they wait.
QUICK := $(BIN)/python -m pytest tests/unit tests/fake tests/contract --numprocesses=4 --dist=worksteal
QUIET_PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONPATH=

.DEFAULT_GOAL := help
.PHONY: help setup demo fmt lint unit test test-big bench bench-exchange docs docs-check dist clean check-python check-java

help:           ## this list
	@sed -n 's/^\([a-z-]*\): .*## /  make \1#/p' $(MAKEFILE_LIST) | awk -F'#' '{printf "%-18s %s\n", $$1, $$2}'

setup: $(STAMP) ## a virtual environment in .venv with rayyarn and all that its tests need

demo: check-python check-java ## Spark and Ray side by side on a real YARN on this machine, with real data
	@$(MAKE) --no-print-directory setup
	@RAYYARN_DEMO_STARTED=$(STARTED) $(BIN)/python examples/demo.py

fmt: setup      ## format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

lint: setup     ## ruff, mypy --strict
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy

unit: setup     ## the quick tests: no YARN, no Java
	@$(QUICK) -q

test: check-python check-java ## lint, and all tests, on a real YARN that they start and stop themselves
	@$(MAKE) --no-print-directory lint
	@$(QUICK)
	@$(BIN)/python -m pytest tests/yarn

test-big: check-python check-java ## what `make test` has no time for: 5 GB in one partition, 10,000 partitions, all of Spark 3.5
	@$(MAKE) --no-print-directory setup
	@$(BIN)/python -m pytest -m big -s tests/yarn/test_exchange_big.py

bench: check-python check-java ## measure what docs and README promise
	@$(MAKE) --no-print-directory setup
	@$(BIN)/python bench/run.py

bench-exchange: check-python check-java ## measure Spark to Ray and back, against files
	@$(MAKE) --no-print-directory setup
	@$(BIN)/python bench/exchange.py

docs: setup     ## write the generated parts of docs/reference
	@$(BIN)/python -m rayyarn_cli.reference docs

docs-check: setup ## say what is missing in README and docs
	@$(BIN)/python -m pytest -q tests/contract/test_docs.py tests/contract/test_readme.py

dist: setup     ## the wheel, in dist/
	@$(QUIET_PIP) $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/*.whl

clean:          ## remove .venv, dist and caches of tools; environments stay in ~/.cache/rayyarn
	@rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A setup that was interrupted leaves no stamp. What it made is used again if pip works in it.
$(STAMP): pyproject.toml | check-python
	@test "$$($(BIN)/python -c 'print("%d.%d" % __import__("sys").version_info[:2])' 2>/dev/null)" = "$(VERSION)" \
	  && $(BIN)/python -m pip --version >/dev/null 2>&1 \
	  || { echo "making $(VENV) with Python $(VERSION)"; $(PYTHON) -m venv --clear $(VENV); }
	@rm -f $(VENV)/set-up-with-*
	@echo "installing what rayyarn and its tests need into $(VENV)"
	@$(QUIET_PIP) $(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(QUIET_PIP) $(BIN)/python -m pip install --quiet --editable '.[mini]' --group dev
	@touch $@

check-python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "error: no $(PYTHON) on PATH"; echo "try: apt-get install python3 python3-venv"; exit 1; } >&2
	@case "$(VERSION)" in 3.11|3.12|3.13) ;; *) \
	  echo "error: $(PYTHON) is Python $(VERSION); rayyarn runs on 3.11, 3.12 and 3.13"; \
	  echo "try: make PYTHON=python3.13 $(MAKECMDGOALS)"; exit 1;; esac >&2
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "error: $(PYTHON) cannot make virtual environments: a part of it, venv, is a package of its own here"; \
	  echo "try: apt-get install python$(VERSION)-venv   # Debian and Ubuntu"; exit 1; } >&2

check-java: | check-python
	@PYTHONPATH=. PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -c 'import sys; from rayyarn import errors, hadoop; \
	  exec("try: hadoop.find_java(at_least=17)\nexcept errors.RayYarnError as e: sys.exit(f\"error: {e}\\ntry: {e.hint}\")")'
