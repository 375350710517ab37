"""NumPy's protocols: what happens to a call of NumPy with a Tensor among its arguments.

The function is looked up in the tables of `_rules`. It is recorded if it has a rule; called with arrays if its
result does not depend differentiably on them, or if no gradient is wanted; and refused otherwise.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from ._inplace import check_write, overwritten, write
from ._mode import mode
from ._record import any_tracked, apply, apply_joint, no_rule
from ._rules import BUFFERS, COMPOSITES, PLAIN, RULES, Rule, arguments_of, name_of
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
    """A ufunc that is called with keywords, or has no rule yet, or one of its methods."""
    out = kwargs.pop("out", None)
    if ufunc not in RULES and ufunc not in PLAIN:
        _load_special(ufunc)
    if method in ("reduce", "accumulate"):
        function = _METHODS.get((ufunc, method))
        if function is not None and out is None:
            if len(inputs) == 1 and "axis" not in kwargs:
                kwargs["axis"] = 0
            return function(*inputs, **kwargs)
    elif method == "__call__":
        rule = RULES.get(ufunc)
        if ufunc in COMPOSITES and out is None:
            return COMPOSITES[ufunc](*inputs, **kwargs)
        if rule is not None and not kwargs:
            return apply(rule, inputs) if out is None else _apply_out(rule, inputs, out)
    tracked = mode.enabled and any_tracked((inputs, out or ()))
    if not tracked or ufunc in PLAIN:
        targets = [t for t in (inputs[:1] if method == "at" else out or ()) if isinstance(t, Traced)]
        for t in targets:
            check_write(t, name_of(ufunc))
        if out is not None:
            kwargs["out"] = values(out)
        found = getattr(ufunc, method)(*values(inputs), **{k: values(v) for k, v in kwargs.items()})
        for t in targets:
            overwritten(t)
        if out is None or not targets:
            return found
        return (
            out[0] if len(out) == 1 else tuple(t if t is not None else f for t, f in zip(out, found, strict=True))
        )
    name = name_of(ufunc)
    if method != "__call__":
        name = f"{name}.{method}"
    if kwargs and (ufunc in RULES or (ufunc, method) in _METHODS):
        name += f" with {', '.join(f'{key}=' for key in kwargs)}"
    raise no_rule(ufunc, name)


def _apply_out(rule: Rule, inputs: tuple[Any, ...], out: tuple[Any, ...]) -> Any:
    """The result is written into a Tensor; into an array only if nothing is lost by that."""
    (target,) = out
    if isinstance(target, Traced):
        return write(target, rule, inputs, lambda *arrays: rule.fun(*arrays, out=target._data))
    if mode.enabled and any_tracked(inputs):
        raise RuntimeError(
            f"{rule.name}(): functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad. Make `out` a Tensor"
        )
    return rule.fun(*values(inputs), out=target)


# Functions that change their first argument, and what it is called.
_WRITERS: dict[Any, str] = {
    np.copyto: "dst",
    np.put: "a",
    np.putmask: "a",
    np.place: "arr",
    np.put_along_axis: "arr",
    np.fill_diagonal: "a",
}


def _writer(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function that changes its first argument; not recorded, but the change is counted."""
    if mode.enabled and any_tracked((args, kwargs)):
        raise TypeError(f"{name_of(func)} has no rule for its gradient; write t[index] = value, which has one")
    target = args[0] if args else kwargs.get(_WRITERS[func])
    if isinstance(target, Traced):
        check_write(target, name_of(func))
    found = func(*values(args), **{k: values(v) for k, v in kwargs.items()})
    if isinstance(target, Traced):
        overwritten(target)
    return found


def call_function(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy that is not a ufunc."""
    composite = COMPOSITES.get(func)
    if composite is not None:
        return composite(*args, **kwargs)
    rule = RULES.get(func)
    if rule is not None:
        if kwargs:
            args, kwargs = _positional(rule, args, kwargs)
        return apply_joint(rule, args, kwargs) if rule.joint else apply(rule, args, kwargs)
    if func in _WRITERS:
        return _writer(func, args, kwargs)
    if func in BUFFERS:
        return new(func(*values(args), **{k: values(v) for k, v in kwargs.items()}), None)
    if func in PLAIN or not (mode.enabled and any_tracked((args, kwargs))):
        return func(*values(args), **{k: values(v) for k, v in kwargs.items()})
    raise no_rule(func)


def _positional(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Check the keywords, and move those that are Tensors, or stand for arguments with rules, to their places."""
    names = rule.keywords
    if names is None:
        names = rule.keywords = arguments_of(rule)
        if names is None:
            return args, {name: _keyword(rule, name, value) for name, value in kwargs.items()}
    # NumPy's names of the first argument vary.
    for alias in ("a", "x", "m", "arr", "array", "ary"):
        if alias in kwargs and not args and alias not in names:
            args = (kwargs.pop(alias),)
    absent = {"out": None, "dtype": None, "initial": np._NoValue, "where": np._NoValue, "mean": np._NoValue}
    kept = {}
    for name, value in kwargs.items():
        if name in names and not (name == "out" and value is not None):
            kept[name] = value
        elif not (name in absent and value is absent[name]) and not (name == "copy" and value is None):
            raise no_rule(rule.fun, f"{rule.name} with {name}=")
    while len(args) < len(rule.vjps):
        following = next((n for n, i in names.items() if i == len(args)), None)
        if following is None or following not in kept:
            break
        args = (*args, kept.pop(following))
    return args, {name: _keyword(rule, name, value) for name, value in kept.items()}


def _keyword(rule: Rule, name: str, value: Any) -> Any:
    if mode.enabled and any_tracked(value):
        raise no_rule(rule.fun, f"the argument {name} of {rule.name}")
    return values(value)


def _load_special(ufunc: Any) -> None:
    """Rules for SciPy's special functions are loaded when one of them is met."""
    special = sys.modules.get("scipy.special")
    if special is not None and getattr(special, ufunc.__name__, None) is ufunc:
        importlib.import_module("rprop_ref.autograd._special")
