# make demo   sets up everything, then trains, synthesises and scores on the speech that ships inside ESPnet
# make test   sets up everything, then runs the tests (the slow ones: make test-slow)
# make lint   ruff, and shellcheck where it is installed

SHELL := /bin/bash
PYTHON ?= python3
# Where uv is missing, pip puts it into .tools; --target works where the system's Python is closed to pip, too.
# `uv --version` is asked, not `command -v uv`: pyenv leaves commands on the path that do not run.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .tools/uv/bin/uv)
STAMP := .venv/.installed
# Links, mode 120000, are checked where they lead to.
SCRIPTS = $(shell git ls-files -s '*.sh' '*.pl' .ci | awk '$$1 != "120000" {print $$4}')

.PHONY: help setup demo test test-slow lint clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(STAMP)

.tools/uv/bin/uv:
	$(PYTHON) -m pip install --quiet --target .tools/uv uv

$(STAMP): pyproject.toml uv.lock $(filter .tools/%,$(UV))
	$(UV) sync --locked --extra all
	@touch $@

demo: setup
	cd egs/mini_an4/voc1 && ./run.sh

test: setup
	.venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: setup
	.venv/bin/python -m pytest -m slow

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	@if command -v shellcheck >/dev/null; then set -x; shellcheck $(SCRIPTS); \
	else echo "make lint: shellcheck is not installed (Debian: apt install shellcheck): scripts are not checked" >&2; fi

clean:
	rm -rf .venv .tools
