"""`Tensor`, an array that remembers where it came from, and `Parameter`, the Tensor that an optimizer works on.

A Tensor takes part in NumPy's own protocols: NumPy hands a call with a Tensor among its arguments to
``__array_ufunc__`` or ``__array_function__`` below. They look the function up in the tables, compute the result on
plain arrays, and record a node if it has to be differentiated. Operators go there directly.
"""

from __future__ import annotations

import copy
import importlib
import operator
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cuda_kernels.arrays import DeviceArray, is_on_device

from .. import _dtypes
from . import _elementwise, _engine, _linalg, _reductions, _rules, _shapes
from ._engine import Node
from ._mode import mode
from ._rules import BUFFERS, COMPOSITES, NO_RULE, PLAIN, RULES, Rule, Traced, arguments_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# The tables that are always there; their rows are found in RULES and COMPOSITES.
TABLES = (_elementwise, _shapes, _reductions, _linalg)

Array = np.ndarray[Any, Any]

# NumPy with functions that take Tensors, which its types do not say.
_np: Any = np

_NO_KEYWORDS: dict[str, Any] = {}
_NUMBERS = (bool, int, float, complex, np.generic, np.ndarray)

LEAF_IN_PLACE = "a leaf Variable that requires grad is being used in an in-place operation."
LEAF_VIEW_IN_PLACE = "a view of a leaf Variable that requires grad is being used in an in-place operation."
VIEW_IN_PLACE = (
    "a view of a Tensor is being changed in place while operations are recorded, which would leave the Tensor it "
    "is a view of without a gradient for it; write to that Tensor instead, t[index] = t[index] + value (or "
    "t[index] += value), or change a copy"
)
STALE_VIEW = (
    "this Tensor is a view of one that has been changed in place since the view was taken, so its record of where "
    "its values come from is not true any more; take the view again after the change"
)
NOT_A_LEAF = (
    "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
    "subgraph that doesn't require differentiation use var_no_grad = var.detach()."
)
LEAVES_TAPE = (
    "a value that requires a gradient is converted to a number, or written into a plain array, inside "
    "value_and_grad; it would leave the tape, and its gradient would be lost. Write np.sin(x) for "
    "math.sin(x), leave out float(), "
    "int(), item() and tolist(), write np.zeros_like(x), which is a Tensor, for the array that results are "
    "written into (or np.stack(list)), and x.detach() where no gradient is wanted"
)
ON_A_GPU = (
    "operations are recorded in the memory of the host; an array on a GPU can be a Parameter, whose gradient you "
    "assign, or be copied to the host"
)
NO_GRADIENT = "element 0 of tensors does not require grad and does not have a grad_fn"


class LeavesTapeError(TypeError):
    """What `value_and_grad` raises for a conversion to a number; NumPy may have made a ValueError of it."""


class Tensor(Traced):
    """An array that records what is computed with it, for gradients by `backward`.

    NumPy's functions, operators, methods and indexing work on it as on an array and return Tensors; comparisons,
    and functions such as ``np.argmax``, return plain arrays.

    Parameters
    ----------
    data : array_like
        The values. An array is not copied: the Tensor shares memory with it.
    requires_grad : bool, optional
        Whether a gradient is wanted. Possible for float16, float32, float64, complex64, complex128, and bfloat16
        (ml_dtypes).

    Attributes
    ----------
    data : ndarray
        The values, outside of all recording.
    grad : ndarray, Tensor or None
        The gradient, which `backward` adds to. It is a Tensor only if it can be differentiated itself. For complex
        data it is torch's: the steepest ascent, dL/d(real) + dL/d(imag) * 1j.
    requires_grad : bool
        Whether operations with it are recorded. Can be set for leaves.
    is_leaf : bool
        False if it was computed from values that require a gradient.

    Raises
    ------
    RuntimeError
        If a gradient is wanted for data that is neither floating point nor complex.

    Notes
    -----
    The meaning of the methods is torch's. A 0-d Tensor converts to a number (`float` warns, as in torch, if it
    requires a gradient); ``np.asarray`` is refused if gradients would be lost.

    Plain arrays that are operands are kept as they are: fill a buffer anew only after the backward pass, or pass a
    copy. Indices and masks are copied.

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

    __slots__ = (
        "__weakref__",
        "_base",
        "_data",
        "_grad",
        "_grad_fits",
        "_node",
        "_requires_grad",
        "_taken",
        "_version",
    )

    # The values; a plain array.
    _data: Array
    _grad: Any
    # The array whose shape and dtype the gradient was compared with when it was assigned; None if the gradient is
    # a Tensor, so that a step looks at it again.
    _grad_fits: Any
    # Where the values come from; None for a leaf.
    _node: Node | None
    # A weak reference to the Tensor that owns the memory, if this is a view. Weak, so that t.detach() does not
    # keep the record of t alive; the owner lives as long as anything that was recorded with it.
    _base: weakref.ref[Tensor] | None
    # How often the memory has been written to; of a view, how often it had been when the view was taken.
    _version: int
    # The index that this was taken with, if by t[index]; otherwise not set, which costs nothing.
    _taken: Any

    def __init__(self, data: ArrayLike, requires_grad: bool = False) -> None:
        if isinstance(data, Tensor):
            data = data._data
        if is_on_device(data):
            raise TypeError(ON_A_GPU)
        array = np.asarray(data)
        if requires_grad and not _dtypes.is_supported(array.dtype):
            raise RuntimeError(_wrong_dtype(array.dtype))
        self._data = array
        self._grad = None
        self._grad_fits = array
        self._requires_grad = requires_grad
        self._node = None
        self._base = None
        self._version = 0

    # ---------------------------------------------------------------------------------------------------
    # Values and gradients

    @property
    def data(self) -> Array:
        return self._data

    @data.setter
    def data(self, array: Array) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"data must be a numpy.ndarray, but got {type(array).__name__}")
        self._data = np.asarray(array)

    @property
    def grad(self) -> Any:
        return self._grad

    @grad.setter
    def grad(self, grad: Any) -> None:
        data = self._data
        if grad is not None and (
            type(grad) is not np.ndarray or grad.dtype is not data.dtype or grad.shape != data.shape
        ):
            grad = self._checked(grad)
        self._grad = grad
        self._grad_fits = None if isinstance(grad, Tensor) else data

    @grad.deleter
    def grad(self) -> None:
        self.grad = None

    def _checked(self, grad: Any) -> Any:
        if is_on_device(grad) and not is_on_device(self._data):
            raise RuntimeError(
                "attempting to assign a gradient with device type 'cuda' to a tensor with device type 'cpu'. "
                "Please ensure that the gradient and the tensor are on the same device"
            )
        # NumPy makes scalars of 0-d results, so that for a 0-d parameter one is a fair gradient.
        if not isinstance(grad, (np.ndarray, Tensor, DeviceArray)) and not (
            isinstance(grad, np.generic) and self._data.ndim == 0
        ):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type {type(grad).__name__}"
            )
        if grad is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if isinstance(grad, Tensor) and not grad._requires_grad:
            grad = grad._data
        if not isinstance(grad, (Tensor, DeviceArray)):
            grad = np.asarray(grad)
        if grad.dtype != self._data.dtype:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{grad.dtype}' to a tensor with dtype "
                f"'{self._data.dtype}'. The gradient must match the tensor's dtype; convert it with "
                "grad.astype(p.dtype)"
            )
        if grad.shape != self._data.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(grad.shape)}' to a tensor of size "
                f"'{list(self._data.shape)}'. Please ensure that the gradient and the tensor are the same size"
            )
        return grad

    def _accumulate(self, g: Any, mine: bool) -> None:
        """Add to the gradient; `mine` says that nobody else holds the array."""
        before = self._grad
        if isinstance(g, Tensor) and not g._requires_grad:
            g, mine = g._data, False
        if before is None:
            if isinstance(g, Tensor):
                self.grad = g
                return
            g = g if mine else np.array(g)
            data = self._data
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
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if self._node is not None and not flag:
            raise RuntimeError(NOT_A_LEAF)
        if flag and not _dtypes.is_supported(self._data.dtype):
            raise RuntimeError(_wrong_dtype(self._data.dtype))
        self._requires_grad = bool(flag)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad`, and return this Tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        return self._node is None

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called, for a value that is not a leaf."""
        return self._node is not None and self._node.keep is not None

    def retain_grad(self) -> None:
        """Let `backward` store the gradient here too, although this is not a leaf."""
        if not self._requires_grad:
            raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
        if self._node is not None:
            self._node.keep = weakref.ref(self)

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add the gradients of this value to ``grad`` of all leaves it was computed from.

        Parameters
        ----------
        gradient : array_like, optional
            The gradient of the final loss with respect to this value. Needed unless this is one real number.
        retain_graph : bool, optional
            Keep what was recorded for another pass; the default is `create_graph`. Otherwise it is freed.
        create_graph : bool, optional
            Record the pass, so that the gradients, which become Tensors, can be differentiated.

        Raises
        ------
        RuntimeError
            If there is nothing to differentiate, if the recording has been freed, or if a value that is needed was
            changed in place. No gradient has been changed then.
        """
        retain = create_graph if retain_graph is None else retain_graph
        run_backward([(self, gradient)], retain=retain, create_graph=create_graph)

    def detach(self) -> Tensor:
        """A Tensor with the same memory that is not recorded."""
        out = _new(self._data, None)
        _share(out, self)
        return out

    def detach_(self) -> Tensor:
        """Forget where the values come from: this becomes a leaf that requires no gradient."""
        if self._base is not None and self._node is not None:
            raise RuntimeError("Can't detach views in-place. Use detach() instead.")
        self._node = None
        self._requires_grad = False
        return self

    def clone(self) -> Tensor:
        """A copy that gradients flow through."""
        found: Tensor = _apply(_COPY, (self,))
        return found

    copy = clone

    # ---------------------------------------------------------------------------------------------------
    # In place

    def _current(self) -> int:
        """How often the memory has been written to until now."""
        return self._owner()._version

    def _owner(self) -> Tensor:
        """The Tensor whose memory this is; this one, if it is no view or the other one is gone."""
        owner = None if self._base is None else self._base()
        return self if owner is None else owner

    def _written(self) -> None:
        owner = self._owner()
        owner._version += 1
        if owner is not self:
            self._version = owner._version
        for tensor in {self, owner}:
            if tensor._node is not None:
                tensor._node.writes += 1

    def _become(self, other: Tensor) -> None:
        """Take over the values and the history of another Tensor, with its memory.

        The memory that this had is not written to: what was recorded with it stays true.
        """
        keep = None if self._node is None else self._node.keep
        self._data, self._node, self._base = other._data, other._node, None
        self._requires_grad = True
        if keep is not None and self._node is not None:
            self._node.keep = keep

    def _before_write(self, recorded: bool) -> None:
        """Refuse writes that cannot be recorded truthfully."""
        if not mode.enabled:
            return
        if self._requires_grad and self._node is None:
            raise RuntimeError(LEAF_IN_PLACE)
        owner = self._owner()
        if owner is not self and (recorded or self._requires_grad):
            of_leaf = self._requires_grad and owner._requires_grad and owner._node is None
            raise RuntimeError(LEAF_VIEW_IN_PLACE if of_leaf else VIEW_IN_PLACE)

    def _past(self) -> Tensor:
        """What this is now, for the record of an operation that changes it: the same memory, the same history."""
        past = _new(self._data, self._node)
        past._requires_grad = self._requires_grad
        past._version = self._version
        return past

    def _write(self, rule: Rule, args: tuple[Any, ...], compute: Callable[..., Any]) -> Tensor:
        """Change the memory to the result of `rule`; `args` may contain this Tensor. Recorded if need be."""
        recorded = mode.enabled and any(isinstance(a, Tensor) and a._requires_grad for a in args)
        self._before_write(recorded)
        if not recorded:
            compute(*[a._data if isinstance(a, Tensor) else a for a in args])
            self._written()
            if mode.enabled and self._node is not None:
                # Overwritten with constants: gradients end here.
                self._node = None
                self._requires_grad = False
            return self
        if not _dtypes.is_supported(self._data.dtype):
            raise RuntimeError(
                f"a value that requires a gradient is written into a Tensor of dtype {self._data.dtype}, which "
                "cannot keep one; make it of floating point, for instance np.zeros_like(t, dtype=float)"
            )
        past = self._past()
        if _looks_at(rule, args, self):
            # As in torch: a copy, so that the change itself does not take away what its gradient needs.
            past._data = self._data.copy()
        args = tuple(past if a is self else a for a in args)
        node = _node_of(rule, args, _NO_KEYWORDS, self._data)
        compute(*[a._data if isinstance(a, Tensor) else a for a in args])
        self._written()
        if self._node is not None and self._node.keep is not None:
            # As in torch, the gradient that is kept is that of the new value.
            node.keep, self._node.keep = self._node.keep, None
        self._node = node
        self._requires_grad = True
        return self

    def _augment(self, fun: Any, other: Any) -> Any:
        if not isinstance(other, (Tensor, *_NUMBERS)):
            other = np.asarray(other)
        if self._base is not None and mode.enabled and hasattr(self, "_taken"):
            owner = self._owner()
            if owner is not self and (self._requires_grad or _any_tracked(other)):
                return self._augment_in(owner, fun, other)
        return self._write(RULES[fun], (self, other), lambda x, y: fun(x, y, out=self._data))

    def _augment_in(self, owner: Tensor, fun: Any, other: Any) -> Tensor:
        """Change a view, t[index] += other: recorded as a change of its owner, whose view it is again then."""
        if owner._requires_grad != self._requires_grad or (owner._node is None and owner._requires_grad):
            self._before_write(True)
        if self._version != owner._version:
            raise RuntimeError(STALE_VIEW)
        past = self._past()
        # A copy, so that the change itself does not take away what its gradient needs.
        past._data = self._data.copy()
        found = fun(past, other)
        if found.shape != self.shape:
            raise ValueError(
                f"non-broadcastable output operand with shape {self.shape} doesn't match the broadcast shape "
                f"{found.shape}"
            )
        if not np.can_cast(found.dtype, self.dtype, "same_kind"):
            raise TypeError(f"Cannot cast {fun.__name__} output from {found.dtype!r} to {self.dtype!r}")
        owner[self._taken] = found
        fresh = owner[self._taken]
        self._node, self._requires_grad, self._version = fresh._node, fresh._requires_grad, fresh._version
        return self

    def _is_there(self, index: Any, value: Any) -> bool:
        """Whether a value is what t[index] is already: Python ends t[index] += v with t[index] = the result."""
        return (
            isinstance(value, Tensor)
            and value._base is not None
            and value._owner() is self
            and value._version == self._version
            and value._requires_grad == self._requires_grad
            and hasattr(value, "_taken")
            and _shapes._is_basic(index)  # type: ignore[no-untyped-call]
            and bool(index == value._taken)
        )

    def __iadd__(self, other: Any) -> Any:
        return self._augment(np.add, other)

    def __isub__(self, other: Any) -> Any:
        return self._augment(np.subtract, other)

    def __imul__(self, other: Any) -> Any:
        return self._augment(np.multiply, other)

    def __itruediv__(self, other: Any) -> Any:
        return self._augment(np.divide, other)

    def __ipow__(self, other: Any) -> Any:
        return self._augment(np.power, other)

    def __setitem__(self, index: Any, value: Any) -> None:
        if mode.enabled and self._requires_grad and self._node is None:
            raise RuntimeError(LEAF_VIEW_IN_PLACE)
        index = _plain_index(index)
        if self._is_there(index, value):
            return
        if not isinstance(value, (Tensor, *_NUMBERS)):
            value = np.asarray(value)

        def compute(x: Array, v: Any, index: Any) -> None:
            self._data[index] = v

        self._write(_SETITEM, (self, value, index), compute)

    # ---------------------------------------------------------------------------------------------------
    # NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__" and not kwargs:
            rule = RULES.get(ufunc)
            if rule is not None:
                return _apply(rule, inputs)
        return _ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if not all(issubclass(t, (Tensor, np.ndarray)) for t in types):
            return NotImplemented
        return _function(func, args, kwargs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        if self._requires_grad:
            raise RuntimeError(
                f"a {type(self).__name__} that requires grad is not turned into an array silently: its values "
                "would leave the tape, and gradients would not flow through them. Write np.stack([a, b]) instead "
                "of np.array([a, b]), a Tensor, for instance np.zeros_like(p), for an array to "
                "write results into, "
                "a = a + p for a += p, and p.data or p.detach() only if no gradient is wanted"
            )
        return np.array(self._data, dtype=dtype, copy=copy)

    # ---------------------------------------------------------------------------------------------------
    # Operators

    def __add__(self, other: Any) -> Any:
        return _binary(_ADD, self, other)

    def __radd__(self, other: Any) -> Any:
        return _binary(_ADD, other, self)

    def __sub__(self, other: Any) -> Any:
        return _binary(_SUBTRACT, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _binary(_SUBTRACT, other, self)

    def __mul__(self, other: Any) -> Any:
        return _binary(_MULTIPLY, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _binary(_MULTIPLY, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _binary(_DIVIDE, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _binary(_DIVIDE, other, self)

    def __matmul__(self, other: Any) -> Any:
        return _binary(_MATMUL, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _binary(_MATMUL, other, self)

    def __pow__(self, other: Any) -> Any:
        return _binary(_POWER, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _binary(_POWER, other, self)

    def __mod__(self, other: Any) -> Any:
        return np.remainder(self, other)

    def __rmod__(self, other: Any) -> Any:
        return np.remainder(other, self)

    def __floordiv__(self, other: Any) -> Any:
        return np.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return np.floor_divide(other, self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __round__(self, ndigits: int | None = None) -> Any:
        return _np.round(self, ndigits or 0)

    def __neg__(self) -> Any:
        return _apply(_NEGATIVE, (self,))

    def __pos__(self) -> Any:
        return _apply(_POSITIVE, (self,))

    def __abs__(self) -> Any:
        return _apply(_ABSOLUTE, (self,))

    def __eq__(self, other: Any) -> Any:
        return self._data == _values(other)

    def __ne__(self, other: Any) -> Any:
        return self._data != _values(other)

    def __lt__(self, other: Any) -> Any:
        return self._data < _values(other)

    def __le__(self, other: Any) -> Any:
        return self._data <= _values(other)

    def __gt__(self, other: Any) -> Any:
        return self._data > _values(other)

    def __ge__(self, other: Any) -> Any:
        return self._data >= _values(other)

    # By identity, as in torch, so that a Tensor can be a key although == compares elements.
    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Any:
        index = _plain_index(index)
        found = _apply(_GETITEM, (self, index))
        if found._base is not None and found._base() is self:
            found._taken = index
        return found

    def __iter__(self) -> Iterator[Any]:
        if self._data.ndim == 0:
            raise TypeError("iteration over a 0-d tensor")
        return (self[i] for i in range(len(self._data)))

    def __len__(self) -> int:
        if self._data.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._data)

    def __contains__(self, value: Any) -> bool:
        return bool((self._data == _values(value)).any())

    # ---------------------------------------------------------------------------------------------------
    # Numbers

    def item(self) -> Any:
        """The value as a Python number, outside of all recording; there must be one element."""
        if self._data.size != 1:
            raise RuntimeError(f"a Tensor with {self._data.size} elements cannot be converted to Scalar")
        if mode.strict:
            self._stay()
        return self._data.item()

    def tolist(self) -> Any:
        """The values as (nested lists of) Python numbers, outside of all recording."""
        if mode.strict:
            self._stay()
        return self._data.tolist()

    def _stay(self) -> None:
        if self._requires_grad and mode.enabled:
            raise LeavesTapeError(LEAVES_TAPE)

    def _scalar(self) -> Any:
        if self._data.size != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        if mode.strict:
            self._stay()
        if self._requires_grad:
            warnings.warn(
                "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior.\n"
                "Consider using tensor.detach() first.",
                stacklevel=3,
            )
        return self._data.item()

    def __float__(self) -> float:
        return float(self._scalar())

    def __int__(self) -> int:
        return int(self._scalar())

    def __complex__(self) -> complex:
        return complex(self._scalar())

    def __index__(self) -> int:
        return operator.index(self._data)

    def __bool__(self) -> bool:
        if self._data.size != 1:
            some = "more than one value" if self._data.size else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {some} is ambiguous")
        return bool(self._data.item())

    def __format__(self, spec: str) -> str:
        return format(self._data.item() if self._data.ndim == 0 else str(self), spec)

    def __repr__(self) -> str:
        text = f"Tensor({np.array2string(self._data, separator=', ')}, dtype={self.dtype}"
        if self._node is not None:
            return f"{text}, from {self._node.rule.name})"
        return f"{text}, requires_grad=True)" if self._requires_grad else f"{text})"

    # ---------------------------------------------------------------------------------------------------
    # Attributes of arrays

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self._data.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._data.dtype
        return dtype

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def T(self) -> Any:  # noqa: N802
        return _np.transpose(self)

    @property
    def mT(self) -> Any:  # noqa: N802
        return _np.swapaxes(self, -1, -2)

    @property
    def real(self) -> Any:
        return _np.real(self)

    @property
    def imag(self) -> Any:
        return _np.imag(self)

    @property
    def flat(self) -> Any:
        return iter(_np.ravel(self))

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """A Tensor of another dtype; gradients flow if it is floating point or complex."""
        dtype = np.dtype(dtype)
        if dtype == self._data.dtype and not copy:
            return self
        if not _dtypes.is_supported(dtype):
            return Tensor(self._data.astype(dtype))
        return _apply(_ASTYPE, (self, dtype))

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """As the method of arrays."""
        return _np.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    def transpose(self, *axes: Any) -> Any:
        """As the method of arrays."""
        if not axes or axes[0] is None:
            return _np.transpose(self)
        return _np.transpose(self, axes[0] if np.iterable(axes[0]) else axes)

    def flatten(self, order: str = "C") -> Any:
        """As the method of arrays."""
        return _np.ravel(self, order).copy()

    # ---------------------------------------------------------------------------------------------------
    # Copies

    def _load(self, values: Array) -> None:
        """Overwrite the values, outside of all recording."""
        self._data[...] = values

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if self._node is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment. Copy t.detach() instead"
            )
        if id(self) in memo:
            return memo[id(self)]
        # As in torch: Tensors go on sharing memory with each other, each Parameter gets memory of its own.
        plain = type(self) is Tensor
        data = copy.deepcopy(self._data, memo) if plain else self._data.copy(order="K")
        twin = memo[id(self)] = type(self)(data, self._requires_grad)
        if plain and self._grad is not None:
            twin.grad = copy.deepcopy(self._grad, memo)
        return twin

    def __reduce__(self) -> Any:
        return type(self), (self._data, self._requires_grad)


class Parameter(Tensor):
    """An array to be optimized, with its gradient.

    It is a `Tensor` that requires a gradient, so that NumPy code that is written for arrays can be differentiated
    with respect to it.

    Parameters
    ----------
    data : array_like
        The values. An array is not copied: the parameter shares memory with it, so that steps are visible in
        the caller's array (as with ``torch.nn.Parameter``). So does an array on a GPU, of Numba, CuPy or torch,
        whose gradients are assigned and not recorded. Anything else becomes a new array.
        float16, float32, float64, complex64, complex128, or bfloat16 from ml_dtypes.
    requires_grad : bool, optional
        Whether a gradient is wanted.

    Attributes
    ----------
    data : ndarray
        The values; steps change them in place.
    grad : ndarray, Tensor or None
        The gradient, of the shape and dtype of `data`. It is kept as it is given, not copied, and no step
        writes to it. `Tensor.backward` adds to it. For a complex parameter it is torch's: the steepest ascent,
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
    >>> (p @ p).backward()
    >>> p.grad
    array([ 2., -4.])
    >>> Rprop([p], lr=0.1).step()
    >>> w
    array([ 0.9, -1.9])
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        if cls is Parameter and is_on_device(data):
            from ._device import DeviceParameter

            return _allocate(DeviceParameter)
        return _allocate(cls)

    def __init__(self, data: ArrayLike, requires_grad: bool = True) -> None:
        super().__init__(data)
        if not _dtypes.is_supported(self._data.dtype):
            raise RuntimeError(_wrong_dtype(self._data.dtype))
        self._requires_grad = requires_grad

    def __repr__(self) -> str:
        flag = "" if self._requires_grad else ", requires_grad=False"
        return f"Parameter({np.array2string(self._data, separator=', ')}, dtype={self.dtype}{flag})"


def _wrong_dtype(dtype: np.dtype[Any]) -> str:
    return (
        "Only Tensors of floating point and complex dtype can require gradients; "
        f"got dtype {dtype}; convert the data, for instance with numpy.asarray(data, float)"
    )


# -----------------------------------------------------------------------------------------------------------
# Applying a rule


_allocate = object.__new__


def _new(data: Array, node: Node | None) -> Tensor:
    """A Tensor without the checks of its constructor."""
    out = _allocate(Tensor)
    out._data = out._grad_fits = data
    out._node = node
    out._requires_grad = node is not None
    out._grad = out._base = None
    out._version = 0
    return out


def _looks_at(rule: Rule, args: tuple[Any, ...], tensor: Tensor) -> bool:
    """Whether gradients that will be wanted need the values of one of the arguments."""
    places = [j for j, arg in enumerate(args) if arg is tensor]
    return any(
        vjp is not None
        and isinstance(arg, Tensor)
        and arg._requires_grad
        and (needs is None or any(j in needs for j in places))
        for vjp, needs, arg in zip(rule.vjps, rule.needs, args, strict=False)
    )


def _stale(tensor: Tensor) -> bool:
    version = tensor._current()
    if version == tensor._version:
        return False
    if tensor._requires_grad and tensor._node is not None:
        return True
    # A detached view sees the new values; there is no record that could be wrong.
    tensor._version = version
    return False


def _node_of(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any], ans: Array) -> Node:
    """Record an operation."""
    operands = args[0] if rule.joint else args[: len(rule.vjps)]
    vjps = rule.vjps
    arrays: list[Any] = []
    parents: list[Any] = []
    versions: list[int] = []
    for i, arg in enumerate(operands):
        if isinstance(arg, Tensor):
            arrays.append(arg._data)
            if arg._base is not None and _stale(arg):
                raise RuntimeError(STALE_VIEW)
            versions.append(arg._version)
            if arg._requires_grad and (vjp := vjps[0 if rule.joint else i]) is not None:
                if vjp is NO_RULE:
                    raise _no_rule(rule.fun, f"argument {i} of {rule.name}")
                parents.append(arg if arg._node is None else arg._node)
                continue
        else:
            if type(arg) is np.ndarray and not rule.joint and vjps[i] is None:
                # A mask, which callers fill anew; other arrays would cost too much.
                args = (*args[:i], arg.copy(), *args[i + 1 :])
            arrays.append(operands[i] if rule.joint else args[i])
            versions.append(0)
        parents.append(None)
    count = 1 if rule.joint else len(operands)
    if len(args) > count:
        args = (*args[:count], *[_settled(rule, j, args[j]) for j in range(count, len(args))])
    if rule.joint:
        values: Any = (tuple(arrays), *args[1:])
    else:
        values = (*arrays, *args[len(operands) :]) if len(args) > len(operands) else arrays
    return Node(rule, values, kwargs, args, tuple(parents), tuple(versions), ans)


def _settled(rule: Rule, place: int, value: Any) -> Any:
    """An argument that there is no rule for, such as an axis or an index, as it is now."""
    kind = type(value)
    if kind is int or value is None or kind is str:
        return value
    if kind is np.ndarray:
        return value.copy()
    if kind is tuple or kind is list:
        return kind([_settled(rule, place, v) for v in value])
    if isinstance(value, Tensor):
        if value._requires_grad:
            raise _no_rule(rule.fun, f"argument {place} of {rule.name}")
        return value._data.copy()
    return value


def _apply(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any] = _NO_KEYWORDS) -> Any:
    """Compute a function that has a rule."""
    tracked = False
    arrays = []
    for i, arg in enumerate(args):
        if isinstance(arg, Tensor):
            tracked = tracked or arg._requires_grad
            arrays.append(arg._data)
        elif (type(arg) is list or type(arg) is tuple) and i < len(rule.vjps):
            joined = _np.stack(arg) if any(isinstance(v, Tensor) for v in arg) else np.asarray(arg)
            args = (*args[:i], joined, *args[i + 1 :])
            tracked = tracked or _any_tracked(joined)
            arrays.append(_values(joined))
        else:
            arrays.append(arg)
    ans = rule.fun(*arrays, **kwargs)
    if type(ans) is not np.ndarray:
        ans = np.asarray(ans)
    node = None
    if tracked and mode.enabled:
        node = _node_of(rule, args, kwargs, ans)
    out = _new(ans, node)
    if rule.view:
        _mark_view(out, args[0])
    return out


def _apply_joint(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    operands = tuple(a if isinstance(a, (Tensor, np.ndarray)) else np.asarray(a) for a in args[0])
    args = (operands, *args[1:])
    ans = np.asarray(rule.fun([a._data if isinstance(a, Tensor) else a for a in operands], *args[1:], **kwargs))
    if mode.enabled and any(isinstance(a, Tensor) and a._requires_grad for a in operands):
        return _new(ans, _node_of(rule, args, kwargs, ans))
    return _new(ans, None)


def _mark_view(out: Tensor, source: Any) -> None:
    """Let a result that shares the memory of its source know it.

    NumPy gives all views of an array the same owner as their ``base``.
    """
    base, x = out._data.base, source._data
    if out._data is x or (base is not None and (base is x or base is x.base)):
        _share(out, source)


def _share(view: Tensor, source: Tensor) -> None:
    owner = source._owner()
    view._base = weakref.ref(owner)
    view._version = owner._version


def _binary(rule: Rule, a: Any, b: Any) -> Any:
    """An operator."""
    if isinstance(a, Tensor):
        x = a._data
        tracked = a._requires_grad
    else:
        if not isinstance(a, _NUMBERS):
            if not isinstance(a, (list, tuple)):
                return NotImplemented
            a = np.asarray(a)
        x = a
        tracked = False
    if isinstance(b, Tensor):
        y = b._data
        tracked = tracked or b._requires_grad
    else:
        if not isinstance(b, _NUMBERS):
            if not isinstance(b, (list, tuple)):
                return NotImplemented
            b = np.asarray(b)
        y = b
    ans = rule.fun(x, y)
    if type(ans) is not np.ndarray:
        ans = np.asarray(ans)
    if tracked and mode.enabled:
        return _new(ans, _node_of(rule, (a, b), _NO_KEYWORDS, ans))
    return _new(ans, None)


# -----------------------------------------------------------------------------------------------------------
# Looking a function up


def _values(x: Any) -> Any:
    """Arrays in place of Tensors, also inside lists and tuples."""
    if isinstance(x, Tensor):
        return x._data
    if type(x) in (list, tuple):
        return type(x)(_values(v) for v in x)
    return x


def _plain_index(index: Any) -> Any:
    return _values(index) if isinstance(index, (Tensor, tuple, list)) else index


def _any_tracked(x: Any) -> bool:
    if isinstance(x, Tensor):
        return x._requires_grad
    if isinstance(x, (list, tuple)):
        return any(_any_tracked(v) for v in x)
    if isinstance(x, dict):
        return any(_any_tracked(v) for v in x.values())
    return False


def _no_rule(func: Any, what: str | None = None) -> TypeError:
    name = what or _rules.name_of(func)
    return TypeError(
        f"{name} has no rule for its gradient; add one with rprop_ref.autograd.register_vjp({name}, ...), write "
        "it with functions that have one, or give it values that need no gradient (t.detach() or t.data)"
    )


def _ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A ufunc that is called with keywords, or has no rule yet, or one of its methods."""
    out = kwargs.pop("out", None)
    if ufunc not in RULES and ufunc not in PLAIN:
        _load_special(ufunc)
    if method in ("reduce", "accumulate"):
        function = _METHODS.get((ufunc, method))
        if function is not None and out is None:
            if len(inputs) == 1 and "axis" not in kwargs:
                kwargs["axis"] = 0
            return function(*inputs, **kwargs)
    elif method == "__call__":
        rule = RULES.get(ufunc)
        if ufunc in COMPOSITES and out is None:
            return COMPOSITES[ufunc](*inputs, **kwargs)
        if rule is not None and not kwargs:
            return _apply(rule, inputs) if out is None else _apply_out(rule, inputs, out)
    tracked = mode.enabled and _any_tracked((inputs, out or ()))
    if not tracked or ufunc in PLAIN:
        targets = [t for t in (inputs[:1] if method == "at" else out or ()) if isinstance(t, Tensor)]
        for t in targets:
            t._before_write(False)
        if out is not None:
            kwargs["out"] = _values(out)
        found = getattr(ufunc, method)(*_values(inputs), **{k: _values(v) for k, v in kwargs.items()})
        for t in targets:
            _overwritten(t)
        if out is None or not targets:
            return found
        return (
            out[0] if len(out) == 1 else tuple(t if t is not None else f for t, f in zip(out, found, strict=True))
        )
    name = _rules.name_of(ufunc)
    if method != "__call__":
        name = f"{name}.{method}"
    if kwargs and (ufunc in RULES or (ufunc, method) in _METHODS):
        name += f" with {', '.join(f'{key}=' for key in kwargs)}"
    raise _no_rule(ufunc, name)


def _apply_out(rule: Rule, inputs: tuple[Any, ...], out: tuple[Any, ...]) -> Any:
    """The result is written into a Tensor; into an array only if nothing is lost by that."""
    (target,) = out
    if isinstance(target, Tensor):
        return target._write(rule, inputs, lambda *arrays: rule.fun(*arrays, out=target._data))
    if mode.enabled and _any_tracked(inputs):
        raise RuntimeError(
            f"{rule.name}(): functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad. Make `out` a Tensor"
        )
    return rule.fun(*_values(inputs), out=target)


def _overwritten(t: Tensor) -> None:
    """Constants were written by a function without a rule; gradients end here."""
    t._written()
    if mode.enabled and t._node is not None:
        t._node = None
        t._requires_grad = False


# Functions that change their first argument, and what it is called.
_WRITERS: dict[Any, str] = {
    np.copyto: "dst",
    np.put: "a",
    np.putmask: "a",
    np.place: "arr",
    np.put_along_axis: "arr",
    np.fill_diagonal: "a",
}


def _writer(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function that changes its first argument; not recorded, but the change is counted."""
    if mode.enabled and _any_tracked((args, kwargs)):
        raise TypeError(
            f"{_rules.name_of(func)} has no rule for its gradient; write t[index] = value, which has one"
        )
    target = args[0] if args else kwargs.get(_WRITERS[func])
    found = func(*_values(args), **{k: _values(v) for k, v in kwargs.items()})
    if isinstance(target, Tensor):
        target._written()
    return found


def _function(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy that is not a ufunc."""
    composite = COMPOSITES.get(func)
    if composite is not None:
        return composite(*args, **kwargs)
    rule = RULES.get(func)
    if rule is not None:
        if kwargs:
            args, kwargs = _positional(rule, args, kwargs)
        return _apply_joint(rule, args, kwargs) if rule.joint else _apply(rule, args, kwargs)
    if func in _WRITERS:
        return _writer(func, args, kwargs)
    if func in BUFFERS:
        return _new(func(*_values(args), **{k: _values(v) for k, v in kwargs.items()}), None)
    if func in PLAIN or not (mode.enabled and _any_tracked((args, kwargs))):
        return func(*_values(args), **{k: _values(v) for k, v in kwargs.items()})
    raise _no_rule(func)


def _positional(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Check the keywords, and move those that are Tensors, or stand for arguments with rules, to their places."""
    names = rule.keywords
    if names is None:
        names = rule.keywords = arguments_of(rule)
        if names is None:
            return args, {name: _keyword(rule, name, value) for name, value in kwargs.items()}
    # NumPy's names of the first argument vary.
    for alias in ("a", "x", "m", "arr", "array", "ary"):
        if alias in kwargs and not args and alias not in names:
            args = (kwargs.pop(alias),)
    absent = {"out": None, "dtype": None, "initial": np._NoValue, "where": np._NoValue, "mean": np._NoValue}
    kept = {}
    for name, value in kwargs.items():
        if name in names and not (name == "out" and value is not None):
            kept[name] = value
        elif not (name in absent and value is absent[name]) and not (name == "copy" and value is None):
            raise _no_rule(rule.fun, f"{rule.name} with {name}=")
    while len(args) < len(rule.vjps):
        following = next((n for n, i in names.items() if i == len(args)), None)
        if following is None or following not in kept:
            break
        args = (*args, kept.pop(following))
    return args, {name: _keyword(rule, name, value) for name, value in kept.items()}


def _keyword(rule: Rule, name: str, value: Any) -> Any:
    if mode.enabled and _any_tracked(value):
        raise _no_rule(rule.fun, f"the argument {name} of {rule.name}")
    return _values(value)


def _load_special(ufunc: Any) -> None:
    """Rules for SciPy's special functions are loaded when one of them is met."""
    special = sys.modules.get("scipy.special")
    if special is not None and getattr(special, ufunc.__name__, None) is ufunc:
        importlib.import_module("rprop_ref.autograd._special")


# -----------------------------------------------------------------------------------------------------------
# Backward


def _from_node(ans: Array, node: Node) -> Tensor:
    return _new(ans, node)


def run_backward(
    outputs: list[tuple[Tensor, Any]],
    *,
    retain: bool,
    create_graph: bool,
    wanted: list[Tensor] | None = None,
) -> list[Any]:
    """Check the gradients to begin with, and start the engine; returns the gradients of `wanted`."""
    seeds = []
    for i, (output, gradient) in enumerate(outputs):
        if not output._requires_grad:
            raise RuntimeError(NO_GRADIENT.replace("element 0", f"element {i}"))
        data = output._data
        if gradient is None:
            if data.size != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if data.dtype.kind == "c":
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got {data.dtype}"
                )
            seed: Any = np.ones(data.shape, data.dtype)
        else:
            seed = gradient if isinstance(gradient, Tensor) else np.asarray(gradient)
            if seed.shape != data.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{i}] has a shape of {seed.shape} and output[{i}] has a shape "
                    f"of {data.shape}."
                )
            if seed.dtype != data.dtype:
                seed = seed.astype(data.dtype)
        if create_graph:
            seed = seed if isinstance(seed, Tensor) else _new(seed, None)
        elif isinstance(seed, Tensor):
            seed = seed._data
        seeds.append((output if output._node is None else output._node, seed))
    targets = None if wanted is None else [t if t._node is None else t._node for t in wanted]
    before = mode.enabled
    mode.enabled = create_graph
    try:
        found = _engine.run(seeds, retain=retain, wrap=_from_node if create_graph else None, wanted=targets)
    finally:
        mode.enabled = before
    if targets is None:
        return []
    gradients = [found.get(t) for t in targets]
    if create_graph:
        return [g if g is None or isinstance(g, Tensor) else Tensor(g) for g in gradients]
    return [np.asarray(g) if isinstance(g, np.generic) else g for g in gradients]


# -----------------------------------------------------------------------------------------------------------
# What is taken from the tables


_ADD, _SUBTRACT, _MULTIPLY = RULES[np.add], RULES[np.subtract], RULES[np.multiply]
_DIVIDE, _MATMUL, _POWER = RULES[np.divide], RULES[np.matmul], RULES[_elementwise.power]
_NEGATIVE, _POSITIVE, _ABSOLUTE = RULES[np.negative], RULES[np.positive], RULES[np.absolute]
_GETITEM, _SETITEM = RULES[_shapes.getitem], RULES[_shapes.setitem]
_COPY, _ASTYPE = RULES[np.copy], RULES[_shapes.astype]

#: What methods of ufuncs are in terms of functions.
_METHODS: dict[Any, Any] = {
    (np.add, "reduce"): np.sum,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "reduce"): np.prod,
    (np.multiply, "accumulate"): np.cumprod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
}


def _method(function: Any) -> Any:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__ = function.__name__
    method.__doc__ = f"As the method of arrays; see ``numpy.{function.__name__}``."
    return method


for _name in (
    *(
        "all",
        "any",
        "argmax",
        "argmin",
        "argsort",
        "clip",
        "cumprod",
        "cumsum",
        "diagonal",
        "dot",
        "max",
        "mean",
        "min",
    ),
    *("nonzero", "prod", "ravel", "repeat", "round", "searchsorted", "squeeze", "std", "sum", "swapaxes", "take"),
    *("trace", "var"),
):
    setattr(Tensor, _name, _method(getattr(np, _name)))
setattr(Tensor, "conj", _method(np.conjugate))  # noqa: B010
setattr(Tensor, "conjugate", _method(np.conjugate))  # noqa: B010
