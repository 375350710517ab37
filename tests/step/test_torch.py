"""Side by side with torch.optim.Rprop, to the bit."""

from __future__ import annotations

import cases
import numpy as np
import pytest
from runs import assert_same_runs, engine, engines_for, outcome, run
from tensors import from_torch, to_torch

from rprop_ref import Parameter, Rprop, rprop

pytestmark = pytest.mark.peers

DTYPES = ("bfloat16", *cases.DTYPES)


@pytest.fixture(scope="module")
def torch():
    import torch

    torch.set_num_threads(1)
    return torch


def torch_run(torch, x0, grads, **options):
    param = torch.nn.Parameter(to_torch(x0))
    optimizer = torch.optim.Rprop([param], **options)
    run = []
    for grad in grads:
        param.grad = None if grad is None else to_torch(grad)
        optimizer.step()
        state = optimizer.state[param]
        run.append(tuple(from_torch(t) for t in (param, state["prev"], state["step_size"])))
    return run


@pytest.mark.parametrize("maximize", [False, True], ids=["min", "max"])
@pytest.mark.parametrize("foreach", [False, True], ids=["for-loop", "foreach"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_hundred_steps_have_torchs_bits(torch, dtype, foreach, maximize, rng):
    dtype = cases.dtype_named(dtype)
    for name, setting in cases.settings(dtype).items():
        for n, steps in ((1, 20), (101, 100)):
            x0 = cases.mixed(rng, dtype, n)
            grads = cases.gradients(rng, dtype, n, steps)
            expected = torch_run(torch, x0, grads, foreach=foreach, maximize=maximize, **setting)
            for how in engines_for(dtype):
                with engine(how) as backend:
                    actual = run(x0, grads, foreach=foreach, maximize=maximize, backend=backend, **setting)
                try:
                    assert_same_runs(actual, expected, signed_zeros=not (maximize and dtype.kind == "c"))
                except AssertionError as error:
                    raise AssertionError(f"{how}, {name}, n={n}: {error}") from None


@pytest.mark.parametrize("foreach", [False, True], ids=["for-loop", "foreach"])
def test_many_parameters_with_missing_gradients_have_torchs_bits(torch, foreach, rng):
    shapes = [(3,), (), (0,), (4, 5), (2500,), (2, 3, 4)]
    names = ("float32", "float64", "complex64", "bfloat16")
    starts = [cases.mixed(rng, cases.dtype_named(d), int(np.prod(s))).reshape(s) for s in shapes for d in names]
    ours = [Parameter(s.copy()) for s in starts]
    theirs = [torch.nn.Parameter(to_torch(s)) for s in starts]
    split = len(starts) // 2
    options = {"lr": 0.05, "foreach": foreach}
    groups = [{"etas": (0.4, 1.3)}, {"step_sizes": (1e-3, 0.5), "maximize": True}]
    mine = Rprop([{"params": p, **g} for p, g in zip((ours[:split], ours[split:]), groups)], **options)
    other = torch.optim.Rprop(
        [{"params": p, **g} for p, g in zip((theirs[:split], theirs[split:]), groups)], **options
    )
    for _ in range(30):
        for p, q, start in zip(ours, theirs, starts):
            if rng.random() < 0.2:
                p.grad = q.grad = None
            else:
                p.grad = cases.mixed(rng, start.dtype, start.size).reshape(start.shape)
                q.grad = to_torch(p.grad)
        mine.step()
        other.step()
        for p, q in zip(ours, theirs):
            if p not in mine.state:
                assert not other.state.get(q)
                continue
            a, b = mine.state[p], other.state[q]
            assert a["step"] == b["step"].item()
            assert list(a) == list(b)
            assert_same_runs(
                [(p.data, a["prev"], a["step_size"])],
                [tuple(from_torch(v) for v in (q, b["prev"], b["step_size"]))],
                signed_zeros=not (p.dtype.kind == "c" and any(p is o for o in ours[split:])),
            )
    assert repr(mine) == repr(other)


@pytest.mark.parametrize(
    "build",
    [
        lambda m, p: m.Rprop([]),
        lambda m, p: m.Rprop(iter(())),
        lambda m, p: m.Rprop([p], lr=-1.0),
        lambda m, p: m.Rprop([p], lr=-1),
        lambda m, p: m.Rprop([p], lr=float("nan")),
        lambda m, p: m.Rprop([p], lr="a"),
        lambda m, p: m.Rprop([p], etas=(1.5, 1.2)),
        lambda m, p: m.Rprop([p], etas=(0.5, 1.0)),
        lambda m, p: m.Rprop([p], etas=(float("nan"), 1.2)),
        lambda m, p: m.Rprop([p], etas=(0.5,)),
        lambda m, p: m.Rprop([p], etas=0.5),
        lambda m, p: m.Rprop(None),
        lambda m, p: m.Rprop(3),
        lambda m, p: m.Rprop("ab"),
        lambda m, p: m.Rprop([np.zeros(2)]),
        lambda m, p: m.Rprop([p, 1.0]),
        lambda m, p: m.Rprop([p, {"params": []}]),
        lambda m, p: m.Rprop([{"params": {p}}]),
        lambda m, p: m.Rprop([{"params": [p]}, {"params": [p]}]),
        lambda m, p: m.Rprop([{"lr": 1.0}]),
        lambda m, p: m.Rprop([{"params": None}]),
        lambda m, p: m.Rprop([("a", p), p]),
        lambda m, p: m.Rprop([p], 0.1, (0.5, 1.2), (0, 1), True),
        lambda m, p: m.Rprop([p], momentum=1),
        lambda m, p: m.Rprop([p, p]),
        lambda m, p: m.Rprop([p]).step(3),
        lambda m, p: m.Rprop([p], capturable=True).step(),
        lambda m, p: m.Rprop([p], differentiable=True).step(),
        lambda m, p: m.Rprop([p], differentiable=True, foreach=True).step(),
        lambda m, p: m.Rprop([{"params": [p], "differentiable": True}]).step(),
        lambda m, p: m.Rprop([{"params": [p], "differentiable": False}], differentiable=True).step(),
        lambda m, p: m.Rprop([p], step_sizes=(None, None)).step(),
        lambda m, p: m.Rprop([p], step_sizes=(0, 1e39)).step(),
        lambda m, p: m.Rprop([p], lr=1e39).step(),
        lambda m, p: m.Rprop([p], etas=(0.5, 1e39)).step(),
        lambda m, p: m.Rprop([p]).add_param_group([p]),
        lambda m, p: m.Rprop([p]).add_param_group({"params": [p]}),
        lambda m, p: m.Rprop([("a", p)]).add_param_group({"params": []}),
        lambda m, p: m.Optimizer([p], {}).step(),
    ],
)
def test_what_torch_refuses_is_refused_in_its_words(torch, build):
    p = torch.nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    expected = outcome(build, torch.optim, p)[:2]
    import rprop_ref

    q = Parameter(np.ones(2, np.float32))
    q.grad = np.ones(2, np.float32)
    assert outcome(build, rprop_ref, q)[:2] == expected


def test_the_functional_form_has_torchs_bits(torch, rng):
    from torch.optim.rprop import rprop as torch_rprop

    arrays = [rng.standard_normal((4, 3)).astype("f4") for _ in range(2)]
    lists = [[a.copy() for a in arrays] for _ in range(3)]
    lists[2] = [np.abs(a) for a in lists[2]]
    grads = [rng.standard_normal((4, 3)).astype("f4") for _ in range(2)]
    counters = [np.zeros((), "f4") for _ in range(2)]
    tensors = [[torch.from_numpy(a.copy()) for a in part] for part in (lists[0], grads, *lists[1:], counters)]
    numbers = {"step_size_min": 1e-3, "step_size_max": 2.0, "etaminus": 0.3, "etaplus": 1.1, "maximize": True}
    assert rprop(lists[0], grads, lists[1], lists[2], counters, **numbers) is None
    torch_rprop(*tensors, **numbers)
    for mine, other in zip((lists[0], lists[1], lists[2], counters), (tensors[0], *tensors[2:])):
        for a, b in zip(mine, other):
            np.testing.assert_array_equal(a, b.numpy())
