# Everything runs in .venv, made from pinned requirements.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := workflow/scripts

.DEFAULT_GOAL := results
.PHONY: results study vision translation reactions attribution cost test test-slow test-cluster check-normalizer bench docs lint lock report resources clean cluster-env

PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The package is installed as it stands here, so that a notebook finds it. Jobs do not
# need that: they use the package of the checkout that they run in.
$(VENV)/installed: envs/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -r $<
	$(PIP) install --no-deps --editable .
	touch $@

$(VENV)/cluster: envs/cluster.txt $(VENV)/installed
	$(PIP) install -r $<
	touch $@

cluster-env: $(VENV)/cluster ## what jobs on SLURM and results in S3 need beside the rest

results: $(VENV)/installed ## train and audit the default grid, draw the figures
	$(BIN)/snakemake --cores all

STUDY := study study_recorded study_explanations

# As measured, 5.8 hours of processor time, and 7 with the treebank in data/sst: about three
# hours on 2 cores, and three and a half. It goes on where it was interrupted.
study: $(VENV)/installed ## what docs/study.md reports, and that page
	for part in $(STUDY); do \
	    $(BIN)/snakemake --cores all --configfile workflow/presets/$$part.yaml || exit 1; \
	done
	$(BIN)/python workflow/scripts/write_page.py study collect
	$(BIN)/python workflow/scripts/write_page.py study render

vision: $(VENV)/installed ## what docs/vision.md reports, and that page
	$(BIN)/snakemake --cores all --configfile workflow/presets/vision.yaml
	$(BIN)/python workflow/scripts/write_page.py vision collect
	$(BIN)/python workflow/scripts/write_page.py vision render

translation: $(VENV)/installed ## what docs/translation.md reports, and that page
	$(BIN)/snakemake --cores all --configfile workflow/presets/translation.yaml
	$(BIN)/python workflow/scripts/write_page.py translation collect
	$(BIN)/python workflow/scripts/write_page.py translation render

reactions: $(VENV)/installed ## what docs/reactions.md reports, and that page
	$(BIN)/snakemake --cores all --configfile workflow/presets/reactions.yaml
	$(BIN)/python workflow/scripts/write_page.py reactions collect
	$(BIN)/python workflow/scripts/write_page.py reactions render

attribution: $(VENV)/installed ## what docs/attribution.md reports, and that page
	for part in attribution pretrained; do \
	    $(BIN)/snakemake --cores all --configfile workflow/presets/$$part.yaml || exit 1; \
	done
	$(BIN)/python workflow/scripts/write_page.py attribution collect
	$(BIN)/python workflow/scripts/write_page.py attribution render

cost: $(VENV)/installed ## what `make results` would still take, without doing it
	$(BIN)/snakemake -n --quiet

report: $(VENV)/installed ## one HTML file with every figure and how it was made
	$(BIN)/snakemake --report results/report/snakemake.html

test: $(VENV)/installed ## the whole test suite but what is marked slow or cluster
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow and not cluster"

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

test-cluster: $(VENV)/cluster ## a SLURM of its own on this machine; needs slurm-wlm, munge
	$(BIN)/python -m pytest -m cluster

check-normalizer: $(VENV)/installed ## KIND=mine: the laws of attention weights, for one kind
	$(BIN)/python -m pytest -q --tb=short tests/unit/test_normalizer_laws.py \
	    --kind "$(or $(KIND),$(error which one? make check-normalizer KIND=mine))"

bench: $(VENV)/installed ## ratios against what one would use instead
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

resources: ## what the jobs of the last runs asked for against what they used
	$(BIN)/python workflow/scripts/compare_resources.py

docs: $(VENV)/installed ## docs/terms.md, from the code and the config's schema
	$(BIN)/python workflow/scripts/write_terms.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow

PINS = $(VENV)/lock/bin/python -m pip freeze --exclude pip --exclude setuptools --exclude attention-audit \
	    | sed 's/+cpu$$//' | LC_ALL=C sort

lock: ## pin everything that requirements.in and cluster.in need
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet -r envs/requirements.in
	$(PINS) > envs/requirements.txt
	$(VENV)/lock/bin/python -m pip install --quiet -c envs/requirements.txt -r envs/cluster.in
	$(PINS) | LC_ALL=C comm -13 envs/requirements.txt - > envs/cluster.txt

clean: ## remove the environment, not the results
	rm -rf $(VENV)
