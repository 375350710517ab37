"""`Result`, which `minimize` and `minimize_many` return: SciPy's result with a readable summary."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from .._common.display import array_text, html_table, pairs_text
from .finite_differences import SCHEMES

#: What a result of `minimize` has only if it is asked for, and by which option.
ON_REQUEST = {"trace": "trace=True", "allvecs": "return_all=True"}


class Result(OptimizeResult):  # type: ignore[misc]
    """`scipy.optimize.OptimizeResult`, with a summary when it is printed or shown in a notebook.

    Its ``repr`` is SciPy's and shows everything.
    """

    def __getattr__(self, name: str) -> Any:
        # SciPy's error is the name alone.
        try:
            return super().__getattr__(name)
        except AttributeError:
            raise AttributeError(_without(self, name), name=name, obj=self) from None

    def __str__(self) -> str:
        name, title, pairs = _summary(self)
        return pairs_text(f"{name}: {title}", pairs)

    def _repr_html_(self) -> str:
        name, title, pairs = _summary(self)
        return html_table((name, title), pairs, left=(0, 1))


def _without(result: Any, name: str) -> str:
    """What to do about an attribute that a result has not."""
    if name not in ON_REQUEST:
        return f"the result has no {name!r}, only {', '.join(map(str, result))}"
    if "state" in result:  # of a single run
        return f"the result has no {name!r}; give minimize the option {ON_REQUEST[name]}"
    return f"minimize_many returns no {name!r}; call minimize with the start and {ON_REQUEST[name]}"


def _summary(result: Any) -> tuple[str, str, list[tuple[str, str]]]:
    """The name of the function that returned the result, a title, and pairs of a name and a value."""
    if "best" in result:
        return "minimize_many", *_summary_of_many(result)
    return "minimize", *_summary_of_one(result)


def _summary_of_one(result: Any) -> tuple[str, list[tuple[str, str]]]:
    title = f"{'success' if result.success else 'no success'} ({result.status}): {result.message}"
    pairs = [
        ("fun", f"{result.fun:.10g}"),
        ("x", array_text(result.x)),
        ("largest |gradient|", f"{np.max(np.abs(result.jac), initial=0):.3g}"),
        ("iterations", f"{result.nit}"),
        ("evaluations", f"{result.nfev} of the value, {result.njev} of the gradient"),
        ("gradient from", _source(result)),
    ]
    if "trace" in result:
        pairs.append(("trace", f"{result.trace!r}: print(result.trace.explain())"))
    return title, pairs


def _source(result: Any) -> str:
    """Where gradients came from."""
    source: str = result.gradient
    if source in SCHEMES:
        return f"finite differences ({source})"
    return "fun (jac=True)" if source == "fun" else source


def _summary_of_many(result: Any) -> tuple[str, list[tuple[str, str]]]:
    best = result.best
    reasons = Counter(result.message[i] for i in np.flatnonzero(~np.asarray(result.success)))
    pairs = [
        ("best fun", f"{best.fun:.10g} (start {best.index})"),
        ("best x", array_text(best.x)),
        ("iterations", f"{int(np.sum(result.nit))} in all, {int(np.max(result.nit))} at most"),
        ("evaluations", f"{int(np.sum(result.nfev))} of the value, {int(np.sum(result.njev))} of the gradient"),
        ("gradient from", _source(result)),
        *(("without success", f"{count}: {text}") for text, count in reasons.most_common(3)),
    ]
    return f"{int(np.sum(result.success))} of {len(result.fun)} starts with success", pairs
