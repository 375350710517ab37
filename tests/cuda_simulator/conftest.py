"""Everything here runs in Numba's CUDA simulator, in a process of its own (see tests/test_cuda.py)."""

from __future__ import annotations

import pytest

from cuda_kernels import _cuda, flat, many

assert _cuda.SIMULATED


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """The simulator starts a thread of the host for each of the GPU's."""
    monkeypatch.setattr(flat, "THREADS", 4)
    monkeypatch.setattr(flat, "BLOCKS", 2)
    monkeypatch.setattr(many, "CHUNK", 64)


def pytest_collection_modifyitems(items):
    """NumPy warns of overflow and NaN in the simulator's threads, which no ``np.errstate`` reaches."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore::RuntimeWarning"))
