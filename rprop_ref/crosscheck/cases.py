"""What an implementation is tried on: scripts of gradients, each there for a reason, and objectives.

A **script** is the sequence of gradients that one coordinate gets, whatever it does. Coordinates are independent
in every rule, so a case puts many scripts side by side, one per coordinate, under one setting of hyperparameters.
That is also what makes the search for an explanation fast: all cases of a dtype are one array.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

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


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of this name; bfloat16 is that of ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes

        kind: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return kind
    return np.dtype(name)


def dtypes_here() -> tuple[str, ...]:
    """The names of the real dtypes that can be used here."""
    return REALS if importlib.util.find_spec("ml_dtypes") else REALS[:3]


class Quadratic:
    """f(x) = sum of c (x - a)^2 / 2 over the coordinates."""

    def __init__(self, c: Array, a: Array) -> None:
        self.c, self.a = c, a

    def gradient(self, x: Array) -> Array:
        """Its gradient at each row of x."""
        gradient: Array = self.c * (x - self.a)
        return gradient

    def __str__(self) -> str:
        return f"c * (x - a), c = {_list(self.c)}, a = {_list(self.a)}"


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

    def __str__(self) -> str:
        return "the gradient of Rosenbrock's function"


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
    objective : object with a method gradient, or None
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


# --- the catalogue --------------------------------------------------------------------------------------------

#: Losses that rise, fall and stay, so that a rule that compares losses shows itself.
_LOSSES = (3.0, 2.0, 2.0, 3.0, 1.0, 1.0, 2.0, 0.0, 4.0, 4.0, 3.0, 5.0)

#: (name, gradients, x0): what every implementation meets first.
_BASICS: tuple[tuple[str, tuple[float, ...], float], ...] = (
    ("agreement, then a flip", (1, 1, 1, -1, 1, 1, 1, -1, -1, -1, 1, 1), 0.0),
    ("flips", (1, -1, -1, 1, 1, -1, 1, 1, -1, 1, -1, 1), 0.0),
    ("agreement, then a flip, mirrored", (-1, -1, -1, 1, -1, -1, -1, 1, 1, 1, -1, -1), 0.0),
    ("flips, mirrored", (-1, 1, 1, -1, -1, 1, -1, -1, 1, -1, 1, -1), 0.0),
    ("a flip from 0.01", (1, -1, 1, 1, 1, -1, -1, 1, 1, 1, -1, 1), 0.01),
    ("a flip from 0.3", (-1, 1, -1, -1, -1, 1, 1, -1, -1, 1, 1, -1), 0.3),
    ("zero between agreeing gradients", (1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1, 1), 0.0),
    ("zero between gradients of both signs", (1, 0, -1, -1, 0, 1, 1, 0, 0, -1, -1, -1), 0.0),
    ("zeros first", (0, 0, 1, 1, 1, -1, 0, 1, 1, 0, -1, -1), 0.0),
    ("zero after a flip", (1, 1, -1, 0, 1, 1, -1, 0, -1, -1, -1, -1), 0.5),
    ("negative zeros", (-0.0, 1, -0.0, 1, 1, -0.0, -1, -1, -0.0, -0.0, -1, 1), -0.0),
    ("magnitudes", (2, 3, 0.5, -7, 0.25, 11, 5, 5, -0.125, -3, -9, 0.75), 0.0),
    ("magnitudes, mirrored", (-3, -0.5, -2, 4, -0.75, -9, -6, -1, 0.25, 2, 8, -5), 1.5),
    ("growth", (1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2), 0.25),
    ("two steps each way", (1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1), -0.7),
    ("never a gradient", (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0.125),
)


class Maker:
    """Builds the cases of one dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype, self.kind = dtype, dtype_named(dtype)
        self.cases: list[Case] = []
        self.smallest, self.tiny, self.largest = limits(self.kind)

    def add(
        self,
        name: str,
        reason: str,
        scripts: Iterable[tuple[str, Sequence[float], float]] = _BASICS,
        *,
        needs: Iterable[str] = (),
        loss: Sequence[float] | None = None,
        **setting: Any,
    ) -> None:
        """One case; scripts that are shorter than the longest end with zeros."""
        scripts = list(scripts)
        steps = max(len(g) for _, g, _ in scripts)
        needs = (*needs, *_needed(setting))
        with np.errstate(all="ignore"):
            g = np.array([[*g, *[0.0] * (steps - len(g))] for _, g, _ in scripts]).T.astype(self.kind)
            x0 = np.array([x for _, _, x in scripts]).astype(self.kind)
        if loss is None:
            loss = [_LOSSES[t % len(_LOSSES)] for t in range(steps)]
        self.cases.append(
            Case(
                name,
                reason,
                self.dtype,
                np.ascontiguousarray(g),
                x0,
                loss=tuple(float(v) for v in loss),
                scripts=tuple(name for name, _, _ in scripts),
                needs=frozenset((*needs, "scripts")),
                **setting,
            )
        )

    def close(
        self, name: str, reason: str, objective: Any, x0: Sequence[float], steps: int, **setting: Any
    ) -> None:
        """A case whose gradients depend on where the implementation goes."""
        g = np.zeros((steps, len(x0)), self.kind)
        loss = tuple(_LOSSES[t % len(_LOSSES)] for t in range(steps))
        case = Case(name, reason, self.dtype, g, np.array(x0).astype(self.kind), loss=loss, objective=objective)
        needs = [*_needed(setting), *([] if len(x0) == 2 and isinstance(objective, Quadratic) else ["objectives"])]
        names = tuple(f"x[{i}]" for i in range(len(x0)))
        self.cases.append(replace(case, scripts=names, needs=frozenset(needs), **setting))


def _needed(setting: Mapping[str, Any]) -> list[str]:
    """What a setting needs of an implementation."""
    needs = [name for name in ("maximize", "etas", "step_sizes", "bounds") if setting.get(name)]
    low, high = setting.get("step_sizes", (1e-6, 50.0))
    lr = setting.get("lr", 0.1)
    if not isinstance(lr, np.ndarray) and not 0 < low <= lr <= high < np.inf:
        needs.append("lr outside step_sizes")
    return needs


def catalogue(dtypes: Sequence[str] | None = None) -> list[Case]:
    """Every case, of the given dtypes, the most telling first.

    Parameters
    ----------
    dtypes : sequence of str, optional
        Of "float64", "float32", "float16", "bfloat16", "complex128", "complex64". By default the real ones,
        bfloat16 if ml_dtypes is installed.
    """
    found: list[Case] = []
    for name in dtypes_here() if dtypes is None else dtypes:
        if name not in (*REALS, *COMPLEX):
            raise ValueError(f"unknown dtype {name!r}; choose from {', '.join((*REALS, *COMPLEX))}")
        real = COMPLEX.get(name, name)
        made = _cases_of(real)
        if real != name:
            made = [replace(c, dtype=name) for c in made if c.size % 2 == 0 and not c.bounds]
        found += made
    return found


def _cases_of(dtype: str) -> list[Case]:
    make = Maker(dtype)
    make.add("basics", "agreement, flips and zeros in every order, with gradients of both signs")
    make.add("one coordinate", "a first flip in one dimension", _BASICS[:1])
    make.add("one coordinate, flips", "a flip at once, in one dimension", _BASICS[1:2])
    make.add("one coordinate, mirrored", "the same with the other sign", _BASICS[2:3])
    make.add("one coordinate, zero first", "a first gradient of zero in one dimension", (
        ("zero, then agreement", (0, 1, 1, -1, 1), 0.0),
    ))  # fmt: skip
    make.add("maximize", "the gradient's sign is changed, once", maximize=True)
    _hyperparameters(make)
    _small_gradients(make)
    _not_finite(make)
    _losses(make)
    _use(make)
    _objectives(make)
    return make.cases


def _hyperparameters(make: Maker) -> None:
    up, down = (1.0,) * 8, (1.0, -1.0) * 6
    long = (
        ("growth to the limit, then flips", (*(1.0,) * 12, *(1.0, -1.0) * 6), 0.0),
        ("flips to the limit, then growth", (*(1.0, -1.0) * 6, *(-1.0,) * 12), 0.0),
        ("zeros at the limits", (*up, 0.0, *up, 0.0, 0.0, *up[:5]), 0.5),
        ("zeros at the lower limit", (*down, 0.0, 1.0, 0.0, *down[:9]), 0.5),
    )
    make.add("other numbers", "constants that are not the usual ones", (*_BASICS, *long),
             lr=0.07, etas=(0.3, 1.7), step_sizes=(1e-3, 1.25))  # fmt: skip
    make.add("tight limits", "steps that meet both limits at once", step_sizes=(0.08, 0.11))
    make.add("lr above the limits", "the first step is clamped, or it is not", lr=1000.0)
    make.add("lr above the limits, maximize", "the same, upwards", lr=60.0, maximize=True)
    make.add("lr of zero", "a first step of zero", lr=0.0)
    make.add("lr below the limits", "a first step under the lower limit", lr=0.03125, step_sizes=(0.0625, 50.0))
    make.add("crossed limits", "the smallest step above the largest", step_sizes=(1.0, 0.5))
    make.add("steps that vanish", "steps that underflow to 0 and stay there, and subnormal ones",
             (*_BASICS, *long), lr=make.smallest * 5, step_sizes=(0.0, 50.0))  # fmt: skip
    make.add("infinite steps", "0 times an infinite step is NaN",
             lr=np.inf, step_sizes=(0.0, np.inf), needs=["inf"])  # fmt: skip
    width = make.kind.itemsize
    if dtype_rounds := {"float16": 0.9999, "bfloat16": 0.999, "float32": 1 - 1e-8}.get(make.dtype):
        make.add("eta- that rounds to 1", "every neutral step may look like a flip", etas=(dtype_rounds, 1.2))
    nothing = {2: 1e-50, 4: 1e-50}.get(width, 5e-324)
    make.add("eta- that rounds to 0", "a factor of 0", etas=(nothing, 1.2))
    bits = {"float16": 11, "bfloat16": 8, "float32": 24}.get(make.dtype)
    if bits:
        half_way = 2.0**-bits + 2.0**-40 if width == 2 else 2.0**-bits
        make.add("constants between two numbers", "constants that are rounded twice, once, or not at all",
                 lr=1 + half_way, etas=(0.5 * (1 + half_way), 1.5 * (1 + half_way / 1.5)),
                 step_sizes=(1e-6, 4 * (1 + half_way)))  # fmt: skip
    make.add("a long run", "small effects that add up", _random_scripts(make, 6, 150, seed=3), lr=0.01)


def _random_scripts(make: Maker, count: int, steps: int, seed: int) -> list[tuple[str, list[float], float]]:
    rng = np.random.default_rng([seed, make.kind.itemsize])
    found = []
    for i in range(count):
        signs = np.where(rng.random(steps) < 0.25 + 0.1 * i, -1, 1).cumprod() * (rng.random(steps) > 0.08)
        found.append((f"random signs {i}", list(signs * rng.choice([0.5, 1, 3], steps)), float(rng.normal())))
    return found


def _small_gradients(make: Maker) -> None:
    """Gradients over the whole range of the dtype, and on both sides of thresholds that are in use."""
    scripts: list[tuple[str, Sequence[float], float]] = []
    root = np.sqrt(make.smallest)
    for name, m in (
        ("product underflows", root / 8),
        ("product just underflows", root / 2),
        ("product is subnormal", 2 * root),
        ("subnormal", make.smallest),
        ("subnormal, large", make.tiny / 2),
        ("smallest normal", make.tiny),
        ("product overflows", make.largest),
    ):
        scripts.append((f"{name}: {m:.3g}", (m, m, m, -m, -m, m, m, m), 0.0))
        scripts.append((f"{name}: {m:.3g} after 1", (1, m, m, -1, -1, -m, 1, m), 0.0))
    for threshold in (1e-13, 1e-27):
        if make.smallest < threshold / 1e6:
            middle = float(np.array(threshold).astype(make.kind))
            for what, m in (("under", _next(middle, -1, make)), ("at", middle), ("over", _next(middle, 1, make))):
                scripts.append((f"just {what} {threshold}", (1, m, m, 1, -m, -1, m, -m), 0.0))
                side = float(np.sqrt(threshold))
                scripts.append((f"product about {threshold}", (side, m / side, side, -side, m / side), 0.0))
    make.add("small gradients", "products that underflow, and thresholds", scripts)
    exponents = np.arange(np.log2(make.smallest), np.log2(make.largest), 5 if make.kind.itemsize == 2 else 12)
    ladder = [(f"magnitude 2^{e:.0f}", (1, 2.0**e, 2.0**e, -(2.0**e), -1, 2.0**e), 0.0) for e in exponents]
    make.add("magnitudes", "gradients of every magnitude", ladder)


def _next(value: float, towards: int, make: Maker) -> float:
    """The next number of the dtype."""
    bits = np.array(value).astype(make.kind)
    return float((bits.view(f"i{make.kind.itemsize}") + towards).view(make.kind))


def _not_finite(make: Maker) -> None:
    nan, inf = np.nan, np.inf
    make.add("NaN gradients", "what a NaN does to the parameter, the step and the memory", (
        ("NaN after one gradient", (1, nan, 1, 1, 1, -1, 1, 1), 0.0),
        ("NaN first", (nan, 1, 1, -1, 1, 1, 1, 1), 0.0),
        ("NaN after agreement", (-1, -1, nan, -1, -1, 1, -1, -1), 0.5),
        ("NaN instead of a flip", (1, 1, nan, -1, -1, -1, 1, 1), 0.0),
        ("NaN after a flip", (1, 1, -1, nan, 1, 1, nan, nan), 0.0),
        ("NaN, zero", (1, nan, 0, 1, 1, 0, nan, 1), 0.0),
        ("no NaN beside them", (1, 1, 1, 1, -1, -1, -1, 1), 0.0),
    ), needs=["nan"])  # fmt: skip
    first = (("NaN first", (nan, 1, 1, -1, 1, 1), 0.0), ("NaN later", (1, nan, 1, 1, -1, nan), 0.0))
    make.add("NaN gradients, lr above the limits", "whether a step with a NaN is a step at all", first,
             needs=["nan"], lr=1000.0)  # fmt: skip
    make.add("NaN gradients, infinite steps", "whether a step with a NaN moves by 0 times its size", first,
             needs=["nan", "inf"], lr=inf, step_sizes=(0.0, inf))  # fmt: skip
    make.add("NaN gradient, one coordinate", "the same in one dimension", (
        ("NaN after one gradient", (1, nan, 1, 1, 1, -1, 1, 1), 0.0),
    ), needs=["nan"], lr=0.2)  # fmt: skip
    make.add("infinite gradients", "0 times infinity at the first step", (
        ("infinite first", (inf, 1, 1, -1, 1, 1), 0.0),
        ("minus infinite first", (-inf, -1, -1, 1, -1, -1), 0.0),
        ("infinite later", (1, inf, inf, 1, 1, 1), 0.0),
        ("infinite flip", (1, -inf, 1, -1, inf, inf), 0.0),
        ("infinite, zero", (1, 0, inf, inf, 0, -inf), 0.0),
    ), needs=["inf"])  # fmt: skip


def _losses(make: Maker) -> None:
    scripts = _BASICS[:6]
    nan = np.nan
    for name, loss in (
        ("loss that falls", range(12, 0, -1)),
        ("loss that rises", range(12)),
        ("loss that stays", (2,) * 12),
        ("loss that is above its best", (5, 1, 4, 3, 2, 6, 5, 4, 3, 7, 6, 5)),
        ("loss with NaN", (2, 3, nan, nan, 1, 3, nan, 2, 1, nan, 4, nan)),
    ):
        needs = ["nan"] if "NaN" in name else []
        make.add(
            name, "taking a move back may depend on the loss", scripts, loss=[float(v) for v in loss], needs=needs
        )
    make.add("loss under maximize", "better means higher", scripts, loss=_LOSSES, maximize=True)


def _use(make: Maker) -> None:
    """The ways in which an optimizer is used beside being stepped."""
    make.add(
        "one gradient array", "the caller fills the same array at every step", needs=["same array"], reused=True
    )
    make.add("missing gradients", "None is not zero", needs=["none"], none=frozenset([1, 4, 5, 8]))
    make.add("a missing gradient first", "None is not zero", needs=["none"], none=frozenset([0, 3]))
    make.add("lr set anew", "lr is read once", needs=["set"], edits={3: {"lr": 0.4}, 7: {"lr": 0.01}})
    make.add("etas set anew", "later etas hold", needs=["set"], edits={3: {"etas": (0.3, 1.7)}})
    make.add("limits set anew", "later limits hold, also on neutral steps", needs=["set"],
             edits={2: {"step_sizes": (0.2, 0.25)}, 7: {"step_sizes": (1e-6, 0.02)}})  # fmt: skip
    for steps in ((2,), (1, 4), (3, 6, 7), (5, 8, 9, 10)):
        make.add(f"resumed before step {', '.join(str(t + 1) for t in steps)}", "everything is saved",
                 needs=["save"], resumed=frozenset(steps), loss=(1, 2, 3, 4, 3, 4, 5, 6, 5, 6, 7, 8))  # fmt: skip
    inf = np.inf
    make.add("resumed after infinite gradients", "everything is saved", (
        ("infinite, then a flip", (inf, -1, 1, inf, -1, 1), 0.0),
        ("minus infinite, then a flip", (-inf, 1, 1, 1, -inf, inf), 0.0),
    ), needs=["save", "inf"], resumed=frozenset([1, 4]), loss=(1, 2, 3, 4, 5, 6))  # fmt: skip
    n = len(_BASICS)
    make.add(
        "lr per coordinate", "first steps of their own", needs=["lr per coordinate"], lr=np.arange(1, n + 1) / 16
    )
    walls = (
        ("a flip at the wall", (-1, -1, -1, 1, -1, -1, 1, 1), 0.0),
        ("a flip at the wall, mirrored", (1, 1, 1, -1, 1, 1, -1, -1), 0.0),
        ("steps at the wall", (-1, -1, -1, -1, -1, 1, 1, 1), 0.125),
        ("nowhere near a wall", (1, -1, -1, 1, 1, -1, 1, 1), 0.0),
    )
    make.add("bounds", "a wall stops x, and not its step size; what is taken back is what was done", walls,
             bounds=(-0.25, 0.25))  # fmt: skip
    make.add("a bound on one side", "no wall on the other side", walls, bounds=(-np.inf, 0.25))


def _objectives(make: Maker) -> None:
    kind = make.kind
    c, a = np.array([1, 0.01, 100, 1, 7, 0.5]).astype(kind), np.array([1, -2, 0.3, 0, 0.01, 5]).astype(kind)
    start = [0.0, 1.0, -1.0, 2.0, 0.5, 0.1]
    make.close("a quadratic", "a run, not a script", Quadratic(c, a), start, 40)
    plane = Quadratic(np.array([1, 2]).astype(kind), np.array([81 / 256, -185 / 256]).astype(kind))
    for name, reason, setting in (
        ("two dimensions", "a run that can be made by a network of one neuron", {}),
        ("two dimensions, large steps", "first steps above the limit", {"lr": 2.0, "step_sizes": (1e-6, 0.47)}),
        (
            "two dimensions, small steps",
            "first steps under the limit",
            {"lr": 2.0**-6, "step_sizes": (0.0625, 50.0)},
        ),
        ("two dimensions, lower limit", "steps that shrink to the limit", {"step_sizes": (0.04, 0.15)}),
        ("two dimensions, other factors", "factors that are not the usual ones", {"lr": 0.07, "etas": (0.3, 1.7)}),
    ):
        make.close(name, reason, plane, [1.03, 0.47], 14, **setting)
    target = Quadratic(np.array([1, 1]).astype(kind), np.array([0.5, 0.625]).astype(kind))
    make.close("two dimensions, a gradient of zero", "arriving exactly", target, [0.0, 0.0], 16,
               lr=0.125, etas=(0.5, 2.0))  # fmt: skip
    make.close(
        "Rosenbrock's function", "a run with gradients of every size", Rosenbrock(), [-1.2, 1.0], 60, lr=0.01
    )


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
    if not allowed("lr outside step_sizes") and "lr outside step_sizes" in _needed(setting):
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
    return Case(f"random {i}", "found by the random search", dtype, g, x0, loss=loss, scripts=names, **setting)
