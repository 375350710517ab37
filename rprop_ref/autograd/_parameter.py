"""`Parameter`, the Tensor that an optimizer steps, with values in host memory or on a GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cuda_kernels import arrays
from cuda_kernels.arrays import DeviceArray

from .._core import dtypes
from ._tensor import Tensor, wrong_dtype
from ._traced import Memory

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

NOT_ON_A_GPU = (
    "operations are recorded on arrays in host memory only, and this Parameter is on a GPU; compute the gradient "
    "with the library that the array comes from, and assign it: p.grad = gradient"
)


class Parameter(Tensor):
    """An array to be optimized, with its gradient.

    It is a `Tensor` that requires a gradient, so NumPy code written for arrays can be differentiated with respect
    to it.

    Parameters
    ----------
    data : array_like
        The values. An array is not copied: the parameter shares memory with it, so the caller's array shows the
        steps (as with ``torch.nn.Parameter``). That holds for an array on a GPU (of Numba, CuPy or torch) as well;
        its gradients are assigned, not recorded. Anything else becomes a new array. The dtype is float16, float32,
        float64, complex64, complex128, or bfloat16 from ml_dtypes.
    requires_grad : bool, optional
        Whether a gradient is wanted.

    Attributes
    ----------
    data : ndarray
        The values; steps change them in place.
    grad : ndarray, Tensor or None
        The gradient, of the shape and dtype of `data`. An array that is assigned is not copied, and no step writes
        to it. `Tensor.backward` adds to it. For a complex parameter it is torch's, the direction of steepest
        ascent: dL/d(real) + dL/d(imag) * 1j.
    requires_grad : bool

    Raises
    ------
    RuntimeError
        If `data` is neither floating point nor complex.
    TypeError
        If the arithmetic of `data` is not that of an array: a masked array, a matrix, a quantity with units.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import Parameter, Rprop
    >>> w = np.array([1.0, -2.0])
    >>> p = Parameter(w)
    >>> (p @ p).backward()
    >>> p.grad
    array([ 2., -4.])
    >>> Rprop([p], lr=0.1).step()
    >>> w
    array([ 0.9, -1.9])
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        if cls is Parameter and arrays.is_on_device(data):
            return object.__new__(DeviceParameter)
        return object.__new__(cls)

    def __init__(self, data: ArrayLike, requires_grad: bool = True) -> None:
        super().__init__(data)
        if not dtypes.is_supported(self._array.dtype):
            raise RuntimeError(wrong_dtype(self._array.dtype))
        self._requires_grad = requires_grad

    def __repr__(self) -> str:
        flag = "" if self._requires_grad else ", requires_grad=False"
        return f"Parameter({np.array2string(self._array, separator=', ')}, dtype={self.dtype}{flag})"


class DeviceParameter(Parameter):
    """A Parameter whose values are on a GPU: it can be stepped, but operations on it are not recorded.

    ``data`` and ``grad`` are the arrays that were given, of Numba, CuPy, torch or another library.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        array = arrays.view(data)
        if not dtypes.is_supported(array.dtype):
            raise RuntimeError(wrong_dtype(array.dtype))
        self._array: Any = array
        self._grad = None
        self._grad_fits = array
        self._requires_grad = requires_grad
        self._kind = "array"
        self._node = None
        self._base = None
        self._memory = Memory()

    @property
    def data(self) -> Any:
        return self._array.given

    @data.setter
    def data(self, array: Any) -> None:
        if not arrays.is_on_device(array):
            raise TypeError(f"data must be an array on a GPU, as before, but got {type(array).__name__}")
        self._array = arrays.view(array)

    @property
    def grad(self) -> Any:
        return None if self._grad is None else self._grad.given

    @grad.setter
    def grad(self, grad: Any) -> None:
        if grad is not None:
            grad = self._checked_gradient(grad)
        self._grad = grad
        self._grad_fits = self._array

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _checked_gradient(self, grad: Any) -> DeviceArray:
        if isinstance(grad, Tensor):
            grad = grad._array
        if not arrays.is_on_device(grad):
            raise RuntimeError(
                "attempting to assign a gradient with device type 'cpu' to a tensor with device type 'cuda'. "
                "Please ensure that the gradient and the tensor are on the same device"
            )
        array: DeviceArray = super()._checked_gradient(arrays.view(grad))
        return array

    def backward(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError(NOT_ON_A_GPU)

    def _load(self, values: Any) -> None:
        self._array.copy_from_host(values)

    def __array_ufunc__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(NOT_ON_A_GPU)

    def __array_function__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(NOT_ON_A_GPU)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = DeviceParameter(self._array.__deepcopy__(memo), self._requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        flag = "" if self._requires_grad else ", requires_grad=False"
        return f"Parameter(on a GPU, shape={self.shape}, dtype={self.dtype}{flag})"
