"""gradcheck: gradients compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._functions import grad
from ._mode import enable_grad
from ._tensor import Tensor

Array = np.ndarray[Any, Any]


class _Tolerances(NamedTuple):
    eps: float
    atol: float
    rtol: float


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    second_order: bool = True,
    seed: int = 0,
    fast_mode: bool = False,
) -> bool:
    """Compare the gradients of a function with finite differences.

    Parameters
    ----------
    fn : callable
        Takes Tensors, and returns a Tensor or a sequence of Tensors.
    inputs : array_like or sequence of array_like
        Where to check. Derivatives are taken with respect to float64 and complex128 arrays; others are constants.
    eps : float, optional
        The step of the central differences.
    atol, rtol : float, optional
        Two numbers agree if they differ by at most ``atol + rtol * abs(numerical)``.
    second_order : bool, optional
        Check the derivatives of the gradients as well.
    seed : int, optional
        Seed of the random gradients with respect to the outputs, and of the directions of `fast_mode`.
    fast_mode : bool, optional
        Compare along one random direction of each input, as in torch, and not element by element: two calls an
        input instead of two an element. A wrong element shows unless its part is within the tolerances of the sum.

    Returns
    -------
    bool
        Always True.

    Raises
    ------
    AssertionError
        If they do not agree. The message gives both numbers.

    Notes
    -----
    ``eigh``, ``eigvalsh`` and ``cholesky`` read one triangle of a matrix, but the gradient is that of its
    Hermitian part, as in torch. To check them, make the matrix Hermitian inside the function:
    ``a + np.conj(a).T``.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import autograd
    >>> autograd.gradcheck(lambda x: np.sin(x) * x, np.array([0.5, 2.0]))
    True
    """
    given = [inputs] if isinstance(inputs, (np.ndarray, Tensor)) else list(inputs)
    arrays: list[Array] = [a.data if isinstance(a, Tensor) else np.asarray(a) for a in given]
    rng = np.random.default_rng(seed)
    tolerances = _Tolerances(eps, atol, rtol)
    check_input = _check_along_a_direction if fast_mode else _check_elements
    if not _check(fn, arrays, tolerances, rng, "gradient", check_input):
        raise AssertionError("no output depends on the inputs by recorded operations")
    if second_order:
        cotangents = [_random(rng, output.data) for output in _outputs(fn, arrays)[1]]
        gradient = _gradient_of(fn, len(arrays))
        _check(gradient, [*arrays, *cotangents], tolerances, rng, "second derivative", check_input)
    return True


def _gradient_of(fn: Callable[..., Any], count: int) -> Callable[..., list[Any]]:
    """The gradient as a function of the `count` arguments of `fn` and of the gradients of its outputs."""

    def gradient(*values: Any) -> list[Any]:
        outputs = _as_list(fn(*values[:count]))
        variables = [v for v in values[:count] if isinstance(v, Tensor) and v.requires_grad]
        pairs = [(o, c) for o, c in zip(outputs, values[count:], strict=True) if o.requires_grad]
        gradients = grad(
            [o for o, _ in pairs], variables, [c for _, c in pairs], create_graph=True, allow_unused=True
        )
        return [g for g in gradients if g is not None and g.requires_grad]

    return gradient


def _as_list(outputs: Any) -> list[Any]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def _random(rng: np.random.Generator, like: Array) -> Array:
    numbers: Any = rng.standard_normal(like.shape)
    if like.dtype.kind == "c":
        numbers = numbers + 1j * rng.standard_normal(like.shape)
    return np.asarray(numbers, like.dtype)


def _outputs(fn: Callable[..., Any], arrays: Sequence[Array]) -> tuple[list[Tensor | Array], list[Tensor]]:
    """The arguments of a call, with Tensors in place of variables, and what it returned."""
    values: list[Any] = [
        Tensor(a.copy(), requires_grad=True) if a.dtype in (np.float64, np.complex128) else a for a in arrays
    ]
    with enable_grad():
        return values, _as_list(fn(*values))


def _check(
    fn: Callable[..., Any],
    arrays: list[Array],
    tolerances: _Tolerances,
    rng: np.random.Generator,
    name: str,
    check_input: Callable[..., None],
) -> bool:
    """Compare derivatives, which messages call `name`; False if no output depends on the inputs."""
    values, outputs = _outputs(fn, arrays)
    outputs = [o for o in outputs if o.requires_grad]
    if not outputs:
        return False
    cotangents = [_random(rng, o.data) for o in outputs]
    variables = [v for v in values if isinstance(v, Tensor)]
    gradients = grad(outputs, variables, cotangents, allow_unused=True)

    def projected(changed: list[Array]) -> float:
        others = [o for o in _outputs(fn, changed)[1] if o.requires_grad]
        total = sum(np.sum(np.real(np.conj(c) * o.data)) for c, o in zip(cotangents, others, strict=True))
        return float(total)

    places = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
    for i, g in zip(places, gradients, strict=True):
        gradient = np.zeros_like(arrays[i]) if g is None else g
        check_input(_Slope(projected, arrays, i, gradient, tolerances, name), rng)
    return True


class _Slope(NamedTuple):
    """The derivative of `fun` with respect to input `i`, recorded and by differences."""

    fun: Callable[[list[Array]], float]
    arrays: list[Array]
    i: int
    gradient: Array
    tolerances: _Tolerances
    name: str

    def compare(self, direction: Array, what: str) -> None:
        """Compare along `direction`, an array like the input, which messages call `what`."""
        eps, atol, rtol = self.tolerances
        used = direction != 0
        ends = []
        for sign in (1, -1):
            moved = list(self.arrays)
            moved[self.i] = moved[self.i].copy()
            moved[self.i][used] += sign * eps * direction[used]
            ends.append(self.fun(moved))
        numerical = (ends[0] - ends[1]) / (2 * eps)
        recorded = float(np.sum(np.real(np.conj(direction[used]) * self.gradient[used])))
        if not abs(recorded - numerical) <= atol + rtol * abs(numerical):
            raise AssertionError(
                f"the {self.name} with respect to {what} of input {self.i} is {recorded!r}, but finite "
                f"differences give {numerical!r}{_ONE_TRIANGLE if _is_square(self.gradient) else ''}"
            )


def _check_elements(slope: _Slope, rng: np.random.Generator) -> None:
    is_complex = slope.gradient.dtype.kind == "c"
    for index in np.ndindex(slope.gradient.shape):
        for unit in (1.0, 1.0j) if is_complex else (1.0,):
            direction = np.zeros_like(slope.gradient)
            direction[index] = unit
            slope.compare(direction, f"element {index}{' (imaginary part)' if unit == 1.0j else ''}")


def _check_along_a_direction(slope: _Slope, rng: np.random.Generator) -> None:
    slope.compare(_random(rng, slope.gradient), "a random direction")


_ONE_TRIANGLE = (
    "; eigh, eigvalsh and cholesky read one triangle of a matrix, and have the gradient of its Hermitian part: "
    "check them with fn(a + np.conj(a).T)"
)


def _is_square(array: Array) -> bool:
    return array.ndim > 1 and array.shape[-1] == array.shape[-2]
