"""NumPy's protocols: what happens to a call of NumPy with a Tensor among its arguments.

The function is looked up in the tables of `_rules`. It is recorded if it has a rule; called with arrays if its
result does not depend differentiably on them, or if no gradient is wanted; and refused otherwise.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ._inplace import check_write, overwritten, write
from ._mode import mode
from ._record import any_tracked, apply, apply_joint, no_rule
from ._rules import BUFFERS, COMPOSITES, PLAIN, RULES, Rule, arguments_of, is_numpys, name_of, signature_of
from ._traced import Traced, new, values

#: What methods of ufuncs are in terms of functions.
_METHODS: dict[Any, Any] = {
    (np.add, "reduce"): np.sum,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "reduce"): np.prod,
    (np.multiply, "accumulate"): np.cumprod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
}


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A ufunc that is called with keywords, or has no rule of its own, or one of its methods."""
    outs = kwargs.pop("out", ())
    if ufunc not in RULES and ufunc not in PLAIN:
        _load_special(ufunc)
    if method == "__call__":
        if not kwargs:
            if ufunc in COMPOSITES and not outs:
                return COMPOSITES[ufunc](*inputs)
            if (rule := RULES.get(ufunc)) is not None:
                return _apply_out(rule, inputs, outs[0]) if outs else apply(rule, inputs)
    elif not outs and (function := _METHODS.get((ufunc, method))) is not None:
        if len(inputs) == 1:
            kwargs.setdefault("axis", 0)
        return function(*inputs, **kwargs)
    elif method == "outer" and not kwargs and not outs and ufunc in RULES:
        a, b = inputs
        return ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)
    if ufunc not in PLAIN and mode.enabled and any_tracked((inputs, outs)):
        name = name_of(ufunc)
        if method != "__call__":
            raise no_rule(f"{name}.{method}", "f")
        if kwargs and (ufunc in RULES or ufunc in COMPOSITES):
            raise no_rule(_with(name, kwargs), name)
        raise no_rule(name, name)
    targets = inputs[:1] if method == "at" else outs
    if outs:
        kwargs["out"] = outs
    return _on_arrays(getattr(ufunc, method), name_of(ufunc), inputs, kwargs, targets)


def _with(name: str, arguments: Iterable[str]) -> str:
    return f"{name} with {', '.join(f'{argument}=' for argument in arguments)}"


def _on_arrays(
    function: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], targets: Sequence[Any] = ()
) -> Any:
    """Call a function as it is, on arrays; some of the Tensors, the `targets`, it writes to."""
    tensors = [t for t in targets if isinstance(t, Traced)]
    for tensor in tensors:
        check_write(tensor, name)
    found = function(*values(args), **{key: values(value) for key, value in kwargs.items()})
    for tensor in tensors:
        overwritten(tensor)
    if not tensors or found is None:
        return found
    if len(targets) == 1:
        return targets[0]
    return tuple(f if t is None else t for t, f in zip(targets, found, strict=True))


def _apply_out(rule: Rule, inputs: tuple[Any, ...], target: Any) -> Any:
    """The result is written into a Tensor; into an array only if nothing is lost by that."""
    if isinstance(target, Traced):
        return write(target, rule, inputs, lambda *arrays: rule.fun(*arrays, out=target._data))
    if mode.enabled and any_tracked(inputs):
        raise RuntimeError(
            f"{rule.name}(): functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad. Make `out` a Tensor"
        )
    return rule.fun(*values(inputs), out=target)


# Functions that change their first argument (one of them if there is no copy=True), and what it is called.
_WRITERS: dict[Any, str] = {
    np.copyto: "dst",
    np.put: "a",
    np.putmask: "a",
    np.place: "arr",
    np.put_along_axis: "arr",
    np.fill_diagonal: "a",
    np.nan_to_num: "x",
}


def call_function(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy that is not a ufunc."""
    if (len(args) > 1 or "out" in kwargs) and (out := _out(func, args, kwargs)) is not None:
        return _call_plain(func, args, kwargs, "out", out)
    composite = COMPOSITES.get(func)
    if composite is not None:
        return _call_composite(func, composite, args, kwargs)
    rule = RULES.get(func)
    if rule is not None:
        if len(args) > rule.most:
            args, kwargs = _named(func, args, kwargs, rule.most)
        if kwargs:
            args, kwargs, unknown = _positional(rule, args, kwargs)
            if unknown is not None:
                return _call_plain(func, args, kwargs, unknown)
        return apply_joint(rule, args, kwargs) if rule.joint else apply(rule, args, kwargs)
    if func in BUFFERS:
        return new(_on_arrays(func, name_of(func), args, kwargs), None)
    return _call_plain(func, args, kwargs)


def _call_plain(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], what: str = "", out: Any = None) -> Any:
    """Call a function as it is, if no gradient is lost by that; `what` it was given that there is no rule for."""
    name = name_of(func)
    tracked = func not in PLAIN and mode.enabled and any_tracked((args, kwargs))
    if func in _WRITERS:
        if tracked:
            raise TypeError(
                f"{name} changes its argument in place, and has no rule for the gradient of that; write "
                "t[index] = value, which has one"
            )
        out = args[0] if args else kwargs.get(_WRITERS[func])
    if tracked:
        raise no_rule(_with(name, [what]) if what else name, name)
    return _on_arrays(func, name, args, kwargs, () if out is None else (out,))


def _out(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The array that a result is to be written into, if there is one among the arguments."""
    if "out" in kwargs:
        return kwargs["out"] if is_numpys(func) else None
    names = _names_of(func)
    place = names.index("out") if "out" in names else len(args)
    return args[place] if place < len(args) else None


# What older versions of NumPy do not say of their functions in C (2.0 does not, 2.4 does).
_NAMES = {"concatenate": ["arrays", "axis", "out"], "dot": ["a", "b", "out"]}


@functools.cache
def _names_of(func: Any) -> list[str]:
    """The names of the positional arguments of a function of NumPy; none if they cannot be found out."""
    import inspect  # takes long to load

    if not is_numpys(func):
        return []
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return _NAMES.get(func.__name__, [])
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


# Arguments that say nothing if they have this value.
_ABSENT: dict[str, Any] = {
    "out": None,
    "dtype": None,
    "copy": None,
    "initial": np._NoValue,
    "where": np._NoValue,
    "mean": np._NoValue,
}


def _said(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if value is not _ABSENT.get(name, _ABSENT)}


def _named(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], count: int) -> tuple[Any, dict[str, Any]]:
    """The arguments with no more than `count` of them without a name."""
    names = _names_of(func)[count : len(args)]
    if len(names) < len(args) - count:
        raise TypeError(f"{name_of(func)} with {len(args)} arguments by position; give them by keyword")
    return args[:count], {**dict(zip(names, args[count:], strict=True)), **kwargs}


def _call_composite(func: Any, composite: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function that is written in terms of others, which may not take all that NumPy's takes."""
    count, takes = signature_of(composite)
    if count is not None and len(args) > count:
        args, kwargs = _named(func, args, kwargs, count)
    kwargs = _said(kwargs)
    for name in kwargs:
        if name not in takes:
            return _call_plain(func, args, kwargs, name)
    found = composite(*args, **kwargs)
    return _call_plain(func, args, kwargs) if found is NotImplemented else found


def _positional(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, str | None]:
    """Move keywords that are Tensors, or stand for arguments with rules, to their places; one that is unknown."""
    names = rule.keywords
    if names is None:
        names = rule.keywords = arguments_of(rule)
        if names is None:
            return args, {name: _keyword(rule, name, value) for name, value in kwargs.items()}, None
    # NumPy's names of the first argument vary.
    for alias in ("a", "x", "m", "arr", "array", "ary"):
        if alias in kwargs and not args and alias not in names:
            args = (kwargs.pop(alias),)
    kwargs = _said(kwargs)
    for name in kwargs:
        if name not in names:
            return args, kwargs, name
    while len(args) < len(rule.vjps):
        following = next((n for n, i in names.items() if i == len(args)), None)
        if following is None or following not in kwargs:
            break
        args = (*args, kwargs.pop(following))
    return args, {name: _keyword(rule, name, value) for name, value in kwargs.items()}, None


def _keyword(rule: Rule, name: str, value: Any) -> Any:
    if mode.enabled and any_tracked(value):
        raise no_rule(f"the argument {name} of {rule.name}", rule.name)
    return values(value)


def _load_special(ufunc: Any) -> None:
    """Rules for SciPy's special functions are loaded when one of them is met."""
    special = sys.modules.get("scipy.special")
    if special is not None and getattr(special, ufunc.__name__, None) is ufunc:
        importlib.import_module("rprop_ref.autograd._special")
