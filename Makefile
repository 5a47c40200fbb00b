# `make demo` and `make test` are enough on a fresh machine with Python >= 3.10.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo
# The build's own, isolated environment is pinned as well.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
SOURCES := pyproject.toml constraints.txt CMakeLists.txt $(wildcard cmake/* csrc/*.cpp csrc/*.hpp csrc/*.cu csrc/*.cuh)

# What is installed: to run and train, to test and lint as well, to build the site and run the notebooks as well.
RUNTIME := $(VENV)/.desali-runtime
DEVELOPMENT := $(VENV)/.desali-development
COMPLETE := $(VENV)/.desali-complete
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt

.PHONY: install demo test lint types format cuda sanitize docs networks browser notebooks wheel wheel-test bench \
	fuzz fuzz-short kills reliability sanitize-threads arm64 portable windows clean

install: $(COMPLETE)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "desali needs Python 3.10 or newer, this is " + sys.version.split()[0])'
	@echo "Making the environment $(VENV)"
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): $(BIN)/python $(SOURCES)
	@echo "Installing PyTorch (1 of 2); minutes, most of it download"
	$(PIP) torch
	@echo "Compiling desali's core and installing what it trains with (2 of 2); minutes"
	$(PIP) --editable '.[train]'
	touch $@

$(DEVELOPMENT): $(BIN)/python $(SOURCES)
	@echo "Installing PyTorch (1 of 2); minutes, most of it download"
	$(PIP) torch
	@echo "Compiling desali's core and installing what its tests need (2 of 2); minutes"
	$(PIP) --editable '.[train,dev]'
	touch $(RUNTIME) $@

$(COMPLETE): $(BIN)/python $(SOURCES)
	@echo "Installing PyTorch (1 of 2); minutes, most of it download"
	$(PIP) torch
	@echo "Compiling desali's core and installing all that its tests and its site need (2 of 2); minutes"
	$(PIP) --editable '.[train,dev,docs]'
	touch $(RUNTIME) $(DEVELOPMENT) $@

demo: $(RUNTIME)
	$(BIN)/desali demo --output $(DEMO)

# One process a core, each with one thread; the tests of a file share what they make.
test: $(DEVELOPMENT)
	PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

lint: $(DEVELOPMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'csrc/*.cpp' 'csrc/*.hpp' 'csrc/*.cu' 'csrc/*.cuh')

# The command line is installed as desali.cli; mypy sees it there too.
types: $(DEVELOPMENT)
	rm -rf build/types && mkdir -p build/types/desali
	ln -s $(CURDIR)/desali/* build/types/desali/ && rm -f build/types/desali/cli
	ln -s $(CURDIR)/cli build/types/desali/cli
	cd build/types && $(abspath $(BIN))/mypy --config-file $(CURDIR)/pyproject.toml -p desali

format: $(DEVELOPMENT)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $$(git ls-files 'csrc/*.cpp' 'csrc/*.hpp' 'csrc/*.cu' 'csrc/*.cuh')

# The CUDA kernels compile, where nvcc is; nothing is installed.
cuda: $(DEVELOPMENT)
	@if command -v nvcc >/dev/null; then rm -rf build/cuda-wheel && \
		DESALI_BUILD=require DESALI_CUDA=on $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/cuda-wheel .; \
	else echo "no nvcc on this machine: the CUDA kernels are not compiled here"; fi

# The core under AddressSanitizer and UndefinedBehaviorSanitizer, against naive loops.
sanitize: $(DEVELOPMENT)
	$(BIN)/cmake -S . -B build/sanitize -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DDESALI_SANITIZE=ON -DCMAKE_BUILD_TYPE=Debug
	$(BIN)/cmake --build build/sanitize
	build/sanitize/desali_sanitize

# Every reader and op against mutated input, 100,000 each (hours); failures and their inputs lie in build/fuzz.
FUZZ ?= 100000
fuzz: $(DEVELOPMENT)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --inputs $(FUZZ) --log build/fuzz

# The same in under a minute.
fuzz-short: $(DEVELOPMENT)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz --inputs 200 --seed 1 --log build/fuzz-short

# 50 kills each of train, crossvalidate, grid and lineage; nothing may be lost.
KILLS ?= 50
kills: $(DEVELOPMENT)
	PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.kills --kills $(KILLS) --log build/kills

# The tables in docs/reliability.md, from the logs of `make fuzz` and `make kills`.
reliability: $(DEVELOPMENT)
	$(BIN)/python -m benchmarks.reliability

# The same under ThreadSanitizer, on threads of its own in place of OpenMP, whose barriers it does not see.
sanitize-threads: $(DEVELOPMENT)
	$(BIN)/cmake -S . -B build/sanitize-threads -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DDESALI_SANITIZE=ON -DDESALI_SANITIZERS=thread -DCMAKE_BUILD_TYPE=Debug
	$(BIN)/cmake --build build/sanitize-threads
	TSAN_OPTIONS=halt_on_error=1 build/sanitize-threads/desali_sanitize

# The same for arm64, cross-compiled and emulated: the portable kernels, under UndefinedBehaviorSanitizer (AddressSanitizer does not run there).
# The compiler and the emulator are installed by apt where that is allowed.
arm64: $(DEVELOPMENT)
	@command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64-static >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && apt-get update --quiet >/dev/null && \
		apt-get install --quiet --yes --no-install-recommends g++-aarch64-linux-gnu qemu-user-static >/dev/null; } || true
	@if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64-static >/dev/null; then \
		$(BIN)/cmake -S . -B build/arm64 -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja -DCMAKE_BUILD_TYPE=Debug \
			-DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
			-DDESALI_SANITIZE=ON -DDESALI_SANITIZERS=undefined -DDESALI_OPENMP=OFF && $(BIN)/cmake --build build/arm64 && \
		qemu-aarch64-static -L /usr/aarch64-linux-gnu build/arm64/desali_sanitize 40; \
	else echo "no aarch64-linux-gnu-g++ or qemu-aarch64-static on this machine: the kernels are not tried on arm64"; fi

# The CPU kernels and what chooses between them, compiled (not linked, not run) for Windows by Clang.
ZIG := build/zig
$(ZIG)/.installed: $(BIN)/python
	@echo "Installing Zig's Clang, 100 MB"
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(ZIG) ziglang==0.17.1
	touch $@

windows: $(BIN)/python
	@$(MAKE) --no-print-directory $(ZIG)/.installed || echo "no Clang for Windows can be installed: the kernels are not compiled for it"
	@set -e; [ -e $(ZIG)/.installed ] || exit 0; for file in csrc/*.cpp; do \
		case $$file in \
			*/bindings.cpp | */device.cpp) continue ;; \
			*/cpu.cpp | */conv_pack.cpp | */memory.cpp) levels=host ;; \
			*) levels="portable avx2 avx512" ;; \
		esac; \
		for level in $$levels; do \
			case $$level in \
				host) flags=-DDESALI_X86_LEVELS ;; \
				portable) flags= ;; \
				avx2) flags="-mavx2 -mfma" ;; \
				avx512) flags="-mavx2 -mfma -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512" ;; \
			esac; \
			ZIG_GLOBAL_CACHE_DIR=$(ZIG)/cache $(BIN)/python $(ZIG)/ziglang c++ -target x86_64-windows-gnu -std=c++17 -O1 -Wall -Wextra -Werror \
				-Wno-psabi -Wno-unknown-warning-option -ffp-contract=fast -Icsrc -DDESALI_LEVEL=$$level $$flags -c $$file -o $(ZIG)/object; \
			echo "$$file $$level"; \
		done; \
	done

# The ops with the kernels that every processor runs.
portable: $(DEVELOPMENT)
	PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1 DESALI_SIMD=portable $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile tests/ops

# The site in build/site; the gallery's scripts run, and a warning is an error.
docs: $(COMPLETE)
	rm -rf docs/gallery build/site
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html --doctree-dir build/doctrees docs build/site

# Networks of others, beside the environment: torchvision's own requirements would bring another torch.
NETWORKS := build/networks
$(NETWORKS)/.installed: $(BIN)/python
	@echo "Installing torchvision's and timm's networks; a minute or two"
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(NETWORKS) torchvision==0.28.0 timm==1.0.31
	touch $@

networks: $(DEVELOPMENT) $(NETWORKS)/.installed
	PYTHONPATH="$(abspath $(NETWORKS))" PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pytest tests/test_torchvision.py tests/test_timm.py

# The report in headless Chromium, installed by apt where that is allowed (not with BROWSER=keep); axe-core beside the environment.
AXE := build/axe/node_modules/axe-core/axe.min.js
$(AXE):
	@if command -v npm >/dev/null; then npm install --silent --no-save --prefix build/axe axe-core@4.14.1; \
	else echo "no npm on this machine: axe-core does not look for faults of accessibility"; fi

browser: $(DEVELOPMENT)
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
		{ [ "$(BROWSER)" != keep ] && [ "$$(id -u)" = 0 ] && apt-get update --quiet >/dev/null && \
		apt-get install --quiet --yes --no-install-recommends chromium >/dev/null; } || \
		echo "no Chromium on this machine, and it cannot be installed: the browser's tests are skipped"
	@$(MAKE) --no-print-directory $(AXE) || echo "axe-core cannot be installed: its test is skipped"
	DESALI_AXE="$(abspath $(AXE))" PATH="$(abspath $(BIN)):$$PATH" OMP_NUM_THREADS=1 \
		$(BIN)/python -m pytest -m browser tests/web

notebooks: $(COMPLETE) $(NETWORKS)/.installed
	DESALI_NETWORKS="$(abspath $(NETWORKS))" $(BIN)/python -m pytest tests/notebooks

# A wheel for other machines in dist/: it links no OpenMP runtime but takes torch's (docs/how-to/install.md).
wheel: $(DEVELOPMENT)
	rm -rf build/wheel dist
	DESALI_BUILD=require $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel . \
		--config-settings=cmake.define.DESALI_OPENMP_OF_PROCESS=ON
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist build/wheel/*.whl
	$(BIN)/auditwheel show dist/*.whl

wheel-test: wheel
	DESALI_WHEEL="$$(echo dist/*.whl)" $(BIN)/python -m pytest tests/packaging

# Measure against the baselines, at the processor's best instruction set and, where that is avx512, at avx2 too; losses first. BENCH=--quick for a short run.
bench: $(DEVELOPMENT)
	for level in $$($(BIN)/python -c 'from desali.ops import describe; best = describe().get("simd_best", "portable"); print(best, "avx2" if best == "avx512" else "")'); do \
		$(BIN)/desali bench --wait --simd $$level $(BENCH) || exit 1; \
	done

clean:
	rm -rf build dist docs/gallery docs/benchmark-tables.md $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
