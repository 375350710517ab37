"""How many processors the process may keep busy: a container often has fewer than the machine.

Linux limits processor time, not processors, so that neither Python nor Numba counts fewer. Threads that use the
time up in a moment stand still for the rest of each period, often for 50 ms.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path


@functools.cache
def processors() -> float:
    """Processors by the quota of the control groups of this process when first asked; infinite without one."""
    return quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def quota(groups: Path, hierarchy: Path) -> float:
    """The lowest quota of all groups that contain the process.

    Parameters
    ----------
    groups : Path
        The file that lists the groups, one of each hierarchy: ``number:controllers:/path``.
    hierarchy : Path
        Where the hierarchies are mounted. In a container, that may be the group of the container itself.
    """
    try:
        lines = groups.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return math.inf
    found = [math.inf]
    for line in lines:
        if line.count(":") < 2:
            continue
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            found += _limits(hierarchy, path, "cpu.max")
        elif "cpu" in controllers.split(","):
            for folder in {controllers, "cpu", "cpu,cpuacct"}:
                found += _limits(hierarchy / folder, path, "cpu.cfs_quota_us", "cpu.cfs_period_us")
    return min(found)


def _limits(root: Path, path: str, *files: str) -> Iterator[float]:
    """The quotas of a group and of all above it. Both numbers may be in one file."""
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        try:
            words = [word for name in files for word in (folder / name).read_text().split()]
            time, period = map(float, words)
        except (OSError, ValueError):  # there is no such file, or it says "max"
            pass
        else:
            if time > 0 and period > 0:
                yield time / period
        if folder == root:
            return


__all__ = ["processors", "quota"]
