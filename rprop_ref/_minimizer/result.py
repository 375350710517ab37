"""What `minimize` returns: SciPy's result, which a person can read as well."""

from __future__ import annotations

from scipy.optimize import OptimizeResult

from .._common import display


class Result(OptimizeResult):  # type: ignore[misc]
    """`scipy.optimize.OptimizeResult`, with a summary when it is printed or shown in a notebook.

    Its ``repr`` is SciPy's, with everything.
    """

    def __str__(self) -> str:
        return display.result_text(self)

    def _repr_html_(self) -> str:
        return display.result_html(self)
