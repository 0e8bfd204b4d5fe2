# make run    install, prepare the models, start the appliance and print where it is
# make test   every test, in TESTERS processes;  make lint  style, types, import directions;  make bench  the measurements;  make proof  does anything leave?
PYTHON ?= python3
DATA ?=
PORT ?=
LIBRARY ?=
PACKAGES ?=
OUT ?=
TESTERS ?= 2
BIN := .venv/bin
# a path as one word, spaces and all; not every shell has read its ~ before make gets it
path = $(if $(filter ~/%,$(firstword $(1))),~/"$(patsubst ~/%,%,$(1))","$(1)")
EXTRAS := --extra build --extra nvidia --extra genai --extra foundry

.PHONY: run install develop packages test lint bench proof lock

run: install
	@$(BIN)/cloister up $(if $(DATA),--data $(call path,$(DATA))) $(if $(PORT),--port $(PORT))

install:
	@$(PYTHON) -m appliance.install $(if $(LIBRARY),--library $(LIBRARY)) $(if $(PACKAGES),--packages $(call path,$(PACKAGES)))

develop:
	@$(PYTHON) -m appliance.install --development $(if $(LIBRARY),--library $(LIBRARY))

# for a machine without a network: all that `make run PACKAGES=DIR` installs there
packages:
	@$(PYTHON) -m appliance.fetch_packages $(call path,$(if $(OUT),$(OUT),packages))

test: develop
	$(BIN)/python -m pytest -n $(TESTERS) --dist loadfile

lint: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# four days of the whole box where everything answers, each with a quarter of an hour of nothing at its end
proof: develop
	$(BIN)/cloister egress prove --idle 900 $(if $(DATA),--data $(call path,$(DATA))) $(if $(OUT),--out $(call path,$(OUT)))

bench: develop
	$(BIN)/python -m bench

lock: develop
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  $(EXTRAS) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  $(EXTRAS) --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
