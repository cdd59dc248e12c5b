# Two commands on a fresh machine: `make demo` and `make test`. Each sets itself up.
PYTHON ?= python3.11
BIN := .venv/bin
MAKEFLAGS += --no-print-directory
.PHONY: demo test test-full lint types style protos bench venv

venv: .venv/.ready

.venv/.ready: .ci/requirements.txt pyproject.toml
	@$(PYTHON) -m venv .venv 1>&2
	@$(BIN)/pip --quiet --disable-pip-version-check install --require-hashes -r .ci/requirements.txt 1>&2
	@$(BIN)/pip --quiet --disable-pip-version-check install --no-deps --no-build-isolation -e . 1>&2
	@touch $@

demo: venv
	@$(BIN)/accord demo $(ARGS)

test: lint
	@mkdir -p build
	.ci/in-memory $(BIN)/pytest -n 3 --dist worksteal -m "not full" --junitxml=build/test.xml

test-full: venv
	@mkdir -p build
	.ci/check-wheel
	.ci/in-memory $(BIN)/pytest -n 2 --dist worksteal -m full --junitxml=build/test-full.xml

# Beside each other: mypy takes as long as the rest.
lint: venv
	@$(MAKE) -j2 types style

types:
	$(BIN)/mypy

style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/interrogate --quiet accord node broker
	.ci/check-generated

protos: venv
	.ci/generate .

# All of docs/performance.md, in turn; one alone: .venv/bin/python -m bench.search
BENCHES ?= run arriving decide hotlist refresh purge audit verify processes stores search
bench: venv
	@for one in $(BENCHES); do echo "== bench.$$one"; $(BIN)/python -m bench.$$one || exit 1; done
