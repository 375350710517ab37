"""Objectives that are C functions already: a ``numba.cfunc`` or a `scipy.LowLevelCallable`."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from scipy import LowLevelCallable

from .._core.checks import check_plain
from .compiled_objective import CompiledObjective

Array = np.ndarray[Any, Any]

SIGNATURE = "double (int n, double *x, double *g, void *data)"


class CObjective(CompiledObjective):
    """A user's C function, called directly. It cannot raise exceptions."""

    def __init__(
        self, address: int, data: int, shape: tuple[int, ...], dtype: np.dtype[Any], *owners: Any
    ) -> None:
        if dtype != np.float64:
            raise TypeError(
                f"an objective that is a C function takes doubles, but x0 has dtype {dtype}; "
                "give x0 as float64, or the objective as a function that numba.njit has compiled"
            )
        self._data = data
        super().__init__(address, shape, dtype, *owners)

    def bind(self) -> tuple[int, int, Array]:
        return self.address, self._data, np.zeros(2, np.int64)  # `raised` is never set


def from_low_level_callable(
    fun: LowLevelCallable, jac: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> CObjective:
    """A `scipy.LowLevelCallable` as a compiled objective, with its own data."""
    check_no_other_gradient("a LowLevelCallable", jac)
    if args:
        raise TypeError(
            "an objective that is a LowLevelCallable takes no args; give it data by "
            "scipy.LowLevelCallable(function, user_data)"
        )
    signature = str(fun.signature).replace(" ", "")
    if signature.replace("void*", "double*") != "double(int,double*,double*,double*)":
        raise _wrong_signature("a LowLevelCallable", str(fun.signature))
    capsule = tuple.__getitem__(fun, 0)
    name = _capsule_pointer("Name", capsule)
    address = _capsule_pointer("Pointer", capsule, ctypes.c_void_p(name))
    data = _capsule_pointer("Context", capsule)
    return CObjective(address, data, shape, dtype, fun)


def _capsule_pointer(which: str, capsule: Any, *arguments: Any) -> int:
    """One of the three pointers in the capsule that a LowLevelCallable consists of: Name, Pointer or Context."""
    # A prototype of our own: setting argument types on ctypes.pythonapi would change them for every other library.
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, *map(type, arguments))
    return prototype((f"PyCapsule_Get{which}", ctypes.pythonapi))(capsule, *arguments) or 0


def is_made_by_numba(fun: Any) -> bool:
    """Whether a function is an object of Numba. Numba is not imported, which might fail or be under way."""
    return any(kind.__module__.split(".")[0] in ("numba", "numba_cuda") for kind in type(fun).__mro__)


def is_cfunc(fun: Any) -> bool:
    """Whether a function is a ``numba.cfunc``."""
    return is_made_by_numba(fun) and any(kind.__name__ == "CFunc" for kind in type(fun).__mro__)


def from_cfunc(
    fun: Any, jac: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> CObjective:
    """A ``numba.cfunc`` as a compiled objective, with the array in `args`, if there is one, as its data."""
    import numba

    check_no_other_gradient("a numba.cfunc", jac)
    doubles: Any = numba.types.CPointer(numba.types.float64)
    signature = fun._sig
    data_type = signature.args[-1] if signature.args else None
    if (
        signature.return_type != numba.types.float64
        or signature.args[:-1] != (numba.types.intc, doubles, doubles)
        or not isinstance(data_type, (numba.types.CPointer, type(numba.types.voidptr)))
    ):
        raise _wrong_signature("a numba.cfunc", str(signature))
    if not args:
        return CObjective(fun.address, 0, shape, dtype, fun)
    data = args[0]
    check_plain(data, "args[0]")
    if len(args) != 1 or not (isinstance(data, np.ndarray) and data.flags.carray):
        raise TypeError(
            "the args of an objective that is a numba.cfunc can only be one contiguous array, which becomes its "
            "data"
        )
    return CObjective(fun.address, data.ctypes.data, shape, dtype, fun, data)


def check_no_other_gradient(form: str, jac: Any) -> None:
    """Raise if an objective of a form that writes its own gradient is given another one in `jac`."""
    if jac is not None and jac is not True:
        raise TypeError(
            f"an objective that is {form} writes its own gradient, so jac must be None or True, and gradient None"
        )


def _wrong_signature(form: str, signature: str) -> TypeError:
    return TypeError(f"an objective that is {form} must have the signature {SIGNATURE}, but has {signature}")
