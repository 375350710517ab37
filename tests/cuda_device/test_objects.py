"""Parameters on the GPU: their state, state dicts, checkpoints, copies, errors, and `capturable`."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from numba import cuda

import rprop_ref
from cuda_kernels import _cuda, arrays
from cuda_kernels import many_arrays as many
from cuda_kernels.arrays import DeviceArray
from rprop_ref import Parameter, Rprop, Tensor, load_checkpoint, minimize, save_checkpoint
from rprop_ref.bits import same_bits
from rprop_ref.interop import state_dict_to_host


def optimizer_of(x, **options):
    """An array on the GPU, a parameter of it, and an optimizer of that."""
    array = cuda.to_device(np.array(x, np.float32))
    p = Parameter(array)
    return array, p, Rprop([p], **{"lr": 0.1, **options})


def stepped(array, p, optimizer, *grads):
    """The array after a step with each of the gradients."""
    for g in grads:
        p.grad = cuda.to_device(np.full(p.shape, g, p.dtype))
        optimizer.step()
    return array.copy_to_host()


def test_a_parameter_returns_the_arrays_it_was_given():
    array, p, optimizer = optimizer_of([1.0, 2.0])
    g = cuda.to_device(np.ones(2, np.float32))
    p.grad = g
    assert p.data is array
    assert p.grad is g
    assert (p.shape, p.dtype, p.ndim, p.size) == ((2,), np.dtype("f4"), 1, 2)
    assert isinstance(p, Parameter)
    assert p.is_leaf
    assert repr(p) == "Parameter(on a GPU, shape=(2,), dtype=float32)"
    optimizer.zero_grad(set_to_none=False)
    assert not g.copy_to_host().any()
    optimizer.zero_grad()
    assert p.grad is None


def test_a_step_keeps_no_gradient_alive():
    _, p, optimizer = optimizer_of([1.0, 2.0])
    q = Parameter(cuda.to_device(np.ones((3, 2), np.float32)))
    optimizer.add_param_group({"params": [q]})
    p.grad = cuda.to_device(np.ones(2, np.float32))
    (whole,) = arrays.from_host([np.ones((2, 3), np.float32)])
    q.grad = DeviceArray(whole.address, (3, 2), whole.dtype, whole, strides=(4, 12))
    references = weakref.ref(p.grad), weakref.ref(whole.owner)
    optimizer.step()
    optimizer.zero_grad()
    del whole
    gc.collect()
    assert [r() for r in references] == [None, None]


@pytest.mark.parametrize("capturable", [False, True])
def test_the_counter_is_on_the_gpu_only_with_capturable(capturable):
    array, p, optimizer = optimizer_of([1.0], capturable=capturable)
    stepped(array, p, optimizer, 1.0, 1.0)
    step = optimizer.state[p]["step"]
    assert isinstance(step, DeviceArray if capturable else np.ndarray)
    assert step.item() == 2
    assert step.shape == ()
    assert step.dtype == np.float32


def test_a_capturable_step_waits_for_nothing(monkeypatch):
    """After the first one, a step neither waits on the host nor copies, unless the gradients move."""
    _, p, optimizer = optimizer_of([1.0, 1.0], capturable=True, variant="irprop+")
    q = Parameter(cuda.to_device(np.ones(3, np.float32)))
    optimizer.add_param_group({"params": [q]})
    q.grad, p.grad = cuda.to_device(np.ones(3, np.float32)), cuda.to_device(np.ones(2, np.float32))
    loss = cuda.to_device(np.array([1.0], np.float32))
    optimizer.step(loss=loss)
    for name in ("synchronize", "to_host", "from_host", "allocate", "bytes_at"):
        monkeypatch.setattr(_cuda, name, None)
    optimizer.step(loss=loss)


@pytest.mark.parametrize("maximize", [False, True])
def test_a_loss_on_the_gpu_is_compared_there(maximize, rng):
    x = rng.standard_normal(8).astype("f4")
    array, p, optimizer = optimizer_of(x, capturable=True, variant="irprop+", maximize=maximize)
    q = Parameter(x.copy())
    other = Rprop([q], lr=0.1, variant="irprop+", maximize=maximize)
    for value in (1.0, 2.0, 0.5, np.nan, 1.0, 3.0, 3.0, -1.0):
        g = rng.standard_normal(8).astype("f4")
        p.grad, q.grad = cuda.to_device(g), g
        optimizer.step(loss=cuda.to_device(np.array(value, "f4")))
        other.step(loss=value)
        assert same_bits(array.copy_to_host(), q.data)
    assert optimizer.param_groups[0]["prev_loss"].item() == -1.0
    with pytest.raises(ValueError, match="must be one float32 or float64"):
        optimizer.step(loss=cuda.to_device(np.ones(2)))


def test_state_dicts_go_to_the_host_and_back():
    array, p, optimizer = optimizer_of([1.0, 2.0], capturable=True, variant="irprop+")
    for loss in (1.0, 2.0):
        p.grad = cuda.to_device(np.ones(2, np.float32))
        optimizer.step(loss=cuda.to_device(np.array(loss)))
    saved = state_dict_to_host(optimizer.state_dict())
    state = saved["state"][0]
    assert all(isinstance(v, np.ndarray) for v in state.values())
    assert state["step"] == 2
    same_array, same, resumed = optimizer_of(array.copy_to_host(), capturable=True, variant="irprop+")
    resumed.load_state_dict(saved)
    host = Parameter(array.copy_to_host())
    on_host = Rprop([host], variant="irprop+")
    on_host.load_state_dict({**saved, "param_groups": [{**saved["param_groups"][0], "capturable": False}]})
    # Also a copy of the state dict that stays on the GPU.
    direct_array, direct, other = optimizer_of(array.copy_to_host(), variant="irprop+")
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for x, o in ((same, resumed), (host, on_host), (direct, other), (p, optimizer)):
        g = -np.ones(2, np.float32)
        x.grad = g if x is host else cuda.to_device(g)
        o.step(loss=3.0)
    for x in (same_array, direct_array):
        assert same_bits(x.copy_to_host(), array.copy_to_host())
    assert same_bits(host.data, array.copy_to_host())
    assert resumed.state[same]["step"].item() == 3
    assert isinstance(resumed.state[same]["step"], DeviceArray)
    assert isinstance(on_host.state[host]["step_size"], np.ndarray)


@pytest.mark.parametrize("capturable", [False, True])
def test_a_checkpoint_resumes_on_the_gpu_and_on_the_host(tmp_path, capturable):
    array, p, optimizer = optimizer_of([1.0, 2.0], capturable=capturable)
    stepped(array, p, optimizer, 1.0, 1.0)
    save_checkpoint(tmp_path / "a.npz", optimizer, extra=7)
    other_array, q, other = optimizer_of([0.0, 0.0], capturable=capturable)
    assert load_checkpoint(tmp_path / "a.npz", other) == 7
    assert same_bits(other_array.copy_to_host(), array.copy_to_host())
    host = Parameter(np.zeros(2, np.float32))
    if not capturable:
        on_host = Rprop([host])
        load_checkpoint(tmp_path / "a.npz", on_host)
        host.grad = -np.ones(2, np.float32)
        on_host.step()
    expected = stepped(array, p, optimizer, -1.0)
    assert same_bits(stepped(other_array, q, other, -1.0), expected)
    if not capturable:
        assert same_bits(host.data, expected)


def test_copies_have_memory_of_their_own():
    array, p, optimizer = optimizer_of([1.0, 2.0])
    stepped(array, p, optimizer, 1.0)
    for duplicate in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert isinstance(duplicate, Parameter)
        assert same_bits(duplicate.data.copy_to_host(), array.copy_to_host())
        assert duplicate._array.address != p._array.address
    duplicate = copy.deepcopy(optimizer)
    q = duplicate.param_groups[0]["params"][0]
    assert same_bits(stepped(q.data, q, duplicate, 1.0), stepped(array, p, optimizer, 1.0))


def test_arrays_of_host_and_gpu_cannot_be_stepped_together():
    array, p, _ = optimizer_of([1.0])
    host = np.ones(1, np.float32)
    with pytest.raises(RuntimeError, match="device type 'cpu' to a tensor with device type 'cuda'"):
        p.grad = host
    with pytest.raises(RuntimeError, match="device type 'cuda' to a tensor with device type 'cpu'"):
        Parameter(host).grad = array
    q = Parameter(host)
    q.grad, p.grad = host.copy(), cuda.to_device(host)
    with pytest.raises(TypeError, match="all on the GPU or all in the memory of the host"):
        Rprop([p, q]).step()
    assert array.copy_to_host() == 1
    assert q.data == 1
    # In different groups they can be.
    Rprop([{"params": [p]}, {"params": [q]}], lr=0.5).step()
    assert array.copy_to_host() == q.data == 0.5
    constants = {"step_size_min": 1e-6, "step_size_max": 50, "etaminus": 0.5, "etaplus": 1.2}
    with pytest.raises(TypeError, match="all on the GPU"):
        rprop_ref.rprop([host], [array], [host.copy()], [host.copy()], [np.zeros(())], **constants)


def test_arrays_on_a_gpu_need_the_backend_cuda_or_none():
    array, p, _ = optimizer_of([1.0])
    p.grad = cuda.to_device(np.ones(1, np.float32))
    q = Parameter(np.ones(1))
    q.grad = np.ones(1)
    Rprop([p], lr=0.5, backend="cuda").step()
    assert array.copy_to_host() == 0.5
    for backend in ("numpy", "numba"):
        with pytest.raises(TypeError, match="cannot step arrays on a GPU"):
            Rprop([p], backend=backend).step()
    with pytest.raises(TypeError, match="these are in the memory of the host"):
        Rprop([q], backend="cuda").step()
    with pytest.raises(TypeError, match="these are in the memory of the host"):
        minimize(lambda x: (x @ x, 2 * x), [1.0], jac=True, backend="cuda")


def test_an_array_that_is_refused_changes_nothing():
    array, p, optimizer = optimizer_of([1.0, 2.0])
    with pytest.raises(RuntimeError, match="dtype 'float64' to a tensor with dtype 'float32'"):
        p.grad = cuda.to_device(np.ones(2))
    with pytest.raises(RuntimeError, match="gradient of size '\\[3\\]' to a tensor of size '\\[2\\]'"):
        p.grad = cuda.to_device(np.ones(3, np.float32))
    with pytest.raises(RuntimeError, match="floating point and complex"):
        Parameter(cuda.to_device(np.ones(2, np.int64)))
    (memory,) = arrays.from_host([np.ones(4, np.float32)])
    q = Parameter(DeviceArray(memory.address, (2,), memory.dtype, memory, writeable=False))
    q.grad = p.grad = cuda.to_device(np.ones(2, np.float32))
    with pytest.raises(ValueError, match="is read-only"):
        Rprop([p, q]).step()
    r = Parameter(DeviceArray(memory.address, (3, 2), memory.dtype, memory, strides=(4, 4)))
    r.grad = cuda.to_device(np.ones((3, 2), "f4"))
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        Rprop([r]).step()
    assert (array.copy_to_host() == [1, 2]).all()
    assert not optimizer.state


def test_capturable_refuses_a_counter_on_the_host():
    _, p, optimizer = optimizer_of([1.0])
    p.grad = cuda.to_device(np.ones(1, np.float32))
    optimizer.step()
    optimizer.param_groups[0]["capturable"] = True
    with pytest.raises(AssertionError, match="^If capturable=True, params and state_steps must be on supported"):
        optimizer.step()


class TestRecording:
    """What a step does differently while a graph is recorded; recording itself needs a GPU."""

    @pytest.fixture
    def capturing(self, monkeypatch):
        state = {"on": False}
        monkeypatch.setattr(_cuda, "is_capturing", lambda stream: state["on"])
        return state

    def test_a_step_without_capturable_is_refused_as_in_torch(self, capturing):
        array, p, optimizer = optimizer_of([1.0])
        stepped(array, p, optimizer, 1.0)
        capturing["on"] = True
        with pytest.raises(RuntimeError, match="Attempting CUDA graph capture of step"):
            optimizer.step()

    def test_the_first_step_cannot_be_recorded(self, capturing):
        _, p, optimizer = optimizer_of([1.0], capturable=True)
        capturing["on"] = True
        p.grad = cuda.to_device(np.ones(1, np.float32))
        with pytest.raises(RuntimeError, match="make a step or two first"):
            optimizer.step()
        assert not optimizer.state

    def test_the_memory_that_a_graph_uses_lives_as_long_as_the_optimizer(self, capturing):
        array, p, optimizer = optimizer_of([1.0, 2.0], capturable=True)
        stepped(array, p, optimizer, 1.0)
        plan = weakref.ref(optimizer._plans[id(optimizer.param_groups[0])].plan)
        prev = weakref.ref(optimizer.state[p]["prev"].owner)
        capturing["on"] = True
        optimizer.step()
        capturing["on"] = False
        optimizer.load_state_dict(optimizer.state_dict())
        stepped(array, p, optimizer, 1.0)
        gc.collect()
        assert plan() is not None
        assert prev() is not None
        del optimizer
        gc.collect()
        assert plan() is None

    def test_addresses_that_a_graph_reads_are_not_overwritten(self, capturing):
        def read(address):
            out = np.zeros(200, np.int64)
            _cuda.to_host(address, out, 0)
            return out

        a, b, c = np.random.default_rng(0).integers(1, 1 << 40, (3, 200))
        table = many.Addresses(200)
        first = table.write(a, 0)
        assert table.write(a.copy(), 0) == first
        capturing["on"] = True
        recorded = table.write(a, 0)
        assert recorded == first
        passed = table.write(b, 0)
        assert passed != first
        assert same_bits(read(passed).view("f8"), b.view("f8"))
        capturing["on"] = False
        later = table.write(c, 0)
        assert (read(recorded) == a).all()
        assert (read(later) == c).all()
        assert len({recorded, passed, later}) == 3


class TestArrays:
    def test_numpy_refuses_to_compute_with_them(self):
        array, p, optimizer = optimizer_of([1.0])
        stepped(array, p, optimizer, 1.0)
        prev = optimizer.state[p]["prev"]
        for call in (
            lambda: np.sin(prev),
            lambda: prev + 1,
            lambda: np.asarray(prev),
            lambda: np.sum(prev),
            lambda: np.ones(1) * prev,
            lambda: p + 1,
            lambda: np.sum(p),
            p.backward,
            lambda: Tensor(array),
        ):
            with pytest.raises(TypeError):
                call()

    def test_a_subclass_of_parameter_refuses_arrays_on_a_gpu(self):
        class Mine(Parameter):
            pass

        with pytest.raises(TypeError, match="on a GPU"):
            Mine(cuda.to_device(np.ones(1)))

    def test_strided_arrays_are_copied_to_and_from_the_host(self, rng):
        values = rng.standard_normal((4, 5))
        (a,) = arrays.from_host([values])
        assert same_bits(a.copy_to_host(), values)
        strided = DeviceArray(a.address + 8, (2, 4), a.dtype, a, strides=(80, 8))
        assert same_bits(strided.copy_to_host(), values[::2, 1:])
        assert strided.given is a
        strided.copy_from_host(np.zeros((2, 4)))
        values[::2, 1:] = 0
        strided.fill(3.0)
        values[::2, 1:] = 3
        assert same_bits(a.copy_to_host(), values)
        with pytest.raises(ValueError, match="does not fit"):
            a.copy_from_host(np.zeros(20))
