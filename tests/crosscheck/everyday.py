"""The mistakes of every day, alone and together, in a plain Python Rprop with loops and Python floats."""

from __future__ import annotations

import itertools

import numpy as np

#: Each mistake, and words of the first line of a report that name it.
MISTAKES = {
    "a limit per branch, >=": "one limit per branch",
    "a limit per branch, >": "one limit per branch",
    "adapts after the move": "adapts after the move",
    "memory not zeroed": "memory kept at a flip",
    "memory begins at one": "the memory begins at 1",
    "sign of zero": "zero is positive",
    "etas swapped": "etas swapped",
    "lr ignored": "ignores lr",
    "one step late": "one step late",
}


class Everyday:
    """iRprop- for lists of floats, with mistakes."""

    def __init__(self, mistakes, x0, *, lr, etas, step_sizes, maximize):
        self.mistakes, self.way = mistakes, -1.0 if maximize else 1.0
        self.x, (self.down, self.up), (self.low, self.high) = [float(v) for v in x0], etas, step_sizes
        if "etas swapped" in mistakes:
            self.down, self.up = self.up, self.down
        self.size = [0.0125 if "lr ignored" in mistakes else lr] * len(self.x)
        self.prev = [1.0 if "memory begins at one" in mistakes else 0.0] * len(self.x)
        self.pending = [0.0] * len(self.x)

    def step(self, grad, loss=None):
        for i, g in enumerate(grad.tolist()):
            self.x[i] += self.move(i, self.way * g)
        return list(self.x)

    def move(self, i, g):
        q, before = g * self.prev[i], self.size[i]
        size = self.size[i] = self.adapted(q, before)
        if q < 0:
            self.prev[i] = g if "memory not zeroed" in self.mistakes else 0.0
            g = 0.0
        else:
            self.prev[i] = g
        rests = q < 0 and "sign of zero" in self.mistakes
        sign = (
            1.0 if g > 0 or (g == 0 and "sign of zero" in self.mistakes and not rests) else -1.0 if g < 0 else 0.0
        )
        move = -sign * (before if "adapts after the move" in self.mistakes else size)
        if "one step late" in self.mistakes:
            move, self.pending[i] = self.pending[i], move
        return move

    def adapted(self, q, size):
        if "a limit per branch, >=" in self.mistakes:
            return min(size * self.up, self.high) if q >= 0 else max(size * self.down, self.low)
        if "a limit per branch, >" in self.mistakes:
            return min(size * self.up, self.high) if q > 0 else max(size * self.down, self.low)
        size = size * (self.up if q > 0 else self.down if q < 0 else 1.0)
        return min(max(size, self.low), self.high)


def pairs():
    """The pairs of mistakes that can be made together."""
    both = itertools.combinations(MISTAKES, 2)
    return [pair for pair in both if not all(name.startswith("a limit per branch") for name in pair)]


def everyday(*mistakes):
    """A factory."""
    return lambda x0, **setting: Everyday(mistakes, np.asarray(x0), **setting)
