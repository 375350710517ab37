"""The option `samples`: for objectives with noise, means of several evaluations instead of single ones.

With ``samples="auto"`` the number is adapted: more evaluations are averaged where the noise of their mean gradient
is larger than the gradient (the norm test of Byrd et al.), and fewer where it is much smaller. Components count by
how much a step along them would change the value, so that the units of the variables do not matter.

References
----------
R. H. Byrd, G. M. Chin, J. Nocedal, Y. Wu, "Sample size selection in optimization methods for machine learning",
Mathematical Programming 134, 2012, pp. 127-155.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .._core import record
from .._core.coordinates import is_blocked
from .objective import Objective
from .state import NOISE, POINTS, SAMPLES, SIGNAL, RunState

Array = np.ndarray[Any, Any]

#: The number is chosen anew after so many points.
WINDOW = 10

#: The smallest number that shows noise.
FEWEST = 2

#: The number grows by this factor at most, and is halved if the noise is less than this share of the gradient.
GROWTH, LITTLE = 1.5, 0.5


#: The value of the option with which the number is adapted.
AUTO = "auto"


def begin(state: RunState, samples: int | str) -> None:
    """Set how many evaluations are averaged in a run that begins, or goes on, with this option. Changes the state.

    A number that is adapted goes on from that of the run.
    """
    before = int(state.samples[SAMPLES])
    number = max(FEWEST, before) if isinstance(samples, str) else samples
    if number != before:
        if state.scalars[record.CHECK]:
            state.drop_check()
        set_number(state, number)


class AveragedObjective(Objective):
    """An objective whose values and gradients are means.

    Parameters
    ----------
    state : RunState
        The state of the run. Its `samples` says how many evaluations are averaged, and is changed in place. Where
        their number grows, the latest point becomes the best one: earlier values are less exact, and the lowest of
        them is that which had most luck.
    adapts : bool
        Whether the number is adapted to the noise.
    *args, **kwargs
        Those of `Objective`.

    Notes
    -----
    Means are computed in float64, and are exact where all evaluations agree. The first evaluation that is not
    finite stands for all of them.
    """

    def __init__(self, state: RunState, adapts: bool, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._evaluate_once = self.evaluate
        self._state = state
        self._adapts = adapts
        self.evaluate = self._mean
        self.by_differences = False  # whether a gradient is needed is not known before the mean is

    def _mean(self, x: Array) -> tuple[float, Array]:
        samples = self._state.samples
        is_probe = self._state.scalars[record.CHECK] != 0
        if self._adapts and samples[POINTS] >= WINDOW and not is_probe:
            set_number(self._state, next_number(int(samples[SAMPLES]), samples[NOISE], samples[SIGNAL]))
        f, g = self._evaluate_once(x)
        number = int(samples[SAMPLES])
        if number == 1 or not _is_finite(f, g):
            return f, g
        measures = self._adapts and not is_probe
        sums = _Sums(f, g, measures)
        for _ in range(number - 1):
            f, g = self._evaluate_once(x)
            self.further_evaluations += 1
            self.further_gradients += 1
            if not _is_finite(f, g):
                return f, g
            sums.add(f, g)
        with np.errstate(all="ignore"):
            mean_f, mean_g = sums.means(number)
            if measures:
                self._measure(x, mean_g, *sums.squares(mean_g, number))
            return mean_f, mean_g.astype(g.dtype)

    def _measure(self, x: Array, g: Array, variance: Array, square: Array) -> None:
        """Add the noise at a point to that of the window.

        `variance` is that of the mean gradient g, and `square` is its square, both in the same unit.
        """
        state = self._state
        # Only the ratio of the sums matters; so the effects cannot overflow, nor vanish.
        largest = np.max(state.vectors[record.SIZE], initial=0)
        share = state.vectors[record.SIZE] / largest if 0 < largest < np.inf else 1.0
        effects = np.stack([variance, square]) * (share * share)
        if state.bounds is not None:
            lower, upper = state.bounds
            effects[:, is_blocked(x, g, lower, upper, 0)] = 0
        noise, both = effects.sum(axis=1)
        total = noise + both
        if 0 < total < np.inf:
            # Each point counts alike, however steep it is there. The square of the mean contains its noise.
            state.samples[NOISE] += noise / total
            state.samples[SIGNAL] += (both - noise) / total
        state.samples[POINTS] += 1


def _is_finite(f: float, g: Array) -> bool:
    return math.isfinite(f) and bool(np.isfinite(g).all())


class _Sums:
    """Sums over the evaluations at a point, of differences from the first: 0 where there is no noise.

    Those of squares are made only if the noise is measured.
    """

    def __init__(self, f: float, g: Array, measures: bool) -> None:
        self._measures = measures
        self._first_f, self._first_g = f, g.astype(float)
        self._f, self._g, self._squares = 0.0, np.zeros(g.size), np.zeros(g.size)
        # Squares are of numbers near 1, so that they do not overflow, nor vanish. (A power of 2 changes no digit.)
        exponent = math.frexp(float(np.max(np.abs(self._first_g), initial=0)))[1]
        self._scale = 2.0 ** -min(max(exponent, -1000), 1000)

    def add(self, f: float, g: Array) -> None:
        """Add a further evaluation."""
        with np.errstate(all="ignore"):
            # What is subtracted from the first in the end: -0.0 - 0.0 is -0.0 still, but -0.0 + 0.0 is not.
            self._f += self._first_f - f
            difference = self._first_g - g
            self._g += difference
            if self._measures:
                difference *= self._scale
                difference *= difference
                self._squares += difference

    def means(self, number: int) -> tuple[float, Array]:
        """The means of values and gradients."""
        return self._first_f - self._f / number, self._first_g - self._g / number

    def squares(self, mean_g: Array, number: int) -> tuple[Array, Array]:
        """The variance of the mean gradient, and its square, both in a unit that differs from point to point."""
        total, mean = self._g * self._scale, mean_g * self._scale
        return (self._squares - total * total / number) / (number - 1) / number, mean * mean


def next_number(number: int, noise: float, signal: float) -> int:
    """How many evaluations are averaged next, if the noise and the gradient of `number` of them were like that."""
    if noise > signal:
        wanted = number * noise / signal if signal > 0 else math.inf
        return int(min(GROWTH * number, max(number + 1, wanted)))
    return max(FEWEST, number // 2) if noise < LITTLE * signal else number


def set_number(state: RunState, number: int) -> None:
    """Set how many evaluations are averaged, and begin the next window. Changes the state in place."""
    scalars, vectors = state.scalars, state.vectors
    if number > state.samples[SAMPLES] and scalars[record.NIT] >= 0:
        scalars[[record.BEST_F, record.LOWEST_F, record.WINDOW_F]] = scalars[record.LAST_F]
        scalars[record.BEST_G_MAX] = scalars[record.LAST_G_MAX]
        scalars[[record.LOWEST_NIT, record.WINDOW_NIT]] = scalars[record.NIT]
        vectors[[record.BEST_X, record.BEST_G]] = vectors[[record.LAST_X, record.LAST_G]]
    state.samples[:] = number, 0, 0, 0
