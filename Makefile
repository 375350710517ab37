# Every target makes the virtual environment it needs, once: a stamp in .venv stands for each extra that has
# been installed, and is renewed when the metadata changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
METADATA := setup.cfg pyproject.toml

# The NIST files, for the tests and benchmarks that read them.
NIST_STRD_DIR ?= $(wildcard $(abspath ../shared/data/nist_strd))
ifneq ($(NIST_STRD_DIR),)
export NIST_STRD_DIR
endif

PROGRAMS ?= 10000
KILLS ?= 100

.PHONY: demo test test-simulator test-peers test-peers-quick test-browser test-cuda fuzz lint format docs notebooks bench build \
	clean help

help:  ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/installed: $(METADATA) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-%: $(METADATA) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@ $(VENV)/installed

demo: $(VENV)/installed  ## fit the NIST problems that come with the package
	$(BIN)/python -m rprop_ref demo

# Two processes share the tests out; more would compile the same kernels more often.
test: $(VENV)/installed-test  ## run the tests that need no other implementation
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not peers and not browser and not notebooks"

# The simulator is chosen before Numba is imported, hence a process of its own.
test-simulator: $(VENV)/installed-test  ## run the GPU's kernels in Numba's simulator
	NUMBA_ENABLE_CUDASIM=1 $(BIN)/python -m pytest tests/cuda_device --ignore tests/cuda_device/test_bench.py

# neurolab does not run on NumPy 2, so it has an environment of its own, and is spoken to through the protocol.
test-peers: test-peers-quick $(VENV)/installed-referee $(VENV)-old/installed  ## compare with torch and others, to the bit; the referee judges optax, Paddle, PINTS, OpenCV, neurolab
	NEUROLAB_PYTHON=$(abspath $(VENV)-old/bin/python) $(BIN)/python -m pytest -m referee

# Without what the referee judges, which takes longer to install than to test.
test-peers-quick: $(VENV)/installed-test $(VENV)/installed-peers  ## compare with torch and others, to the bit
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "peers and not referee"

$(VENV)-old/installed:
	$(PYTHON) -m venv $(VENV)-old
	$(VENV)-old/bin/python -m pip install --quiet --disable-pip-version-check "numpy<2" neurolab==0.3.5
	@touch $@

test-browser: $(VENV)/installed-test $(VENV)/installed-browser  ## look at the explorer in headless Chromium
	$(BIN)/playwright install chromium || echo "using an installed Chromium, if there is one"
	$(BIN)/python -m pytest -m browser

# The second process goes through numba-cuda with a driver made of the host's memory (needs cc), where kernels do not
# run, so that the tests of what they compute are left out.
test-cuda: $(VENV)/installed-test $(VENV)/installed-cuda  ## compile the GPU kernels and read their code; needs no GPU
	$(BIN)/python -m pytest tests/cuda_compiler tests/cuda_device
	PYTHONPATH=tests $(BIN)/python -m pytest -p cuda_driver tests/cuda_device -k "not oracle and not test_many_runs"

fuzz: $(VENV)/installed-test $(VENV)/installed-peers  ## PROGRAMS=10000 random ones beside torch; KILLS=100 runs killed and resumed
	FUZZ_PROGRAMS=$(PROGRAMS) $(BIN)/python -m pytest -m peers tests/step/test_programs.py
	KILLED_RUNS=$(KILLS) $(BIN)/python -m pytest -k killed tests/minimizer/test_runs.py

lint: $(VENV)/installed-lint  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed-lint  ## let ruff format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/installed-docs  ## build the site into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

notebooks: $(VENV)/installed-test $(VENV)/installed-notebooks  ## run the notebooks in a kernel
	$(BIN)/python -m pytest -m notebooks

bench: $(VENV)/installed-peers  ## measure against other implementations; writes benchmarks/results.json
	$(BIN)/python -m benchmarks

build: $(BIN)/python  ## build the wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:  ## remove the environment and everything that was built
	rm -rf $(VENV) $(VENV)-old dist build docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
