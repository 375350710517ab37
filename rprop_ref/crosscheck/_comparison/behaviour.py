"""The behaviour sheet: short measurements of an implementation that no known deviation explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._cases.builder import CaseBuilder
from .._cases.dtypes import COMPLEX
from .expected import expected_trajectories
from .observe import Factory, observe


@dataclass(frozen=True)
class Behaviour:
    """A row of the behaviour sheet: what was measured on a short script."""

    what: str
    script: str
    expected: tuple[float, ...]
    got: tuple[float, ...]
    error: str | None = None


def _rows(small: float) -> tuple[tuple[str, tuple[float, ...], dict[str, Any]], ...]:
    """(name, gradients, setting) for each row; `small` is a gradient whose square is 0 in the dtype."""
    return (
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
        ("product underflows", (small, small, -small), {}),
        ("maximize", (1, 1, -1), {"maximize": True}),
    )


def behaviour_sheet(factory: Factory, claim: str, names: Sequence[str], lacks: frozenset[str]) -> list[Behaviour]:
    """Measure the rows of the sheet in one dtype.

    Parameters
    ----------
    factory : callable
    claim : str
        The rule that each row is compared with.
    names : sequence of str
        The dtypes to choose from: "float64" if it is among them, otherwise the first.
    lacks : frozenset of str
        The features that the implementation does not have.
    """
    dtype = "float64" if "float64" in names else names[0]
    builder = CaseBuilder(COMPLEX.get(dtype, dtype))
    for what, g, setting in _rows(builder.squares_to_zero):
        needs = [name for name, value in (("nan", np.nan), ("inf", np.inf)) if any(v is value for v in g)]
        # A complex number is two coordinates.
        scripts = [(what, g, 0.0)] * (2 if dtype in COMPLEX else 1)
        builder.add(what, "", scripts, needs=needs, **setting)
    rows = []
    for case in (replace(case, dtype=dtype) for case in builder.cases if not case.needs & lacks):
        expected, observed = expected_trajectories(claim, [case])[0], observe(factory, case)
        rows.append(
            Behaviour(
                case.name,
                "g = " + " ".join(f"{float(v):g}" for v in case.g[:, 0]),
                tuple(float(v) for v in expected.x[:, 0]),
                tuple(float(v) for v in observed.x[:, 0]),
                observed.error,
            )
        )
    return rows
