# make demo   set up and run the demo            make test   run the tests
# make env    the virtual environment alone      make lint   style and types
# make docs   the site of these pages            make guides run every command of the guides
# make bench  the timed comparisons              make config write config/config.yaml and docs/configuration.md
# make structure  rooms, floors, imports         make mutations  do the tests notice a wrong line?
SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORES ?= all

.PHONY: demo test guides lint docs bench env config format structure mutations clean

env: $(STAMP)

$(STAMP): envs/requirements.lock pyproject.toml
	@echo "== Setting up $(VENV): pinned packages from envs/requirements.lock (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Homing needs Python 3.11 or newer: make PYTHON=python3.11 env"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "This Python has no venv: sudo apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

demo: env
	@echo "== Running the demo: a generated toy planet, from raw files to a trained geolocator (about 5 minutes on 2 cores)"
	$(BIN)/snakemake --profile profiles/local --cores $(CORES)
	@echo "== Done. Open results/runs/demo/report.html; try"
	@echo "   $(BIN)/homing predict PHOTO.jpg --model results/runs/demo/model"

test: env
	@echo "== Running the tests: library, workflow, and a real SLURM where Debian's slurm-wlm and munge are installed"
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations=20 -m "not guides" tests

guides: env
	@echo "== Running every command of the guides, on small data in upstream's layout"
	$(BIN)/python -m pytest -m guides --numprocesses 2 --dist loadgroup tests/workflow/test_guides.py

lint: env
	@echo "== Checking style and types: ruff, snakefmt, mypy, config.yaml against its schema"
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/snakefmt --check --line-length 120 Snakefile rules
	$(BIN)/mypy src workflow benchmarks
	$(BIN)/python -m homing.config.reference --check

format: env
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format . ; $(BIN)/snakefmt --line-length 120 Snakefile rules

config: env
	$(BIN)/python -m homing.config.reference

docs: env
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build
	@echo "== Open docs/_build/index.html"

bench: env
	@for stage in $(filter-out benchmarks/structure.py benchmarks/mutations.py, $(wildcard benchmarks/*.py)); do echo "== $$stage"; $(BIN)/python $$stage --scale small || exit 1; done

structure: env
	$(BIN)/python benchmarks/structure.py

mutations: env
	$(BIN)/python benchmarks/mutations.py --output benchmarks/results/mutations.json

clean:
	rm -rf results .snakemake
