"""`_numbers` for the compiler: types of numbers, and the instructions that their operations become.

Inside a kernel a 16-bit float is a float32 that is rounded to 16 bits after every operation. Rounding twice gives
the same bits as rounding once, since float32 has at least 2p + 2 binary digits where these formats have p; NumPy
and torch do the same.
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

# numba-cuda has its own copies of these modules. Numba 0.60 has no attribute that tells which package this is.
if getattr(cuda, "implementation", "") == "NVIDIA":
    from numba.cuda import types
    from numba.cuda.typing.templates import ConcreteTemplate, signature
else:
    from numba.core import types
    from numba.core.typing.templates import ConcreteTemplate, signature


def device(function):
    """Compile a function that kernels call."""
    return cuda.jit(device=True)(function)


class Real(types.Type):
    """A type of floating-point numbers for kernels, each of whose operations is rounded by itself.

    The compiler may fuse a product and a sum of its own floats into one operation, and has no switch against that.
    It may not fuse the instructions that operations of this type become.
    """

    def __init__(self, dtype, value, suffix, in_memory, to_memory="", from_memory=""):
        super().__init__(name=f"real_{dtype}")
        self.value, self.suffix, self.in_memory = value, suffix, in_memory
        self._to_memory, self._from_memory = to_memory, from_memory

    def to_memory(self, builder, value):
        """The bits of a number as an array stores them."""
        return _assembly(builder, self._to_memory, self.in_memory, value, "=h,f")

    def from_memory(self, builder, bits):
        """The number that an array stores as these bits."""
        return _assembly(builder, self._from_memory, self.value, bits, "=f,h")

    def rounded(self, builder, value):
        """A result, rounded to the dtype of the array."""
        if not self._to_memory:
            return value
        return self.from_memory(builder, self.to_memory(builder, value))

    def operation(self, builder, name, *args):
        """One operation, rounded to nearest."""
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
    # The conversion needs compute capability 8.0.
    "bfloat16": Real("bfloat16", _SINGLE, "f", _BITS, "cvt.rn.bf16.f32 $0, $1;", "mov.b32 $0, {0, $1};"),
    "float32": Real("float32", _SINGLE, "f", _SINGLE),
    "float64": Real("float64", _DOUBLE, "d", _DOUBLE),
}


def _operator(function, generate, arity, result=None):
    """Define an operator for these types; its result has the type of its arguments unless another is given."""

    class Typing(ConcreteTemplate):
        cases = [signature(result or real, *[real] * arity) for real in _REALS.values()]  # noqa: RUF012

    typing_registry.register_global(function)(Typing)
    for real in _REALS.values():
        lower(function, *[real] * arity)(generate)


def _arithmetic(function, name):
    def generate(context, builder, sig, args):
        real = sig.return_type
        if name == "sub":  # a - b is a + (-b): a negative is exact, also that of a zero
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


def _build_converter(real):
    @intrinsic
    def number(typing_context, value):
        def generate(context, builder, sig, args):
            return real.rounded(builder, context.cast(builder, args[0], value, _PLAIN[real.value]))

        return signature(real, value), generate

    return number


_PLAIN = {_SINGLE: types.float32, _DOUBLE: types.float64}
_CONVERTERS = {dtype: _build_converter(real) for dtype, real in _REALS.items()}


def converter(dtype: str) -> Any:
    """The function that, in a kernel, converts a float32 or float64 to a number of a dtype."""
    return _CONVERTERS[dtype]


@intrinsic
def plain(typing_context, number):
    """Convert a number to one of the compiler's own floats: a float64 if it is one, otherwise a float32."""
    if not isinstance(number, Real):
        return None

    def generate(context, builder, sig, args):
        return args[0]

    return signature(_PLAIN[number.value], number), generate


def _pointer(context, builder, number, address, index):
    data = number.in_memory if isinstance(number, Real) else context.get_data_type(number)
    size = ir.Constant(ir.IntType(64), context.get_abi_sizeof(data))
    element = builder.add(address, builder.mul(index, size))
    # Address space 1 is global memory; without it, the GPU would look up at every load which memory is meant.
    return builder.inttoptr(element, ir.PointerType(data, addrspace=1))


@intrinsic
def load(typing_context, address, index, like):
    """Read the element at an index of the array at an address; `like` is any number of its dtype."""

    def generate(context, builder, sig, args):
        bits = builder.load(_pointer(context, builder, like, args[0], args[1]))
        return like.from_memory(builder, bits) if isinstance(like, Real) else bits

    return signature(like, types.int64, types.int64, like), generate


@intrinsic
def store(typing_context, address, index, value):
    """Write a number at an index of the array at an address, which has its dtype."""

    def generate(context, builder, sig, args):
        bits = value.to_memory(builder, args[2]) if isinstance(value, Real) else args[2]
        builder.store(bits, _pointer(context, builder, value, args[0], args[1]))
        return context.get_dummy_value()

    return signature(types.void, types.int64, types.int64, value), generate
