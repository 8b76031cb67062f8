# Everything runs in .venv, which `setup` makes and keeps; each target sees to it by itself.
PYTHON ?= python3
# Processes that share the tests: much of what they do is waiting.
PROCESSES ?= 2
# What people see, in their own time: these have the machine to themselves.
ALONE := tests/journeys sdk/python/tests
BIN := .venv/bin
STAMP := .venv/.set-up
COMPILED := tests/protocol tests/transport/websocket tests/wire tests/journeys/test_tour.py
ACCELERATOR := .venv/.accelerator
SHARED_JOURNEYS := tests/journeys/test_node.py tests/journeys/test_curl.py
NODE := tests/journeys/node_modules/.package-lock.json

.PHONY: help setup run test test-accelerated accelerator check format generated docs-page cluster cluster-test cluster-kills cluster-test-short cluster-upgrade-test cluster-status cluster-stop cluster-logs bench bench-full bench-show bench-cluster bench-build bench-peers lock clean model soak

help: ## what there is to type
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) $(NODE) ## the virtual environment, from the locks

$(STAMP): requirements-dev.txt pyproject.toml sdk/python/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . -e sdk/python
	touch $@

$(NODE): tests/journeys/package-lock.json
	@if command -v npm >/dev/null; then cd tests/journeys && npm ci --no-audit --no-fund --loglevel=error; else echo "no npm: the journeys of Node clients and of the browser cannot run"; fi

run: $(STAMP) ## the development set-up: two workers, alice, bob and carol, a page at /
	$(BIN)/caas dev

cluster: $(STAMP) ## a whole cluster here: three brokers, three mongods, Redis, a registry, three nodes behind HAProxy on port 3000
	@$(BIN)/python -m deploy.local start

cluster-status: $(STAMP) ## a line for each of its processes: name, pid, port, state
	@$(BIN)/python -m deploy.local status

cluster-stop: $(STAMP) ## stop them in reverse order; what was written stays in data/cluster
	@$(BIN)/python -m deploy.local stop

cluster-logs: $(STAMP) ## what they say, until Ctrl-C
	@$(BIN)/python -m deploy.local logs

test: setup ## all tests; what needs a program that is not here says so
	$(BIN)/python -m pytest tests -n $(PROCESSES) --dist loadgroup -m "not cluster" $(ALONE:%=--ignore=%)
	$(BIN)/python -m pytest $(ALONE)

cluster-test: setup ## contracts, journeys and faults against real engines, each fault once (CLUSTER_FAULTS), pauses of 30 s: half an hour
	$(BIN)/python -m pytest tests/contracts tests/storage tests/engines tests/deploy tests/faults/test_mongo_faults.py tests/faults/test_move.py
	JOURNEYS_ON=cluster $(BIN)/python -m pytest tests/journeys sdk/python/tests
	CLUSTER_FAULTS=$${CLUSTER_FAULTS:-1} CLUSTER_PAUSE_S=30 $(BIN)/python -m pytest -s -m cluster

cluster-kills: setup ## ten SIGKILLs, five SIGSTOPs and five cuts in a cluster under load, some three minutes
	CLUSTER_KILLS=10 CLUSTER_STOPS=5 CLUSTER_PAUSE_S=3 $(BIN)/python -m pytest -s tests/faults/test_cluster.py

cluster-upgrade-test: setup ## a rolling upgrade from the previous release to one that knows a rule more, while clients chat
	$(BIN)/python -m pytest -s tests/faults/test_upgrade.py

cluster-test-short: cluster-kills ## those, the stores away, each engine slow, and the journeys that take a set-up as it is: some five minutes, a part of CI
	JOURNEYS_ON=cluster $(BIN)/python -m pytest $(SHARED_JOURNEYS)
	$(BIN)/python -m pytest tests/faults/test_stores_away.py tests/faults/test_slow_engines.py

accelerator: $(ACCELERATOR) ## the innermost loops compiled with cc, into .venv; never needed

$(ACCELERATOR): $(STAMP) $(wildcard accelerator/*.*) $(shell find actors protocol services storage supervisor transport -name '*.py')
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --force-reinstall ./accelerator
	touch $@

test-accelerated: accelerator ## what can be tested of the compiled form
	$(BIN)/python -m pytest -p tests.accelerated -n $(PROCESSES) --dist loadgroup $(COMPILED)

check: $(STAMP) ## style, types, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## order imports and mend what can be mended
	$(BIN)/ruff check --fix .

generated: $(STAMP) ## golden frames and the tables of the docs, as the code says now
	$(BIN)/python -m scripts.generate

docs-page: $(STAMP) ## fetch what /docs shows, after raising its version in the script
	$(BIN)/python -m scripts.fetch_docs_page

bench: $(STAMP) bench-build ## ours beside others, in some five minutes; a report in bench/results/short/
	$(BIN)/python -m bench.peers.install --missing ws socketio centrifuge
	$(BIN)/python -m bench.run --plan short

bench-full: $(STAMP) bench-build ## all of it, for about an hour; a report in bench/results/full/
	$(BIN)/python -m bench.peers.install --missing
	$(BIN)/python -m bench.run --plan full

bench-show: $(STAMP) bench-build ## ours alone, the figures of the README
	$(BIN)/python -m bench.show

bench-cluster: $(STAMP) bench-build ## three nodes on real engines: between nodes, by number of nodes, and what is not listened to; three minutes
	$(BIN)/python -m bench.cluster

bench-build: $(STAMP) ## the load generator and the C loop, compiled with cc
	$(BIN)/python -m bench.build

bench-peers: $(STAMP) ## others' servers to compare with, anew, as far as npm, pip and Go are here; the benches install what is missing
	$(BIN)/python -m bench.peers.install

soak: $(STAMP) ## kills, stops, full and failing disks, flipped bits, fuzzing, simulated seeds for MINUTES (60); the report is data/soak.md
	nice $(BIN)/python -m tests.soak $(or $(MINUTES),60)

model: $(STAMP) ## check the model of the log to the end with spin: hours; the test runs a minute of it
	$(BIN)/python -m scripts.check_model

lock: $(STAMP) ## write the locks anew
	$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 --extra cluster pyproject.toml -o requirements-cluster.txt
	$(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 --group dev pyproject.toml -o requirements-dev.txt

clean: ## remove what setup and the tests have made
	rm -rf .venv .engines data tests/journeys/node_modules bench/build
