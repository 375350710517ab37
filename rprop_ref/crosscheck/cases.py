"""What an implementation is tried on: scripts of gradients, each there for a reason, and objectives.

A **script** is the sequence of gradients that one coordinate gets, whatever it does. Coordinates are independent
in every rule, so a case puts many scripts side by side, one per coordinate, under one setting of hyperparameters.
That is also what makes the search for an explanation fast: all cases of a dtype are one array.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._core.dtypes import named as dtype_named
from .stages import Batch, limits

Array = np.ndarray[Any, Any]

REALS = ("float64", "float32", "float16", "bfloat16")
COMPLEX = {"complex128": "float64", "complex64": "float32"}

#: What a case may need of an implementation; `check` leaves out what is named in ``without=``.
FEATURES = (
    "maximize",
    "etas",
    "step_sizes",
    "nan",
    "inf",
    "none",
    "set",
    "save",
    "lr per coordinate",
    "bounds",
    "same array",
    "scripts",
    "objectives",
    "lr outside step_sizes",
)


def dtypes_here() -> tuple[str, ...]:
    """The names of the real dtypes that can be used here."""
    return REALS if importlib.util.find_spec("ml_dtypes") else REALS[:3]


def dtype_names(dtypes: str | Iterable[Any] | None) -> tuple[str, ...]:
    """The names of dtypes, checked: those of `REALS` that can be used here, if there are none."""
    if dtypes is None:
        return dtypes_here()
    if not isinstance(dtypes, Iterable):
        raise ValueError(f"dtypes={dtypes!r} should be a list of names")
    known = (*REALS, *COMPLEX)
    names = []
    for given in [dtypes] if isinstance(dtypes, str) else dtypes:
        name = given
        if not isinstance(given, str):
            with contextlib.suppress(TypeError):
                name = np.dtype(given).name
        if name not in known:
            raise ValueError(f"unknown dtype {given!r}; choose from {', '.join(known)}")
        names.append(name)
    if not names:
        raise ValueError(f"no dtype is left; choose from {', '.join(known)}")
    return tuple(names)


class Quadratic:
    """f(x) = sum of c (x - a)^2 / 2 over the coordinates."""

    def __init__(self, c: Array, a: Array) -> None:
        self.c, self.a = c, a

    def gradient(self, x: Array) -> Array:
        """Its gradient at each row of x."""
        gradient: Array = self.c * (x - self.a)
        return gradient

    def source(self, x: str) -> str:
        """The gradient at `x`, as an expression of NumPy."""
        kind = f'"{self.c.dtype.name}"'
        return f"np.array({_list(self.c)}, {kind}) * ({x} - np.array({_list(self.a)}, {kind}))"


class Rosenbrock:
    """f(x, y) = (1 - x)^2 + 100 (y - x^2)^2."""

    def gradient(self, x: Array) -> Array:
        """Its gradient at each row of x."""
        two, hundred = x.dtype.type(2), x.dtype.type(100)
        one = x.dtype.type(1)
        a, b = x[..., 0], x[..., 1]
        inner = b - a * a
        along = -two * (one - a) - two * two * hundred * (a * inner)
        return np.stack([along, two * hundred * inner], axis=-1)

    def source(self, x: str) -> str:
        """The gradient at `x`, as an expression of NumPy; whole numbers do not change the dtype of x."""
        inner = f"({x}[1] - {x}[0] * {x}[0])"
        return f"np.array([-2 * (1 - {x}[0]) - 2 * 2 * 100 * ({x}[0] * {inner}), 2 * 100 * {inner}], {x}.dtype)"


@dataclass(frozen=True, eq=False)
class Case:
    """Scripts that run side by side under one setting.

    Attributes
    ----------
    name, reason : str
    dtype : str
        A name of `REALS` or `COMPLEX`. Of a complex case everything below is about the real parts.
    g : ndarray, shape (steps, coordinates)
        The gradients, in the dtype of the parameters.
    x0 : ndarray, shape (coordinates,)
    lr : float or ndarray of float64, shape (coordinates,)
    etas, step_sizes : (float, float)
    maximize : bool
    loss : tuple of float
        Given with each gradient; only rules that compare losses look at it.
    scripts : tuple of str
        What each coordinate is about.
    none : frozenset of int
        The steps (from 0) at which there is no gradient.
    resumed : frozenset of int
        The steps before which the state is saved, and loaded into a new object.
    edits : mapping of int to dict
        Hyperparameters that are set anew before a step.
    reused : bool
        Whether all gradients are given in the same array.
    objective : object with methods gradient and source, or None
        Where gradients come from instead of from `g`.
    bounds : (float, float) or None
        Between which x is kept.
    needs : frozenset of str
        Of `FEATURES`.
    """

    name: str
    reason: str
    dtype: str
    g: Array
    x0: Array
    lr: Any = 0.1
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)
    maximize: bool = False
    loss: tuple[float, ...] = ()
    scripts: tuple[str, ...] = ()
    none: frozenset[int] = frozenset()
    resumed: frozenset[int] = frozenset()
    edits: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    reused: bool = False
    objective: Any = None
    bounds: tuple[float, float] | None = None
    needs: frozenset[str] = frozenset()

    @property
    def steps(self) -> int:
        """How many."""
        return int(self.g.shape[0])

    @property
    def size(self) -> int:
        """How many coordinates."""
        return int(self.g.shape[1])

    @property
    def real(self) -> np.dtype[Any]:
        """The dtype of a coordinate."""
        return dtype_named(COMPLEX.get(self.dtype, self.dtype))

    def alone(self, coordinate: int, steps: int | None = None) -> Case:
        """The case with one of its coordinates (both parts, if complex), and its first steps only."""
        if self.objective is not None:
            return self._shortened(steps)
        columns = slice(coordinate, coordinate + 1)
        if self.dtype in COMPLEX:
            columns = slice(coordinate - coordinate % 2, coordinate - coordinate % 2 + 2)
        lr = self.lr[columns] if isinstance(self.lr, np.ndarray) else self.lr
        picked = replace(
            self,
            g=self.g[:, columns],
            x0=self.x0[columns],
            lr=lr,
            scripts=self.scripts[coordinate : coordinate + 1],
        )
        return picked._shortened(steps)

    def _shortened(self, steps: int | None) -> Case:
        return self if steps is None else replace(self, g=self.g[:steps], loss=self.loss[:steps])

    def __str__(self) -> str:
        setting = [self.dtype, f"lr={_list(self.lr)}", f"etas={self.etas}", f"step_sizes={self.step_sizes}"]
        if self.maximize:
            setting.append("maximize")
        if self.bounds:
            setting.append(f"bounds={self.bounds}")
        return f"{self.name} ({', '.join(setting)})"


def _list(values: Any) -> str:
    return str([float(v) for v in values]) if isinstance(values, np.ndarray) else repr(values)


def batch(cases: Sequence[Case]) -> Batch:
    """All of these cases, of one real dtype, as one array of coordinates."""
    kind = cases[0].real
    steps, size = max(c.steps for c in cases), sum(c.size for c in cases)
    shape = (steps, size)
    given: dict[str, Any] = {
        "dtype": kind,
        "x0": np.concatenate([c.x0 for c in cases]),
        "g": np.zeros(shape, kind),
        "loss": np.zeros(shape),
        "maximize": np.zeros(size, bool),
        "reused": np.zeros(size, bool),
        "bounded": np.zeros(size, bool),
        "lower": np.full(size, -np.inf, kind),
        "upper": np.full(size, np.inf, kind),
        "lengths": np.zeros(size, int),
        "case": np.repeat(np.arange(len(cases)), [c.size for c in cases]),
        "starts": np.cumsum([0, *(c.size for c in cases)])[:-1],
        "closed": [],
    }
    for name in ("none", "resumed", "edited"):
        given[name] = np.zeros(shape, bool)
    for name in ("lr", "eta_minus", "eta_plus", "low", "high"):
        given[name] = np.zeros(shape)
    for start, case in zip(given["starts"], cases, strict=True):
        columns = slice(int(start), int(start) + case.size)
        given["g"][: case.steps, columns] = case.g
        given["loss"][: case.steps, columns] = np.array(case.loss)[:, None]
        given["maximize"][columns], given["reused"][columns] = case.maximize, case.reused
        given["lengths"][columns] = case.steps
        if case.bounds is not None:
            given["bounded"][columns] = True
            given["lower"][columns], given["upper"][columns] = case.bounds
        if case.objective is not None:
            given["closed"].append((columns, case.objective))
        setting = {"lr": case.lr, "etas": case.etas, "step_sizes": case.step_sizes}
        for t in range(steps):
            edit = case.edits.get(t, {})
            setting |= edit
            given["none"][t, columns] = t in case.none or t >= case.steps
            if t in case.none:
                given["g"][t, columns] = 0
            given["resumed"][t, columns] = t in case.resumed
            given["edited"][t, columns] = "lr" in edit
            given["lr"][t, columns] = setting["lr"]
            given["eta_minus"][t, columns], given["eta_plus"][t, columns] = setting["etas"]
            given["low"][t, columns], given["high"][t, columns] = setting["step_sizes"]
    return Batch(**given)


def needed(setting: Mapping[str, Any]) -> list[str]:
    """What a setting needs of an implementation."""
    needs = [name for name in ("maximize", "etas", "step_sizes", "bounds") if setting.get(name)]
    needs += {name for edit in setting.get("edits", {}).values() for name in edit if name != "lr"}
    low, high = setting.get("step_sizes", (1e-6, 50.0))
    lr = setting.get("lr", 0.1)
    if not isinstance(lr, np.ndarray) and not 0 < low <= lr <= high < np.inf:
        needs.append("lr outside step_sizes")
    return needs


# --- at random ------------------------------------------------------------------------------------------------


def random_cases(seed: int, dtypes: Sequence[str], count: int, allowed: Callable[[str], bool]) -> list[Case]:
    """Cases drawn at random: settings, special values and scripts that nobody has thought of.

    Parameters
    ----------
    seed : int
    dtypes : sequence of str
    count : int
    allowed : callable
        ``allowed(feature)``: whether the implementation has it.
    """
    if not allowed("scripts"):
        return []
    return [_random_case(np.random.default_rng([seed, i]), dtypes, i, allowed) for i in range(count)]


def _random_case(rng: np.random.Generator, dtypes: Sequence[str], i: int, allowed: Callable[[str], bool]) -> Case:
    dtype = str(rng.choice(dtypes))
    kind = dtype_named(COMPLEX.get(dtype, dtype))
    n, steps = 2 * int(rng.integers(1, 4)), int(rng.integers(6, 15))
    flips = rng.choice([0.15, 0.4, 0.7])
    signs = np.where(rng.random((steps, n)) < flips, -1, 1).cumprod(axis=0)
    smallest, tiny, largest = limits(kind)
    magnitudes = np.array([1, 1, 1, 0.5, 3, 1e-3, 0, 0, np.sqrt(smallest), tiny, smallest, largest])
    weird = rng.random() < 0.5
    chosen = rng.choice(magnitudes if weird else magnitudes[:8], (steps, n))
    if weird and rng.random() < 0.4:
        special = [v for v, feature in ((np.nan, "nan"), (np.inf, "inf")) if allowed(feature)]
        if special:
            chosen = np.where(rng.random((steps, n)) < 0.1, rng.choice(special, (steps, n)), chosen)
    setting: dict[str, Any] = {"lr": float(rng.choice([0.1, 0.01, 1.0, 0.3, 100.0, 0.0]))}
    plain = dict(setting, lr=0.1)
    if allowed("etas") and rng.random() < 0.5:
        setting["etas"] = float(rng.choice([0.5, 0.3, 0.9, 0.7])), float(rng.choice([1.2, 1.05, 1.5, 3.0]))
    if allowed("step_sizes") and rng.random() < 0.5:
        setting["step_sizes"] = float(rng.choice([1e-6, 0.0, 0.05])), float(rng.choice([50.0, 1.0, 0.2]))
    if not allowed("lr outside step_sizes") and "lr outside step_sizes" in needed(setting):
        setting = plain
    if allowed("maximize"):
        setting["maximize"] = bool(rng.random() < 0.25)
    if allowed("none") and rng.random() < 0.25:
        setting["none"] = frozenset(int(t) for t in np.flatnonzero(rng.random(steps) < 0.2))
    if allowed("save") and rng.random() < 0.25:
        setting["resumed"] = frozenset([int(rng.integers(1, steps))])
    if allowed("same array") and rng.random() < 0.25:
        setting["reused"] = True
    with np.errstate(all="ignore"):
        g, x0 = (signs * chosen).astype(kind), rng.normal(size=n).astype(kind)
    loss = tuple(float(v) for v in rng.choice([1.0, 2.0, 2.0, 3.0], steps))
    names = tuple(f"coordinate {k}" for k in range(n))
    uses = {"nan": np.isnan(chosen).any(), "inf": np.isinf(chosen).any(), "none": "none" in setting,
            "save": "resumed" in setting, "same array": "reused" in setting, "scripts": True}  # fmt: skip
    needs = frozenset((*needed(setting), *(name for name, there in uses.items() if there)))
    return Case(
        f"random {i}", "found by the random search", dtype, g, x0, loss=loss, scripts=names, needs=needs, **setting
    )
