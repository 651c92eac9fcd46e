# Everything that these write lies under var/. PYTHON=… names another Python (3.11 or later).
.DEFAULT_GOAL := help
.PHONY: help run demo test test-fast test-faults test-upgrade test-faults-mutants soak soak-segments lint format bench pins audit clean images up down test-images manifests broker-users deploy-schemas
export PIP_USER := 0
VENV := var/venv/bin
SLOW := broker or database or printer or browser or process
PROJECTS = eventbus $(patsubst %/pyproject.toml,%,$(wildcard services/*/pyproject.toml services/*/*/pyproject.toml))
ARGS ?=
ENV ?= production
N ?= 2
SEED ?= 1
ONLY ?=

help: ## What there is to do (this list)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

run: ## Start everything on this machine, until Ctrl-C; a RabbitMQ that runs elsewhere: AMQP_URL=amqp://…
	@deploy/laptop/prepare run
	@exec $(VENV)/python deploy/laptop run

demo: ## Start everything, place sample orders, show what became of them, stop
	@deploy/laptop/prepare run
	@exec $(VENV)/python deploy/laptop demo

test: ## All tests, with a real RabbitMQ, PostgreSQL, printer and browser (ARGS='-k word' for some; RABBITMQ_SERVER=… for another)
	@deploy/laptop/prepare test
	@exec $(VENV)/pytest -n 3 --dist worksteal $(ARGS)

test-fast: ## The tests that start nothing, in under a minute
	@deploy/laptop/prepare test
	@exec $(VENV)/pytest -n 2 --dist worksteal -m "not ($(SLOW))" $(ARGS)

test-faults: ## Attack the whole shop and count from outside (N=20 runs of each scenario, ONLY=word, SEED=1; RABBITMQ_SERVER=…)
	@deploy/laptop/prepare test
	@exec $(VENV)/pytest tests/faults -n 2 --dist loadfile --timeout 600 --runs $(N) --seed $(SEED) $(if $(ONLY),-k "$(ONLY)") $(ARGS)

test-upgrade: ## The version before and this one side by side under load: rolling upgrade and back (PREVIOUS=<commit>, N=2 runs)
	@deploy/laptop/prepare test
	@exec $(VENV)/pytest tests/faults/test_upgrade.py --timeout 900 --runs $(N) --seed $(SEED) $(ARGS)

test-faults-mutants: ## Show that the fault suite can fail: break a copy in a dozen ways and expect red (ONLY=word)
	@deploy/laptop/prepare test
	@exec $(VENV)/python -m tests.faults.mutants $(ONLY)

soak: ## Steady load and steady faults on the whole shop: does anything grow? (MINUTES=60 RATE=4; RABBITMQ_SERVER=…)
	@deploy/laptop/prepare test
	@exec $(VENV)/python -m tests.faults.soak --minutes $(or $(MINUTES),60) $(if $(RATE),--rate $(RATE)) $(ARGS)

soak-segments: ## Whether RabbitMQ frees the disk of queues like ours (MINUTES=10 RATE=400; RABBITMQ_SERVER=…)
	@deploy/laptop/prepare test
	@exec $(VENV)/python -m tests.faults.soak_segments --minutes $(or $(MINUTES),10) $(if $(RATE),--rate $(RATE)) $(ARGS)

images: ## Build every image with docker or podman (PYTHON_IMAGE=name@sha256:…, BUILD_ARGS='…' for the engine)
	@deploy/images/build

up: images ## Start everything in containers, with docker compose or podman-compose (ARGS='--profile monitoring'; COMPOSE=…)
	@deploy/compose/run $(ARGS) up --detach
	@deploy/compose/run $(ARGS) ps

down: ## Stop and remove the containers (ARGS='--profile …'; with their data: . var/compose/env; docker compose down -v)
	@deploy/compose/run $(ARGS) down

test-images: ## Build the images, start them and try them: what is in them, orders, SIGTERM (code 77: no engine or no images)
	@deploy/laptop/prepare test
	@exec $(VENV)/pytest tests/images --timeout 900 $(ARGS)

manifests: ## Everything for Kubernetes as one stream, the platform first (ENV=production or development), for kubectl apply -f -
	@deploy/laptop/prepare python >&2
	@for folder in deploy/kubernetes/platform $(filter-out deploy/kubernetes/platform/%,$(wildcard deploy/kubernetes/*/overlays/$(ENV))); do \
	  $(VENV)/kubectl kustomize $${folder%/overlays/$(ENV)}/overlays/$(ENV) || exit 1; echo ---; done

broker-users: ## Write each service's broker users for Kubernetes anew, from the table of rights
	@deploy/laptop/prepare python
	@exec $(VENV)/python deploy/kubernetes/broker_users.py

deploy-schemas: ## Check the manifests against the operators' CustomResourceDefinitions, renew the inventory (CRDS=folder)
	@deploy/laptop/prepare python
	@exec $(VENV)/python -m tests.deploy.inventory $(CRDS)

lint: ## ruff and mypy, strict
	@deploy/laptop/prepare python
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	@for project in $(PROJECTS); do for part in $$project/src $$project/tests; do \
	  [ ! -d $$part ] || { echo mypy $$part; $(VENV)/mypy $$part || exit 1; }; done; done
	$(VENV)/mypy deploy/laptop
	$(VENV)/mypy deploy/kubernetes
	$(VENV)/mypy tests

format: ## Format the code, and mend what ruff can
	@deploy/laptop/prepare python
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

bench: ## Measure the order path: POST /orders under load, the relay
	@deploy/laptop/prepare bench
	@for bench in tests/bench/bench_*.py; do $(VENV)/python $$bench || exit 1; done

pins: ## Renew every requirements.txt: the newest versions that fit
	@deploy/laptop/prepare python
	@exec $(VENV)/python deploy/laptop/pins.py

audit: ## Look up every pinned package among known vulnerabilities (code 77: no advisory service could be reached)
	@deploy/laptop/prepare python
	@exec $(VENV)/python deploy/laptop/audit.py

clean: ## Remove var/: the environment, and the data of make run
	@deploy/laptop/prepare clean
