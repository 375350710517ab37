"""CUDA without a GPU: the errors, and arrays that claim to be on one."""

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
def test_torch_tensors_and_the_benchmark_in_the_simulator():
    """The simulator is chosen before Numba is imported, hence a process of its own."""
    path = FOLDER / "cuda_device" / "test_bench.py"
    process = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
        cwd=FOLDER.parent,
        env={**os.environ, "NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr


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

    def test_a_step_of_an_array_on_a_gpu_that_numba_does_not_find_is_refused(self):
        """torch, for instance, may find a driver where Numba finds none."""
        p = Parameter(OnGPU(np.ones(3, np.float32)))
        p.grad = OnGPU(np.ones(3, np.float32))
        optimizer = Rprop([p])
        with pytest.raises(RuntimeError, match="What is missing here: "):
            optimizer.step()
        assert not optimizer.state


@pytest.mark.parametrize(
    "driver, compiler, message",
    [
        (
            (12, 4),
            (13, 5),
            "the driver supports CUDA 12.4, but the compiler is that of CUDA 13.5.*numba-cuda.cu12.",
        ),
        ((13, 0), (13, 5), None),
        ((13, 0), (12, 9), None),
        (None, (13, 5), None),
    ],
)
def test_a_driver_older_than_the_compiler_is_refused(driver, compiler, message, monkeypatch):
    from cuda_kernels import _cuda

    def version():
        if driver is None:
            raise OSError("the version is unknown")
        return driver

    nvidia_driver = SimpleNamespace(get_version=version)
    cuda = SimpleNamespace(
        is_available=lambda: True,
        cudadrv=SimpleNamespace(driver=SimpleNamespace(driver=nvidia_driver)),
        runtime=SimpleNamespace(get_version=lambda: compiler),
    )
    monkeypatch.setattr(_cuda, "cuda", cuda)
    monkeypatch.setattr(_cuda, "SIMULATED", False)
    if message is None:
        backends.require_cuda()
    else:
        with pytest.raises(RuntimeError, match=message):
            Rprop([Parameter(np.ones(1))], backend="cuda")


def test_without_the_compiler_the_error_says_so(monkeypatch):
    from cuda_kernels import _cuda

    monkeypatch.setattr(_cuda, "cuda", SimpleNamespace(is_available=lambda: False, cuda_error=lambda: None))
    monkeypatch.setattr(_cuda, "SIMULATED", False)
    with pytest.raises(RuntimeError, match="not the compiler .NVVM., which comes with numba-cuda.cu13."):
        backends.require_cuda()


def test_without_numba_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(backends, "numba_is_installed", lambda: False)
    with pytest.raises(ModuleNotFoundError, match="rprop-ref\\[cuda\\]"):
        Rprop([Parameter(np.ones(1))], backend="cuda")


class OnGPU:
    """An array that claims to be on a GPU, by ``__cuda_array_interface__``."""

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
    """The same, by DLPack only."""

    def __init__(self, array):
        self.array = array
        self.streams = []

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, stream=None):
        self.streams.append(stream)
        return self.array.__dlpack__()


@pytest.mark.parametrize("kind", [OnGPU, OnGPUByDLPack])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_arrays_of_other_libraries_are_viewed_without_a_copy(kind, dtype):
    whole = np.zeros((4, 6), dtype)
    for array in (whole, whole[1:, 2:4], whole.T, whole[:, :0], np.zeros((), dtype)):
        given = kind(array)
        assert arrays.is_on_device(given)
        view = arrays.view(given)
        assert view.address == array.ctypes.data or not array.size
        assert (view.shape, view.dtype) == (array.shape, array.dtype)
        assert view.strides == (None if array.flags.c_contiguous or not array.size else array.strides)
        assert view.given is given
        assert view.writeable


def test_dlpack_makes_the_default_stream_wait():
    given = OnGPUByDLPack(np.zeros(3))
    assert arrays.view(given).stream() == 0
    assert given.streams == [1]


def test_the_stream_of_an_array_is_asked_for_every_time():
    given = OnGPU(np.zeros(3), stream=7)
    view = arrays.view(given)
    assert view.stream() == 7
    given.__cuda_array_interface__["stream"] = 9
    assert view.stream() == 9
    for default in (None, 1):
        given.__cuda_array_interface__["stream"] = default
        assert view.stream() == 0


def test_jax_is_told_the_stream_through_dlpack():
    """Its ``__cuda_array_interface__`` says nothing of streams."""
    jax = type("ArrayImpl", (OnGPU, OnGPUByDLPack), {"__module__": "jaxlib._jax"})
    given = jax(np.zeros(3))
    given.streams = []
    assert arrays.view(given).stream() == 0
    assert given.streams == [1]


def test_read_only_arrays_are_recognised():
    assert not arrays.view(OnGPU(np.zeros(3), data=(4096, True))).writeable
    given = OnGPUByDLPack(np.zeros(3))
    jax = type("ArrayImpl", (OnGPUByDLPack,), {"__module__": "jaxlib._jax"})
    assert arrays.view(given).writeable
    assert not arrays.view(jax(np.zeros(3))).writeable


def test_bfloat16_is_recognised_by_the_name_of_its_dtype():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 arrays need ml_dtypes, which is not installed")
    array = np.zeros(3, ml_dtypes.bfloat16)
    given = OnGPU(array, typestr="<V2")
    given.dtype = array.dtype
    assert arrays.view(given).dtype == array.dtype


class Refusing:
    """Like a torch tensor that requires a gradient."""

    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")


def test_an_array_that_cannot_be_viewed_is_refused():
    assert arrays.is_on_device(Refusing())
    with pytest.raises(TypeError, match="requires grad.*can be passed as tensor.detach"):
        Parameter(Refusing())
    with pytest.raises(TypeError, match="masked"):
        Parameter(OnGPU(np.zeros(3), mask=OnGPU(np.zeros(3, bool))))
    with pytest.raises(RuntimeError, match="floating point and complex"):
        Parameter(OnGPUByDLPack(np.zeros(3, np.int32)))


@pytest.mark.parametrize("value", [np.zeros(3), np.float64(1), 1.0, 1, 1j, [1.0], (1.0,), None, "x", object()])
def test_other_values_are_not_on_a_gpu(value):
    assert not arrays.is_on_device(value)
