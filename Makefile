# `make run` and `make test` need Python 3.11 or newer, with venv, and nothing else.
PYTHON ?= python3
# Found before .venv comes into the path.
INTERPRETER := $(shell command -v $(PYTHON))
CONFIG ?= config/demo.yaml
VENV := .venv
BIN := $(VENV)/bin
# The environment is made anew when the pins or the package's own metadata change.
PINS := $(shell cat envs/main.txt pyproject.toml | cksum | cut -d' ' -f1)
STAMP := $(VENV)/made-from-$(PINS)

export PATH := $(CURDIR)/$(BIN):$(PATH)
# spBLEU's tokenizer: the model that sacrebleu wants in its cache, where the sample data beside the checkout has it.
ifneq ($(wildcard ../shared/data/sacrebleu),)
export SACREBLEU ?= $(abspath ../shared/data/sacrebleu)
endif

.PHONY: help run test lint format pins clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16
	@echo
	@echo "Variables: PYTHON=$(PYTHON) (makes the environment), CONFIG=$(CONFIG) (what is run)"

run: $(STAMP) ## Install what is needed and run the demo (or CONFIG=config/other.yaml)
	@lingualift check --complete $(CONFIG)
	snakemake --profile profiles/local --configfile $(CONFIG)
	@echo
	@lingualift results $(CONFIG)

# A process a core, four at the most; a file's tests, which share what they made, in one of them.
test: $(STAMP) ## Install what is needed and run all tests
	OMP_NUM_THREADS=1 python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(STAMP) ## Check style, formatting and the workflow
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	.ci/lint-workflow config/demo.yaml

format: $(STAMP) ## Format all code; write the reference and the schema of the configuration
	ruff check --fix .
	ruff format .
	snakefmt Snakefile rules
	lingualift reference --into config/README.md
	python -m lingualift.configuration.schema_file config/schema.json

pins: $(STAMP) ## Resolve envs/*.in to the newest pins, envs/*.txt
	python envs/pin.py envs/main.in envs/comet.in

clean: ## Remove the environment and caches; results stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build src/*.egg-info

$(STAMP):
	@test -n "$(INTERPRETER)" || { echo "no $(PYTHON): make PYTHON=/path/to/python3"; exit 1; }
	@$(INTERPRETER) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3")'
	$(INTERPRETER) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement envs/main.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@rm -f $(VENV)/made-from-*
	@touch $@
