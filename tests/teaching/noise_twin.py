"""The explorer's noise and batches, written again in Python, with whole numbers of any length."""

from __future__ import annotations

import math

WORD = 1 << 32


class Generator:
    """xorshift32 (Marsaglia, 2003), started from a seed and the number of a stream."""

    def __init__(self, seed, stream):
        self.state = ((seed * 0x9E3779B1) ^ (stream * 0x85EBCA6B)) % WORD or 1
        for _ in range(8):
            self.draw()

    def draw(self):
        s = self.state
        s ^= (s << 13) % WORD
        s ^= s >> 17
        s ^= (s << 5) % WORD
        self.state = s
        return s

    def normal(self):
        # Twelve whole numbers and their sum need 36 bits, so no step rounds.
        return sum(self.draw() for _ in range(12)) / WORD - 6

    def shuffled(self, n):
        order = list(range(n))
        for i in reversed(range(1, n)):
            j = self.draw() % (i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def normals(seed, count):
    numbers = Generator(seed, 1)
    return [(numbers.normal(), numbers.normal()) for _ in range(count)]


def batches(seed, size, n, count):
    numbers, found = Generator(seed, 2), []
    while len(found) < count:
        order = numbers.shuffled(n)
        found += [order[i : i + size] for i in range(0, n - size + 1, size)]
    return found[:count]


def of_batch(points, batch, x):
    """The mean squared error and its gradient."""
    value = da = db = 0.0
    for i in batch:
        t, y = points[i]
        residual = float(x[0]) + float(x[1]) * t - y
        value += residual * residual
        da += 2 * residual
        db += 2 * residual * t
    return value / len(batch), [da / len(batch), db / len(batch)]


def seen(objective, *, noise=0.0, seed=1, batch=0, count=1):
    """For each evaluation a function: the value and the gradient that it gets at a point."""
    chosen = batches(seed, batch, len(objective.points), count) if 0 < batch < len(objective.points) else None
    numbers = normals(seed, count)
    units = [abs(g) if g != 0 and math.isfinite(g) else 1.0 for g in objective.jac(objective.start).tolist()]

    def at(x, k):
        if chosen:
            f, g = of_batch(objective.points, chosen[k], x)
        else:
            f, g = float(objective.fun(x)), objective.jac(x).tolist()
        if noise:
            g = [v + noise * unit * z for v, unit, z in zip(g, units, numbers[k])]
        return f, g

    return at
