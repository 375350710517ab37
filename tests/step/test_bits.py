"""Every backend gives the bits of the naive oracle, for every rule, dtype and hyperparameter set."""

from __future__ import annotations

import cases
import naive
import numpy as np
import pytest
from runs import assert_same_runs, engine, engines_for, run

from rprop_ref import Parameter, Rprop
from rprop_ref._core import numpy_step
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES

N = 24


def test_same_bits_distinguishes_all_bits_but_those_of_nans():
    a = np.array([0.0, 1.0, np.nan, np.inf])
    assert same_bits(a, a.copy())
    assert same_bits(a, np.array([0.0, 1.0, -np.nan, np.inf]))
    assert not same_bits(a, np.array([-0.0, 1.0, np.nan, np.inf]))
    assert same_bits(a, np.array([-0.0, 1.0, np.nan, np.inf]), signed_zeros=False)
    assert not same_bits(a, np.array([0.0, np.nextafter(1, 2), np.nan, np.inf]))
    assert not same_bits(a, np.array([0.0, 1.0, 2.0, np.inf]))
    assert not same_bits(a, a.astype("f4"))
    assert not same_bits(a, a[:3])
    assert not same_bits(np.array([1 + 0j]), np.array([complex(1, -0.0)]))
    assert same_bits(np.float16(2), np.float16(2))


#: A complex array is stepped as an array of reals, and the sign of a gradient is changed before all else.
_SAMPLE = {*((dtype, False) for dtype in ("float16", "float32", "float64", "complex64")), ("float32", True)}


@pytest.mark.parametrize(
    ("dtype", "maximize"),
    [
        *cases.sampled([(dtype, maximize) for dtype in cases.DTYPES for maximize in (False, True)], _SAMPLE),
        *(pytest.param("bfloat16", maximize, marks=pytest.mark.peers) for maximize in (False, True)),
    ],
)
@pytest.mark.parametrize("variant", cases.VARIANTS)
def test_every_backend_equals_the_oracle(variant, dtype, maximize, rng):
    dtype = cases.dtype_named(dtype)
    for name, setting in cases.settings(dtype).items():
        x0 = cases.mixed(rng, dtype, N)
        grads = cases.gradients(rng, dtype, N)
        losses = cases.losses(rng) if RULES[variant].compares_losses else None
        expected = naive.run(variant, x0, grads, losses=losses, maximize=maximize, **setting)
        for how in engines_for(dtype):
            with engine(how) as backend:
                actual = run(
                    x0,
                    grads,
                    losses=losses,
                    variant=variant,
                    maximize=maximize,
                    backend=backend,
                    **setting,
                )
            try:
                assert_same_runs(actual, expected)
            except AssertionError as error:
                raise AssertionError(f"{how}, {name}: {error}") from None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", cases.VARIANTS)
def test_array_length_and_chunk_size_make_no_difference(variant, dtype, rng, monkeypatch):
    """Lengths around vector widths, blocks and thread shares, where errors in loops would show."""
    dtype = np.dtype(dtype)
    chunk = numpy_step.CHUNK
    for n in (0, 1, 2, 7, 15, 16, 17, 63, 65, 1000, chunk - 1, chunk + 1, 2 * chunk + 3):
        x0 = cases.mixed(rng, dtype, n)
        grads = cases.gradients(rng, dtype, n, steps=4)
        losses = [3.0, 2.0, 2.5, 1.0]
        results = []
        for how in engines_for(dtype):
            with engine(how) as backend:
                results.append(run(x0, grads, losses=losses, variant=variant, backend=backend))
        monkeypatch.setattr(numpy_step, "CHUNK", 61)
        results.append(run(x0, grads, losses=losses, variant=variant, backend="numpy"))
        monkeypatch.undo()
        for other in results[1:]:
            assert_same_runs(other, results[0])


@pytest.mark.parametrize("dtype", cases.sampled(cases.DTYPES, ["float16", "float64", "complex64"]))
def test_many_arrays_step_as_each_would_alone(dtype, rng):
    """Small arrays that are gathered, large, 0-d and empty ones, and unusual layouts."""
    dtype = np.dtype(dtype)
    shapes = [(), (0,), (3,), (2, 0, 2), (4, 5), (2500,), (50, 60), (1,), (7, 1, 3)]

    def layouts(array):
        yield array
        yield np.asfortranarray(array)
        yield array[..., ::-1] if array.ndim else array
        wide = np.zeros((*array.shape, 2), dtype)
        wide[..., 0] = array
        yield wide[..., 0]

    plain = [cases.mixed(rng, dtype, int(np.prod(s))).reshape(s) for s in shapes]
    starts = [view for array in plain for view in layouts(array.copy())]
    grads = [[cases.mixed(rng, dtype, s.size).reshape(s.shape) for s in starts] for _ in range(6)]
    expected = [naive.run("irprop-", s, [g[i] for g in grads]) for i, s in enumerate(starts)]
    for backend in ("numpy", "numba")[: 1 if dtype.itemsize == 2 else 2]:
        params = [Parameter(np.copy(s, order="K") if s.flags.forc else s) for s in starts]
        before = [p.data.copy() for p in params]
        optimizer = Rprop(params, backend=backend)
        for t, step in enumerate(grads):
            for param, grad in zip(params, step, strict=True):
                param.grad = grad
                grad.flags.writeable = t % 2 == 0
            optimizer.step()
            for i, param in enumerate(params):
                state = optimizer.state[param]
                for mine, other in zip(
                    (param.data, state["prev"], state["step_size"]), expected[i][t], strict=True
                ):
                    assert same_bits(mine, other), (starts[i].shape, starts[i].strides, t)
        for param, old in zip(params, before, strict=True):
            param.data[...] = old
