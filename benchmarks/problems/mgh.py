"""The 35 least-squares problems of Moré, Garbow and Hillstrom, in NumPy; gradients by `rprop_ref.autograd`.

Each is a function that returns the residuals, with its start and the lowest sums of squares that are known. The
sizes, where they can be chosen, are those for which the paper gives a minimum.

References
----------
J. J. Moré, B. S. Garbow, K. E. Hillstrom, "Testing unconstrained optimization software", ACM Transactions on
Mathematical Software 7(1), 1981, pp. 17-41.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rprop_ref import autograd

from .problem import Array, Objective, Problem


class Entry(NamedTuple):
    """A problem: its residuals, the start, and the values at its minima as published."""

    residuals: Callable[[Any], Any]
    x0: Array
    minima: tuple[float, ...]


ENTRIES: dict[str, Entry] = {}


def _problem(start: Any, *minima: float) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    def register(residuals: Callable[[Any], Any]) -> Callable[[Any], Any]:
        ENTRIES[residuals.__name__.lstrip("_")] = Entry(residuals, np.array(start, float), minima)
        return residuals

    return register


def names() -> list[str]:
    """The names of the 35, in the order of the paper."""
    return list(ENTRIES)


def load(suite: str, name: str) -> Problem:
    """One problem, with the sum of squares as its objective, and the sum of absolute residuals beside it."""
    residuals, x0, _ = ENTRIES[name]

    def squares(x: Any) -> Any:
        return np.sum(residuals(x) ** 2)

    def absolute(x: Any) -> Any:
        return np.sum(np.abs(residuals(x)))

    def value(x: Array) -> float:
        with np.errstate(all="ignore"):
            return float(squares(x))

    return Problem(
        suite, name, x0.copy(), _differentiated(squares), value=value, absolute=_differentiated(absolute)
    )


def _differentiated(fun: Callable[[Any], Any]) -> Objective:
    both = autograd.value_and_grad(fun)

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        with np.errstate(all="ignore"):
            f, g = both(x)
        return float(f), np.asarray(g)

    return value_and_gradient


def _row(*terms: Any) -> Any:
    return np.stack(terms)


def _alternate(odd: Any, even: Any) -> Any:
    """odd[0], even[0], odd[1], even[1] and so on."""
    return np.stack([odd, even], axis=1).reshape(-1)


@_problem([-1.2, 1], 0)
def _rosenbrock(x: Any) -> Any:
    return _row(10 * (x[1] - x[0] ** 2), 1 - x[0])


@_problem([0.5, -2], 0, 48.98425)
def _freudenstein_roth(x: Any) -> Any:
    return _row(
        -13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1],
        -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1],
    )


@_problem([0, 1], 0)
def _powell_badly_scaled(x: Any) -> Any:
    return _row(1e4 * x[0] * x[1] - 1, np.exp(-x[0]) + np.exp(-x[1]) - 1.0001)


@_problem([1, 1], 0)
def _brown_badly_scaled(x: Any) -> Any:
    return _row(x[0] - 1e6, x[1] - 2e-6, x[0] * x[1] - 2)


@_problem([1, 1], 0)
def _beale(x: Any) -> Any:
    return np.array([1.5, 2.25, 2.625]) - x[0] * (1 - x[1] ** np.array([1, 2, 3]))


@_problem([0.3, 0.4], 124.3622)
def _jennrich_sampson(x: Any) -> Any:
    i = np.arange(1, 11)
    return 2 + 2 * i - (np.exp(i * x[0]) + np.exp(i * x[1]))


@_problem([-1, 0, 0], 0)
def _helical_valley(x: Any) -> Any:
    # The angle of the paper, in turns, is in [-1/4, 3/4).
    half_turn = np.where(x[0] < 0, 0.5, 0.0)
    turns = np.arctan(x[1] / x[0]) / (2 * np.pi) + half_turn
    return _row(10 * (x[2] - 10 * turns), 10 * (np.sqrt(x[0] ** 2 + x[1] ** 2) - 1), x[2])


_BARD = np.array([0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39])


@_problem([1, 1, 1], 8.214877e-3, 17.42869)
def _bard(x: Any) -> Any:
    u = np.arange(1.0, 16)
    v = 16 - u
    return _BARD - (x[0] + u / (v * x[1] + np.minimum(u, v) * x[2]))


_GAUSSIAN = np.array(
    [
        9e-4,
        4.4e-3,
        0.0175,
        0.054,
        0.1295,
        0.242,
        0.3521,
        0.3989,
        0.3521,
        0.242,
        0.1295,
        0.054,
        0.0175,
        4.4e-3,
        9e-4,
    ]
)


@_problem([0.4, 1, 0], 1.127933e-8)
def _gaussian(x: Any) -> Any:
    t = (8 - np.arange(1, 16)) / 2
    return x[0] * np.exp(-x[1] * (t - x[2]) ** 2 / 2) - _GAUSSIAN


_MEYER = np.array(
    [34780, 28610, 23650, 19630, 16370, 13720, 11540, 9744, 8261, 7030, 6005, 5147, 4427, 3820, 3307, 2872.0]
)


@_problem([0.02, 4000, 250], 87.94586)
def _meyer(x: Any) -> Any:
    t = 45 + 5 * np.arange(1, 17)
    return x[0] * np.exp(x[1] / (t + x[2])) - _MEYER


@_problem([5, 2.5, 0.15], 0)
def _gulf(x: Any) -> Any:
    t = np.arange(1, 100) / 100
    y = 25 + (-50 * np.log(t)) ** (2 / 3)
    return np.exp(-(np.abs(y - x[1]) ** x[2]) / x[0]) - t


@_problem([0, 10, 20], 0)
def _box(x: Any) -> Any:
    t = np.arange(1, 11) / 10
    return np.exp(-t * x[0]) - np.exp(-t * x[1]) - x[2] * (np.exp(-t) - np.exp(-10 * t))


@_problem([3, -1, 0, 1], 0)
def _powell_singular(x: Any) -> Any:
    return _row(
        x[0] + 10 * x[1],
        np.sqrt(5) * (x[2] - x[3]),
        (x[1] - 2 * x[2]) ** 2,
        np.sqrt(10) * (x[0] - x[3]) ** 2,
    )


@_problem([-3, -1, -3, -1], 0)
def _wood(x: Any) -> Any:
    return _row(
        10 * (x[1] - x[0] ** 2),
        1 - x[0],
        np.sqrt(90) * (x[3] - x[2] ** 2),
        1 - x[2],
        np.sqrt(10) * (x[1] + x[3] - 2),
        (x[1] - x[3]) / np.sqrt(10),
    )


_KOWALIK_Y = np.array([0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246])
_KOWALIK_U = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


@_problem([0.25, 0.39, 0.415, 0.39], 3.075056e-4, 1.02734e-3)
def _kowalik_osborne(x: Any) -> Any:
    u = _KOWALIK_U
    return _KOWALIK_Y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


@_problem([25, 5, -5, -1], 85822.2)
def _brown_dennis(x: Any) -> Any:
    t = np.arange(1, 21) / 5
    return (x[0] + t * x[1] - np.exp(t)) ** 2 + (x[2] + x[3] * np.sin(t) - np.cos(t)) ** 2


_OSBORNE_1 = np.array(
    """
    0.844 0.908 0.932 0.936 0.925 0.908 0.881 0.850 0.818 0.784 0.751 0.718 0.685 0.658 0.628 0.603 0.580
    0.558 0.538 0.522 0.506 0.490 0.478 0.467 0.457 0.448 0.438 0.431 0.424 0.420 0.414 0.411 0.406
    """.split(),  # noqa: SIM905
    float,
)


@_problem([0.5, 1.5, -1, 0.01, 0.02], 5.464895e-5)
def _osborne_1(x: Any) -> Any:
    t = 10 * np.arange(33)
    return _OSBORNE_1 - (x[0] + x[1] * np.exp(-t * x[3]) + x[2] * np.exp(-t * x[4]))


@_problem([1, 2, 1, 1, 1, 1], 0, 5.65565e-3, 0.3063669)
def _biggs_exp6(x: Any) -> Any:
    t = np.arange(1, 14) / 10
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    return x[2] * np.exp(-t * x[0]) - x[3] * np.exp(-t * x[1]) + x[5] * np.exp(-t * x[4]) - y


_OSBORNE_2 = np.array(
    """
    1.366 1.191 1.112 1.013 0.991 0.885 0.831 0.847 0.786 0.725 0.746 0.679 0.608 0.655 0.616 0.606 0.602
    0.626 0.651 0.724 0.649 0.649 0.694 0.644 0.624 0.661 0.612 0.558 0.533 0.495 0.500 0.423 0.395 0.375
    0.372 0.391 0.396 0.405 0.428 0.429 0.523 0.562 0.607 0.653 0.672 0.708 0.633 0.668 0.645 0.632 0.591
    0.559 0.597 0.625 0.739 0.710 0.729 0.720 0.636 0.581 0.428 0.292 0.162 0.098 0.054
    """.split(),  # noqa: SIM905
    float,
)


@_problem([1.3, 0.65, 0.65, 0.7, 0.6, 3, 5, 7, 2, 4.5, 5.5], 4.013774e-2)
def _osborne_2(x: Any) -> Any:
    t = np.arange(65) / 10
    peaks = x[0] * np.exp(-t * x[4])
    for height, width, place in ((1, 5, 8), (2, 6, 9), (3, 7, 10)):
        peaks = peaks + x[height] * np.exp(-((t - x[place]) ** 2) * x[width])
    return _OSBORNE_2 - peaks


@_problem(np.zeros(6), 2.287670e-3)
def _watson(x: Any) -> Any:
    t = np.arange(1, 30)[:, None] / 29
    j = np.arange(6)
    derivative = (t ** np.maximum(j - 1, 0) * j) @ x
    value = (t**j) @ x
    return np.concatenate([derivative - value**2 - 1, x[:1], x[1:2] - x[:1] ** 2 - 1])


@_problem([-1.2, 1] * 5, 0)
def _extended_rosenbrock(x: Any) -> Any:
    return _alternate(10 * (x[1::2] - x[::2] ** 2), 1 - x[::2])


@_problem([3, -1, 0, 1] * 3, 0)
def _extended_powell_singular(x: Any) -> Any:
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return np.concatenate(
        [a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2],
    )


@_problem(np.arange(1, 11), 7.087651e-5)
def _penalty_1(x: Any) -> Any:
    return np.concatenate([np.sqrt(1e-5) * (x - 1), np.sum(x**2, keepdims=True) - 0.25])


@_problem(np.full(10, 0.5), 2.936605e-4)
def _penalty_2(x: Any) -> Any:
    n, i = 10, np.arange(2, 11)
    y = np.exp(i / 10) + np.exp((i - 1) / 10)
    root = np.sqrt(1e-5)
    e = np.exp(x / 10)
    return np.concatenate(
        [
            x[:1] - 0.2,
            root * (e[1:] + e[:-1] - y),
            root * (e[1:] - np.exp(-0.1)),
            np.sum((n - np.arange(n)) * x**2, keepdims=True) - 1,
        ]
    )


@_problem(1 - np.arange(1, 11) / 10, 0)
def _variably_dimensioned(x: Any) -> Any:
    s = np.sum(np.arange(1, 11) * (x - 1), keepdims=True)
    return np.concatenate([x - 1, s, s**2])


@_problem(np.full(10, 0.1), 0, 2.795056e-5)
def _trigonometric(x: Any) -> Any:
    return 10 - np.sum(np.cos(x)) + np.arange(1, 11) * (1 - np.cos(x)) - np.sin(x)


@_problem(np.full(10, 0.5), 0, 1)
def _brown_almost_linear(x: Any) -> Any:
    return np.concatenate([x[:-1] + np.sum(x) - 11, np.prod(x, keepdims=True) - 1])


_T = np.arange(1, 11) / 11


@_problem(_T * (_T - 1), 0)
def _discrete_boundary_value(x: Any) -> Any:
    return 2 * x - _shifted(x, 1) - _shifted(x, -1) + (x + _T + 1) ** 3 / 242


@_problem(_T * (_T - 1), 0)
def _discrete_integral_equation(x: Any) -> Any:
    t, cubes = _T, (x + _T + 1) ** 3
    before = np.tril(np.outer(1 - t, t))
    after = np.triu(np.outer(t, 1 - t), 1)
    return x + (before + after) @ cubes / 22


def _shifted(x: Any, by: int) -> Any:
    """x moved by one place, with 0 at the end that is left."""
    zero = np.zeros(1)
    return np.concatenate([zero, x[:-1]] if by > 0 else [x[1:], zero])


@_problem(np.full(10, -1.0), 0)
def _broyden_tridiagonal(x: Any) -> Any:
    return (3 - 2 * x) * x - _shifted(x, 1) - 2 * _shifted(x, -1) + 1


_BAND = np.array([[j != i and max(0, i - 5) <= j <= min(9, i + 1) for j in range(10)] for i in range(10)], float)


@_problem(np.full(10, -1.0), 0)
def _broyden_banded(x: Any) -> Any:
    return x * (2 + 5 * x**2) + 1 - _BAND @ (x * (1 + x))


@_problem(np.ones(10), 10)
def _linear_full_rank(x: Any) -> Any:
    s = 2 * np.sum(x) / 20 + 1
    return np.concatenate([x - s, np.zeros(10) - s])


@_problem(np.ones(10), 20 * 19 / (2 * 41))
def _linear_rank_1(x: Any) -> Any:
    return np.arange(1, 21) * np.sum(np.arange(1, 11) * x) - 1


@_problem(np.ones(10), (20**2 + 3 * 20 - 6) / (2 * 37))
def _linear_rank_1_with_zeros(x: Any) -> Any:
    i = np.arange(20) * (np.arange(1, 21) < 20)
    j = np.arange(1, 11) * ((np.arange(1, 11) > 1) & (np.arange(1, 11) < 10))
    return i * np.sum(j * x) - 1


@_problem(np.arange(1, 9) / 9, 3.516874e-3)
def _chebyquad(x: Any) -> Any:
    u = 2 * x - 1
    before, now = np.ones(8), u
    rows = []
    for i in range(1, 9):
        integral = 0.0 if i % 2 else -1 / (i**2 - 1)
        rows.append(np.mean(now) - integral)
        before, now = now, 2 * u * now - before
    return np.stack(rows)
