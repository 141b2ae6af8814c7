# Everything runs in .venv, made from pinned requirements.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := workflow/scripts

.DEFAULT_GOAL := results
.PHONY: results test test-slow test-cluster bench lint lock report clean

$(VENV)/installed: envs/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

results: $(VENV)/installed ## train and audit the default grid, draw the figures
	$(BIN)/snakemake --cores all

report: $(VENV)/installed ## one HTML file with every figure and how it was made
	$(BIN)/snakemake --report results/report/snakemake.html

test: $(VENV)/installed ## the whole test suite but what is marked slow or cluster
	$(BIN)/python -m pytest -m "not slow and not cluster"

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

test-cluster: $(VENV)/installed
	$(BIN)/python -m pytest -m cluster

bench: $(VENV)/installed ## ratios against what one would use instead
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow

lock: ## pin everything that envs/requirements.in needs
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet -r envs/requirements.in
	$(VENV)/lock/bin/python -m pip freeze --exclude pip --exclude setuptools \
	    | sed 's/+cpu$$//' > envs/requirements.txt

clean: ## remove the environment, not the results
	rm -rf $(VENV)
