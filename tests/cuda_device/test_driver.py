"""Which functions of the driver a step calls: with a driver that logs its calls (``pytest -p cuda_driver``)."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numba import cuda

from cuda_kernels import arrays
from cuda_kernels import many_arrays as many
from rprop_ref import Parameter, Rprop
from rprop_ref.bits import same_bits

if "cuda_driver" not in sys.modules:
    pytest.skip("only the driver made of the host's memory logs its calls", allow_module_level=True)

import cuda_driver

DRIVER = cuda_driver.DRIVER

SHAPES = {"one": [(5000,)], "many": [(), (5,), (0,), (64, 33)] * 50}


class TorchLike:
    """An array of a library that, like torch, has a current stream."""

    __module__ = "torch"
    device = "cuda:0"

    def __init__(self, array, strides=None):
        (self.memory,) = arrays.from_host([np.asarray(array, order="C")])
        self.__cuda_array_interface__ = {**self.memory.__cuda_array_interface__, "strides": strides}

    def copy_to_host(self):
        return self.memory.copy_to_host()


class TorchModule:
    """The part of torch that tells its current stream."""

    def __init__(self):
        self.cuda = self
        self.cuda_stream = 0

    def current_stream(self, device):
        return self


@pytest.fixture
def library(monkeypatch):
    module = TorchModule()
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


@pytest.fixture
def stream():
    core = pytest.importorskip("cuda.core", reason="cuda.core is not installed")
    device = core.Device()
    device.set_current()
    return device.create_stream()


def optimizers(rng, shapes, to_device, **options):
    """Arrays on the GPU, an optimizer of them, and one of equal arrays on the host, all with gradients."""
    starts = [rng.standard_normal(s).astype("f4") for s in shapes]
    grads = [rng.standard_normal(s).astype("f4") for s in shapes]
    device_arrays = [to_device(x) for x in starts]
    params = [Parameter(x) for x in device_arrays]
    for p, g in zip(params, grads, strict=True):
        p.grad = to_device(g)
    on_host = [Parameter(x.copy()) for x in starts]
    for q, g in zip(on_host, grads, strict=True):
        q.grad = g
    return device_arrays, Rprop(params, capturable=True, **options), Rprop(on_host, backend="numpy", **options)


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_a_step_is_one_launch(shapes, rng):
    stream = cuda.stream()
    _, optimizer, _ = optimizers(rng, shapes, lambda a: cuda.to_device(a, stream=stream))
    optimizer.step()
    with DRIVER.counted_calls() as calls:
        optimizer.step()
    # Several places ask whether a graph is being recorded.
    del calls["cuStreamIsCapturing"]
    assert calls == {"cuLaunchKernelEx": 1}
    blocks, threads, handle = DRIVER.launches[-1]
    assert handle == int(stream.handle)
    chunks = sum(max(-(-int(np.prod(s)) // many.CHUNK), 1) for s in shapes)
    assert (blocks, threads) == ((5, 256) if shapes is SHAPES["one"] else (chunks, 256))


def test_addresses_of_new_gradients_are_copied_without_waiting(rng):
    """The copy follows the order of the stream, from pinned memory, which the GPU reads by itself."""
    stream = cuda.stream()
    _, optimizer, _ = optimizers(rng, SHAPES["many"], lambda a: cuda.to_device(a, stream=stream))
    optimizer.step()
    calls_of_steps = []
    for _ in range(4):
        # The old gradients keep their memory, so that the new ones have other addresses.
        old_grads = [p.grad for p in optimizer.param_groups[0]["params"]]
        for p in optimizer.param_groups[0]["params"]:
            p.grad = cuda.to_device(np.ones(p.shape, "f4"), stream=stream)
        with DRIVER.counted_calls() as calls:
            optimizer.step()
        calls_of_steps.append(calls)
        del old_grads
    for calls in calls_of_steps:
        assert calls["cuLaunchKernelEx"] == calls["cuMemcpyHtoDAsync"] == calls["cuEventRecord"] == 1
        waiting = {c for c in calls if "Synchronize" in c or "Alloc" in c or c in cuda_driver.COPIES}
        assert not waiting
    with DRIVER.counted_calls() as calls:
        optimizer.step()
    assert calls["cuMemcpyHtoDAsync"] == 0


def test_a_loss_on_the_gpu_costs_one_more_launch(rng):
    (x,), optimizer, on_host = optimizers(rng, [(40,)], cuda.to_device, variant="irprop+")
    for value in (1.0, 2.0, 3.0):
        loss = cuda.to_device(np.array([value], "f4"))
        with DRIVER.counted_calls() as calls:
            optimizer.step(loss=loss)
        on_host.step(loss=value)
    assert calls == {"cuLaunchKernelEx": 2}
    assert same_bits(x.copy_to_host(), on_host.param_groups[0]["params"][0].data)


def test_gradients_and_losses_of_other_streams_are_waited_for_on_the_gpu(rng):
    stream, other_stream = cuda.stream(), cuda.stream()
    _, optimizer, _ = optimizers(rng, [(40,)], lambda a: cuda.to_device(a, stream=stream), variant="irprop+")
    for _ in range(2):
        with DRIVER.counted_calls() as calls:
            optimizer.step(loss=cuda.to_device(np.ones(1), stream=other_stream))
    assert calls["cuStreamWaitEvent"] == calls["cuEventRecord"] == 1
    assert not {c for c in calls if "Synchronize" in c}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("new_gradients", [False, True])
def test_a_graph_on_the_current_stream_of_a_library_replays_the_same_bits(
    shapes, new_gradients, library, stream, rng
):
    device_arrays, optimizer, on_host = optimizers(rng, shapes, TorchLike)
    params = optimizer.param_groups[0]["params"]
    # Their memory may not be freed while a graph is recorded, nor before its last replay.
    grads = [p.grad for p in params]
    copies = [TorchLike(g.copy_to_host()) for g in grads]
    optimizer.step()
    library.cuda_stream = int(stream.handle)
    builder = stream.create_graph_builder().begin_building()
    if new_gradients:  # as backward does while a graph is recorded
        for p, g in zip(params, copies, strict=True):
            p.grad = g
    optimizer.step()
    graph = builder.end_building().complete()
    library.cuda_stream = 0
    # A step between the recording and the replays, with gradients at other addresses, does not disturb them.
    for p, g in zip(params, grads, strict=True):
        p.grad = TorchLike(g.copy_to_host())
    optimizer.step()
    for _ in range(3):
        graph.launch(stream)
    for _ in range(5):
        on_host.step()
    for x, q in zip(device_arrays, on_host.param_groups[0]["params"], strict=True):
        assert same_bits(x.copy_to_host(), q.data)
    assert all(optimizer.state[p]["step"].item() == 5 for p in params)


def another_rule():
    return lambda group: group.update(variant="rprop+")


def another_layout():
    g = TorchLike(np.ones((6, 6)), strides=(8, 48))
    return lambda group: setattr(group["params"][0], "grad", g)


def a_loss():
    return lambda group: group.update(variant="irprop+")


@pytest.mark.parametrize("prepare", [another_rule, another_layout, a_loss])
def test_a_recorded_step_that_would_have_to_load_something_is_refused(prepare, library, stream):
    p, loss = Parameter(TorchLike(np.ones((6, 6)))), TorchLike(np.ones(1))
    p.grad = TorchLike(np.ones((6, 6)))
    optimizer = Rprop([p], capturable=True)
    optimizer.step()
    change = prepare()
    old_grad = p.grad  # its memory may not be freed while a graph is recorded
    library.cuda_stream = int(stream.handle)
    builder = stream.create_graph_builder().begin_building()
    try:
        with DRIVER.counted_calls() as calls, pytest.raises(RuntimeError, match="make a step or two first"):
            change(optimizer.param_groups[0])
            optimizer.step(loss=loss)
    finally:
        builder.end_building()
    assert set(calls) <= {"cuStreamIsCapturing"}
    del old_grad


class TestTheDriver:
    """It refuses what a GPU would, and what it does not model."""

    @pytest.mark.parametrize(
        ("grid_and_block", "error"),
        [
            ((0, 1, 1, 32, 1, 1), 1),
            ((1, 1, 1, 2048, 1, 1), 1),
            ((2, 2, 1, 32, 1, 1), 801),
            ((1, 1, 1, 32, 2, 1), 801),
        ],
    )
    def test_a_launch(self, grid_and_block, error):
        assert DRIVER.launch(0, cuda_driver.LaunchConfig(*grid_and_block), 0) == error

    def test_a_copy_beyond_what_was_allocated(self):
        array = cuda.to_device(np.zeros(5))
        (address, _), host = array.__cuda_array_interface__["data"], np.zeros(6)
        DRIVER.cuMemcpyDtoH(host.ctypes.data, address, 40)
        with pytest.raises(IndexError, match=r"48 bytes at 0x\w+ are outside the memory of the GPU"):
            DRIVER.cuMemcpyDtoH(host.ctypes.data, address, 48)

    def test_work_beside_a_recording(self, monkeypatch):
        monkeypatch.setattr(DRIVER, "recording", {8: 16})
        monkeypatch.setitem(DRIVER.graphs, 16, [])
        work = []
        DRIVER._do(8, work.append, 1)
        with pytest.raises(RuntimeError, match="stream 24 while another is recorded"):
            DRIVER._do(24, work.append, 2)
        assert not work
        DRIVER.cuEventRecord(32, 24)
        assert DRIVER.cuStreamWaitEvent(8, 32, 0) == 905
        DRIVER.cuEventRecord(32, 8)
        assert DRIVER.cuStreamWaitEvent(8, 32, 0) == 0
