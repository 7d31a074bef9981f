# PYTHON makes the virtual environment; 3.10 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# These repeat, in many variants, what other tests cover; coverage would take half as much time again.
UNTRACED := tests/proof tests/test_metamorphic.py

.DEFAULT_GOAL := help
.PHONY: help demo test test-static proof lint format docs bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

# One stamp for each set of extras, so that a second run installs nothing.
$(VENV)/.%: pyproject.toml setup.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(if $(filter base,$*),.,.[$*])'
	@touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "bnlint needs Python 3.10 or later; set PYTHON.")'
	$(PYTHON) -m venv $(VENV)

demo: $(VENV)/.base  ## install bnlint, check a small broken program and show how to repair it
	@echo '$$ bnlint check fixtures/demo'
	@$(BIN)/bnlint check fixtures/demo; test $$? -eq 1
	@echo
	@echo '$$ bnlint check --diff fixtures/demo'
	@$(BIN)/bnlint check --diff fixtures/demo; test $$? -eq 1

test: $(VENV)/.test,runtime,pytorch  ## install what the tests need, frameworks included, and run them all, with coverage
	$(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-report=term $(UNTRACED:%=--ignore %)
	$(BIN)/python -m pytest -n auto --dist worksteal $(UNTRACED)

test-static: $(VENV)/.test  ## the tests that execute no model; much faster, and without the frameworks
	$(BIN)/python -m pytest -n auto --ignore tests/runtime --ignore tests/proof

proof: $(VENV)/.test,runtime,pytorch  ## run every rule's bad program and its repair, and write docs/proof.md
	$(BIN)/python -m pytest tests/proof --write-proof

lint: $(VENV)/.dev  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy bnlint rules

format:  $(VENV)/.dev  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.base  ## write the table of rules and their pages again
	@mkdir -p docs/rules
	@rm -f docs/rules/*.md
	$(BIN)/bnlint rules --output-format markdown > docs/rules.md
	@set -e; for code in $$($(BIN)/bnlint rules | sed '1d; s/ .*//'); do \
	  $(BIN)/bnlint rule $$code > docs/rules/$$code.md; \
	done

bench: $(VENV)/.bench,runtime  ## measure beside Ruff and Fixit; TREES="dir ..." names other code to measure on
	$(BIN)/python benchmarks/bench.py $(TREES)
	$(BIN)/python benchmarks/server.py
	$(BIN)/python benchmarks/runtime.py

clean:  ## remove what the targets above made
	rm -rf $(VENV) build dist *.egg-info
