"""Objectives compiled by ``numba.njit``: which form each has, and the C function that calls it.

Numba compiles a jitted function for calls from Python and from other jitted functions, not for calls by address.
So `numba_kernels.objective` compiles a C function that calls it. There is one for each combination of the user's
functions, the dtype, and the types of shape and args; the values of shape and args are read from memory.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np

from .._core.checks import check_plain
from .._core.dtypes import is_half
from .c_objective import check_no_other_gradient
from .compiled_objective import CompiledObjective

Array = np.ndarray[Any, Any]

#: Names of a second parameter that is the gradient array to be written. They decide only where default values
#: allow both ``fun(x, *args)`` and ``fun(x, g, *args)``.
GRADIENT_NAMES = ("g", "grad", "gradient")


class JittedObjective(CompiledObjective):
    """Jitted functions, called through a C function that is compiled for them.

    Parameters
    ----------
    form : {"writing", "returning", "pair"}
        Whether the objective writes its gradient, returns it, or has a second function for it. The function of
        this name in `numba_kernels.objective` makes the C function.
    functions : tuple
        ``(fun,)``, or ``(fun, jac)`` for "pair".
    args, shape, dtype
        As for `recognize.recognize`.
    """

    def __init__(
        self, form: str, functions: tuple[Any, ...], args: tuple[Any, ...], shape: tuple[int, ...], dtype: Any
    ) -> None:
        from numba_kernels import objective

        self._form = form
        self._functions = functions
        self._args = args
        self._types = objective.kind_of(shape, args)
        self._packed = objective.pack(shape, args)
        c_function = _c_function(form, functions, self._types, dtype)
        super().__init__(c_function.address, shape, dtype, c_function)

    def bind(self) -> tuple[int, int, Array]:
        # The C function sets the first integer if the user's function raises, and reads shape and args from the
        # address in the second.
        block = np.array([0, self._packed.ctypes.data], np.int64)
        return self.address, block.ctypes.data, block

    @property
    def parallel(self) -> bool:
        return any(bool(function.targetoptions.get("parallel")) for function in self._functions)

    def batched(self) -> int:
        if self._form != "writing":
            return 0
        c_function = _batched_c_function(self._functions[0], self._types, int(np.prod(self._shape)), self._dtype)
        self._owners += (c_function,)
        return 0 if c_function is None else int(c_function.address)

    def _call_in_python(self, x: Array) -> None:
        fun, *jac = self._functions
        if self._form == "writing":
            fun(x, np.zeros_like(x), *self._args)
            return
        gradient = jac[0](x.copy(), *self._args) if jac else None
        f = fun(x, *self._args)
        if gradient is None:
            f, gradient = f
        if gradient.shape != x.shape:
            raise ValueError(
                f"The gradient must have the shape of x0, which is {x.shape}, but has shape {gradient.shape}."
            )


def from_jitted(
    fun: Any, jac: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> JittedObjective | None:
    """A jitted `fun` as a compiled objective; None if it must be called from Python (see `recognize`)."""
    from numba.extending import is_jitted

    writes_gradient = takes_gradient_array(fun.py_func, len(args), jac)
    if is_half(dtype):
        if writes_gradient:
            raise TypeError(
                f"an objective that writes its gradient takes float32 or float64, but x0 has dtype {dtype}"
            )
        return None
    for i, value in enumerate(args):
        check_plain(value, f"args[{i}]")
    args = tuple(_contiguous(a) for a in args)
    if is_jitted(jac):
        return JittedObjective("pair", (fun, jac), args, shape, dtype)
    if isinstance(jac, str) and jac == "autograd":
        raise TypeError(
            "jac='autograd' differentiates NumPy code, and cannot look into a function that Numba has compiled; "
            "give the function as it was before numba.njit (its attribute py_func)"
        )
    if jac is not None and jac is not True:
        return None
    if writes_gradient:
        return JittedObjective("writing", (fun,), args, shape, dtype)
    if jac is True or _returns_tuple(fun, args, shape, dtype):
        return JittedObjective("returning", (fun,), args, shape, dtype)
    return None


def _contiguous(value: Any) -> Any:
    """An array as contiguous, writable and in native byte order, copied if need be; other values unchanged.

    Numba gives other arrays other types, and each type would need a C function of its own.
    """
    if isinstance(value, np.ndarray) and not (value.flags.carray and value.dtype.isnative):
        return np.array(value, value.dtype.newbyteorder("="), order="C")
    return value


def takes_gradient_array(fun: Any, n_args: int, jac: Any) -> bool:
    """Whether a function is ``fun(x, g, *args)`` rather than ``fun(x, *args)``, with this many args."""
    signature = inspect.signature(fun)
    accepts = []
    for n_arguments in (1 + n_args, 2 + n_args):
        try:
            signature.bind(*range(n_arguments))
            accepts.append(True)
        except TypeError:
            accepts.append(False)
    if accepts == [False, True]:
        check_no_other_gradient("a function fun(x, g, *args)", jac)
        return True
    # If default values allow both calls, the name of the second parameter decides, unless the gradient is `jac`.
    undecided = all(accepts) and (jac is None or jac is True)
    return undecided and list(signature.parameters)[1] in GRADIENT_NAMES


def _returns_tuple(fun: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    import numba

    from numba_kernels import objective

    types = (numba.typeof(np.empty((1,) * len(shape), dtype)), *objective.kind_of(shape, args)[1])
    with _NumbaErrorsAsTypeErrors(fun):
        signature = numba.typeof(fun).get_call_type(fun.typingctx, types, {})
    return isinstance(signature.return_type, numba.types.BaseTuple)


@functools.lru_cache(maxsize=128)
def _c_function(form: str, functions: tuple[Any, ...], types: Any, dtype: np.dtype[Any]) -> Any:
    from numba_kernels import _collector, objective

    with _NumbaErrorsAsTypeErrors(functions[0]), _collector.paused():
        # First on their own: compiled as part of the C function, they would get its options instead of theirs.
        objective.compile_alone(form, functions, types, dtype)
        return getattr(objective, form)(*functions, types, dtype)


@functools.lru_cache(maxsize=128)
def _batched_c_function(fun: Any, types: Any, n: int, dtype: np.dtype[Any]) -> Any:
    from numba_kernels import _collector, batched_objective

    with _collector.paused():
        return batched_objective.batched(fun, types, n, dtype)


class _NumbaErrorsAsTypeErrors:
    """Turns Numba's errors about an objective that it cannot compile into a TypeError that names the objective."""

    def __init__(self, fun: Any) -> None:
        self._fun = fun

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        from numba.core.errors import NumbaError

        if isinstance(error, NumbaError):
            name = self._fun.py_func.__name__
            raise TypeError(f"Numba cannot compile the objective {name} for these arguments: {error}") from error
