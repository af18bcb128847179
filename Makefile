# Passband's commands; `make` alone lists them.
#
# The first one makes .venv and installs everything into it, and again only when pyproject.toml or
# the constraints change. `make VENV=path …` uses another environment.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
EXTRAS ?= dev
CORES ?= all
STUDY ?= config.yaml

INSTALLED := $(VENV)/.installed-$(EXTRAS)
# Snakemake starts `python` and `snakemake` by name, so the environment comes first on the path.
export PATH := $(abspath $(VENV))/bin:$(PATH)

##@ Run

.PHONY: demo run preflight images pilot
demo: run ## Run the study in config.yaml and make its HTML report

run: $(INSTALLED) ## Check STUDY=file, run it and make its HTML report
	passband check $(STUDY)
	snakemake --cores $(CORES) --configfile $(STUDY)
	name=$$(passband check $(STUDY) | awk '$$1 == "study" {print $$2}'); \
	snakemake --report "results/$$name/report.html" --configfile $(STUDY); \
	passband summary "results/$$name"

preflight: $(INSTALLED) ## See whether this machine, or with PROFILE=slurm a node, can run STUDY=file
	if [ -z "$(PROFILE)" ]; then passband preflight $(STUDY); \
	else snakemake --profile $(PROFILE) --configfile $(STUDY) --force preflight; fi

images: demo ## Make the pictures in docs/images, two of them from the demo
	python docs/pictures.py

pilot: $(INSTALLED) ## Run the pilot and the study of specimens, hours, and write docs/pilot about them
	snakemake --cores $(CORES) --configfile studies/pilot.yaml -- results/pilot/distances.zarr
	snakemake --cores $(CORES) --configfile studies/pilot.yaml
	snakemake --cores $(CORES) --configfile studies/specimens.yaml -- all \
	  results/specimens/figures/structure.png
	python docs/pilot.py

##@ Develop

.PHONY: test quick lint format docs bench
test: $(INSTALLED) ## Run every test (one at a time: some of them time whole workflow runs)
	pytest

quick: $(INSTALLED) ## Run the tests that take seconds
	pytest -m "not slow"

lint: $(INSTALLED) ## Check style, formatting, the workflow and the generated docs
	ruff check
	ruff format --check
	snakefmt --check --line-length 100 Snakefile workflow
	snakemake --lint
	passband docs --check

format: $(INSTALLED) ## Format the code and the workflow
	ruff check --fix
	ruff format
	snakefmt --line-length 100 Snakefile workflow

docs: $(INSTALLED) ## Make the configuration's reference and schema from the models
	passband docs

bench: $(INSTALLED) ## Run the benchmarks
	shopt -s nullglob; for script in benchmarks/*.py; do python "$$script"; done

##@ Set up and clean

.PHONY: setup clean distclean help
setup: $(INSTALLED) ## Make the environment and install everything

clean: ## Remove the demo's results, Snakemake's records and caches; keep other studies
	rm -rf results/demo .snakemake .pytest_cache .ruff_cache .hypothesis build
	find src tests workflow benchmarks -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environment too
	rm -rf .venv

help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} \
	/^##@ / {printf "\n%s\n", substr($$0, 5)} \
	/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

$(INSTALLED): pyproject.toml envs/constraints.txt
	@new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
	if [ ! -x $(VENV)/bin/python ]; then \
	  for python in python3.11 python3 python3.12 python3.13; do \
	    if "$$python" -c "$$new_enough" 2>/dev/null; then break; fi; python=; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "Passband needs Python 3.11 or newer, as python3.11 or python3 on the PATH" >&2; exit 1; \
	  fi; \
	  echo "Making $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv $(VENV); \
	fi
	@echo "Installing Passband and what it needs into $(VENV); the first time takes a minute or two"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	  --constraint envs/constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@
