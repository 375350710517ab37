"""CUDA without a GPU: what is said where there is none, and arrays that claim to be on one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cuda_kernels import arrays
from rprop_ref import Parameter, Rprop, backends, minimize

FOLDER = Path(__file__).parents[1]


@pytest.mark.peers
def test_tensors_of_torch_and_the_benchmark_in_the_simulator():
    """The simulator is chosen before Numba is imported, hence a process of its own."""
    path = FOLDER / "cuda_device" / "test_bench.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=FOLDER.parent,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class TestWithoutAGPU:
    @pytest.fixture(autouse=True)
    def no_gpu(self):
        from cuda_kernels import _cuda

        if _cuda.problem() is None:
            pytest.skip("this machine has a GPU")

    @pytest.mark.parametrize(
        "ask",
        [
            lambda: Rprop([Parameter(np.ones(1))], backend="cuda"),
            lambda: minimize(lambda x: (x @ x, 2 * x), [1.0], jac=True, backend="cuda"),
            lambda: backends.require_cuda(),
        ],
        ids=["Rprop", "minimize", "require_cuda"],
    )
    def test_asking_for_cuda_says_what_is_missing_and_what_to_install(self, ask):
        with pytest.raises(RuntimeError) as raised:
            ask()
        text = str(raised.value)
        assert "NVIDIA GPU with its driver" in text
        assert "pip install 'rprop-ref[cuda]'" in text
        assert "numba-cuda[cu12]" in text
        assert "What is missing here: " in text

    def test_an_array_that_is_on_a_gpu_all_the_same(self):
        """As torch may have one, where Numba finds no driver."""
        p = Parameter(OnGPU(np.ones(3, np.float32)))
        p.grad = OnGPU(np.ones(3, np.float32))
        optimizer = Rprop([p])
        with pytest.raises(RuntimeError, match="What is missing here: "):
            optimizer.step()
        assert not optimizer.state


@pytest.mark.parametrize(
    "driver, compiler, said",
    [
        ((12, 4), (13, 5), "the driver supports CUDA 12.4, but the compiler is that of CUDA 13.5.*numba-cuda.cu12."),
        ((13, 0), (13, 5), None),
        ((13, 0), (12, 9), None),
        (None, (13, 5), None),
    ],
)
def test_a_driver_that_is_too_old(driver, compiler, said, monkeypatch):
    from cuda_kernels import _cuda

    def version():
        if driver is None:
            raise OSError("cannot be asked")
        return driver

    here = SimpleNamespace(get_version=version)
    cuda = SimpleNamespace(
        is_available=lambda: True,
        cudadrv=SimpleNamespace(driver=SimpleNamespace(driver=here)),
        runtime=SimpleNamespace(get_version=lambda: compiler),
    )
    monkeypatch.setattr(_cuda, "cuda", cuda)
    monkeypatch.setattr(_cuda, "SIMULATED", False)
    if said is None:
        backends.require_cuda()
    else:
        with pytest.raises(RuntimeError, match=said):
            Rprop([Parameter(np.ones(1))], backend="cuda")


def test_without_the_compiler(monkeypatch):
    from cuda_kernels import _cuda

    monkeypatch.setattr(_cuda, "cuda", SimpleNamespace(is_available=lambda: False, cuda_error=lambda: None))
    monkeypatch.setattr(_cuda, "SIMULATED", False)
    with pytest.raises(RuntimeError, match="not the compiler .NVVM., which comes with numba-cuda.cu13."):
        backends.require_cuda()


def test_without_numba_asking_for_cuda_says_so(monkeypatch):
    monkeypatch.setattr(backends, "numba_loaded", lambda: None)
    with pytest.raises(ModuleNotFoundError, match="rprop-ref\\[cuda\\]"):
        Rprop([Parameter(np.ones(1))], backend="cuda")


class OnGPU:
    """An array that claims to be on a GPU, as the libraries say it."""

    def __init__(self, array, **interface):
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "strides": None if array.flags.c_contiguous else array.strides,
            "version": 3,
            **interface,
        }


class OnGPUByDLPack:
    """The same, by DLPack alone."""

    def __init__(self, array):
        self.array = array
        self.asked_for = []

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, stream=None):
        self.asked_for.append(stream)
        return self.array.__dlpack__()


@pytest.mark.parametrize("kind", [OnGPU, OnGPUByDLPack])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_arrays_of_others_are_seen_where_they_are(kind, dtype):
    whole = np.zeros((4, 6), dtype)
    for array in (whole, whole[1:, 2:4], whole.T, whole[:, :0], np.zeros((), dtype)):
        given = kind(array)
        assert arrays.is_on_device(given)
        seen = arrays.view(given)
        assert seen.address == array.ctypes.data or not array.size
        assert (seen.shape, seen.dtype) == (array.shape, array.dtype)
        assert seen.strides == (None if array.flags.c_contiguous or not array.size else array.strides)
        assert seen.given is given
        assert seen.writeable


def test_dlpack_makes_the_default_stream_wait():
    given = OnGPUByDLPack(np.zeros(3))
    assert arrays.view(given).stream() == 0
    assert given.asked_for == [1]


def test_the_stream_of_an_array_is_asked_for_again_and_again():
    given = OnGPU(np.zeros(3), stream=7)
    seen = arrays.view(given)
    assert seen.stream() == 7
    given.__cuda_array_interface__["stream"] = 9
    assert seen.stream() == 9
    for default in (None, 1):
        given.__cuda_array_interface__["stream"] = default
        assert seen.stream() == 0


def test_jax_is_told_the_stream():
    """By DLPack; its ``__cuda_array_interface__`` knows of none."""
    jax = type("ArrayImpl", (OnGPU, OnGPUByDLPack), {"__module__": "jaxlib._jax"})
    given = jax(np.zeros(3))
    given.asked_for = []
    assert arrays.view(given).stream() == 0
    assert given.asked_for == [1]


def test_what_cannot_be_written_to_is_known():
    assert not arrays.view(OnGPU(np.zeros(3), data=(4096, True))).writeable
    given = OnGPUByDLPack(np.zeros(3))
    jax = type("ArrayImpl", (OnGPUByDLPack,), {"__module__": "jaxlib._jax"})
    assert arrays.view(given).writeable
    assert not arrays.view(jax(np.zeros(3))).writeable


def test_bfloat16_is_a_name_that_numpy_does_not_know():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 arrays need ml_dtypes, which is not installed")
    array = np.zeros(3, ml_dtypes.bfloat16)
    given = OnGPU(array, typestr="<V2")
    given.dtype = array.dtype
    assert arrays.view(given).dtype == array.dtype


class Refusing:
    """As a torch tensor that requires a gradient."""

    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")


def test_what_cannot_be_viewed():
    assert arrays.is_on_device(Refusing())
    with pytest.raises(TypeError, match="requires grad.*can be passed as tensor.detach"):
        Parameter(Refusing())
    with pytest.raises(TypeError, match="masked"):
        Parameter(OnGPU(np.zeros(3), mask=OnGPU(np.zeros(3, bool))))
    with pytest.raises(RuntimeError, match="floating point and complex"):
        Parameter(OnGPUByDLPack(np.zeros(3, np.int32)))


@pytest.mark.parametrize("value", [np.zeros(3), np.float64(1), 1.0, 1, 1j, [1.0], (1.0,), None, "x", object()])
def test_what_is_not_on_a_gpu(value):
    assert not arrays.is_on_device(value)
