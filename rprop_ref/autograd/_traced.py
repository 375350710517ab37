"""What a Tensor keeps.

The modules that record operations, and go back through them, know a Tensor as this. `Tensor` itself, in `_tensor`,
is built on top of them.
"""

from __future__ import annotations

import weakref
from typing import Any, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]


class Traced:
    """The data of a Tensor, without its methods."""

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
    _requires_grad: bool
    # The operation that the values come from, a `_record.Node`; None for a leaf.
    _node: Any
    # A weak reference to the Tensor that owns the memory, if this is a view. Weak, so that t.detach() does not
    # keep the record of t alive; the owner lives as long as anything that was recorded with it.
    _base: weakref.ref[Any] | None
    # How often the memory has been written to; of a view, how often it had been when the view was taken.
    _version: int
    # The index that this was taken with, if by t[index]; otherwise not set, which costs nothing.
    _taken: Any

    def _current(self) -> int:
        """How often the memory has been written to until now."""
        return self._owner()._version

    def _owner(self) -> Traced:
        """The Tensor whose memory this is; this one, if it is no view or the other one is gone."""
        owner = None if self._base is None else self._base()
        return self if owner is None else owner


Kind = TypeVar("Kind", bound=type[Traced])

_allocate = object.__new__
_kind: type[Traced] = Traced


def results_are(kind: Kind) -> Kind:
    """Say of which class the results of operations are: a decorator for `Tensor`."""
    global _kind
    _kind = kind
    return kind


def new(data: Array, node: Any) -> Any:
    """A Tensor without the checks of its constructor."""
    out = _allocate(_kind)
    out._data = out._grad_fits = data
    out._node = node
    out._requires_grad = node is not None
    out._grad = out._base = None
    out._version = 0
    return out


def values(x: Any) -> Any:
    """Arrays in place of Tensors, also inside lists and tuples."""
    if isinstance(x, Traced):
        return x._data
    if type(x) in (list, tuple):
        return type(x)(values(v) for v in x)
    return x


def any_tracked(x: Any) -> bool:
    """Whether a value, or one inside it, requires a gradient."""
    if isinstance(x, Traced):
        return x._requires_grad
    if isinstance(x, (list, tuple)):
        return any(any_tracked(v) for v in x)
    if isinstance(x, dict):
        return any(any_tracked(v) for v in x.values())
    return False
