"""What needs a GPU: streams, graphs, and arrays of other libraries. Skipped without one, with the reason."""

from __future__ import annotations

import cases
import numpy as np
import pytest

from cuda_kernels import _cuda, arrays
from cuda_kernels.arrays import DeviceArray
from rprop_ref import Parameter, Rprop
from rprop_ref._core.constants import rule_constants
from rprop_ref.bits import same_bits

pytestmark = pytest.mark.gpu

REPLAYS = 20


def torch_on_the_gpu():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return torch


def on_host(starts, grads, steps, **options):
    """The parameters after some steps on the host, with one gradient for each."""
    params = [Parameter(x.copy()) for x in starts]
    optimizer = Rprop(params, backend="numpy", **options)
    for p, g in zip(params, grads, strict=True):
        p.grad = g
    for _ in range(steps):
        optimizer.step()
    return [p.data for p in params]


def starts_and_gradients(rng, shapes, dtype=np.float32):
    starts = [cases.mixed(rng, np.dtype(dtype), int(np.prod(s))).reshape(s) for s in shapes]
    grads = [cases.mixed(rng, np.dtype(dtype), int(np.prod(s))).reshape(s) for s in shapes]
    return starts, grads


SHAPES = {"one": [(100_000,)], "many": [(), (5,), (0,), (64, 33)] * 50}


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_arrays_of_numba_on_their_own_stream_have_the_bits_of_the_host(shapes, rng):
    from numba import cuda

    stream = cuda.stream()
    starts, grads = starts_and_gradients(rng, shapes)
    device_arrays = [cuda.to_device(x, stream=stream) for x in starts]
    params = [Parameter(x) for x in device_arrays]
    optimizer = Rprop(params)
    for p, g in zip(params, grads, strict=True):
        # Each gradient comes from another stream, which the step waits for on the GPU.
        p.grad = cuda.to_device(g, stream=cuda.stream())
    for _ in range(3):
        optimizer.step()
    stream.synchronize()
    for x, expected in zip(device_arrays, on_host(starts, grads, 3), strict=True):
        assert same_bits(x.copy_to_host(stream=stream), expected)


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_a_graph_of_cuda_core_replays_the_same_bits(shapes, rng):
    core = pytest.importorskip("cuda.core", reason="cuda.core is not installed")
    from numba import cuda

    device = core.Device()
    device.set_current()
    own = device.create_stream()
    stream = cuda.external_stream(int(own.handle))
    starts, grads = starts_and_gradients(rng, shapes)
    device_arrays = [cuda.to_device(x, stream=stream) for x in starts]
    params = [Parameter(x) for x in device_arrays]
    optimizer = Rprop(params, capturable=True)
    for p, g in zip(params, grads, strict=True):
        p.grad = cuda.to_device(g, stream=stream)
    optimizer.step()
    optimizer.step()
    builder = own.create_graph_builder().begin_building()
    optimizer.step()
    graph = builder.end_building().complete()
    for _ in range(REPLAYS):
        graph.launch(own)
    own.sync()
    for x, expected in zip(device_arrays, on_host(starts, grads, 2 + REPLAYS), strict=True):
        assert same_bits(x.copy_to_host(stream=stream), expected)
    for p in params:
        assert optimizer.state[p]["step"].item() == 2 + REPLAYS


def to_numpy(tensor):
    return tensor.detach().cpu().numpy()


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("new_gradients", [False, True])
def test_a_graph_of_torch_replays_the_same_bits(shapes, new_gradients, rng):
    torch = torch_on_the_gpu()
    starts, grads = starts_and_gradients(rng, shapes)
    tensors = [torch.from_numpy(x).cuda() for x in starts]
    device_grads = [torch.from_numpy(g).cuda() for g in grads]
    params = [Parameter(t) for t in tensors]
    optimizer = Rprop(params, capturable=True)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for p, g in zip(params, device_grads, strict=True):
            p.grad = g
        for _ in range(2):
            optimizer.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        if new_gradients:  # as backward does while a graph is recorded
            for p, g in zip(params, device_grads, strict=True):
                p.grad = g * 1
        optimizer.step()
    # A step between the recording and the replays, with gradients at other addresses, does not disturb them.
    for p, g in zip(params, device_grads, strict=True):
        p.grad = g.clone()
    optimizer.step()
    for _ in range(REPLAYS):
        graph.replay()
    torch.cuda.synchronize()
    for t, expected in zip(tensors, on_host(starts, grads, 3 + REPLAYS), strict=True):
        assert same_bits(to_numpy(t), expected)


def test_torch_tensors_of_every_dtype_are_stepped_in_place(rng):
    torch = torch_on_the_gpu()
    for name in ("float16", "float32", "float64", "complex64", "complex128"):
        starts, grads = starts_and_gradients(rng, [(33, 20)], name)
        t, g = torch.from_numpy(starts[0]).cuda(), torch.from_numpy(grads[0]).cuda()
        p = Parameter(t.T)
        p.grad = g.T
        optimizer = Rprop([p])
        optimizer.step()
        optimizer.step()
        assert p.data is not t
        assert same_bits(to_numpy(t), on_host(starts, grads, 2)[0])
        shared = torch.as_tensor(optimizer.state[p]["prev"], device="cuda")
        assert shared.shape == (20, 33)


def test_torch_tensors_of_bfloat16_are_stepped_in_place(rng):
    torch = torch_on_the_gpu()
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 arrays need ml_dtypes, which is not installed")
    starts, grads = starts_and_gradients(rng, [(1000,)], ml_dtypes.bfloat16)
    t, g = (torch.from_numpy(a.view(np.int16)).view(torch.bfloat16).cuda() for a in (starts[0], grads[0]))
    p = Parameter(t)
    p.grad = g
    Rprop([p]).step()
    stepped = to_numpy(t.view(torch.int16)).view(ml_dtypes.bfloat16)
    assert same_bits(stepped, on_host(starts, grads, 1)[0])


def test_many_steps_have_the_bits_of_torch_on_the_gpu(rng):
    torch = torch_on_the_gpu()
    start = rng.standard_normal(10_007).astype("f4")
    ours, theirs = torch.from_numpy(start).cuda(), torch.from_numpy(start).cuda().requires_grad_()
    p = Parameter(ours)
    optimizer, other = Rprop([p]), torch.optim.Rprop([theirs])
    for _ in range(cases.STEPS):
        g = torch.from_numpy(rng.standard_normal(start.size).astype("f4")).cuda()
        p.grad, theirs.grad = g, g
        optimizer.step()
        other.step()
    assert same_bits(to_numpy(ours), to_numpy(theirs))


def test_cupy_arrays_are_stepped_in_place(rng):
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    starts, grads = starts_and_gradients(rng, [(1000,)])
    with cupy.cuda.Stream():
        x, g = cupy.asarray(starts[0]), cupy.asarray(grads[0])
        p = Parameter(x)
        p.grad = g
        Rprop([p]).step()
        assert p.data is x
        assert same_bits(cupy.asnumpy(x), on_host(starts, grads, 1)[0])


def test_jax_arrays_can_be_gradients_but_not_parameters(rng):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    if jax.default_backend() != "gpu":
        pytest.skip("this JAX has no CUDA")
    starts, grads = starts_and_gradients(rng, [(1000,)])
    (x,) = arrays.from_host(starts)
    p = Parameter(x)
    p.grad = jax.numpy.asarray(grads[0])
    Rprop([p]).step()
    assert same_bits(x.copy_to_host(), on_host(starts, grads, 1)[0])
    q = Parameter(jax.numpy.asarray(starts[0]))
    q.grad = p.grad
    with pytest.raises(ValueError, match="read-only"):
        Rprop([q]).step()


def test_a_recording_is_noticed():
    core = pytest.importorskip("cuda.core", reason="cuda.core is not installed")
    device = core.Device()
    device.set_current()
    stream = device.create_stream()
    handle = int(stream.handle)
    assert not _cuda.is_capturing(handle)
    builder = stream.create_graph_builder().begin_building()
    assert _cuda.is_capturing(handle)
    builder.end_building()
    assert not _cuda.is_capturing(handle)


def test_a_large_array_is_stepped_to_its_end():
    """It has more elements than the grid has threads, and more bytes than 32 bits can count."""
    n = (1 << 30) + 5
    try:
        x, g, prev, size = arrays.filled([(n,)] * 4, np.dtype("f4"), 1.0, 0)
    except Exception as error:
        pytest.skip(f"16 GiB are not free on this GPU: {error}")
    from cuda_kernels import flat

    constants = tuple(map(np.float32, rule_constants(x.dtype, (0.5, 1.2), (1e-6, 50), False)))
    flat.run("irprop-", "float32", x.address, g.address, prev.address, size.address, n, constants)
    for i in (0, 1 << 29, n - 1):
        element = DeviceArray(x.address + 4 * i, (1,), x.dtype, x)
        assert element.item() == np.float32(1) - np.float32(1.2)
