"""How results, optimizers, traces, tables and reports are displayed: `tests/golden/*.txt`.

``UPDATE_GOLDEN=1`` rewrites these files; look at the difference then.
"""

from __future__ import annotations

import functools
import html.parser
import os
from pathlib import Path

import numpy as np
import problems
import pytest
from cases import sampled

from rprop_ref import Parameter, Rprop, Trace, explorer, minimize, minimize_many, step_table
from rprop_ref.crosscheck import check, profile
from rprop_ref.objectives import OBJECTIVES

GOLDEN = Path(__file__).parents[1] / "golden"


def result(**options):
    fun, jac, x0, _ = problems.PROBLEMS["sphere"]
    return minimize(fun, x0, jac=jac, **options)


def optimizer():
    a, b = Parameter(np.ones((3, 2))), Parameter(np.ones(4, np.float32))
    optimizer = Rprop([{"params": [("weights", a)]}, {"params": [("<bias>", b)], "variant": "rprop+", "lr": 0.5}])
    a.grad = np.ones((3, 2))
    optimizer.step()
    return optimizer


def noisy():
    rng = np.random.default_rng(0)
    p = Parameter(np.ones(3))
    optimizer = Rprop([p])
    with Trace.attach(optimizer) as trace:
        for _ in range(200):
            p.grad = rng.choice([-1.0, 1.0], 3)
            optimizer.step()
    return trace


def wide():
    return minimize(lambda x: (x @ x, 2 * x), np.arange(1.0, 21.0), jac=True, maxiter=30, trace=True).trace


def many(**options):
    def fun(x):
        return np.sum((x**2 - 1) ** 2 + 0.1 * x), 4 * x * (x**2 - 1) + 0.1

    return minimize_many(fun, [[-2.0, 2.0], [1.5, 0.5], [0.3, -0.4]], jac=True, **options)


SHOWN = {
    "result_of_many": many,
    "result_of_many_without_success": lambda: many(maxiter=4),
    "result": result,
    "result_without_success": lambda: result(maxiter=3),
    "result_with_a_trace": lambda: result(trace=True),
    "optimizer": optimizer,
    "report": lambda: check(profile("trainrp"), "rprop-", dtypes=["float64"], random=5),
    "trace": lambda: explorer.follow(OBJECTIVES["rosenbrock"], steps=100),
    "trace_of_many": wide,
    "trace_without_rows": Trace,
    "explanation": lambda: explorer.follow(OBJECTIVES["rosenbrock"], steps=100).explain(),
    "explanation_of_a_fault": lambda: noisy().explain(),
    "step_table": lambda: step_table([1, 1, -1, -1, 1], "rprop+"),
    "marks": lambda: step_table([1, 1, -1]).check([{}, {}, {"step_size": 0.072}]),
}


@functools.cache
def shown(name):
    """Made once for all tests, of which none changes it."""
    return SHOWN[name]()


class Checker(html.parser.HTMLParser):
    """Checks that every opened tag is closed."""

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


#: The report of a rule with four deviations takes seconds to find.
QUICK = [name for name in SHOWN if name != "report"]


@pytest.mark.parametrize("name", sampled(SHOWN, QUICK))
def test_it_is_displayed_as_in_the_golden_file(name):
    text = str(shown(name))
    if hasattr(shown(name), "_repr_html_"):
        text += "\n\n" + shown(name)._repr_html_().replace("<tr>", "\n<tr>")
    text += "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("name", sampled([name for name in SHOWN if name != "marks"], QUICK))
def test_the_html_is_well_formed(name):
    checker = Checker()
    checker.feed(shown(name)._repr_html_())
    assert checker.open == []


def test_names_are_escaped():
    assert "&lt;bias&gt;" in optimizer()._repr_html_()
    assert "<bias>" not in optimizer()._repr_html_()


def test_the_repr_of_a_result_is_scipys():
    from scipy.optimize import OptimizeResult

    shown = result()
    assert repr(shown) == repr(OptimizeResult(shown))
