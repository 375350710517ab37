"""NumPy's protocols: a call of NumPy with a Tensor among its arguments.

The function is looked up in the tables of `_primitives`. The call is recorded if the function has vjps. It is made
with plain arrays if no gradient flows through the function, or if none is wanted. Otherwise it is refused.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.checks import check_plain
from ._graph import any_tracked, apply, apply_to_sequence, check_dense, no_gradient_rule
from ._inplace import check_write, mark_overwritten, set_item, write
from ._mode import mode
from ._primitives import (
    BUFFERS,
    COMPOSITES,
    EXACT,
    PLAIN,
    PRIMITIVES,
    Primitive,
    argument_places,
    as_array,
    is_numpy_function,
    is_special,
    name_of,
    signature_of,
)
from ._shapes import astype
from ._traced import Traced, kind_of, new_tensor, values
from ._ufuncs import AT, in_dtype, method_of, write_at, write_where

# Arguments of ufuncs that make no difference if they have this value.
_UFUNC_DEFAULTS: dict[str, Any] = {
    "where": True,
    "casting": "same_kind",
    "order": "K",
    "dtype": None,
    "subok": True,
    "signature": None,
}


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a ufunc, or one of its methods."""
    outs = kwargs.pop("out", ())
    if ufunc not in PLAIN:
        _check_arguments(ufunc, inputs, kwargs)
    if kwargs and method == "__call__":
        kwargs = _without_defaults(kwargs, _UFUNC_DEFAULTS)
    if ufunc not in PRIMITIVES and ufunc not in PLAIN:
        _load_special(ufunc)
    if method == "__call__":
        if not kwargs:
            if ufunc in COMPOSITES and not outs:
                return _with_numpys_values(ufunc, name_of(ufunc), COMPOSITES[ufunc], inputs, {}, {})
            if (primitive := PRIMITIVES.get(ufunc)) is not None:
                return _apply_out(primitive, inputs, outs[0]) if outs else apply(primitive, inputs)
        elif ufunc in PRIMITIVES or ufunc in COMPOSITES:
            if set(kwargs) == {"dtype"} and not outs:
                composite = functools.partial(in_dtype, ufunc)
                return _with_numpys_values(ufunc, name_of(ufunc), composite, inputs, kwargs, kwargs)
            if set(kwargs) == {"where"} and len(outs) == 1 and isinstance(outs[0], Traced):
                return write_where(ufunc, inputs, outs[0], kwargs["where"])
    elif method == "at":
        if isinstance(inputs[0], Traced) and mode.enabled and any_tracked(inputs) and ufunc in AT:
            write_at(ufunc, *inputs)
            return None
    elif not outs and (ufunc in PRIMITIVES or ufunc in COMPOSITES):
        # The default of NumPy's functions is another axis.
        named = {"axis": 0, **kwargs} if method in ("reduce", "accumulate") and len(inputs) == 1 else kwargs
        call = f"{name_of(ufunc)}.{method}"
        return _with_numpys_values(getattr(ufunc, method), call, method_of(ufunc, method), inputs, kwargs, named)
    if mode.enabled and any_tracked((inputs, outs)):
        if ufunc not in PLAIN:
            raise _no_ufunc_rule(ufunc, method, kwargs)
        if any(_is_object_array(x) for x in inputs):
            # Of two objects, numpy.logical_and returns one, not a bool.
            raise no_gradient_rule(f"{name_of(ufunc)} of an array of objects")
    targets = inputs[:1] if method == "at" else outs
    if outs:
        kwargs["out"] = outs
    return _call_on_arrays(getattr(ufunc, method), name_of(ufunc), inputs, kwargs, targets)


_PLAIN_TYPES = frozenset([np.ndarray, bool, int, float, str, type(None)])


def _check_arguments(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise if an array among the arguments has other arithmetic than arrays, which the rules do not know."""
    for value in (*args, *kwargs.values()):
        if type(value) not in _PLAIN_TYPES and not isinstance(value, Traced):
            check_plain(value, f"an argument of {name_of(function)}")
            if isinstance(function, np.ufunc) or is_numpy_function(function):
                check_dense(value, f"an argument of {name_of(function)}")


def _is_object_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _no_ufunc_rule(ufunc: Any, method: str, kwargs: dict[str, Any]) -> TypeError:
    name = name_of(ufunc)
    if method == "at":
        return TypeError(
            f"{name}.at is recorded only if it is numpy.add.at or numpy.subtract.at, and changes a Tensor, for "
            "instance np.zeros_like(x); otherwise write t[index] = value"
        )
    if method != "__call__":
        return no_gradient_rule(f"{name}.{method}")
    if kwargs and (ufunc in PRIMITIVES or ufunc in COMPOSITES):
        return no_gradient_rule(_with_arguments(name, kwargs), name)
    return no_gradient_rule(name, name)


def _with_arguments(name: str, arguments: Iterable[str]) -> str:
    return f"{name} with {', '.join(f'{argument}=' for argument in arguments)}"


def _call_on_arrays(
    function: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], targets: Sequence[Any] = ()
) -> Any:
    """Call a function on arrays; it writes to `targets`, some of which may be Tensors."""
    tensors = [t for t in targets if isinstance(t, Traced)]
    for tensor in tensors:
        check_write(tensor, name)
    result = function(*values(args), **{key: values(value) for key, value in kwargs.items()})
    for tensor in tensors:
        mark_overwritten(tensor)
    if not tensors or result is None:
        return result
    if len(targets) == 1:
        return targets[0]
    return tuple(r if t is None else t for t, r in zip(targets, result, strict=True))


def _apply_out(primitive: Primitive, inputs: tuple[Any, ...], target: Any) -> Any:
    """Write the result into a Tensor; into an array only if no gradient is lost by that."""
    if isinstance(target, Traced):
        return write(target, primitive, inputs, lambda *arrays: primitive.fun(*arrays, out=target._array))
    if mode.enabled and any_tracked(inputs):
        raise RuntimeError(
            f"{primitive.name}(): functions with out=... arguments don't support automatic differentiation, but "
            "one of the arguments requires grad. Make `out` a Tensor"
        )
    return primitive.fun(*values(inputs), out=target)


# Functions that change their first argument in place (nan_to_num only with copy=False), and that argument's name.
_WRITERS: dict[Any, str] = {
    np.copyto: "dst",
    np.put: "a",
    np.putmask: "a",
    np.place: "arr",
    np.put_along_axis: "arr",
    np.fill_diagonal: "a",
    np.nan_to_num: "x",
}
# The place of the values that they write.
_WRITTEN = {np.copyto: 1, np.put: 2, np.putmask: 2, np.place: 2, np.put_along_axis: 2, np.fill_diagonal: 1}


def _write_elements(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Let a function write elements into a Tensor, by an assignment to those that it changes."""
    target, written = args[0], as_array(args[_WRITTEN[func]])
    others, kwargs = list(values(args)), values(kwargs)
    # NumPy's errors come first.
    func(others[0].copy(), *others[1:], **kwargs)
    # Which of the values is written to each element.
    others[0] = np.full(target.shape, -1)
    others[_WRITTEN[func]] = np.arange(written.size).reshape(written.shape)
    func(*others, **kwargs)
    set_item(target, others[0] >= 0, np.ravel(written)[others[0][others[0] >= 0]])


def call_function(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a function of NumPy that is not a ufunc."""
    if func not in PLAIN:
        _check_arguments(func, args, kwargs)
    if (len(args) > 1 or "out" in kwargs) and (out := _out_argument(func, args, kwargs)) is not None:
        return _call_plain(func, args, kwargs, "out", out)
    composite = COMPOSITES.get(func)
    if composite is not None:
        return _call_composite(func, composite, args, kwargs)
    primitive = PRIMITIVES.get(func)
    if primitive is not None:
        return _call_primitive(func, primitive, args, kwargs)
    if func in BUFFERS:
        return new_tensor(_call_on_arrays(func, name_of(func), args, kwargs), None)
    return _call_plain(func, args, kwargs)


def _call_primitive(func: Any, primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if len(args) > primitive.max_positional:
        args, kwargs = _named(func, args, kwargs, primitive.max_positional)
    if kwargs:
        args, kwargs, unsupported = _positional(primitive, args, kwargs)
        if unsupported is not None:
            return _call_plain(func, args, kwargs, unsupported)
    return (apply_to_sequence if primitive.takes_sequence else apply)(primitive, args, kwargs)


def _call_plain(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], unsupported: str = "", out: Any = None
) -> Any:
    """Call a function on arrays if no gradient is lost by that; the error names the `unsupported` argument."""
    name = name_of(func)
    tracked = func not in PLAIN and mode.enabled and any_tracked((args, kwargs))
    if func in _WRITERS:
        if tracked and func in _WRITTEN and _WRITTEN[func] < len(args) and isinstance(args[0], Traced):
            return _write_elements(func, args, kwargs)
        if tracked:
            raise TypeError(
                f"{name} writes values that require a gradient into an array, or has no rule for the gradient of "
                "what it writes; write t[index] = value, which has one, where t is a Tensor, for instance "
                "np.zeros_like(x)"
            )
        out = args[0] if args else kwargs.get(_WRITERS[func])
    if tracked:
        raise no_gradient_rule(_with_arguments(name, [unsupported]) if unsupported else name, name)
    return _call_on_arrays(func, name, args, kwargs, () if out is None else (out,))


def _out_argument(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The array that the result is to be written into, if one is among the arguments."""
    if "out" in kwargs:
        return kwargs["out"] if is_numpy_function(func) else None
    names = _positional_names(func)
    place = names.index("out") if "out" in names else len(args)
    return args[place] if place < len(args) else None


# Functions in C whose signatures older versions of NumPy do not tell (2.0 does not, 2.4 does).
_POSITIONAL_NAMES = {"concatenate": ["arrays", "axis", "out"], "dot": ["a", "b", "out"]}


@functools.cache
def _parameters(func: Any) -> tuple[Any, ...]:
    """The parameters of a function of NumPy; none if they are unknown."""
    import inspect  # slow to import

    if is_numpy_function(func):
        with contextlib.suppress(TypeError, ValueError):
            return tuple(inspect.signature(func).parameters.values())
    return ()


@functools.cache
def _positional_names(func: Any) -> list[str]:
    """The names of the positional arguments of a function of NumPy; empty if they are unknown."""
    names = [p.name for p in _parameters(func) if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names or _POSITIONAL_NAMES.get(func.__name__, []) if is_numpy_function(func) else []


# Arguments that make no difference if they have this value, beside the defaults of the function.
_DEFAULTS: dict[str, Any] = {
    "out": None,
    "dtype": None,
    "copy": None,
    "hermitian": False,
}
# Those of functions that take any keyword.
_HIDDEN_DEFAULTS = {np.clip: _UFUNC_DEFAULTS, np.einsum: {"order": "K", "casting": "safe"}}


def _without_defaults(kwargs: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments whose values are not these."""
    return {
        name: value
        for name, value in kwargs.items()
        if value is not np._NoValue and not (name in defaults and _is_same(value, defaults[name]))
    }


def _is_same(value: Any, default: Any) -> bool:
    return value is default or (
        type(value) is type(default) and type(value) in (bool, int, float, str) and value == default
    )


@functools.cache
def _defaults_of(func: Any) -> dict[str, Any]:
    """The arguments of a function that need not be given, and their values."""
    named = {p.name: p.default for p in _parameters(func) if p.default is not p.empty}
    return {**named, **_HIDDEN_DEFAULTS.get(func, {}), **_DEFAULTS}


def _named(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], count: int) -> tuple[Any, dict[str, Any]]:
    """Leave `count` arguments positional, and turn the others into keywords."""
    names = _positional_names(func)[count : len(args)]
    if len(names) < len(args) - count:
        raise TypeError(f"{name_of(func)} with {len(args)} arguments by position; give them by keyword")
    return args[:count], {**dict(zip(names, args[count:], strict=True)), **kwargs}


def _call_composite(func: Any, composite: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the composite in place of NumPy's function, some of whose arguments it may not take."""
    count, names = signature_of(composite)
    if count is not None and len(args) > count:
        args, kwargs = _named(func, args, kwargs, count)
    if kwargs:
        kwargs = _without_defaults(kwargs, _DEFAULTS)
    if not kwargs.keys() <= set(names):
        kwargs = _without_defaults(kwargs, _defaults_of(func))
    for name in kwargs:
        if name not in names:
            return _call_plain(func, args, kwargs, name)
    if func in EXACT:
        result = composite(*args, **kwargs)
        return _call_plain(func, args, kwargs) if result is NotImplemented else result
    return _with_numpys_values(func, name_of(func), composite, args, kwargs, kwargs)


def _with_numpys_values(
    numpys: Any,
    name: str,
    composite: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    composite_kwargs: dict[str, Any],
) -> Any:
    """What the composite records, with the values of NumPy's function, whose errors come first.

    A call that the composite cannot record is refused if a gradient would be lost; the message has the name.
    """
    arrays, array_kwargs = values(args), {key: values(value) for key, value in kwargs.items()}
    expected = numpys(*arrays, **array_kwargs)
    cause = None
    try:
        # NumPy's function has warned already.
        with np.errstate(all="ignore"):
            result = composite(*args, **composite_kwargs)
    except Exception as error:
        result, cause = NotImplemented, error
    if result is not NotImplemented:
        result = _replace_values(result, expected, [x for x in _flat(arrays) if isinstance(x, np.ndarray)])
    if result is not NotImplemented:
        return result
    if mode.enabled and any_tracked((args, kwargs)):
        # A rule can be added for a function, not for a method of a ufunc.
        is_method = isinstance(getattr(numpys, "__self__", None), np.ufunc)
        raise no_gradient_rule(f"{name} with these arguments", None if is_method else name) from cause
    return expected


def _flat(x: Any) -> Iterator[Any]:
    """The values in nested lists and tuples."""
    if isinstance(x, (list, tuple)):
        for item in x:
            yield from _flat(item)
    else:
        yield x


def _replace_values(result: Any, expected: Any, sources: Sequence[Any]) -> Any:
    """The Tensors of a result with the expected values; NotImplemented if these are of another shape or kind."""
    if isinstance(expected, (list, tuple)):
        if not isinstance(result, (list, tuple)) or len(result) != len(expected):
            return NotImplemented
        items = [_replace_values(r, e, sources) for r, e in zip(result, expected, strict=True)]
        if any(item is NotImplemented for item in items):
            return NotImplemented
        return type(expected)(*items) if hasattr(expected, "_fields") else type(expected)(items)
    if not isinstance(result, Traced):
        return expected
    kind, expected = kind_of(expected), np.asarray(expected)
    if expected is result._array:
        return result
    if expected.shape != result._array.shape:
        return NotImplemented
    kinds = result._array.dtype.kind + expected.dtype.kind
    # Real numbers that NumPy returns as complex ones: numpy.linalg.cond of older versions.
    if kinds[0] != kinds[1] and (kinds != "fc" or np.any(expected.imag)):
        return NotImplemented
    if expected.dtype != result._array.dtype:
        # Computed in another precision than NumPy's.
        result = apply(PRIMITIVES[astype], (result, expected.dtype, "K", "same_kind"))
    # A view remains one only if NumPy's result is one as well.
    if (result._base is not None) != any(np.may_share_memory(expected, source) for source in sources):
        expected = expected.copy()
        result = new_tensor(expected, None) if not result._requires_grad else apply(PRIMITIVES[np.copy], (result,))
    result._array = result._grad_fits = expected
    result._kind = kind
    return result


def _positional(
    primitive: Primitive, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any, str | None]:
    """Make keywords for arguments with vjps positional; the third result is a keyword that is not supported."""
    places = primitive.places
    if places is None:
        places = primitive.places = argument_places(primitive)
        if places is None:
            return args, {name: _constant(primitive, name, value) for name, value in kwargs.items()}, None
    # NumPy's names of the first argument vary.
    for alias in ("a", "x", "m", "arr", "array", "ary"):
        if alias in kwargs and not args and alias not in places:
            args = (kwargs.pop(alias),)
    kwargs = _without_defaults(kwargs, _DEFAULTS)
    if not kwargs.keys() <= places.keys():
        kwargs = _without_defaults(kwargs, _defaults_of(primitive.fun))
    for name in kwargs:
        if name not in places:
            return args, kwargs, name
    while len(args) < len(primitive.vjps):
        following = next((name for name, place in places.items() if place == len(args)), None)
        if following is None or following not in kwargs:
            break
        args = (*args, kwargs.pop(following))
    return args, {name: _constant(primitive, name, value) for name, value in kwargs.items()}, None


def _constant(primitive: Primitive, name: str, value: Any) -> Any:
    """The value of an argument through which no gradient may flow."""
    if mode.enabled and any_tracked(value):
        raise no_gradient_rule(f"the argument {name} of {primitive.name}", primitive.name)
    value = values(value)
    # Callers reuse masks.
    return value.copy() if isinstance(value, np.ndarray) else value


def _load_special(ufunc: Any) -> None:
    """Load the vjps of SciPy's special functions when one of them is first called, for users of SciPy only."""
    if is_special(ufunc):
        importlib.import_module("rprop_ref.autograd._special")
