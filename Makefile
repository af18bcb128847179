# Passband's commands; `make` alone lists them.
#
# The first command makes .venv and installs all packages into it. The installation is repeated only
# if pyproject.toml or the constraints change. `make VENV=path …` uses a different environment.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV ?= .venv
EXTRAS ?= dev
CORES ?= all
STUDY ?= config.yaml

# A file of tests is run as a whole; tests/conftest.py sorts the files.
PARALLEL := --dist loadfile --no-loadscope-reorder

INSTALLED := $(VENV)/.installed-$(EXTRAS)
# Snakemake starts `python` and `snakemake` by name, so the environment comes first on the path.
export PATH := $(abspath $(VENV))/bin:$(PATH)
# Without Python's files of compiled code, each job and each worker of the tests compiles all again.
unexport PYTHONDONTWRITEBYTECODE

##@ Run

.PHONY: demo run preflight images general real
demo: run ## Run the study in config.yaml, and make its report and its explorer

run: $(INSTALLED) ## Check STUDY=file, run it and make its report and its explorer
	@passband run $(STUDY) --cores $(CORES)

preflight: $(INSTALLED) ## Check that this machine (PROFILE=slurm: a node) can run STUDY=file
	if [ -z "$(PROFILE)" ]; then passband preflight $(STUDY); \
	else snakemake --profile $(PROFILE) --configfile $(STUDY) --force preflight; fi

images: demo ## Make the pictures in docs/images; most of them show the demo
	python docs/scripts/pictures.py
	passband recommend demo --defocus-nm 12 --cs-um 5 --aperture-mrad 15 --dose-e-per-A2 400 \
	  --figure docs/images/recommend.png
	python docs/scripts/thon_rings.py --figure docs/images/rings.png
	python docs/scripts/convergence.py --figure docs/images/convergence.png
	xvfb-run --auto-servernum --server-args "-screen 0 1400x1000x24" \
	  python docs/scripts/napari_widgets.py --figure docs/images/napari.png
	passband predict general sample --out build/sample
	cp build/sample/sample_overlay.png docs/images/overlay.png

general: $(INSTALLED) ## Train the network general, and put it into the package
	snakemake --cores $(CORES) --configfile studies/real-general.yaml
	python docs/scripts/ship.py results/real-general

real: $(INSTALLED) ## Train networks for real images, and segment the images in DATA=folder
	@[ -d "$(DATA)/images" ] || \
	  { echo "DATA = '$(DATA)': must be a folder with the folders images and masks" >&2; exit 1; }
	snakemake --cores $(CORES) --configfile studies/real.yaml
	python docs/scripts/real.py "$(DATA)"

##@ Develop

.PHONY: test test-long test-install findings quick lint format docs bench release
# Two cores have work for three, since tests of SLURM mostly wait.
test: $(INSTALLED) ## Run all tests except the long ones, three at a time, and list the 25 slowest
	pytest -n 3 $(PARALLEL) --durations=25 -m "not long and not install"

test-long: $(INSTALLED) ## Run the tests that take long, most of them on a real SLURM
	pytest -m long

test-install: $(INSTALLED) ## Build the package, install it in new environments, and use it there
	pytest -m install --durations=0

findings: $(INSTALLED) ## Recompute the findings, compare their pages, run their tests (9 min)
	python -m findings

quick: $(INSTALLED) ## Run the tests that take seconds, two at a time
	pytest -n 2 $(PARALLEL) -m "not slow and not long and not install"

lint: $(INSTALLED) ## Check style, formatting, layers, types, the workflow and the generated docs
	ruff check
	ruff format --check
	lint-imports --no-cache
	pyright
	snakefmt --check --line-length 100 Snakefile workflow
	snakemake --lint
	passband docs --check

format: $(INSTALLED) ## Format the code and the workflow
	ruff check --fix
	ruff format
	snakefmt --line-length 100 Snakefile workflow

docs: $(INSTALLED) ## Make the configuration's reference and schema, and the site from all pages
	passband docs
	@python -c "import jupytext, myst_nb, pydata_sphinx_theme" 2>/dev/null || \
	  { echo "EXTRAS = $(EXTRAS): the site needs the extra docs, which dev has" >&2; exit 1; }
	@rm -rf build/site
	@python -m sphinx -E -W --keep-going -n -q -c docs/site -d build/doctrees . build/site
	@echo "Open build/site/index.html in a browser"

bench: $(INSTALLED) ## Run the benchmarks
	shopt -s nullglob; for script in benchmarks/*.py; do python "$$script"; done

release: $(INSTALLED) ## Build VERSION=0.3.0, run test-long, test the wheel, tag it; publish nothing
	.ci/release "$(VERSION)"

##@ Set up and clean

.PHONY: setup clean distclean help
setup: $(INSTALLED) ## Make the environment and install everything

clean: ## Remove the demo's results, Snakemake's records and caches; keep other studies
	rm -rf results/demo .snakemake .pytest_cache .ruff_cache .hypothesis build
	find src tests workflow benchmarks docs/scripts findings -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environment too
	rm -rf .venv

help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} \
	/^##@ / {printf "\n%s\n", substr($$0, 5)} \
	/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

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
