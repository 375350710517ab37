"""The table of rules: what each function does to a gradient.

A rule is a row of data. For a function ``ans = fun(x, y)`` it has one vector-Jacobian product per argument,

    lambda g, ans, x, y: ...

which takes the gradient `g` of the loss with respect to `ans` to that with respect to the argument. It is called
with the arguments exactly as the function was, keywords included. Two conventions save much code:

* Rules are written with NumPy functions and operators. A backward pass that is to be differentiated itself
  (``create_graph=True``) calls the same rules with Tensors in place of arrays, so second derivatives need none.
* An array among the arguments that is not a Tensor is kept as it is, neither copied nor checked for changes
  (only indices and masks are copied): a buffer that is filled anew before the backward pass must be a copy.
* A name that begins with an underscore says that the rule does not look at those values (shape and dtype it may
  ask for). All others must not be changed in place before the backward pass, and that is checked.

Gradients are torch's, dL/d(real) + dL/d(imag) * 1j, so for a function with complex derivative f' a rule is
``g * conj(f')``. The engine sums a gradient over broadcast axes, casts it to the dtype of the argument, and takes
the real part for a real argument; rules need not.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.dtypes import is_half
from ._traced import Traced

Vjp = Callable[..., Any]


class Rule:
    """One row of the table.

    `joint`: the first argument of the function is a sequence of arrays, and there is one vjp, which gets the
    position in it before the arguments. `view`: the result may share memory with the first argument. `broadcasts`:
    the arguments are broadcast, so that gradients have to be summed back. `ours`: a gradient that is neither `g`
    nor a view is a new array, which the engine may keep and add to; and a rule that ignores `ans` does not ask for
    its shape either. `lean`: the same of all arguments, so that those which no rule looks at need not be kept.
    """

    __slots__ = (
        "broadcasts",
        "fun",
        "joint",
        "keeps",
        "keeps_ans",
        "keywords",
        "most",
        "name",
        "needs",
        "needs_ans",
        "ours",
        "view",
        "vjps",
    )

    def __init__(
        self,
        fun: Callable[..., Any],
        vjps: tuple[Vjp | None, ...],
        *,
        broadcasts: bool = False,
        joint: bool = False,
        view: bool = False,
        ours: bool = True,
        lean: bool = False,
    ) -> None:
        self.fun = fun
        self.name = name_of(fun)
        self.vjps = vjps
        self.broadcasts = broadcasts
        self.joint = joint
        self.view = view
        self.ours = ours
        read = [_read(vjp, skip=1 if joint else 0) for vjp in vjps]
        self.needs_ans = tuple(names is None or not names[0] for names in read)
        self.needs = tuple(
            None if names is None else tuple(i for i, ignored in enumerate(names[1:]) if not ignored)
            for names in read
        )
        self.keeps_ans = any(self.needs_ans) or not ours
        looked_at = {i for needs in self.needs for i in (range(len(vjps)) if needs is None else needs)}
        self.keeps = tuple(not lean or i in looked_at for i in range(len(vjps)))
        self.keywords: dict[str, int] | None = None
        # How many arguments the rules take by position.
        self.most = min(_most(vjp) for vjp in vjps) - (1 if joint else 0)


class _NoRule:
    """In place of a vjp: there is a derivative, but no rule for it. None says that no gradient flows."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("there is no rule for this gradient")


NO_RULE = _NoRule()

# Flags in code objects of functions that take *args and **kwargs (inspect names them, but takes long to load).
_VARARGS = 4
_VARKEYWORDS = 8


def _read(vjp: Vjp | None, skip: int) -> list[bool] | None:
    """For `ans` and each argument, whether the rule ignores its values; None if that cannot be told."""
    if vjp is None:
        return [True]
    code = getattr(vjp, "__code__", None)
    if code is None or code.co_flags & _VARARGS:
        return None
    # Methods have `self` before what they are called with.
    names = code.co_varnames[_bound(vjp) : code.co_argcount]
    if len(names) < 2:
        return None
    return [name.startswith("_") for name in (names[1], *names[2 + skip :])]


def _most(vjp: Vjp | None) -> int:
    """How many arguments of the function a rule takes by position (any number: very many)."""
    code = getattr(vjp, "__code__", None)
    if code is None or code.co_flags & _VARARGS:
        return sys.maxsize
    count: int = code.co_argcount - _bound(vjp) - 2
    return count


def _bound(vjp: Vjp | None) -> int:
    return 1 if hasattr(vjp, "__self__") else 0


def signature_of(fun: Any) -> tuple[int | None, tuple[str, ...]]:
    """How many positional arguments a function takes, None for any number, and the names of all that have one."""
    code = getattr(fun, "__wrapped__", fun).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return None if code.co_flags & _VARARGS else code.co_argcount, names


def arguments_of(rule: Rule) -> dict[str, int] | None:
    """The names of the arguments of a function, from its first rule, and their places; None: it takes any."""
    vjp = next(v for v in rule.vjps if v is not None and v is not NO_RULE)
    first = 3 if rule.joint else 2
    code = getattr(vjp, "__code__", None)
    if code is None or code.co_flags & _VARKEYWORDS:
        return None
    names = code.co_varnames[_bound(vjp) + first : code.co_argcount + code.co_kwonlyargcount]
    return {name.lstrip("_"): i for i, name in enumerate(names)}


#: Functions whose gradients there are rules for.
RULES: dict[Any, Rule] = {}

#: Functions that are written in terms of others, and take Tensors as they are.
COMPOSITES: dict[Any, Callable[..., Any]] = {}

#: Functions whose results do not depend differentiably on values: they get arrays, and return what they return.
PLAIN: set[Any] = set()

#: The same, but the result becomes a Tensor, into which values that require gradients may be written.
BUFFERS: set[Any] = set()


def name_of(fun: Any) -> str:
    name: str = getattr(fun, "__name__", None) or repr(fun)
    if isinstance(fun, np.ufunc):
        if getattr(np, name, None) is fun:
            return f"numpy.{name}"
        special = sys.modules.get("scipy.special")
        if getattr(special, name, None) is fun:
            return f"scipy.special.{name}"
        return name.removesuffix(" (vectorized)")  # which numpy.frompyfunc adds
    module = getattr(fun, "__module__", None)
    return f"{module}.{name}" if module and not module.startswith("rprop_ref.") else name


def is_numpys(fun: Any) -> bool:
    """Whether a function is one of NumPy's that hand Tensors to their protocol."""
    return hasattr(fun, "_implementation")


def add(fun: Any, *vjps: Vjp | None, **kind: bool) -> None:
    RULES[fun] = Rule(fun, vjps, **kind)


def composite(*names: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The function below is what Tensors use for these functions of NumPy.

    It need not have all of their arguments, and returns NotImplemented for those that it has no rule for.
    """

    def register(fun: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            COMPOSITES[name] = fun
        return fun

    return register


def primitive(*vjps: Vjp | None, **kind: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function on arrays one on Tensors as well, with these rules."""

    def register(fun: Callable[..., Any]) -> Callable[..., Any]:
        call = dispatching(fun)
        rule = RULES[call] = Rule(fun, vjps, **kind)
        rule.name = fun.__name__.strip("_")
        return call

    return register


def dispatching(fun: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        for arg in (*args, *kwargs.values()):
            for value in arg if isinstance(arg, (tuple, list)) else (arg,):
                if isinstance(value, Traced):
                    return value.__array_function__(call, (type(value),), args, kwargs)  # type: ignore[attr-defined]
        return fun(*args, **kwargs)

    return call


def register_vjp(fun: Any, *vjps: Vjp | None) -> Any:
    """Add a rule for the gradient of a function, or replace one.

    Parameters
    ----------
    fun : callable
        A NumPy function, a ufunc (of NumPy, SciPy, or made by ``numpy.frompyfunc`` or Numba), or a function of
        your own that takes arrays and returns an array.
    *vjps : callable or None
        For each positional argument, in their order, ``vjp(g, ans, *args, **kwargs)``: takes the gradient `g` of
        the loss with respect to ``ans = fun(*args, **kwargs)`` to the gradient with respect to that argument.
        None where no gradient flows; one for which there is no vjp at all, at the end, is refused if it requires
        a gradient. Write it with NumPy functions and operators, and second derivatives follow
        from it.  Name an argument with a leading underscore if its values are not used, only its shape: then
        it may be changed in place before the backward pass. Gradients are summed over broadcast axes for you.

    Returns
    -------
    callable
        What to call: `fun` itself if it is NumPy's or a ufunc, otherwise a function that also takes Tensors.

    Raises
    ------
    TypeError
        If `fun` or a vjp cannot be called, or there is no vjp at all.

    Notes
    -----
    A complex gradient is dL/d(real) + dL/d(imag) * 1j, as in torch: for a function with the complex derivative f'
    the rule is ``g * np.conj(f')``.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import Parameter, autograd
    >>> def cube(x):
    ...     return x * x * x
    >>> cube = autograd.register_vjp(cube, lambda g, ans, x: 3 * g * x**2)
    >>> x = Parameter(np.array([1.0, 2.0]))
    >>> np.sum(cube(x)).backward()
    >>> x.grad
    array([ 3., 12.])
    """
    if not callable(fun):
        raise TypeError(f"the function of a rule must be callable, but got {fun!r}")
    if not any(vjps) or not all(vjp is None or callable(vjp) for vjp in vjps):
        raise TypeError(f"a rule for {name_of(fun)} needs one callable or None for each argument, but got {vjps}")
    target = fun if isinstance(fun, np.ufunc) or is_numpys(fun) or hasattr(fun, "types") else dispatching(fun)
    RULES[target] = Rule(fun, vjps, broadcasts=True, ours=False)
    COMPOSITES.pop(target, None)
    PLAIN.discard(target)
    return target


# -----------------------------------------------------------------------------------------------------------
# What rules have in common


def conj(x: Any) -> Any:
    """The conjugate; a real argument is returned as it is, without a copy."""
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return x.conjugate()
    return np.conjugate(x) if dtype.kind == "c" else x


def transposed(x: Any) -> Any:
    """The matrices of a stack, transposed and conjugated."""
    return conj(x.T if x.ndim == 2 else np.swapaxes(x, -1, -2))


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum over the axes along which an array of this shape was broadcast."""
    if is_half(g.dtype) and g.shape != shape:
        # A sum in 8 or 11 bits stops growing after a few hundred or thousand terms.
        return unbroadcast(g.astype(np.float32), shape).astype(g.dtype)
    extra = g.ndim - len(shape)
    if extra > 0:
        g = np.add.reduce(g, axis=0 if extra == 1 else tuple(range(extra)))
    if g.shape != shape:
        axes = tuple(i for i, n in enumerate(shape) if n == 1 and g.shape[i] != 1)
        if axes:
            g = np.add.reduce(g, axis=axes, keepdims=True)
    return g


def array(x: Any) -> Any:
    """Of lists, tuples and numbers."""
    return x if isinstance(x, (Traced, np.ndarray)) else np.asarray(x)


def is_constant(*values: Any) -> bool:
    return not any(isinstance(v, Traced) for v in values)
