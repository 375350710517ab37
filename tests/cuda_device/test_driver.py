"""What a step asks of the driver, call by call: by a driver that keeps a list (``pytest -p cuda_driver``)."""

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
    pytest.skip("only the driver that is made of the host's memory keeps a list", allow_module_level=True)

import cuda_driver

DRIVER = cuda_driver.DRIVER

SHAPES = {"one": [(5000,)], "many": [(), (5,), (0,), (64, 33)] * 50}


class Foreign:
    """An array of a library like torch: a stream is current, and is asked for."""

    __module__ = "torch"
    device = "cuda:0"

    def __init__(self, array, strides=None):
        (self.there,) = arrays.from_host([np.asarray(array, order="C")])
        self.__cuda_array_interface__ = {**self.there.__cuda_array_interface__, "strides": strides}

    def on_host(self):
        return self.there.copy_to_host()


class Streams:
    """What of torch is asked for its stream."""

    def __init__(self):
        self.cuda = self
        self.cuda_stream = 0

    def current_stream(self, device):
        return self


@pytest.fixture
def library(monkeypatch):
    streams = Streams()
    monkeypatch.setitem(sys.modules, "torch", streams)
    return streams


@pytest.fixture
def stream():
    core = pytest.importorskip("cuda.core", reason="cuda.core is not installed")
    device = core.Device()
    device.set_current()
    return device.create_stream()


def made(rng, shapes, kind, **options):
    starts = [rng.standard_normal(s).astype("f4") for s in shapes]
    grads = [rng.standard_normal(s).astype("f4") for s in shapes]
    there = [kind(x) for x in starts]
    params = [Parameter(x) for x in there]
    for p, g in zip(params, grads, strict=True):
        p.grad = kind(g)
    on_host = [Parameter(x.copy()) for x in starts]
    for q, g in zip(on_host, grads, strict=True):
        q.grad = g
    return there, Rprop(params, capturable=True, **options), Rprop(on_host, backend="numpy", **options)


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_a_step_is_a_launch(shapes, rng):
    stream = cuda.stream()
    _, optimizer, _ = made(rng, shapes, lambda a: cuda.to_device(a, stream=stream))
    optimizer.step()
    with DRIVER.watched() as calls:
        optimizer.step()
    # Whether it is recorded in a graph is asked in a few places.
    del calls["cuStreamIsCapturing"]
    assert calls == {"cuLaunchKernelEx": 1}
    blocks, threads, handle = DRIVER.launches[-1]
    assert handle == int(stream.handle)
    chunks = sum(max(-(-int(np.prod(s)) // many.CHUNK), 1) for s in shapes)
    assert (blocks, threads) == ((5, 256) if shapes is SHAPES["one"] else (chunks, 256))


def test_new_gradients_are_told_without_waiting(rng):
    """Their addresses go to the GPU in the order of the stream, from memory that the GPU reads by itself."""
    stream = cuda.stream()
    _, optimizer, _ = made(rng, SHAPES["many"], lambda a: cuda.to_device(a, stream=stream))
    optimizer.step()
    seen = []
    for _ in range(4):
        kept = [p.grad for p in optimizer.param_groups[0]["params"]]
        for p in optimizer.param_groups[0]["params"]:
            p.grad = cuda.to_device(np.ones(p.shape, "f4"), stream=stream)
        with DRIVER.watched() as calls:
            optimizer.step()
        seen.append(calls)
        del kept
    for calls in seen:
        assert calls["cuLaunchKernelEx"] == calls["cuMemcpyHtoDAsync"] == calls["cuEventRecord"] == 1
        waiting = {c for c in calls if "Synchronize" in c or "Alloc" in c or c in cuda_driver.COPIES}
        assert not waiting
    with DRIVER.watched() as calls:
        optimizer.step()
    assert calls["cuMemcpyHtoDAsync"] == 0


def test_a_loss_on_the_gpu_is_a_launch_more(rng):
    there, optimizer, other = made(rng, [(40,)], cuda.to_device, variant="irprop+")
    for value in (1.0, 2.0, 3.0):
        loss = cuda.to_device(np.array([value], "f4"))
        with DRIVER.watched() as calls:
            optimizer.step(loss=loss)
        other.step(loss=value)
    assert calls == {"cuLaunchKernelEx": 2}
    assert same_bits(there[0].copy_to_host(), other.param_groups[0]["params"][0].data)


def test_gradients_and_losses_of_other_streams_are_waited_for_on_the_gpu(rng):
    stream, another = cuda.stream(), cuda.stream()
    _, optimizer, _ = made(rng, [(40,)], lambda a: cuda.to_device(a, stream=stream), variant="irprop+")
    for _ in range(2):
        with DRIVER.watched() as calls:
            optimizer.step(loss=cuda.to_device(np.ones(1), stream=another))
    assert calls["cuStreamWaitEvent"] == calls["cuEventRecord"] == 1
    assert not {c for c in calls if "Synchronize" in c}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("new_gradients", [False, True])
def test_a_graph_on_the_current_stream_of_a_library(shapes, new_gradients, library, stream, rng):
    there, optimizer, other = made(rng, shapes, Foreign)
    params = optimizer.param_groups[0]["params"]
    # Whose memory is not freed: not while a graph is recorded, and not before its last replay.
    kept = [p.grad for p in params]
    copies = [Foreign(g.on_host()) for g in kept]
    optimizer.step()
    library.cuda_stream = int(stream.handle)
    builder = stream.create_graph_builder().begin_building()
    if new_gradients:  # as backward makes them while a graph is recorded
        for p, g in zip(params, copies, strict=True):
            p.grad = g
    optimizer.step()
    graph = builder.end_building().complete()
    library.cuda_stream = 0
    # A step between the recording and the replays, with gradients elsewhere, does not disturb it.
    for p, g in zip(params, kept, strict=True):
        p.grad = Foreign(g.on_host())
    optimizer.step()
    for _ in range(3):
        graph.launch(stream)
    for _ in range(5):
        other.step()
    for x, q in zip(there, other.param_groups[0]["params"], strict=True):
        assert same_bits(x.on_host(), q.data)
    assert all(optimizer.state[p]["step"].item() == 5 for p in params)


class Changes:
    """What is made beforehand, and then, while a graph is recorded, done."""

    def another_rule(self):
        return lambda group: group.update(variant="rprop+")

    def another_layout(self):
        g = Foreign(np.ones((6, 6)), strides=(8, 48))
        return lambda group: setattr(group["params"][0], "grad", g)

    def a_loss(self):
        return lambda group: group.update(variant="irprop+")


@pytest.mark.parametrize("change", ["another_rule", "another_layout", "a_loss"])
def test_what_a_recording_would_have_to_load_is_refused(change, library, stream):
    p, loss = Parameter(Foreign(np.ones((6, 6)))), Foreign(np.ones(1))
    p.grad = Foreign(np.ones((6, 6)))
    optimizer = Rprop([p], capturable=True)
    optimizer.step()
    make, kept = getattr(Changes(), change)(), p.grad
    library.cuda_stream = int(stream.handle)
    builder = stream.create_graph_builder().begin_building()
    try:
        with DRIVER.watched() as calls, pytest.raises(RuntimeError, match="make a step or two first"):
            make(optimizer.param_groups[0])
            optimizer.step(loss=loss)
    finally:
        builder.end_building()
    assert set(calls) <= {"cuStreamIsCapturing"}
    del kept
