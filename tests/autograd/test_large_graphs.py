"""Long graphs and long runs: recursion, reference cycles, memory."""

from __future__ import annotations

import gc
import tracemalloc
import weakref

import numpy as np
from leaves import leaf

from rprop_ref import Parameter, Rprop, autograd


def test_a_hundred_thousand_operations():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad == 1.0


def test_a_long_graph_can_be_freed():
    for keep in (True, False):
        y = leaf(1.0)
        for _ in range(100_000):
            y = np.sin(y) if keep else y * 1.0
        del y


def test_a_second_derivative_through_a_long_graph():
    y = x = leaf(0.5)
    for _ in range(3000):
        y = y * 1.0
    (g,) = autograd.grad(y * y, x, create_graph=True)
    (h,) = autograd.grad(g, x)
    assert h == 2.0


def test_graphs_make_no_reference_cycles():
    gc.collect()
    gc.disable()
    try:
        w = Parameter(np.ones((3, 3)))
        for _ in range(5):
            loss = np.sum(np.tanh(w @ w) ** 2)
            ref = weakref.ref(loss)
            loss.backward()
            del loss
            assert ref() is None
            np.sum(np.tanh(w @ w))  # never differentiated
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_thousand_steps_use_no_more_memory(rng):
    x, w, b = rng.standard_normal((8, 4)), Parameter(rng.standard_normal((4, 2))), Parameter(np.zeros(2))
    o = Rprop([w, b], backend="numpy")

    def step():
        o.zero_grad()
        np.mean((np.tanh(x @ w + b) - 0.3) ** 2).backward()
        o.step()

    for _ in range(20):
        step()
    gc.collect()
    tracemalloc.start()
    try:
        step()
        before, objects = tracemalloc.get_traced_memory()[0], len(gc.get_objects())
        for _ in range(1000):
            step()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
        assert len(gc.get_objects()) - objects < 50
    finally:
        tracemalloc.stop()
