"""Objectives of plain arithmetic, evaluated in all lanes of a block at once."""

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from numba_kernels import objective
from numba_kernels.lanes import LANES, MAX_VARIABLES
from rprop_ref._core import record


@intrinsic
def _on_stack(typingctx, dtype, count):
    """An array of constant length on the stack, which LLVM can keep in registers."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    kind = types.Array(dtype.dtype, 1, "C")
    n = count.literal_value

    def codegen(context, builder, signature, arguments):
        element = context.get_data_type(kind.dtype)
        integer = context.get_value_type(types.intp)
        with builder.goto_entry_block():
            memory = builder.alloca(ir.ArrayType(element, n))
        array = arrayobj.make_array(kind)(context, builder)
        arrayobj.populate_array(
            array,
            data=builder.bitcast(memory, element.as_pointer()),
            shape=cgutils.pack_array(builder, [integer(n)]),
            strides=cgutils.pack_array(builder, [integer(context.get_abi_sizeof(element))]),
            itemsize=integer(context.get_abi_sizeof(element)),
            meminfo=None,
        )
        return array._getvalue()

    return kind(dtype, count), codegen


def batched(fun: Any, kind: Any, n: int, dtype: Any) -> Any:
    """The C function that evaluates a jitted ``fun(x, g, *args) -> f`` in all lanes of a block.

    Parameters
    ----------
    fun : numba dispatcher
    kind
        The type of shape and args, as `numba_kernels.objective.kind_of` gives it.
    n : int
        The number of variables. It becomes a constant, so that loops over the variables vanish, and the loop over
        the lanes can be made of vector instructions.
    dtype
        Of x and g.

    Returns
    -------
    numba.cfunc or None
        ``double (int lanes, T *block, double *f, void *data)``. None if it is not plain arithmetic, has more than
        three further arguments or more than `MAX_VARIABLES` variables, takes x in another shape than (n,), was
        compiled with options, or cannot be inlined.

    Notes
    -----
    Plain arithmetic means only operations that IEEE 754 defines exactly, and no exception. Such a function gives
    the same bits when it is compiled for a fixed n. Calls of ``pow`` and the like may not: knowing n, the compiler
    may fold or replace them.
    """
    shape, args = kind.types
    if len(shape) != 1 or len(args) > 3 or not 1 <= n <= MAX_VARIABLES:
        return None
    options = {k: v for k, v in fun.targetoptions.items() if v and k not in ("nopython", "cache", "nogil")}
    if options.keys() - {"error_model"}:
        return None
    real = numba.from_dtype(np.dtype(dtype))
    try:
        if not _is_plain_arithmetic(numba.njit(**options)(fun.py_func), (real[::1], real[::1], *args)):
            return None
        return _compile(numba.njit(inline="always", **options)(fun.py_func), options, kind, n, real)
    except Exception:
        return None  # not everything can be inlined, and nothing depends on it


def _compile(fun: Any, options: dict[str, Any], kind: Any, n: int, real: Any) -> Any:
    count = len(kind.types[1])
    # Numba cannot inline a call with starred arguments.
    if count == 0:

        @numba.njit(inline="always", **options)
        def value(x, g, args):
            return fun(x, g)

    elif count == 1:

        @numba.njit(inline="always", **options)
        def value(x, g, args):
            return fun(x, g, args[0])

    elif count == 2:

        @numba.njit(inline="always", **options)
        def value(x, g, args):
            return fun(x, g, args[0], args[1])

    else:

        @numba.njit(inline="always", **options)
        def value(x, g, args):
            return fun(x, g, args[0], args[1], args[2])

    @numba.njit(**options)
    def evaluate(v, f, args, lanes):
        x, g = _on_stack(real, n), _on_stack(real, n)
        for lane in range(lanes):
            for j in range(n):
                x[j] = v[(j * record.ROWS + record.X) * LANES + lane]
                g[j] = 0
            f[lane] = value(x, g, args)
            for j in range(n):
                v[(j * record.ROWS + record.LAST_G) * LANES + lane] = g[j]

    doubles = types.CPointer(types.float64)

    @numba.cfunc(types.float64(types.intc, types.CPointer(real), doubles, types.intp))
    def c_function(lanes, block, f, data):
        _, args = objective._load(objective.pointer(data, np.int64)[1], kind)
        evaluate(numba.carray(block, (n * record.ROWS * LANES,)), numba.carray(f, (LANES,)), args, lanes)
        return 0.0

    return c_function


#: What a function of plain arithmetic may call, as LLVM names it; before Numba 0.61, square roots are those of C.
_PLAIN_CALLS = re.compile(
    r"sqrtf?\.|llvm\.(fabs|sqrt|copysign|floor|ceil|trunc|lifetime|assume|mem(set|cpy|move)|[su](max|min)|abs|"
    r"vector\.reduce|masked|experimental\.noalias)\."
)


def _is_plain_arithmetic(fun: Any, arguments: tuple[Any, ...]) -> bool:
    fun.compile(arguments)
    found = fun.overloads[arguments]
    functions = dict(
        re.findall(r'^define [^@]*@"?([^"(]+)"?\((.*?)^}', found.library.get_llvm_str(), re.MULTILINE | re.DOTALL)
    )
    seen: set[str] = set()
    waiting = [found.fndesc.llvm_func_name]
    while waiting:
        name = waiting.pop()
        if name in seen or _PLAIN_CALLS.match(name + "."):
            continue
        seen.add(name)
        if name not in functions or "picklebuf" in functions[name]:  # something else, or an exception
            return False
        for line in functions[name].splitlines():
            if re.search(r"\b(call|invoke)\b", line):
                callee = re.search(r'@"?([^"(]+)"?\(', line)
                waiting.append(callee[1] if callee else "what a pointer points to")
    return True


__all__ = ["batched"]
