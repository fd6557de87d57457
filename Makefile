# Every target sets up what it needs; `make help` lists them. Works with make 3.81 (macOS) and newer.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.up-to-date
IMPORT_ROOTS := .:protos/gen
# The first interpreter that is new enough; override with `make PYTHON=/path/to/python setup`.
PYTHON ?= $(shell for each in python3.11 python3.12 python3.13 python3.14 python3; do \
	command -v $$each >/dev/null 2>&1 || continue; \
	$$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null || continue; \
	echo $$each; break; done)
# Most tests wait for processes and servers: two at once leave two cores busy.
JOBS ?= 2
COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --quiet

# Of the fault tests: how often each runs, and the trials of the largest.
SEEDS ?= 1
SIZE ?= 10000
# Of the soak.
MINUTES ?= 30

.DEFAULT_GOAL := help
.PHONY: help setup demo fmt lint types proto proto-check deploy-check test test-unit faults soak simulate mutations quality lock up \
	down check clean peers bench bench-full

help: ## Lists the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Makes .venv with the locked dependencies and this project; quick when up to date.

$(STAMP): pyproject.toml requirements/dev.txt requirements/uv.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: no Python 3.11 to 3.14 found; install one, or name it: make PYTHON=/path/to/python setup" >&2; \
		exit 1; fi
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "error: $(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; \
		exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@# Compiled once here: where Python may not write bytecode, every process would compile scikit-learn anew.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: $(STAMP) ## Runs a progressive search on real data with nothing else installed.
	@$(BIN)/crescendo demo

fmt: $(STAMP) ## Formats code and protos.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/buf format --write

lint: $(STAMP) ## Checks format, style, layers and protos.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	PYTHONPATH=$(IMPORT_ROOTS) $(BIN)/lint-imports --no-cache
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code

types: $(STAMP) ## Checks types.
	$(BIN)/mypy

proto: $(STAMP) ## Generates the stubs again.
	sh deploy/protos.sh generate protos/gen

proto-check: $(STAMP) ## Checks that the stubs are those of the protos, and that no client breaks.
	sh deploy/protos.sh drift
	sh deploy/protos.sh breaking

deploy-check: $(STAMP) ## Checks the compose file and the Dockerfile.
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/hadolint Dockerfile

test: $(STAMP) ## Runs all tests on a real Postgres and RabbitMQ, found or started; JOBS files at once.
	@# AGAIN=1 gives the few that failed beside others another chance alone, and names them: see tests/again.py.
	$(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile $(if $(AGAIN),|| $(BIN)/python -m tests.again $$?)

test-unit: $(STAMP) ## Runs the tests that need no servers.
	$(BIN)/pytest tests/unit -m "not slow" --numprocesses=$(JOBS) --dist=loadfile

faults: $(STAMP) ## Breaks every part in every way it knows; SEEDS=5 for other chances, SIZE=1000 for less.
	$(BIN)/pytest tests/faults --faults --seeds $(SEEDS) --size $(SIZE) --timeout 1800 \
		--numprocesses=$(JOBS) --dist=worksteal

simulate: SEEDS = 1000
simulate: $(STAMP) ## Runs simulated worlds, SEEDS=1000 of them from FIRST=0 on; SEED=7 replays one.
	PYTHONPATH=$(IMPORT_ROOTS) $(BIN)/python -m tests.faults.simulation \
		$(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --first $(or $(FIRST),0) --jobs $(or $(JOBS),2))

quality: SEEDS = 30
quality: $(STAMP) ## Compares the searchers with their peers: SEEDS=30 of every problem; goes on where it was.
	PYTHONPATH=$(IMPORT_ROOTS) $(BIN)/python -m benchmarks.quality run --seeds $(SEEDS) --jobs $(JOBS)
	PYTHONPATH=$(IMPORT_ROOTS) $(BIN)/python -m benchmarks.quality report

peers: $(STAMP) ## Installs what the benchmarks are measured against.
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/peers.txt

bench: peers ## Measures speed beside peers in under ten minutes, into docs/performance.md; ROWS="P1 P4" for some.
	PYTHONPATH=$(IMPORT_ROOTS) $(BIN)/python -m benchmarks $(ROWS)

bench-full: peers ## Measures the same at full size: hours.
	PYTHONPATH=$(IMPORT_ROOTS) $(BIN)/python -m benchmarks --full $(ROWS)

mutations: $(STAMP) ## Removes each guard of the store in turn; a test must fail every time.
	PYTHONPATH=$(IMPORT_ROOTS) $(BIN)/python -m tests.faults.mutations $(if $(ONLY),--only "$(ONLY)")

soak: SEED ?= 1
soak: $(STAMP) ## Measures what faults cost, then breaks everything at once; MINUTES=30 SEED=1.
	PYTHONPATH=$(IMPORT_ROOTS) $(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --seed $(SEED)

lock: $(STAMP) ## Resolves the dependencies again and pins them with their hashes.
	$(COMPILE) --all-extras --group dev --output-file requirements/dev.txt
	$(COMPILE) --extra embedded --extra boosting --constraint requirements/dev.txt --no-annotate --output-file requirements/runtime.txt
	$(COMPILE) --group peers --constraint requirements/dev.txt --no-annotate --output-file requirements/peers.txt
	echo uv | $(BIN)/uv pip compile - --constraint requirements/dev.txt --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --output-file requirements/uv.txt

up: ## Starts everything in containers; needs docker and POSTGRES_PASSWORD, RABBITMQ_PASSWORD.
	docker compose up --build --detach --wait

down: ## Stops the containers; their data stays.
	docker compose down

check: lint types proto-check deploy-check test ## Does what CI does.

clean: ## Removes what was made, the virtual environment included.
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
