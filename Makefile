# The two commands of the README are `make demo` and `make test`.
PYTHON ?= python3

.PHONY: native
native: ## Build the CPU library into the source tree, for work in place.
	cmake -S . -B build/native -DCMAKE_BUILD_TYPE=Release
	cmake --build build/native --parallel 2
	cmake --install build/native --prefix .
