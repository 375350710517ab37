"""Parameters on the GPU in the object model: state, state dicts, checkpoints, errors, capturable."""

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


def made(x, **options):
    there = cuda.to_device(np.array(x, np.float32))
    p = Parameter(there)
    return there, p, Rprop([p], **{"lr": 0.1, **options})


def stepped(there, p, optimizer, *grads):
    for g in grads:
        p.grad = cuda.to_device(np.full(p.shape, g, p.dtype))
        optimizer.step()
    return there.copy_to_host()


def test_a_parameter_shows_the_arrays_that_were_given():
    there, p, optimizer = made([1.0, 2.0])
    g = cuda.to_device(np.ones(2, np.float32))
    p.grad = g
    assert p.data is there
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
    _, p, optimizer = made([1.0, 2.0])
    q = Parameter(cuda.to_device(np.ones((3, 2), np.float32)))
    optimizer.add_param_group({"params": [q]})
    p.grad = cuda.to_device(np.ones(2, np.float32))
    (whole,) = arrays.from_host([np.ones((2, 3), np.float32)])
    q.grad = DeviceArray(whole.address, (3, 2), whole.dtype, whole, strides=(4, 12))
    kept = weakref.ref(p.grad), weakref.ref(whole.owner)
    optimizer.step()
    optimizer.zero_grad()
    del whole
    gc.collect()
    assert [k() for k in kept] == [None, None]


@pytest.mark.parametrize("capturable", [False, True])
def test_where_the_counter_is(capturable):
    there, p, optimizer = made([1.0], capturable=capturable)
    stepped(there, p, optimizer, 1.0, 1.0)
    step = optimizer.state[p]["step"]
    assert isinstance(step, DeviceArray if capturable else np.ndarray)
    assert step.item() == 2
    assert step.shape == ()
    assert step.dtype == np.float32


def test_capturable_waits_for_nothing(monkeypatch):
    """Once it has been made, a step neither waits on the host nor copies, as long as the gradients stay put."""
    _, p, optimizer = made([1.0, 1.0], capturable=True, variant="irprop+")
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
    there, p, optimizer = made(x, capturable=True, variant="irprop+", maximize=maximize)
    q = Parameter(x.copy())
    other = Rprop([q], lr=0.1, variant="irprop+", maximize=maximize)
    for value in (1.0, 2.0, 0.5, np.nan, 1.0, 3.0, 3.0, -1.0):
        g = rng.standard_normal(8).astype("f4")
        p.grad, q.grad = cuda.to_device(g), g
        optimizer.step(loss=cuda.to_device(np.array(value, "f4")))
        other.step(loss=value)
        assert same_bits(there.copy_to_host(), q.data)
    assert optimizer.param_groups[0]["prev_loss"].item() == -1.0
    with pytest.raises(ValueError, match="must be one float32 or float64"):
        optimizer.step(loss=cuda.to_device(np.ones(2)))


def test_state_dicts_go_to_the_host_and_back():
    there, p, optimizer = made([1.0, 2.0], capturable=True, variant="irprop+")
    for loss in (1.0, 2.0):
        p.grad = cuda.to_device(np.ones(2, np.float32))
        optimizer.step(loss=cuda.to_device(np.array(loss)))
    saved = state_dict_to_host(optimizer.state_dict())
    kept = saved["state"][0]
    assert all(isinstance(v, np.ndarray) for v in kept.values())
    assert kept["step"] == 2
    same_there, same, resumed = made(there.copy_to_host(), capturable=True, variant="irprop+")
    resumed.load_state_dict(saved)
    host = Parameter(there.copy_to_host())
    on_host = Rprop([host], variant="irprop+")
    on_host.load_state_dict({**saved, "param_groups": [{**saved["param_groups"][0], "capturable": False}]})
    # From an optimizer on the GPU directly, and as a copy of one.
    direct_there, direct, other = made(there.copy_to_host(), variant="irprop+")
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for x, o in ((same, resumed), (host, on_host), (direct, other), (p, optimizer)):
        g = -np.ones(2, np.float32)
        x.grad = g if x is host else cuda.to_device(g)
        o.step(loss=3.0)
    for x in (same_there, direct_there):
        assert same_bits(x.copy_to_host(), there.copy_to_host())
    assert same_bits(host.data, there.copy_to_host())
    assert resumed.state[same]["step"].item() == 3
    assert isinstance(resumed.state[same]["step"], DeviceArray)
    assert isinstance(on_host.state[host]["step_size"], np.ndarray)


@pytest.mark.parametrize("capturable", [False, True])
def test_checkpoints(tmp_path, capturable):
    there, p, optimizer = made([1.0, 2.0], capturable=capturable)
    stepped(there, p, optimizer, 1.0, 1.0)
    save_checkpoint(tmp_path / "a.npz", optimizer, extra=7)
    other_there, q, other = made([0.0, 0.0], capturable=capturable)
    assert load_checkpoint(tmp_path / "a.npz", other) == 7
    assert same_bits(other_there.copy_to_host(), there.copy_to_host())
    host = Parameter(np.zeros(2, np.float32))
    if not capturable:
        on_host = Rprop([host])
        load_checkpoint(tmp_path / "a.npz", on_host)
        host.grad = -np.ones(2, np.float32)
        on_host.step()
    expected = stepped(there, p, optimizer, -1.0)
    assert same_bits(stepped(other_there, q, other, -1.0), expected)
    if not capturable:
        assert same_bits(host.data, expected)


def test_copies_have_memory_of_their_own():
    there, p, optimizer = made([1.0, 2.0])
    stepped(there, p, optimizer, 1.0)
    for twin in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert isinstance(twin, Parameter)
        assert same_bits(twin.data.copy_to_host(), there.copy_to_host())
        assert twin._data.address != p._data.address
    twins = copy.deepcopy(optimizer)
    q = twins.param_groups[0]["params"][0]
    assert same_bits(stepped(q.data, q, twins, 1.0), stepped(there, p, optimizer, 1.0))


def test_host_and_device_do_not_mix():
    there, p, _ = made([1.0])
    host = np.ones(1, np.float32)
    with pytest.raises(RuntimeError, match="device type 'cpu' to a tensor with device type 'cuda'"):
        p.grad = host
    with pytest.raises(RuntimeError, match="device type 'cuda' to a tensor with device type 'cpu'"):
        Parameter(host).grad = there
    q = Parameter(host)
    q.grad, p.grad = host.copy(), cuda.to_device(host)
    with pytest.raises(TypeError, match="all on the GPU or all in the memory of the host"):
        Rprop([p, q]).step()
    assert there.copy_to_host() == 1
    assert q.data == 1
    # In groups of their own they are stepped together.
    Rprop([{"params": [p]}, {"params": [q]}], lr=0.5).step()
    assert there.copy_to_host() == q.data == 0.5
    constants = {"step_size_min": 1e-6, "step_size_max": 50, "etaminus": 0.5, "etaplus": 1.2}
    with pytest.raises(TypeError, match="all on the GPU"):
        rprop_ref.rprop([host], [there], [host.copy()], [host.copy()], [np.zeros(())], **constants)


def test_backends():
    there, p, _ = made([1.0])
    p.grad = cuda.to_device(np.ones(1, np.float32))
    q = Parameter(np.ones(1))
    q.grad = np.ones(1)
    Rprop([p], lr=0.5, backend="cuda").step()
    assert there.copy_to_host() == 0.5
    for backend in ("numpy", "numba"):
        with pytest.raises(TypeError, match="cannot step arrays on a GPU"):
            Rprop([p], backend=backend).step()
    with pytest.raises(TypeError, match="these are in the memory of the host"):
        Rprop([q], backend="cuda").step()
    with pytest.raises(TypeError, match="these are in the memory of the host"):
        minimize(lambda x: (x @ x, 2 * x), [1.0], jac=True, backend="cuda")


def test_refusals_change_nothing():
    there, p, optimizer = made([1.0, 2.0])
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
    assert (there.copy_to_host() == [1, 2]).all()
    assert not optimizer.state


def test_the_steps_counted_must_be_where_capturable_needs_them():
    _, p, optimizer = made([1.0])
    p.grad = cuda.to_device(np.ones(1, np.float32))
    optimizer.step()
    optimizer.param_groups[0]["capturable"] = True
    with pytest.raises(AssertionError, match="^If capturable=True, params and state_steps must be on supported"):
        optimizer.step()


class TestRecording:
    """Graphs are recorded where there is a GPU; here, what is done differently while one is."""

    @pytest.fixture
    def capturing(self, monkeypatch):
        state = {"on": False}
        monkeypatch.setattr(_cuda, "is_capturing", lambda stream: state["on"])
        return state

    def test_without_capturable_it_is_refused_as_in_torch(self, capturing):
        there, p, optimizer = made([1.0])
        stepped(there, p, optimizer, 1.0)
        capturing["on"] = True
        with pytest.raises(RuntimeError, match="Attempting CUDA graph capture of step"):
            optimizer.step()

    def test_the_first_step_cannot_be_recorded(self, capturing):
        _, p, optimizer = made([1.0], capturable=True)
        capturing["on"] = True
        p.grad = cuda.to_device(np.ones(1, np.float32))
        with pytest.raises(RuntimeError, match="make a step or two first"):
            optimizer.step()
        assert not optimizer.state

    def test_the_memory_that_a_graph_uses_lives_as_long_as_the_optimizer(self, capturing):
        there, p, optimizer = made([1.0, 2.0], capturable=True)
        stepped(there, p, optimizer, 1.0)
        eager = weakref.ref(optimizer._plans[id(optimizer.param_groups[0])].plan)
        prev = weakref.ref(optimizer.state[p]["prev"].owner)
        capturing["on"] = True
        optimizer.step()
        capturing["on"] = False
        optimizer.load_state_dict(optimizer.state_dict())
        stepped(there, p, optimizer, 1.0)
        gc.collect()
        assert eager() is not None
        assert prev() is not None
        del optimizer
        gc.collect()
        assert eager() is None

    def test_addresses_that_a_graph_reads_are_left_alone(self, capturing):
        def read(where):
            out = np.zeros(200, np.int64)
            _cuda.to_host(where, out, 0)
            return out

        a, b, c = np.random.default_rng(0).integers(1, 1 << 40, (3, 200))
        table = many.Addresses(200)
        eager = table.write(a, 0)
        assert table.write(a.copy(), 0) == eager
        capturing["on"] = True
        recorded = table.write(a, 0)
        assert recorded == eager
        brought = table.write(b, 0)
        assert brought != eager
        assert same_bits(read(brought).view("f8"), b.view("f8"))
        capturing["on"] = False
        later = table.write(c, 0)
        assert (read(recorded) == a).all()
        assert (read(later) == c).all()
        assert len({recorded, brought, later}) == 3


class TestArrays:
    def test_numpy_does_not_compute_with_them(self):
        there, p, optimizer = made([1.0])
        stepped(there, p, optimizer, 1.0)
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
            lambda: Tensor(there),
        ):
            with pytest.raises(TypeError):
                call()

    def test_subclasses_of_parameter_are_of_the_host(self):
        class Mine(Parameter):
            pass

        with pytest.raises(TypeError, match="on a GPU"):
            Mine(cuda.to_device(np.ones(1)))

    def test_copies_to_and_from_the_host(self, rng):
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
