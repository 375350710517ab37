"""Changes in place: ``t += x``, ``t[index] = x``, ``out=t``. They are recorded, or counted, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import dtypes
from ._mode import mode
from ._record import NO_KEYWORDS, NUMBERS, any_tracked, apply, node_of, refresh, set_node, steps_of
from ._rules import RULES, Rule
from ._shapes import getitem, is_basic, overwrite, setitem
from ._traced import Memory, Traced, new, values

LEAF_IN_PLACE = "a leaf Variable that requires grad is being used in an in-place operation."
LEAF_VIEW_IN_PLACE = "a view of a leaf Variable that requires grad is being used in an in-place operation."
VIEW_IN_PLACE = (
    "a view of a Tensor is being changed in place by {how}, which would leave the Tensor that it is a view of "
    "without a gradient for the change; write to that Tensor instead, t[index] = value, or change a copy"
)


def become(tensor: Traced, other: Traced) -> None:
    """Let a Tensor take over the values and the history of another one, with its memory.

    The memory that it had is not written to: what was recorded with it stays true.
    """
    set_node(tensor, other._node)
    tensor._data, tensor._memory, tensor._base = other._data, other._memory, None


def check_write(tensor: Traced, how: str) -> None:
    """Refuse a write, of constants, that cannot be recorded truthfully."""
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


def overwritten(tensor: Traced) -> None:
    """Constants have been written; gradients end here."""
    tensor._memory.writes += 1
    if mode.enabled and tensor._node is not None:
        tensor._memory.recorded = tensor._memory.writes
        set_node(tensor, None)


def write(tensor: Any, rule: Rule, args: tuple[Any, ...], compute: Callable[..., Any]) -> Any:
    """Change the memory to the result of `rule`; `args` may contain this Tensor. Recorded if need be."""
    tracked = any_tracked(args)
    _check_leaf(tensor)
    if mode.enabled and tensor._base is not None and (tracked or tensor._base._requires_grad):
        return _write_view(tensor, rule, args)
    if not (mode.enabled and tracked):
        compute(*[a._data if isinstance(a, Traced) else a for a in args])
        overwritten(tensor)
        return tensor
    if not dtypes.is_supported(tensor._data.dtype):
        raise RuntimeError(
            f"a value that requires a gradient is written into a Tensor of dtype {tensor._data.dtype}, which "
            "cannot keep one; make it of floating point, for instance np.zeros_like(t, dtype=float)"
        )
    # As in torch: a copy, so that the change itself does not take away what its gradient needs.
    past = _past(tensor, tensor._data.copy() if _looks_at(rule, args, tensor) else tensor._data)
    args = tuple(past if a is tensor else a for a in args)
    node = node_of(rule, args, NO_KEYWORDS, tensor._data)
    compute(*[a._data if isinstance(a, Traced) else a for a in args])
    memory = tensor._memory
    memory.writes += 1
    memory.recorded = memory.writes
    node.memory, node.version = memory, memory.writes
    set_node(tensor, node)
    return tensor


def _past(tensor: Traced, data: Any) -> Traced:
    """What this is now, for the record of an operation that changes it: the same history, in this array."""
    past: Traced = new(data, tensor._node)
    past._memory = Memory()
    return past


def _looks_at(rule: Rule, args: tuple[Any, ...], tensor: Traced) -> bool:
    """Whether gradients that will be wanted need the values of one of the arguments."""
    places = [j for j, arg in enumerate(args) if arg is tensor]
    return any(
        vjp is not None
        and isinstance(arg, Traced)
        and arg._requires_grad
        and (needs is None or any(j in needs for j in places))
        for vjp, needs, arg in zip(rule.vjps, rule.needs, args, strict=False)
    )


def _write_view(view: Any, rule: Rule, args: tuple[Any, ...]) -> Any:
    """The same for a view: recorded as a change of the Tensor that it is a view of, from which it is taken again.

    (torch does the same, and calls it CopySlices.)
    """
    owner = view._base
    if view._steps is None or view.dtype != owner.dtype:
        how = f"{rule.name}, and it was taken inside no_grad() or is of another dtype"
        raise RuntimeError(VIEW_IN_PLACE.format(how=how))
    past = _past(view, view._data.copy())
    found = apply(rule, tuple(past if a is view else a for a in args))
    if found.shape != view.shape:
        raise ValueError(
            f"non-broadcastable output operand with shape {view.shape} doesn't match the broadcast shape "
            f"{found.shape}"
        )
    if not np.can_cast(found.dtype, view.dtype, "same_kind"):
        raise TypeError(f"Cannot cast {rule.name} output from {found.dtype!r} to {view.dtype!r}")
    write(owner, RULES[overwrite], (owner, found, view._steps), lambda x, v, steps: np.copyto(view._data, v))
    refresh(view)
    return view


def augment(tensor: Any, fun: Any, other: Any) -> Any:
    """An operator such as ``+=``."""
    if not isinstance(other, (Traced, *NUMBERS)):
        other = np.asarray(other)
    return write(tensor, RULES[fun], (tensor, other), lambda x, y: fun(x, y, out=tensor._data))


def set_item(tensor: Any, index: Any, value: Any) -> None:
    """``tensor[index] = value``."""
    if mode.enabled and tensor._requires_grad and tensor._node is None:
        raise RuntimeError(LEAF_VIEW_IN_PLACE)
    index = plain_index(index)
    if _is_there(tensor, index, value):
        return
    if not isinstance(value, (Traced, *NUMBERS)):
        value = np.asarray(value)

    def compute(x: Any, v: Any, index: Any) -> None:
        tensor._data[index] = v

    write(tensor, RULES[setitem], (tensor, value, index), compute)


def _is_there(tensor: Traced, index: Any, value: Any) -> bool:
    """Whether a value is what t[index] is already: Python ends t[index] += v with t[index] = the result."""
    if not isinstance(value, Traced) or value._base is None or not value._steps:
        return False
    *before, (rule, args, _) = value._steps
    return (
        value._base is (tensor if tensor._base is None else tensor._base)
        and list(map(id, before)) == list(map(id, steps_of(tensor) or ()))
        and rule is RULES[getitem]
        and is_basic(index)
        and bool(args[0] == index)
    )


def plain_index(index: Any) -> Any:
    """An index without Tensors."""
    return values(index) if isinstance(index, (Traced, tuple, list)) else index
