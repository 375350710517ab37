"""Properties that hold for any input, on inputs that Hypothesis finds."""

from __future__ import annotations

import cases
import naive
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from runs import assert_same_runs, engine, run

from rprop_ref import Parameter, Rprop
from rprop_ref.bits import same_bits

FLOATS = {"float32": st.floats(width=32), "float64": st.floats()}


@st.composite
def programs(draw):
    """A start, gradients (some missing), losses and options, special values of every kind among them."""
    dtype = draw(st.sampled_from(list(FLOATS)))
    n = draw(st.integers(0, 5))
    steps = draw(st.integers(1, 8))
    values = arrays(dtype, n, elements=FLOATS[dtype])
    limit = st.floats(0, 1e30)
    return {
        "x0": draw(values),
        "grads": draw(st.lists(st.none() | values, min_size=steps, max_size=steps)),
        "losses": draw(st.lists(st.floats(), min_size=steps, max_size=steps)),
        "variant": draw(st.sampled_from(cases.VARIANTS)),
        "lr": draw(limit),
        "etas": (draw(st.floats(1e-30, 1, exclude_max=True)), draw(st.floats(1, 1e30, exclude_min=True))),
        "step_sizes": (draw(limit), draw(limit | st.just(np.inf))),
        "maximize": draw(st.booleans()),
    }


@settings(max_examples=150, deadline=None)
@given(programs())
def test_any_program_has_the_bits_of_the_oracle(program):
    x0, grads, variant = (program.pop(k) for k in ("x0", "grads", "variant"))
    # Our record has no entry for a state that does not exist yet.
    first = next((i for i, g in enumerate(grads) if g is not None), len(grads))
    losses = program.pop("losses")[first:]
    expected = naive.run(variant, x0, grads[first:], losses=losses, **program)
    for how in ("numpy", "sequential"):
        with engine(how) as backend:
            found = run(x0, grads[first:], losses=losses, variant=variant, backend=backend, **program)
        assert_same_runs(found, expected)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_splitting_an_array_into_parameters_changes_nothing(cuts, random):
    rng = np.random.default_rng(random.randrange(2**32))
    x0 = cases.mixed(rng, np.dtype("f8"), sum(cuts))
    grads = cases.gradients(rng, np.dtype("f8"), sum(cuts), steps=4)
    at = np.cumsum(cuts)[:-1]
    whole = run(x0, grads, backend="numba")[-1][0]
    for backend in ("numpy", "numba"):
        params = [Parameter(part.copy()) for part in np.split(x0, at)]
        optimizer = Rprop(params, backend=backend)
        for grad in grads:
            for param, part in zip(params, np.split(grad, at)):
                param.grad = part
            optimizer.step()
        assert same_bits(np.concatenate([p.data for p in params]), whole)
