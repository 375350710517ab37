"""`Tensor`, an array that records what is computed with it.

NumPy hands a call with a Tensor among its arguments to ``__array_ufunc__`` or ``__array_function__`` below, which
hand it to `_dispatch`. Operators are recorded directly.
"""

from __future__ import annotations

import copy
import operator
import sys
import warnings
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cuda_kernels.arrays import DeviceArray, is_on_device

from .._core import dtypes
from .._core.checks import check_plain
from . import (
    _calls,
    _elementwise,
    _factorizations,
    _linalg,
    _padding,
    _polynomials,
    _reductions,
    _shapes,
    _signals,
    _statistics,
)
from ._dispatch import call_function, call_ufunc
from ._elementwise import OPERATOR_OF
from ._engine import backward
from ._foreign import advice, check_exchange, check_polynomial, is_operator, is_sparse_product
from ._graph import apply, is_differentiated, is_sparse, note_if_refused, operate, refresh, refusal
from ._inplace import assign_augmented, plain_index, set_item
from ._mode import LeavesTapeError, differentiated
from ._primitives import PRIMITIVES
from ._traced import Array, Memory, Traced, new_tensor, use_for_results, values

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Imported for the rows that they add to PRIMITIVES and COMPOSITES.
TABLES = (
    *(_elementwise, _shapes, _padding, _reductions, _statistics, _linalg, _factorizations, _signals, _polynomials),
    _calls,
)

# NumPy, whose annotations do not say that its functions take Tensors.
_np: Any = np

NOT_A_LEAF = (
    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
    "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
)
LEAVES_TAPE = (
    "a value that requires a gradient is converted to a number, or written into a plain array, inside "
    "value_and_grad; it would leave the tape, and its gradient would be lost. Write np.sin(x) for math.sin(x); "
    "leave out float(), int(), item() and tolist(); write results into np.zeros_like(x), which is a Tensor, or "
    "use np.stack(list); and write x.detach() where no gradient is wanted"
)
_PARTS_IN_PLACE = "the real and imaginary parts of a Tensor are not assigned to; write z = x + 1j * y"
ON_A_GPU = (
    "operations are recorded on arrays in host memory only, and this array is on a GPU; make it a Parameter and "
    "assign its gradient, or copy it to the host"
)


def wrong_dtype(dtype: np.dtype[Any]) -> str:
    """The message for data that cannot require a gradient."""
    return (
        "Only Tensors of floating point and complex dtype can require gradients; "
        f"got dtype {dtype}; convert the data, for instance with numpy.asarray(data, float)"
    )


class _Text(str):
    """The text of a number that may be differentiated: for people to read, not to make a number of."""

    __slots__ = ("_value",)

    _value: Tensor

    def __float__(self) -> float:
        self._value._check_may_leave_tape()
        return float(str(self))

    def __int__(self) -> int:
        self._value._check_may_leave_tape()
        return int(str(self))

    def __reduce__(self) -> Any:
        return str, (str(self),)


@use_for_results
class Tensor(Traced):
    """An array that records what is computed with it, for gradients by `backward`.

    NumPy's functions, operators, methods and indexing work on it as on an array and return Tensors; comparisons,
    and functions such as ``np.argmax``, return plain arrays.

    Parameters
    ----------
    data : array_like
        The values. An array is not copied: the Tensor shares memory with it, and what is written to the Tensor can
        be read from the array without a gradient, as from `data`.
    requires_grad : bool, optional
        Whether a gradient is wanted. Possible for float16, float32, float64, complex64, complex128, and bfloat16
        (ml_dtypes).

    Attributes
    ----------
    data : ndarray
        The values; operations on them are not recorded.
    grad : ndarray, Tensor or None
        The gradient, to which `backward` adds. It is a Tensor only if it can itself be differentiated. For complex
        data it is torch's, the direction of steepest ascent: dL/d(real) + dL/d(imag) * 1j.
    requires_grad : bool
        Whether operations on it are recorded. Can be set for leaves.
    is_leaf : bool
        False if it was computed from values that require a gradient.

    Raises
    ------
    RuntimeError
        If a gradient is wanted but the data are neither floating point nor complex.
    TypeError
        If the arithmetic of `data` is not that of an array: a masked array, a matrix, a quantity with units.

    Notes
    -----
    The methods do what torch's do. A 0-d Tensor converts to a number (`float` warns, as in torch, if it requires a
    gradient); ``np.asarray`` raises if a gradient would be lost.

    Plain arrays of more than 16 KiB among the operands are saved without a copy. If one is changed before the
    backward pass, that pass is refused; pass a copy.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import Tensor
    >>> x = Tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    >>> loss = np.sum(np.sin(x) ** 2)
    >>> loss.backward()
    >>> x.grad.round(6)
    array([ 0.909297, -0.756802, -0.279415])
    """

    __slots__ = ()

    def __init__(self, data: ArrayLike, requires_grad: bool = False) -> None:
        self._memory = data._memory if isinstance(data, Tensor) else Memory()
        if isinstance(data, Tensor):
            data._check_may_leave_tape()
            data = data._array
        if is_on_device(data):
            raise TypeError(ON_A_GPU)
        check_plain(data, "data")
        array = np.asarray(data)
        if requires_grad and not dtypes.is_supported(array.dtype):
            raise RuntimeError(wrong_dtype(array.dtype))
        self._array = array
        self._grad = None
        self._grad_fits = array
        self._requires_grad = requires_grad
        self._kind = "array"
        self._node = None
        self._base = None

    # ---------------------------------------------------------------------------------------------------
    # Values and gradients

    @property
    def data(self) -> Array:
        return self._array

    @data.setter
    def data(self, array: Array) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"data must be a numpy.ndarray, but got {type(array).__name__}")
        check_plain(array, "data")
        self._array = np.asarray(array)

    @property
    def grad(self) -> Any:
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        data = self._array
        if grad is not None and (
            type(grad) is not np.ndarray or grad.dtype is not data.dtype or grad.shape != data.shape
        ):
            grad = self._checked_gradient(grad)
        self._grad = grad
        self._grad_fits = None if isinstance(grad, Tensor) else data

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _checked_gradient(self, grad: Any) -> Any:
        if is_on_device(grad) and not is_on_device(self._array):
            raise RuntimeError(
                "attempting to assign a gradient with device type 'cuda' to a tensor with device type 'cpu'. "
                "Please ensure that the gradient and the tensor are on the same device"
            )
        # NumPy turns 0-d results into scalars, so a 0-d parameter may have a scalar gradient.
        if not isinstance(grad, (np.ndarray, Tensor, DeviceArray)) and not (
            isinstance(grad, np.generic) and self._array.ndim == 0
        ):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type {type(grad).__name__}"
            )
        check_plain(grad, "the assigned grad")
        if grad is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if isinstance(grad, Tensor) and not grad._requires_grad:
            grad = grad._array
        if not isinstance(grad, (Tensor, DeviceArray)):
            grad = np.asarray(grad)
        if grad.dtype != self._array.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{grad.dtype}' to a tensor with dtype "
                f"'{self._array.dtype}'. The gradient must match the tensor's dtype; convert it with "
                "grad.astype(p.dtype)"
            )
        if grad.shape != self._array.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(grad.shape)}' to a tensor of size "
                f"'{list(self._array.shape)}'. Please ensure that the gradient and the tensor are the same size"
            )
        return grad

    def _accumulate(self, g: Any, is_owned: bool) -> None:
        """Add to the gradient; `is_owned` says that nothing else holds the array."""
        before = self._grad
        if isinstance(g, Tensor) and not g._requires_grad:
            g, is_owned = g._array, False
        if before is None:
            if isinstance(g, Tensor):
                self.grad = g
                return
            g = g if is_owned else np.array(g)
            data = self._array
            if g.dtype is data.dtype and g.shape == data.shape:
                self._grad = g
                self._grad_fits = data
            else:
                self.grad = g
        elif isinstance(g, Tensor) or isinstance(before, Tensor):
            self.grad = before + g
        elif before.flags.writeable and before.shape == g.shape:
            np.add(before, g, out=before)
        else:
            self.grad = np.asarray(before + g)

    @property
    def requires_grad(self) -> bool:
        if self._base is not None:
            refresh(self)
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if self._node is not None and not flag:
            raise RuntimeError(NOT_A_LEAF)
        if flag and not dtypes.is_supported(self._array.dtype):
            raise RuntimeError(wrong_dtype(self._array.dtype))
        self._requires_grad = bool(flag)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad`, and return this Tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        return not self.requires_grad or self._node is None

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called on a Tensor that is not a leaf."""
        return self._node is not None and self._node.retaining is not None

    def retain_grad(self) -> None:
        """Let `backward` store the gradient of this Tensor too, although it is not a leaf."""
        if not self.requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is not None:
            self._node.retaining = weakref.ref(self)

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the gradients of this value to ``grad`` of all leaves that it was computed from.

        Parameters
        ----------
        gradient : array_like, optional
            The gradient of the final loss with respect to this value. Required unless it is one real number.
        retain_graph : bool, optional
            Keep the graph for another pass; otherwise it is freed. The default is `create_graph`.
        create_graph : bool, optional
            Record the pass: the gradients are then Tensors, and can be differentiated.

        Raises
        ------
        RuntimeError
            If the value requires no gradient, if the graph has been freed, or if a value that is needed was
            changed in place. No gradient is changed then.
        """
        retain = create_graph if retain_graph is None else retain_graph
        backward([(self, gradient)], retain=retain, create_graph=create_graph)

    def detach(self) -> Tensor:
        """A Tensor that shares memory with this one and requires no gradient."""
        out: Tensor = new_tensor(self._array, None)
        out._memory, out._kind = self._memory, self._kind
        return out

    def detach_(self) -> Tensor:
        """Make this a leaf that requires no gradient, by dropping its history."""
        if self._base is not None and self.requires_grad:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node = None
        self._requires_grad = False
        return self

    def clone(self) -> Tensor:
        """A copy through which gradients flow."""
        copied: Tensor = apply(_COPY, (self,))
        copied._kind = self._kind
        return copied

    def copy(self, order: Any = "C") -> Tensor:
        """A copy through which gradients flow, with the elements in this order."""
        copied: Tensor = _np.copy(self, order=order)
        copied._kind = self._kind
        return copied

    # ---------------------------------------------------------------------------------------------------
    # In place

    def __iadd__(self, other: Any) -> Any:
        return assign_augmented(self, operator.iadd, other)

    def __isub__(self, other: Any) -> Any:
        return assign_augmented(self, operator.isub, other)

    def __imul__(self, other: Any) -> Any:
        return assign_augmented(self, operator.imul, other)

    def __itruediv__(self, other: Any) -> Any:
        return assign_augmented(self, operator.itruediv, other)

    def __ifloordiv__(self, other: Any) -> Any:
        return assign_augmented(self, operator.ifloordiv, other)

    def __imod__(self, other: Any) -> Any:
        return assign_augmented(self, operator.imod, other)

    def __ipow__(self, other: Any) -> Any:
        return assign_augmented(self, operator.ipow, other)

    def __imatmul__(self, other: Any) -> Any:
        return assign_augmented(self, operator.imatmul, other)

    def __getitem__(self, index: Any) -> Any:
        try:
            return apply(_GETITEM, (self, plain_index(index)))
        except Exception as error:
            note_if_refused(error, operator.getitem, (self, index))
            raise

    def __setitem__(self, index: Any, value: Any) -> None:
        try:
            base = self if self._base is None else self._base
            if isinstance(value, Traced) and value._base is base:
                check_exchange(sys._getframe(1))
            set_item(self, index, value)
        except Exception as error:
            note_if_refused(error, operator.setitem, (self, index, value))
            raise

    # ---------------------------------------------------------------------------------------------------
    # Protocols of NumPy, pandas, Numba and torch

    # More than those of pandas, which then leave operators to the Tensor.
    __pandas_priority__ = 10000

    @property
    def _numba_type_(self) -> Any:
        # Numba first asks, in C, whether there is such an attribute, and then, in Python, for its value.
        kind = TypeError if sys._getframe(1).f_globals.get("__name__", "").startswith("numba.") else AttributeError
        raise kind(
            "a function compiled by Numba takes arrays, not Tensors; call the Python function, "
            "fun.py_func(x), or give it x.data if no gradient is wanted"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        try:
            if type(inputs[0]) is np.ndarray:
                check_polynomial(sys._getframe(1))
            if method == "__call__" and not kwargs:
                primitive = PRIMITIVES.get(ufunc)
                if isinstance(inputs[0], np.generic) and is_operator(sys._getframe(1)):
                    primitive = OPERATOR_OF.get(ufunc, primitive)
                if primitive is not None:
                    return apply(primitive, inputs)
            return call_ufunc(ufunc, method, inputs, kwargs)
        except Exception as error:
            note_if_refused(error, getattr(ufunc, method), inputs, kwargs)
            raise

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        for kind in types:  # faster than all()
            if not issubclass(kind, (Tensor, np.ndarray)):
                return NotImplemented
        try:
            check_polynomial(sys._getframe(1))
            return call_function(func, args, kwargs)
        except Exception as error:
            note_if_refused(error, func, args, kwargs)
            raise

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        if self.requires_grad:
            if is_sparse_product(sys._getframe(1)):
                # Its way to ask the other operand, whose __rmatmul__ is then called.
                return np.array(None, object)
            raise refusal(
                RuntimeError(
                    f"a {type(self).__name__} that requires grad is not turned into an array silently: its values "
                    f"would leave the tape, and gradients would not flow through them.{advice()} Write x "
                    "instead of np.asarray(x) or np.float64(x), np.stack([a, b]) instead of np.array([a, b]), "
                    "np.broadcast_to(a, shape) instead of np.full(shape, a), a Tensor, for instance "
                    "np.zeros_like(p), for an array to write results into, a = a + p for a += p, "
                    "np.where(mask, 0, p) for numpy.ma, and p.data or p.detach() only if no gradient is wanted"
                ),
                self,
            )
        return np.array(self._array, dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.__array__().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    # ---------------------------------------------------------------------------------------------------
    # Operators

    def __add__(self, other: Any) -> Any:
        return operate(_ADD, other, (self, other))

    def __radd__(self, other: Any) -> Any:
        return operate(_ADD, other, (other, self))

    def __sub__(self, other: Any) -> Any:
        return operate(_SUBTRACT, other, (self, other))

    def __rsub__(self, other: Any) -> Any:
        return operate(_SUBTRACT, other, (other, self))

    def __mul__(self, other: Any) -> Any:
        return operate(_MULTIPLY, other, (self, other))

    def __rmul__(self, other: Any) -> Any:
        return operate(_MULTIPLY, other, (other, self))

    def __truediv__(self, other: Any) -> Any:
        return operate(_DIVIDE, other, (self, other))

    def __rtruediv__(self, other: Any) -> Any:
        return operate(_DIVIDE, other, (other, self))

    def __matmul__(self, other: Any) -> Any:
        if is_sparse(other):
            return _linalg.dense_times_sparse(self, other)
        return operate(_MATMUL, other, (self, other))

    def __rmatmul__(self, other: Any) -> Any:
        if is_sparse(other):
            return _linalg.sparse_times_dense(self, other)
        return operate(_MATMUL, other, (other, self))

    def __pow__(self, other: Any) -> Any:
        return operate(_POWER, other, (self, other))

    def __rpow__(self, other: Any) -> Any:
        return operate(_POWER, other, (other, self))

    def __mod__(self, other: Any) -> Any:
        return operate(_REMAINDER, other, (self, other))

    def __rmod__(self, other: Any) -> Any:
        return operate(_REMAINDER, other, (other, self))

    def __floordiv__(self, other: Any) -> Any:
        return operate(_FLOOR_DIVIDE, other, (self, other))

    def __rfloordiv__(self, other: Any) -> Any:
        return operate(_FLOOR_DIVIDE, other, (other, self))

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __round__(self, ndigits: int | None = None) -> Any:
        if self._array.dtype.kind == "c":
            raise TypeError("complex numbers are not rounded by round(); write np.round(x)")
        rounded = _np.round(self, ndigits or 0)
        if self._kind == "number":
            # Python rounds 2.55 to 2.5, NumPy to 2.6.
            rounded._array[...] = round(self._array.item(), ndigits or 0)
            rounded._kind = "number"
        return rounded

    def __neg__(self) -> Any:
        return apply(_NEGATIVE, (self,))

    def __pos__(self) -> Any:
        return apply(_POSITIVE, (self,))

    def __abs__(self) -> Any:
        return apply(_ABSOLUTE, (self,))

    def __eq__(self, other: Any) -> Any:
        return self._array == values(other)

    def __ne__(self, other: Any) -> Any:
        return self._array != values(other)

    def __lt__(self, other: Any) -> Any:
        return self._array < values(other)

    def __le__(self, other: Any) -> Any:
        return self._array <= values(other)

    def __gt__(self, other: Any) -> Any:
        return self._array > values(other)

    def __ge__(self, other: Any) -> Any:
        return self._array >= values(other)

    # By identity, as in torch: a Tensor can be a key although == compares elements.
    __hash__ = object.__hash__

    def __iter__(self) -> Iterator[Any]:
        if self._array.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self._array)))

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._array)

    def __contains__(self, value: Any) -> bool:
        return bool((self._array == values(value)).any())

    # ---------------------------------------------------------------------------------------------------
    # Numbers

    def item(self, *index: Any) -> Any:
        """The only value, or the one at an index, as a Python number; no gradient flows through it."""
        if index:
            self._check_may_leave_tape()
            return self._array.item(*index)
        if self._array.size != 1:
            raise RuntimeError(f"a Tensor with {self._array.size} elements cannot be converted to Scalar")
        self._check_may_leave_tape()
        return self._array.item()

    def tolist(self) -> Any:
        """The values as (nested lists of) Python numbers; no gradient flows through them."""
        self._check_may_leave_tape()
        return self._array.tolist()

    def _check_may_leave_tape(self) -> None:
        if is_differentiated(self):
            raise refusal(LeavesTapeError(f"{LEAVES_TAPE}.{advice()}"), self)

    def _to_number(self) -> Any:
        if self._array.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        self._check_may_leave_tape()
        if self.requires_grad:
            warnings.warn(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                "Consider using tensor.detach() first.",
                stacklevel=3,
            )
        return self._array.item()

    def __float__(self) -> float:
        return float(self._to_number())

    def __int__(self) -> int:
        return int(self._to_number())

    def __complex__(self) -> complex:
        return complex(self._to_number())

    def __index__(self) -> int:
        return operator.index(self._array)

    def __bool__(self) -> bool:
        if self._array.size != 1:
            some = "more than one value" if self._array.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {some} is ambiguous")
        return bool(self._array.item())

    def __format__(self, spec: str) -> str:
        if self._array.ndim:
            return format(str(self), spec)
        text = format(self._array.item(), spec)
        if differentiated and self.requires_grad:
            text = _Text(text)
            text._value = self
        return text

    def __repr__(self) -> str:
        text = f"Tensor({np.array2string(self._array, separator=', ')}, dtype={self.dtype}"
        if self.requires_grad and self._node is not None:
            return f"{text}, from {self._node.primitive.name})"
        return f"{text}, requires_grad=True)" if self._requires_grad else f"{text})"

    # ---------------------------------------------------------------------------------------------------
    # Attributes of arrays

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._array.shape
        return shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        raise refusal(TypeError(f"the shape of a Tensor does not change; write t = t.reshape({shape})"), self)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._array.dtype
        return dtype

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def itemsize(self) -> int:
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        strides: tuple[int, ...] = self._array.strides
        return strides

    @property
    def flags(self) -> Any:
        return self._array.flags

    @property
    def base(self) -> Any:
        return self._base

    @property
    def device(self) -> str:
        return "cpu"

    @property
    def T(self) -> Any:  # noqa: N802
        return _np.transpose(self)

    @property
    def mT(self) -> Any:  # noqa: N802
        return _np.swapaxes(self, -1, -2)

    @property
    def real(self) -> Any:
        return _np.real(self)

    @real.setter
    def real(self, value: Any) -> None:
        if self._array.dtype.kind == "c":
            raise refusal(TypeError(_PARTS_IN_PLACE), self)
        self[...] = value

    @property
    def imag(self) -> Any:
        return _np.imag(self)

    @imag.setter
    def imag(self, value: Any) -> None:
        raise refusal(TypeError(_PARTS_IN_PLACE), self)

    @property
    def flat(self) -> Any:
        return _Flat(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        self.flat[:] = value

    def astype(
        self, dtype: Any, order: Any = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """A Tensor of another dtype; gradients flow through it unless that is an integer or bool."""
        dtype = np.dtype(dtype)
        if dtype == self._array.dtype and not copy:
            return self
        return apply(_ASTYPE, (self, dtype, order, casting))

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """Like the method of arrays."""
        return _np.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    def transpose(self, *axes: Any) -> Any:
        """Like the method of arrays."""
        if not axes or axes == (None,):
            return _np.transpose(self)
        return _np.transpose(self, axes[0] if len(axes) == 1 and np.iterable(axes[0]) else axes)

    def flatten(self, order: str = "C") -> Any:
        """Like the method of arrays."""
        return _np.ravel(self, order).copy()

    def view(self, *dtype: Any) -> Any:
        """Like the method of arrays, for the dtype that they have: a view."""
        if len(dtype) > 1:
            return self.__array__().view(*dtype)
        for given in dtype:
            if isinstance(given, type) and issubclass(given, np.ndarray):
                return self.__array__().view(given)
            if np.dtype(given) != self.dtype:
                message = (
                    f"the numbers of a Tensor of dtype {self.dtype} are not reinterpreted as {given}; convert "
                    "them with astype, or reinterpret t.data"
                )
                raise refusal(TypeError(message), self)
        return self[...] if self._kind == "array" else self[()]

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        """Like the method of arrays."""
        return _np.compress(condition, self, axis)

    def choose(self, *choices: Any, mode: str = "raise") -> Any:
        """Like the method of arrays."""
        return _np.choose(self, choices[0] if len(choices) == 1 else choices, mode=mode)

    def put(self, indices: Any, values: Any, mode: str = "raise") -> None:
        """Write values at indices into the flattened Tensor, like the method of arrays."""
        _np.put(self, indices, values, mode)

    def fill(self, value: Any) -> None:
        """Write one value to all elements, like the method of arrays."""
        if np.ndim(value) != 0:
            raise ValueError(f"the value to fill with must be one number, but its shape is {np.shape(value)}")
        self[...] = value if isinstance(value, Tensor) else np.asarray(value, self.dtype)

    def resize(self, *new_shape: Any, refcheck: bool = True) -> None:
        """Not possible: the size of a Tensor does not change."""
        message = "the size of a Tensor does not change; write np.resize(x, shape), a new Tensor"
        raise refusal(TypeError(message), self)

    def tobytes(self, order: Any = "C") -> bytes:
        """The bytes of the values, like the method of arrays; no gradient flows through them."""
        self._check_may_leave_tape()
        return self._array.tobytes(order)

    def sort(self, axis: int = -1, kind: Any = None, **kwargs: Any) -> None:
        """Sort in place, like the method of arrays."""
        self[...] = _np.sort(self.clone(), operator.index(axis), kind, **kwargs)

    def partition(self, kth: Any, axis: int = -1, kind: Any = "introselect") -> None:
        """Partition in place, like the method of arrays."""
        self[...] = _np.partition(self.clone(), kth, operator.index(axis), kind)

    # ---------------------------------------------------------------------------------------------------
    # Copies

    def _load(self, values: Array) -> None:
        """Overwrite the values without recording it."""
        self._array[...] = values

    def __copy__(self) -> Any:
        if self._node is not None or is_differentiated(self):
            return self.clone()
        # As in torch, a leaf that shares memory.
        return type(self)(self._array, self._requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if is_differentiated(self):
            # In an objective a copy is an operation.
            return memo.setdefault(id(self), self.clone())
        if self._node is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment. Copy t.detach() instead"
            )
        if id(self) in memo:
            return memo[id(self)]
        # As in torch: copied Tensors share memory if the originals did, but each Parameter gets memory of its own.
        is_plain = type(self) is Tensor
        data = copy.deepcopy(self._array, memo) if is_plain else self._array.copy(order="K")
        copied = memo[id(self)] = type(self)(data, self._requires_grad)
        if is_plain and self._grad is not None:
            copied.grad = copy.deepcopy(self._grad, memo)
        return copied

    def __reduce__(self) -> Any:
        self._check_may_leave_tape()
        return type(self), (self._array, self._requires_grad)


class _Flat:
    """The elements of a Tensor in the order of C: `Tensor.flat`, which can be indexed and iterated over."""

    __slots__ = ("_elements", "_next", "_tensor")

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self._elements = _np.ravel(tensor)
        self._next = 0

    def __len__(self) -> int:
        return len(self._elements)

    def __getitem__(self, index: Any) -> Any:
        # As in NumPy a copy, also of a slice.
        return self._elements[index].copy()

    def __setitem__(self, index: Any, value: Any) -> None:
        places = np.arange(len(self._elements))[index]
        # As in NumPy, values are repeated, or left over.
        _np.put(self._tensor, places, _np.resize(value, np.shape(places)))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._next == len(self._elements):
            raise StopIteration
        self._next += 1
        return self._elements[self._next - 1]


# -----------------------------------------------------------------------------------------------------------
# Operators and methods from the tables


_ADD, _SUBTRACT, _MULTIPLY = PRIMITIVES[operator.add], PRIMITIVES[operator.sub], PRIMITIVES[operator.mul]
_DIVIDE, _FLOOR_DIVIDE = PRIMITIVES[operator.truediv], PRIMITIVES[operator.floordiv]
_REMAINDER, _POWER, _MATMUL = PRIMITIVES[operator.mod], PRIMITIVES[operator.pow], PRIMITIVES[operator.matmul]
_NEGATIVE, _POSITIVE, _ABSOLUTE = PRIMITIVES[operator.neg], PRIMITIVES[operator.pos], PRIMITIVES[operator.abs]
_GETITEM = PRIMITIVES[_shapes.getitem]
_COPY, _ASTYPE = PRIMITIVES[np.copy], PRIMITIVES[_shapes.astype]


def _method(function: Any) -> Any:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = function.__name__
    method.__doc__ = f"Like the method of arrays; see ``numpy.{function.__name__}``."
    return method


def _clip(self: Tensor, min: Any = None, max: Any = None, **kwargs: Any) -> Any:
    """Like the method of arrays; unlike ``numpy.clip`` of older NumPy, it takes a single bound too."""
    return np.clip(self, min, max, **kwargs)


def _conjugate(self: Tensor, **kwargs: Any) -> Any:
    """Like the method of arrays; unlike ``numpy.conjugate``, it does not copy real numbers."""
    return np.conjugate(self, **kwargs) if kwargs or self._array.dtype.kind == "c" else self


_METHODS = """
    all any argmax argmin argpartition argsort cumprod cumsum diagonal dot max mean min nonzero prod ravel repeat
    round searchsorted squeeze std sum swapaxes take trace var
"""
for _name in _METHODS.split():
    setattr(Tensor, _name, _method(getattr(np, _name)))
setattr(Tensor, "clip", _clip)  # noqa: B010
setattr(Tensor, "conj", _conjugate)  # noqa: B010
setattr(Tensor, "conjugate", _conjugate)  # noqa: B010
