# Everything a person does here. Needs Python >= 3.11 and make; the rest it installs into .venv.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate
PROTOS := $(shell find protos/stage1 -name '*.proto')
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo up secrets test faults check format gen bench bench-large lock clean
.DEFAULT_GOAL := help

help:  ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: .venv/.cpu  ## the environment that runs Stage1

demo: .venv/.cpu  ## import, plan, train, simulate on real bars (KEEP=1 leaves it running; SERIES=questdb: on QuestDB)
	@$(BIN)/stage1 demo $(if $(SERIES),--series $(SERIES)) $(if $(KEEP),--keep)

up: .venv/.cpu  ## start everything on this machine and keep it running (SERIES=questdb: with a QuestDB)
	@$(BIN)/stage1 up $(if $(SERIES),--series $(SERIES))

# Containers run as users of their own and must read what is mounted: the folder keeps others out.
secrets:  ## passwords for docker-compose.yml in secrets/, made once
	@mkdir -p -m 700 secrets
	@for name in postgres_password dataset_password runs_password questdb_password service_token; do \
		test -s secrets/$$name || { $(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(32), end="")' \
			> secrets/$$name && chmod 444 secrets/$$name; } || exit 1; done

test: .venv/.dev  ## every test
	$(BIN)/pytest

faults: .venv/.dev  ## every fault of imports and appends on real stores, and 11,000 broken files (an hour)
	STAGE1_FAULTS=all $(BIN)/pytest tests/faults tests/unit/dataset_formats/test_mutations.py tests/unit/dataset_formats/test_memory.py

check: .venv/.dev  ## format, lint, types, import rules, generated code, protos
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	$(BIN)/python tools/generate.py --check

format: .venv/.dev  ## put every file into its normal form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/buf format --write

gen: .venv/.dev  ## Python code from the protos
	$(BIN)/python tools/generate.py

bench: .venv-bench/.bench  ## ratios against named peers; see docs/BENCHMARKS.md
	.venv-bench/bin/python -m tests.benchmarks

bench-large: .venv-bench/.bench  ## memory on 10 GB, and 1,000 columns (minutes; 40 GB of disk)
	.venv-bench/bin/python -m tests.benchmarks.large
	.venv-bench/bin/python -m tests.benchmarks.large --gigabytes 0.8 --columns 1000
	.venv-bench/bin/python -m tests.benchmarks.large --gigabytes 0.8 --columns 1000 --series questdb

lock: .venv/.uv  ## newest versions that satisfy pyproject.toml
	$(COMPILE) --upgrade requirements/uv.in -o requirements/uv.txt
	$(COMPILE) --upgrade --extra cpu pyproject.toml -o requirements/cpu.txt
	$(COMPILE) --upgrade --extra gpu pyproject.toml -o requirements/gpu.txt
	$(COMPILE) --extra cpu --group dev -c requirements/cpu.txt pyproject.toml -o requirements/dev.txt
	$(COMPILE) --extra cpu --group dev --group bench -c requirements/dev.txt pyproject.toml -o requirements/bench.txt

clean:  ## remove the environments
	rm -rf .venv .venv-bench

# The stamps: newer than what they were made from, so a second run installs nothing.
%/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Stage1 needs Python 3.11 or newer, and $(PYTHON) is older: say which to use with 'make PYTHON=python3.12'."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "$(PYTHON) lacks the module venv: on Debian and Ubuntu 'apt-get install python3-venv' adds it."; exit 1; }
	@echo "Setting up $(@D) (once)"
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/pip install --quiet --require-hashes -r requirements/uv.txt
	@touch $@

.venv/.cpu: requirements/cpu.txt pyproject.toml .venv/.uv
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/cpu.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements/dev.txt -e .
	@touch $@

.venv/.dev: requirements/dev.txt .venv/.cpu
	@$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

.venv-bench/.bench: requirements/bench.txt pyproject.toml .venv-bench/.uv
	@.venv-bench/bin/uv pip install --quiet --python .venv-bench/bin/python --require-hashes -r requirements/bench.txt
	@.venv-bench/bin/uv pip install --quiet --python .venv-bench/bin/python --no-deps --build-constraints requirements/dev.txt -e .
	@touch $@
