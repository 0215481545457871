# `make help` lists the targets.

# The first of these interpreters that runs plldb and can make environments.
usable = $(firstword $(foreach python,$(1),$(if $(shell $(python) -c 'import sys, ensurepip, venv; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(python))))
PYENV_VERSIONS := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions

# The environment is .venv, of the newest Python on the PATH. With PYTHON=python3.12 it is .venv-3.12
# beside that one, and pyenv need not have chosen that version. VENV=… names any other folder.
ifeq ($(origin PYTHON), undefined)
VENV ?= .venv
PYTHON = $(or $(wildcard $(VENV)/bin/python),$(call usable,python3.13 python3.12 python3.11 python3))
else
override PYTHON := $(call usable,$(PYTHON) $(wildcard $(PYENV_VERSIONS)/$(PYTHON:python%=%).*/bin/python))
VENV ?= .venv-$(if $(PYTHON),$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
VENV := $(VENV)
endif
EXTENSION := plldb/emulators/localstack/extension
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# What is installed beside plldb: for the tests alone, `local,test` is enough.
EXTRAS ?= local,dev

# A second. A link that leads nowhere is an error, and so is a page that GitHub would read differently;
# `--quiet` would be silent about both. (The variable takes an advertisement away.)
MAKE_SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What `make e2e` runs against: EMULATOR=ministack|localstack|auto, ENDPOINT=URL of one that runs
# already, or PROFILE=name of an AWS profile.
EMULATOR ?= auto
PYTEST_ARGS ?=

# The hundreds of processes that the tests start would each compile plldb anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit e2e coverage lint format acceptance docs site cost screenshots recording shim dist projects lock bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv with everything in it; again only when pyproject.toml changes

$(INSTALLED): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: name one with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m tools.environment $(VENV) $(EXTRAS)
	@touch $@

demo: setup ## Show the whole thing on the embedded emulator, in seconds
	@$(BIN)/plldb demo

test: unit ## Unit tests, and end-to-end tests on the embedded emulator
	EMULATOR=ministack ENDPOINT= PROFILE= $(BIN)/pytest tests/e2e --ignore tests/e2e/extension $(PYTEST_ARGS)

unit: setup ## Unit tests
	$(BIN)/pytest tests/unit $(PYTEST_ARGS)

e2e: setup ## End-to-end tests in a LocalStack container where Docker runs (EMULATOR=, ENDPOINT=, PROFILE=)
	EMULATOR=$(EMULATOR) ENDPOINT=$(ENDPOINT) PROFILE=$(PROFILE) $(BIN)/pytest tests/e2e $(PYTEST_ARGS)

acceptance: setup ## Show and measure it all on AWS (PROFILE=name, REGION=name), then clean up; minutes to hours
	$(BIN)/python -m tools.aws_acceptance --profile "$(PROFILE)" --region "$(or $(REGION),us-east-1)"

coverage: setup ## What of plldb the unit tests run, line by line; slower than `make unit`
	$(BIN)/pytest tests/unit --cov --cov-report term-missing:skip-covered $(PYTEST_ARGS)

# W3002: the sample's code is a local path on purpose, as a developer has it.
lint: setup ## ruff, mypy --strict, bandit, zizmor, cfn-lint, and the links of docs/
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests/e2e/extension
	cd $(EXTENSION) && $(abspath $(BIN))/mypy --config-file pyproject.toml
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive plldb
	$(BIN)/cfn-lint --regions ALL_REGIONS -- plldb/bootstrap/cloudformation/template.yaml
	$(BIN)/zizmor --offline --quiet .github action.yml
	$(BIN)/cfn-lint --ignore-checks W3002 -- plldb/demo/sample/template.yaml
	$(BIN)/cfn-lint -- examples/*/template.yaml
	$(MAKE_SITE)

site: setup ## Make the site of docs/: build/site/index.html
	$(MAKE_SITE)

format: setup ## Format the code
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

shim: setup ## Build what container images install: dist/plldb_shim-….whl
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist packaging/plldb-shim

dist: setup ## Build what is published: sdists and wheels of plldb, plldb-shim and the extension
	$(BIN)/python -m tools.distributions dist

projects: setup ## Write what other tools make of tests/projects (needs Node.js; KIND=cdk-python …)
	$(BIN)/python -m tools.projects $(KIND)

docs: setup ## Write docs/reference from the code
	$(BIN)/python -m tools.reference

cost: setup ## Count what debugging takes on the embedded emulator, and write docs/cost.md
	COUNTED_UNITS=$(abspath tools/counted_units.json) EMULATOR=ministack ENDPOINT= PROFILE= \
	  $(BIN)/pytest tests/e2e/test_cost.py -n 0 -p no:randomly $(PYTEST_ARGS)
	$(BIN)/python -m tools.cost

recording: setup ## Record the first minutes for the README, from a real run (docs/first-minutes.svg)
	$(BIN)/python -m tools.recording

screenshots: setup ## Take the pictures of the inspector in docs/images (needs Chromium)
	$(BIN)/python -m tools.screenshots

lock: setup ## Pin what the LocalStack image installs (needs npm)
	for folder in plldb/emulators/localstack plldb/emulators/localstack/node; do \
	  (cd $$folder && $(abspath $(BIN))/uv pip compile --python-version 3.13 \
	    --python-platform x86_64-unknown-linux-gnu --generate-hashes --no-header \
	    --output-file requirements.lock requirements.in) || exit 1; \
	done
	for folder in . sdk-2; do \
	  (cd plldb/emulators/localstack/node/$$folder && \
	    npm install --package-lock-only --omit-lockfile-registry-resolved) || exit 1; \
	done

bench: setup ## Measure; a table, and bench/results/*.json and *.png (ENGINES='ministack localstack')
	$(BIN)/python -m bench.sessions $(ENGINES)

clean: ## Remove .venv, those of other versions, and caches
	rm -rf $(VENV) .venv-3.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage build
