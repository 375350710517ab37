"""Rprops as others write them: what the referee has to understand without having seen it before.

Each is a factory, as `check` needs it, and `STRANGERS` says what is told of it.
"""

from __future__ import annotations

import numpy as np


class Stranger:
    """The parts that they share; a subclass writes `update(g)`."""

    def __init__(self, x0, *, lr, etas, step_sizes, maximize):
        self.x, self.kind, self.way = x0.copy(), x0.dtype.type, -1 if maximize else 1
        self.down, self.up, self.lo, self.hi = (self.kind(v) for v in (*etas, *step_sizes))
        self.size, self.lr = np.full_like(x0, lr), self.kind(lr)
        self.prev, self.delta = np.zeros_like(x0), np.zeros_like(x0)
        self.start()

    def start(self):
        pass

    def step(self, grad, loss=None):
        with np.errstate(all="ignore"):
            self.update(self.way * np.array(grad), loss)
        return self.x.copy()


class TwoBranches(Stranger):
    """A student's: agreement or not, with a limit in each branch."""

    def update(self, g, loss):
        same = g * self.prev >= 0
        self.size = np.where(
            same, np.minimum(self.size * self.up, self.hi), np.maximum(self.size * self.down, self.lo)
        )
        self.x = self.x - np.sign(g) * self.size
        self.prev = g


class MemoryOfOnes(Stranger):
    """A student's: the memory begins at one, and signs are compared."""

    def start(self):
        self.prev = np.ones_like(self.x)

    def update(self, g, loss):
        q = np.sign(g) * np.sign(self.prev)
        self.size = np.clip(np.where(q > 0, self.size * self.up, np.where(q < 0, self.size * self.down, self.size)),
                            self.lo, self.hi)  # fmt: skip
        g = np.where(q < 0, 0, g)
        self.x = self.x - np.sign(g) * self.size
        self.prev = g


class SignOfZero(Stranger):
    """A student's: a gradient of zero counts as positive where x moves."""

    def update(self, g, loss):
        q = g * self.prev
        self.size = np.clip(np.where(q > 0, self.size * self.up, np.where(q < 0, self.size * self.down, self.size)),
                            self.lo, self.hi)  # fmt: skip
        self.x = self.x - np.where(g >= 0, self.kind(1), self.kind(-1)) * self.size
        self.prev = np.where(q < 0, 0, g)


class SwappedLateLimited(Stranger):
    """A student's: etas swapped, and the step size is adapted after the move."""

    def update(self, g, loss):
        q = g * self.prev
        self.x = self.x - np.sign(g) * self.size
        self.size = np.clip(np.where(q > 0, self.size * self.down, np.where(q < 0, self.size * self.up, self.size)),
                            self.lo, self.hi)  # fmt: skip
        self.prev = g


class Accord(Stranger):
    """Rprop as in a C# library: three branches, no move at a sign change, each branch with its own limit."""

    def update(self, g, loss):
        q = g * self.prev
        grown, shrunk = np.minimum(self.size * self.up, self.hi), np.maximum(self.size * self.down, self.lo)
        self.size = np.where(q > 0, grown, np.where(q < 0, shrunk, self.size))
        sign = np.where(g > 0, self.kind(1), np.where(g < 0, self.kind(-1), self.kind(0)))
        self.x = np.where(q < 0, self.x, self.x - sign * self.size)
        self.prev = np.where(q < 0, 0, g)


class NeuralNet(Stranger):
    """Rprop+ as in R: the last move is stored, and taken back at every sign change."""

    def update(self, g, loss):
        q = np.sign(g) * np.sign(self.prev)
        self.size = np.where(q > 0, np.minimum(self.size * self.up, self.hi),
                             np.where(q < 0, np.maximum(self.size * self.down, self.lo), self.size))  # fmt: skip
        move = np.where(q < 0, -self.delta, -np.sign(g) * self.size)
        self.x, self.delta, self.prev = self.x + move, move, np.where(q < 0, 0, g)


class OwnNumbers(Stranger):
    """Ignores lr and the etas: begins at 0.07, and multiplies by 1.1 and 0.6."""

    def start(self):
        self.size = np.full_like(self.x, 0.07)

    def update(self, g, loss):
        q = g * self.prev
        self.size = self.size * np.where(q > 0, self.kind(1.1), np.where(q < 0, self.kind(0.6), self.kind(1)))
        self.size = np.clip(self.size, self.lo, self.hi)
        self.x = self.x - np.sign(g) * self.size
        self.prev = np.where(q < 0, 0, g)


class Late(Stranger):
    """Makes the move of the step before."""

    def update(self, g, loss):
        q = g * self.prev
        self.size = np.clip(np.where(q > 0, self.size * self.up, np.where(q < 0, self.size * self.down, self.size)),
                            self.lo, self.hi)  # fmt: skip
        self.x = self.x + self.delta
        self.delta, self.prev = np.where(q < 0, 0, -np.sign(g) * self.size), np.where(q < 0, 0, g)


class Scaled(Stranger):
    """As in a library in which every optimizer has a learning rate: step sizes begin at 1, and lr is a factor."""

    def start(self):
        self.size = np.ones_like(self.x)

    def set(self, *, lr=None, etas=None, step_sizes=None):
        if lr is not None:
            self.lr = self.kind(lr)

    def update(self, g, loss):
        q = g * self.prev
        self.size = np.clip(np.where(q > 0, self.size * self.up, np.where(q < 0, self.size * self.down, self.size)),
                            self.lo, self.hi)  # fmt: skip
        self.prev = np.where(q < 0, 0, g)
        self.x = self.x - self.lr * self.size * np.sign(self.prev)


class LimitsOfLr(Stranger):
    """Derives its limits from lr."""

    def start(self):
        self.lo, self.hi = self.lr * self.kind(1e-3), self.lr * self.kind(20)

    def update(self, g, loss):
        q = g * self.prev
        self.size = np.clip(np.where(q > 0, self.size * self.up, np.where(q < 0, self.size * self.down, self.size)),
                            self.lo, self.hi)  # fmt: skip
        self.prev = g
        self.x = self.x - self.size * np.sign(g)


class SinglePrecisionSizes(Stranger):
    """Keeps its step sizes in float32, whatever x is."""

    def start(self):
        self.size = self.size.astype(np.float32)

    def update(self, g, loss):
        q = g * self.prev
        grown = np.where(q > 0, self.size * self.up, np.where(q < 0, self.size * self.down, self.size))
        self.size = np.clip(grown, self.lo, self.hi).astype(np.float32)
        self.prev = np.where(q < 0, 0, g)
        self.x = self.x - self.size * np.sign(self.prev)


class CopiedSign(Stranger):
    """Takes the sign by copysign, which 0 and -0 have, too."""

    def update(self, g, loss):
        q = g * self.prev
        self.size = np.clip(np.where(q > 0, self.size * self.up, np.where(q < 0, self.size * self.down, self.size)),
                            self.lo, self.hi)  # fmt: skip
        self.prev = g
        self.x = self.x - np.copysign(self.size, g)


#: For each stranger, the nearest rule and a sentence about it.
STRANGERS = {
    TwoBranches: ("rprop-", "Where the memory is 0, where the gradient is 0, and where gradient and memory are 0: "
                            "multiplies the step size by eta+, at most the largest."),
    MemoryOfOnes: ("irprop-", "The memory begins at 1."),
    SignOfZero: ("irprop-go", "Where the gradient is NaN: moves up by the new step size."),
    SwappedLateLimited: ("rprop-", "Where the gradient keeps its sign: multiplies the step size by eta-; "
                                   "moves downhill by the old step size."),
    Accord: ("irprop-", "Where the gradient keeps its sign: lets the step size be at most the largest."),
    NeuralNet: ("rprop+", "The signs of gradient and memory are compared."),
    OwnNumbers: ("irprop-go", "Step sizes begin at 0.07, whatever lr says."),
    Late: ("irprop-", "Each step makes the move of the step before."),
    Scaled: ("irprop-", "x moves by lr times the step size."),
    LimitsOfLr: ("rprop-", "The largest step size is 20 times lr, whatever step_sizes says."),
    SinglePrecisionSizes: ("irprop-", "Step sizes are rounded to float32."),
    CopiedSign: ("rprop-", "Where the gradient is 0, where gradient and memory are 0, and where the product is NaN, "
                           "and the gradient is 0: moves against the sign bit of the gradient by the new step size."),
}  # fmt: skip
