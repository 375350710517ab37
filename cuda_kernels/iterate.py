"""One whole iteration of `rprop_ref.minimize` on the GPU, compiled from `rprop_ref._core.iteration`."""

from __future__ import annotations

from collections.abc import Callable

from cuda_kernels import _numbers
from cuda_kernels._numbers import device, plain, select
from rprop_ref._core import loops
from rprop_ref.rules import RULES


@device
def _zero(array):
    return 0.0


def build(variant: str, dtype: str) -> Callable[..., int]:
    """Build `rprop_ref._core.iteration.advance` for one rule and float32 or float64, for kernels to call.

    The function ignores its argument `variant`.
    """
    compiler = loops.Compiler(
        device,
        zero=_zero,
        number=_numbers.converter(dtype),
        double=_numbers.converter("float64"),
        plain=plain,
        probing=True,
    )
    advance: Callable[..., int] = loops.build(RULES[variant], select, compiler)["advance"]
    return advance
