# Everything a person or CI does here. Each target installs what it needs into .venv first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOB    ?= jobs/catalog.yaml
HOURS  ?= 0

.PHONY: run test soak check fmt bench clean

run: $(VENV)/.run
	$(BIN)/python -m pipeline run $(JOB)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --cov --cov-report=term $(ARGS)

soak: $(VENV)/.dev
	SOAK=1 HOURS=$(HOURS) $(BIN)/python -m pytest -n auto -ra tests/faults $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fmt: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	$(BIN)/python -m bench $(ARGS)

# Never `build` nor all of `dist`: jobs put pictures that were paid for, and their ledgers, there.
clean:
	rm -rf bench/.cache $(VENV) dist/*.whl dist/*.tar.gz .mypy_cache .pytest_cache .ruff_cache .coverage

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("This needs Python 3.11 or newer; %s is %s. Try: make PYTHON=python3.11 run" % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox,dev]'
	@touch $@ $(VENV)/.run
