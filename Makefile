# The same few targets serve people and CI. Each sets up what it needs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# The folder itself on the path, which type checkers understand; setuptools' import hook they do not.
EDITABLE := --config-settings editable_mode=compat
need_python = command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: apt install python3.11-venv, or make PYTHON=/path/to/python3.11" >&2; exit 1; }
need_prometheus = command -v prometheus >/dev/null && command -v promtool >/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && apt-get -qq install --no-install-recommends prometheus; } || { echo "Prometheus is needed: apt install prometheus" >&2; exit 1; }
need_postgres = command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || { test "$$(id -u)" = 0 && apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends postgresql; } || { echo "PostgreSQL is needed: apt install postgresql" >&2; exit 1; }
SOURCES := triptych servicekit services gateway colocated modelkit localcluster tests tools benchmarks

help: ## Show this text
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}'

# Stamps say which set-up is complete and for which inputs, so that a second run takes no time.
.venv/run.stamp: pyproject.toml constraints.txt
	@echo "Setting up .venv ..."
	@test -x $(BIN)/python || { $(need_python) && $(PYTHON) -m venv .venv; }
	@$(PIP) install --constraint constraints.txt $(EDITABLE) --editable '.[cluster]'
	@touch $@

.venv/dev.stamp: .venv/run.stamp
	@echo "Adding the development tools ..."
	@$(PIP) install --constraint constraints.txt pip
	@$(PIP) install --constraint constraints.txt --group dev
	@touch $@

.venv-modelkit/stamp: pyproject.toml constraints.txt
	@echo "Setting up .venv-modelkit (PyTorch) ..."
	@test -x .venv-modelkit/bin/python || { $(need_python) && $(PYTHON) -m venv .venv-modelkit; }
	@.venv-modelkit/bin/python -m pip -qq install --constraint constraints.txt pip
	@.venv-modelkit/bin/python -m pip -qq install --constraint constraints.txt $(EDITABLE) --editable '.[modelkit]' --group slow
	@touch $@

# timm asks for torchvision, which beside a torch that it was not built for breaks transformers, too. So this environment
# holds the two alone, and looks into .venv-modelkit for the rest.
.venv-timm/stamp: .venv-modelkit/stamp
	@echo "Setting up .venv-timm ..."
	@test -x .venv-timm/bin/python || .venv-modelkit/bin/python -m venv --without-pip .venv-timm
	@echo "import site; site.addsitedir('$$(realpath .venv-modelkit/lib/python3*/site-packages)')" > $$(echo .venv-timm/lib/python3*/site-packages)/modelkit.pth
	@.venv-modelkit/bin/python -m pip --python .venv-timm/bin/python -qq install --constraint constraints.txt --no-deps --group timm
	@touch $@

.venv-chart/stamp: pyproject.toml constraints.txt
	@echo "Setting up .venv-chart ..."
	@test -x .venv-chart/bin/python || { $(need_python) && $(PYTHON) -m venv .venv-chart; }
	@.venv-chart/bin/python -m pip --disable-pip-version-check -qq install --constraint constraints.txt pip
	@.venv-chart/bin/python -m pip -qq install --constraint constraints.txt $(EDITABLE) --editable '.[cluster]' --group chart
	@touch $@

# Checkov pins much of what it uses, so it shares nothing with the rest.
.venv-checkov/stamp: pyproject.toml
	@echo "Setting up .venv-checkov ..."
	@test -x .venv-checkov/bin/python || { $(need_python) && $(PYTHON) -m venv .venv-checkov; }
	@.venv-checkov/bin/python -m pip --disable-pip-version-check -qq install --upgrade pip
	@.venv-checkov/bin/python -m pip -qq install --group policies
	@touch $@

.venv-containers/stamp: tools/containers/requirements.txt
	@test -x .venv-containers/bin/python || { $(need_python) && $(PYTHON) -m venv .venv-containers; }
	@.venv-containers/bin/python -m pip --disable-pip-version-check -qq install --requirement $<
	@touch $@

setup: .venv/dev.stamp ## Make the development environment

up: .venv/run.stamp ## Start the cluster on this machine and classify a photograph (ARGS="--colocated")
	@$(BIN)/triptych up --detach $(ARGS)
	@$(BIN)/triptych classify examples/chelsea.png

down: ## Stop the cluster
	@$(BIN)/triptych down

check: setup ## Lint, types, import walls, protos, generated code
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/python tools/generate_protos.py --check
	$(BIN)/python -m tools.document_settings --check
	$(BIN)/python -m tools.chart.schema --check
	$(BIN)/python -m tools.chart.readme --check
	$(BIN)/python -m tools.slo_rules --check
	$(BIN)/python -m tools.dashboards write --check
	$(BIN)/python tools/check_breaking.py
	$(BIN)/hadolint --no-color Dockerfile
	$(BIN)/clang-format --dry-run --Werror triton_backends/openvino/*.[ch]

test: setup ## Run every test but the slow ones; the end-to-end tier starts the real cluster
	@$(need_postgres)
	$(BIN)/pytest tests/unit tests/contract tests/integration tests/e2e --cov --cov-report=term $(ARGS)

unit: setup ## Run the unit tests only (seconds)
	$(BIN)/pytest tests/unit $(ARGS)

e2e: setup ## Run the end-to-end tests only
	$(BIN)/pytest tests/e2e $(ARGS)

images: .venv/run.stamp .venv-containers/stamp ## Build every image and print its size
	$(BIN)/python -m tools.containers build

e2e-containers: .venv/run.stamp .venv-containers/stamp ## Build the images, run compose and prove what it promises
	$(BIN)/python -m tools.containers e2e

test-slow: .venv-modelkit/stamp ## Run the tests that need PyTorch, but those of timm
	.venv-modelkit/bin/pytest tests/slow --ignore tests/slow/test_import_timm.py $(ARGS)

test-timm: .venv-timm/stamp ## Run the tests that need timm
	.venv-timm/bin/python -m pytest tests/slow/test_import_timm.py $(ARGS)

check-chart: .venv-chart/stamp .venv-checkov/stamp ## Hold every scenario of the Helm chart against schemas, policies and rules
	@$(need_prometheus)
	@.venv-chart/bin/python -m tools.chart $(ARGS)

check-chart-pods: .venv-chart/stamp ## Run the chart's pods with podman and classify a photograph
	@.venv-chart/bin/python -m tools.chart.play

gen: setup ## Generate the Python code of protos/, docs/settings.md, the chart's schema, rules and dashboards
	$(BIN)/buf format --write
	$(BIN)/python tools/generate_protos.py
	$(BIN)/python -m tools.document_settings
	$(BIN)/python -m tools.chart.schema
	$(BIN)/python -m tools.chart.readme
	$(BIN)/python -m tools.slo_rules
	$(BIN)/python -m tools.dashboards write

check-dashboards: setup ## Prove every query of dashboards and rules against a real Prometheus and a real cluster (a minute)
	@$(need_prometheus)
	$(BIN)/python -m tools.dashboards check
	$(BIN)/pytest tests/contract/test_rules.py tests/contract/test_observability.py

bench: setup ## Measure the limit, the cluster and its rivals in turns (half an hour; ARGS="--rounds 1 --only apart")
	$(BIN)/python -m benchmarks.report $(ARGS)

modelkit: .venv-modelkit/stamp ## Set up PyTorch and what makes models, in .venv-modelkit
	@echo "Try: source .venv-modelkit/bin/activate && triptych model --help"

lifecycle: .venv/dev.stamp .venv-modelkit/stamp ## Take Fashion-MNIST from pictures to a served INT8 student (an hour)
	$(BIN)/python -m benchmarks.lifecycle --out docs/lifecycle/report.md $(ARGS)

lifecycle-smoke: .venv/dev.stamp .venv-modelkit/stamp ## The same with few pictures and epochs (minutes)
	$(BIN)/python -m benchmarks.lifecycle --smoke --seconds 1 $(ARGS)

format: setup ## Format the code
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/clang-format -i triton_backends/openvino/*.[ch]

.PHONY: help setup up down check check-chart check-chart-pods test unit e2e images e2e-containers test-slow test-timm gen check-dashboards bench modelkit lifecycle lifecycle-smoke format
