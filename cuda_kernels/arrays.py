"""Arrays in the memory of a GPU, of any library, without importing that library.

They are recognised by ``__cuda_array_interface__`` (Numba, CuPy, torch) or DLPack (JAX, torch's bfloat16), and are
viewed without a copy. In Numba's simulator, the simulator's arrays take their place.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from cuda_kernels import dlpack

Array = np.ndarray[Any, Any]


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
        The array of another library that this is a view of, or another object that keeps the memory alive.

    Notes
    -----
    It has ``__cuda_array_interface__``, so that ``cupy.asarray(a)``, ``torch.as_tensor(a, device="cuda")`` and
    ``numba.cuda.as_cuda_array(a)`` share its memory. NumPy's functions refuse it, since they would have to copy it
    to the host; `copy_to_host` does that.
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
    def byte_bounds(self) -> tuple[int, int]:
        """The addresses of the first byte and of the one after the last."""
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
        """The array of another library that this is a view of, or else this array itself."""
        if isinstance(self.owner, dlpack.Owner):
            return self.owner.array
        return self if self.owner is None or isinstance(self.owner, _Memory) else self.owner

    def stream(self) -> int:
        """The handle of the stream that the owner currently works on; 0 for the default stream."""
        return _stream(self.owner)

    def copy_to_host(self) -> Array:
        """Copy to a NumPy array, after all work submitted so far to the owner's stream."""
        from cuda_kernels import _cuda

        source, stream = self, self.stream()
        if self.strides is not None:
            source = allocated([self.shape], self.dtype)[0]
            layout_of(self).gather(source.address, self.address, stream)
        out = np.empty(self.shape, self.dtype)
        _cuda.to_host(source.address, out, stream)
        return out

    def copy_from_host(self, array: Array) -> None:
        """Overwrite this array with a NumPy array of the same shape and dtype."""
        from cuda_kernels import _cuda

        stream = self.stream()
        if array.shape != self.shape or array.dtype != self.dtype:
            raise ValueError(
                f"an array of dtype {array.dtype} and shape {array.shape} does not fit into one of dtype "
                f"{self.dtype} and shape {self.shape}; dtypes and shapes must be equal"
            )
        target = self if self.strides is None else allocated([self.shape], self.dtype)[0]
        _cuda.from_host(target.address, np.ascontiguousarray(array), stream)
        if self.strides is not None:
            layout_of(self).scatter(target.address, self.address, stream)
            _cuda.synchronize(stream)

    def fill(self, value: float) -> None:
        """Overwrite all elements with a number, on the owner's stream."""
        stream = self.stream()
        source = filled([self.shape], self.dtype, value, stream)[0] if self.strides is not None else self
        if source is self:
            _fill(self.address, self.nbytes, self.dtype, value, stream)
        else:
            layout_of(self).scatter(source.address, self.address, stream)

    def item(self) -> Any:
        """The value of the only element; this waits for the GPU."""
        return self.copy_to_host().item()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise self._not_for_numpy()

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._not_for_numpy()

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        raise self._not_for_numpy()

    def _not_for_numpy(self) -> TypeError:
        return TypeError(
            f"NumPy cannot compute with an array on a GPU ({self.dtype} {self.shape}); use the library that it "
            "comes from, or copy it to the host: a.copy_to_host()"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> DeviceArray:
        duplicate = memo[id(self)] = from_host([self.copy_to_host()])[0]
        return duplicate

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
        return hasattr(value, "__dlpack_device__") and value.__dlpack_device__()[0] in dlpack.CUDA_DEVICES
    except Exception:
        # torch raises for a tensor that requires a gradient, but only if it is on a GPU.
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
        # JAX's interface neither tells which stream writes the array nor can be told which one reads it.
        interface = None if _is_of("jax", value) else getattr(value, "__cuda_array_interface__", None)
        # The interface describes a dtype that NumPy does not have as a void of the same size; DLPack names it.
        if interface is None or (interface["typestr"][1] == "V" and hasattr(value, "__dlpack__")):
            return _view_by_dlpack(value)
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
        dtype = dlpack.bfloat16()
    return DeviceArray(
        address or 0,
        interface["shape"],
        dtype,
        value,
        strides=interface.get("strides"),
        writeable=not read_only,
    )


def _view_by_dlpack(value: Any) -> DeviceArray:
    # torch's tensors are stepped on torch's current stream, so nothing has to wait; other libraries make the
    # default stream wait for theirs.
    description = dlpack.describe(value, stream=-1 if _is_of("torch", value) else 1)
    return DeviceArray(**description._asdict(), writeable=not _is_of("jax", value))


def allocated(shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any]) -> list[DeviceArray]:
    """New arrays, uninitialised; they are consecutive slices of one allocation."""
    from cuda_kernels import _cuda

    memory = _Memory(_cuda.allocate(sum(math.prod(shape) for shape in shapes) * dtype.itemsize))
    slices, address = [], _cuda.address(memory.allocation)
    for shape in shapes:
        slices.append(DeviceArray(address, shape, dtype, memory))
        address += slices[-1].nbytes
    return slices


def from_host(arrays: Sequence[Array]) -> list[DeviceArray]:
    """Copy arrays of one dtype to the GPU."""
    from cuda_kernels import _cuda

    copies = allocated([a.shape for a in arrays], arrays[0].dtype)
    if copies:
        _cuda.from_host(copies[0].address, np.concatenate([a.reshape(-1) for a in arrays]), 0)
    return copies


def filled(shapes: Sequence[tuple[int, ...]], dtype: np.dtype[Any], value: Any, stream: int) -> list[DeviceArray]:
    """New arrays, filled with a number on a stream; complex ones with value + value * 1j."""
    slices = allocated(shapes, dtype)
    if slices:
        _fill(slices[0].address, sum(a.nbytes for a in slices), dtype, value, stream)
    return slices


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
    if isinstance(owner, dlpack.Owner):
        owner = owner.array
        if not _is_of("torch", owner):
            return 0  # DLPack made the default stream wait for the library's own
    if _is_of("torch", owner):
        handle: int = sys.modules["torch"].cuda.current_stream(owner.device).cuda_stream
    elif _is_of("numba", owner):
        stream = getattr(owner, "stream", 0)
        pointer = getattr(stream, "handle", stream)
        handle = int(getattr(pointer, "value", pointer) or 0)
    else:
        interface = getattr(owner, "__cuda_array_interface__", None) or {}
        handle = int(interface.get("stream") or 0)
    return 0 if handle == 1 else handle  # both stand for the default stream


class _Memory:
    """The owner of arrays in an allocation of our own."""

    def __init__(self, allocation: Any) -> None:
        self.allocation = allocation
