# make demo [PHOTO=path]   one photo in, sealed headshots out, erased at the end
# make up                  run everything on this machine until Ctrl-C
# make test                lint, types, import contracts, all tests
# make bench               the engine against its peers; make bench-gpu on one CUDA device
# make install             the environment in .venv (done by the others when needed)
# make lint | format | clean

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := demo

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := torch==2.13.0
PHOTO ?=
CONSOLE_TESTS := tests/operator_ui/test_console.py tests/operator_ui/test_two_people.py

.PHONY: install demo up test bench bench-gpu lint format clean

install: $(STAMP)

# uv does not read pip's settings, so a place of ready-made wheels that pip knows of is passed on to it.
# The stamp is younger than what it was made from, or the environment is brought up to date.
$(STAMP): pyproject.toml uv.lock Makefile
	@python="$$(command -v python3.11 || command -v python3 || true)"; \
	if [ -z "$$python" ] || ! "$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then \
	  echo "Likeness needs Python 3.11, and neither python3.11 nor python3 on the PATH is that." >&2; \
	  echo "Install it (Debian 12: apt install python3.11 python3.11-venv), then run make again." >&2; exit 1; \
	fi; \
	[ -x $(BIN)/python ] || "$$python" -m venv $(VENV); \
	uv="$$(command -v uv || true)"; \
	if [ -z "$$uv" ] || ! "$$uv" --version >/dev/null 2>&1; then \
	  [ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv; uv=$(BIN)/uv; \
	fi; \
	links="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-}}"; \
	for asked in "$$python" $(BIN)/python; do \
	  links="$${links:-$$("$$asked" -m pip config get global.find-links 2>/dev/null || true)}"; \
	done; \
	if [ -n "$$links" ]; then UV_FIND_LINKS="$$(echo $$links | tr -s ' ' ',')"; export UV_FIND_LINKS; fi; \
	export UV_PROJECT_ENVIRONMENT=$(VENV) VIRTUAL_ENV=$(CURDIR)/$(VENV) UV_PYTHON_DOWNLOADS=never; \
	"$$uv" sync --frozen --inexact --python $(BIN)/python --extra worker --extra local --extra console; \
	: "The lock holds no torch, because the right build differs by machine; --no-config lets this one in."; \
	"$$uv" pip install --no-config --python $(BIN)/python $(TORCH); \
	: "Importing compiles (pymatting to machine code, for half a minute), so that the first start need not."; \
	$(BIN)/python -c 'import api.main, pymatting, torch, worker.main'; \
	touch $@

demo: install
	@$(BIN)/likeness demo $(if $(PHOTO),--photo "$(PHOTO)")

up: install
	@exec $(BIN)/likeness up

# Two processes, each with its own servers; a file's tests stay together, because they share what is slow to start.
# Native tracebacks, because Python 3.11 may fail to parse a source again for a prettier one, which ends the whole run.
test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile --tb=native $(addprefix --ignore=,$(CONSOLE_TESTS))
	@: "The console's pages last and alone: beside others a browser is so slow that what is typed is lost."
	$(BIN)/python -m pytest --tb=native $(CONSOLE_TESTS)

bench: install
	$(BIN)/python -m infra.bench

bench-gpu: install
	$(BIN)/python -m infra.bench.gpu

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The data in var/ is not build output: it stays.
clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
