# Everything a fresh machine needs: `make demo` sets up and runs the main job, `make test` sets up and runs all tests,
# `make check` is the fast part of them (two minutes on two cores) and the linter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Tests start hundreds of processes, each of which would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

# Scripts that print ratios, the quick ones first; benchmarks/kernels/contest.py and others that they share print nothing.
BENCHMARKS := startup lookup report sweep verdicts $(addprefix kernels/,clock fma stream matmul lowprecision decode)

.PHONY: demo test check lint types contracts docs schema bench plotly mutants fuzz clean

demo: $(VENV)/.base
	$(BIN)/hwbench estimate --model alexnet --device rtx3090

test: $(VENV)/.test
	$(BIN)/pytest -n auto --cov --cov-report=term --cov-fail-under=90

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -n auto -m "not slow and not realtime"

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/hwbench devices lint
	$(BIN)/hwbench models lint

types: $(VENV)/.test
	$(BIN)/mypy

contracts: $(VENV)/.test
	$(BIN)/lint-imports

docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --site-dir build/site

schema: $(VENV)/.base
	$(BIN)/python -c "from hwbench.measure.store import schema; print(schema(), end='')" > docs/reference/schemas/run.json

bench: $(VENV)/.test
	for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python benchmarks/$$script.py || exit; done

# plotly.js as npm serves it, beside its licence: the script that draws, which pages carry.
PLOTLY := plotly.js-basic-dist-min
PLOTLY_VERSION := 4.1.1
plotly:
	mkdir -p build && cd build && npm pack --silent $(PLOTLY)@$(PLOTLY_VERSION) && tar -xzf $(PLOTLY)-$(PLOTLY_VERSION).tgz
	cp build/package/plotly-basic.min.js hwbench/explore/assets/
	cp build/package/LICENSE hwbench/explore/assets/plotly-basic.LICENSE

# Changes lines of chosen modules and prints how many of the changes no test notices; MUTANTS='--each 4' is quicker.
mutants: $(VENV)/.test
	$(BIN)/python benchmarks/mutants.py $(MUTANTS)

# Random cases through every way in: make fuzz COUNT=100000 SEED=7
COUNT ?= 20000
SEED ?= 1
fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz.run --count $(COUNT) --seed $(SEED)

clean:
	rm -rf $(VENV) build dist .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e .
	touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -e ".[test]"
	touch $@ $(VENV)/.base
