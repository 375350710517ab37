"""The experiments of ordinary use, in the order in which a table is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from .._comparison.trajectory import Trajectory
from .laboratory import Laboratory, words
from .strands import Nature, Strand
from .traits import FALLING, MIXED, NARROW, RISING, SETTING


def first_scripts(laboratory: Laboratory, nature: Nature) -> Iterator[Trajectory]:
    """Runs whose scripts meet one new event at a time.

    Words come in the order of their letters, so that a sign change is met after agreement, then what follows it,
    and then the next: a word adds one event to those before it.
    """
    for letters, length in (((1.0, -1.0), 5), ((1.0, -1.0, 0.0), 3)):
        for loss in _losses(nature):
            yield laboratory.run(words(letters, length), loss=loss[:length], **SETTING)


def after_special(laboratory: Laboratory, nature: Nature, special: float) -> Iterator[Trajectory]:
    """The first scripts, each after a NaN or an infinite gradient, which may lead to events not met elsewhere."""
    for letters, length in (((1.0, -1.0), 4), ((1.0, -1.0, 0.0), 3)):
        after = words(letters, length)
        g = np.vstack([np.full(after.shape[1], special), after])
        for loss in _losses(nature):
            yield laboratory.run(g, loss=loss[: len(g)], **SETTING)


def more_scripts(laboratory: Laboratory, nature: Nature) -> Iterator[Trajectory]:
    """Runs that meet several events in every order, limits, and long runs."""
    # Longer where limits are met: what one row does without them may show two rows later.
    for setting, length in (
        (SETTING, 4),
        (NARROW[0], 5 if laboratory.alone else 6),
        *((some, 5) for some in NARROW[1:]),
    ):
        every = words((1.0, -1.0, 0.0), length)
        for loss in _losses(nature):
            yield laboratory.run(every, loss=(*loss, loss[-2])[:length], **setting)
    rng = np.random.default_rng(2)
    for setting in (SETTING, NARROW[0]):
        g = rng.choice([1.0, -1.0, 0.0, 0.3, -2.0], (20, 12), p=[0.35, 0.35, 0.1, 0.1, 0.1])
        yield laboratory.run(g, rng.normal(size=12), loss=tuple(rng.choice([1.0, 2.0, 2.0, 3.0], 20)), **setting)


def _losses(nature: Nature) -> tuple[tuple[float, ...], ...]:
    return (FALLING, RISING, MIXED) if nature.uses_loss else (FALLING,)


def shortened(strands: Sequence[Strand]) -> list[Strand]:
    """All beginnings of some strands, the shortest first: what is learned from these helps with the others."""
    longest = max((len(strand.calls) for strand in strands), default=0)
    return [
        replace(strand, calls=strand.calls[:n])
        for n in range(1, longest + 1) for strand in strands if len(strand.calls) >= n
    ]  # fmt: skip
