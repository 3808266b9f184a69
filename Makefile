# The commands for working on svhn. `make help` lists them.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=

.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE  # else every process that the tests start would compile svhn anew
.PHONY: help install train test test-fast test-all lint format docs soak bench clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/installed  ## create .venv and install svhn into it

$(VENV)/installed: pyproject.toml
	@echo "installing svhn, PyTorch and the tools for tests into $(VENV): about 3 GB to download, 6 GB on disk"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	@touch $@

train: install  ## train the default model on the built-in data (ARGS="model=mlp epochs=5" changes it)
	$(BIN)/svhn train $(ARGS)

test: install  ## run the tests (ARGS="-k resume" selects some)
	$(BIN)/python -m pytest $(ARGS)

test-fast: install  ## run the unit tests alone: no processes, no training
	$(BIN)/python -m pytest -m unit $(ARGS)

test-all: install  ## run every test, also the full matrix of breakages and the export of large networks
	$(BIN)/python -m pytest -m "unit or engine or e2e" $(ARGS)

lint: install  ## check style, types and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

format: install  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## generate conf/, the text of svhn --help and docs/reference.md
	$(BIN)/python docs/generate.py

soak: install  ## kill commands 300 times and compare what they leave (half an hour)
	$(BIN)/python benchmarks/soak.py $(ARGS)

bench: install  ## measure throughput against other loops (installs lightning)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	$(BIN)/python benchmarks/throughput.py

clean:  ## remove .venv and caches; outputs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
