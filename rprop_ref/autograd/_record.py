"""Recording: a function that has a rule is computed on arrays, and a `Node` remembers how."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ._mode import mode
from ._rules import NO_RULE, Rule, name_of
from ._traced import Array, Traced, any_tracked, new, values

# NumPy with functions that take Tensors, which its types do not say.
_np: Any = np

NO_KEYWORDS: dict[str, Any] = {}
NUMBERS = (bool, int, float, complex, np.generic, np.ndarray)

STALE_VIEW = (
    "this Tensor is a view of one that has been changed in place since the view was taken, so its record of where "
    "its values come from is not true any more; take the view again after the change"
)


class Node:
    """One recorded operation: its rule, the arrays it was called with, and where these came from.

    Links go to older objects only, so that nothing here is a reference cycle.
    """

    __slots__ = ("ans", "args", "inputs", "keep", "kwargs", "parents", "rule", "versions", "writes")

    def __init__(
        self,
        rule: Rule,
        args: Any,
        kwargs: dict[str, Any],
        inputs: Any,
        parents: tuple[Any, ...],
        versions: tuple[int, ...],
        ans: Any,
    ) -> None:
        self.rule = rule
        # As the function got them: arrays and constants. None once they have been freed.
        self.args = args
        self.kwargs = kwargs
        # The same with Tensors in place of their arrays, for passes that are recorded themselves.
        self.inputs = inputs
        # For each argument the node, or the leaf, that it came from; None if no gradient flows there.
        self.parents = parents
        # How often each argument had been changed in place when it was used.
        self.versions = versions
        self.ans = ans
        # How often the memory of the result has been written to since.
        self.writes = 0
        # A weak reference to the Tensor that wants to know its gradient (retain_grad).
        self.keep: Any = None


def no_rule(func: Any, what: str | None = None) -> TypeError:
    name = what or name_of(func)
    return TypeError(
        f"{name} has no rule for its gradient; add one with rprop_ref.autograd.register_vjp({name}, ...), write "
        "it with functions that have one, or give it values that need no gradient (t.detach() or t.data)"
    )


def apply(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any] = NO_KEYWORDS) -> Any:
    """Compute a function that has a rule."""
    tracked = False
    arrays = []
    for i, arg in enumerate(args):
        if isinstance(arg, Traced):
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
        _mark_view(out, args[0])
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
    if not isinstance(other, (Traced, *NUMBERS)) and not isinstance(other, (list, tuple)):
        return NotImplemented
    return apply(rule, args)


def node_of(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any], ans: Array) -> Node:
    """Record an operation."""
    operands = args[0] if rule.joint else args[: len(rule.vjps)]
    vjps = rule.vjps
    arrays: list[Any] = []
    parents: list[Any] = []
    versions: list[int] = []
    for i, arg in enumerate(operands):
        if isinstance(arg, Traced):
            arrays.append(arg._data)
            if arg._base is not None and _stale(arg):
                raise RuntimeError(STALE_VIEW)
            versions.append(arg._version)
            if arg._requires_grad and (vjp := vjps[0 if rule.joint else i]) is not None:
                if vjp is NO_RULE:
                    raise no_rule(rule.fun, f"argument {i} of {rule.name}")
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
        saved: Any = (tuple(arrays), *args[1:])
    else:
        saved = (*arrays, *args[len(operands) :]) if len(args) > len(operands) else arrays
    return Node(rule, saved, kwargs, args, tuple(parents), tuple(versions), ans)


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
            raise no_rule(rule.fun, f"argument {place} of {rule.name}")
        return value._data.copy()
    return value


# -----------------------------------------------------------------------------------------------------------
# Views


def _mark_view(out: Traced, source: Traced) -> None:
    """Let a result that shares the memory of its source know it.

    NumPy gives all views of an array the same owner as their ``base``.
    """
    base, x = out._data.base, source._data
    if out._data is x or (base is not None and (base is x or base is x.base)):
        share(out, source)


def share(view: Traced, source: Traced) -> None:
    owner = source._owner()
    view._base = weakref.ref(owner)
    view._version = owner._version


def _stale(tensor: Traced) -> bool:
    version = tensor._current()
    if version == tensor._version:
        return False
    if tensor._requires_grad and tensor._node is not None:
        return True
    # A detached view sees the new values; there is no record that could be wrong.
    tensor._version = version
    return False
