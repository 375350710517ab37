"""Random programs that change arrays and views in place: NumPy's value and the gradient of differences, or an error.

``make test`` runs some, always the same; ``make fuzz`` runs FUZZ_CALLS / 40 new ones.
"""

from __future__ import annotations

import collections
import os
import secrets

import numpy as np

from rprop_ref import autograd

PROGRAMS = int(os.environ.get("FUZZ_CALLS", "0")) // 40

VIEWS = [
    *(
        lambda a: a[0],
        lambda a: a[:, 0],
        lambda a: a.T,
        lambda a: a[1:],
        lambda a: a[:, ::-1],
        lambda a: a[::2, 1:],
    ),
    *(np.ravel, lambda a: np.flip(a, 0), lambda a: np.swapaxes(a, 0, 1), lambda a: np.split(a, [1])[1]),
    lambda a: a[None, :, :][0],
]
VIEWS_OF_VECTORS = [lambda a: a[1:], lambda a: a[::-1], lambda a: a[:2], lambda a: a.reshape(-1, 1)]


def operand(rng, arrays, shape):
    """Something that can be written to elements of this shape, computed from one of the arrays."""
    array = arrays[rng.integers(len(arrays))]
    try:
        fitting = np.broadcast_to(array, shape)
    except ValueError:
        fitting = 0.1 * np.sum(array)
    return [
        *(lambda: fitting, lambda: fitting * fitting, lambda: 0.5 * fitting, lambda: np.exp(-fitting * fitting)),
        *(lambda: np.sin(fitting), lambda: 0.05 * np.sum(array), lambda: rng.uniform(0.5, 1.5)),
    ][rng.integers(7)]()


def change(rng, arrays, i):
    """Change array number `i` in place."""
    a = arrays[i]

    def written(shape):
        return operand(rng, arrays, shape)

    mask = rng.uniform(size=a.shape) > 0.5
    kind = rng.integers(18)
    if kind < 4:
        a = [a.__iadd__, a.__isub__, a.__imul__, a.__imod__][kind](0.7 if kind == 3 else written(a.shape))
    elif kind == 4:
        a[...] = written(a.shape)
    elif kind == 5:
        a[0] = written(a[0].shape)
    elif kind == 6:
        a[mask] = written(()) if rng.integers(2) else a[mask] * a[mask]
    elif kind == 7:
        np.multiply(a, written(a.shape), out=a)
    elif kind == 8:
        a[-1] *= written(a[-1].shape)
    elif kind == 9:
        a[1:] = a[:-1] * 0.9
    elif kind == 10:
        a[rng.permutation(len(a))] = a * 0.7
    elif kind == 11:
        a.sort(axis=0)
    elif kind == 12:
        a.fill(arrays[0].ravel()[1])
    elif kind == 13:
        np.put(a, [0, -1], written((2,)))
    elif kind == 14:
        np.copyto(a, written(a.shape), where=mask)
    elif kind == 15:
        np.add.at(a, np.array([0, 0, -1]), written((3, *a.shape[1:])))
    elif kind == 16:
        a.flat[[0, 1]] = written((2,))
    else:
        np.sin(a, out=a, where=mask)
    arrays[i] = a


def program(seed):
    """A function of nine numbers."""

    def run(x):
        rng = np.random.default_rng(seed)
        arrays = [x.reshape(3, 3) * 1.0, np.tanh(x[:3]) * 1.0]
        for _ in range(rng.integers(3, 9)):
            i = rng.integers(len(arrays))
            a = arrays[i]
            if rng.integers(4):
                change(rng, arrays, i)
            else:
                views = VIEWS if a.ndim == 2 else VIEWS_OF_VECTORS
                arrays.append(views[rng.integers(len(views))](a))
        return sum(np.sum(a * np.cos(np.arange(a.size).reshape(a.shape) + k)) for k, a in enumerate(arrays))

    return run


def test_programs_that_change_arrays_in_place(capsys):
    first = secrets.randbits(32) if PROGRAMS else 0
    outcomes = collections.Counter()
    for seed in range(first, first + (PROGRAMS or 60)):
        fun, x = program(seed), np.random.default_rng(seed).uniform(0.3, 1.2, 9)
        try:
            expected = fun(x.copy())
        except (ValueError, IndexError):
            continue  # NumPy refuses it
        try:
            value, gradient = autograd.value_and_grad(fun)(x.copy())
        except RuntimeError as error:
            assert "modified by an inplace operation" in str(error)
            outcomes["refused"] += 1
            continue
        assert value == expected, seed
        differences = [(fun(x + h) - fun(x - h)) / 2e-6 for h in 1e-6 * np.eye(9)]
        tolerance = 1e-4 * (1 + np.max(np.abs(differences)))
        np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=tolerance, err_msg=str(seed))
        outcomes["recorded"] += 1
    if PROGRAMS:
        with capsys.disabled():
            print(f"\nprograms that change arrays in place: {dict(outcomes)}, wrong 0")
    assert outcomes["recorded"] > outcomes["refused"]
