"""One Rprop step on one flat array with NumPy alone: the same bits as the kernels, for every dtype."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import rules
from .constants import split

Array = np.ndarray[Any, Any]

#: So many elements at a time: the dozen temporary arrays of a rule then stay in the processor's cache.
BLOCK = 1 << 14


@functools.cache
def _rule(variant: str) -> Callable[..., tuple[Array, Array, Array]]:
    rule: Callable[..., tuple[Array, Array, Array]] = rules.build(variant, np.where)
    return rule


def run(variant: str, x: Array, g: Array, prev: Array, size: Array, constants: Array, worse: bool = False) -> None:
    """Make one step on flat arrays, in place; the arguments are those of `numba_kernels.flat.run`.

    Any dtype with NumPy arithmetic will do, float16 and ml_dtypes' bfloat16 among them.
    """
    rule = _rule(variant)
    c, direction = split(constants)
    with np.errstate(all="ignore"):
        for start in range(0, x.size, BLOCK):
            part = slice(start, start + BLOCK)
            x[part], prev[part], size[part] = rule(x[part], direction * g[part], prev[part], size[part], worse, c)
