"""What an optimizer works on: `Parameter`, an array with a place for its gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _dtypes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Array = np.ndarray[Any, Any]


class Parameter:
    """An array to be optimized, with its gradient.

    Parameters
    ----------
    data : array_like
        The values. An array is not copied: the parameter shares memory with it, so that steps are visible in
        the caller's array (as with ``torch.nn.Parameter``). Anything else becomes a new array.
        float16, float32, float64, complex64, complex128, or bfloat16 from ml_dtypes.
    requires_grad : bool, optional
        Whether a gradient is wanted.

    Attributes
    ----------
    data : ndarray
        The values; steps change them in place.
    grad : ndarray or None
        The gradient, of the shape and dtype of `data`. It is kept as it is given, not copied, and no step
        writes to it. For a complex parameter it is torch's: the steepest ascent,
        dL/d(real) + dL/d(imag) * 1j.
    requires_grad : bool

    Raises
    ------
    RuntimeError
        If `data` is neither floating point nor complex.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import Parameter, Rprop
    >>> w = np.array([1.0, -2.0])
    >>> p = Parameter(w)
    >>> p.grad = 2 * w
    >>> Rprop([p], lr=0.1).step()
    >>> w
    array([ 0.9, -1.9])
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_grad_fits", "requires_grad")

    def __init__(self, data: ArrayLike, requires_grad: bool = True) -> None:
        array = np.asarray(data)
        if not _dtypes.is_supported(array.dtype):
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients; "
                f"got dtype {array.dtype}; convert the data, for instance with numpy.asarray(data, float)"
            )
        self._data = array
        self._grad: Array | None = None
        # The array whose shape and dtype the gradient was compared with when it was assigned.
        self._grad_fits = array
        self.requires_grad = requires_grad

    @property
    def data(self) -> Array:
        return self._data

    @data.setter
    def data(self, array: Array) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"data must be a numpy.ndarray, but got {type(array).__name__}")
        self._data = np.asarray(array)

    @property
    def grad(self) -> Array | None:
        return self._grad

    @grad.setter
    def grad(self, grad: Array | None) -> None:
        data = self._data
        if grad is not None and (
            type(grad) is not np.ndarray or grad.dtype is not data.dtype or grad.shape != data.shape
        ):
            grad = self._checked(grad)
        self._grad = grad
        self._grad_fits = data

    def _checked(self, grad: Any) -> Array:
        # NumPy makes scalars of 0-d results, so that for a 0-d parameter one is a fair gradient.
        if not isinstance(grad, np.ndarray) and not (isinstance(grad, np.generic) and self._data.ndim == 0):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type {type(grad).__name__}"
            )
        grad = np.asarray(grad)
        if grad.dtype != self._data.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{grad.dtype}' to a tensor with dtype "
                f"'{self._data.dtype}'. They must be equal; convert it with grad.astype(p.dtype)"
            )
        if grad.shape != self._data.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(grad.shape)}' to a tensor of size "
                f"'{list(self._data.shape)}'. Please ensure that the gradient and the tensor are the same size"
            )
        array: Array = grad
        return array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    # As in torch, a copy has the values and no gradient.
    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        copied = memo[id(self)] = type(self)(self._data.copy(), self.requires_grad)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._data, self.requires_grad)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        raise RuntimeError(
            "a Parameter is not turned into an array silently; write p.data for its values, "
            "which share its memory, or p.data.copy()"
        )

    def __repr__(self) -> str:
        flag = "" if self.requires_grad else ", requires_grad=False"
        return f"Parameter({np.array2string(self._data, separator=', ')}, dtype={self.dtype}{flag})"
