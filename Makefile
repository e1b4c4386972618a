# The two commands of the README are `make demo` and `make test`; they need python3 (3.11 or newer), make, a C++ compiler
# and a package index. Everything is installed into $(VENV).
PYTHON ?= python3
VENV ?= .venv
OUT ?= out/demo
WORKERS ?= 2
EXTRAS ?= dev # what the tests install; "dev bake" also bakes the head anew and compares
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Kernels are compiled by nvcc ahead of time where there is a card to run them; `make test-cuda` compiles them everywhere.
KERNELS := $(if $(shell command -v nvidia-smi),AUTO,OFF)
SOURCES := $(shell find avatar3d cuda configs -type f -not -name '*.so' -not -path '*/__pycache__/*' 2>/dev/null)

.PHONY: demo test test-cuda bench lint native clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed ## Fit a portrait (and CLIP=path.mp4) and write out/demo/index.html.
	$(BIN)/avatar3d demo --output $(OUT) $(if $(CLIP),--clip $(CLIP))

test: $(VENV)/.installed $(VENV)/.dev ## Run all tests, on the installed package.
	$(BIN)/pytest -n $(WORKERS)

test-cuda: $(VENV)/.installed $(VENV)/.dev $(VENV)/.cuda ## Prove the GPU kernels without a GPU: emulator, sanitizers, planted bugs, static gates.
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup tests/cuda -m ""

bench: $(VENV)/.installed ## Time the rasterizer beside its twin and a peer.
	$(PIP) install --quiet $$($(BIN)/python -c '$(PROJECT) print(*project["optional-dependencies"]["bench"])')
	$(BIN)/avatar3d bench raster

lint: $(VENV)/.dev ## Style, import rules and types.
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports && $(BIN)/pyright --pythonpath $(BIN)/python

native: ## Build the libraries into the source tree, for work in place.
	cmake -S . -B build/native -DCMAKE_BUILD_TYPE=Release -DAVATAR3D_CUDA=OFF
	cmake --build build/native --parallel 2
	cmake --install build/native --prefix .

clean: ## Remove what the targets above made.
	rm -rf $(VENV) build out

# PyTorch first and by itself: on Linux pip's default is a build for NVIDIA cards with gigabytes of libraries. uv knows
# which build suits this machine; where it cannot reach PyTorch's index, pip installs what its own settings offer.
$(VENV)/.torch: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "avatar3d needs Python 3.11 or newer; run make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet uv
	UV_HTTP_TIMEOUT=20 $(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend auto -c constraints.txt torch 2>/dev/null \
		|| $(PIP) install --quiet -c constraints.txt torch
	@touch $@

PROJECT := import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"];

$(VENV)/.needed: $(VENV)/.torch pyproject.toml
	$(PIP) install --quiet -c constraints.txt $$($(BIN)/python -c '$(PROJECT) print(*project["dependencies"])')
	@touch $@

$(VENV)/.dev: $(VENV)/.needed
	$(PIP) install --quiet -c constraints.txt $$($(BIN)/python -c '$(PROJECT) print(*(need for extra in "$(EXTRAS)".split() for need in project["optional-dependencies"][extra]))')
	@touch $@

# What compiles and reads kernels: the machine's toolkit, or the package index's (which has it for Linux alone).
$(VENV)/.cuda: $(VENV)/.needed
	[ "$$(uname -s)" != Linux ] || $(PIP) install --quiet -c constraints.txt $$($(BIN)/python -c '$(PROJECT) print(*project["optional-dependencies"]["cuda"])' \
		| tr ' ' '\n' | if command -v nvcc >/dev/null; then grep -e nvdisasm -e nvrtc; else cat; fi)
	@touch $@

$(VENV)/.installed: $(VENV)/.needed CMakeLists.txt $(SOURCES)
	$(PIP) install --quiet --no-deps --force-reinstall -C cmake.define.AVATAR3D_CUDA=$(KERNELS) .
	@cp $(VENV)/lib/python*/site-packages/avatar3d/ops/*avatar3d_[cg]pu* avatar3d/ops/ # the source tree runs in place, too
	@touch $@
