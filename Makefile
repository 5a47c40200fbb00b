# `make demo` and `make test` are enough on a fresh machine with Python >= 3.10.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo
STAMP := $(VENV)/.desali-installed
# The build's own, isolated environment is pinned as well.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/*.cpp csrc/*.hpp csrc/*.cu csrc/*.cuh)

.PHONY: demo test lint types format sanitize bench install clean

install: $(STAMP)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "desali needs Python 3.10 or newer, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(BIN)/python $(SOURCES)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,dev]'
	touch $@

demo: install
	$(BIN)/desali demo --output $(DEMO)

test: install
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'csrc/*.cpp' 'csrc/*.hpp' 'csrc/*.cu' 'csrc/*.cuh')

# The command line is installed as desali.cli; mypy sees it there too.
types: install
	rm -rf build/types && mkdir -p build/types/desali
	ln -s $(CURDIR)/desali/* build/types/desali/ && rm -f build/types/desali/cli
	ln -s $(CURDIR)/cli build/types/desali/cli
	cd build/types && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml -p desali

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files 'csrc/*.cpp' 'csrc/*.hpp' 'csrc/*.cu' 'csrc/*.cuh')

# The core under AddressSanitizer and UndefinedBehaviorSanitizer, against naive loops.
sanitize: install
	$(BIN)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DDESALI_SANITIZE=ON -DCMAKE_BUILD_TYPE=Debug
	$(BIN)/cmake --build build/sanitize
	build/sanitize/desali_sanitize

# Measure against the baselines; BENCH=--quick for a short run.
bench: install
	$(BIN)/desali bench $(BENCH)

clean:
	rm -rf build dist $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
