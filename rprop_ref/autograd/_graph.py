"""The graph: primitives are computed on arrays, and each recorded call becomes a `Node`."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from .._core import dtypes
from .._core.checks import check_plain, typename
from ._mode import Recording, differentiated, mode
from ._primitives import NO_VJP, Primitive, as_array
from ._traced import Array, Kind, Memory, Traced, ViewOps, kind_of, new_tensor, operand, values

Error = TypeVar("Error", bound=Exception)

NO_KEYWORDS: dict[str, Any] = {}
NUMBERS = (bool, int, float, complex, np.generic, np.ndarray)
_OPERANDS = (Traced, *NUMBERS, list, tuple)

# Types of arguments that need no look: most of all.
_PLAIN_TYPES = frozenset(
    [np.ndarray, bool, int, float, complex, np.float64, np.float32, str, type(None), slice, list, tuple, np.dtype]
)
_USUAL_DTYPES = frozenset(map(np.dtype, ["f8", "f4", "c16", "c8"]))


#: Plain arrays among the operands are copied if they have no more bytes than this.
COPIED_BYTES = 2**14


class Node:
    """One recorded operation: its primitive, the arrays it was called with, and where these came from.

    Links lead to older nodes and to leaves only, so nodes form no reference cycle.
    """

    __slots__ = (
        "ans",
        "args",
        "dtype",
        "kwargs",
        "links",
        "memory",
        "primitive",
        "retaining",
        "shape",
        "version",
    )

    def __init__(
        self, primitive: Primitive, args: Sequence[Any], kwargs: dict[str, Any], links: Sequence[Link], ans: Any
    ) -> None:
        self.primitive = primitive
        # What the function was called with; None in place of an array that no vjp reads. `free` makes it None.
        self.args: Any = args
        self.kwargs = kwargs
        self.links = links
        self.ans = ans if primitive.saves_ans else None
        self.shape, self.dtype = ans.shape, ans.dtype
        # The memory of the result, and how often it had been written to when this was recorded.
        self.memory = Memory()
        self.version = 0
        # A weak reference to the Tensor whose gradient is to be kept (retain_grad).
        self.retaining: Any = None

    def free(self) -> None:
        """Drop what was saved; the next pass through this node is refused."""
        self.args = self.ans = None
        self.links = ()


# For each operand: the Node or leaf that it came from (None if no gradient flows to it), its memory (None if it
# was a plain array), and how often that had been written to; for a large plain array its fingerprint.
Link = tuple[Any, Memory | None, Any]
_CONSTANT: Link = (None, None, 0)


def no_gradient_rule(call: str, name: str | None = None) -> TypeError:
    """The error for a call that cannot be differentiated, of the function of this name, which may get a rule."""
    rule = f"add one with rprop_ref.autograd.register_vjp({name}, ...), " if name is not None else ""
    return TypeError(
        f"{call} has no rule for its gradient; {rule}write "
        "it with functions that have one, or give it values that need no gradient (t.detach() or t.data)"
    )


def apply(primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any] = NO_KEYWORDS) -> Any:
    """Call a primitive, and record the call if a gradient flows through it."""
    tracked = False
    arrays: list[Any] = []
    for i, arg in enumerate(args):
        if isinstance(arg, Traced):
            if arg._base is not None:
                refresh(arg)
            tracked = tracked or arg._requires_grad
            arrays.append(arg._array if arg._kind == "array" else operand(arg))
        elif (type(arg) is list or type(arg) is tuple) and i < len(primitive.vjps):
            check_plain(arg, f"argument {i} of {primitive.name}")
            joined = as_array(arg)
            args = (*args[:i], joined, *args[i + 1 :])
            tracked = tracked or any_tracked(joined)
            # An empty list has no dtype in NumPy's functions, but has one as an array.
            arrays.append(joined._array if isinstance(joined, Traced) else arg)
        else:
            if type(arg) not in _PLAIN_TYPES:
                _check_operand(arg, primitive, i)
            arrays.append(arg)
    ans = primitive.fun(*arrays, **kwargs) if kwargs else primitive.fun(*arrays)
    kind: Kind = "array"
    if type(ans) is not np.ndarray:
        if isinstance(ans, np.ndarray):
            check_plain(ans, f"the result of {primitive.name}")
        kind = kind_of(ans)
        ans = np.asarray(ans)
        if kind == "number" and tracked and mode.enabled:
            # Made by Python's operators if it comes from an array of objects.
            for array in arrays:
                if isinstance(array, np.ndarray):
                    keeps_gradient(array.dtype, primitive.name)
    is_recorded = (
        tracked and mode.enabled and (ans.dtype in _USUAL_DTYPES or keeps_gradient(ans.dtype, primitive.name))
    )
    out = new_tensor(ans, new_node(primitive, args, kwargs, ans) if is_recorded else None)
    out._kind = kind
    if primitive.view:
        _mark_view(out, args[0], (primitive, args[1:], kwargs))
    return out


def apply_to_sequence(primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Likewise, for a primitive whose first argument is a sequence of arrays."""
    for arg in args[0]:
        check_plain(arg, f"an argument of {primitive.name}")
    operands = tuple(a if isinstance(a, (Traced, np.ndarray)) else np.asarray(a) for a in args[0])
    args = (operands, *args[1:])
    ans = primitive.fun([values(a) for a in operands], *args[1:], **kwargs)
    check_plain(ans, f"the result of {primitive.name}")
    kind, ans = kind_of(ans), np.asarray(ans)
    is_recorded = any_tracked(operands) and mode.enabled and keeps_gradient(ans.dtype, primitive.name)
    out = new_tensor(ans, new_node(primitive, args, kwargs, ans) if is_recorded else None)
    out._kind = kind
    return out


def keeps_gradient(dtype: np.dtype[Any], name: str) -> bool:
    """Whether gradients flow through results of this dtype: not through integers. Raises if no Tensor has it."""
    if dtypes.is_supported(dtype):
        return True
    if dtype.kind in "biu":
        return False
    raise TypeError(
        f"{name} gives values of dtype {dtype}, in which no gradients are computed, from values that require a "
        "gradient; use numbers of float64 or complex128, for instance array.astype(float)"
    )


def _check_operand(value: Any, primitive: Primitive, place: int) -> None:
    """Raise if a value is not an array or a number, whose arithmetic the rules are written for."""
    if not primitive.trusted:
        return  # the function of a user, who knows what it takes
    check_plain(value, f"argument {place} of {primitive.name}")
    if place < len(primitive.vjps):
        check_dense(value, f"argument {place} of {primitive.name}")
    if place < len(primitive.vjps) and not isinstance(value, (*NUMBERS, numbers.Number)):
        raise TypeError(
            f"argument {place} of {primitive.name} is of type {typename(value)}, beside a Tensor; give its "
            "numbers as a plain array, for instance by numpy.asarray or .to_numpy()"
        )


def is_sparse(value: Any) -> bool:
    """Whether a value is a sparse array or matrix of SciPy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and sparse.issparse(value)


def check_dense(value: Any, name: str) -> None:
    """Raise if a value is a sparse array."""
    if is_sparse(value):
        raise TypeError(
            f"{name} is a sparse array, beside a Tensor; write A @ x for their product, and A.toarray() for "
            "everything else"
        )


def operate(primitive: Primitive, other: Any, args: tuple[Any, Any]) -> Any:
    """Call a primitive for an operator; `other` is the operand that may be of any type.

    Sparse arrays and those of pandas are refused here, since their own messages would not say what to write.
    """
    if isinstance(other, _OPERANDS) or hasattr(other, "__pandas_priority__") or is_sparse(other):
        try:
            return apply(primitive, args)
        except Exception as error:
            note_if_refused(error, primitive.fun, args)
            raise
    return NotImplemented


def new_node(primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any], ans: Array) -> Node:
    """Record a call with the result `ans`."""
    count = 1 if primitive.takes_sequence else len(primitive.vjps)
    arrays: list[Any] = []
    links: list[Link] = []
    for i, arg in enumerate(args[0] if primitive.takes_sequence else args[:count]):
        place = 0 if primitive.takes_sequence else i
        vjp = primitive.vjps[place]
        kept, link = arg, _CONSTANT
        if isinstance(arg, Traced):
            parent = None
            if arg._requires_grad and vjp is not None:
                if vjp is NO_VJP:
                    raise no_gradient_rule(f"argument {i} of {primitive.name}", primitive.name)
                parent = arg if arg._node is None else arg._node
            memory = arg._memory
            # A leaf holds its array anyway.
            kept = arg._array if primitive.takes_sequence or arg._node is None or primitive.saves[place] else None
            link = (parent, memory, memory.writes)
        # The array of a Tensor without a gradient may be the caller's as well.
        is_callers = isinstance(kept, np.ndarray) and not (isinstance(arg, Traced) and arg._requires_grad)
        if is_callers and (vjp is None or primitive.saves[place]):
            # Callers reuse masks and buffers; copies of large arrays would need too much memory.
            if vjp is None or kept.nbytes <= COPIED_BYTES or kept.dtype.hasobject:
                kept = np.array(kept, order="K")
            else:
                link = (None, None, fingerprint(kept))
        arrays.append(kept)
        links.append(link)
    saved: Any = (tuple(arrays),) if primitive.takes_sequence else arrays
    for i in range(count, len(args)):
        kept = _snapshot(primitive, i, args[i])
        if kept is args[i] and is_sparse(kept):
            links.append((None, None, fingerprint(kept)))
        saved = [*saved, kept]
    return Node(primitive, saved, kwargs, links, ans)


#: A fingerprint is made of the sums of so many columns. A prime, so that few arrays have rows of whole multiples.
_COLUMNS = 509


def fingerprint(x: Any) -> int:
    """A number by which it is noticed that an array, or a sparse one, has been changed in place.

    Sums of columns of the memory, read once; faster than a copy.
    """
    if isinstance(x, np.ndarray):
        memory = x.ravel("K").view(np.uint8)
        end = memory.size // (8 * _COLUMNS) * (8 * _COLUMNS)
        words = memory[:end].view(np.uint64).reshape(-1, _COLUMNS)
        return hash(np.add.reduce(words, axis=0).tobytes() + memory[end:].tobytes())
    parts = [part for name in _SPARSE_PARTS if (part := getattr(x, name, None)) is not None]
    return hash(tuple(fingerprint(np.asarray(part)) for part in parts))


# What sparse arrays consist of: those of the formats named here, others are copied.
_SPARSE_PARTS = ("data", "indices", "indptr", "coords", "offsets")
_SPARSE_FORMATS = ("csr", "csc", "bsr", "coo", "dia")


def _snapshot(primitive: Primitive, place: int, value: Any) -> Any:
    """The present value of an argument without a vjp, such as an axis or an index."""
    kind = type(value)
    if kind is int or value is None or kind is str:
        return value
    if isinstance(value, np.ndarray):
        return np.array(value)
    if kind is tuple or kind is list:
        return kind([_snapshot(primitive, place, v) for v in value])
    if is_sparse(value) and (
        value.format not in _SPARSE_FORMATS or value.nnz * value.dtype.itemsize <= COPIED_BYTES
    ):
        return value.copy()
    if isinstance(value, Traced):
        if value._requires_grad:
            raise no_gradient_rule(f"argument {place} of {primitive.name}", primitive.name)
        return value._array.copy()
    return value


# -----------------------------------------------------------------------------------------------------------
# Views


def _mark_view(out: Traced, source: Traced, view_op: Any) -> None:
    """Mark the result as a view if it shares memory with its source."""
    # NumPy gives all views of an array the same owner as their ``base``.
    base, x = out._array.base, source._array
    if not (out._array is x or (base is not None and (base is x or base is x.base))):
        return
    out._memory = memory = source._memory
    out._taken_at = memory.recorded
    if out._node is not None:
        out._node.memory, out._node.version = memory, memory.writes
    out._base = source if source._base is None else source._base
    before = view_ops_of(source)
    out._view_ops = None if before is None or not mode.enabled else (*before, view_op)


def view_ops_of(tensor: Traced) -> ViewOps | None:
    """How a Tensor is taken from the one that it is a view of; none for one that is no view."""
    return () if tensor._base is None else tensor._view_ops


def refresh(view: Traced) -> None:
    """Take a view again if its memory has been given another history since it was taken."""
    if view._taken_at == view._memory.recorded or view._view_ops is None:
        return
    fresh: Any = view._base
    before, mode.enabled = mode.enabled, True
    try:
        for primitive, args, kwargs in view._view_ops:
            fresh = apply(primitive, (fresh, *args), kwargs)
    finally:
        mode.enabled = before
    view._taken_at = view._memory.recorded
    set_node(view, fresh._node)


def set_node(tensor: Traced, node: Node | None) -> None:
    """Give a Tensor another history; as in torch, `retain_grad` then applies to the new value."""
    before = tensor._node
    if before is not None and before.retaining is not None and node is not None:
        node.retaining, before.retaining = before.retaining, None
    tensor._node = node
    tensor._requires_grad = node is not None


def is_differentiated(x: Any) -> bool:
    """Whether a call of value_and_grad that is under way, in any thread, needs the gradient of a value."""
    return next(_recordings(x), None) is not None


def _recordings(x: Any) -> Iterator[Recording]:
    """The calls of value_and_grad that need the gradient of a value, or of one inside it."""
    if not (differentiated and mode.enabled and any_tracked(x)):
        return
    stack = [source(tensor) for tensor in _tensors(x)]
    seen = set(stack)
    while stack:
        origin = stack.pop()
        if (recording := differentiated.get(origin)) is not None:
            yield recording
        for parent, _, _ in origin.links if type(origin) is Node else ():
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)


def _tensors(x: Any) -> Iterator[Traced]:
    """The Tensors in nested lists, tuples and dicts."""
    if isinstance(x, Traced):
        yield x
    elif isinstance(x, (list, tuple, dict)):
        for item in x.values() if isinstance(x, dict) else x:
            yield from _tensors(item)


def source(tensor: Traced) -> Any:
    """The Node that a Tensor comes from; a leaf itself."""
    return tensor if tensor._node is None else tensor._node


def refusal(error: Error, x: Any) -> Error:
    """Note the error with which something is refused that NumPy would compute with these values.

    The function that is recorded, or another package, may catch it, in any thread, and return what it would not
    have returned for arrays.
    """
    for recording in _recordings(x):
        recording.refused = error
    return error


def note_if_refused(error: Exception, fun: Any, args: Any, kwargs: dict[str, Any] = NO_KEYWORDS) -> None:
    """Note the error of a call with Tensors, unless the call with arrays has one as well."""
    if not is_differentiated((args, kwargs)):
        return
    if fun not in _FILE_WRITERS:
        try:
            fun(*_copies(args), **_copies(kwargs))
        except Exception:
            return
    refusal(error, (args, kwargs))


_FILE_WRITERS = {np.save, np.savez, np.savez_compressed, np.savetxt}


def _copies(x: Any) -> Any:
    """The same with copies of arrays and in place of Tensors, also inside lists, tuples and dicts."""
    if isinstance(x, dict):
        return {name: _copies(value) for name, value in x.items()}
    if type(x) in (list, tuple):
        return type(x)(_copies(value) for value in x)
    x = values(x)
    return x.copy() if isinstance(x, np.ndarray) else x


def any_tracked(x: Any) -> bool:
    """Whether a value, or one inside it, requires a gradient; refreshes views."""
    if isinstance(x, Traced):
        if x._base is not None:
            refresh(x)
        return x._requires_grad
    if isinstance(x, (list, tuple)):
        # Not any(): all views have to be refreshed.
        return max(map(any_tracked, x), default=False)
    if isinstance(x, dict):
        return any_tracked(list(x.values()))
    return False
