"""`_numbers` for the compiler: instructions, and the types of the numbers.

16-bit floats are float32 numbers inside a kernel, rounded to 16 bits after every operation. Rounding twice gives
the same bits as rounding once, since float32 has more than twice their digits and two; NumPy and torch compute so.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.cuda.cudadecl import registry as typing_registry
from numba.cuda.cudaimpl import lower
from numba.cuda.extending import intrinsic
from numba.cuda.models import models, register_model

from cuda_kernels._cuda import cuda

# numba-cuda has copies of its own of what Numba has for all targets. Numba 0.60 does not say which of them it is.
if getattr(cuda, "implementation", "") == "NVIDIA":
    from numba.cuda import types
    from numba.cuda.typing.templates import ConcreteTemplate, signature
else:
    from numba.core import types
    from numba.core.typing.templates import ConcreteTemplate, signature


def device(function):
    """A function that kernels call."""
    return cuda.jit(device=True)(function)


class Real(types.Type):
    """A floating-point number of a kernel, whose operations are rounded each for itself.

    The compiler is free to fuse the products and sums of its own floats to one operation, and cannot be told not
    to; it may not do so with the instructions that these are made of.
    """

    def __init__(self, dtype, value, suffix, in_memory, to_memory="", from_memory=""):
        super().__init__(name=f"real_{dtype}")
        self.value, self.suffix, self.in_memory = value, suffix, in_memory
        self._to_memory, self._from_memory = to_memory, from_memory

    def to_memory(self, builder, value):
        """The bits of a number as an array has them."""
        return _assembly(builder, self._to_memory, self.in_memory, value, "=h,f")

    def from_memory(self, builder, bits):
        return _assembly(builder, self._from_memory, self.value, bits, "=f,h")

    def rounded(self, builder, value):
        """A result, rounded to what an array can hold."""
        if not self._to_memory:
            return value
        return self.from_memory(builder, self.to_memory(builder, value))

    def operation(self, builder, name, *args):
        """A single operation, rounded to nearest."""
        function = ir.FunctionType(self.value, [self.value, self.value])
        name = f"llvm.nvvm.{name}.rn.{self.suffix}"
        declared = builder.module.globals.get(name) or ir.Function(builder.module, function, name)
        return self.rounded(builder, builder.call(declared, args))


def _assembly(builder, text, result, argument, constraint):
    if not text:
        return argument
    function = ir.FunctionType(result, [argument.type])
    return builder.call(ir.InlineAsm(function, text, constraint), [argument])


@register_model(Real)
class _RealModel(models.PrimitiveModel):
    def __init__(self, manager, real):
        super().__init__(manager, real, real.value)


_SINGLE, _DOUBLE, _BITS = ir.FloatType(), ir.DoubleType(), ir.IntType(16)
_REALS = {
    "float16": Real("float16", _SINGLE, "f", _BITS, "cvt.rn.f16.f32 $0, $1;", "cvt.f32.f16 $0, $1;"),
    # Of GPUs of compute capability 8.0 and up.
    "bfloat16": Real("bfloat16", _SINGLE, "f", _BITS, "cvt.rn.bf16.f32 $0, $1;", "mov.b32 $0, {0, $1};"),
    "float32": Real("float32", _SINGLE, "f", _SINGLE),
    "float64": Real("float64", _DOUBLE, "d", _DOUBLE),
}


def _operator(function, generate, arity, result=None):
    """Let an operator work on these numbers; its result is one of them, unless another type is given."""

    class Typing(ConcreteTemplate):
        cases = [signature(result or real, *[real] * arity) for real in _REALS.values()]  # noqa: RUF012

    typing_registry.register_global(function)(Typing)
    for real in _REALS.values():
        lower(function, *[real] * arity)(generate)


def _arithmetic(function, name):
    def generate(context, builder, sig, args):
        real = sig.return_type
        if name == "sub":  # the negative of a number is exact, also of a zero
            args = args[0], _negative(real, builder, args[1])
        return real.operation(builder, "mul" if name == "mul" else "add", *args)

    _operator(function, generate, 2)


def _comparison(function, symbol):
    def generate(context, builder, sig, args):
        compare = builder.fcmp_unordered if symbol == "!=" else builder.fcmp_ordered
        return compare(symbol, *args)

    _operator(function, generate, 2, types.boolean)


def _negative(real, builder, value):
    return builder.fsub(ir.Constant(real.value, -0.0), value)


_arithmetic(operator.add, "add")
_arithmetic(operator.sub, "sub")
_arithmetic(operator.mul, "mul")
for _function, _symbol in (
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _comparison(_function, _symbol)
_operator(operator.neg, lambda context, builder, sig, args: _negative(sig.return_type, builder, args[0]), 1)


def _conversion(real):
    @intrinsic
    def number(typing_context, value):
        def generate(context, builder, sig, args):
            return real.rounded(builder, context.cast(builder, args[0], value, _WIDE[real.value]))

        return signature(real, value), generate

    return number


_WIDE = {_SINGLE: types.float32, _DOUBLE: types.float64}
_KINDS = {dtype: _conversion(real) for dtype, real in _REALS.items()}


def kind(name: str) -> Any:
    """What makes a number of a dtype of a float32 or float64, in a kernel."""
    return _KINDS[name]


@intrinsic
def plain(typing_context, number):
    """The number as the float32 or float64 that it is."""
    if not isinstance(number, Real):
        return None

    def generate(context, builder, sig, args):
        return args[0]

    return signature(_WIDE[number.value], number), generate


def _pointer(context, builder, number, address, index):
    data = number.in_memory if isinstance(number, Real) else context.get_data_type(number)
    size = ir.Constant(ir.IntType(64), context.get_abi_sizeof(data))
    place = builder.add(address, builder.mul(index, size))
    # Address space 1 is the global memory: a load from there takes no detour.
    return builder.inttoptr(place, ir.PointerType(data, addrspace=1))


@intrinsic
def load(typing_context, address, index, like):
    """The number at a place of an array; `like` is any number of its dtype."""

    def generate(context, builder, sig, args):
        found = builder.load(_pointer(context, builder, like, args[0], args[1]))
        return like.from_memory(builder, found) if isinstance(like, Real) else found

    return signature(like, types.int64, types.int64, like), generate


@intrinsic
def store(typing_context, address, index, value):
    """Write a number to a place of an array of its dtype."""

    def generate(context, builder, sig, args):
        written = value.to_memory(builder, args[2]) if isinstance(value, Real) else args[2]
        builder.store(written, _pointer(context, builder, value, args[0], args[1]))
        return context.get_dummy_value()

    return signature(types.void, types.int64, types.int64, value), generate
