SHELL := /bin/bash
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-faults simulate bench bench-smoke check fix up down lock contracts cast clean

help: ## what can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || { python=$(or $(PYTHON),$$(tools/python.sh)) && tools/python.sh --check "$$python" && "$$python" -m venv $(VENV); }
	@echo "Installing what Tenure stands on into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

setup: $(STAMP) ## create .venv with the `tenure` command in it

demo: setup ## replay real policies through the whole platform, then leave it up (ARGS="--exit --json FILE" ends instead)
	@$(BIN)/tenure demo $(ARGS)

test: setup ## run all tests (they start their own servers on free ports)
	@$(BIN)/python -m pytest $(ARGS)

test-faults: setup ## the long fault tests: a thousand processes killed at named points, every alert provoked (TENURE_FAULT_SEED repeats a run)
	@TENURE_FAULT_KILLS=$${TENURE_FAULT_KILLS:-850} $(BIN)/python -m pytest tests/faults tests/test_alerts_live.py -rP --timeout=0 $(ARGS)

bench: setup ## measure everything against its floors (ten minutes at most), write bench/results and the table in bench/README.md
	@$(BIN)/python -m tenure_bench $(ARGS)

bench-smoke: setup ## every leg of the bench once, tiny: shows that it runs, claims nothing
	@$(BIN)/python -m tenure_bench --smoke $(ARGS)

simulate: setup ## a million events through sixteen seeded worlds of faults (SEED=, EVENTS=, ARGS="--harder 8 --worlds 1")
	@$(BIN)/python -m tenure_local.simulation $(if $(SEED),--seed $(SEED)) $(if $(EVENTS),--events $(EVENTS)) $(ARGS)

check: setup ## lint, types, walls, write door, contracts, generated documents
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/write_door.py
	@$(BIN)/python tools/contracts.py --check
	@$(BIN)/python tools/dashboards.py --check

fix: setup ## format, and mend what a linter can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

contracts: setup ## write the JSON Schemas, the AsyncAPI document and the dashboards anew from their tables
	@$(BIN)/python tools/contracts.py
	@$(BIN)/python tools/gateway.py
	@$(BIN)/python tools/dashboards.py

up: setup ## start the platform on the embedded default
	@$(BIN)/tenure up $(ARGS)

down: setup ## stop what `up --detach` or `demo` started
	@$(BIN)/tenure down

lock: ## pin requirements.in into requirements.lock (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements.in -o requirements.lock

cast: setup ## write the home-insurance cast of the demo anew
	@$(BIN)/python tools/cast.py examples/home-cast/facts.ndjson

clean: ## stop the platform, and remove what is generated and its data
	@test ! -d .tenure || test ! -x $(BIN)/tenure || $(BIN)/tenure down
	@rm -rf $(VENV) .tenure .mypy_cache .ruff_cache .pytest_cache .hypothesis deploy/kafka/target
