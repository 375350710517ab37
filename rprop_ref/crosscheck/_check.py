"""`check` and `assert_conforms`: run an implementation on every case, compare, and explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .cases import COMPLEX, FEATURES, REALS, Case, dtype_named, dtype_names, random_cases
from .collection import catalogue
from .deviations import RULES, differences, rule_named
from .diagnose import Search, diagnose
from .maker import Maker
from .observe import (
    CouldNotRun,
    Divergence,
    Factory,
    Trajectory,
    divergence,
    expected,
    observe,
    ulps,
    zeros_differ,
)
from .profiles import PROFILES
from .report import DIFFERENT, FAILED, IDENTICAL, ROUNDING, Behaviour, Report
from .shrink import shrink

#: A rule counts as the same, but for rounding, up to so many units in the last place for each step made.
ULPS_PER_STEP = 4

#: How many units in the last place a number of the dtype has.
MANTISSAS = {"float64": 2.0**52, "float32": 2.0**23, "float16": 2.0**10, "bfloat16": 2.0**7}

#: How many cases are run again to see whether they give the same results.
AGAIN = 4


def check(
    factory: Factory,
    claim: str = "irprop-",
    *,
    dtypes: Sequence[str] | None = None,
    without: Iterable[str] = (),
    random: int = 100,
    seed: int = 0,
    diagnosis: bool = True,
    on_divergence: Callable[[Divergence], Any] | None = None,
) -> Report:
    """Compare an implementation of Rprop with the rule it claims to be, to the bit, and name what differs.

    Parameters
    ----------
    factory : callable
        ``factory(x0, *, lr, etas, step_sizes, maximize)`` makes the implementation: an object whose
        ``step(grad, loss=None)`` returns the new parameters, as many numbers as `x0` has; they are compared in
        the dtype of `x0`. Attributes ``prev`` and ``step_size``, as many numbers or one for all, are compared if
        it has them; a ``prev`` that holds only signs is recognised as such. If it has
        ``set(lr=, etas=, step_sizes=)``, ``save()`` and ``load(state)``, or a true attribute ``accepts_none``,
        these are tried as well, and if the factory has a true attribute ``accepts_lr_array``, an `lr` for each
        coordinate. A factory with a true attribute ``accepts_bounds`` is also called with
        ``bounds=(lower, upper)``, floats between which all of x is kept.
    claim : {"irprop-", "rprop+", "rprop-", "irprop+", "irprop-go", "paper"}, optional
        The rule. "paper" is the algorithm box of torch's page: no product that underflows, one limit in each
        branch.
    dtypes : sequence of str, optional
        Of "float64", "float32", "float16", "bfloat16", "complex128", "complex64". By default the real ones
        (bfloat16 if ml_dtypes is installed).
    without : iterable of str, optional
        What the implementation does not have: a dtype, or one of "maximize", "etas", "step_sizes", "nan", "inf",
        "none", "set", "save", "lr per coordinate", "bounds", "same array" (gradients that are always given in the
        same array), "lr outside step_sizes", "scripts" (gradients of the caller's choice), "objectives" (other
        than quadratics in two dimensions). Also "prev" and "step_size": then these are not compared.
    random : int, optional
        How many cases are drawn at random, beside those of the catalogue.
    seed : int, optional
        For these.
    diagnosis : bool, optional
        Whether to search for an explanation if there is a difference.
    on_divergence : callable, optional
        Called with the first difference, not counting errors, as soon as it is found.

    Returns
    -------
    Report
        ``print(report)``; ``report.agrees``, ``report.first_divergence``, ``report.diagnosis``,
        ``report.to_json()``.

    Raises
    ------
    TypeError
        If `factory` cannot be called.
    ValueError
        If `claim`, a dtype or an entry of `without` is unknown, or `random` or `seed` is no count.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import crosscheck
    >>> class Mine:
    ...     def __init__(self, x0, *, lr, etas, step_sizes, maximize):
    ...         self.x, self.size, self.prev = x0, np.full_like(x0, lr), np.zeros_like(x0)
    ...         self.etas, self.limits, self.way = etas, step_sizes, 1 if maximize else -1
    ...     def step(self, grad, loss=None):
    ...         q = grad * self.prev
    ...         self.size[q > 0] *= self.etas[1]
    ...         self.size[q < 0] *= self.etas[0]
    ...         self.size = np.clip(self.size, *self.limits).astype(self.x.dtype)
    ...         self.prev = np.where(q < 0, 0, grad)
    ...         self.x = self.x + self.way * np.sign(grad) * self.size
    ...         return self.x
    >>> report = crosscheck.check(Mine, dtypes=["float64"], without=["nan", "inf", "prev"])
    >>> report.verdict
    'a different rule'
    >>> [a.name for a in report.diagnosis.explanations[0].changes]
    ['moves on at a flip']
    """
    hidden, names = _checked(factory, claim, dtypes, without)
    for name, value in (("random", random), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"{name}={value!r} should be 0 or a larger integer")
    lacks = hidden | _missing(factory, names)
    left_out: Counter[str] = Counter()
    cases = []
    for case in catalogue(names):
        needed = sorted(case.needs & lacks)
        left_out.update(needed[:1])
        if not needed:
            cases.append(case)
    drawn = random_cases(seed, names, random, lambda feature: feature not in lacks)
    runs = _Runs(factory, claim, hidden, on_divergence)
    runs.add(cases)
    runs.add(drawn)
    report = runs.report()
    report.cases, report.random, report.left_out = len(cases), len(drawn), dict(left_out)
    if not report.divergences:
        return report
    report.smallest = shrink(factory, claim, runs.clearest(), hidden, signs=runs.signs, turned=bool(runs.turned))
    # What does not repeat, and what ends in an error after steps that were right, are no deviation of the rule.
    if diagnosis and runs.failed():
        report.diagnosis = diagnose(RULES[claim], runs.explainable(), runs.failed(), signs=runs.signs)
        if not report.diagnosis.explanations and not report.diagnosis.state_only:
            report.behaviour = _behaviour(factory, claim, names, lacks)
    return report


def assert_conforms(factory: Factory, claim: str = "irprop-", *, ulps: float = 0, **options: Any) -> None:
    """Raise AssertionError, with the report, unless an implementation is the rule it claims to be.

    Parameters
    ----------
    factory : callable
        As for `check`.
    claim : str, optional
        The rule.
    ulps : float, optional
        By how many units in the last place rounding may differ.
    **options
        As for `check`.
    """
    __tracebackhide__ = True  # pytest then shows the caller's line
    if not isinstance(ulps, (int, float, np.number)) or not ulps >= 0:
        raise ValueError(f"ulps={ulps!r} should be 0 or a larger number")
    report = check(factory, claim, **options)
    if not report.agrees_within(ulps):
        raise AssertionError(f"\n{report}")


def closest_profiles(
    factory: Factory, *, dtypes: Sequence[str] | None = None, without: Iterable[str] = ()
) -> list[tuple[str, int, int]]:
    """Who behaves like mine? Published implementations, the most similar first.

    Parameters
    ----------
    factory, dtypes, without
        As for `check`. Only parameters are compared, not what is shown as state.

    Returns
    -------
    list of (str, int, int)
        The name of a profile, and how many scripts it reproduces to the bit, of how many.

    Raises
    ------
    CouldNotRun
        If not one case can be run.
    TypeError, ValueError
        As `check` does.
    """
    hidden, names = _checked(factory, "irprop-", dtypes, without)
    lacks = hidden | _missing(factory, names)
    seen = [observe(factory, case, hidden) for case in catalogue(names) if not case.needs & lacks]
    if not any(t.steps for t in seen):
        raise CouldNotRun(f"no case could be run: {seen[0].error}" if seen else "no case is left to run")
    base = RULES["irprop-"]
    search = Search(base, seen, set(), signs=False, quantities=("x",))
    rules = [differences(base, known.full_rule) for known in PROFILES.values()]
    matched = search.scores(list(dict.fromkeys(rules)), search.pieces)[:, 0]
    score = dict(zip(dict.fromkeys(rules), matched, strict=True))
    total = sum(t.case.size for t in seen if t.steps)
    found = [(name, int(score[rule]), total) for name, rule in zip(PROFILES, rules, strict=True)]
    return sorted(found, key=lambda row: -row[1])


def _checked(
    factory: Factory, claim: str, dtypes: Sequence[str] | None, without: Iterable[str]
) -> tuple[frozenset[str], tuple[str, ...]]:
    if not callable(factory):
        raise TypeError(f"factory should be callable, as factory(x0, lr=...), and is {factory!r}")
    rule_named(claim)
    hidden = frozenset(_words("without", without))
    known = {*FEATURES, *REALS, *COMPLEX, "prev", "step_size"}
    if hidden - known:
        raise ValueError(f"without={min(hidden - known)!r} is unknown; choose from {', '.join(sorted(known))}")
    names = tuple(name for name in dtype_names(dtypes) if name not in hidden)
    if not names:
        raise ValueError("no dtype is left to compare")
    return hidden, names


def _words(option: str, words: Iterable[str]) -> list[str]:
    """The words of an option that takes one or several."""
    if isinstance(words, str):
        return [words]
    if not isinstance(words, Iterable):
        raise ValueError(f"{option}={words!r} should be a list of words")
    return [str(word) for word in words]


def _missing(factory: Factory, names: Sequence[str]) -> frozenset[str]:
    """The optional features that an implementation does not say it has."""
    lacks = {"none", "set", "save"}
    if not getattr(factory, "accepts_lr_array", False):
        lacks.add("lr per coordinate")
    if not getattr(factory, "accepts_bounds", False):
        lacks.add("bounds")
    for name in names:
        try:
            x0 = np.zeros(2, dtype_named(name))
            rule = factory(x0, lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False)
            if getattr(rule, "accepts_none", False):
                lacks.remove("none")
            if hasattr(rule, "set"):
                lacks.remove("set")
            if hasattr(rule, "save") and hasattr(rule, "load"):
                lacks.remove("save")
            break
        except (Exception, SystemExit):
            continue  # the cases will tell
    return frozenset(lacks)


class _Runs:
    """What was expected and what was seen, case by case."""

    def __init__(
        self,
        factory: Factory,
        claim: str,
        hidden: frozenset[str],
        on_divergence: Callable[[Divergence], Any] | None = None,
    ) -> None:
        self.factory, self.claim, self.hidden, self.on_divergence = factory, claim, hidden, on_divergence
        self.wanted: list[Trajectory] = []
        self.seen: list[Trajectory] = []
        self.found: list[Divergence | None] = []
        self.signs = False
        # Whether the memory that is shown is that of before maximize has negated it.
        self.turned: bool | None = None
        self.unsteady: set[int] = set()
        self.refused: list[str] = []

    def add(self, cases: Sequence[Case]) -> None:
        """Run cases."""
        for case, wanted in zip(cases, expected(self.claim, cases), strict=True):
            got = observe(self.factory, case, self.hidden)
            if not self.seen:
                self.signs = _signs_only(wanted, got)
            if case.maximize and got.prev is not None:
                if self.turned is None:
                    self.turned = _not_turned(wanted, got, self.signs)
                if self.turned:
                    got.prev = -got.prev
            found = divergence(wanted, got, signs=self.signs)
            self.wanted.append(wanted)
            self.seen.append(got)
            self.found.append(None if got.refused else found)
            if got.refused:
                self.refused.append(f"{case}: {got.error}")
            elif found is not None and found.quantity != "error" and self.on_divergence is not None:
                self.on_divergence(found)
                self.on_divergence = None

    def report(self) -> Report:
        """The report, without an explanation."""
        self._run_again()
        found = [d for d in self.found if d is not None]
        compared = dict.fromkeys(q for t in self.seen for q in t.shown() if t.steps)
        verdict, far = self._verdict(found)
        return Report(
            self.claim,
            verdict,
            far,
            divergences=found,
            refused=self.refused,
            failed_need=self._needed_where_it_failed(),
            unsteady=[str(self.seen[i].case) for i in sorted(self.unsteady)],
            signs=self.signs,
            zeros=any(zeros_differ(a, b) for a, b in zip(self.wanted, self.seen, strict=True)),
            compared=tuple(compared) or ("x",),
        )

    def _needed_where_it_failed(self) -> str | None:
        """What every case that ended in an error needs, and few others do."""
        failed = [t.case.needs for t in self.seen if t.error is not None]
        others = [t.case.needs for t in self.seen if t.error is None]
        common = frozenset.intersection(*failed) if failed else frozenset()
        right = {need: sum(need in needs for needs in others) for need in sorted(common)}
        # A single error may be an accident, and so may be the need it seems to come of.
        likely = [need for need in right if len(failed) > max(1, right[need])]
        return min(likely, key=right.__getitem__, default=None)

    def _verdict(self, found: list[Divergence]) -> tuple[str, float]:
        if not found and not self.unsteady:
            return (FAILED, np.inf) if self.refused else (IDENTICAL, 0.0)
        if all(d.quantity == "error" for d in found) and not self.unsteady:
            # What it has done so far was right.
            return FAILED, np.inf
        if self.unsteady or any(d.quantity == "error" for d in found):
            return DIFFERENT, np.inf
        far = self._rounding()
        return (ROUNDING, far) if np.isfinite(far) else (DIFFERENT, np.inf)

    def _rounding(self) -> float:
        """The largest difference in ulps; infinite if there is one that is no matter of rounding."""
        most = 0.0
        open_loop_differs = any(d and d.case.objective is None for d in self.found)
        for wanted, got, found in zip(self.wanted, self.seen, self.found, strict=True):
            if found is None or (got.case.objective is not None and open_loop_differs):
                # Rounding may change where a run goes; whether it is rounding, scripts tell.
                continue
            for quantity in got.shown():
                if quantity == "gradient" or (quantity == "prev" and self.signs):
                    continue
                away = ulps(wanted, got, quantity)
                most_ever = MANTISSAS[got.case.real.name] / 8  # an eighth of a number is no rounding
                allowed = np.minimum(ULPS_PER_STEP * np.arange(1, len(away) + 1), most_ever)[:, None]
                if (away > allowed).any():
                    return np.inf
                most = max(most, float(away.max(initial=0)))
            if found.quantity == "gradient" or (found.quantity == "prev" and self.signs):
                return np.inf
        return most

    def _run_again(self) -> None:
        """Run some failing cases again; differences that come and go explain nothing."""
        failed = [i for i, d in enumerate(self.found) if d is not None and d.quantity != "error"]
        special = [i for i in failed if not np.isfinite(self.seen[i].case.g.astype(np.float64)).all()]
        some = list(dict.fromkeys((*failed[:AGAIN], *special[:AGAIN])))
        self.unsteady = {i for i in some if self._comes_out_otherwise(i)}
        if self.unsteady:
            self.unsteady |= {i for i in failed if i not in some and self._comes_out_otherwise(i)}
        if self.unsteady & set(special):
            # What comes of a NaN is not defined; it may have come out the same twice by chance.
            self.unsteady |= set(special)

    def _comes_out_otherwise(self, i: int) -> bool:
        again = observe(self.factory, self.seen[i].case, self.hidden)
        if self.turned and again.case.maximize and again.prev is not None:
            again.prev = -again.prev
        return again.steps < self.seen[i].steps or divergence(again, self.seen[i]) is not None

    def clearest(self) -> Divergence:
        """One that repeats, if there is one, and rather not an error."""
        found = [
            (i in self.unsteady, d.quantity == "error", i, d) for i, d in enumerate(self.found) if d is not None
        ]
        return min(found, key=lambda row: row[:3])[3]

    def explainable(self) -> list[Trajectory]:
        """What was seen, without what does not repeat."""
        return [t for i, t in enumerate(self.seen) if i not in self.unsteady]

    def failed(self) -> set[int]:
        """Which of these are not as expected; an error is not, but what came before it was."""
        steady = [d for i, d in enumerate(self.found) if i not in self.unsteady]
        return {i for i, d in enumerate(steady) if d is not None and d.quantity != "error"}


def _signs_only(wanted: Trajectory, got: Trajectory) -> bool:
    """Whether the memory that is shown is one of signs, though the gradients have other magnitudes."""
    if got.prev is None or not got.prev.size:
        return False

    def signs(a: np.ndarray) -> bool:
        return bool(np.isin(a.astype(np.float64), (-1, 0, 1)).all())

    return wanted.prev is not None and signs(got.prev) and not signs(wanted.prev)


def _not_turned(wanted: Trajectory, got: Trajectory, signs: bool) -> bool:
    """Whether an implementation that knows maximize stores the gradient, or its sign, as given."""
    if not got.steps or wanted.prev is None or got.prev is None:
        return False
    right_way = np.array_equal(np.sign(got.x[0] - got.case.x0), np.sign(wanted.x[0] - got.case.x0))
    memory = np.sign(wanted.prev[0]) if signs else wanted.prev[0]
    return right_way and bool(np.array_equal(got.prev[0], -memory) and memory.any())


#: In the behaviour sheet: stands for a gradient whose square is 0 in the dtype.
_TINY = 1e-200

#: (what, gradients, setting): the rows of the behaviour sheet.
_SHEET: tuple[tuple[str, tuple[float, ...], dict[str, Any]], ...] = (
    ("first step", (1,), {}),
    ("agreement", (1, 1, 1), {}),
    ("flip", (1, 1, -1), {}),
    ("after a flip", (1, 1, -1, -1, -1), {}),
    ("back after a flip", (1, 1, -1, 1, 1), {}),
    ("mirrored", (-1, -1, 1), {}),
    ("zero", (1, 0, 1, 1), {}),
    ("magnitude", (4, 0.5), {}),
    ("largest step", (1, 1, 1), {"step_sizes": (1e-6, 0.11)}),
    ("smallest step", (1, -1, -1, 1, 1), {"step_sizes": (0.08, 50.0)}),
    ("lr above the largest step", (1, 1), {"lr": 1000.0}),
    ("lr of zero", (1, 1), {"lr": 0.0}),
    ("NaN", (1, np.nan, 1, 1), {}),
    ("infinite", (np.inf, 1, 1), {}),
    ("product underflows", (_TINY, _TINY, -_TINY), {}),
    ("maximize", (1, 1, -1), {"maximize": True}),
)


def _behaviour(factory: Factory, claim: str, names: Sequence[str], lacks: frozenset[str]) -> list[Behaviour]:
    name = "float64" if "float64" in names else names[0]
    make = Maker(COMPLEX.get(name, name))
    small = make.smallest**0.5 / 8
    for what, g, setting in _SHEET:
        needs = [name for name, value in (("nan", np.nan), ("inf", np.inf)) if any(v is value for v in g)]
        script = what, tuple(float(np.sign(v)) * small if abs(v) == _TINY else v for v in g), 0.0
        # A complex number is two coordinates.
        make.add(what, "", [script] * (2 if name in COMPLEX else 1), needs=needs, **setting)
    rows = []
    for case in (replace(case, dtype=name) for case in make.cases if not case.needs & lacks):
        wanted, got = expected(claim, [case])[0], observe(factory, case, frozenset())
        rows.append(
            Behaviour(
                case.name,
                "g = " + " ".join(f"{float(v):g}" for v in case.g[:, 0]),
                tuple(float(v) for v in wanted.x[:, 0]),
                tuple(float(v) for v in got.x[:, 0]),
                got.error,
            )
        )
    return rows
