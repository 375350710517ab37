"""How often a random rule is decompiled: tables drawn from the grammar, and rules outside it, given blind."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from rprop_ref.crosscheck import Rule, decompile
from rprop_ref.crosscheck._table.five import NAMES, expected
from rprop_ref.crosscheck._table.grammar import FIELDS, FLIPS, GLOBALS, ROWS, Answer, Grammar
from rprop_ref.crosscheck._table.table import Table

Array = np.ndarray[Any, Any]

#: Entries of the whole rule that are drawn, and how often each has an unusual answer.
UNUSUAL = {
    "start": 0.3, "start memory": 0.3, "compare": 0.4, "loss test": 0.4, "flip test": 0.2, "factor of 0": 0.5,
    "no move": 0.5, "sign of 0": 0.3, "maximize": 0.2, "loss under maximize": 0.3, "None": 0.3,
    "caller's array": 0.3, "caller's gradient": 0.3, "subnormals": 0.1, "lr set": 0.2, "etas set": 0.2,
    "limits set": 0.2, "saved": 0.3,
}  # fmt: skip

#: Numbers that a rule may contain, and how often it does.
NUMBERS = {
    "small moves": (0.08, (1e-13, 1e-9, 1e-20)), "small products": (0.08, (1e-13, 1e-27, 1e-18)),
    "small gradients": (0.05, (1e-12, 1e-30)), "floor": (0.08, (1e-4, 1e-3)), "walls": (0.05, (1500.0, 1e4)),
}  # fmt: skip

#: How often a rule does something rare.
RARE = 0.05


def random_table(seed: int, *, units: bool = False) -> Table:
    """A table drawn from the grammar: most rows are like those of one of the five rules, some are not.

    With `units`, lengths are multiples of lr, or numbers of float32, in one table of ten.
    """
    rng = np.random.default_rng([18, seed])
    symmetric, uses_loss = bool(rng.random() < 0.7), bool(rng.random() < 0.25)
    grammar, rule = Grammar(symmetric), str(rng.choice(NAMES))
    entries: dict[str, Answer] = {}
    for row in ROWS:
        for sign in ("",) if symmetric or row in ("rest", "nan") else (" +", " -", " 0"):
            for field in FIELDS:
                key = f"{row}{sign}: {field}"
                words = [str(a) for a in grammar.answers(key)]
                usual = expected(rule, f"{row}: {field}")
                entries[key] = str(rng.choice(words)) if rng.random() < 0.2 else (usual or words[0])
            if row not in FLIPS and rng.random() < 0.05:
                entries[f"{row}{sign}: factor"] = float(rng.choice([1.1, 1.05, 0.7, 0.9]))
    for name, often in UNUSUAL.items():
        answers = [answer for answer in GLOBALS[name] if (name, answer) != ("lr set", "used")]
        entries[name] = str(rng.choice(answers)) if rng.random() < often else answers[0]
    if any(key.endswith(": factor") and answer == "down" and "flip" not in key for key, answer in entries.items()):
        entries["flip test"] = "sign"  # by the factor, agreement would be a sign change
    for name, (often, values) in NUMBERS.items():
        if rng.random() < often:
            entries[name] = float(rng.choice(values))
    _draw_rare(entries, rng)
    if symmetric:
        _draw_zero_after_infinity(entries, grammar, np.random.default_rng([19, seed]))
    if units:
        _draw_units(entries, np.random.default_rng([20, seed]))
    return Table(entries, symmetric, uses_loss, f"table {seed}")


def _draw_zero_after_infinity(entries: dict[str, Answer], grammar: Grammar, rng: np.random.Generator) -> None:
    """The row of a gradient of 0 after an infinite one: mostly like that of an infinite one after 0."""
    for field in (*FIELDS, "late move"):
        key = f"nan product 0: {field}"
        if f"nan product: {field}" not in entries:
            continue
        own = rng.random() < 0.2
        entries[key] = str(rng.choice(list(grammar.answers(key)))) if own else entries[f"nan product: {field}"]


def _draw_rare(entries: dict[str, Answer], rng: np.random.Generator) -> None:
    """What few rules do: move one step late, limits of their own, a row for the step after a sign change."""
    if rng.random() < RARE:
        entries["late"] = "yes"
        for key in [key for key in entries if key.endswith(": move")]:
            dropped = rng.random() < (0.3 if key.startswith(FLIPS) else 0.05)
            entries[key.replace(": move", ": late move")] = "dropped" if dropped else "made"
    for name, answer in (("after a flip", "own"), ("direction", "up"), ("constants", "float32")):
        if rng.random() < RARE:
            entries[name] = answer
    for name, values in (("largest", (30.0, 1000.0)), ("smallest", (1e-3, 1e-5))):
        if rng.random() < RARE:
            entries[name] = float(rng.choice(values))


def _draw_units(entries: dict[str, Answer], rng: np.random.Generator) -> None:
    """What lengths are in few rules: multiples of lr, or of float32."""
    if rng.random() < RARE:
        entries["move by"] = "lr times size"
        if rng.random() < 0.7:
            entries["start"] = float(rng.choice([1.0, 0.1]))
        if rng.random() < 0.5:
            entries["lr set"] = "used"
    elif rng.random() < RARE / 2:
        entries |= {"own limits": "times lr", "largest": float(rng.choice([50.0, 10.0]))}
        if rng.random() < 0.5:
            entries["smallest"] = float(rng.choice([1e-4, 1e-3]))
    if rng.random() < RARE / 2:
        entries["step sizes"] = "float32"


# --- rules outside the grammar ----------------------------------------------------------------------------------


class _Outside:
    """A rule in float64 whose `update(g)` returns the move."""

    def __init__(self, x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool, k: float) -> None:
        self.x, self.lr, self.etas, self.limits, self.k = x0.astype(float), lr, etas, step_sizes, k
        self.way, self.t = (-1.0 if maximize else 1.0), 0
        self.prev, self.move, self.size = (np.zeros_like(self.x) for _ in range(3))
        self.size += lr
        self.rng = np.random.default_rng()

    def step(self, grad: Array, loss: float | None = None) -> Array:
        self.t += 1
        g = self.way * np.asarray(grad, float)
        with np.errstate(all="ignore"):
            self.move = self.update(g)
            self.prev, self.x = g, self.x + self.move
        return self.x.copy()

    def rprop(self, g: Array, q: Array) -> Array:
        """The move of Rprop-, for a product."""
        self.size = np.clip(
            self.size * np.where(q > 0, self.etas[1], np.where(q < 0, self.etas[0], 1)), *self.limits
        )
        return -np.sign(g) * self.size

    def update(self, g: Array) -> Array:
        raise NotImplementedError


class Momentum(_Outside):
    def update(self, g: Array) -> Array:
        return self.rprop(g, g * self.prev) + self.k * self.move


class RandomSteps(_Outside):
    def update(self, g: Array) -> Array:
        return self.rprop(g, g * self.prev) * (1 + self.k * self.rng.random(g.shape))


class Gradient(_Outside):
    def update(self, g: Array) -> Array:
        return -self.k * self.lr * g


class Root(_Outside):
    def update(self, g: Array) -> Array:
        return self.rprop(g, g * self.prev) * np.minimum(np.abs(g) ** self.k, 3)


class MeanSign(_Outside):
    def update(self, g: Array) -> Array:
        return self.rprop(g, g * self.prev * self.k + np.mean(g * self.prev))


class Largest(_Outside):
    def update(self, g: Array) -> Array:
        move = self.rprop(g, g * self.prev)
        return np.where(np.abs(g) >= self.k * np.abs(g).max(initial=0), move, 0)


class Decaying(_Outside):
    def update(self, g: Array) -> Array:
        return self.rprop(g, g * self.prev) / (1 + self.k * self.t)


class WeightDecay(_Outside):
    def update(self, g: Array) -> Array:
        return self.rprop(g, g * self.prev) - 0.1 * self.k * self.x


class Adam(_Outside):
    def update(self, g: Array) -> Array:
        self.size = self.k * self.size + (1 - self.k) * g * g
        return -self.lr * g / (np.sqrt(self.size) + 1e-8)


class Additive(_Outside):
    def update(self, g: Array) -> Array:
        q = g * self.prev
        self.size = np.where(q > 0, self.size + 0.01 * self.k, np.where(q < 0, self.size * 0.5, self.size))
        return -np.sign(g) * self.size


OUTSIDE = (Momentum, RandomSteps, Gradient, Root, MeanSign, Largest, Decaying, WeightDecay, Adam, Additive)


def outside_rules() -> list[tuple[str, Callable[..., Any]]]:
    """Fifty rules outside the grammar: ten kinds, five numbers."""
    return [
        (f"{kind.__name__} {k}", lambda x0, *, kind=kind, k=k, **setting: kind(x0, **setting, k=k))
        for kind in OUTSIDE for k in (0.3, 0.5, 0.7, 0.8, 0.9)
    ]  # fmt: skip


# --- figures ----------------------------------------------------------------------------------------------------


def run(count: int = 1000, first: int = 0, quiet: bool = False) -> dict[str, Any]:
    """Decompile random tables and the rules outside, print the figures and return them."""
    began = time.perf_counter()
    figures: Counter[str] = Counter()
    for seed in range(first, first + count):
        found = decompile(Rule(random_table(seed, units=True)), dtypes=["float64"])
        tiers = {tier.tier: tier.explained for tier in found.tiers}
        figures["tables"] += 1
        figures["ordinary use"] += bool(found.rule)
        figures["all tiers"] += found.explained
        if not quiet and not found.explained:
            print(
                f"  table {seed}: {found.outside or [tier for tier, told in tiers.items() if not told]}",
                flush=True,
            )
    print(f"random tables: {dict(figures)}, {(time.perf_counter() - began) / max(count, 1):.1f} s each")
    return dict(figures)


def run_outside() -> dict[str, int]:
    """Decompile the fifty rules outside the grammar."""
    figures: Counter[str] = Counter()
    for name, factory in outside_rules():
        found = decompile(factory, dtypes=["float64"])
        figures["given a rule" if found.rule else "described"] += 1
        print(f"  {name}: {found.headline}", flush=True)
    print(f"outside the grammar: {dict(figures)}")
    return dict(figures)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--outside", action="store_true")
    arguments = parser.parse_args()
    run_outside() if arguments.outside else run(arguments.count, arguments.first)
