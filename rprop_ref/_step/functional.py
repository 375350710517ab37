"""`rprop`: one step on lists of arrays, without groups or state dicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cuda_kernels.arrays import is_on_device, view

from .._core.checks import check_variant
from ..interop import as_array
from ..rules import DEFAULT
from .make_plan import make_plan

Array = np.ndarray[Any, Any]


def rprop(
    params: Sequence[Array],
    grads: Sequence[Array],
    prevs: Sequence[Array],
    step_sizes: Sequence[Array],
    state_steps: Sequence[Array],
    foreach: bool | None = None,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    step_size_min: float,
    step_size_max: float,
    etaminus: float,
    etaplus: float,
    variant: str = DEFAULT,
    worse: bool = False,
    backend: str | None = None,
) -> None:
    """Make one Rprop step on lists of arrays, in place: the function behind `Rprop`, without groups.

    Arrays of other libraries are stepped too, without a copy, if they are in the memory of the host and offer
    DLPack or the buffer protocol (torch tensors, for instance); see `rprop_ref.interop.as_array`. Alternatively
    all arrays are on a GPU, from Numba, CuPy or torch; the counters may then be on the GPU or on the host.

    Parameters
    ----------
    params : sequence of ndarray
        The parameters; any shapes, layouts and supported dtypes. Changed in place.
    grads : sequence of ndarray
        A gradient for each, of its shape and dtype. Only read.
    prevs, step_sizes : sequence of ndarray
        Stored gradient (zeros before the first step) and step size (the learning rate before the first step)
        of each, of its shape and dtype. Changed in place.
    state_steps : sequence of ndarray
        A 0-d array for each that counts its steps. Changed in place.
    foreach, capturable, differentiable, has_complex : optional
        Accepted for compatibility with torch; as there, `capturable` fails unless parameters and counters are on
        a GPU.
    maximize : bool, optional
        Negate the gradients first.
    step_size_min, step_size_max, etaminus, etaplus : float
        The constants of the rule.
    variant : str, optional
        The rule, see `rprop_ref.rules`.
    worse : bool, optional
        Whether the loss rose since the last step (fell, when maximizing). Only "irprop+" reads it.
    backend : {None, "numpy", "numba", "cuda"}, optional
        What makes the step; None chooses, see `Rprop`.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If an array cannot be stepped, or its gradient or state does not fit. Nothing has been changed then.
    """
    check_variant(variant)
    check_foreach(foreach, differentiable)
    counters = [_counter(s) for s in state_steps]
    arrays = [list(map(_view_or_array, given)) for given in (params, prevs, step_sizes, grads)]
    plan = make_plan(arrays[0], arrays[1], arrays[2], counters, grads=arrays[3])
    plan.check_capturable(capturable)
    plan.load(arrays[3])
    plan.prepare(variant, (etaminus, etaplus), (step_size_min, step_size_max), maximize, backend)
    plan.run(variant, worse)


def check_foreach(foreach: bool | None, differentiable: bool) -> None:
    """Refuse, in torch's words, a step that is both `foreach` and `differentiable`."""
    if differentiable and foreach:
        raise AssertionError("_foreach ops don't support autograd")


def _view_or_array(value: Any) -> Any:
    return view(value) if is_on_device(value) else as_array(value)


def _counter(value: Any) -> Any:
    try:
        return _view_or_array(value)
    except TypeError:
        return value  # the plan refuses it in torch's words
