"""`recognize`: decide whether an objective is machine code, and make a `CompiledObjective` of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import LowLevelCallable

from numba_kernels import loading

from .c_objective import from_cfunc, from_low_level_callable, is_cfunc, is_made_by_numba
from .compiled_objective import CompiledObjective
from .jitted_objective import from_jitted


def recognize(
    fun: Any, jac: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> CompiledObjective | None:
    """The objective as one C function, if it is machine code.

    Parameters
    ----------
    fun, jac
        One of these forms, where *jitted* means compiled by ``numba.njit``:

        * a jitted ``fun(x, g, *args) -> f`` that writes the gradient into g, with `jac` None or True;
        * a jitted ``fun(x, *args) -> (f, g)``, with `jac` None or True;
        * a jitted ``fun(x, *args) -> f``, with a jitted ``jac(x, *args) -> g``;
        * a ``numba.cfunc`` with the signature ``double (int n, double *x, double *g, void *data)``. `args` is
          empty, or holds one array whose address becomes `data`;
        * a `scipy.LowLevelCallable` of that signature, which brings its own `data`.
    args : tuple
        Further arguments of jitted functions: arrays, numbers, None, and tuples of these. They are read from
        memory, so other values of the same types need no compilation. Arrays that are not contiguous are copied.
    shape, dtype
        Shape and dtype of x. C functions take flat arrays of doubles; jitted functions see x in its shape.

    Returns
    -------
    CompiledObjective or None
        None if the objective is not machine code, or if its gradient is not, such as finite differences. Then
        it is called from Python.

    Raises
    ------
    TypeError
        If it is machine code that cannot be called as described: another signature, an argument of a kind that
        is not supported, or code that Numba cannot compile for these arguments.
    """
    if isinstance(fun, LowLevelCallable):
        return from_low_level_callable(fun, jac, args, shape, dtype)
    if is_cfunc(fun):
        return from_cfunc(fun, jac, args, shape, dtype)
    if not is_made_by_numba(fun) or loading.jit_is_disabled():
        return None
    from numba.extending import is_jitted

    return from_jitted(fun, jac, args, shape, dtype) if is_jitted(fun) else None
