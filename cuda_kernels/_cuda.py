"""numba.cuda, imported in this one place, and the few things that differ between its kinds.

There are three: the package numba-cuda, Numba's built-in target (the same import, without that package), and the
simulator, which runs kernels as Python functions on the memory of the host.
"""

from __future__ import annotations

import ctypes
import functools
import warnings
from typing import Any

import numba.cuda
import numpy as np

Array = np.ndarray[Any, Any]

#: The module, whose kinds have no types in common.
cuda: Any = numba.cuda

INSTALL = (
    "arrays on a GPU need an NVIDIA GPU with its driver, and the package numba-cuda: "
    "pip install 'rprop-ref[cuda]' (CUDA 13), or pip install 'numba-cuda[cu12]' for a driver that has only CUDA 12"
)

#: Whether kernels run in the simulator.
SIMULATED = not hasattr(cuda, "local") or "simulator" in cuda.jit.__module__


def problem() -> str | None:
    """What keeps kernels from running here, in words; None if nothing does."""
    if SIMULATED:
        return None
    if cuda.is_available():
        return _too_old()
    reason = cuda.cuda_error()
    if reason is None:
        return "Numba finds a GPU and its driver, but not the compiler (NVVM), which comes with numba-cuda[cu13]"
    return str(reason).strip().replace("\n", " ")


def _too_old() -> str | None:
    """Whether the driver can load what the compiler makes: it can if both are of one major version."""
    try:
        driver, compiler = cuda.cudadrv.driver.driver.get_version(), cuda.runtime.get_version()
    except Exception:  # without the library that knows; the first launch will tell
        return None
    if driver[0] >= compiler[0]:
        return None
    return (
        f"the driver is one for CUDA {driver[0]}.{driver[1]}, too old for the compiler, which is of CUDA "
        f"{compiler[0]}.{compiler[1]}: install a newer driver, or numba-cuda[cu{driver[0]}]"
    )


@functools.cache
def multiprocessors() -> int:
    """How many of them the GPU has."""
    return 1 if SIMULATED else int(cuda.get_current_device().MULTIPROCESSOR_COUNT)


def gpu() -> tuple[str, str]:
    """What it is called, and the version of CUDA that its driver is one for."""
    if SIMULATED:
        return "Numba's simulator", "none"
    name = cuda.get_current_device().name
    version = cuda.cudadrv.driver.driver.get_version()
    return name.decode() if isinstance(name, bytes) else name, ".".join(map(str, version))


# ---------------------------------------------------------------------------------------------------------------
# Streams. They are known by their handle; 0 is the default stream.


@functools.lru_cache(maxsize=64)
def stream(handle: int) -> Any:
    """The stream with this handle, as numba.cuda takes it."""
    if SIMULATED:
        return 0
    # An object also for the default stream: with 0 for that, copies would wait on the host.
    if handle == 0:
        return cuda.default_stream()
    return cuda.per_thread_default_stream() if handle == 2 else cuda.external_stream(handle)


def launch(kernel: Any, blocks: int, threads: int, handle: int, *args: Any) -> None:
    """Launch a kernel on a stream; at least one block."""
    if SIMULATED:  # where a configured kernel is the kernel itself
        kernel[max(blocks, 1), threads](*args)
    else:
        _configured(kernel, max(blocks, 1), threads, handle)(*args)


@functools.lru_cache(maxsize=1024)
def _configured(kernel: Any, blocks: int, threads: int, handle: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a small grid leaves most of the GPU idle
        return kernel[blocks, threads, stream(handle)]


def is_capturing(handle: int) -> bool:
    """Whether what is launched on this stream is recorded in a graph instead of being run."""
    if SIMULATED or handle == 0:  # the default stream cannot be recorded
        return False
    try:
        from cuda.bindings import driver
    except ImportError:
        from numba.cuda.cudadrv.driver import driver as builtin

        status = ctypes.c_int()
        builtin.lib.cuStreamIsCapturing(ctypes.c_void_p(handle), ctypes.byref(status))
        return status.value != 0
    _, state = driver.cuStreamIsCapturing(handle)
    return int(state) != 0


def mark(handle: int) -> Any:
    """An event that happens when a stream has done what it has been given so far."""
    if SIMULATED:
        return None
    event = cuda.event(timing=False)
    event.record(stream(handle))
    return event


def has_happened(event: Any) -> bool:
    """Whether it has; does not wait."""
    return event is None or bool(event.query())


def wait_for(handle: int, other: int) -> None:
    """Let a stream wait, on the GPU, for what another has been given so far."""
    event = mark(other)
    if event is not None:
        event.wait(stream(handle))


def synchronize(handle: int) -> None:
    """Wait on the host for a stream."""
    if not SIMULATED:
        stream(handle).synchronize()


# ---------------------------------------------------------------------------------------------------------------
# Memory


def allocate(nbytes: int) -> Any:
    """Memory on the GPU, as long as the object lives; `address` tells where it is."""
    # One byte at least: an allocation of none has no address.
    return cuda.device_array(max(nbytes, 1), np.uint8)


def free_memory() -> None:
    """Give back at once the memory of arrays that are gone; otherwise Numba waits until there is much of it."""
    if not SIMULATED:
        cuda.current_context().memory_manager.deallocations.clear()


def address(array: Any) -> int:
    """Where a device array of numba.cuda begins."""
    if SIMULATED:
        return int(array._ary.ctypes.data)
    return int(array.__cuda_array_interface__["data"][0])


def bytes_at(where: int, nbytes: int) -> Any:
    """A device array of numba.cuda over memory that somebody else keeps."""
    if SIMULATED:
        from numba.cuda.cudadrv import devicearray

        simulated: Any = devicearray
        return simulated.FakeCUDAArray(_host_bytes(where, nbytes))
    return cuda.from_cuda_array_interface(
        {"shape": (nbytes,), "typestr": "|u1", "data": (where, False), "version": 3}, sync=False
    )


def _host_bytes(where: int, nbytes: int) -> Array:
    memory: Any = (ctypes.c_uint8 * nbytes).from_address(where)
    return np.frombuffer(memory, np.uint8)


def to_host(where: int, out: Array, handle: int) -> None:
    """Copy from the GPU into a contiguous array, and wait until that is done."""
    if out.nbytes:
        bytes_at(where, out.nbytes).copy_to_host(out.reshape(-1).view(np.uint8), stream=stream(handle))
        synchronize(handle)


def from_host(where: int, array: Array, handle: int) -> None:
    """Copy a contiguous array to the GPU, and wait until that is done."""
    if array.nbytes:
        bytes_at(where, array.nbytes).copy_to_device(array.reshape(-1).view(np.uint8), stream=stream(handle))
        synchronize(handle)
