# The entrance: `make help`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
KILLS  ?= 120
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo up test nightly lint format bench bench-gpu clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Create .venv with everything the project needs (about 3 minutes, 7 GB)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,s3]'
	touch $@

demo: setup ## Ingest the samples, search, edit a sentence, ingest again
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash scripts/demo.sh

up: setup ## Start database, Prefect server, workers and receiver of this machine; Ctrl-C ends it
	@$(BIN)/revector up

test: setup ## Run all tests (embedded database, real model, no network)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

nightly: setup ## Random inputs, random steps against a plain model, 120 times kill -9, 5,000 damaged files, 1,000 events, a change of the model (over an hour)
	TESTS_NIGHTLY=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile \
	  tests/unit tests/receiver/test_routing.py tests/flows/test_state_machine.py tests/flows/test_prototype_walk.py
	$(BIN)/python -m tests.acceptance.crash --kills $(KILLS)
	$(BIN)/python -m tests.acceptance.fuzz --mutants 5000
	$(BIN)/python -m tests.acceptance.chaos --events 1000 --minutes 8
	$(BIN)/python -m tests.acceptance.model_change --chunks 50000

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## Let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## Measure this project against plain baselines; prints ratios
	$(BIN)/python -m benchmarks

bench-gpu: setup ## Measure embedding on a CUDA device; prints a block for benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.gpu

clean: ## Remove caches and the demo's data; keeps .venv and .revector
	rm -rf .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
