# `make help` says what there is. Everything runs in .venv, everything it keeps is under var/.

# The first Python that runs and that every package of the lock supports: a version manager's shim may be on the path
# without its Python. Override with make demo PYTHON=/path/to/python3.12
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
  $$python -c '$(SUPPORTED)' >/dev/null 2>&1 && { echo $$python; break; }; done)
PLANT ?= plant.yml
DATA ?= ../shared/data
VENV := .venv
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo run test e2e faults smoke bench scoreboard lint docs clean

help: ## this list
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r name what; do printf '  make %-10s %s\n' "$$name" "$$what"; done

demo: $(INSTALLED) ## the whole system with a demo plant and 90 days of history, until Ctrl-C
	@$(VENV)/bin/python -m stack up --demo

run: $(INSTALLED) ## the same for a plant of your own: make run PLANT=my.yml
	@$(VENV)/bin/python -m stack up --plant $(PLANT)

test: $(INSTALLED) ## unit, integration, dbt and DAG tests on an embedded Postgres
	@$(VENV)/bin/python -m pytest -n 2 --dist loadfile tests/dbt tests/dags tests/integration tests/unit

e2e: $(INSTALLED) ## the README's commands and the running stack, from the outside
	@$(VENV)/bin/python -m pytest -n 2 --dist loadgroup tests/e2e --ignore=tests/e2e/faults

faults: $(INSTALLED) ## the fault matrix: what is lost when a collector, its server, its network or Postgres breaks
	@$(VENV)/bin/python -m pytest -n 3 tests/e2e/faults --matrix docs/faults.json

smoke: $(INSTALLED) ## the proof that it works: the real stack, a fault, a recommendation, an answer, a retraining
	@$(VENV)/bin/python -m stack smoke

bench: $(INSTALLED) ## the collector's figures, each beside its peer or limit (about a quarter of an hour)
	@$(VENV)/bin/python -m bench.ingest

scoreboard: $(INSTALLED) ## what the models are worth on labelled data in DATA, beside published figures (ten minutes to an hour)
	@$(VENV)/bin/python -m bench.scoreboard --data $(DATA)

lint: $(INSTALLED) ## ruff, mypy, import-linter, sqlfluff
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/sqlfluff lint --processes 2 --disable-progress-bar dbt_project warehouse/migrations metabase

docs: $(INSTALLED) ## what every table means and what the checkpoints found, as pages on 127.0.0.1 (needs a running stack)
	@$(VENV)/bin/python -m warehouse docs

clean: ## remove var/: readings, models, Airflow's and MLflow's databases
	rm -rf var

# Once for each change of the lock; uv comes from the lock itself. Compiled once here: where PYTHONDONTWRITEBYTECODE is set, as in
# many images, every process, each of Airflow's tasks among them, would compile what it imports anew.
$(INSTALLED): requirements.txt
	@test -n "$(PYTHON)" || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed and none was found: install one, or say PYTHON=/path/to/it" >&2; exit 2; }
	@$(PYTHON) -c '$(SUPPORTED)' || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed. Got: $$($(PYTHON) --version 2>&1) at $(PYTHON)" >&2; exit 2; }
	@echo "Installing the packages of requirements.txt into $(VENV) (once; a few minutes at most)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "uv==$$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.txt)"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(VENV)/bin/uv pip install --quiet --compile-bytecode -r requirements.txt
	@touch $@
