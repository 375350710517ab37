"""A step that gradients flow through: the text of the rules, run on Tensors and recorded."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import dtypes, numpy_step
from .._core.constants import DIRECTION, ONE, ZERO, rule_constants
from ..autograd import Tensor
from ..autograd._inplace import become
from ..autograd._primitives import primitive
from ..autograd._traced import values
from ..rules import RULES

Array = np.ndarray[Any, Any]
State = dict[str, Any]


class Step:
    """The step of one parameter, computed by the constructor and carried out by `commit`.

    Parameters
    ----------
    param : Tensor
        Not a leaf that requires a gradient.
    state : dict
        ``prev`` and ``step_size`` may be Tensors.
    before : Step or None
        A step of the same parameter that is carried out before this one.
    etas, step_sizes : (number or Tensor, number or Tensor)
    maximize, variant, worse : as in `Rprop`
    """

    def __init__(
        self,
        param: Tensor,
        state: State,
        before: Step | None,
        *,
        etas: Any,
        step_sizes: Any,
        maximize: bool,
        variant: str,
        worse: bool,
    ) -> None:
        self._param, self._state = param, state
        part = dtypes.real(param.dtype)
        rounded = rule_constants(param.dtype, _numbers(etas), _numbers(step_sizes), maximize)
        options = (*etas, *step_sizes)
        constants = [_constant(v, c, part) for v, c in zip(options, rounded[:ZERO], strict=True)]
        start = before._new if before else (param, state["prev"], state["step_size"])
        x, prev, size = map(_reals, start)
        g = rounded[DIRECTION] * _reals(param.grad)
        with np.errstate(all="ignore"):
            stepped = numpy_step.array_rule(RULES[variant])(
                x, g, prev, size, worse, (*constants, rounded[ZERO], rounded[ONE])
            )
        # The step depends on the signs of g and prev, so their derivative is zero rather than missing.
        self._new: list[Any] = [_of_reals(_linked(v, g, prev), param.dtype) for v in stepped]

    def commit(self) -> None:
        """Give parameter and state their new values.

        What requires a gradient gets new memory, because what was recorded before still uses the old values.
        """
        param, (x, prev, size) = self._param, self._new
        if isinstance(x, Tensor) and x.requires_grad:
            become(param, x)
        else:
            param._array[...] = values(x)
            param._memory.writes += 1
        for key, value in (("prev", prev), ("step_size", size)):
            if isinstance(value, Tensor) and value.requires_grad:
                self._state[key] = value
            elif isinstance(self._state[key], Tensor):
                self._state[key] = values(value)
            else:
                self._state[key][...] = values(value)
        counter = self._state["step"]
        np.add(counter, 1, out=counter)


def first_size(param: Tensor, lr: Tensor) -> Tensor:
    """First step sizes from `lr`, a Tensor of one element; equal to those that `dtypes.first_size` makes."""
    part = dtypes.real(param.dtype)
    first = dtypes.first_size(param.shape, param.dtype, lr.item())
    sizes = _reals(Tensor(first))
    rounded = _constant(lr, first.reshape(-1)[:1].view(part)[0] if first.size else part.type(0), part)
    size: Tensor = _of_reals(np.broadcast_to(rounded, sizes.shape).copy(), param.dtype)
    return size


def _numbers(values: Any) -> tuple[Any, ...]:
    return tuple(v.item() if isinstance(v, Tensor) else v for v in values)


def _constant(value: Any, rounded: Any, dtype: np.dtype[Any]) -> Any:
    """The value in the dtype of the parameter: a Tensor converted, or the number that was rounded already."""
    if not isinstance(value, Tensor):
        return rounded
    if dtypes.is_half(dtype):
        value = value.astype(np.float32)
    return value.reshape(()).astype(dtype)


@primitive(lambda g, _ans, _x: _pairs_to_complex(g))
def _complex_to_pairs(x: Array) -> Array:
    return np.stack([x.real, x.imag], axis=-1)


@primitive(lambda g, _ans, _x: _complex_to_pairs(g))
def _pairs_to_complex(x: Array) -> Array:
    result = np.empty(x.shape[:-1], np.result_type(x.dtype, np.complex64))
    result.real, result.imag = x[..., 0], x[..., 1]
    return result


def _reals(value: Any) -> Any:
    return _complex_to_pairs(value) if value.dtype.kind == "c" else value


def _of_reals(value: Any, dtype: np.dtype[Any]) -> Any:
    return _pairs_to_complex(value) if dtype.kind == "c" else value


@primitive(
    lambda g, _ans, _x, _a, _b: g,
    lambda g, _ans, _x, _a, _b: np.zeros_like(g),
    lambda g, _ans, _x, _a, _b: np.zeros_like(g),
)
def _linked(x: Array, a: Array, b: Array) -> Array:
    """A copy of x, with derivatives of zero with respect to a and b."""
    return x.copy()
