"""Conformance vectors: what a rule does on every case, as files for implementations that cannot be called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import rules
from ._cases.case import Case
from ._cases.conformance import conformance_cases
from ._comparison.divergence import hexadecimal
from ._comparison.expected import expected_trajectories
from ._comparison.trajectory import Trajectory
from ._stages.compositions import composition_of

#: The files of a published version never change; a change of their content needs a new version.
VERSION = 2


def export(folder: str | Path, claim: str = rules.DEFAULT, dtypes: Sequence[str] | None = None) -> list[Path]:
    """Write the vectors of a rule, one JSON file for each dtype; ``docs/crosscheck.md`` describes them.

    Parameters
    ----------
    folder : str or Path
        Created if it does not exist.
    claim : str, optional
        The rule.
    dtypes : sequence of str, optional
        As for `check`.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If the rule or a dtype is unknown. Nothing is written then.
    """
    composition_of(claim)
    cases = conformance_cases(dtypes)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for dtype in dict.fromkeys(c.dtype for c in cases):
        some = [c for c in cases if c.dtype == dtype]
        head = {"format": "rprop_ref conformance vectors", "version": VERSION, "rule": claim, "dtype": dtype}
        # One line for each case, so that files can be compared line by line.
        lines = ",\n".join(json.dumps(_vector(t), allow_nan=False) for t in expected_trajectories(claim, some))
        text = f'{json.dumps(head)[:-1]}, "cases": [\n{lines}\n]}}\n'
        file = folder / f"{claim}.{dtype}.json"
        file.write_text(text, encoding="utf-8", newline="\n")
        files.append(file)
    return files


def _vector(trajectory: Trajectory) -> dict[str, Any]:
    case = trajectory.case
    return {
        "name": case.name,
        "reason": case.reason,
        "needs": sorted(case.needs),
        "scripts": list(case.scripts),
        "lr": _hex(case.lr),
        "etas": _hex(case.etas),
        "step_sizes": _hex(case.step_sizes),
        "maximize": case.maximize,
        "same_array": case.reused,
        "bounds": None if case.bounds is None else _hex(case.bounds),
        "x0": _hex(case.x0),
        "steps": [_step(trajectory, t) for t in range(case.steps)],
    }


def _step(trajectory: Trajectory, t: int) -> dict[str, Any]:
    case: Case = trajectory.case
    step: dict[str, Any] = {}
    if t in case.resumed:
        step["resumed"] = True
    if t in case.edits:
        step["set"] = {name: _hex(value) for name, value in case.edits[t].items()}
    step["grad"] = None if t in case.none else _hex(trajectory.gradient[t])
    step["loss"] = _hex(case.loss[t])
    assert trajectory.step_size is not None
    assert trajectory.prev is not None
    step["x"] = _hex(trajectory.x[t])
    step["step_size"] = _hex(trajectory.step_size[t])
    step["prev"] = _hex(trajectory.prev[t])
    return step


def _hex(values: Any) -> Any:
    return hexadecimal(values) if np.ndim(values) == 0 else [hexadecimal(v) for v in values]
