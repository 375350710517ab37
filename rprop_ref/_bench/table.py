"""The benchmark's table: each row is printed, and written to a file, as soon as it is measured."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class Table:
    """The table.

    Parameters
    ----------
    machine : str
        The line at the top: GPU, versions, date.
    file : str or None
        A JSON file to write as well.
    """

    def __init__(self, machine: str, file: str | None = None) -> None:
        self._file = file
        self._began = time.perf_counter()
        self._contents: dict[str, Any] = {"machine": machine, "rows": [], "failed": []}
        print(machine)
        print(f"{'':66}{'ours':>12}{'theirs':>12}{'ratio':>9}   goal", flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since the table was begun."""
        return time.perf_counter() - self._began

    def row(self, what: str, ours: str, theirs: str, ratio: float | None, goal: float | None = None) -> None:
        """Add a row; the goal is what the ratio has to reach."""
        met = None if goal is None or ratio is None else ratio >= goal
        row = {"what": what, "ours": ours, "theirs": theirs, "ratio": ratio, "goal": goal, "met": met}
        self._contents["rows"].append(row)
        shown_ratio = "" if ratio is None else f"{ratio:.2f}"
        shown_goal = "" if goal is None else f">= {goal:g}{'' if met else '  missed'}"
        print(f"{what:66}{ours:>12}{theirs:>12}{shown_ratio:>9}   {shown_goal}", flush=True)
        self._write()

    def fail(self, part: str, why: str) -> None:
        """Add a part that failed."""
        self._contents["failed"].append({"part": part, "why": why})
        print(f"{part}: {why}", flush=True)
        self._write()

    def finish(self) -> int:
        """Add the total time; return the exit status, 1 if a part failed."""
        self._contents["seconds"] = self.seconds
        self._write()
        print(f"{self._contents['seconds']:.0f} seconds; {len(self._contents['failed'])} parts failed")
        return 1 if self._contents["failed"] else 0

    def _write(self) -> None:
        if self._file is not None:
            Path(self._file).write_text(json.dumps(self._contents, indent=1) + "\n")


def rate(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e9:.4g} GB/s"


def duration(seconds: float) -> str:
    return f"{seconds * 1e6:.4g} us"
