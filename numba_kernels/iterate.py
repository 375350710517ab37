"""One whole iteration of `rprop_ref.minimize`, compiled from the text in `rprop_ref._core.iteration`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import carray, from_dtype, types  # type: ignore[attr-defined]

from numba_kernels import flat
from numba_kernels._cache import DIGEST, inner, kernel_of, made_once
from numba_kernels._parts import NotInlinedCompiler, PartCompiler
from numba_kernels.objective import pointer
from rprop_ref import rules
from rprop_ref._core import constants as constants_of_rules
from rprop_ref._core import loops, record

Array = np.ndarray[Any, Any]

# Functions that few runs or iterations call. Inlined, they would double the size of a kernel. All others are
# inlined by LLVM: passing five arrays costs more than working on ten elements of each.
_NOT_INLINED = frozenset(
    (
        *("copy", "clip", "halve_move", "move_within_bounds", "zero_blocked", "predicted_decrease", "retreat"),
        *("status_without_gain", "status_away_from_best", "claim_by_xtol", "largest_effect"),
        *("clear", "extrapolate", "slope_between", "goes_on", "turn_back"),
        *("end_or_begin_again", "status_after_stall", "is_where_it_stalled", "is_steep", "inward_gradient"),
        *("renew", "lift", "all_near"),
    )
)


def _function(text: Callable[..., Any]) -> Any:
    # Numba lets a function inherit `forceinline` from the one that it is compiled for, unless it is told.
    is_inlined = text.__name__ not in _NOT_INLINED
    made_by = PartCompiler if is_inlined else NotInlinedCompiler
    return inner(text, error_model="numpy", forceinline=is_inlined, pipeline_class=made_by)


@inner
def _zero(array):
    return array.dtype.type(0)


# Machine code of the CPU rounds each operation as it stands.
_COMPILER = loops.Compiler(
    _function, zero=_zero, number=flat.same, double=flat.same, plain=flat.same, probing=False
)


@made_once
def functions(rule: rules.Rule) -> dict[str, Any]:
    """The functions of an iteration, compiled for one rule, by their names; see `rprop_ref._core.loops.build`."""
    return loops.build(rule, flat.select, _COMPILER)


#: A placeholder: `_cache.kernel_of` replaces it with the compiled iteration.
_advance: Any = None


@made_once
def kernel(rule: rules.Rule) -> Any:
    """The kernel ``advance(addresses, f, g, nfev)`` that `bind` binds.

    `addresses` points to four integers: the address of `vectors`, the number of its rows, and the addresses of
    `scalars` and `constants`.
    """
    stamp = f"{DIGEST} {rule.name}"

    def advance(addresses, f, g, nfev):
        stamp  # noqa: B018
        words = carray(pointer(addresses, np.int64), (4,))
        vectors = carray(pointer(words[0], g.dtype), (words[1], g.size))
        scalars = carray(pointer(words[2], np.float64), (record.ENTRIES,))
        constants = carray(pointer(words[3], g.dtype), constants_of_rules.SHAPE)
        scalars[record.NFEV] = nfev
        return _advance(vectors, scalars, constants, 0, f, g)

    # It keeps the GIL: releasing it costs more than an iteration of few variables.
    return kernel_of(rule, advance, {"_advance": functions(rule)["advance"]}, nogil=False)


def compile_for(rule: rules.Rule, dtype: np.dtype[Any], elements: int, read_only: bool) -> list[Any]:
    """Compile the kernel for one dtype, and return it."""
    g = types.Array(from_dtype(dtype), 1, "C")
    made = kernel(rule)
    made.compile((types.intp, types.float64, g, types.intp))
    return [made]


def bind(vectors: Array, scalars: Array, constants: Array, variant: str) -> Callable[[float, Array, int], int]:
    """`rprop_ref._core.iteration.advance` for one record, compiled: for loops in Python.

    The kernel is given addresses, because unpacking three arrays in every call costs more than the iteration.

    Parameters
    ----------
    vectors, scalars, constants : ndarray, contiguous
        The record, see `rprop_ref._core.record`; changed in place by each call of what is returned.
    variant : str

    Returns
    -------
    callable
        ``advance(f, g, nfev) -> status``, with g of shape (n,), contiguous, and in the dtype of `vectors`. `nfev`
        is stored in the record before the step.
    """
    addresses = [a.ctypes.data for a in (vectors, scalars, constants)]
    words = np.array([addresses[0], len(vectors), *addresses[1:]], np.int64)
    advance = functools.partial(kernel(rules.RULES[variant]), words.ctypes.data)
    advance.keep = words, vectors, scalars, constants  # type: ignore[attr-defined]
    return advance


__all__ = ["bind", "compile_for", "functions", "kernel"]
