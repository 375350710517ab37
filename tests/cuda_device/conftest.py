"""These tests run on a GPU, or in Numba's CUDA simulator in a process of their own (``make test-simulator``)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Otherwise JAX takes most of the memory and leaves too little for torch and Numba.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from cuda_kernels import _cuda, flat
from cuda_kernels import many_arrays as many

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items):
    problem = _cuda.problem()
    # pytest passes all tests of the run, also those of other folders.
    for item in [item for item in items if FOLDER in item.path.parents]:
        # NumPy warns of overflow and NaN in the simulator's threads, where ``np.errstate`` has no effect.
        item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning"))
        if problem is None and not _cuda.SIMULATED and "cuda_driver" not in sys.modules:
            # On a GPU, other libraries' warnings must not fail tests that may not be run again soon.
            item.add_marker(pytest.mark.filterwarnings("default"))
        if problem is not None:
            item.add_marker(
                pytest.mark.skip(reason=f"no GPU, nor NUMBA_ENABLE_CUDASIM=1 for the simulator: {problem}")
            )
        elif _cuda.SIMULATED and "gpu" in item.keywords:
            item.add_marker(
                pytest.mark.skip(reason="the simulator has no graphs, no streams and no arrays of other libraries")
            )


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """The simulator starts one thread of the host for each thread of the GPU."""
    if _cuda.SIMULATED:
        monkeypatch.setattr(flat, "THREADS", 4)
        monkeypatch.setattr(flat, "BLOCKS", 2)
        monkeypatch.setattr(many, "CHUNK", 64)
