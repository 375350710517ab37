# ruff: noqa: N802 (functions have the names of NVIDIA's)
"""A CUDA driver made of the host's memory, so that numba-cuda runs without a GPU.

As a plugin of pytest (``-p cuda_driver``) it lets the tests in ``cuda_device`` go through numba-cuda, cuda.core and
cuda.bindings as on a GPU: kernels are compiled, loaded, and launched with their arguments; memory is allocated, copied
and freed; streams are recorded in graphs. A launch executes the PTX that the compiler made of the kernel, with the
arguments that the launch passed to the driver, in `ptx_machine`; the machine code that was loaded is not looked at. All
work is done at once, in the order of the calls.

It is stricter than a GPU: while any stream is recorded, whatever may wait, allocate, free or load fails, and so does
work on another stream. Copies may touch only the memory that was allocated. What it does not model fails, too: grids of
more than one dimension, shared memory, and attributes of launches.
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
import ptx_machine
import pytest

SOURCE = r"""
#include <stddef.h>
static void *(*resolve)(const char *);
void set_resolver(void *(*function)(const char *)) { resolve = function; }
int cuGetProcAddress_v2(const char *name, void **address, int version, unsigned long long flags, int *status)
{
    *address = resolve(name);
    if (status) *status = 0;
    return 0;
}
"""

SUCCESS, INVALID_VALUE, OUT_OF_MEMORY, NOT_SUPPORTED, CAPTURE_UNSUPPORTED, UNKNOWN = 0, 1, 2, 801, 900, 999
CAPTURE_ISOLATION = 905

#: Those attributes of an H100 that are asked for, by their numbers in ``CUdevice_attribute``.
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
    75: int(os.environ.get("CUDA_DRIVER_MAJOR", "9")),  # of the compute capability; the minor one is 0
}

#: Functions that just succeed: all work is done at once, and handles are never freed.
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
    "cuEventQuery",
    "cuEventSynchronize",
    "cuLibraryUnload",
}

COPIES = {"cuMemcpyHtoD", "cuMemcpyDtoH", "cuMemcpyDtoD"}

#: Functions that fail while a stream is recorded.
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
    """The driver: each method ``cu...`` is one of its functions, and ``calls`` lists the names of those called."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures: list[BaseException] = []
        self.missing: set[str] = set()
        self.graphs: dict[int, list[Any]] = {}
        self.recording: dict[int, int] = {}
        #: For each launch: blocks, threads of a block, and the stream.
        self.launches: list[tuple[int, int, int]] = []
        #: The largest allocation that succeeds, in bytes.
        self.max_allocation = 1 << 30
        #: The kernel that is launched next, as numba.cuda has it.
        self.next_launch: Any = None
        #: Instructions of kernels executed so far, each counted once for each thread.
        self.executed = 0
        #: What kernels may read and write.
        self.device_memory = ptx_machine.Memory()
        self._kernels: dict[int, ptx_machine.Kernel] = {}
        #: The graph that was recorded when an event was, by the event's handle; None for none.
        self._graph_of_event: dict[int, int | None] = {}
        self._handles = itertools.count(0x1000, 8)
        self._memory: dict[int, Any] = {}
        self._contexts: list[int] = []
        self._names: dict[int, bytes] = {}
        self._functions: dict[str, Any] = {}
        self._resolver = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p)(self._resolve)

    def install(self) -> None:
        """Load this driver under the name of NVIDIA's, so that others find it."""
        folder = Path(tempfile.mkdtemp())
        (folder / "driver.c").write_text(SOURCE)
        library = folder / "libcuda.so.1"
        command = ["cc", "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, folder / "driver.c"]
        subprocess.run(command, check=True)
        self._library = ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
        self._library.set_resolver(self._resolver)

    @contextlib.contextmanager
    def counted_calls(self) -> Iterator[Counter[str]]:
        """Count the calls in a block, except those that ask which GPU is current."""
        before, counts = len(self.calls), Counter()
        yield counts
        counts.update(c for c in self.calls[before:] if c not in ("cuCtxGetCurrent", "cuCtxGetDevice"))

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

    def _allocate(self, out, size):
        memory = np.full(size + 256, 0xAA, np.uint8)  # so that nothing relies on zeros
        address = -(-memory.ctypes.data // 256) * 256
        self._memory[address] = memory
        self.device_memory.add_at(address, size)
        put(out, ctypes.c_void_p, address)

    def cuMemAlloc(self, out, size):
        if size == 0:
            return INVALID_VALUE
        if size > self.max_allocation:
            return OUT_OF_MEMORY
        self._allocate(out, size)
        return SUCCESS

    def cuMemFree(self, address):
        self._memory.pop(address)[:] = 0xBB
        self.device_memory.remove(address)

    def cuMemHostAlloc(self, out, size, flags):
        self._allocate(out, size)

    def cuMemFreeHost(self, address):
        del self._memory[address]
        self.device_memory.remove(address)

    def _copy(self, target, source, size, *on_device):
        for address in on_device:
            if not self.device_memory.holds(address, size):
                raise IndexError(f"{size} bytes at {address:#x} are outside the memory of the GPU")
        ctypes.memmove(target, source, size)

    def cuMemcpyHtoD(self, target, source, size):
        self._copy(target, source, size, target)

    def cuMemcpyDtoH(self, target, source, size):
        self._copy(target, source, size, source)

    def cuMemcpyDtoD(self, target, source, size):
        self._copy(target, source, size, target, source)

    def cuMemcpyHtoDAsync(self, target, source, size, stream):
        self._do(stream, self.cuMemcpyHtoD, target, source, size)

    def cuMemcpyDtoHAsync(self, target, source, size, stream):
        self._do(stream, self.cuMemcpyDtoH, target, source, size)

    def cuMemcpyDtoDAsync(self, target, source, size, stream):
        self._do(stream, self.cuMemcpyDtoD, target, source, size)

    # ------------------------------------------------------------------------------------------------------
    # Streams, events and graphs

    def _do(self, stream, function, *args):
        if stream in self.recording:
            self.graphs[self.recording[stream]].append(functools.partial(function, *args))
        elif self.recording:
            raise RuntimeError(f"work on stream {stream} while another is recorded")
        else:
            function(*args)

    def _handle(self, out):
        handle = next(self._handles)
        put(out, ctypes.c_void_p, handle)
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
        self.graphs[self._handle(graph_exec)] = list(self.graphs[graph])
        # CUDA_GRAPH_INSTANTIATE_PARAMS: flags, stream, node, result
        put(parameters + 24, ctypes.c_int, 0)

    def cuGraphInstantiate(self, graph_exec, graph, flags):
        self.graphs[self._handle(graph_exec)] = list(self.graphs[graph])

    def cuGraphLaunch(self, graph_exec, stream):
        for work in self.graphs[graph_exec]:
            self._do(stream, work)

    def cuUserObjectCreate(self, user_object, pointer, destroy, count, flags):
        self._handle(user_object)

    def cuEventCreate(self, event, flags):
        self._handle(event)

    def cuEventRecord(self, event, stream):
        self._graph_of_event[event] = self.recording.get(stream)

    def cuStreamWaitEvent(self, stream, event, flags):
        # A GPU lets a stream join the recording of another one by this; here that fails.
        if self._graph_of_event.get(event) != self.recording.get(stream):
            return CAPTURE_ISOLATION
        return SUCCESS

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
        return self.launch(function, ctypes.cast(config, ctypes.POINTER(LaunchConfig))[0], arguments)

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, arguments, extra):
        grid, block = ((c_uint(v) for v in given) for given in ((gx, gy, gz), (bx, by, bz)))
        return self.launch(function, LaunchConfig(*grid, *block, c_uint(shared), stream), arguments)

    def launch(self, function: int, config: LaunchConfig, arguments: int) -> int:
        """Execute a kernel with the arguments of the launch."""
        if not (0 < config.grid_x < 2**31 and 0 < config.block_x <= 1024):
            return INVALID_VALUE
        if (config.grid_y, config.grid_z, config.block_y, config.block_z) != (1, 1, 1, 1):
            return NOT_SUPPORTED
        if config.shared or config.attribute_count:
            return NOT_SUPPORTED
        self.launches.append((config.grid_x, config.block_x, config.stream or 0))
        kernel = self._kernel(function)
        addresses = ctypes.cast(arguments, ctypes.POINTER(ctypes.c_void_p))
        values = [get(addresses[i], ptx_machine.DTYPES[kind]) for i, (kind, _) in enumerate(kernel.parameters)]
        self._do(config.stream or 0, self._execute, kernel, values, config.grid_x, config.block_x)
        return SUCCESS

    def _kernel(self, function: int) -> ptx_machine.Kernel:
        """The PTX that the machine code of a function was made from."""
        if function not in self._kernels:
            entry = f".entry {self._names[function].decode()}("
            (ptx,) = (text for text in self.next_launch.inspect_asm().values() if entry in text)
            self._kernels[function] = ptx_machine.parse(ptx)
        return self._kernels[function]

    @property
    def kernels(self) -> list[ptx_machine.Kernel]:
        """The kernels that were launched."""
        return list(self._kernels.values())

    def _execute(self, kernel: ptx_machine.Kernel, values: list[Any], grid: int, block: int) -> None:
        self.executed += ptx_machine.launch(kernel, values, grid, block, self.device_memory)


class LaunchConfig(ctypes.Structure):
    _fields_ = [
        *((f"grid_{axis}", ctypes.c_uint) for axis in "xyz"),
        *((f"block_{axis}", ctypes.c_uint) for axis in "xyz"),
        ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.c_void_p),
        ("attribute_count", ctypes.c_uint),
    ]


def c_uint(value: int) -> int:
    return value & 0xFFFFFFFF


def put(out: int, kind: Any, value: Any) -> None:
    """Write a result to the address that the caller gave for it."""
    kind.from_address(out).value = value


def get(address: int, dtype: np.dtype[Any]) -> Any:
    """The number at an address."""
    return np.frombuffer(ctypes.string_at(address, dtype.itemsize), dtype)[0]


DRIVER = Driver()
DRIVER.install()


def pytest_collection_modifyitems(items):
    """Tell the driver which kernel is launched: it is given machine code, and needs the PTX."""
    from cuda_kernels import _cuda  # it loads numba.cuda, which must find this driver

    launch = _cuda.launch

    def announced_launch(kernel, *args):
        DRIVER.next_launch = kernel
        launch(kernel, *args)

    _cuda.launch = announced_launch


_status = 0


def pytest_sessionfinish(session, exitstatus):
    global _status
    _status = int(exitstatus)
    if DRIVER.failures or DRIVER.missing:
        print(f"\nthe driver failed: {DRIVER.failures}; functions that it lacks: {sorted(DRIVER.missing)}")
        _status = _status or 1
    kernels = DRIVER.kernels
    print(
        f"\n{len(DRIVER.launches)} launches of {len(kernels)} kernels executed {DRIVER.executed:,} instructions; "
        f"a GPU may fuse products and sums in {sum(bool(k.fusable) for k in kernels)} of the kernels"
    )


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    """Exit without C++ destructors, which would call this driver after Python has ended."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)
