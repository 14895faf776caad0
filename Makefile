.DEFAULT_GOAL := help
.PHONY: help install bench report check quick test slow lint types format clean
.DELETE_ON_ERROR:

PYTHON ?= python3
SUITE ?= paper-compute public pocket
DEVICE ?= auto
DATA ?=
OPTIONS ?=
PYTEST ?=
BASE ?= HEAD~1
MODELS ?=

BIN := .venv/bin
comma := ,
data_options := $(foreach pair,$(subst $(comma), ,$(DATA)),--data $(pair))

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10
	@echo 'Variables of bench: SUITE="$(SUITE)" DEVICE=$(DEVICE) DATA=NAME=PLACE[,NAME=PLACE] OPTIONS=--download'
	@echo 'Variables of check: BASE=$(BASE) MODELS=NAME[,NAME] OPTIONS=--write=junit=speed.xml'

install: .venv/installed ## make .venv (again when pyproject.toml changes)

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say PYTHON=python3.12, for example."; exit 2; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

bench: .venv/installed ## run SUITE on DEVICE and write its report to reports/local/
	@$(BIN)/vitbench run $(SUITE) --device $(DEVICE) $(data_options) $(OPTIONS); code=$$?; \
	if [ $$code -le 1 ]; then $(BIN)/vitbench report $(SUITE) || exit $$?; fi; exit $$code

report: .venv/installed ## rebuild the committed reports from the committed results
	$(BIN)/vitbench report --shipped

check: .venv/installed ## is this tree slower than BASE? (vitbench check)
	$(BIN)/vitbench check --base $(BASE) $(foreach model,$(subst $(comma), ,$(MODELS)),--model $(model)) $(OPTIONS)

quick: .venv/installed ## run the tests that start no process, need no torch and draw no page (a minute)
	$(BIN)/python -m pytest -n 2 --dist loadfile -q -m 'not slow' --quick

test: .venv/installed ## run the tests (about 11 minutes)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow' $(PYTEST)

slow: .venv/installed ## run the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: .venv/installed ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed ## check types
	$(BIN)/mypy

format: .venv/installed ## mend style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove .venv, caches and your own results and reports
	rm -rf .venv results/local reports/local .pytest_cache .mypy_cache .ruff_cache *.egg-info build dist
	find bench tests -name __pycache__ -type d -prune -exec rm -rf {} +
