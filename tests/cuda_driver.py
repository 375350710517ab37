# ruff: noqa: N802 (functions have the names of NVIDIA's)
"""A CUDA driver made of the host's memory: what numba-cuda asks of a driver, answered without a GPU.

As a plugin of pytest (``-p cuda_driver``) it lets the tests in ``cuda_device`` go through numba-cuda, cuda.core and
cuda.bindings as on a GPU: kernels are compiled for one, loaded, and launched with their arguments; memory is allocated,
copied and freed; streams are recorded in graphs. Only where a kernel would run is there a function of NumPy in its
place, which is given what the launch gave to the driver. All work is done at once, in the order of the calls.

It is stricter than a GPU: while any stream is recorded, whatever may wait, allocate, free or load fails.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SOURCE = r"""
#include <stddef.h>
static void *(*resolve)(const char *);
void set_resolver(void *(*function)(const char *)) { resolve = function; }
int cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long long flags, int *status)
{
    *found = resolve(name);
    if (status) *status = 0;
    return 0;
}
"""

SUCCESS, OUT_OF_MEMORY, NOT_SUPPORTED, CAPTURE_UNSUPPORTED, UNKNOWN = 0, 2, 801, 900, 999

#: Of an H100, as far as anybody asks; numbers of ``CUdevice_attribute``.
ATTRIBUTES = {
    1: 1024,
    2: 1024,
    3: 1024,
    4: 64,
    5: 2**31 - 1,
    6: 65535,
    7: 65535,
    10: 32,
    12: 65536,
    16: 132,
    75: 9,
}

#: All work is done at once, and the memory of a handle is not missed.
NOTHING_TO_DO = {
    "cuInit",
    "cuDevicePrimaryCtxRelease",
    "cuCtxSynchronize",
    "cuStreamDestroy",
    "cuStreamSynchronize",
    "cuUserObjectRelease",
    "cuGraphRetainUserObject",
    "cuGraphReleaseUserObject",
    "cuGraphUpload",
    "cuGraphDestroy",
    "cuGraphExecDestroy",
    "cuEventDestroy",
    "cuEventRecord",
    "cuEventQuery",
    "cuEventSynchronize",
    "cuStreamWaitEvent",
    "cuLibraryUnload",
}

COPIES = {"cuMemcpyHtoD", "cuMemcpyDtoH", "cuMemcpyDtoD"}

#: What a step that is recorded may not do.
FORBIDDEN = {
    *(
        "cuMemAlloc",
        "cuMemFree",
        "cuMemHostAlloc",
        "cuMemFreeHost",
        "cuMemcpyHtoD",
        "cuMemcpyDtoH",
        "cuMemcpyDtoD",
    ),
    *("cuStreamSynchronize", "cuCtxSynchronize", "cuEventSynchronize", "cuEventQuery", "cuMemsetD8"),
    *("cuLibraryLoadData", "cuLibraryUnload", "cuModuleLoadData", "cuKernelGetFunction"),
}


class Driver:
    """Its functions are the methods; ``calls`` are the names of those that were called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures: list[BaseException] = []
        self.missing: set[str] = set()
        self.graphs: dict[int, list[Any]] = {}
        self.recording: dict[int, int] = {}
        #: Of each launch: blocks, threads of a block, and the stream.
        self.launches: list[tuple[int, int, int]] = []
        #: So many bytes can be allocated at once.
        self.most = 1 << 30
        #: Of the kernel that is launched next: the types of its arguments, and what stands in for it.
        self.launched: tuple[str, Any] = ("", None)
        self._handles = itertools.count(0x1000, 8)
        self._memory: dict[int, Any] = {}
        self._contexts: list[int] = []
        self._names: dict[int, bytes] = {}
        self._functions: dict[str, Any] = {}
        self._resolver = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(self._resolve)

    def install(self) -> None:
        """Be the library that is found under the name of NVIDIA's."""
        folder = Path(tempfile.mkdtemp())
        (folder / "driver.c").write_text(SOURCE)
        library = folder / "libcuda.so.1"
        command = ["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, folder / "driver.c"]
        subprocess.run(command, check=True)
        self._library = ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        self._library.set_resolver(self._resolver)

    @contextlib.contextmanager
    def watched(self) -> Iterator[Counter[str]]:
        """Count the calls, but for those that ask which GPU it is."""
        before, counted = len(self.calls), Counter()
        yield counted
        counted.update(c for c in self.calls[before:] if c not in ("cuCtxGetCurrent", "cuCtxGetDevice"))

    def _resolve(self, symbol: bytes) -> int:
        name = symbol.decode()
        if name not in self._functions:
            self._functions[name] = self._function(name)
        return ctypes.cast(self._functions[name], ctypes.c_void_p).value or 0

    def _function(self, name: str) -> Any:
        method = getattr(self, name, None)
        arity = 8 if method is None else method.__func__.__code__.co_argcount - 1

        def call(*args: Any) -> int:
            if name not in ("cuGetErrorName", "cuGetErrorString"):
                self.calls.append(name)
            try:
                if self.recording and name in FORBIDDEN:
                    return CAPTURE_UNSUPPORTED
                if name in NOTHING_TO_DO:
                    return SUCCESS
                if method is None:
                    self.missing.add(name)
                    return NOT_SUPPORTED
                return method(*[a or 0 for a in args]) or SUCCESS
            except BaseException as error:
                self.failures.append(error)
                return UNKNOWN

        return ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * arity)(call)

    # ------------------------------------------------------------------------------------------------------
    # Device and context

    def cuGetErrorName(self, error, name):
        put(name, ctypes.c_char_p, b"CUDA_ERROR")

    def cuGetErrorString(self, error, text):
        put(text, ctypes.c_char_p, b"an error of the driver made of the host's memory")

    def cuDriverGetVersion(self, version):
        put(version, ctypes.c_int, 13000)

    def cuDeviceGetCount(self, count):
        put(count, ctypes.c_int, 1)

    def cuDeviceGet(self, device, ordinal):
        put(device, ctypes.c_int, 0)

    def cuDeviceGetName(self, name, length, device):
        ctypes.memmove(name, b"host\0", 5)

    def cuDeviceGetUuid(self, uuid, device):
        ctypes.memset(uuid, 1, 16)

    def cuDeviceGetAttribute(self, value, attribute, device):
        put(value, ctypes.c_int, ATTRIBUTES.get(attribute & 0xFFFFFFFF, 0))

    def cuDevicePrimaryCtxRetain(self, context, device):
        put(context, ctypes.c_void_p, 0xC0)

    def cuDevicePrimaryCtxGetState(self, device, flags, active):
        put(flags, ctypes.c_int, 0)
        put(active, ctypes.c_int, 1)

    def cuCtxGetCurrent(self, context):
        put(context, ctypes.c_void_p, self._contexts[-1] if self._contexts else 0)

    def cuCtxSetCurrent(self, context):
        self._contexts[-1:] = [context]

    def cuCtxPushCurrent(self, context):
        self._contexts.append(context)

    def cuCtxPopCurrent(self, context):
        put(context, ctypes.c_void_p, self._contexts.pop())

    def cuCtxGetDevice(self, device):
        put(device, ctypes.c_int, 0)

    # ------------------------------------------------------------------------------------------------------
    # Memory

    def cuMemGetInfo(self, free, total):
        put(free, ctypes.c_size_t, 1 << 36)
        put(total, ctypes.c_size_t, 1 << 36)

    def _allocate(self, where, size):
        memory = np.full(size + 256, 0xAA, np.uint8)  # which nobody may rely on
        address = -(-memory.ctypes.data // 256) * 256
        self._memory[address] = memory
        put(where, ctypes.c_void_p, address)

    def cuMemAlloc(self, where, size):
        if size > self.most:
            return OUT_OF_MEMORY
        self._allocate(where, size)
        return SUCCESS

    def cuMemFree(self, where):
        self._memory.pop(where)[:] = 0xBB

    def cuMemHostAlloc(self, where, size, flags):
        self._allocate(where, size)

    def cuMemFreeHost(self, where):
        del self._memory[where]

    def cuMemcpyHtoD(self, target, source, size):
        ctypes.memmove(target, source, size)

    cuMemcpyDtoH = cuMemcpyHtoD  # noqa: N815

    def cuMemcpyDtoD(self, target, source, size):
        ctypes.memmove(target, source, size)

    def cuMemcpyHtoDAsync(self, target, source, size, stream):
        self._do(stream, ctypes.memmove, target, source, size)

    def cuMemcpyDtoHAsync(self, target, source, size, stream):
        self._do(stream, ctypes.memmove, target, source, size)

    def cuMemcpyDtoDAsync(self, target, source, size, stream):
        self._do(stream, ctypes.memmove, target, source, size)

    # ------------------------------------------------------------------------------------------------------
    # Streams, events and graphs

    def _do(self, stream, function, *args):
        if stream in self.recording:
            self.graphs[self.recording[stream]].append(functools.partial(function, *args))
        else:
            function(*args)

    def _handle(self, where):
        handle = next(self._handles)
        put(where, ctypes.c_void_p, handle)
        return handle

    def cuStreamCreate(self, stream, flags):
        self._handle(stream)

    def cuStreamCreateWithPriority(self, stream, flags, priority):
        self._handle(stream)

    def cuCtxGetStreamPriorityRange(self, least, greatest):
        put(least, ctypes.c_int, 0)
        put(greatest, ctypes.c_int, -5)

    def cuStreamGetCtx(self, stream, context):
        put(context, ctypes.c_void_p, 0xC0)

    def cuStreamGetDevice(self, stream, device):
        put(device, ctypes.c_int, 0)

    def cuStreamIsCapturing(self, stream, status):
        put(status, ctypes.c_int, int(stream in self.recording))

    def cuStreamGetCaptureInfo(self, stream, status, number, graph, dependencies, edges, count):
        put(status, ctypes.c_int, int(stream in self.recording))
        if graph:
            put(graph, ctypes.c_void_p, self.recording.get(stream, 0))

    def cuStreamBeginCapture(self, stream, mode):
        graph = next(self._handles)
        self.graphs[graph], self.recording[stream] = [], graph

    def cuStreamBeginCaptureToGraph(self, stream, graph, dependencies, edges, count, mode):
        self.graphs.setdefault(graph, [])
        self.recording[stream] = graph

    def cuStreamEndCapture(self, stream, graph):
        put(graph, ctypes.c_void_p, self.recording.pop(stream))

    def cuGraphCreate(self, graph, flags):
        self.graphs[self._handle(graph)] = []

    def cuGraphInstantiateWithParams(self, graph_exec, graph, parameters):
        self.graphs[self._handle(graph_exec)] = self.graphs[graph]
        # CUDA_GRAPH_INSTANTIATE_PARAMS: flags, stream, node, result
        put(parameters + 24, ctypes.c_int, 0)

    def cuGraphInstantiate(self, graph_exec, graph, flags):
        self.graphs[self._handle(graph_exec)] = self.graphs[graph]

    def cuGraphLaunch(self, graph_exec, stream):
        for work in self.graphs[graph_exec]:
            work()

    def cuUserObjectCreate(self, user_object, pointer, destroy, count, flags):
        self._handle(user_object)

    def cuEventCreate(self, event, flags):
        self._handle(event)

    def cuEventElapsedTime(self, milliseconds, began, ended):
        put(milliseconds, ctypes.c_float, 1.0)

    # ------------------------------------------------------------------------------------------------------
    # Kernels

    def cuLibraryLoadData(self, library, code, o, v, n, p, q, m):
        self._handle(library)

    def cuLibraryGetKernel(self, kernel, library, name):
        self._names[self._handle(kernel)] = ctypes.string_at(name)

    def cuKernelGetFunction(self, function, kernel):
        put(function, ctypes.c_void_p, kernel)

    def cuKernelGetAttribute(self, value, attribute, kernel, device):
        put(value, ctypes.c_int, 1024 if attribute & 0xFFFFFFFF == 0 else 0)

    def cuLaunchKernelEx(self, config, function, arguments, extra):
        self.launch(ctypes.cast(config, ctypes.POINTER(LaunchConfig))[0], arguments)

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, arguments, extra):
        grid, block = ((c_uint(v) for v in given) for given in ((gx, gy, gz), (bx, by, bz)))
        self.launch(LaunchConfig(*grid, *block, c_uint(shared), stream), arguments)

    def launch(self, config: LaunchConfig, arguments: int) -> None:
        """Run the function that stands in for the kernel that was launched last."""
        self.launches.append((config.grid_x, config.block_x, config.stream or 0))
        kinds, work = self.launched
        places = ctypes.cast(arguments, ctypes.POINTER(ctypes.c_void_p))
        self._do(config.stream or 0, work, *[_KINDS[k].from_address(places[i]).value for i, k in enumerate(kinds)])


class LaunchConfig(ctypes.Structure):
    _fields_ = [
        *((f"grid_{axis}", ctypes.c_uint) for axis in "xyz"),
        *((f"block_{axis}", ctypes.c_uint) for axis in "xyz"),
        ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
    ]


def c_uint(value: int) -> int:
    return value & 0xFFFFFFFF


def put(where: int, kind: Any, value: Any) -> None:
    kind.from_address(where).value = value


# ---------------------------------------------------------------------------------------------------------------
# What stands in for the kernels: functions of the arguments of a kernel, that return the work to be done.


def stand_ins() -> dict[Any, Any]:
    """For each function that compiles a kernel: the types of its arguments, and what it does."""
    from cuda_kernels import flat, layout, loss, many_runs
    from cuda_kernels import many_arrays as many
    from rprop_ref._core import numpy_step

    def real(dtype):
        return "d" if dtype == "float64" else "f"

    def named(dtype):
        if dtype == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(dtype)

    def step(variant, dtype, x, g, prev, size, n, counter, worse, constants):
        kind = named(dtype)
        arrays = [at(a, n, kind) for a in (x, g, prev, size)]
        worse = bool(worse) if worse in (0, 1) else at(worse, 1, np.int64)[0] == 1
        numpy_step.run(variant, *arrays, np.array(constants).astype(kind), worse)
        if counter:
            at(counter, 1, np.float32)[0] += 1

    def one(variant, dtype):
        def work(x, g, prev, size, n, counter, worse, *constants):
            step(variant, dtype, x, g, prev, size, n, counter, worse, constants)

        return "q" * 7 + real(dtype) * 7, work

    def several(variant, dtype):
        width = named(dtype).itemsize

        def work(table, grads, chunks, n, worse, *constants):
            for row, first in at(chunks, 2 * n, np.int64).reshape(n, 2).tolist():
                x, prev, size, counter, length = at(
                    table + 8 * many.COLUMNS * row, many.COLUMNS, np.int64
                ).tolist()
                g = int(at(grads + 8 * row, 1, np.int64)[0])
                x, g, prev, size = (a + width * first for a in (x, g, prev, size))
                part = min(length - first, many.CHUNK)
                step(variant, dtype, x, g, prev, size, part, counter if first == 0 else 0, worse, constants)

        return "q" * 5 + real(dtype) * 7, work

    def addresses_written():
        def work(target, first, n, *values):
            at(target + 8 * first, n, np.int64)[:] = values[:n]

        return "q" * (3 + many.ADDRESSES_PER_LAUNCH), work

    def moved(width):
        def work(flat_array, strided, n, table, dimensions, scatter):
            pairs = at(table, 2 * dimensions, np.int64).reshape(dimensions, 2).tolist()
            for i in range(n):
                rest, place = i, 0
                for extent, stride in pairs:
                    place += rest % extent * stride
                    rest //= extent
                there, here = strided + width * place, flat_array + width * i
                ctypes.memmove(*((there, here) if scatter else (here, there)), width)

        return "qqqqq?", work

    def filled(dtype):
        def work(target, n, value):
            at(target, n, named(dtype))[:] = value

        return "qq" + real(dtype), work

    def judged(dtype):
        def work(loss_now, before, worse, maximize):
            value, last = float(at(loss_now, 1, dtype)[0]), at(before, 1, np.float64)
            at(worse, 1, np.int64)[0] = value < last[0] if maximize else value > last[0]
            last[0] = value

        return "qqqq", work

    def ended(fun, variant, dtype):
        # Of an array are passed: two words that are not used, size, item size, address, shape and strides.
        before = sum(5 + 2 * ndim for ndim in (3, 2, 2, 2))

        def work(*arguments):
            at(arguments[before + 4], arguments[before + 2], np.int64)[:] = 0

        return "q" * (before + 5), work

    return {
        (flat, "kernel"): one,
        (many, "kernel"): several,
        (many, "_write_kernel"): addresses_written,
        (layout, "_kernel"): moved,
        (layout, "_fill_kernel"): filled,
        (loss, "_kernel"): judged,
        (many_runs, "kernel"): ended,
    }


def at(address: int, n: int, dtype: Any) -> Any:
    """An array over the memory at an address."""
    dtype = np.dtype(dtype)
    memory: Any = (ctypes.c_char * (n * dtype.itemsize)).from_address(address)
    return np.frombuffer(memory, dtype)


_KINDS = {"q": ctypes.c_int64, "f": ctypes.c_float, "d": ctypes.c_double, "?": ctypes.c_bool}

DRIVER = Driver()
DRIVER.install()


def pytest_collection_modifyitems(items):
    """Let each kernel, when it is launched, do what stands in for it."""
    from cuda_kernels import _cuda

    functions: dict[int, Any] = {}

    def noted(compiles, make):
        @functools.cache
        def wrapped(*args):
            kernel = compiles(*args)
            functions[id(kernel)] = make(*args)
            return kernel

        return wrapped

    for (module, name), make in stand_ins().items():
        setattr(module, name, noted(getattr(module, name), make))
    launch = _cuda.launch

    def launch_noted(kernel, *args):
        DRIVER.launched = functions[id(kernel)]
        launch(kernel, *args)

    _cuda.launch = launch_noted


_status = 0


def pytest_sessionfinish(session, exitstatus):
    global _status
    _status = int(exitstatus)
    if DRIVER.failures or DRIVER.missing:
        print(f"\nthe driver failed: {DRIVER.failures}; it has no {sorted(DRIVER.missing)}")
        _status = _status or 1


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    """Leave without the destructors of C++, which would call a driver whose Python is gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)
