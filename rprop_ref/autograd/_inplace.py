"""Changes in place: ``t += x``, ``t[index] = x``, ``out=t``. They are recorded, counted or refused."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.checks import check_plain
from ._graph import (
    NO_KEYWORDS,
    NUMBERS,
    any_tracked,
    apply,
    new_node,
    note_if_refused,
    refresh,
    set_node,
    view_ops_of,
)
from ._mode import mode
from ._primitives import PRIMITIVES, Primitive
from ._shapes import getitem, is_basic, overwrite, setitem
from ._traced import Memory, Traced, new_tensor, operand, values

LEAF_IN_PLACE = "a leaf Variable that requires grad is being used in an in-place operation."
LEAF_VIEW_IN_PLACE = "a view of a leaf Variable that requires grad is being used in an in-place operation."
VIEW_IN_PLACE = (
    "a view of a Tensor is being changed in place by {how}, which would leave the Tensor that it is a view of "
    "without a gradient for the change; write to that Tensor instead, t[index] = value, or change a copy"
)


def become(tensor: Traced, other: Traced) -> None:
    """Give a Tensor the values, the history and the memory of another one.

    The memory that it had is not written to, so what was recorded with it stays valid.
    """
    set_node(tensor, other._node)
    tensor._array, tensor._memory, tensor._base = other._array, other._memory, None


def check_write(tensor: Traced, how: str) -> None:
    """Raise if constants may not be written to this Tensor; `how` names the function that writes them."""
    _check_leaf(tensor)
    if mode.enabled and tensor._base is not None and tensor._base._requires_grad:
        raise RuntimeError(VIEW_IN_PLACE.format(how=how))


def _check_leaf(tensor: Traced) -> None:
    if mode.enabled:
        base = tensor._base
        if tensor._requires_grad and tensor._node is None:
            raise RuntimeError(LEAF_IN_PLACE)
        if base is not None and base._requires_grad and base._node is None:
            raise RuntimeError(LEAF_VIEW_IN_PLACE)


def mark_overwritten(tensor: Traced) -> None:
    """Record that constants have been written: no gradient flows through the Tensor any more."""
    tensor._memory.writes += 1
    if mode.enabled and tensor._node is not None:
        tensor._memory.recorded = tensor._memory.writes
        set_node(tensor, None)


def write(tensor: Any, primitive: Primitive, args: tuple[Any, ...], compute: Callable[..., Any]) -> Any:
    """Let `compute` write the result of a primitive into a Tensor, and record it if a gradient flows through it.

    The Tensor itself may be one of the arguments.
    """
    tracked = any_tracked(args)
    _check_leaf(tensor)
    # NumPy's call with NumPy's operands, so that overlapping ones are rounded as there.
    arrays = [operand(a) if isinstance(a, Traced) else a for a in args]
    if mode.enabled and tracked:
        args = tuple(_before_the_write(primitive, args, i, tensor) for i in range(len(args)))
    if mode.enabled and tensor._base is not None and (tracked or tensor._base._requires_grad):
        return _write_view(tensor, primitive, args, lambda *_: compute(*arrays))
    if not (mode.enabled and tracked):
        compute(*arrays)
        mark_overwritten(tensor)
        return tensor
    if not dtypes.is_supported(tensor._array.dtype):
        raise RuntimeError(
            f"a value that requires a gradient is written into a Tensor of dtype {tensor._array.dtype}, which "
            "cannot keep one; make it of floating point, for instance np.zeros_like(t, dtype=float)"
        )
    # As in torch: a copy if the gradient of the change needs the old values.
    previous = _previous_value(
        tensor, tensor._array.copy() if _vjps_read(primitive, args, tensor) else tensor._array
    )
    args = tuple(previous if a is tensor else a for a in args)
    node = new_node(primitive, args, NO_KEYWORDS, tensor._array)
    compute(*arrays)
    memory = tensor._memory
    memory.writes += 1
    memory.recorded = memory.writes
    node.memory, node.version = memory, memory.writes
    set_node(tensor, node)
    return tensor


def _before_the_write(primitive: Primitive, args: tuple[Any, ...], place: int, tensor: Traced) -> Any:
    """An argument, or a copy of it if a vjp needs its values and the write to the Tensor may change them."""
    arg = args[place]
    if not isinstance(arg, Traced) or arg is tensor or arg._memory is not tensor._memory:
        return arg
    if not _vjps_read(primitive, args, arg):
        return arg
    if arg._base is not None:
        refresh(arg)
    return _previous_value(arg, arg._array.copy())


def _previous_value(tensor: Traced, data: Any) -> Traced:
    """A stand-in for a Tensor before a change: the same history, with these values."""
    previous: Traced = new_tensor(data, tensor._node)
    previous._memory = Memory()
    return previous


def _vjps_read(primitive: Primitive, args: tuple[Any, ...], tensor: Traced) -> bool:
    """Whether a vjp that will be called reads the values of this Tensor, which is among the arguments."""
    tensor_places = [j for j, arg in enumerate(args) if arg is tensor]
    return any(
        vjp is not None
        and isinstance(arg, Traced)
        and arg._requires_grad
        and (places is None or any(j in places for j in tensor_places))
        for vjp, places, arg in zip(primitive.vjps, primitive.reads, args, strict=False)
    )


def _write_view(view: Any, primitive: Primitive, args: tuple[Any, ...], compute: Callable[..., Any]) -> Any:
    """Likewise for a view: recorded as a change of the Tensor that it is a view of, then the view is taken again.

    (torch does the same, and calls it CopySlices.)
    """
    base = view._base
    if view._view_ops is None or view.dtype != base.dtype:
        how = f"{primitive.name}, and it was taken inside no_grad() or is of another dtype"
        raise RuntimeError(VIEW_IN_PLACE.format(how=how))
    previous = _previous_value(view, view._array.copy())
    result = apply(primitive, tuple(previous if a is view else a for a in args))
    if result.shape != view.shape:
        raise ValueError(
            f"non-broadcastable output operand with shape {view.shape} doesn't match the broadcast shape "
            f"{result.shape}"
        )
    if not np.can_cast(result.dtype, view.dtype, "same_kind"):
        raise TypeError(f"Cannot cast {primitive.name} output from {result.dtype!r} to {view.dtype!r}")
    write(base, PRIMITIVES[overwrite], (base, result, view._view_ops), compute)
    refresh(view)
    return view


# The operators that change an array, and those that compute what is assigned to it.
_AUGMENTED: dict[Any, Any] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    operator.ifloordiv: operator.floordiv,
    operator.imod: operator.mod,
    operator.ipow: operator.pow,
    operator.imatmul: operator.matmul,
}


def assign_augmented(tensor: Any, fun: Any, other: Any) -> Any:
    """Carry out an operator such as ``+=``."""
    try:
        return _assign_augmented(tensor, fun, other)
    except Exception as error:
        note_if_refused(error, fun, (tensor, other))
        raise


def _assign_augmented(tensor: Any, fun: Any, other: Any) -> Any:
    if tensor._kind != "array":
        # As in NumPy, which does not change scalars: of two names for one, only this one gets the new value.
        return _AUGMENTED[fun](tensor, other)
    check_plain(other, "the right-hand side")
    if not isinstance(other, (Traced, *NUMBERS)):
        other = np.asarray(other)
    return write(tensor, PRIMITIVES[_AUGMENTED[fun]], (tensor, other), lambda _, y: fun(tensor._array, y))


def set_item(tensor: Any, index: Any, value: Any) -> None:
    """Carry out ``tensor[index] = value``."""
    if mode.enabled and tensor._requires_grad and tensor._node is None:
        raise RuntimeError(LEAF_VIEW_IN_PLACE)
    index = plain_index(index)
    if _is_assigned_already(tensor, index, value):
        return
    check_plain(value, "the assigned value")
    if not isinstance(value, (Traced, *NUMBERS)):
        value = np.asarray(value)

    def compute(x: Any, v: Any, index: Any) -> None:
        tensor._array[index] = v

    write(tensor, PRIMITIVES[setitem], (tensor, value, index), compute)


def _is_assigned_already(tensor: Traced, index: Any, value: Any) -> bool:
    """Whether the value is t[index] itself: Python ends ``t[index] += v`` by assigning the result to t[index]."""
    if not isinstance(value, Traced) or value._base is None or not value._view_ops:
        return False
    *before, (primitive, args, _) = value._view_ops
    return (
        value._base is (tensor if tensor._base is None else tensor._base)
        and list(map(id, before)) == list(map(id, view_ops_of(tensor) or ()))
        and primitive is PRIMITIVES[getitem]
        and is_basic(index)
        and bool(args[0] == index)
    )


def plain_index(index: Any) -> Any:
    """The index with arrays in place of Tensors."""
    return values(index) if isinstance(index, (Traced, tuple, list)) else index
