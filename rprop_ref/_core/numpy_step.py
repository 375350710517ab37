"""One Rprop step on one flat array with NumPy alone: the same bits as the kernels, for every dtype."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import rules
from .constants import split

Array = np.ndarray[Any, Any]

#: Elements that are stepped at a time, few enough for a rule's dozen temporary arrays to stay in the cache.
CHUNK = 1 << 14


@functools.cache
def array_rule(rule: rules.Rule) -> Callable[..., Any]:
    """A rule on whole arrays. (`numpy.where` passes Tensors on to their own implementation.)"""
    built: Callable[..., Any] = rules.build(rule, np.where)
    return built


def run(variant: str, x: Array, g: Array, prev: Array, size: Array, constants: Array, worse: bool = False) -> None:
    """Make one step on flat arrays, in place.

    Parameters
    ----------
    variant : str
        The rule.
    x, g, prev, size : ndarray, shape (n,)
        Parameter, gradient, stored gradient and step size, of one dtype: any that NumPy computes with, float16 and
        ml_dtypes' bfloat16 among them. All but `g` are changed in place.
    constants : ndarray
        From `constants.rule_constants`, in that dtype.
    worse : bool, optional
        Whether the loss rose; read by rules that compare losses.
    """
    rule = array_rule(rules.RULES[variant])
    c, direction = split(constants)
    with np.errstate(all="ignore"):
        for start in range(0, x.size, CHUNK):
            part = slice(start, start + CHUNK)
            x[part], prev[part], size[part] = rule(x[part], direction * g[part], prev[part], size[part], worse, c)
