"""Objectives in machine code: what the user gives, turned into one C function that a compiled loop can call.

The function is ``double evaluate(int n, T *x, T *g, void *data)`` with T the dtype of the parameters: it returns
the value at x, and writes the gradient to g, which is full of zeros when it is called. A driver needs of it two
integers and a flag::

    compiled = recognize(fun, jac, args, shape, dtype)     # None if the loop must be Python's
    address, data, raised = compiled.bind()                # once for each run, or each thread
    run = numba_kernels.loop.kernel(rule)
    status = run(address, data, raised, 1, vectors, scalars, constants, max_iterations, stop, x, g)
    if status == Status.RAISED:                            # the same as raised[0] != 0
        compiled.explain(x)                                # raises what the objective raised

The loop releases the interpreter's lock, and touches nothing but its arguments. So runs may go on
side by side in threads, if each has a `bind` of its own; and any other compiled loop can call the same function
through `numba_kernels.objective.call`.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import sys
from typing import Any, NoReturn

import numpy as np
from scipy import LowLevelCallable

from .._core.dtypes import is_half

Array = np.ndarray[Any, Any]

#: What the second parameter of a jitted objective is called that writes its gradient there. It is looked at only
#: if there are parameters with defaults, and so both ways to call the objective would be possible.
GRADIENT_NAMES = ("g", "grad", "gradient")

_SIGNATURE = "double (int n, double *x, double *g, void *data)"


class Compiled:
    """An objective with its gradient as one C function.

    Attributes
    ----------
    address : int
        Of the function.
    """

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any], *keep: Any) -> None:
        self.address = address
        self._shape = shape
        self._dtype = dtype
        self._keep = keep
        pointer = ctypes.c_void_p
        self._call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, pointer, pointer, pointer)(address)
        self._bound = self.bind()

    def bind(self) -> tuple[int, int, Array]:
        """What a driver calls the function with: ``address, data, raised``.

        Keep `raised`, and this object, as long as the integers are used. After an evaluation that raised an
        exception ``raised[0]`` is 1; then value and gradient mean nothing.
        """
        raise NotImplementedError

    @property
    def parallel(self) -> bool:
        """Whether the objective is one that starts threads itself."""
        return False

    def batched(self) -> int:
        """The address of a C function that evaluates several points at once, or 0 if there is none.

        See `numba_kernels.batched_objective.batched`. It takes the same `data`.
        """
        return 0

    def explain(self, x: Array) -> NoReturn:
        """Raise the exception that the objective raised at x, by calling it again from Python."""
        self._again(x.copy().reshape(self._shape))
        raise RuntimeError(
            f"the objective raised an exception in compiled code at x = {x}, but not when it was called again"
        )

    def _again(self, x: Array) -> None:
        raise NotImplementedError

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Value and gradient at x, of shape (n,), for drivers in Python; the gradient is a new array."""
        _, data, raised = self._bound
        point, g = x.astype(self._dtype), np.zeros(x.size, self._dtype)
        f = self._call(x.size, point.ctypes.data, g.ctypes.data, data)
        if raised[0]:
            raised[0] = 0
            self.explain(x)
        return f, g


class _CFunction(Compiled):
    """A C function of the user's."""

    def __init__(self, address: int, data: int, shape: tuple[int, ...], dtype: np.dtype[Any], *keep: Any) -> None:
        if dtype != np.float64:
            raise TypeError(
                f"an objective that is a C function takes doubles, but x0 has dtype {dtype}; "
                "give x0 as float64, or the objective as a function that numba.njit has compiled"
            )
        self._data = data
        super().__init__(address, shape, dtype, *keep)

    def bind(self) -> tuple[int, int, Array]:
        return self.address, self._data, np.zeros(2, np.int64)


class _Jitted(Compiled):
    """A function that Numba has compiled for Python, behind a C function made for it."""

    def __init__(
        self, form: str, functions: tuple[Any, ...], args: tuple[Any, ...], shape: tuple[int, ...], dtype: Any
    ) -> None:
        from numba_kernels import objective

        self._form = form
        self._functions = functions
        self._args = args
        self._kind = kind = objective.kind_of(shape, args)
        self._packed = objective.pack(shape, args)
        c_function = _c_function(form, functions, kind, dtype)
        super().__init__(c_function.address, shape, dtype, c_function)

    def bind(self) -> tuple[int, int, Array]:
        block = np.array([0, self._packed.ctypes.data], np.int64)
        return self.address, block.ctypes.data, block

    @property
    def parallel(self) -> bool:
        return any(bool(function.targetoptions.get("parallel")) for function in self._functions)

    def batched(self) -> int:
        if self._form != "writing":
            return 0
        found = _block_function(self._functions[0], self._kind, int(np.prod(self._shape)), self._dtype)
        self._keep += (found,)
        return 0 if found is None else int(found.address)

    def _again(self, x: Array) -> None:
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


def recognize(
    fun: Any, jac: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Compiled | None:
    """The objective as machine code, if it is that.

    Parameters
    ----------
    fun, jac
        One of these, where jitted means compiled by ``numba.njit``:

        * a jitted ``fun(x, g, *args) -> f`` that writes the gradient into g, with `jac` None or True;
        * a jitted ``fun(x, *args) -> (f, g)``, with `jac` None or True;
        * a jitted ``fun(x, *args) -> f``, with a jitted ``jac(x, *args) -> g``;
        * a ``numba.cfunc`` with the signature ``double (int n, double *x, double *g, void *data)``, and as `args`
          nothing, or one array whose address becomes `data`;
        * a `scipy.LowLevelCallable` of that signature, which brings its own `data`.
    args : tuple
        Further arguments of jitted functions: arrays, numbers, None, and tuples of them. They are read from
        memory, so other data of the same types need no compilation. Arrays that are not contiguous are copied.
    shape, dtype
        Of x. C functions take doubles and see x as flat, jitted functions in its shape.

    Returns
    -------
    Compiled or None
        None if the objective is a function for Python, or its gradient is to come from elsewhere.

    Raises
    ------
    TypeError
        If it is machine code that cannot be called so: another signature, an argument that Numba does not take, or
        code that Numba cannot compile for these arguments.
    """
    if isinstance(fun, LowLevelCallable):
        return _from_low_level(fun, jac, args, shape, dtype)
    numba = sys.modules.get("numba")
    if numba is None:
        return None
    callbacks = sys.modules.get("numba.core.ccallback")  # loaded with the first cfunc
    if callbacks is not None and isinstance(fun, callbacks.CFunc):
        return _from_cfunc(fun, jac, args, shape, dtype)
    if not numba.extending.is_jitted(fun) or numba.config.DISABLE_JIT:
        return None
    writes = _writes(fun, len(args), jac)
    if is_half(dtype):
        if writes:
            raise TypeError(
                f"an objective that writes its gradient takes float32 or float64, but x0 has dtype {dtype}"
            )
        return None
    args = tuple(_plain(a) for a in args)
    if numba.extending.is_jitted(jac):
        return _Jitted("pair", (fun, jac), args, shape, dtype)
    if isinstance(jac, str) and jac == "autograd":
        raise TypeError(
            "jac='autograd' differentiates NumPy code, and cannot look into a function that Numba has compiled; "
            "give the function as it was before numba.njit (its attribute py_func)"
        )
    if jac is not None and jac is not True:
        return None
    if writes:
        return _Jitted("writing", (fun,), args, shape, dtype)
    if jac is True or _returns_two(fun, args, shape, dtype):
        return _Jitted("returning", (fun,), args, shape, dtype)
    return None


def _plain(value: Any) -> Any:
    """An array as machine code for contiguous, writable ones can read it: else there would be code for each."""
    if isinstance(value, np.ndarray) and not (value.flags.carray and value.dtype.isnative):
        return np.array(value, value.dtype.newbyteorder("="), order="C")
    return value


def _writes(fun: Any, extra: int, jac: Any) -> bool:
    """Whether a jitted function takes a place for the gradient between x and so many further arguments."""
    signature = inspect.signature(fun.py_func)
    fits = []
    for count in (1 + extra, 2 + extra):
        try:
            signature.bind(*range(count))
            fits.append(True)
        except TypeError:
            fits.append(False)
    if fits == [False, True]:
        _check_alone("a function with a place for its gradient", jac)
        return True
    # Where defaults leave it open, the name tells, if the gradient does not come from elsewhere.
    open_to_both = all(fits) and (jac is None or jac is True)
    return open_to_both and list(signature.parameters)[1] in GRADIENT_NAMES


def _returns_two(fun: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    import numba

    from numba_kernels import objective

    types = (numba.typeof(np.empty((1,) * len(shape), dtype)), *objective.kind_of(shape, args)[1])
    with _Refusals(fun):
        signature = numba.typeof(fun).get_call_type(fun.typingctx, types, {})
    return isinstance(signature.return_type, numba.types.BaseTuple)


@functools.lru_cache(maxsize=128)
def _c_function(form: str, functions: tuple[Any, ...], kind: Any, dtype: np.dtype[Any]) -> Any:
    from numba_kernels import objective

    with _Refusals(functions[0]):
        objective.compile_alone(form, functions, kind, dtype)
        return getattr(objective, form)(*functions, kind, dtype)


@functools.lru_cache(maxsize=128)
def _block_function(fun: Any, kind: Any, n: int, dtype: np.dtype[Any]) -> Any:
    from numba_kernels import batched_objective

    return batched_objective.batched(fun, kind, n, dtype)


class _Refusals:
    """Turns what Numba says of an objective that it cannot compile into a TypeError that says what that is."""

    def __init__(self, fun: Any) -> None:
        self._fun = fun

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        from numba.core.errors import NumbaError

        if isinstance(error, NumbaError):
            name = self._fun.py_func.__name__
            raise TypeError(f"Numba cannot compile the objective {name} for these arguments: {error}") from error


def _from_low_level(
    fun: LowLevelCallable, jac: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Compiled:
    _check_alone("a LowLevelCallable", jac)
    if args:
        raise TypeError(
            "an objective that is a LowLevelCallable takes no args; give it data by "
            "scipy.LowLevelCallable(function, user_data)"
        )
    found = str(fun.signature).replace(" ", "")
    if found.replace("void*", "double*") != "double(int,double*,double*,double*)":
        raise TypeError(_complaint("a LowLevelCallable", str(fun.signature)))
    capsule = tuple.__getitem__(fun, 0)
    name = _capsule("Name", capsule)
    function = _capsule("Pointer", capsule, ctypes.c_void_p(name))
    return _CFunction(function, _capsule("Context", capsule), shape, dtype, fun)


def _capsule(what: str, capsule: Any, *arguments: Any) -> int:
    """One of the three pointers in a capsule, which is what a LowLevelCallable is made of."""
    # A prototype of our own: the attributes of ctypes.pythonapi are shared with every other library, and the types
    # that one of them sets hold for all.
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, *map(type, arguments))
    return prototype((f"PyCapsule_Get{what}", ctypes.pythonapi))(capsule, *arguments) or 0


def _from_cfunc(
    fun: Any, jac: Any, args: tuple[Any, ...], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Compiled:
    import numba

    _check_alone("a numba.cfunc", jac)
    doubles: Any = numba.types.CPointer(numba.types.float64)
    kind = fun._sig
    pointer = kind.args[-1] if kind.args else None
    if (
        kind.return_type != numba.types.float64
        or kind.args[:-1] != (numba.types.intc, doubles, doubles)
        or not isinstance(pointer, (numba.types.CPointer, type(numba.types.voidptr)))
    ):
        raise TypeError(_complaint("a numba.cfunc", str(kind)))
    if not args:
        return _CFunction(fun.address, 0, shape, dtype, fun)
    data = args[0]
    if len(args) != 1 or not (isinstance(data, np.ndarray) and data.flags.carray):
        raise TypeError(
            "the args of an objective that is a numba.cfunc can only be one contiguous array, which it gets as "
            "data"
        )
    return _CFunction(fun.address, data.ctypes.data, shape, dtype, fun, data)


def _check_alone(what: str, jac: Any) -> None:
    if jac is not None and jac is not True:
        raise TypeError(
            f"an objective that is {what} writes its own gradient, so jac must be None or True, and gradient None"
        )


def _complaint(what: str, found: str) -> str:
    return f"an objective that is {what} must have the signature {_SIGNATURE}, but has {found}"
