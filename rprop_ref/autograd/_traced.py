"""The data of a Tensor: what the modules that record operations, and go back through them, know of it.

`Tensor` itself, in `_tensor`, is built on top of those modules.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import numpy as np

Array = np.ndarray[Any, Any]
# How a view is taken: for each operation its primitive, the arguments after the first, and the keywords.
ViewOps = tuple[tuple[Any, tuple[Any, ...], dict[str, Any]], ...]


Kind = Literal["array", "scalar", "number"]


class Memory:
    """Shared by all Tensors that share memory: how often that has been written to."""

    __slots__ = ("recorded", "writes")

    def __init__(self) -> None:
        self.writes = 0
        # `writes` after the last write that changed where values come from.
        self.recorded = 0


class Traced:
    """A Tensor without its methods."""

    __slots__ = (
        "__weakref__",
        "_array",
        "_base",
        "_grad",
        "_grad_fits",
        "_kind",
        "_memory",
        "_node",
        "_requires_grad",
        "_taken_at",
        "_view_ops",
    )

    # The values; a plain array. (Not called `_data`, which numpy.ma takes from any object that has it.)
    _array: Array
    _memory: Memory
    _grad: Any
    # The array whose shape and dtype the gradient was compared with when it was assigned; None if the gradient is
    # a Tensor, so that a step checks it again.
    _grad_fits: Any
    _requires_grad: bool
    # What there would be without Tensors: an array, a scalar of NumPy, or a number of Python. Only an array is
    # changed in place, and operators round each in their own way.
    _kind: Kind
    # The operation that the values come from, a `_graph.Node`; None for a leaf.
    _node: Any
    # The Tensor that this is a view of, which is never a view itself; None if this is not a view.
    _base: Traced | None
    # Of a view: how it is taken from `_base`; None if it was taken inside no_grad.
    _view_ops: ViewOps | None
    # Of a view: `_memory.recorded` when `_node` was set.
    _taken_at: int


TensorClass = TypeVar("TensorClass", bound=type[Traced])

_allocate = object.__new__
_result_class: type[Traced] = Traced


def use_for_results(cls: TensorClass) -> TensorClass:
    """Make this the class of the results of operations: a decorator for `Tensor`."""
    global _result_class
    _result_class = cls
    return cls


def new_tensor(data: Array, node: Any) -> Any:
    """A Tensor without the checks of its constructor."""
    out = _allocate(_result_class)
    out._array = out._grad_fits = data
    out._node = node
    out._memory = Memory() if node is None else node.memory
    out._requires_grad = node is not None
    out._grad = out._base = None
    out._kind = "array"
    return out


def operand(tensor: Traced) -> Any:
    """What there would be without Tensors: an array, a scalar of NumPy, or a number of Python."""
    if tensor._kind == "array":
        return tensor._array
    return tensor._array[()] if tensor._kind == "scalar" else tensor._array.item()


def kind_of(value: Any) -> Kind:
    """What a value that is not a Tensor is."""
    if isinstance(value, np.generic):
        return "scalar"
    return "number" if type(value) in (float, complex, int, bool) else "array"


def values(x: Any) -> Any:
    """The same without Tensors, also inside lists and tuples."""
    if isinstance(x, Traced):
        return operand(x)
    if type(x) in (list, tuple):
        return type(x)(values(v) for v in x)
    return x
