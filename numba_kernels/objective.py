"""Objectives in machine code, all behind one C function: ``double evaluate(int n, T *x, T *g, void *data)``.

The compiled loop (`numba_kernels.loop`) is given two integers, the address of such a function and the ``data`` it
is called with. So the loop is compiled once, and not for each objective.

The ``data`` of a function made here is the address of two 64-bit integers. The first is set to 1 if the user's
function raises an exception, which C cannot report; the second is the address of the arguments, as `pack` wrote
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]
from numba.extending import intrinsic

Array = np.ndarray[Any, Any]


@intrinsic
def call(typingctx, address, n, x, g, data):
    """Call the C function at an address; all arguments are integers, pointers included."""

    def codegen(context, builder, signature, arguments):
        pointer, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = ir.FunctionType(ir.DoubleType(), [integer, pointer, pointer, pointer])
        address, n, *pointers = arguments
        return builder.call(
            builder.inttoptr(address, function.as_pointer()),
            [builder.trunc(n, integer), *(builder.inttoptr(p, pointer) for p in pointers)],
        )

    return types.float64(types.intp, types.intp, types.intp, types.intp, types.intp), codegen


@intrinsic
def pointer(typingctx, address, dtype):
    """Turn an address into a pointer to elements of a dtype, for `numba.carray`."""
    kind = types.CPointer(dtype.dtype)

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(types.intp, dtype), codegen


@intrinsic
def _store(typingctx, value, address):
    """Write a value to memory as Numba represents it; its arrays without their reference counts."""

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[1], context.get_data_type(value).as_pointer())
        context.pack_value(builder, value, _borrowed(context, builder, value, arguments[0]), pointer)
        return context.get_dummy_value()

    return types.void(value, types.intp), codegen


def _borrowed(context, builder, kind, value):
    """The value without the reference counts of its arrays, which do not outlive the call that packs it."""
    if isinstance(kind, types.BaseTuple):
        parts = [
            _borrowed(context, builder, part, builder.extract_value(value, i)) for i, part in enumerate(kind.types)
        ]
        return context.make_tuple(builder, kind, parts)
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        array.meminfo = ir.Constant(array.meminfo.type, None)
        array.parent = ir.Constant(array.parent.type, None)
        return array._getvalue()
    return value


@intrinsic
def _load(typingctx, address, kind):
    """Read a value that `_store` has written; `kind` is its type."""
    value = kind.instance_type

    def codegen(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], context.get_data_type(value).as_pointer())
        return context.unpack_value(builder, value, pointer)

    return value(types.intp, kind), codegen


@intrinsic
def _size(typingctx, value):
    """The number of bytes that `_store` writes."""

    def codegen(context, builder, signature, arguments):
        return ir.Constant(ir.IntType(64), context.get_abi_sizeof(context.get_data_type(value)))

    return types.intp(value), codegen


@numba.njit
def _size_of(value):
    return _size(value)


@numba.njit
def _write(value, address):
    _store(value, address)


def pack(shape: tuple[int, ...], args: tuple[Any, ...]) -> Array:
    """Write the shape of x and the user's further arguments to memory, as machine code reads them.

    Parameters
    ----------
    shape : tuple of int
    args : tuple
        Arrays, numbers, None, and tuples of them. The arrays are not copied; keep them alive while the result is
        in use.

    Returns
    -------
    ndarray of int64
    """
    if not args:
        # What `_write` writes, without compiling it: numbers, and room for one so that there is an address.
        return np.array([*shape, 0], np.int64)
    value = (shape, args)
    memory = np.zeros(_size_of(value) // 8 + 2, np.int64)
    _write(value, memory.ctypes.data)
    return memory


def kind_of(shape: tuple[int, ...], args: tuple[Any, ...]) -> Any:
    """The Numba type of what `pack` writes; a TypeError if machine code cannot be given one of the arguments."""
    for i, value in enumerate(args):
        try:
            plain = _is_plain(numba.typeof(value))
        except ValueError:
            plain = False
        if not plain:
            raise TypeError(
                "the args of a compiled objective must be arrays, numbers, None, or tuples of them, "
                f"but args[{i}] is {value!r} of type {type(value).__name__}"
            )
    return numba.typeof((shape, args))


def _is_plain(kind: Any) -> bool:
    parts = getattr(kind, "types", None)  # of a tuple, named or not
    return (
        all(map(_is_plain, parts))
        if parts is not None
        else isinstance(kind, (types.Array, types.Number, types.Boolean, types.NoneType))
    )


def compile_alone(form: str, functions: tuple[Any, ...], kind: Any, dtype: Any) -> None:
    """Compile the user's functions with the options that they were given.

    If our functions called them first, they would be compiled with our options, so that a division by zero would
    not raise; and they would stay so, for the user and in the cache on disk.
    """
    x = types.Array(numba.from_dtype(np.dtype(dtype)), len(kind[0]), "C")
    points = (x, x) if form == "writing" else (x,)
    for function in functions:
        numba.typeof(function).get_call_type(function.typingctx, (*points, *kind[1]), {})


def writing(fun: Any, kind: Any, dtype: Any) -> Any:
    """The C function for a jitted ``fun(x, g, *args) -> f`` that writes the gradient into g."""

    @numba.njit(error_model="numpy")
    def evaluate(x, g, args):
        return fun(x, g, *args)

    return _c_function(evaluate, kind, dtype)


def returning(fun: Any, kind: Any, dtype: Any) -> Any:
    """The C function for a jitted ``fun(x, *args) -> (f, g)``."""

    @numba.njit(error_model="numpy")
    def evaluate(x, g, args):
        f, gradient = fun(x, *args)
        _take(gradient, g)
        return f

    return _c_function(evaluate, kind, dtype)


def pair(fun: Any, jac: Any, kind: Any, dtype: Any) -> Any:
    """The C function for a jitted ``fun(x, *args) -> f`` and a jitted ``jac(x, *args) -> g``."""

    @numba.njit(error_model="numpy")
    def evaluate(x, g, args):
        # jac gets a copy of its own: what fun does to x does not reach it.
        copy = x.copy()
        f = fun(x, *args)
        _take(jac(copy, *args), g)
        return f

    return _c_function(evaluate, kind, dtype)


@numba.njit(error_model="numpy")
def _take(gradient, g):
    if gradient.shape != g.shape:
        raise ValueError("the gradient does not have the shape of x0")
    for i, component in np.ndenumerate(gradient):  # Numba compiles ``g[...] = gradient`` for a second
        g[i] = component


def _c_function(evaluate: Callable[..., Any], kind: Any, dtype: Any) -> Any:
    real = numba.from_dtype(np.dtype(dtype))
    reals = types.CPointer(real)

    @numba.cfunc(types.float64(types.intc, reals, reals, types.intp), error_model="numpy")
    def c_function(n, x, g, data):
        block = carray(pointer(data, np.int64), (2,))
        try:
            shape, args = _load(block[1], kind)
            return evaluate(carray(x, shape), carray(g, shape), args)
        except Exception:
            block[0] = 1
            return np.nan

    return c_function
