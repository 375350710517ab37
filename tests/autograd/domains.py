"""Random arguments for functions: distinct numbers, away from 0."""

from __future__ import annotations

import numpy as np

_rng = np.random.default_rng(5)


def real(*shape, low=-2.0, high=2.0):
    """Distinct random values between two bounds, none of them 0."""
    n = int(np.prod(shape))
    grid = np.linspace(low, high, n + 2)[1:-1]
    return _rng.permutation(grid + _rng.uniform(0.01, 0.06, n)).reshape(shape)


def positive(*shape):
    return real(*shape, low=0.3, high=2.2)


def inside(*shape):
    return real(*shape, low=-0.9, high=0.9)


def share(*shape):
    return real(*shape, low=0.1, high=0.9)


def cplx(*shape):
    return real(*shape) + 1j * real(*shape)


def spd(n, dtype=float):
    a = real(n, n) if dtype is float else cplx(n, n)
    return a @ a.conj().T + n * np.eye(n)
