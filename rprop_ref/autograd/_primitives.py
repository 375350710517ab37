"""The table of primitives: functions whose gradients are given by vector-Jacobian products.

A primitive is a row of data. For ``ans = fun(x, y)`` it has one vector-Jacobian product (vjp) for each argument,

    lambda g, ans, x, y: ...

which takes the gradient `g` of the loss with respect to `ans` to the gradient with respect to that argument. It is
called with the arguments exactly as the function was, keywords included.

* Vjps are written with NumPy functions and operators. A backward pass that is itself to be differentiated
  (``create_graph=True``) calls them with Tensors in place of arrays, so second derivatives need no other vjps.
* Indices, masks and small plain arrays among the arguments are copied. A plain array of more than 16 KiB is saved
  without a copy, and its fingerprint is compared before a vjp reads it: whoever changes it passes a copy.
* An argument whose name begins with an underscore is one whose values the vjp does not read (it may read shape and
  dtype). All others must not be changed in place before the backward pass, and that is checked.

Gradients are torch's, dL/d(real) + dL/d(imag) * 1j, so the vjp of a function with the complex derivative f' is
``g * conj(f')``. The engine sums a gradient over broadcast axes, casts it to the dtype of the argument, and takes
the real part for a real argument; vjps need not.
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


class Primitive:
    """One row of the table.

    Parameters
    ----------
    fun : callable
    vjps : tuple of (callable or None)
        One per argument; None where no gradient flows.
    broadcasts : bool
        The arguments are broadcast, so gradients have to be summed back.
    takes_sequence : bool
        The first argument is a sequence of arrays. Its vjp gets the position in the sequence before the arguments.
    view : bool
        The result may share memory with the first argument.
    trusted : bool
        A gradient that is neither `g` nor a view is a new array, which the engine may keep and add to. A vjp that
        ignores the values of `ans` does not read its shape either. False for vjps that users register.
    ignores_shapes : bool
        A vjp that ignores the values of an argument does not read its shape either, so it need not be saved.
    """

    __slots__ = (
        "broadcasts",
        "fun",
        "max_positional",
        "name",
        "places",
        "reads",
        "reads_ans",
        "saves",
        "saves_ans",
        "takes_sequence",
        "trusted",
        "view",
        "vjps",
    )

    def __init__(
        self,
        fun: Callable[..., Any],
        vjps: tuple[Vjp | None, ...],
        *,
        broadcasts: bool = False,
        takes_sequence: bool = False,
        view: bool = False,
        trusted: bool = True,
        ignores_shapes: bool = False,
    ) -> None:
        self.fun = fun
        self.name = name_of(fun)
        self.vjps: tuple[Any, ...] = vjps
        self.broadcasts = broadcasts
        self.takes_sequence = takes_sequence
        self.view = view
        self.trusted = trusted
        ignored = [_ignored_values(vjp, skip=1 if takes_sequence else 0) for vjp in vjps]
        # For each vjp: whether it reads the values of `ans`, and the places of the arguments whose values it reads
        # (None: any of them; of a sequence all or none).
        self.reads_ans = tuple(flags is None or not flags[0] for flags in ignored)
        self.reads = tuple(
            None if flags is None else tuple(i for i, is_ignored in enumerate(flags[1:]) if not is_ignored)
            for flags in ignored
        )
        if takes_sequence:
            self.reads = tuple(None if places is None or 0 in places else () for places in self.reads)
        self.saves_ans = any(self.reads_ans) or not trusted
        read_by_any = {i for places in self.reads for i in (range(len(vjps)) if places is None else places)}
        self.saves = tuple(not ignores_shapes or i in read_by_any for i in range(len(vjps)))
        # The place of each argument by its name; found when the function is first called with keywords.
        self.places: dict[str, int] | None = None
        self.max_positional = min(_max_positional(vjp) for vjp in vjps) - (1 if takes_sequence else 0)


class _NoVjp:
    """Marks an argument whose vjp nobody has written. (None says that no gradient flows to an argument.)"""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("there is no rule for this gradient")


NO_VJP = _NoVjp()

# Flags in code objects of functions that take *args and **kwargs (inspect names them, but is slow to import).
_VARARGS = 4
_VARKEYWORDS = 8


def _ignored_values(vjp: Vjp | None, skip: int) -> list[bool] | None:
    """For `ans` and each argument, whether the vjp ignores its values; None if its signature does not say."""
    if vjp is None:
        return [True]
    code = getattr(vjp, "__code__", None)
    if code is None or code.co_flags & _VARARGS:
        return None
    names = code.co_varnames[_count_self(vjp) : code.co_argcount]
    if len(names) < 2:
        return None
    return [name.startswith("_") for name in (names[1], *names[2 + skip :])]


def _max_positional(vjp: Vjp | None) -> int:
    """How many of the function's arguments a vjp takes by position (sys.maxsize: any number)."""
    code = getattr(vjp, "__code__", None)
    if code is None or code.co_flags & _VARARGS:
        return sys.maxsize
    count: int = code.co_argcount - _count_self(vjp) - 2
    return count


def _count_self(vjp: Vjp | None) -> int:
    """1 for a bound method, whose code has `self` before the arguments it is called with."""
    return 1 if hasattr(vjp, "__self__") else 0


def signature_of(fun: Any) -> tuple[int | None, tuple[str, ...]]:
    """How many positional arguments a function takes (None: any number), and the names of its arguments."""
    code = getattr(fun, "__wrapped__", fun).__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return None if code.co_flags & _VARARGS else code.co_argcount, names


def argument_places(primitive: Primitive) -> dict[str, int] | None:
    """The place of each argument by its name, from the first vjp; None if that takes any keyword."""
    vjp = next(v for v in primitive.vjps if v is not None and v is not NO_VJP)
    first = 3 if primitive.takes_sequence else 2
    code = getattr(vjp, "__code__", None)
    if code is None or code.co_flags & _VARKEYWORDS:
        return None
    names = code.co_varnames[_count_self(vjp) + first : code.co_argcount + code.co_kwonlyargcount]
    return {name.lstrip("_"): i for i, name in enumerate(names)}


#: Functions with vjps.
PRIMITIVES: dict[Any, Primitive] = {}

#: Functions written in terms of others, which are called with Tensors.
COMPOSITES: dict[Any, Callable[..., Any]] = {}

#: Those that compute by NumPy's function itself. For others it is called as well, for its values and errors.
EXACT: set[Any] = set()

#: Functions through which no gradient flows: called with arrays, and their results are returned unchanged.
PLAIN: set[Any] = set()

#: Likewise, but the result becomes a Tensor, into which values that require gradients may be written.
BUFFERS: set[Any] = set()


def name_of(fun: Any) -> str:
    """The name of a function in messages, with its module if that is not this package."""
    name: str = getattr(fun, "__name__", None) or repr(fun)
    if isinstance(fun, np.ufunc):
        if getattr(np, name, None) is fun:
            return f"numpy.{name}"
        # Some functions of SciPy call a ufunc of the same name with an underscore.
        public = name.removeprefix("_")
        if is_special(fun) and hasattr(sys.modules["scipy.special"], public):
            return f"scipy.special.{public}"
        return name.removesuffix(" (vectorized)")  # which numpy.frompyfunc adds
    module = getattr(fun, "__module__", None)
    return f"{module}.{name}" if module and not module.startswith("rprop_ref.") else name


def is_special(ufunc: Any) -> bool:
    """Whether this is a ufunc of scipy.special, maybe one that its functions call."""
    modules = (sys.modules.get(name) for name in ("scipy.special", "scipy.special._ufuncs"))
    return any(getattr(module, ufunc.__name__, None) is ufunc for module in modules)


def is_numpy_function(fun: Any) -> bool:
    """Whether this is a function of NumPy that hands calls with Tensors to ``__array_function__``."""
    return hasattr(fun, "_implementation")


def add_primitive(fun: Any, *vjps: Vjp | None, **facts: bool) -> None:
    """Add a row to the table; `facts` are those of `Primitive`."""
    PRIMITIVES[fun] = Primitive(fun, vjps, **facts)


def composite(*functions: Any, exact: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Record calls of these functions of NumPy with Tensors by the decorated function.

    It need not take all of their arguments. It returns NotImplemented, or fails, for what it cannot differentiate.
    The values and the errors are those of NumPy's function, which is called too unless this one does so (`exact`).
    """

    def register(fun: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            COMPOSITES[function] = fun
            if exact:
                EXACT.add(function)
        return fun

    return register


def primitive(*vjps: Vjp | None, **facts: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the decorated function on arrays take Tensors as well, with these vjps."""

    def register(fun: Callable[..., Any]) -> Callable[..., Any]:
        call = accepting_tensors(fun)
        row = PRIMITIVES[call] = Primitive(fun, vjps, **facts)
        row.name = fun.__name__.strip("_")
        return call

    return register


def accepting_tensors(fun: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with calls that have a Tensor among their arguments handed to ``__array_function__``."""

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
        One for each positional argument, in order. ``vjp(g, ans, *args, **kwargs)`` takes the gradient `g` of the
        loss with respect to ``ans = fun(*args, **kwargs)`` to the gradient with respect to that argument. None
        says that no gradient flows to the argument. Arguments at the end may be left out; calls in which they
        require a gradient are then refused. Write a vjp with NumPy functions and operators, and second derivatives
        follow from it. Begin the name of an argument with an underscore if only its shape is used, not its values:
        it may then be changed in place before the backward pass. Gradients are summed over broadcast axes for you.

    Returns
    -------
    callable
        The function to call: `fun` itself if it is NumPy's or a ufunc, otherwise one that also takes Tensors.

    Raises
    ------
    TypeError
        If `fun` or a vjp cannot be called, or no vjp is given.

    Notes
    -----
    A complex gradient is dL/d(real) + dL/d(imag) * 1j, as in torch: for a function with the complex derivative f'
    the vjp is ``g * np.conj(f')``.

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
    dispatches = isinstance(fun, np.ufunc) or is_numpy_function(fun) or hasattr(fun, "types")
    target = fun if dispatches else accepting_tensors(fun)
    PRIMITIVES[target] = Primitive(fun, vjps, broadcasts=True, trusted=False)
    COMPOSITES.pop(target, None)
    PLAIN.discard(target)
    return target


# -----------------------------------------------------------------------------------------------------------
# Helpers of the vjps


def conj(x: Any) -> Any:
    """The conjugate; a real argument is returned as it is, without a copy."""
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return x.conjugate()
    return np.conjugate(x) if dtype.kind == "c" else x


def one(g: Any) -> Any:
    """The number 1 in the real dtype of a gradient, which may be wider than an argument that it is added to."""
    return g.real.dtype.type(1)


def conj_transpose(x: Any) -> Any:
    """The conjugate transpose of each matrix in a stack."""
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


def as_array(x: Any) -> Any:
    """An array in place of a list, a tuple or a number, or a Tensor in place of a list that holds some."""
    if isinstance(x, (Traced, np.ndarray)):
        return x
    return np.stack([as_array(item) for item in x]) if _holds_tensors(x) else np.asarray(x)


def _holds_tensors(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and any(isinstance(item, Traced) or _holds_tensors(item) for item in x)


def is_constant(*values: Any) -> bool:
    """Whether none of the values is a Tensor."""
    for value in values:  # faster than any()
        if isinstance(value, Traced):
            return False
    return True
