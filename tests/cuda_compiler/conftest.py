"""Report how much code was executed: a line for each test of `test_execution`."""

from __future__ import annotations

import sys
import time
from collections import Counter

import pytest

_totals: dict[str, Counter[str]] = {}


@pytest.fixture(autouse=True)
def count_what_is_executed(request):
    """Add what a test executes to the totals of its function."""
    if "execution" not in sys.modules:  # it needs numba-cuda, without which these tests are skipped
        yield
        return
    counts = sys.modules["execution"].counts
    counts.clear()
    began = time.perf_counter()
    yield
    if counts:
        executed = {**counts, "tests": 1, "seconds": time.perf_counter() - began}
        request.node.user_properties.append((request.function.__name__, executed))


def pytest_runtest_logreport(report):
    """Add it up here, since the tests may have run in other processes."""
    if report.when == "teardown":
        for name, executed in report.user_properties:
            _totals.setdefault(name, Counter()).update(executed)


def pytest_terminal_summary(terminalreporter):
    for name, total in _totals.items():
        terminalreporter.write_line(
            f"{name}: {total['tests']} tests, {total['launches']:,} launches, "
            f"{total['instructions']:,} instructions, {total['seconds']:.0f} s"
        )
