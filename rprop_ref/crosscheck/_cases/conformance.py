"""The conformance cases: what every implementation is run on, each case for a stated reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..._core.dtypes import is_half
from .builder import BASICS, LOSSES, CaseBuilder
from .case import Case
from .dtypes import COMPLEX, checked_names
from .isolating import add_isolating_cases
from .objectives import Quadratic, Rosenbrock

# Names, reasons and numbers are part of the published conformance vectors: a change needs a new version of these
# (`conformance_vectors.VERSION`).


def conformance_cases(dtypes: Sequence[str] | None = None) -> list[Case]:
    """All fixed cases of the given dtypes; of each dtype, the most telling first.

    Parameters
    ----------
    dtypes : sequence of str, optional
        Of "float64", "float32", "float16", "bfloat16", "complex128", "complex64". By default the real ones
        (bfloat16 if ml_dtypes is installed).
    """
    cases: list[Case] = []
    for name in checked_names(dtypes):
        if name in COMPLEX:
            cases += [replace(c, dtype=name) for c in _cases_of(COMPLEX[name]) if _can_be_complex(c)]
        else:
            cases += _cases_of(name)
    return cases


def _can_be_complex(case: Case) -> bool:
    return case.size % 2 == 0 and not case.bounds and np.ndim(case.lr) == 0


def _cases_of(dtype: str) -> list[Case]:
    builder = CaseBuilder(dtype)
    builder.add("basics", "agreement, flips and zeros in every order, with gradients of both signs")
    builder.add("one coordinate", "a first flip in one dimension", BASICS[:1])
    builder.add("one coordinate, flips", "a flip at once, in one dimension", BASICS[1:2])
    builder.add("one coordinate, mirrored", "the same with the other sign", BASICS[2:3])
    builder.add("one coordinate, zero first", "a first gradient of zero in one dimension", (
        ("zero, then agreement", (0, 1, 1, -1, 1), 0.0),
    ))  # fmt: skip
    builder.add("maximize", "the gradient's sign is changed, once", maximize=True)
    _add_hyperparameters(builder)
    _add_small_gradients(builder)
    _add_not_finite(builder)
    _add_losses(builder)
    _add_uses(builder)
    add_isolating_cases(builder)
    _add_objectives(builder)
    return builder.cases


def _add_hyperparameters(builder: CaseBuilder) -> None:
    """Unusual hyperparameters, limits that are reached, and numbers at the edges of the dtype."""
    up, down = (1.0,) * 8, (1.0, -1.0) * 6
    long = (
        ("growth to the limit, then flips", (*(1.0,) * 12, *(1.0, -1.0) * 6), 0.0),
        ("flips to the limit, then growth", (*(1.0, -1.0) * 6, *(-1.0,) * 12), 0.0),
        ("zeros at the limits", (*up, 0.0, *up, 0.0, 0.0, *up[:5]), 0.5),
        ("zeros at the lower limit", (*down, 0.0, 1.0, 0.0, *down[:9]), 0.5),
    )
    builder.add("other numbers", "constants that are not the usual ones", (*BASICS, *long),
                lr=0.07, etas=(0.3, 1.7), step_sizes=(1e-3, 1.25))  # fmt: skip
    builder.add("tight limits", "steps that meet both limits at once", step_sizes=(0.08, 0.11))
    builder.add("lr above the limits", "the first step is clamped, or it is not", lr=1000.0)
    builder.add("lr above the limits, maximize", "the same, upwards", lr=60.0, maximize=True)
    builder.add("lr of zero", "a first step of zero", lr=0.0)
    builder.add("lr below the limits", "a first step under the lower limit", lr=0.03125, step_sizes=(0.0625, 50.0))
    builder.add("crossed limits", "the smallest step above the largest", step_sizes=(1.0, 0.5))
    builder.add("steps that vanish", "steps that underflow to 0 and stay there, and subnormal ones",
                (*BASICS, *long), lr=builder.subnormal * 5, step_sizes=(0.0, 50.0))  # fmt: skip
    builder.add("infinite steps", "0 times an infinite step is NaN",
                lr=np.inf, step_sizes=(0.0, np.inf), needs=["inf"])  # fmt: skip
    width = builder.dtype.itemsize
    if builder.below_one:
        builder.add(
            "eta- that rounds to 1", "every neutral step may look like a flip", etas=(builder.below_one, 1.2)
        )
    nothing = {2: 1e-50, 4: 1e-50}.get(width, 5e-324)
    builder.add("eta- that rounds to 0", "a factor of 0", etas=(nothing, 1.2))
    bits = {"float16": 11, "bfloat16": 8, "float32": 24}.get(builder.name)
    if bits:
        half_way = 2.0**-bits + 2.0**-40 if width == 2 else 2.0**-bits
        builder.add("constants between two numbers", "constants that are rounded twice, once, or not at all",
                    lr=1 + half_way, etas=(0.5 * (1 + half_way), 1.5 * (1 + half_way / 1.5)),
                    step_sizes=(1e-6, 4 * (1 + half_way)))  # fmt: skip
    builder.add("a long run", "small effects that add up", _random_scripts(builder, 6, 150, seed=3), lr=0.01)


def _random_scripts(
    builder: CaseBuilder, count: int, steps: int, seed: int
) -> list[tuple[str, list[float], float]]:
    rng = np.random.default_rng([seed, builder.dtype.itemsize])
    scripts = []
    for i in range(count):
        signs = np.where(rng.random(steps) < 0.25 + 0.1 * i, -1, 1).cumprod() * (rng.random(steps) > 0.08)
        scripts.append((f"random signs {i}", list(signs * rng.choice([0.5, 1, 3], steps)), float(rng.normal())))
    return scripts


def _add_small_gradients(builder: CaseBuilder) -> None:
    """Gradients over the whole range of the dtype, and on both sides of the thresholds that some packages use."""
    scripts: list[tuple[str, Sequence[float], float]] = []
    root = np.sqrt(builder.subnormal)
    for name, m in (
        ("product underflows", root / 8),
        ("product just underflows", root / 2),
        ("product is subnormal", 2 * root),
        ("subnormal", builder.subnormal),
        ("subnormal, large", builder.normal / 2),
        ("smallest normal", builder.normal),
        ("product overflows", builder.largest),
    ):
        scripts.append((f"{name}: {m:.3g}", (m, m, m, -m, -m, m, m, m), 0.0))
        scripts.append((f"{name}: {m:.3g} after 1", (1, m, m, -1, -1, -m, 1, m), 0.0))
    for threshold in (1e-13, 1e-27):
        if builder.subnormal < threshold / 1e6:
            middle = float(np.array(threshold).astype(builder.dtype))
            for what, m in (
                ("under", _next(middle, -1, builder)),
                ("at", middle),
                ("over", _next(middle, 1, builder)),
            ):
                scripts.append((f"just {what} {threshold}", (1, m, m, 1, -m, -1, m, -m), 0.0))
                side = float(np.sqrt(threshold))
                scripts.append((f"product about {threshold}", (side, m / side, side, -side, m / side), 0.0))
    builder.add("small gradients", "products that underflow, and thresholds", scripts)
    every = 5 if is_half(builder.dtype) else 12
    exponents = np.arange(np.log2(builder.subnormal), np.log2(builder.largest), every)
    ladder = [(f"magnitude 2^{e:.0f}", (1, 2.0**e, 2.0**e, -(2.0**e), -1, 2.0**e), 0.0) for e in exponents]
    builder.add("magnitudes", "gradients of every magnitude", ladder)


def _next(value: float, towards: int, builder: CaseBuilder) -> float:
    """The next number of the dtype."""
    bits = np.array(value).astype(builder.dtype)
    return float((bits.view(f"i{builder.dtype.itemsize}") + towards).view(builder.dtype))


def _add_not_finite(builder: CaseBuilder) -> None:
    """NaN and infinite gradients."""
    nan, inf = np.nan, np.inf
    builder.add("NaN gradients", "what a NaN does to the parameter, the step and the memory", (
        ("NaN after one gradient", (1, nan, 1, 1, 1, -1, 1, 1), 0.0),
        ("NaN first", (nan, 1, 1, -1, 1, 1, 1, 1), 0.0),
        ("NaN after agreement", (-1, -1, nan, -1, -1, 1, -1, -1), 0.5),
        ("NaN instead of a flip", (1, 1, nan, -1, -1, -1, 1, 1), 0.0),
        ("NaN after a flip", (1, 1, -1, nan, 1, 1, nan, nan), 0.0),
        ("NaN, zero", (1, nan, 0, 1, 1, 0, nan, 1), 0.0),
        ("no NaN beside them", (1, 1, 1, 1, -1, -1, -1, 1), 0.0),
    ), needs=["nan"])  # fmt: skip
    first = (("NaN first", (nan, 1, 1, -1, 1, 1), 0.0), ("NaN later", (1, nan, 1, 1, -1, nan), 0.0))
    builder.add("NaN gradients, lr above the limits", "whether a step with a NaN is a step at all", first,
                needs=["nan"], lr=1000.0)  # fmt: skip
    builder.add("NaN gradients, infinite steps", "whether a step with a NaN moves by 0 times its size", first,
                needs=["nan", "inf"], lr=inf, step_sizes=(0.0, inf))  # fmt: skip
    builder.add("NaN gradient, one coordinate", "the same in one dimension", (
        ("NaN after one gradient", (1, nan, 1, 1, 1, -1, 1, 1), 0.0),
    ), needs=["nan"], lr=0.2)  # fmt: skip
    builder.add("infinite gradients", "0 times infinity at the first step", (
        ("infinite first", (inf, 1, 1, -1, 1, 1), 0.0),
        ("minus infinite first", (-inf, -1, -1, 1, -1, -1), 0.0),
        ("infinite later", (1, inf, inf, 1, 1, 1), 0.0),
        ("infinite flip", (1, -inf, 1, -1, inf, inf), 0.0),
        ("infinite, zero", (1, 0, inf, inf, 0, -inf), 0.0),
    ), needs=["inf"])  # fmt: skip


def _add_losses(builder: CaseBuilder) -> None:
    """Losses that fall, rise and stay the same, for rules that compare them."""
    scripts = BASICS[:6]
    nan = np.nan
    for name, loss in (
        ("loss that falls", range(12, 0, -1)),
        ("loss that rises", range(12)),
        ("loss that stays", (2,) * 12),
        ("loss that is above its best", (5, 1, 4, 3, 2, 6, 5, 4, 3, 7, 6, 5)),
        ("loss with NaN", (2, 3, nan, nan, 1, 3, nan, 2, 1, nan, 4, nan)),
    ):
        needs = ["nan"] if "NaN" in name else []
        builder.add(
            name, "taking a move back may depend on the loss", scripts, loss=[float(v) for v in loss], needs=needs
        )
    builder.add("loss under maximize", "better means higher", scripts, loss=LOSSES, maximize=True)


def _add_uses(builder: CaseBuilder) -> None:
    """Everything a caller does with an optimizer besides plain steps."""
    builder.add(
        "one gradient array", "the caller fills the same array at every step", needs=["same array"], reused=True
    )
    builder.add("missing gradients", "None is not zero", needs=["none"], none=frozenset([1, 4, 5, 8]))
    builder.add("a missing gradient first", "None is not zero", needs=["none"], none=frozenset([0, 3]))
    builder.add("lr set anew", "lr is read once", needs=["set"], edits={3: {"lr": 0.4}, 7: {"lr": 0.01}})
    builder.add("etas set anew", "later etas hold", needs=["set"], edits={3: {"etas": (0.3, 1.7)}})
    builder.add("limits set anew", "later limits hold, also on neutral steps", needs=["set"],
                edits={2: {"step_sizes": (0.2, 0.25)}, 7: {"step_sizes": (1e-6, 0.02)}})  # fmt: skip
    for steps in ((2,), (1, 4), (3, 6, 7), (5, 8, 9, 10)):
        builder.add(f"resumed before step {', '.join(str(t + 1) for t in steps)}", "everything is saved",
                    needs=["save"], resumed=frozenset(steps),
                    loss=(1, 2, 3, 4, 3, 4, 5, 6, 5, 6, 7, 8))  # fmt: skip
    inf = np.inf
    builder.add("resumed after infinite gradients", "everything is saved", (
        ("infinite, then a flip", (inf, -1, 1, inf, -1, 1), 0.0),
        ("minus infinite, then a flip", (-inf, 1, 1, 1, -inf, inf), 0.0),
    ), needs=["save", "inf"], resumed=frozenset([1, 4]), loss=(1, 2, 3, 4, 5, 6))  # fmt: skip
    n = len(BASICS)
    builder.add(
        "lr per coordinate", "first steps of their own", needs=["lr per coordinate"], lr=np.arange(1, n + 1) / 16
    )
    walls = (
        ("a flip at the wall", (-1, -1, -1, 1, -1, -1, 1, 1), 0.0),
        ("a flip at the wall, mirrored", (1, 1, 1, -1, 1, 1, -1, -1), 0.0),
        ("steps at the wall", (-1, -1, -1, -1, -1, 1, 1, 1), 0.125),
        ("nowhere near a wall", (1, -1, -1, 1, 1, -1, 1, 1), 0.0),
    )
    builder.add("bounds", "a wall stops x, and not its step size; what is taken back is what was done", walls,
                bounds=(-0.25, 0.25))  # fmt: skip
    builder.add("a bound on one side", "no wall on the other side", walls, bounds=(-np.inf, 0.25))


def _add_objectives(builder: CaseBuilder) -> None:
    """Runs on objectives, where a difference may change all gradients after it."""
    dtype = builder.dtype
    c, a = np.array([1, 0.01, 100, 1, 7, 0.5]).astype(dtype), np.array([1, -2, 0.3, 0, 0.01, 5]).astype(dtype)
    start = [0.0, 1.0, -1.0, 2.0, 0.5, 0.1]
    builder.add_objective("a quadratic", "a run, not a script", Quadratic(c, a), start, 40)
    plane = Quadratic(np.array([1, 2]).astype(dtype), np.array([81 / 256, -185 / 256]).astype(dtype))
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
        builder.add_objective(name, reason, plane, [1.03, 0.47], 14, **setting)
    target = Quadratic(np.array([1, 1]).astype(dtype), np.array([0.5, 0.625]).astype(dtype))
    builder.add_objective("two dimensions, a gradient of zero", "arriving exactly", target, [0.0, 0.0], 16,
               lr=0.125, etas=(0.5, 2.0))  # fmt: skip
    builder.add_objective(
        "Rosenbrock's function", "a run with gradients of every size", Rosenbrock(), [-1.2, 1.0], 60, lr=0.01
    )
