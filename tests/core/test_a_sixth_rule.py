"""A rule that is put into the table at run time works everywhere: nothing else lists the rules."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numba.core.caching import NullCache
from sixth_rule import NAME, SIXTH, copy_of

from numba_kernels import flat, iterate, loop
from rprop_ref import Parameter, Rprop, Trace, interop, minimize, plot, rprop, step_table
from rprop_ref.bits import same_bits
from rprop_ref.rules import RULES


@pytest.fixture
def sixth(monkeypatch):
    monkeypatch.setitem(RULES, NAME, SIXTH)
    return SIXTH


def by_hand(x, grads, lr, low, etas=(0.5, 1.2), high=50.0):
    """The rule again, as a loop over numbers."""
    x, size, prev = x.copy(), np.full_like(x, lr), np.zeros_like(x)
    for g in grads:
        for i in range(x.size):
            product = g[i] * prev[i]
            if product > 0:
                size[i] = min(max(size[i] * etas[1], low), high)
            elif product < 0:
                size[i] = low
            x[i] -= np.sign(g[i]) * size[i]
            prev[i] = g[i]
    return x, size


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("n", [5, 100_000])
def test_the_optimizer_steps_by_it_on_every_backend(sixth, backend, n, rng):
    start = rng.standard_normal(n)
    grads = [rng.standard_normal(n) for _ in range(6)]
    p = Parameter(start.copy())
    optimizer = Rprop([p], lr=0.125, step_sizes=(0.0625, 50), variant=NAME, backend=backend)
    for g in grads:
        p.grad = g
        optimizer.step()
    x, size = by_hand(start[:50], [g[:50] for g in grads], 0.125, 0.0625)
    assert same_bits(p.data[:50], x)
    assert same_bits(optimizer.state[p]["step_size"][:50], size)
    assert optimizer.state_dict()["param_groups"][0]["variant"] == NAME


def test_the_functional_form_steps_by_it(sixth):
    x, g, prev, size = np.ones(3), np.array([1.0, -1.0, 0.0]), np.ones(3), np.full(3, 0.25)
    options = {"step_size_min": 0.125, "step_size_max": 1.0, "etaminus": 0.5, "etaplus": 1.5}
    rprop([x], [g], [prev], [size], [np.zeros(())], variant=NAME, **options)
    assert (x.tolist(), size.tolist()) == ([0.625, 1.125, 1.0], [0.375, 0.125, 0.25])


def test_recorded_steps_pass_gradients_through_it(sixth):
    w = Parameter(np.ones(2))
    p = w.clone()
    optimizer = Rprop([p], lr=0.125, step_sizes=(0.0625, 50), variant=NAME, differentiable=True)
    for g in ([1.0, 1.0], [1.0, -1.0]):
        p.grad = np.array(g)
        optimizer.step()
    p.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def bowl(x):
    return float(np.sum((x - 0.3) ** 2)), 2 * (x - 0.3)


# That `minimize` runs by such a rule with every driver is tested in test_stopping.py.


def test_a_run_of_it_is_saved_and_resumed(sixth, tmp_path):
    options = {"jac": True, "variant": NAME, "step_sizes": (1e-3, np.inf), "gtol": 0, "xtol": 0}
    whole = minimize(bowl, [2.0], maxiter=40, **options)
    minimize(bowl, [2.0], maxiter=17, checkpoint=tmp_path / "run.npz", **options)
    resumed = minimize(bowl, [2.0], maxiter=40, resume=tmp_path / "run.npz", **options)
    assert same_bits(resumed.x, whole.x)


def test_it_is_traced_explained_and_drawn(sixth):
    trace = Trace(NAME)
    x, g, size = np.zeros(1), np.ones(1), np.full(1, 0.5)
    trace.record(x, 1.0, g, np.zeros(1), size, size)
    trace.record(x, 1.0, -g, g, size, np.full(1, 1e-6))
    assert trace.words().tolist() == [["kept"], ["shrank, at lower clamp"]]
    assert str(trace.explain())
    assert "sixth" in str(step_table([1, 1, -1], rule=NAME))
    run = minimize(bowl, [2.0], jac=True, variant=NAME, maxiter=10, trace=True, backend="numpy").trace
    assert run.where("shrank").shape == (len(run), 1)
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib, which is not installed")
    ax = plot.rules(bowl, [2.0], jac=True, maxiter=5, backend="numpy")
    assert [line.get_label() for line in ax.get_lines()] == list(RULES)
    assert ax.get_lines()[-1].get_color() == sixth.colour


def test_torch_is_not_given_a_state_that_it_would_step_by_another_rule(sixth):
    p = Parameter(np.ones(1))
    p.grad = np.ones(1)
    optimizer = Rprop([p], variant=NAME)
    optimizer.step()
    with pytest.raises(ValueError, match="sixth"):
        interop.state_dict_to_torch(optimizer.state_dict())


def test_an_unknown_rule_is_an_error_and_never_another_rule():
    with pytest.raises(ValueError, match="Invalid variant: 'seventh'"):
        minimize(bowl, [1.0], jac=True, variant="seventh")
    with pytest.raises(KeyError):
        flat.kernel("seventh", parallel=False)


@pytest.mark.exhaustive
def test_a_rule_that_is_replaced_under_its_name_is_the_new_one(sixth, monkeypatch):
    def steps():
        p = Parameter(np.zeros(3))
        optimizer = Rprop([p], lr=0.25, variant=NAME, backend="numba")
        for g in (1.0, -1.0):
            p.grad = np.full(3, g)
            optimizer.step()
        return p.data

    assert steps().tolist() == [-0.25 + 1e-6] * 3
    monkeypatch.setitem(RULES, NAME, copy_of(sixth, NAME, RULES["rprop-"].make))
    assert steps().tolist() == [-0.25 + 0.125] * 3


@pytest.mark.parametrize("name", ["irprop-", NAME])
def test_only_the_rules_of_the_library_are_compiled_to_disk(sixth, name):
    """Of another rule, or of one that was changed, the stamp does not know the source."""
    changed = copy_of(sixth, "irprop-", RULES["irprop-"].make)
    for rule, cached in ((RULES[name], name != NAME), (changed, False)):
        assert isinstance(iterate.kernel(rule)._cache, NullCache) != cached


def test_threads_that_ask_for_a_kernel_at_once_get_the_same_one():
    rule = copy_of(SIXTH, NAME)
    barrier = threading.Barrier(8)

    def ask(_):
        barrier.wait()
        return loop.kernel(rule)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(ask, range(8))))) == 1
