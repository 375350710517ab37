"""Everything here runs on a GPU, or in Numba's CUDA simulator in a process of its own (``make test-simulator``)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Or it takes most of the memory, and leaves too little to torch and Numba.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

from cuda_kernels import _cuda, flat
from cuda_kernels import many_arrays as many

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items):
    problem = _cuda.problem()
    # pytest hands over all tests of a run, those of other folders, too.
    for item in [item for item in items if FOLDER in item.path.parents]:
        # NumPy warns of overflow and NaN in the simulator's threads, which no ``np.errstate`` reaches.
        item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning"))
        if problem is None and not _cuda.SIMULATED and "cuda_driver" not in sys.modules:
            # What other libraries warn of on a GPU is no reason to lose a test that may not be run again soon.
            item.add_marker(pytest.mark.filterwarnings("default"))
        if problem is not None:
            item.add_marker(
                pytest.mark.skip(reason=f"no GPU, nor NUMBA_ENABLE_CUDASIM=1 for the simulator: {problem}")
            )
        elif _cuda.SIMULATED and "gpu" in item.keywords:
            item.add_marker(
                pytest.mark.skip(reason="the simulator has no graphs, streams or other libraries' arrays")
            )


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """The simulator starts a thread of the host for each of the GPU's."""
    if _cuda.SIMULATED:
        monkeypatch.setattr(flat, "THREADS", 4)
        monkeypatch.setattr(flat, "BLOCKS", 2)
        monkeypatch.setattr(many, "CHUNK", 64)
