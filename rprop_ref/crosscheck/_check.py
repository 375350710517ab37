"""`check`, `assert_conforms` and `closest_profiles`: their arguments, and what is done in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .._core.dtypes import named as dtype_named
from .behaviour import behaviour_sheet
from .cases import COMPLEX, FEATURES, REALS, dtype_names, random_cases
from .collection import catalogue
from .deviations import RULES, differences, rule_named
from .diagnose import Diagnosis, Search, diagnose
from .observe import CouldNotRun, Divergence, Factory, observe
from .profiles import PROFILES
from .report import Report
from .runs import Runs
from .shrink import shrink


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
    runs = Runs(factory, claim, hidden, on_divergence)
    runs.add(cases)
    runs.add(drawn)
    report = runs.report()
    report.cases, report.random, report.left_out = len(cases), len(drawn), dict(left_out)
    if not report.divergences:
        return report
    if diagnosis:
        report.diagnosis = _explained(claim, runs)
        if report.diagnosis is not None and report.diagnosis.found_nothing and runs.run_the_rest_again():
            report.unsteady = runs.unsteady_cases()
            report.diagnosis = _explained(claim, runs)
        if report.diagnosis is not None and report.diagnosis.found_nothing:
            report.behaviour = behaviour_sheet(factory, claim, names, lacks)
    report.smallest = shrink(factory, claim, runs.clearest(), hidden, signs=runs.signs, turned=bool(runs.turned))
    return report


def _explained(claim: str, runs: Runs) -> Diagnosis | None:
    """The diagnosis; None if all that fails does not repeat, or ends in an error after steps that were right."""
    failed = runs.failed()
    return diagnose(RULES[claim], runs.explainable(), failed, signs=runs.signs) if failed else None


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
