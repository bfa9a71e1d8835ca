# Needs Python 3.11 or newer with venv, and a package index. Everything else is installed here.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Where pyenv manages interpreters, its shims answer only for the versions that are switched on.
PYENV_FOUND := $(shell pyenv versions --bare 2>/dev/null | grep -E '^3\.1[1-9]\.[0-9]+$$' | paste -sd: -)
ifneq ($(PYENV_FOUND),)
export PYENV_VERSION := $(PYENV_FOUND)
endif

.PHONY: run test suite lazy lint attacks fuzz trust endurance mutation bench docs hosts release clean
.DEFAULT_GOAL := help

help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST)

run: $(VENV)/run.stamp ## Verify the example plugins, run them, and see a changed byte refused
	@$(BIN)/python examples/demo.py

test: $(VENV)/test.stamp ## Everything that CI runs: checks, and the tests on every Python there is
	$(BIN)/nox

suite: $(VENV)/test.stamp ## The tests on one Python, the one that PYTHON names
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation --force-reinstall .
	$(BIN)/python -X dev -m pytest -q -n auto $(addprefix --ignore=tests/,command_line docs hosts release trust)

lazy: $(VENV)/test.stamp ## The attacks and the forms of importing, with every import lazy
	$(BIN)/nox -s lazy

lint: $(VENV)/test.stamp ## The checks only
	$(BIN)/nox -s lint

attacks: $(VENV)/test.stamp ## Every attack of the catalogue, one line each, on every Python there is
	$(BIN)/nox -s attacks

fuzz: $(VENV)/test.stamp ## Coverage-guided fuzzing of the readers, for SECONDS (300) each
	$(BIN)/nox -s fuzz -- --seconds $(or $(SECONDS),300)

trust: $(VENV)/test.stamp ## The signatures that need a library: Sigstore, ECDSA and RSA keys
	$(BIN)/nox -s trust

endurance: $(VENV)/test.stamp ## Faults, crowds, threads and a service that reloads, for MINUTES (60)
	ENDURANCE_MINUTES=$(or $(MINUTES),60) $(BIN)/nox -s endurance

mutation: $(VENV)/test.stamp ## Mutants of the enforcing modules, against the tests that concern them
	$(BIN)/nox -s mutation

bench: $(VENV)/test.stamp ## What the guard costs, in ratios of paired runs
	$(BIN)/nox -s bench plots

hosts: $(VENV)/test.stamp ## Real hosts, each in an environment of its own; HOSTS=light for those that CI runs
	$(BIN)/nox -s hosts -- $(or $(HOSTS),all)

release: $(VENV)/test.stamp ## Wheel, sdist, bill of materials and checksums in dist/, and the tests of them
	$(BIN)/nox -s release

docs: $(VENV)/test.stamp ## The documentation site, in site/; runs every command that its pages show
	$(BIN)/nox -s docs

clean: ## Remove what the other targets made
	rm -rf $(VENV) .nox dist site

$(VENV)/run.stamp: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test.stamp: requirements/dev.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --no-compile --require-hashes -r requirements/dev.txt
	@touch $@
