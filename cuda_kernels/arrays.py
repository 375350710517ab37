"""Arrays in the memory of a GPU, whoever made them, without importing who made them.

They are recognised by ``__cuda_array_interface__`` (Numba, CuPy, torch) or DLPack (JAX, torch's bfloat16), and are
looked at where they are. In Numba's simulator its arrays stand in for them.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from rprop_ref._core import dtypes

Array = np.ndarray[Any, Any]

_DLPACK_CUDA = (2, 13)  # the memory of a GPU, and memory that host and GPU share


class DeviceArray:
    """An array on the GPU: an address with a shape and a dtype, and the object that keeps the memory.

    Attributes
    ----------
    address : int
    shape : tuple of int
    dtype : numpy.dtype
    strides : tuple of int or None
        In bytes; None if it is C-contiguous.
    writeable : bool
    owner : object
        The array of another library that this is a view of, or what else keeps the memory.

    Notes
    -----
    It has ``__cuda_array_interface__``, so that ``cupy.asarray(a)``, ``torch.as_tensor(a, device="cuda")`` and
    ``numba.cuda.as_cuda_array(a)`` share its memory. To NumPy's functions it is a stranger: they would have to
    copy it to the host, which `copy_to_host` does.
    """

    __slots__ = ("address", "dtype", "owner", "shape", "size", "strides", "writeable")

    def __init__(
        self,
        address: int,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        owner: Any,
        *,
        strides: tuple[int, ...] | None = None,
        writeable: bool = True,
    ) -> None:
        self.address = address
        self.shape = tuple(int(n) for n in shape)
        self.dtype = dtype
        self.owner = owner
        self.size = math.prod(self.shape)
        self.strides = None if strides is None or _is_contiguous(self.shape, strides, dtype) else tuple(strides)
        self.writeable = writeable

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def bounds(self) -> tuple[int, int]:
        """The addresses of the first byte, and of the one after the last."""
        if self.strides is None or not self.size:
            return self.address, self.address + self.nbytes
        spans = [stride * (n - 1) for n, stride in zip(self.shape, self.strides, strict=True)]
        low = self.address + sum(s for s in spans if s < 0)
        return low, self.address + sum(s for s in spans if s > 0) + self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address if self.size else 0, not self.writeable),
            "strides": self.strides,
            "version": 3,
        }

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def given(self) -> Any:
        """The array of another library that this is a view of; this one, if it is none."""
        if isinstance(self.owner, Seen):
            return self.owner.array
        return self if self.owner is None or isinstance(self.owner, _Memory) else self.owner

    def stream(self) -> int:
        """The handle of the stream that its owner works on at the moment; 0 for the default stream."""
        return _stream(self.owner)

    def copy_to_host(self) -> Array:
        """A copy as a NumPy array, when the stream of the owner has come so far."""
        from cuda_kernels import _cuda

        source, stream = self, self.stream()
        if self.strides is not None:
            source = allocated([self.shape], self.dtype)[0]
            layout_of(self).gather(source.address, self.address, stream)
        out = np.empty(self.shape, self.dtype)
        _cuda.to_host(source.address, out, stream)
        return out

    def copy_from_host(self, array: Array) -> None:
        """Overwrite with an array of the same shape and dtype."""
        from cuda_kernels import _cuda

        stream = self.stream()
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(f"{array.dtype} {array.shape} does not fit into {self.dtype} {self.shape}")
        target = self if self.strides is None else allocated([self.shape], self.dtype)[0]
        _cuda.from_host(target.address, np.ascontiguousarray(array), stream)
        if self.strides is not None:
            layout_of(self).scatter(target.address, self.address, stream)
            _cuda.synchronize(stream)

    def fill(self, value: float) -> None:
        """Overwrite all elements with a number, on the stream of the owner."""
        stream = self.stream()
        source = filled([self.shape], self.dtype, value, stream)[0] if self.strides is not None else self
        if source is self:
            _fill(self.address, self.nbytes, self.dtype, value, stream)
        else:
            layout_of(self).scatter(source.address, self.address, stream)

    def item(self) -> Any:
        """The value of the only element; waits for the GPU."""
        return self.copy_to_host().item()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise self._stranger()

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._stranger()

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._stranger()

    def _stranger(self) -> TypeError:
        return TypeError(
            f"NumPy does not compute with an array on a GPU ({self.dtype} {self.shape}); use the library that it "
            "comes from, or copy it to the host"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> DeviceArray:
        twin = memo[id(self)] = from_host([self.copy_to_host()])[0]
        return twin

    def __reduce__(self) -> Any:
        return _unpickled, (self.copy_to_host(),)

    def __repr__(self) -> str:
        return f"DeviceArray({np.array2string(self.copy_to_host(), separator=', ')}, dtype={self.dtype})"


def _unpickled(array: Array) -> DeviceArray:
    return from_host([array])[0]


def is_on_device(value: Any) -> bool:
    """Whether a value is an array in the memory of a GPU."""
    if isinstance(value, DeviceArray):
        return True
    if isinstance(value, (np.ndarray, np.generic, int, float, complex, list, tuple)):
        return False
    if _is_simulated(value):
        return True
    try:
        if hasattr(value, "__cuda_array_interface__"):
            return True
        return hasattr(value, "__dlpack_device__") and value.__dlpack_device__()[0] in _DLPACK_CUDA
    except Exception:
        # torch refuses to show a tensor that requires a gradient, but only one on a GPU.
        return True


def view(value: Any) -> DeviceArray:
    """View an array on a GPU, of any library, without copying it.

    Raises
    ------
    TypeError
        If it cannot be viewed: a torch tensor that requires a gradient (pass ``tensor.detach()``), or bfloat16
        without the package ml_dtypes.
    """
    if isinstance(value, DeviceArray):
        return value
    if _is_simulated(value):
        host = value._ary
        return DeviceArray(
            host.ctypes.data, host.shape, host.dtype, value, strides=host.strides, writeable=host.flags.writeable
        )
    try:
        # JAX's interface does not say which stream writes to the array, and cannot be told which one reads it.
        interface = None if _is_of("jax", value) else getattr(value, "__cuda_array_interface__", None)
        # What NumPy has no name for is a void of so many bytes there; DLPack knows more.
        if interface is None or (interface["typestr"][1] == "V" and hasattr(value, "__dlpack__")):
            return _from_dlpack(value)
    except Exception as error:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(
            f"cannot view a {kind} on a GPU: {error}. A torch tensor that requires a gradient can be passed as "
            "tensor.detach()"
        ) from error
    if interface.get("mask") is not None:
        raise TypeError("cannot view a masked array on a GPU")
    address, read_only = interface["data"]
    dtype = np.dtype(interface["typestr"])
    if dtype.kind == "V" and str(getattr(value, "dtype", "")) == "bfloat16":
        dtype = _bfloat16()
    return DeviceArray(
        address or 0,
        interface["shape"],
        dtype,
        value,
        strides=interface.get("strides"),
        writeable=not read_only,
    )


def allocated(shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any]) -> list[DeviceArray]:
    """New arrays, with what happens to stand in their memory; they are consecutive slices of one allocation."""
    from cuda_kernels import _cuda

    memory = _Memory(_cuda.allocate(sum(math.prod(shape) for shape in shapes) * dtype.itemsize))
    found, address = [], _cuda.address(memory.allocation)
    for shape in shapes:
        found.append(DeviceArray(address, shape, dtype, memory))
        address += found[-1].nbytes
    return found


def from_host(arrays: Sequence[Array]) -> list[DeviceArray]:
    """Copies of arrays of one dtype on the GPU."""
    from cuda_kernels import _cuda

    found = allocated([a.shape for a in arrays], arrays[0].dtype)
    if found:
        _cuda.from_host(found[0].address, np.concatenate([a.reshape(-1) for a in arrays]), 0)
    return found


def filled(shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any], value: Any, stream: int) -> list[DeviceArray]:
    """New arrays filled on a stream with a number; complex ones with value + value * 1j."""
    found = allocated(shapes, dtype)
    if found:
        _fill(found[0].address, sum(a.nbytes for a in found), dtype, value, stream)
    return found


def _fill(address: int, nbytes: int, dtype: np.dtype[Any], value: Any, stream: int) -> None:
    from cuda_kernels import layout

    real = dtype if dtype.kind != "c" else np.zeros(0, dtype).real.dtype
    if nbytes:
        layout.fill(real.name, address, nbytes // real.itemsize, value, stream)


def layout_of(array: DeviceArray) -> Any:
    """The `cuda_kernels.layout.Layout` of an array."""
    from cuda_kernels import layout

    strides = _contiguous_strides(array.shape, array.dtype) if array.strides is None else array.strides
    return layout.Layout.of(array.shape, strides, array.dtype.itemsize)


def _contiguous_strides(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    strides, stride = [], dtype.itemsize
    for n in reversed(shape):
        strides.append(stride)
        stride *= n
    return tuple(reversed(strides))


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    expected = _contiguous_strides(shape, dtype)
    return 0 in shape or all(n == 1 or s == e for n, s, e in zip(shape, strides, expected, strict=True))


def _is_of(library: str, value: Any) -> bool:
    return any(c.__module__.split(".")[0] in (library, f"{library}lib") for c in type(value).__mro__)


def _is_simulated(value: Any) -> bool:
    return type(value).__name__ == "FakeCUDAArray" and _is_of("numba", value)


def _stream(owner: Any) -> int:
    if isinstance(owner, Seen):
        owner = owner.array
        if not _is_of("torch", owner):
            return 0  # which was made to wait for what its library does
    if _is_of("torch", owner):
        stream: int = sys.modules["torch"].cuda.current_stream(owner.device).cuda_stream
    elif _is_of("numba", owner):
        found = getattr(owner, "stream", 0)
        handle = getattr(found, "handle", found)
        stream = int(getattr(handle, "value", handle) or 0)
    else:
        interface = getattr(owner, "__cuda_array_interface__", None) or {}
        stream = int(interface.get("stream") or 0)
    return 0 if stream == 1 else stream  # two names of the default stream


# ---------------------------------------------------------------------------------------------------------------
# DLPack


class _Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("id", ctypes.c_int32)]


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


_DLPACK_KINDS = {0: "i", 1: "u", 2: "f", 5: "c"}
_DLPACK_BFLOAT = 4


def _from_dlpack(value: Any) -> DeviceArray:
    # torch's tensors are used on the stream that is current there; others make the default stream wait for theirs.
    capsule = value.__dlpack__(stream=-1 if _is_of("torch", value) else 1)
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = _Tensor.from_address(pointer(capsule, b"dltensor"))
    code, bits, lanes = tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes
    if lanes != 1 or (code not in _DLPACK_KINDS and (code, bits) != (_DLPACK_BFLOAT, 16)):
        raise TypeError(f"its elements are of DLPack's type code {code} with {bits} bits and {lanes} lanes")
    dtype = _bfloat16() if code == _DLPACK_BFLOAT else np.dtype(f"{_DLPACK_KINDS[code]}{bits // 8}")
    n = tensor.ndim
    strides = tuple(s * dtype.itemsize for s in tensor.strides[:n]) if tensor.strides else None
    return DeviceArray(
        (tensor.data or 0) + tensor.byte_offset,
        tuple(tensor.shape[:n]),
        dtype,
        # The capsule, which nobody takes over, frees the memory when it goes.
        Seen(value, capsule),
        strides=strides,
        writeable=not _is_of("jax", value),
    )


class _Memory:
    """An allocation of our own."""

    def __init__(self, allocation: Any) -> None:
        self.allocation = allocation


class Seen:
    """An array that was seen through DLPack, and the capsule that keeps it."""

    def __init__(self, array: Any, capsule: Any) -> None:
        self.array = array
        self._capsule = capsule


def _bfloat16() -> np.dtype[Any]:
    try:
        return dtypes.named("bfloat16")
    except ImportError:
        raise TypeError("bfloat16 arrays need the package ml_dtypes, which is not installed") from None
