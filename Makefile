PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install -q --require-hashes

.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Turnstile needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...")'
	@echo "Setting up .venv, once." >&2
	@$(PYTHON) -m venv $(VENV)

# The folders at the top are the parts of one package. Links below .venv give them their import names, `turnstile.workers` and
# so on, for the interpreter, type checkers and editors. All links are relative: a copied or moved checkout keeps its own.
NAMES := $(VENV)/names/turnstile

$(NAMES): | $(BIN)/python
	@mkdir -p $@
	@ln -sfn $(addprefix ../../../,turns memory workers producers deploy package/__init__.py package/py.typed) $@
	@$(BIN)/python -c 'import pathlib, sysconfig; \
	  pathlib.Path(sysconfig.get_path("purelib"), "turnstile-names.pth").write_text("../../../names\n")'

$(VENV)/.run: requirements.txt pyproject.toml | $(BIN)/python $(NAMES)
	@$(PIP) -r requirements.txt
	@$(BIN)/python -m pip --disable-pip-version-check install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@$(PIP) -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.run ## Set everything up in .venv
	@echo "Turnstile is set up: $(BIN)/turnstile --help" >&2

demo: $(VENV)/.run ## Set up, then the main job, end to end
	@$(BIN)/turnstile demo

up: $(VENV)/.run ## Set up, then workers, the gateway, Flower and an embedded server until Ctrl-C
	@$(BIN)/turnstile up

# Most tests wait for processes, so more of them run at once than there are cores.
PYTEST := $(BIN)/python -m pytest -n $(or $(JOBS),4) --dist loadfile --no-loadscope-reorder

# Tests that try many orders, and those that wait for outages to pass, have targets of their own: `make test` takes ten minutes.
PROOFS := tests/exploration $(addprefix tests/scripts/test_, cuts.py machine.py batch_machine.py work.py)
OUTAGES := tests/chaos tests/acceptance/test_survival.py \
  $(addprefix tests/integration/, $(addprefix gateway/test_, batch_losses.py connections.py faults.py) deploy/test_backup.py deploy/test_service_manager.py \
  $(addprefix turns/test_, disagreement.py half_open.py late_commands.py one_connection.py schema.py sentinel.py) workers/graphs/test_crash.py \
  $(addprefix workers/test_, busy_loop.py hangs.py model_outage.py refusals.py silent_names.py))

test: $(VENV)/.dev ## Set up, then the tests; JOBS is how many run at once
	$(PYTEST) $(addprefix --ignore=, $(PROOFS) $(OUTAGES))

test-proofs: $(VENV)/.dev ## The scripts in many orders, cut at every write, and beside a million of everything
	$(PYTEST) $(PROOFS)

test-outages: $(VENV)/.dev ## Killed, frozen and hung processes, broken connections, servers that fail over or fill up
	$(PYTEST) $(OUTAGES)

.PHONY: test-proofs test-outages

ON_REDIS := tests/scripts tests/chaos/test_storm.py tests/integration/memory/test_history.py tests/integration/memory/test_history_in_turn.py \
  $(addprefix tests/integration/turns/test_, multiplexer.py closed_connections.py late_commands.py full_memory.py) \
  $(addprefix tests/integration/producers/test_, cli.py cli_terminal.py doctor.py client_outage.py client_reading.py)

test-redis: $(VENV)/.dev ## The tests of scripts, histories, clients and a storm on Redis itself; TEST_SERVER is its program
	TEST_SERVER=$(or $(TEST_SERVER),redis-server) $(PYTEST) $(ON_REDIS)

.PHONY: test-redis

# Every other target takes the locked versions.
BOUNDED := tests/fundamentals tests/integration/workers/graphs $(addprefix tests/integration/workers/test_, worker.py flower.py) \
  tests/integration/gateway/test_responses.py

$(VENV)-lowest/.done $(VENV)-newest/.done: $(VENV)-%/.done: pyproject.toml | $(VENV)/.dev
	$(PYTHON) -m venv --clear $(VENV)-$*
	$(BIN)/python -m tests.support.version_bounds $* > $(VENV)-$*/constraints.txt
	$(VENV)-$*/bin/python -m pip --disable-pip-version-check install -q -c $(VENV)-$*/constraints.txt -e '.[all]' \
	  httpx hypothesis pytest pytest-asyncio pytest-timeout
	@touch $@

test-lowest: ## Set up, then the main tests with the oldest libraries that pyproject.toml allows
test-newest: ## The same with the newest
test-lowest test-newest: test-%: $(VENV)-%/.done
	$(VENV)-$*/bin/python -m pytest -p no:cacheprovider $(BOUNDED)

.PHONY: test-lowest test-newest

explore: $(VENV)/.dev ## Every interleaving of the scripts, within bounds; writes docs/exploration.md
	@$(BIN)/python -m tests.exploration

mutants: $(VENV)/.dev ## Plant faults and see the tests catch them; writes docs/mutants.md
	@$(BIN)/python -m tests.mutants

.PHONY: explore mutants

$(VENV)/.web: requirements-web.txt $(VENV)/.dev
	@$(PIP) -r requirements-web.txt
	@touch $@

web-programs:
	@for name in node npm chromium; do command -v $$name > /dev/null || { \
	  echo "make test-web: $$name is missing (Debian and Ubuntu: apt-get install nodejs npm chromium)" >&2; exit 1; }; done

# The only one of them that needs nginx as well.
BEHIND_NGINX := tests/web/test_flower.py

test-web: web-programs $(VENV)/.web ## Set up, then the tests that need node and Chromium
	npm ci --silent --prefix tests/web
	$(BIN)/python -m pytest tests/web --ignore $(BEHIND_NGINX)

.PHONY: web-programs test-web

test-site: web-programs $(VENV)/.web ## Set up, then nginx, Caddy and a Redis with TLS around all processes, and Flower in Chromium (Debian and Ubuntu: apt-get install nginx caddy redis-server)
	npm ci --silent --prefix tests/web
	$(BIN)/python -m pytest tests/site $(BEHIND_NGINX)

.PHONY: test-site

$(VENV)-manifests/.done: tests/manifests/requirements.txt
	$(PYTHON) -m venv $(VENV)-manifests
	$(VENV)-manifests/bin/python -m pip --disable-pip-version-check install -q --require-hashes -r $<
	@touch $@

test-manifests: $(VENV)/.dev $(VENV)-manifests/.done ## Set up, then the files for Kubernetes, compose and the image, against schemas and rules (needs kubectl)
	$(BIN)/python -m pytest tests/manifests

.PHONY: test-manifests

test-alerts: ## The alert rules, by promtool (Debian and Ubuntu: apt-get install prometheus)
	promtool check config deploy/prometheus/prometheus.yml
	promtool test rules deploy/prometheus/rules.test.yml

.PHONY: test-alerts

test-clients: $(VENV)/.dev ## Set up, then client programs against the gateway; writes docs/clients.md; CLIENTS names some
	@for name in node npm; do command -v $$name > /dev/null || { echo "make test-clients: $$name is missing" >&2; exit 1; }; done
	$(BIN)/python -m tests.clients --publish $(CLIENTS)

.PHONY: test-clients

check: $(VENV)/.dev ## Format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

CHAOS := $(BIN)/python -m tests.chaos
RECOVERY := $(CHAOS) run --workers 4 --publish

chaos: $(VENV)/.dev ## Faults of every class, half an hour long; writes docs/reliability.md
	$(CHAOS) run --seed $(or $(SEED),1) --runs 8 --faults 400 --seconds 150 --publish

reliability: explore mutants chaos ## As chaos, and every other figure of docs/reliability.md, two hours long
	$(MAKE) recoveries
	$(CHAOS) ledger --runs 3 --faults 120 --seconds 120 --publish
	$(CHAOS) ledger --only KILL_WORKER --faults 60 --seconds 150 --publish --add
	$(CHAOS) starvation --publish
	$(CHAOS) backlog --publish
	$(CHAOS) failover --publish
	$(CHAOS) plain --publish

recoveries: $(VENV)/.dev ## How soon turns go on after a fault, one class of faults a run
	$(RECOVERY) --only KILL_WORKER --faults 60 --seconds 150
	$(RECOVERY) --only FREEZE_WORKER --faults 10 --seconds 110 --add
	$(RECOVERY) --only SILENCE_WORKER --faults 10 --seconds 110 --add
	$(RECOVERY) --only LOSE_DISPATCH --faults 60 --seconds 90 --add
	$(RECOVERY) --only KILL_SERVER --faults 20 --seconds 140 --add
	$(RECOVERY) --only STOP_SERVER --faults 12 --seconds 150 --add
	$(RECOVERY) --only KILL_CONNECTION --faults 150 --seconds 90 --add
	$(RECOVERY) --only CLOSE_AT_SERVER --faults 100 --seconds 90 --add
	$(RECOVERY) --only CLOSE_AT_CLIENT --faults 100 --seconds 90 --add
	$(RECOVERY) --only KILL_ALL --faults 8 --seconds 60 --add

.PHONY: recoveries

rolling: $(VENV)/.dev ## Restarts and an upgrade under load; writes their delays into docs/operations.md
	@$(BIN)/python -m tests.rolling

.PHONY: rolling

$(VENV)-rivals/.done $(VENV)-arq/.done: $(VENV)-%/.done: bench/requirements-%.txt
	$(PYTHON) -m venv $(VENV)-$*
	$(VENV)-$*/bin/python -m pip --disable-pip-version-check install -q --require-hashes -r $<
	@touch $@

bench: $(VENV)/.dev $(VENV)-rivals/.done $(VENV)-arq/.done ## Measure beside the rivals, and write docs/performance.md
	$(BIN)/python -m bench

.PHONY: bench

capacity: $(VENV)/.dev ## Measure what a turn costs and a million sessions hold (8 GiB, 25 minutes); writes docs/scaling.md
	$(BIN)/python -m bench.capacity

.PHONY: capacity

format: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## Pin every dependency with its hashes (needs uv)
	uv pip compile $(LOCK) --extra all --extra build pyproject.toml -o requirements.txt
	uv pip compile $(LOCK) --extra all --extra build --extra dev pyproject.toml -o requirements-dev.txt
	uv pip compile $(LOCK) --extra all --extra build --extra dev --extra web pyproject.toml -o requirements-web.txt
	uv pip compile $(LOCK) tests/manifests/requirements.in -o tests/manifests/requirements.txt

LOCK := -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

.PHONY: help setup demo up test check chaos reliability format lock
