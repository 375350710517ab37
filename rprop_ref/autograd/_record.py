"""Recording: a function that has a rule is computed on arrays, and a `Node` remembers how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._mode import mode
from ._rules import NO_RULE, Rule
from ._traced import Array, Memory, Steps, Traced, new, values

# NumPy with functions that take Tensors, which its types do not say.
_np: Any = np

NO_KEYWORDS: dict[str, Any] = {}
NUMBERS = (bool, int, float, complex, np.generic, np.ndarray)
_OPERANDS = (Traced, *NUMBERS, list, tuple)


class Node:
    """One recorded operation: its rule, the arrays it was called with, and where these came from.

    Links go to older nodes and leaves only, so that nothing here is a reference cycle.
    """

    __slots__ = ("ans", "args", "dtype", "keep", "kwargs", "links", "memory", "rule", "shape", "version")

    def __init__(
        self, rule: Rule, args: Sequence[Any], kwargs: dict[str, Any], links: Sequence[Link], ans: Any
    ) -> None:
        self.rule = rule
        # As the function got them: arrays and constants, None for one that no rule looks at. None once all have
        # been freed.
        self.args = args
        self.kwargs = kwargs
        self.links = links
        self.ans = ans if rule.keeps_ans else None
        self.shape, self.dtype = ans.shape, ans.dtype
        # The memory of the result, and how often it had been written to then.
        self.memory = Memory()
        self.version = 0
        # A weak reference to the Tensor that wants to know its gradient (retain_grad).
        self.keep: Any = None


# For each operand the Node, or the leaf, that it came from (None if no gradient flows there), its memory (None if
# it was a plain array), and how often that had been written to.
Link = tuple[Any, Memory | None, int]
_CONSTANT: Link = (None, None, 0)


def no_rule(what: str, name: str) -> TypeError:
    """The error for a call, `what`, of a function of this name."""
    return TypeError(
        f"{what} has no rule for its gradient; add one with rprop_ref.autograd.register_vjp({name}, ...), write "
        "it with functions that have one, or give it values that need no gradient (t.detach() or t.data)"
    )


def apply(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any] = NO_KEYWORDS) -> Any:
    """Compute a function that has a rule."""
    tracked = False
    arrays = []
    for i, arg in enumerate(args):
        if isinstance(arg, Traced):
            if arg._base is not None:
                refresh(arg)
            tracked = tracked or arg._requires_grad
            arrays.append(arg._data)
        elif (type(arg) is list or type(arg) is tuple) and i < len(rule.vjps):
            joined = _np.stack(arg) if any(isinstance(v, Traced) for v in arg) else np.asarray(arg)
            args = (*args[:i], joined, *args[i + 1 :])
            tracked = tracked or any_tracked(joined)
            arrays.append(values(joined))
        else:
            arrays.append(arg)
    ans = rule.fun(*arrays, **kwargs)
    if type(ans) is not np.ndarray:
        ans = np.asarray(ans)
    out = new(ans, node_of(rule, args, kwargs, ans) if tracked and mode.enabled else None)
    if rule.view:
        _mark_view(out, args[0], (rule, args[1:], kwargs))
    return out


def apply_joint(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The same, of a function whose first argument is a sequence of arrays."""
    operands = tuple(a if isinstance(a, (Traced, np.ndarray)) else np.asarray(a) for a in args[0])
    args = (operands, *args[1:])
    ans = np.asarray(rule.fun([values(a) for a in operands], *args[1:], **kwargs))
    tracked = mode.enabled and any_tracked(operands)
    return new(ans, node_of(rule, args, kwargs, ans) if tracked else None)


def operate(rule: Rule, other: Any, args: tuple[Any, Any]) -> Any:
    """An operator; `other` is what may not be a Tensor among the two operands."""
    return apply(rule, args) if isinstance(other, _OPERANDS) else NotImplemented


def node_of(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any], ans: Array) -> Node:
    """Record an operation."""
    count = 1 if rule.joint else len(rule.vjps)
    arrays: list[Any] = []
    links: list[Link] = []
    for i, arg in enumerate(args[0] if rule.joint else args[:count]):
        vjp = rule.vjps[0 if rule.joint else i]
        if isinstance(arg, Traced):
            parent = None
            if arg._requires_grad and vjp is not None:
                if vjp is NO_RULE:
                    raise no_rule(f"argument {i} of {rule.name}", rule.name)
                parent = arg if arg._node is None else arg._node
            memory = arg._memory
            # A leaf keeps its array itself.
            arrays.append(arg._data if rule.joint or arg._node is None or rule.keeps[i] else None)
            links.append((parent, memory, memory.writes))
        else:
            # A mask is copied, because callers fill them anew; other arrays would cost too much.
            arrays.append(arg.copy() if vjp is None and type(arg) is np.ndarray else arg)
            links.append(_CONSTANT)
    saved: Any = (tuple(arrays),) if rule.joint else arrays
    if len(args) > count:
        saved = [*saved, *[_settled(rule, i, args[i]) for i in range(count, len(args))]]
    return Node(rule, saved, kwargs, links, ans)


def _settled(rule: Rule, place: int, value: Any) -> Any:
    """An argument that there is no rule for, such as an axis or an index, as it is now."""
    kind = type(value)
    if kind is int or value is None or kind is str:
        return value
    if kind is np.ndarray:
        return value.copy()
    if kind is tuple or kind is list:
        return kind([_settled(rule, place, v) for v in value])
    if isinstance(value, Traced):
        if value._requires_grad:
            raise no_rule(f"argument {place} of {rule.name}", rule.name)
        return value._data.copy()
    return value


# -----------------------------------------------------------------------------------------------------------
# Views


def _mark_view(out: Traced, source: Traced, step: Any) -> None:
    """Let a result that shares the memory of its source know it.

    NumPy gives all views of an array the same owner as their ``base``.
    """
    base, x = out._data.base, source._data
    if not (out._data is x or (base is not None and (base is x or base is x.base))):
        return
    out._memory = memory = source._memory
    out._seen = memory.recorded
    if out._node is not None:
        out._node.memory, out._node.version = memory, memory.writes
    out._base = source if source._base is None else source._base
    before = steps_of(source)
    out._steps = None if before is None or not mode.enabled else (*before, step)


def steps_of(tensor: Traced) -> Steps | None:
    """How a Tensor is taken from the one that it is a view of."""
    return () if tensor._base is None else tensor._steps


def refresh(view: Traced) -> None:
    """Take a view again if where its values come from has changed since it was taken."""
    if view._seen == view._memory.recorded or view._steps is None:
        return
    fresh: Any = view._base
    before, mode.enabled = mode.enabled, True
    try:
        for rule, args, kwargs in view._steps:
            fresh = apply(rule, (fresh, *args), kwargs)
    finally:
        mode.enabled = before
    view._seen = view._memory.recorded
    set_node(view, fresh._node)


def set_node(tensor: Traced, node: Node | None) -> None:
    """Give a Tensor another history; as in torch, a gradient that is kept is then that of the new value."""
    before = tensor._node
    if before is not None and before.keep is not None and node is not None:
        node.keep, before.keep = before.keep, None
    tensor._node = node
    tensor._requires_grad = node is not None


def any_tracked(x: Any) -> bool:
    """Whether a value, or one inside it, requires a gradient; views among them are taken again if need be."""
    if isinstance(x, Traced):
        if x._base is not None:
            refresh(x)
        return x._requires_grad
    if isinstance(x, (list, tuple)):
        # Not any(), which stops at the first.
        return max(map(any_tracked, x), default=False)
    if isinstance(x, dict):
        return any_tracked(list(x.values()))
    return False
