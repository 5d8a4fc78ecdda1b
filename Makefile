# Everything a person or CI does here. Each target installs what it needs into .venv first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOB    ?= jobs/catalog.yaml
HOURS  ?= 0
# Anything: with branch coverage, which takes half as long again.
COVER  ?=

# As in anybody's shell. Without byte code, each of the thousand processes of the fault suite would compile the program.
unexport PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED

PIP    := -m pip install --quiet --disable-pip-version-check
NEWEST := $(VENV)/newest
LOCKER := $(VENV)/locker
LOCK   := $(LOCKER)/bin/uv pip compile pyproject.toml --quiet --no-config --universal --python-version 3.11 \
          --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
          --upgrade --group build --extra sandbox

.PHONY: run test faults soak check fmt bench lock test-newest clean

run: $(VENV)/.run
	$(BIN)/python -m pipeline run $(JOB)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto $(if $(COVER),--cov --cov-report=term) --ignore=tests/faults $(ARGS)

# What it covers is added to what `make test COVER=1` has covered; `.ci/run` asks for a share of both.
faults: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto $(if $(COVER),--cov --cov-append --cov-report= --cov-fail-under=0) tests/faults $(ARGS)

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

# Pins the newest versions that pyproject.toml allows; commit what it writes once `make check test faults` passes.
lock: $(LOCKER)/.done
	$(LOCK) --output-file locks/run.txt
	$(LOCK) --extra dev --constraint locks/run.txt --output-file locks/dev.txt

# The same tests with the newest versions that pyproject.toml allows, in an environment of their own, made each time.
test-newest: | $(BIN)/python
	$(BIN)/python -m venv --clear $(NEWEST)
	$(NEWEST)/bin/python $(PIP) --editable '.[sandbox,dev]'
	$(NEWEST)/bin/python -m pytest -n auto --ignore=tests/faults $(ARGS)

# Never `build` nor all of `dist`: jobs put pictures that were paid for, and their ledgers, there.
clean:
	rm -rf bench/.cache $(VENV) dist/*.whl dist/*.tar.gz .mypy_cache .pytest_cache .ruff_cache .coverage

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("This needs Python 3.11 or newer; %s is %s. Try: make PYTHON=python3.11 run" % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# The build backend is in the locks too, so nothing that is installed is fetched without a hash. A lock names all there is
# to install: resolving it again, an older pip took the newest release for `coverage[toml]`, and refused it for its hash.
$(VENV)/.run: locks/run.txt pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP) --no-deps --require-hashes --requirement locks/run.txt
	$(BIN)/python $(PIP) --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.dev: locks/dev.txt pyproject.toml | $(BIN)/python
	$(BIN)/python $(PIP) --no-deps --require-hashes --requirement locks/dev.txt
	$(BIN)/python $(PIP) --no-build-isolation --no-deps --editable .
	@touch $@ $(VENV)/.run

$(LOCKER)/.done: | $(BIN)/python
	$(BIN)/python -m venv $(LOCKER)
	$(LOCKER)/bin/python $(PIP) uv
	@touch $@
