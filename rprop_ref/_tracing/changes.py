"""What the changes of the gradient from step to step tell: noise, kinks, and valleys across the axes.

Where an objective is smooth, its gradient changes less in shorter steps. Noise does not become smaller, nor does
the jump at a kink: the changes have a *floor*. At kinks the gradient jumps between few values, so changes are
repeated to many digits; those by noise never are. And between kinks the gradient is a matter of the place: near
points have like gradients. In a valley across the axes the gradient is smooth, signs keep changing, and step sizes
do not become smaller, though the value falls ever more slowly.

The value tells more. In a step, it changes by something between what the gradients at both ends say, if the
objective is convex, with or without kinks, and nearly so if it is smooth and the steps are short for it. Noise of
the value is no such change.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: Only decades of step lengths with at least this many steps count.
MIN_STEPS = 4
#: A floor: in the shortest steps and up to so many decades above, ...
DECADES = 2
#: ... the mean change of the gradient, as a power of ten, is the same up to this (and to its standard error, about
#: `ERROR` over the root of the number of steps), ...
SAME, ERROR = 0.4, 0.7
#: ... the largest is not larger by more than this (in a valley, changes differ more, by their direction), ...
LARGER = 1.0
#: ... and in no decade are the changes smaller by more than this.
LOWER = 0.7

#: Changes that agree up to this fraction are repetitions; at kinks, at least this share of changes is repeated.
REPEATED, REPEATED_SHARE = 1e-6, 0.25

#: A gradient contradicts an earlier one at the same point if it differs by more than this fraction. A few such ...
CONTRADICTION = 1e-6
#: ... show that it is noisy.
CONTRADICTIONS = 3

#: Changes by noise do not depend on the length of the step: their rank correlation is below this.
CORRELATION = 0.4

#: Gradients depend on the place if the nearest of the other points has one that differs by less than this fraction
#: of what those of two points differ by (the median each).
NEAREST = 0.75

#: Gradients point downhill together if their shortest mean is at least this fraction of the longest of them.
DOWNHILL = 0.02

#: In a valley, step sizes in the second half of the latest steps are at least this power of ten of those in the
#: first half (the median of the variables), ...
SHRUNK = -0.6
#: ... signs change in at least this share of the steps, ...
FLIPS = 0.15
#: ... x moves in at least this share of them, the second half gains at least this fraction of what the first half
#: gains (with pattern moves, one step may gain more than all others), and all of it is at most this fraction of
#: what the run has gained.
MOVING, GAIN, SMALL_GAIN = 0.5, 0.01, 0.01

#: The gradients at both ends of a step explain a change of the value that differs from their mean by no more than
#: they do from each other, and this fraction of the larger one. Value and gradient do not fit if a smaller share
#: of the latest steps is explained, of which there must be so many.
INEXACT, EXPLAINED_SHARE, FEWEST = 0.1, 0.5, 20
#: Changes below this fraction of the values, or this one of all that the run has gained, may be rounding errors,
#: since objectives may compute in float32.
FRACTION_OF_VALUE, FRACTION_OF_GAIN = 1e-5, 1e-6


class Changes:
    """The changes of the gradient, by the decade of the length of the step.

    Attributes
    ----------
    decades : dict
        For each decade a list: the number of steps, the sum of log10 of the changes, and the largest log10.
    """

    def __init__(self, decades: dict[int, list[float]] | None = None) -> None:
        self.decades: dict[int, list[float]] = {} if decades is None else decades

    def add(self, length: float, change: float) -> None:
        """Add a step of this length, in which the gradient changed by this much."""
        if 0 < length < math.inf and 0 < change < math.inf:
            decade = self.decades.setdefault(math.floor(math.log10(length)), [0, 0.0, -math.inf])
            logarithm = math.log10(change)
            decade[0] += 1
            decade[1] += logarithm
            decade[2] = max(decade[2], logarithm)

    def have_floor(self, smallest: float) -> bool:
        """Whether the changes do not become smaller with the steps, and are not merely rounding errors.

        Parameters
        ----------
        smallest : float
            Changes up to this one are taken for rounding errors.
        """
        means = {k: (n, total / n, most) for k, (n, total, most) in self.decades.items() if n >= MIN_STEPS}
        if not means or max(means) < min(means) + DECADES:
            return False
        top = min(k for k in means if k >= min(means) + DECADES)
        low = [means[k] for k in means if k <= top]
        floor = sum(n * mean for n, mean, _ in low) / sum(n for n, _, _ in low)
        return (
            all(abs(mean - floor) < SAME + ERROR / math.sqrt(n) for n, mean, _ in low)
            and all(most - mean < LARGER for _, mean, most in means.values() if mean < floor + SAME)
            and all(mean > floor - LOWER - ERROR / math.sqrt(n) for n, mean, _ in means.values())
            and floor > math.log10(smallest)
        )


def are_repeated(changes: Array) -> bool:
    """Whether many of the changes of a gradient, shape (k,), agree to many digits, as those across kinks do."""
    ordered = np.sort(changes[np.isfinite(changes) & (changes > 0)])
    if ordered.size < 2 * MIN_STEPS:
        return False
    close = np.diff(ordered) <= REPEATED * ordered[1:]
    return bool(np.mean(np.append(close, False) | np.append(False, close)) >= REPEATED_SHARE)


def depend_on_length(changes: Array, lengths: Array) -> bool:
    """Whether changes of the gradient, shape (k,), depend on the lengths of the steps: by their ranks."""
    ranks = np.array([np.argsort(np.argsort(a)) for a in (changes, lengths)], float)
    with np.errstate(invalid="ignore"):
        return bool(abs(np.corrcoef(ranks)[0, 1]) >= CORRELATION)


def depend_on_place(x: Array, gradients: Array) -> bool:
    """Whether near points have like gradients, or there are too few points to tell; both arrays have shape (k, n).

    Under noise, the gradient at the nearest point is no more alike than those at other points.
    """
    if len(x) < 2 * MIN_STEPS:
        return True
    nearest, pairs = [], []
    x_ranges, gradient_ranges = _ranges(x), _ranges(gradients)
    for i in range(len(x)):
        differences = _distances(gradients, i, gradient_ranges)
        distances = _distances(x, i, x_ranges)
        distances[i] = np.inf
        nearest.append(differences[np.argmin(distances)])
        pairs.append(np.delete(differences, i))
    return bool(np.median(nearest) < NEAREST * np.median(pairs))


def _ranges(points: Array) -> Array:
    """The range of each variable; 1 for one that does not change."""
    ranges = np.ptp(points, axis=0)
    return np.where(ranges > 0, ranges, 1)


def _distances(points: Array, i: int, ranges: Array) -> Array:
    """The largest distance in any variable, relative to its range, of each of the points from the i-th."""
    return np.asarray(np.max(np.abs(points - points[i]) / ranges, axis=1, initial=0))


def share_explained(f: Array, x: Array, gradients: Array, counts: Array, rounding: float) -> float:
    """In which share of steps the gradients at both ends explain the change of the value; 1 if there are too few.

    A gradient that is too large or too small by a factor explains as much, since only its signs are used.

    Parameters
    ----------
    f : ndarray, shape (k,)
        Values; NaN where they are not known.
    x, gradients : ndarray, shape (k, n)
    counts : ndarray of bool, shape (k,)
        Whether the step that led to each point counts.
    rounding : float
        Changes up to this one may be rounding errors.
    """
    with np.errstate(all="ignore"):
        moves, change = np.diff(x.astype(float), axis=0), np.diff(f)
        slopes = gradients.astype(float)
        before, after = np.sum(slopes[:-1] * moves, axis=1), np.sum(slopes[1:] * moves, axis=1)
        mean, apart = (before + after) / 2, np.abs(after - before)
        inexact = apart + INEXACT * np.maximum(np.abs(before), np.abs(after))
        usable = counts[1:] & moves.any(axis=1) & np.isfinite(change) & np.isfinite(inexact)
        if usable.sum() < FEWEST:
            return 1.0
        change, mean, inexact = change[usable], mean[usable], inexact[usable]
        factors = [1.0, float(change @ mean / (mean @ mean))]
        shares = [np.mean(np.abs(change - c * mean) <= abs(c) * inexact + rounding) for c in factors]
    return float(max(shares))


def are_downhill(gradients: Array) -> bool:
    """Whether some direction leads downhill by all of these gradients, shape (k, n).

    So it is where a run rests on a kink across the axes, away from the minimum; at a minimum, 0 is a mean of the
    gradients around it. The shortest mean is found by the steps of Frank and Wolfe.
    """
    scale = np.max(np.abs(gradients), axis=0, initial=0)
    scaled = gradients / np.where(scale > 0, scale, 1)
    mean = scaled.mean(axis=0)
    for _ in range(1000):
        nearest = scaled[np.argmin(scaled @ mean)]
        difference = mean - nearest
        share = mean @ difference
        if share <= 0 or not difference @ difference:
            break
        mean = mean - min(1.0, share / (difference @ difference)) * difference
    longest = float(np.max(np.sum(scaled**2, axis=1)))
    return bool(mean @ mean > DOWNHILL**2 * longest)


def side_told_by_sign(x: Array, sign: Array) -> float:
    """How well the sign of the gradient tells on which side of a minimum x is: 1 if always, 0.5 if by chance.

    This is the probability that x is larger at a positive gradient than at a negative one; NaN if the gradient had
    only one sign.
    """
    above, below = x[sign > 0], x[sign < 0]
    if not (above.size and below.size):
        return np.nan
    difference = above[:, None] - below[None, :]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def creep(f: Array, x: Array, sign: Array, size: Array, gained: float) -> bool:
    """Whether the latest steps look like those along a valley across the axes.

    Parameters
    ----------
    f : ndarray, shape (k,)
        The lowest value up to each step; NaN where it is not known, and then the step sizes alone decide.
    x, sign, size : ndarray, shape (k, n)
        Points, signs of the gradient, and step sizes. A valley needs two variables.
    gained : float
        How much the value has fallen in the whole run.
    """
    half = len(x) // 2
    sloping = np.flatnonzero((sign != 0).any(axis=0))
    if sloping.size < 2:
        return False
    with np.errstate(all="ignore"):
        shrinking = np.log10(np.mean(size[half:], axis=0) / np.mean(size[:half], axis=0))[sloping]
    flips = np.mean(sign[1:] * sign[:-1] < 0, axis=0)[sloping]
    moving = np.mean((np.diff(x, axis=0) != 0).any(axis=1))
    shrinking = shrinking[np.isfinite(shrinking)]
    if not (shrinking.size and np.median(shrinking) > SHRUNK and np.median(flips) >= FLIPS and moving >= MOVING):
        return False
    if not np.isfinite(f).all():
        return True
    first, second = f[0] - f[half], f[half] - f[-1]
    return bool(second > 0 and second >= GAIN * first and first + second <= SMALL_GAIN * gained)
