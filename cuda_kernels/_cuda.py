"""numba.cuda, imported only here, and what differs between its three implementations.

These are the package numba-cuda, Numba's built-in target (the same import, without that package), and the
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

#: The module; its implementations share no types.
cuda: Any = numba.cuda

INSTALL = (
    "arrays on a GPU need an NVIDIA GPU with its driver, and the package numba-cuda: "
    "pip install 'rprop-ref[cuda]' (CUDA 13), or pip install 'numba-cuda[cu12]' for a driver that has only CUDA 12"
)

#: Whether kernels run in the simulator.
SIMULATED = not hasattr(cuda, "local") or "simulator" in cuda.jit.__module__


def problem() -> str | None:
    """Say why kernels cannot run here; None if they can."""
    if SIMULATED:
        return None
    if cuda.is_available():
        return _version_problem()
    reason = cuda.cuda_error()
    if reason is None:
        return "Numba finds a GPU and its driver, but not the compiler (NVVM), which comes with numba-cuda[cu13]"
    return str(reason).strip().replace("\n", " ")


def _version_problem() -> str | None:
    """Say so if the driver is of a lower major version than the compiler, whose code it then cannot load."""
    try:
        driver, compiler = cuda.cudadrv.driver.driver.get_version(), cuda.runtime.get_version()
    except Exception:  # a library that knows the version is missing; the first launch will fail if it must
        return None
    if driver[0] >= compiler[0]:
        return None
    return (
        f"the driver supports CUDA {driver[0]}.{driver[1]}, but the compiler is that of CUDA "
        f"{compiler[0]}.{compiler[1]}: install a newer driver, or numba-cuda[cu{driver[0]}]"
    )


@functools.cache
def multiprocessors() -> int:
    """The number of multiprocessors of the GPU."""
    return 1 if SIMULATED else int(cuda.get_current_device().MULTIPROCESSOR_COUNT)


def gpu_and_driver() -> tuple[str, str]:
    """The name of the GPU, and the version of CUDA that its driver supports."""
    if SIMULATED:
        return "Numba's simulator", "none"
    name = cuda.get_current_device().name
    version = cuda.cudadrv.driver.driver.get_version()
    return name.decode() if isinstance(name, bytes) else name, ".".join(map(str, version))


# ---------------------------------------------------------------------------------------------------------------
# Streams. Each is identified by its handle; 0 is the default stream.


@functools.lru_cache(maxsize=64)
def stream(handle: int) -> Any:
    """The stream with this handle, as an object of numba.cuda."""
    if SIMULATED:
        return 0
    # The default stream needs an object, too: given 0 instead, copies would wait on the host.
    if handle == 0:
        return cuda.default_stream()
    return cuda.per_thread_default_stream() if handle == 2 else cuda.external_stream(handle)


def launch(kernel: Any, blocks: int, threads: int, handle: int, *args: Any) -> None:
    """Launch a kernel on a stream, with at least one block."""
    if SIMULATED:  # a configured kernel is the kernel itself, so it must not be cached
        kernel[max(blocks, 1), threads](*args)
    else:
        _configured(kernel, max(blocks, 1), threads, handle)(*args)


@functools.lru_cache(maxsize=1024)
def _configured(kernel: Any, blocks: int, threads: int, handle: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "a small grid leaves most of the GPU idle"
        return kernel[blocks, threads, stream(handle)]


def is_capturing(handle: int) -> bool:
    """Whether this stream records its work in a graph instead of running it."""
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


def record_event(handle: int) -> Any:
    """An event that completes when a stream has done all work submitted so far."""
    if SIMULATED:
        return None
    event = cuda.event(timing=False)
    event.record(stream(handle))
    return event


def has_completed(event: Any) -> bool:
    """Whether an event has completed; does not wait for it."""
    return event is None or bool(event.query())


def wait_for(handle: int, other: int) -> None:
    """Make a stream wait, on the GPU, for all work submitted so far to another."""
    event = record_event(other)
    if event is not None:
        event.wait(stream(handle))


def synchronize(handle: int) -> None:
    """Wait, on the host, until a stream has done all its work."""
    if not SIMULATED:
        stream(handle).synchronize()


# ---------------------------------------------------------------------------------------------------------------
# Memory


def allocate(nbytes: int) -> Any:
    """Allocate memory on the GPU, which lives as long as the result; `address` gives its address."""
    # At least one byte, since an empty allocation has no address.
    return cuda.device_array(max(nbytes, 1), np.uint8)


def free_memory() -> None:
    """Free the memory of deleted arrays now; otherwise Numba waits until there is much of it."""
    if not SIMULATED:
        cuda.current_context().memory_manager.deallocations.clear()


def address(array: Any) -> int:
    """The address of a device array of numba.cuda."""
    if SIMULATED:
        return int(array._ary.ctypes.data)
    return int(array.__cuda_array_interface__["data"][0])


def bytes_at(pointer: int, nbytes: int) -> Any:
    """A device array of numba.cuda over existing memory, which it does not keep alive."""
    if SIMULATED:
        from numba.cuda.cudadrv import devicearray

        simulated: Any = devicearray
        return simulated.FakeCUDAArray(_host_bytes(pointer, nbytes))
    return cuda.from_cuda_array_interface(
        {"shape": (nbytes,), "typestr": "|u1", "data": (pointer, False), "version": 3}, sync=False
    )


def _host_bytes(pointer: int, nbytes: int) -> Array:
    memory: Any = (ctypes.c_uint8 * nbytes).from_address(pointer)
    return np.frombuffer(memory, np.uint8)


def to_host(pointer: int, out: Array, handle: int) -> None:
    """Copy from the GPU into a contiguous array, and wait until the copy is done."""
    if out.nbytes:
        bytes_at(pointer, out.nbytes).copy_to_host(out.reshape(-1).view(np.uint8), stream=stream(handle))
        synchronize(handle)


def from_host(pointer: int, array: Array, handle: int) -> None:
    """Copy a contiguous array to the GPU, and wait until the copy is done."""
    if array.nbytes:
        bytes_at(pointer, array.nbytes).copy_to_device(array.reshape(-1).view(np.uint8), stream=stream(handle))
        synchronize(handle)
