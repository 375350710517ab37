"""Fixtures that all tests share."""

from __future__ import annotations

import gc
import os
import signal

# One thread in NumPy's libraries, and at most two in Numba, which give up their processors while they wait, so that
# parallel tests do not disturb each other on a small machine. These variables are read at the import of NumPy and
# Numba.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["NUMBA_NUM_THREADS"] = "2"

# Shells start what runs in the background without Ctrl-C. Some tests need it, and processes that they start inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest

from rprop_ref import backends

# Otherwise Numba would be loaded, and kernels compiled by other processes, beside any test, once a worker had made
# steps for a second. What is tested of that is tested in processes of its own, or sets this. Where the objective is
# machine code, runs wait for it, so that it is what is tested.
backends.SECONDS_BEFORE_NUMBA, backends.SECONDS_BEFORE_WHOLE_RUNS = np.inf, 0


def pytest_collection_finish() -> None:
    """What has been collected lives until the end: the collector of garbage need not walk through it each time."""
    gc.freeze()


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers in every run."""
    return np.random.default_rng(20261122)
