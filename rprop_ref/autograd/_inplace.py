"""Changes in place: ``t += x``, ``t[index] = x``, ``out=t``. They are recorded, or counted, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _dtypes
from ._mode import mode
from ._record import NO_KEYWORDS, NUMBERS, STALE_VIEW, apply, node_of
from ._rules import RULES, Rule
from ._shapes import getitem, is_basic, setitem
from ._traced import Traced, any_tracked, new, values

LEAF_IN_PLACE = "a leaf Variable that requires grad is being used in an in-place operation."
LEAF_VIEW_IN_PLACE = "a view of a leaf Variable that requires grad is being used in an in-place operation."
VIEW_IN_PLACE = (
    "a view of a Tensor is being changed in place while operations are recorded, which would leave the Tensor it "
    "is a view of without a gradient for it; write to that Tensor instead, t[index] = t[index] + value (or "
    "t[index] += value), or change a copy"
)


def count_write(tensor: Traced) -> None:
    """Let all that was recorded with this memory know that it has been written to."""
    owner = tensor._owner()
    owner._version += 1
    if owner is not tensor:
        tensor._version = owner._version
    for changed in {tensor, owner}:
        if changed._node is not None:
            changed._node.writes += 1


def become(tensor: Traced, other: Traced) -> None:
    """Let a Tensor take over the values and the history of another one, with its memory.

    The memory that it had is not written to: what was recorded with it stays true.
    """
    keep = None if tensor._node is None else tensor._node.keep
    tensor._data, tensor._node, tensor._base = other._data, other._node, None
    tensor._requires_grad = True
    if keep is not None and tensor._node is not None:
        tensor._node.keep = keep


def check_write(tensor: Traced, recorded: bool = False) -> None:
    """Refuse writes that cannot be recorded truthfully."""
    if not mode.enabled:
        return
    if tensor._requires_grad and tensor._node is None:
        raise RuntimeError(LEAF_IN_PLACE)
    owner = tensor._owner()
    if owner is not tensor and (recorded or tensor._requires_grad):
        of_leaf = tensor._requires_grad and owner._requires_grad and owner._node is None
        raise RuntimeError(LEAF_VIEW_IN_PLACE if of_leaf else VIEW_IN_PLACE)


def overwritten(tensor: Traced) -> None:
    """Constants were written by a function without a rule; gradients end here."""
    count_write(tensor)
    if mode.enabled and tensor._node is not None:
        tensor._node = None
        tensor._requires_grad = False


def write(tensor: Traced, rule: Rule, args: tuple[Any, ...], compute: Callable[..., Any]) -> Traced:
    """Change the memory to the result of `rule`; `args` may contain this Tensor. Recorded if need be."""
    recorded = mode.enabled and any(isinstance(a, Traced) and a._requires_grad for a in args)
    check_write(tensor, recorded)
    if not recorded:
        compute(*[a._data if isinstance(a, Traced) else a for a in args])
        overwritten(tensor)
        return tensor
    if not _dtypes.is_supported(tensor._data.dtype):
        raise RuntimeError(
            f"a value that requires a gradient is written into a Tensor of dtype {tensor._data.dtype}, which "
            "cannot keep one; make it of floating point, for instance np.zeros_like(t, dtype=float)"
        )
    past = _past(tensor)
    if _looks_at(rule, args, tensor):
        # As in torch: a copy, so that the change itself does not take away what its gradient needs.
        past._data = tensor._data.copy()
    args = tuple(past if a is tensor else a for a in args)
    node = node_of(rule, args, NO_KEYWORDS, tensor._data)
    compute(*[a._data if isinstance(a, Traced) else a for a in args])
    count_write(tensor)
    if tensor._node is not None and tensor._node.keep is not None:
        # As in torch, the gradient that is kept is that of the new value.
        node.keep, tensor._node.keep = tensor._node.keep, None
    tensor._node = node
    tensor._requires_grad = True
    return tensor


def _past(tensor: Traced) -> Traced:
    """What this is now, for the record of an operation that changes it: the same memory, the same history."""
    past: Traced = new(tensor._data, tensor._node)
    past._requires_grad = tensor._requires_grad
    past._version = tensor._version
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


def augment(tensor: Any, fun: Any, other: Any) -> Any:
    """An operator such as ``+=``."""
    if not isinstance(other, (Traced, *NUMBERS)):
        other = np.asarray(other)
    if tensor._base is not None and mode.enabled and hasattr(tensor, "_taken"):
        owner = tensor._owner()
        if owner is not tensor and (tensor._requires_grad or any_tracked(other)):
            return _augment_in(tensor, owner, fun, other)
    return write(tensor, RULES[fun], (tensor, other), lambda x, y: fun(x, y, out=tensor._data))


def _augment_in(tensor: Any, owner: Any, fun: Any, other: Any) -> Any:
    """Change a view, t[index] += other: recorded as a change of its owner, whose view it is again then."""
    if owner._requires_grad != tensor._requires_grad or (owner._node is None and owner._requires_grad):
        check_write(tensor, True)
    if tensor._version != owner._version:
        raise RuntimeError(STALE_VIEW)
    past = _past(tensor)
    # A copy, so that the change itself does not take away what its gradient needs.
    past._data = tensor._data.copy()
    found = fun(past, other)
    if found.shape != tensor.shape:
        raise ValueError(
            f"non-broadcastable output operand with shape {tensor.shape} doesn't match the broadcast shape "
            f"{found.shape}"
        )
    if not np.can_cast(found.dtype, tensor.dtype, "same_kind"):
        raise TypeError(f"Cannot cast {fun.__name__} output from {found.dtype!r} to {tensor.dtype!r}")
    owner[tensor._taken] = found
    fresh = owner[tensor._taken]
    tensor._node, tensor._requires_grad, tensor._version = fresh._node, fresh._requires_grad, fresh._version
    return tensor


def get_item(tensor: Traced, index: Any) -> Any:
    index = _plain_index(index)
    found = apply(RULES[getitem], (tensor, index))
    if found._base is not None and found._base() is tensor:
        found._taken = index
    return found


def set_item(tensor: Traced, index: Any, value: Any) -> None:
    if mode.enabled and tensor._requires_grad and tensor._node is None:
        raise RuntimeError(LEAF_VIEW_IN_PLACE)
    index = _plain_index(index)
    if _is_there(tensor, index, value):
        return
    if not isinstance(value, (Traced, *NUMBERS)):
        value = np.asarray(value)

    def compute(x: Any, v: Any, index: Any) -> None:
        tensor._data[index] = v

    write(tensor, RULES[setitem], (tensor, value, index), compute)


def _is_there(tensor: Traced, index: Any, value: Any) -> bool:
    """Whether a value is what t[index] is already: Python ends t[index] += v with t[index] = the result."""
    return (
        isinstance(value, Traced)
        and value._base is not None
        and value._owner() is tensor
        and value._version == tensor._version
        and value._requires_grad == tensor._requires_grad
        and hasattr(value, "_taken")
        and is_basic(index)  # type: ignore[no-untyped-call]
        and bool(index == value._taken)
    )


def _plain_index(index: Any) -> Any:
    return values(index) if isinstance(index, (Traced, tuple, list)) else index
