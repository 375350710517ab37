"""What a Tensor keeps.

The modules that record operations, and go back through them, know a Tensor as this. `Tensor` itself, in `_tensor`,
is built on top of them.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]
Steps = tuple[tuple[Any, tuple[Any, ...], dict[str, Any]], ...]


class Memory:
    """What all Tensors that share memory know together: how often it has been written to."""

    __slots__ = ("recorded", "writes")

    def __init__(self) -> None:
        self.writes = 0
        # The count after the last write that changed where values come from.
        self.recorded = 0


class Traced:
    """The data of a Tensor, without its methods."""

    __slots__ = (
        "__weakref__",
        "_base",
        "_data",
        "_grad",
        "_grad_fits",
        "_memory",
        "_node",
        "_requires_grad",
        "_seen",
        "_steps",
    )

    # The values; a plain array.
    _data: Array
    _memory: Memory
    _grad: Any
    # The array whose shape and dtype the gradient was compared with when it was assigned; None if the gradient is
    # a Tensor, so that a step looks at it again.
    _grad_fits: Any
    _requires_grad: bool
    # The operation that the values come from, a `_record.Node`; None for a leaf.
    _node: Any
    # Of a view, the Tensor that it is a view of (that one is none), and how it is taken from it: the rule and the
    # other arguments of each operation; None if it was taken inside no_grad. Other Tensors have no _steps.
    _base: Traced | None
    _steps: Steps | None
    # Of a view, the count `_memory.recorded` that `_node` belongs to.
    _seen: int


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
    out._memory = Memory() if node is None else node.memory
    out._requires_grad = node is not None
    out._grad = out._base = None
    return out


def values(x: Any) -> Any:
    """Arrays in place of Tensors, also inside lists and tuples."""
    if isinstance(x, Traced):
        return x._data
    if type(x) in (list, tuple):
        return type(x)(values(v) for v in x)
    return x
