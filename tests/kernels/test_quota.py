"""Quotas of processor time, read from files like those of Linux."""

import math

import pytest

from numba_kernels import _quota, flat


def hierarchy(folder, files):
    for name, text in files.items():
        path = folder / "fs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {}, math.inf),
        # The group itself is not limited, the one above it is; and the other way round.
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2.0),
        ("0::/a/b\n", {"a/b/cpu.max": "50000 100000", "a/cpu.max": "200000 100000"}, 0.5),
        # In a container the path is that on the host, and what is mounted is the container's own group.
        ("0::/docker/1234\n", {"cpu.max": "400000 100000"}, 4.0),
        (
            "4:cpu,cpuacct:/\n1:pids:/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            math.inf,
        ),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "300000", "cpu/x/cpu.cfs_period_us": "100000"}, 3.0),
        ("4:cpuacct,cpu:/x\n", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3.0),
        ("4:pids:/x\n", {"cpu/x/cpu.cfs_quota_us": "300000", "cpu/x/cpu.cfs_period_us": "100000"}, math.inf),
        ("0::/\n", {"cpu.max": "nonsense\n"}, math.inf),
        ("nonsense\n", {"cpu.max": "100000 100000\n"}, math.inf),
        (None, {}, math.inf),
    ],
)
def test_the_lowest_quota_of_all_groups_above_counts(tmp_path, groups, files, expected):
    hierarchy(tmp_path, files)
    if groups is not None:
        (tmp_path / "groups").write_text(groups)
    assert _quota.quota(tmp_path / "groups", tmp_path / "fs") == expected


def test_a_single_processor_gets_no_threads(monkeypatch):
    monkeypatch.setattr(_quota, "processors", lambda: 1.5)
    assert not flat._may_use_threads()
