"""Steps on the GPU have the bits of the oracle, for every rule, dtype and layout."""

from __future__ import annotations

import cases
import naive
import numpy as np
import pytest
from runs import assert_same_runs

from cuda_kernels import _cuda, arrays
from cuda_kernels.arrays import DeviceArray
from rprop_ref import Parameter, Rprop, rprop, rules
from rprop_ref.bits import same_bits

# A GPU steps many elements at once; the simulator and the oracle one after the other.
N, STEPS = (70, 8) if _cuda.SIMULATED else (1_100, 20)


def to_device(array):
    return arrays.from_host([np.asarray(array, order="C")])[0]


def part_of(device_array, whole, part):
    """The view of an array on the GPU that corresponds to the view `part` of `whole` on the host."""
    offset = part.ctypes.data - whole.ctypes.data
    return DeviceArray(device_array.address + offset, part.shape, part.dtype, device_array, strides=part.strides)


def dtypes():
    try:
        import ml_dtypes  # noqa: F401
    except ImportError:
        return cases.DTYPES
    return (*cases.DTYPES, "bfloat16")


def run(x0, grads, *, losses=None, **options):
    """As `runs.run`, on the GPU."""
    x = to_device(x0)
    param = Parameter(x)
    optimizer = Rprop([param], **options)
    steps = []
    for i, grad in enumerate(grads):
        param.grad = None if grad is None else to_device(grad)
        optimizer.step(loss=None if losses is None else losses[i])
        state = optimizer.state[param]
        steps.append((x.copy_to_host(), state["prev"].copy_to_host(), state["step_size"].copy_to_host()))
    return steps


def parameters():
    for dtype in dtypes():
        for variant in rules.RULES:
            for name in cases.settings(cases.dtype_named(dtype)):
                yield pytest.param(dtype, variant, name, id=f"{dtype} {variant} {name}")


@pytest.mark.parametrize("dtype, variant, name", list(parameters()))
def test_every_rule_and_dtype_has_the_bits_of_the_oracle(dtype, variant, name, rng):
    dtype = cases.dtype_named(dtype)
    settings = cases.settings(dtype)[name]
    x0, grads = cases.mixed(rng, dtype, N), cases.gradients(rng, dtype, N, STEPS)
    losses = cases.losses(rng, STEPS)
    maximize = bool(rng.integers(2))
    options = {**settings, "maximize": maximize, "variant": variant}
    expected = naive.run(variant, x0, grads, losses=losses, maximize=maximize, **settings)
    stepped = run(x0, grads, losses=losses, **options)
    assert_same_runs(stepped, expected, signed_zeros=not (maximize and dtype.kind == "c"))


SHAPES = [(), (0,), (1,), (3, 5), (0, 4), (63,), (64,), (65,), (200,)]


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex128"])
@pytest.mark.parametrize("variant", ["irprop-", "rprop+"])
def test_hundreds_of_arrays_in_one_launch(variant, dtype, rng):
    dtype = np.dtype(dtype)
    shapes = [SHAPES[i] for i in rng.integers(len(SHAPES), size=300)]
    starts = [cases.mixed(rng, dtype, int(np.prod(s))).reshape(s) for s in shapes]
    device_arrays = [to_device(x) for x in starts]
    params = [Parameter(x) for x in device_arrays]
    optimizer = Rprop(params, variant=variant, capturable=True)
    on_host = [Parameter(x.copy()) for x in starts]
    other = Rprop(on_host, variant=variant, backend="numpy")
    for _ in range(3):
        for p, q in zip(params, on_host, strict=True):
            g = cases.mixed(rng, dtype, q.size).reshape(q.shape)
            # Now and then a parameter has no gradient.
            p.grad, q.grad = (None, None) if rng.random() < 0.1 else (to_device(g), g)
        optimizer.step()
        other.step()
    for p, q, x in zip(params, on_host, device_arrays, strict=True):
        assert same_bits(x.copy_to_host(), q.data)
        ours, theirs = optimizer.state[p], other.state[q]
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert same_bits(ours[key].copy_to_host(), theirs[key])


def views(a):
    """Arrays of every layout that share the memory of an array of shape (8, 6)."""
    return {
        "transposed": a.T,
        "every other": a[::2],
        "reversed": a[::-1, ::-1],
        "a column": a[:, 2],
        "one element": a[3:4, 3:4],
        "no element": a[:, 3:3],
        "whole": a,
    }


@pytest.mark.parametrize("dtype", ["float16", "float32", "complex64", "complex128"])
@pytest.mark.parametrize("layout", list(views(np.zeros((8, 6)))))
def test_arrays_of_every_layout_are_stepped_in_place(layout, dtype, rng):
    dtype = np.dtype(dtype)
    start, gradient = (cases.mixed(rng, dtype, 48).reshape(8, 6) for _ in range(2))
    whole, whole_gradient = to_device(start), to_device(gradient)
    x, g = views(start)[layout], views(gradient)[layout]
    p, q = Parameter(part_of(whole, start, x)), Parameter(x)
    p.grad, q.grad = part_of(whole_gradient, gradient, g), g
    for x in (p, q):
        optimizer = Rprop([x])
        optimizer.step()
        optimizer.step()
    assert same_bits(whole.copy_to_host(), start)
    assert same_bits(whole_gradient.copy_to_host(), gradient)


def test_parameters_that_share_memory_are_stepped_in_order(rng):
    start, grads = rng.standard_normal(40), rng.standard_normal((3, 30))
    base = to_device(start)
    spans = [slice(0, 30), slice(10, 40), slice(5, 35)]
    params = [Parameter(part_of(base, start, start[s])) for s in spans]
    others = [Parameter(start[s]) for s in spans]
    for p, q, g in zip(params, others, grads, strict=True):
        p.grad, q.grad = to_device(g), g
    for each in (params, others):
        optimizer = Rprop(each)
        optimizer.step()
        optimizer.step()
    assert same_bits(base.copy_to_host(), start)


def test_gradients_are_read_before_any_parameter_is_written(rng):
    """A gradient may be a view of another parameter, of its own, or of its own but shifted."""
    start = rng.standard_normal(50)
    base = to_device(start)
    for p_of, g_of in (((0, 20), (30, 50)), ((0, 20), (0, 20)), ((5, 25), (0, 20))):
        data, grads = (start[slice(*p_of)], start[30:50]), (start[slice(*g_of)], start[0:20])
        params = [Parameter(part_of(base, start, a)) for a in data]
        others = [Parameter(a) for a in data]
        for p, q, g in zip(params, others, grads, strict=True):
            p.grad, q.grad = part_of(base, start, g), g
        Rprop(params).step()
        Rprop(others).step()
        assert same_bits(base.copy_to_host(), start)


def test_the_functional_form_steps_arrays_on_the_gpu(rng):
    x, g = rng.standard_normal((2, 20)).astype("f4")
    device_arrays = [to_device(a) for a in (x, g, np.zeros_like(x), np.full_like(x, 0.1), np.zeros((), "f4"))]
    constants = {"step_size_min": 1e-6, "step_size_max": 50, "etaminus": 0.5, "etaplus": 1.2}
    for _ in range(2):
        rprop(*[[a] for a in device_arrays], capturable=True, **constants)
    expected = naive.run("irprop-", x, [g, g], lr=0.1)[-1]
    assert same_bits(device_arrays[0].copy_to_host(), expected[0])
    assert same_bits(device_arrays[2].copy_to_host(), expected[1])
    assert same_bits(device_arrays[3].copy_to_host(), expected[2])
    assert device_arrays[4].copy_to_host() == 2
