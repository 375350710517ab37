"""Conformance vectors: what a rule does on every case, as files for implementations that cannot be called."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import rules
from ._cases.case import Case
from ._cases.conformance import conformance_cases
from ._comparison.catching import Caught, deviations_caught
from ._comparison.expected import expected_trajectories
from ._comparison.json_numbers import both_forms
from ._comparison.trajectory import Trajectory
from ._stages.compositions import composition_of, deviations_from

#: The files of a published version never change; a change of their content needs a new version.
VERSION = 3

#: The dtypes of the released vectors.
RELEASED_DTYPES = ("float64", "float32")

#: The released cases are those with at most so many numbers in x, over all steps, ...
RELEASED_NUMBERS = 60

#: ... and these, without which some known deviations would not be caught.
RELEASED_LARGER = (
    "basics",
    "eta- that rounds to 0",
    "etas set anew",
    "loss under maximize",
    "loss with NaN",
    "one gradient array",
)


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
    return [_written(folder / name, text) for name, text in _vectors(claim, cases).items()]


def release(folder: str | Path) -> list[Path]:
    """Write the released vectors: those of all rules, for few dtypes and without large cases, and their checksums.

    Parameters
    ----------
    folder : str or Path
        Created if it does not exist. The vectors go into its folder ``vectors``, their checksums into
        ``SHA256SUMS``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ValueError
        If the folder has other vectors of the same version. Nothing is written then.
    """
    folder = Path(folder)
    (folder / "vectors").mkdir(parents=True, exist_ok=True)
    cases = [case for case in conformance_cases(RELEASED_DTYPES) if _is_released(case)]
    texts = {f"vectors/{name}": text for claim in rules.RULES for name, text in _vectors(claim, cases).items()}
    for name, text in texts.items():
        _check_unchanged(folder / name, text)
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    texts["SHA256SUMS"] = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    return [_written(folder / name, text) for name, text in texts.items()]


def _is_released(case: Case) -> bool:
    return case.steps * case.size <= RELEASED_NUMBERS or case.name in RELEASED_LARGER


def _check_unchanged(file: Path, text: str) -> None:
    if file.exists():
        published = file.read_text(encoding="utf-8")
        if published != text and json.loads(published)["version"] == VERSION:
            raise ValueError(
                f"{file} would change, but is of version {VERSION}, which is published; "
                "raise VERSION in rprop_ref/crosscheck/conformance_vectors.py"
            )


def _vectors(claim: str, cases: Sequence[Case]) -> dict[str, str]:
    """The content of the vectors' files, by the files' names."""
    rule, texts = composition_of(claim), {}
    for dtype in dict.fromkeys(case.dtype for case in cases):
        expected = expected_trajectories(claim, [case for case in cases if case.dtype == dtype])
        caught = deviations_caught(rule, deviations_from(rule), expected)
        head = {"format": "rprop_ref conformance vectors", "version": VERSION, "rule": claim, "dtype": dtype}
        # One line for each case, so that files can be compared line by line.
        lines = ",\n".join(
            json.dumps(_vector(trajectory, by_it), allow_nan=False, separators=(",", ":"))
            for trajectory, by_it in zip(expected, caught, strict=True)
        )
        texts[f"{claim}.{dtype}.json"] = f'{json.dumps(head)[:-1]}, "cases": [\n{lines}\n]}}\n'
    return texts


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8", newline="\n")
    return file


def _vector(trajectory: Trajectory, caught: Caught) -> dict[str, Any]:
    case = trajectory.case
    return {
        "id": case.id,
        "name": case.name,
        "reason": case.reason,
        "needs": sorted(case.needs),
        "catches": caught.in_x,
        "catches_by_state": caught.in_state,
        "scripts": list(case.scripts),
        **both_forms("lr", case.lr),
        **both_forms("etas", case.etas),
        **both_forms("step_sizes", case.step_sizes),
        "maximize": case.maximize,
        "same_array": case.reused,
        **both_forms("bounds", case.bounds),
        **both_forms("x0", case.x0),
        "steps": [_step(trajectory, t) for t in range(case.steps)],
    }


def _step(trajectory: Trajectory, t: int) -> dict[str, Any]:
    case = trajectory.case
    step: dict[str, Any] = {}
    if t in case.resumed:
        step["resumed"] = True
    if t in case.edits:
        step["set"] = {}
        for name, value in case.edits[t].items():
            step["set"] |= both_forms(name, value)
    assert trajectory.step_size is not None
    assert trajectory.prev is not None
    return {
        **step,
        **both_forms("grad", None if t in case.none else trajectory.gradient[t]),
        **both_forms("loss", case.loss[t]),
        **both_forms("x", trajectory.x[t]),
        **both_forms("step_size", trajectory.step_size[t]),
        **both_forms("prev", trajectory.prev[t]),
    }
