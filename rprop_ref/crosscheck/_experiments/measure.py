"""Numbers that an implementation contains: factors, steps, thresholds, floors and walls, found by experiment."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .._cases.case import Array
from .._comparison.observe import CouldNotRun
from .decimals import digits, is_power_of_ten, shortest
from .laboratory import Laboratory, moves_of, special_gradients, words
from .search import Numbers
from .thresholds import thresholds

#: Two settings: a number that is the same in both comes from neither. float32 holds these, so that a rule which
#: rounds them to it multiplies by nothing else.
SETTINGS: tuple[dict[str, Any], ...] = (
    {"lr": 0.09375, "etas": (0.40625, 1.3125), "step_sizes": (2.0**-17, 37.0)},
    {"lr": 0.0361328125, "etas": (0.546875, 1.171875), "step_sizes": (3 * 2.0**-17, 53.0)},
)

#: Two with an eta+ so large that factors show where the smallest step size would hide them.
GROWING: tuple[dict[str, Any], ...] = (
    {**SETTINGS[0], "etas": (0.40625, 3.3125)}, {**SETTINGS[1], "etas": (0.546875, 2.671875)},
)  # fmt: skip

#: What is done between the steps of a script beside which factors are measured, with the feature that it needs.
CALLS: tuple[tuple[frozenset[str], dict[str, Any]], ...] = (
    (frozenset(("same array",)), {"reused": True}),
    *((frozenset(("save",)), {"resumed": frozenset((t,))}) for t in (1, 2)),
)

#: Ratios that differ by less than this part of themselves differ by rounding, in double and in float32.
_DOUBLE, _SINGLE = 1e-9, 1e-6

#: At most this many numbers are tried for one field.
MOST = 6


def measured(laboratory: Laboratory, lacks: frozenset[str] = frozenset()) -> Numbers:
    """Numbers to try in each field, beside the answers in words. An experiment that fails gives none."""
    found: dict[str, list[float]] = {}
    special = special_gradients(lacks)

    def after_special(laboratory: Laboratory) -> dict[str, list[float]]:
        if not special:
            return {}
        some = [words((1.0, -1.0, *special), 3), words((1.0, -1.0, 0.0, *special[:1]), 4), _long_scripts(special)]
        infinite = [value for value in special if value == value]
        if 0 < len(infinite) < len(special):  # a NaN may spoil x, and with it all that follows
            some.append(_long_scripts(infinite))
        return {"factor": [v for g in some for v in _factors(_runs(laboratory, g))]}

    def lengths_after_special(laboratory: Laboratory) -> dict[str, list[float]]:
        return _lengths_after(laboratory, special, found.get("factor", []), found) if special else {}

    experiments: list[Callable[[Laboratory], dict[str, list[float]]]] = [
        _steps, after_special, functools.partial(_after_calls, special=special, lacks=lacks), _walls,
        functools.partial(_plateaus, known=found),
        lengths_after_special, thresholds,
        # The second is compared with the first, if that is stored.
        *(functools.partial(thresholds, after=(value, value)) for value in special),
    ]  # fmt: skip
    for experiment in experiments:
        try:
            for field, values in experiment(laboratory).items():
                found.setdefault(field, []).extend(values)
        except CouldNotRun:
            continue
    return {field: tuple(dict.fromkeys(values))[:MOST] for field, values in found.items() if values}


# --- factors, first steps and constant moves -------------------------------------------------------------------


def _steps(laboratory: Laboratory) -> dict[str, list[float]]:
    first, other = _runs(laboratory, words((1.0, -1.0, 0.0), 4))
    growing = _runs(laboratory, words((1.0, -1.0, 0.0), 5), GROWING)
    factors = _factors((first, other), _runs(laboratory, _long_scripts())) + _factors(growing, settings=GROWING)
    # Moves may be made one step late.
    row = slice(0, 1) if first[0].any() else slice(1, 2)
    starts = _alike(first[row], other[row])[:2]
    # The first move may have been multiplied already.
    before = [shortest(v / f * (1 - 1e-9), v / f * (1 + 1e-9)) for v in starts for f in factors]
    by_eta = [
        value for k in (0, 1)
        for value in _alike(*(m[row] / s["etas"][k] for m, s in zip((first, other), SETTINGS, strict=True)))[:1]
    ]  # fmt: skip
    return {
        "start": starts[:1] + by_eta + [v for v in before if _is_factor(v)],
        "factor": factors,
        "move": _alike(first, other)[:2],
    }


def _long_scripts(special: Sequence[float] = ()) -> Array:
    """Runs that are long enough to leave a limit at which step sizes begin, shape (steps, number of them)."""
    letters, often = (1.0, -1.0, 0.0, *special), (0.5, 0.3, 0.2)
    weights = np.array([*often, *(0.3 / len(special) for _ in special)])
    g = np.random.default_rng(3).choice(letters, (12, 60), p=weights / weights.sum())
    return np.concatenate([g, -g], axis=1)


Pair = tuple[Array, Array]


def _after_calls(
    laboratory: Laboratory, special: Sequence[float], lacks: frozenset[str]
) -> dict[str, list[float]]:
    """Factors that show only where a saved state lacks something, or where the memory is the caller's array."""
    g, found = words((1.0, -1.0, 0.0, *special[:2]), 4), list[float]()
    for needs, script in CALLS:
        if needs & lacks:
            continue
        try:
            found += _factors(_runs(laboratory, g, **script))
        except CouldNotRun:
            continue
    return {"factor": found}


def _runs(laboratory: Laboratory, g: Array, settings: Sequence[dict[str, Any]] = SETTINGS, **script: Any) -> Pair:
    """How far x moves at each step, under both settings."""
    loss = tuple(np.resize((2.0, 1.0, 3.0, 2.0), len(g)))
    moves = []
    for setting in settings:
        x = laboratory.run(g, loss=loss, **setting, **script).x.astype(np.float64)
        with np.errstate(all="ignore"):
            moves.append(np.abs(moves_of(x)))
    return moves[0], moves[1]


def factors_in_float32(laboratory: Laboratory) -> tuple[float, ...]:
    """The numbers that step sizes were multiplied by, if they were rounded to float32 afterwards."""
    runs = [_runs(laboratory, g) for g in (words((1.0, -1.0, 0.0), 4), _long_scripts())]
    return tuple(_factors(*runs, precision=_SINGLE))


def _factors(
    *runs: Pair, settings: Sequence[dict[str, Any]] = SETTINGS, precision: float = _DOUBLE
) -> list[float]:
    """The numbers that step sizes were multiplied by, under both settings alike."""
    found = [value for moves in runs for value in _factors_of(moves, settings, precision)]
    return _single(list(dict.fromkeys(found)))[:MOST]


def _factors_of(moves: Pair, settings: Sequence[dict[str, Any]], precision: float) -> list[float]:
    # A step size may have changed while x did not move, and it may begin at a limit.
    pairs = [(i, j) for j in range(1, len(moves[0])) for i in range(max(0, j - 4), j)]
    with np.errstate(all="ignore"):
        ratios = [np.vstack([m[j] / m[i] for i, j in pairs]) for m in moves]
        of_given = [
            np.vstack([m / number for number in (setting["lr"], *setting["step_sizes"])])
            for m, setting in zip(moves, settings, strict=True)
        ]
        # It may have been multiplied by eta+ or eta- as well, or by both.
        also = [
            np.vstack([ratio / eta for eta in _products(*setting["etas"])])
            for ratio, setting in zip(map(np.vstack, zip(ratios, of_given, strict=True)), settings, strict=True)
        ]
    return [v for some in (ratios, of_given, also) for v in _alike(some[0], some[1], _is_factor, precision)]


def _products(down: float, up: float) -> tuple[float, ...]:
    return down, up, down * down, down * up, up * up


def _single(values: list[float]) -> list[float]:
    """The fewest factors that all of these are products of: those that were seen, then the shortest."""
    if not values:
        return []
    quotients = [shortest(a / b * (1 - 1e-9), a / b * (1 + 1e-9)) for a in values for b in values if a != b]
    shorter = [v for v in dict.fromkeys(quotients) if _is_factor(v) and digits(v) < max(map(digits, values))]
    possible = list(dict.fromkeys((*values, *shorter)))
    for size in range(1, min(len(values), _MOST_FACTORS) + 1):
        bases = [basis for basis in itertools.combinations(possible, size) if _is_basis(basis, values)]
        if bases:
            length = {basis: sum(map(digits, basis)) for basis in bases}
            unseen = {basis: sum(v not in values for v in basis) for basis in bases}
            seen = min(bases, key=lambda basis: (unseen[basis], length[basis]))
            brief = min(bases, key=lambda basis: (length[basis], unseen[basis]))
            return list(dict.fromkeys((*sorted(seen, key=digits), *sorted(brief, key=digits))))
    return sorted(values, key=digits)


#: More factors than these are not told from products of them.
_MOST_FACTORS = 3


def _is_basis(basis: tuple[float, ...], values: list[float]) -> bool:
    """Whether all values are products of up to four of some factors."""
    pairs = [a * b for a, b in itertools.combinations_with_replacement((1.0, *basis), 2)]
    products = np.array([a * b for a in pairs for b in pairs])
    return all((np.abs(products - value) <= 1e-9 * value).any() for value in values)


def _alike(
    a: Array, b: Array, keep: Callable[[float], bool] = lambda value: True, precision: float = _DOUBLE
) -> list[float]:
    """The numbers that both arrays have in the same place, the most frequent first, as short decimals."""
    with np.errstate(all="ignore"):
        same = np.isfinite(a) & np.isfinite(b) & (a > 0) & (np.abs(a - b) <= precision * np.abs(a))
    # Most of them differ by rounding only.
    mantissas, exponents = np.frexp(a[same])
    bits = round(-np.log2(precision)) + 6
    distinct, often = np.unique(
        np.ldexp(np.round(np.ldexp(mantissas, bits)), exponents - bits), return_counts=True
    )
    counts: Counter[float] = Counter()
    for v, count in zip(distinct.tolist(), often.tolist(), strict=True):
        counts[shortest(v * (1 - precision / 10), v * (1 + precision / 10))] += count
    return [value for value, _ in counts.most_common() if keep(value)][:MOST]


def _is_factor(value: float) -> bool:
    """Whether a ratio may be a factor that somebody wrote down: of a usual size, with few digits."""
    return 0.05 < value < 5 and abs(value - 1) > 1e-9 and float(f"{value:.3e}") == value


# --- limits and floors of its own ------------------------------------------------------------------------------


def own_limits(laboratory: Laboratory, known: Numbers) -> Numbers:
    """The limits that a rule has whatever step_sizes says; of other numbers, some are known already."""
    try:
        found = _plateaus(laboratory, known)
    except CouldNotRun:
        return {}
    return {name: tuple(found[name]) for name in ("largest", "smallest") if found[name]}


def _plateaus(laboratory: Laboratory, known: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    factors, walls = list(known.get("factor", ())), known.get("walls", ())
    found: list[tuple[list[float], list[float]]] = []
    for lr, etas in _LENGTH_SETTINGS:
        setting = {"lr": lr, "etas": etas, "step_sizes": (1e-30, 1e30)}
        growth = np.stack([np.ones(300), -np.ones(300)], axis=1)
        flips = np.tile([[1.0, -1.0], [-1.0, 1.0]], (60, 1))
        largest, smallest = (
            _plateau(_moves(laboratory, g, setting), (1, *etas, *factors)) for g in (growth, flips)
        )
        # An lr, and then factors, that lead far outside every limit.
        upward = _stopped(laboratory, factors, {**setting, "lr": 1e14})
        upward += _stopped(laboratory, factors, {**setting, "etas": (etas[0], 1e45)})
        downward = _stopped(laboratory, factors, {**setting, "lr": 1e-14})
        downward += _stopped(
            laboratory, factors, {**setting, "etas": (1e-40, etas[1]), "step_sizes": (1e-30, 1.0)}
        )
        largest += [v for v in upward if 1 < v < 1e12]
        smallest += [v for v in downward if 1e-12 < v < 0.03]
        found.append(([v for v in largest if 1e-12 < v < 1e12], [v for v in smallest if v > 1e-12]))
    largest, smallest = (
        _unmultiplied([v for v in values if v in also], factors, _between(walls))[:2]
        for values, also in zip(*found, strict=True)
    )
    return {"largest": largest, "smallest": smallest, "floor": smallest}


def _lengths_after(
    laboratory: Laboratory, special: Sequence[float], factors: list[float], known: Mapping[str, list[float]]
) -> dict[str, list[float]]:
    """Limits and floors that show only beside NaN or infinite gradients, and others are not known already."""
    # Where all steps have one length, that seems to be every limit.
    seen = {name: set(known.get(name, ())) for name in ("largest", "smallest")}
    sure = {"largest": seen["largest"] - seen["smallest"], "smallest": seen["smallest"] - seen["largest"]}
    sure["floor"] = sure["smallest"]
    if all(sure.values()):
        return {}
    found: list[tuple[list[float], list[float]]] = []
    for lr, etas in _LENGTH_SETTINGS:
        g = words((1.0, -1.0, *special[:2]), 4)
        large = {"lr": lr * 1e15, "etas": etas, "step_sizes": (1e-30, 1e30)}
        # Beside moves that are not large, so that small ones are not lost.
        small = {"lr": lr * 1e-13, "etas": etas, "step_sizes": (1e-30, 1.0)}
        found.append((
            [v for v in _stopped(laboratory, factors, large, g) if 1 < v < 1e12],
            [v for v in _stopped(laboratory, factors, small, g) if 1e-12 < v < 0.03],
        ))  # fmt: skip
    largest, smallest = (
        _unmultiplied([v for v in values if v in also], factors, _between(known.get("walls", [])))[:1]
        for values, also in zip(*found, strict=True)
    )
    lengths = {"largest": largest, "smallest": smallest, "floor": smallest}
    return {name: values for name, values in lengths.items() if not sure[name]}


#: Two settings: a length that is the same in both comes from neither.
_LENGTH_SETTINGS = ((0.1, (0.5, 1.2)), (0.037, (0.4, 1.3)))


def _between(walls: Sequence[float]) -> list[float]:
    """How far x moves from wall to wall, and from one to 0."""
    return [v for wall in walls for v in (wall, 2 * wall)]


def _unmultiplied(values: list[float], factors: list[float], explained: list[float]) -> list[float]:
    """Some lengths, without those that are one before them, or an explained one, times or by some factors."""
    kept = list(explained)
    # Of two lengths that somebody wrote down, one is often ten times the other.
    powers = {f**n for f in factors if not is_power_of_ten(f) for n in (1, 2, 3)}
    for value in values:
        if not any(abs(value - v * f) <= 1e-5 * value for v in kept for g in (1.0, *powers) for f in (g, 1 / g)):
            kept.append(value)
    return kept[len(explained) :]


def _stopped(
    laboratory: Laboratory, own: list[float], setting: dict[str, Any], g: Array | None = None
) -> list[float]:
    """The lengths of moves, and these before they were multiplied, where hyperparameters lead far out."""
    down, up = setting["etas"]
    some = _moves(laboratory, words((1.0, -1.0, 0.0), 4) if g is None else g, setting)
    moves = np.unique(np.concatenate([v[(v > 0) & (v < 1e29)] for v in some]))
    factors = (1, up, down, up * up, *own)
    found = [(shortest(v / f * (1 - 1e-6), v / f * (1 + 1e-6)), f == 1) for v in moves for f in factors]
    return _roundest(found)


def _moves(laboratory: Laboratory, g: Array, setting: dict[str, Any]) -> Array:
    loss = tuple(np.arange(float(len(g)), 0, -1))
    with np.errstate(invalid="ignore"):
        moves: Array = np.abs(np.diff(laboratory.run(g, loss=loss, **setting).x.astype(np.float64), axis=0))
    return moves


def _plateau(moves: Array, factors: tuple[float, ...]) -> list[float]:
    """The lengths at which moves stay in the end, perhaps alternately; and these before they were multiplied."""
    found: list[tuple[float, bool]] = []
    for column in moves.T:
        last = column[column > 0][-8:]
        if len(last) < 8 or not (last < 1e29).all():
            continue
        for period in (1, 2, 3):
            if (np.abs(last[period:] - last[:-period]) <= 1e-6 * last[period:]).all():
                values = [float(v) for v in last[-period:]]
                found += [
                    (shortest(v / f * (1 - 1e-6), v / f * (1 + 1e-6)), f == 1) for v in values for f in factors
                ]
                break
    return _roundest(found)


def _roundest(found: Sequence[tuple[float, bool]]) -> list[float]:
    """Numbers that somebody may have written, the likeliest first; each with whether a move had this length.

    Those of few digits come first, of these a power of ten, then those that had not to be divided by a factor.
    """
    counts = Counter(value for value, _ in found)
    direct = {value for value, is_length in found if is_length}

    def unlikely(value: float) -> tuple[int, bool, bool, int]:
        return digits(value), not is_power_of_ten(value), value not in direct, -counts[value]

    return sorted(counts, key=unlikely)


# --- walls ------------------------------------------------------------------------------------------------------


def _walls(laboratory: Laboratory) -> dict[str, list[float]]:
    out = 10.0 ** np.arange(10)
    starts = np.concatenate([out, out, -out, -out])
    g = np.concatenate([np.ones(10), -np.ones(10)] * 2)[None, :]
    x = laboratory.run(g, starts, lr=1.0, step_sizes=(1e-6, 1e3)).x[-1].astype(np.float64)
    stopped = (np.abs(np.abs(x) - np.abs(starts)) > 1.5) & np.isfinite(x)
    # A wall stops x on its way from far out, wherever that is; a large first step leads elsewhere from each start.
    reached = {(abs(end), abs(start)) for end, start in zip(x[stopped], starts[stopped], strict=True)}
    counts = Counter(float(end) for end, _ in reached)
    return {"walls": [value for value, count in counts.most_common(2) if count > 2 and value > 0]}
