# Needs only make and Python 3.11 or newer. TORCH chooses the build of torch, which is installed first and by
# itself.
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
# An S3 server for tests. Its libraries exclude Starfreight's, so it has an environment of its own.
S3_SERVER := moto[server]==5.2.5

.PHONY: quickstart test lint schema docs locks clean

quickstart: $(VENV)/train.stamp
	$(BIN)/starfreight quickstart

# HEAVY ones train or press, two files at a time; ALONE ones share one Docker Engine or cluster. All other tests run
# side by side, a file at a time.
HEAVY := tests/jobs/train tests/packager/press tests/services/line
ALONE := tests/containers tests/cluster

test: $(VENV)/dev.stamp
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile $(HEAVY:%=--ignore=%) $(ALONE:%=--ignore=%) $(PYTEST_OPTIONS) tests; \
	first=$$?; $(BIN)/pytest -n 2 --dist loadfile $(PYTEST_OPTIONS) $(HEAVY); \
	second=$$?; $(BIN)/pytest $(PYTEST_OPTIONS) $(ALONE) && exit $$((first + second))

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Run after changing the models of recipes or policies.
schema: $(VENV)/dev.stamp
	$(BIN)/python -m starfreight.recipe.schema docs/recipe.md
	$(BIN)/python -m starfreight.packager.provenance.policy.schema docs/policy.md

# The documentation as a site, in build/site.
docs: $(VENV)/dev.stamp
	$(BIN)/mkdocs build

# Run after changing the dependencies. OPTIONS=--upgrade takes the newest versions.
locks: $(VENV)/dev.stamp
	$(BIN)/python -m starfreight.images.lock $(OPTIONS)

$(VENV)/torch.stamp:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, e.g.: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(TORCH)
	touch $@

$(VENV)/train.stamp: $(VENV)/torch.stamp pyproject.toml
	$(BIN)/pip install --quiet --editable '.[train]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/torch.stamp pyproject.toml
	$(BIN)/pip install --quiet --editable '.[train,dev]'
	touch $@ $(VENV)/train.stamp

.venv-s3/stamp:
	$(PYTHON) -m venv .venv-s3
	.venv-s3/bin/pip install --quiet '$(S3_SERVER)'
	touch $@

clean:
	rm -rf $(VENV) .venv-s3 quickstart
