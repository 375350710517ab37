"""A Parameter whose values are on a GPU: it can be stepped, but nothing is recorded with it."""

from __future__ import annotations

from typing import Any

from cuda_kernels import arrays
from cuda_kernels.arrays import DeviceArray

from .._core import dtypes
from ._tensor import Parameter, Tensor, _wrong_dtype
from ._traced import Memory

_NOT_HERE = (
    "NumPy code is differentiated in the memory of the host, and this Parameter is on a GPU; compute the gradient "
    "with the library that the array comes from, and assign it: p.grad = gradient"
)


class DeviceParameter(Parameter):
    """What `Parameter` makes of an array on a GPU.

    Its ``data`` and ``grad`` are the arrays as they were given, of Numba, CuPy, torch or another library.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        array = arrays.view(data)
        if not dtypes.is_supported(array.dtype):
            raise RuntimeError(_wrong_dtype(array.dtype))
        self._data: Any = array
        self._grad = None
        self._grad_fits = array
        self._requires_grad = requires_grad
        self._node = None
        self._base = None
        self._memory = Memory()

    @property
    def data(self) -> Any:
        return self._data.given

    @data.setter
    def data(self, array: Any) -> None:
        if not arrays.is_on_device(array):
            raise TypeError(f"data must be an array on a GPU, as before, but got {type(array).__name__}")
        self._data = arrays.view(array)

    @property
    def grad(self) -> Any:
        return None if self._grad is None else self._grad.given

    @grad.setter
    def grad(self, grad: Any) -> None:
        if grad is not None:
            grad = self._checked(grad)
        self._grad = grad
        self._grad_fits = self._data

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _checked(self, grad: Any) -> DeviceArray:
        if isinstance(grad, Tensor):
            grad = grad._data
        if not arrays.is_on_device(grad):
            raise RuntimeError(
                "attempting to assign a gradient with device type 'cpu' to a tensor with device type 'cuda'. "
                "Please ensure that the gradient and the tensor are on the same device"
            )
        array: DeviceArray = super()._checked(arrays.view(grad))
        return array

    def backward(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(_NOT_HERE)

    def _load(self, values: Any) -> None:
        self._data.copy_from_host(values)

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(_NOT_HERE)

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(_NOT_HERE)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = DeviceParameter(self._data.__deepcopy__(memo), self._requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        flag = "" if self._requires_grad else ", requires_grad=False"
        return f"Parameter(on a GPU, shape={self.shape}, dtype={self.dtype}{flag})"
