"""`check`, `assert_conforms` and `closest_profiles`: the entry points of the referee."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import rules
from ._cases.conformance import conformance_cases
from ._cases.long import ONE_OF, long_cases
from ._cases.randomized import random_cases
from ._comparison.behaviour import behaviour_sheet
from ._comparison.comparison import Comparison
from ._comparison.divergence import Divergence
from ._comparison.observe import CouldNotRun, Factory, observe_all
from ._comparison.shrink import shrink
from ._comparison.trajectory import QUANTITIES
from ._diagnosis.diagnose import EXHAUSTIVE_SIZE, PAIRS, DeviationSearch
from ._diagnosis.evidence import Evidence
from ._diagnosis.result import Diagnosis, Explanation, Learned
from ._experiments.decompile import learn_rule
from ._experiments.result import Decompiled
from ._report.advice import with_advice
from ._report.points import NEVER_MOVES, Cases, Point, points_of_explanation, points_of_rule
from ._report.report import Report
from ._report.tiers import tier_counts
from ._requests import checked, missing_features
from ._stages.compositions import COMPOSITIONS, PAPER
from .profiles import PROFILES, published_changes


def check(
    factory: Factory,
    claim: str | None = None,
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
        ``step(grad, loss=None)`` returns the new parameters, as many numbers as `x0` has. They are compared in the
        dtype of `x0`.

        Everything else is optional. Attributes ``prev`` and ``step_size`` are compared if the object has them,
        either one number for each coordinate or one for all; a ``prev`` that holds only signs is recognised as
        such. ``set(lr=, etas=, step_sizes=)``, ``save()`` with ``load(state)``, and gradients of None (if the
        attribute ``accepts_none`` is true) are tried if the object has them. A factory whose attribute
        ``accepts_lr_array`` is true also gets an `lr` for each coordinate. If it has an attribute ``dtypes`` or
        ``lacks``, these are what it works in, and words for `without`. One whose ``accepts_bounds`` is true is
        also called with ``bounds=(lower, upper)``: two floats, between which all of x is kept.
    claim : {"irprop-", "rprop+", "rprop-", "irprop+", "irprop-go", "paper"}, optional
        The rule. By default, the nearest of the five, which is found by experiments (`decompile`). "paper" is the
        algorithm box of torch's documentation: its product never underflows, and each branch has only one limit.
    dtypes : sequence of str, optional
        Of "float64", "float32", "float16", "bfloat16", "complex128", "complex64". By default those that the
        factory declares, or the real ones in which the implementation returns what it is given (bfloat16 only if
        ml_dtypes is installed). The report says which.
    without : iterable of str, optional
        What the implementation does not support: a dtype, or one of "maximize", "etas", "step_sizes", "nan",
        "inf", "none", "set", "save", "lr per coordinate", "bounds", "same array" (a caller that reuses its
        gradient array), "lr outside step_sizes", "scripts" (gradients that the caller chooses), "objectives"
        (other than quadratics in two dimensions). Cases that need it are left out. "prev" and "step_size" leave
        out no case; they are not compared.
    random : int, optional
        The number of random cases, in addition to the conformance cases.
    seed : int, optional
        The seed of the random cases.
    diagnosis : bool, optional
        Whether to search for an explanation if there is a difference.
    on_divergence : callable, optional
        Called once, with the first difference that is not an error, as soon as it is found.

    Returns
    -------
    Report
        ``print(report)``; ``report.agrees``, ``report.first_divergence``, ``report.diagnosis``, ``report.tiers``,
        ``report.rule`` (the rule that it follows, as a table and as code), ``report.to_json()``.

    Raises
    ------
    TypeError
        If `factory` is not callable.
    ValueError
        If `claim`, a dtype or an entry of `without` is unknown, or `random` or `seed` is negative or no integer.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import crosscheck
    >>> class Mine:
    ...     def __init__(self, x0, *, lr, etas, step_sizes, maximize):
    ...         self.x, self.size, self.prev = x0, np.full_like(x0, lr), np.zeros_like(x0)
    ...         self.etas, self.limits, self.direction = etas, step_sizes, 1 if maximize else -1
    ...     def step(self, grad, loss=None):
    ...         product = grad * self.prev
    ...         self.size[product > 0] *= self.etas[1]
    ...         self.size[product < 0] *= self.etas[0]
    ...         self.size = np.clip(self.size, *self.limits).astype(self.x.dtype)
    ...         self.prev = np.where(product < 0, 0, grad)
    ...         self.x = self.x + self.direction * np.sign(grad) * self.size
    ...         return self.x
    >>> report = crosscheck.check(Mine, "irprop-", dtypes=["float64"], without=["nan", "inf", "prev"])
    >>> report.verdict
    'a different rule'
    >>> [a.name for a in report.diagnosis.explanations[0].changes]
    ['moves on at a flip']
    """
    excluded, names = checked(factory, claim or rules.DEFAULT, dtypes, without)
    for option, value in (("random", random), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"{option}={value!r} should be an integer, 0 or larger")
    lacks = excluded | missing_features(factory, names)
    learned = _learned(factory, names, lacks) if claim is None else None
    if claim is None:
        claim = learned.rule.nearest if learned is not None and learned.rule is not None else rules.DEFAULT
    cases = conformance_cases(names)
    usable = [case for case in cases if not case.needs & lacks]
    few = -(-random // ONE_OF)
    drawn = random_cases(seed, names, random - few, lambda feature: feature not in lacks)
    drawn += long_cases(seed, names, few, lambda feature: feature not in lacks)
    comparison = Comparison(factory, claim, excluded, on_divergence)
    comparison.add(usable)
    comparison.add(drawn)
    comparison.repeat_some()
    report = _report(comparison)
    report.learned, report.learn = learned, lambda: _learned(factory, names, lacks)
    report.dtypes = names
    report.cases, report.random = len(usable), len(drawn)
    report.left_out = dict(Counter(min(case.needs & lacks) for case in cases if case.needs & lacks))
    if report.divergences:
        if diagnosis:
            _explain(report, comparison)
            if _unexplained(report):
                report.behaviour = behaviour_sheet(factory, claim, names, lacks)
            _add_points(report, comparison)
        report.smallest = shrink(
            factory,
            claim,
            comparison.clearest(),
            excluded,
            signs_only=comparison.signs_only,
            stored_before_maximize=comparison.stored_before_maximize,
        )
    return report


def _report(comparison: Comparison) -> Report:
    """The report of a comparison, before there is a diagnosis."""
    verdict, ulps = comparison.verdict()
    return Report(
        comparison.claim,
        verdict,
        ulps,
        divergences=[d for d in comparison.divergences if d is not None],
        refused=comparison.refused,
        failed_need=comparison.feature_of_all_errors(),
        unsteady=comparison.unsteady_cases(),
        signs=comparison.signs_only,
        zeros=comparison.zeros_differ(),
        errors=comparison.errors(),
        compared=comparison.compared(),
        tiers=tier_counts(comparison.observed, comparison.divergences),
    )


def _learned(factory: Factory, names: Sequence[str], lacks: frozenset[str]) -> Decompiled | None:
    """The rule of an implementation; None if it fails in the experiments, or gets no gradients of a script."""
    if "scripts" in lacks:
        return None
    try:
        return learn_rule(factory, names, lacks)
    except CouldNotRun:
        return None


def _unexplained(report: Report) -> bool:
    return report.diagnosis is not None and report.diagnosis.found_nothing


def _is_plain(report: Report) -> bool:
    """Whether what was learned explains everything, in one or two points: no larger set can be plainer."""
    learned = report.learned
    if learned is None or learned.rule is None or not learned.explained:
        return False
    return len(learned.rule.summary("" if report.claim == PAPER else report.claim)) <= 2


def _explain(report: Report, comparison: Comparison) -> None:
    """Add the diagnosis, and what was learned by experiments if it names nothing.

    It goes on from what takes least time to what takes most. What experiments have explained in one or two points,
    no larger set of known deviations makes plainer; what they have explained at all, but for how other dtypes
    round, needs no search of large sets.
    """
    if comparison.never_moves():  # which many deviations together would explain
        complete = not {"prev", "step_size"} & set(report.compared)
        still = Explanation((Learned(NEVER_MOVES.text, NEVER_MOVES.does),))
        report.diagnosis = Diagnosis([still], complete=complete, cases=len(comparison.observed))
        return
    search = _deviation_search(comparison)
    if search is None:
        return
    report.diagnosis = search.diagnosis(PAIRS)
    if _unexplained(report) and comparison.repeat_the_rest():
        # Only what is reproducible can be explained.
        report.verdict, report.ulps = comparison.verdict()
        report.unsteady = comparison.unsteady_cases()
        search = _deviation_search(comparison)
        report.diagnosis = None if search is None else search.diagnosis(PAIRS)
    # What ends in errors has to be mended first.
    errors = any(d.quantity == "error" for d in report.divergences)
    if _unexplained(report) and report.learned is None and not errors and report.learn is not None:
        report.learned = report.learn()
    if search is not None and _unexplained(report) and not _is_plain(report):
        report.diagnosis = search.diagnosis(EXHAUSTIVE_SIZE)
    known = report.learned is not None and report.learned.explained_but_for_rounding
    if search is not None and _unexplained(report) and not known:
        report.diagnosis = search.diagnosis()


def _deviation_search(comparison: Comparison) -> DeviationSearch | None:
    """The search for what is reproducible; None if no number in it differs from the rule's."""
    failing = comparison.failing()
    if not failing:
        return None
    rule = COMPOSITIONS[comparison.claim]
    published = list(dict.fromkeys(published_changes(rule).values()))
    return DeviationSearch(
        rule, comparison.reproducible(), failing, signs_only=comparison.signs_only, published=published
    )


def _add_points(report: Report, comparison: Comparison) -> None:
    """Say what differs, point by point: by the known deviations, or else by what was learned."""
    diagnosis = report.diagnosis
    if diagnosis is None or diagnosis.state_only:
        return
    if comparison.never_moves():
        report.points = [NEVER_MOVES]
        return
    expected, observed = comparison.steady()
    cases = Cases(expected, observed, comparison.signs_only)
    fewer = _fewer_points(report, diagnosis, cases)
    learned = report.learned
    if diagnosis.explanations and not fewer:
        quantities = QUANTITIES if diagnosis.complete else ("x", "gradient")
        report.points = points_of_explanation(diagnosis.explanations[0], report.claim, cases, quantities)
    elif learned is not None and learned.rule is not None:
        report.points = fewer or points_of_rule(learned.rule, report.claim, cases)
    if report.points and (fewer or not diagnosis.explanations):
        changes = tuple(Learned(point.text, point.does, point.known_in) for point in report.points)
        diagnosis.explanations, diagnosis.nearest = [Explanation(changes)], []
        # Its state is not compared.
        diagnosis.complete = not {"prev", "step_size"} & set(report.compared)


def _fewer_points(report: Report, diagnosis: Diagnosis, cases: Cases) -> list[Point]:
    """The points of what was learned, if they explain everything and are fewer than those of the known deviations.

    It is learned if several sets of known deviations explain everything: each may be wrong then.
    """
    size = len(diagnosis.explanations[0].changes) if diagnosis.explanations else 0
    if size < 2:
        return []
    if report.learned is None and len(diagnosis.explanations) > 1 and report.learn is not None:
        report.learned = report.learn()
    learned = report.learned
    if learned is None or learned.rule is None or not learned.explained:
        return []
    points = points_of_rule(learned.rule, report.claim, cases)
    return points if len(points) < size else []


def assert_conforms(factory: Factory, claim: str = rules.DEFAULT, *, ulps: float = 0, **options: Any) -> None:
    """Raise AssertionError, with the report, unless an implementation is the rule it claims to be.

    Parameters
    ----------
    factory : callable
        As for `check`.
    claim : str, optional
        The rule.
    ulps : float, optional
        How far rounding may differ, in units in the last place.
    **options
        As for `check`.
    """
    __tracebackhide__ = True  # so that pytest shows the caller's line
    if isinstance(ulps, bool) or not isinstance(ulps, (int, float, np.number)) or not ulps >= 0:
        raise ValueError(f"ulps={ulps!r} should be a number, 0 or larger")
    report = check(factory, claim, **options)
    if not report.agrees_within(ulps):
        raise AssertionError(f"\n{report}")


def closest_profiles(
    factory: Factory, *, dtypes: Sequence[str] | None = None, without: Iterable[str] = ()
) -> list[tuple[str, int, int]]:
    """Rank the published implementations in `PROFILES` by how much they behave like this one.

    Parameters
    ----------
    factory, dtypes, without
        As for `check`. Only x is compared, not the state.

    Returns
    -------
    list of (str, int, int)
        The name of a profile, how many coordinates of the cases it reproduces to the bit, and of how many. The
        most similar profile is the first.

    Raises
    ------
    CouldNotRun
        If no case can be run.
    TypeError, ValueError
        As for `check`.
    """
    excluded, names = checked(factory, rules.DEFAULT, dtypes, without)
    lacks = excluded | missing_features(factory, names)
    usable = [case for case in conformance_cases(names) if not case.needs & lacks]
    observed = list(observe_all(factory, usable, excluded))
    if not any(t.steps for t in observed):
        if not observed:
            raise CouldNotRun("no case is left to run")
        raise CouldNotRun(f"no case could be run: {with_advice(str(observed[0].error))}")
    base = COMPOSITIONS[rules.DEFAULT]
    evidence = Evidence(base, observed, set(), signs_only=False, quantities=("x",))
    changes = published_changes(base)
    different = list(dict.fromkeys(changes.values()))
    matched = dict(zip(different, evidence.scores(different, evidence.groups)[:, 0], strict=True))
    rows = [(name, int(matched[changes[name]]), evidence.scripts) for name in PROFILES]
    return sorted(rows, key=lambda row: -row[1])
