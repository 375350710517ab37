"""The behaviour sheet: what is measured of an implementation that no known deviation explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .cases import COMPLEX
from .maker import Maker
from .observe import Factory, expected, observe
from .report import Behaviour


def _rows(small: float) -> tuple[tuple[str, tuple[float, ...], dict[str, Any]], ...]:
    """(what, gradients, setting); `small` is a gradient whose square is 0 in the dtype."""
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
    """Run the rows of the sheet, in one dtype.

    Parameters
    ----------
    factory : callable
    claim : str
        The rule that each row is compared with.
    names : sequence of str
        Dtypes, of which "float64" is taken, or the first.
    lacks : frozenset of str
        What the implementation does not have.
    """
    name = "float64" if "float64" in names else names[0]
    make = Maker(COMPLEX.get(name, name))
    for what, g, setting in _rows(make.small):
        needs = [name for name, value in (("nan", np.nan), ("inf", np.inf)) if any(v is value for v in g)]
        # A complex number is two coordinates.
        make.add(what, "", [(what, g, 0.0)] * (2 if name in COMPLEX else 1), needs=needs, **setting)
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
