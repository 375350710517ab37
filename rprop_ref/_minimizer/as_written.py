"""Objectives for Numba while its compiler is switched off: called as the Python functions they are written as.

With ``NUMBA_DISABLE_JIT=1``, by which one debugs code for Numba, ``numba.njit`` returns the function itself, so
nothing but its signature and what it returns tells which form it has. With ``numba.config.DISABLE_JIT = True``
there may also be functions that were compiled before.
"""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

import numpy as np

from numba_kernels import loading

from .c_objective import from_cfunc, is_cfunc
from .jitted_objective import takes_gradient_array

Array = np.ndarray[Any, Any]


def as_written(fun: Any, jac: Any, args: tuple[Any, ...], x0: Array) -> tuple[Any, Any]:
    """`fun` and `jac` as the conventions of `scipy.optimize` have them, if Numba's compiler is switched off.

    Parameters
    ----------
    fun, jac
        As for `recognize.recognize`. They are returned unchanged if Numba is not loaded, or compiles.
    args : tuple
    x0 : ndarray
        The start, in the shape that the functions see. If there is no `jac`, a function is called once with a copy
        of it, to see whether it returns its gradient.
    """
    if "numba" not in sys.modules or not loading.jit_is_disabled():
        return fun, jac
    if is_cfunc(fun):
        from_cfunc(fun, jac, args, x0.shape, x0.dtype)  # refuses what cannot be called
        return functools.partial(_call_cfunc, fun), True
    fun, jac = getattr(fun, "py_func", fun), getattr(jac, "py_func", jac)
    if not isinstance(fun, types.FunctionType):
        return fun, jac
    if takes_gradient_array(fun, len(args), jac):
        return functools.partial(_returning, fun), True
    if jac is None and isinstance(fun(x0.copy(), *args), tuple):
        return fun, True
    return fun, jac


def _call_cfunc(fun: Any, x: Array, data: Array | None = None) -> tuple[Any, Array]:
    from numba.core.typing.ctypes_utils import to_ctypes

    g = np.zeros_like(x)
    _, of_x, of_g, of_data = map(to_ctypes, fun._sig.args)
    pointers = (
        x.ctypes.data_as(of_x),
        g.ctypes.data_as(of_g),
        None if data is None else data.ctypes.data_as(of_data),
    )
    return fun(x.size, *pointers), g


def _returning(fun: Any, x: Array, *args: Any) -> tuple[Any, Array]:
    g = np.zeros_like(x)
    return fun(x, g, *args), g
