"""Noise and batches in the explorer: its JavaScript against a twin in Python, and the oracle on its gradients."""

from __future__ import annotations

import json
import math

import naive
import noise_twin
import numpy as np
import pytest
from test_explorer import javascript, needs_node

from rprop_ref import explorer, rules
from rprop_ref.bits import same_bits
from rprop_ref.objectives import OBJECTIVES

SCRIPTS = ["rules.js", "noise.js", "methods.js", "exercises.js"]
REGRESSION = OBJECTIVES["regression"]
STEPS = 150

#: Numbers go through text: JSON has no -0, NaN or infinity.
RUNS = """
return data.map(({ objective, rule, options }) => {
  const functions = disturbed(compile(objective), objective.points, options);
  return run(functions, rule, options).map((row) => [row.x, row.size, row.g, [row.seen, row.f]].flat().map(String));
});
"""


def options(objective, **others):
    return {
        "lr": objective.lr, "etaMinus": 0.5, "etaPlus": 1.2, "min": 1e-6, "max": 50, "start": objective.start,
        "steps": STEPS, "noise": 0, "seed": 1, "batch": 0, **others,
    }  # fmt: skip


def texts(objective):
    return {"value": objective.value, "da": objective.da, "db": objective.db, "points": objective.points}


#: On every objective, with noise; in batches; and both.
DISTURBED = [
    *[
        (name, {"noise": noise, "seed": 7})
        for name, noise in zip(OBJECTIVES, (0.01, 0.3, 1e-3, 3.0, 0.1, 0.5, 0.1))
    ],
    ("regression", {"batch": 1, "seed": 4294967295}),
    ("regression", {"batch": 5}),
    ("regression", {"batch": 63, "noise": 0.01, "seed": 0}),
]


@needs_node
class TestJavaScript:
    def test_its_numbers_are_those_of_the_twin(self, tmp_path):
        code = """
            const points = Array.from({ length: data.n }, () => [0, 0]);
            return data.seeds.map((seed) => [normals(seed, 300), batches(seed, data.size, points, 50)]);
        """
        seeds = [0, 1, 2, 12345, 2**31, 2**32 - 1]
        for n, size in ((64, 8), (10, 3), (7, 1)):
            found = javascript(tmp_path, SCRIPTS, code, {"seeds": seeds, "n": n, "size": size})
            for seed, (numbers, chosen) in zip(seeds, found):
                assert numbers == [list(pair) for pair in noise_twin.normals(seed, 300)]
                assert chosen == noise_twin.batches(seed, size, n, 50)

    @pytest.mark.parametrize("rule", rules.RULES)
    def test_rules_have_the_bits_of_the_oracle_on_its_gradients(self, tmp_path, rule):
        cases = [(OBJECTIVES[name], options(OBJECTIVES[name], **how)) for name, how in DISTURBED]
        data = [{"objective": texts(o), "rule": rule, "options": how} for o, how in cases]
        for (o, how), rows in zip(cases, javascript(tmp_path, SCRIPTS, RUNS, data)):
            table = np.array(rows, float)
            x, size, grads, (seen, exact) = table[:, :2], table[:, 2:4], table[:, 4:6], table[:, 6:].T
            twin = noise_twin.seen(o, noise=how["noise"], seed=how["seed"], batch=how["batch"], count=STEPS + 1)
            theirs = [twin(point, k) for k, point in enumerate(x)]
            assert same_bits(seen, np.array([f for f, _ in theirs]))
            assert same_bits(grads, np.array([g for _, g in theirs]))
            assert same_bits(exact, np.array([o.fun(point) for point in x]))
            states = naive.run(rule, np.array(o.start), list(grads[:-1]), lr=o.lr, losses=seen[:-1].tolist())
            assert same_bits(x[1:], np.array([state[0] for state in states]))
            assert same_bits(size[:-1], np.array([state[2] for state in states]))

    def test_other_methods_and_broken_programs_get_the_same_gradients(self, tmp_path):
        code = """
            const seen = [], exact = compile(data.objective), functions = disturbed(exact, data.objective.points, data.options);
            const watched = { ...functions, seen: (x, k) => [0, functions.seen([0.5, 0.25], k)[1]] };
            const moves = (rows) => rows.slice(1).map((row, k) => row.x.map((v, i) => sign(rows[k].x[i] - v)));
            const grads = Array.from({ length: 20 }, (_, k) => watched.seen([], k)[1].map(sign));
            const options = { ...data.options, steps: 20 };
            return [grads, moves(descend(watched, "gd", [0.1], options)),
              brokenRun(watched, "", options).map((row) => row.x), run(watched, "irprop-", options).map((row) => row.x)];
        """
        o = REGRESSION
        data = {"objective": texts(o), "options": options(o, noise=0.3, batch=8)}
        grads, moves, broken, right = javascript(tmp_path, SCRIPTS, code, data)
        assert moves == grads
        assert broken == right

    def test_without_noise_nothing_changes(self, tmp_path):
        code = """
            const functions = compile(data.objective);
            return data.options.map((o) => disturbed(functions, data.objective.points, o) === functions);
        """
        exact = [options(REGRESSION, **how) for how in ({}, {"batch": 64}, {"batch": 99}, {"seed": 5})]
        assert (
            javascript(tmp_path, SCRIPTS, code, {"objective": texts(REGRESSION), "options": exact}) == [True] * 4
        )

    def test_a_function_of_one_variable_gets_noise_in_that_only(self, tmp_path):
        code = """
            const o = { ...data, start: [2, 0] };
            return run(disturbed(parse("x^2"), [], o), "irprop-", o).map((row) => row.g);
        """
        grads = javascript(
            tmp_path, [*SCRIPTS, "grammar.js"], code, options(REGRESSION, noise=0.5, start=[2, 0], steps=9)
        )
        assert {b for _, b in grads} == {0}
        numbers = noise_twin.normals(1, 1)
        assert grads[0][0] == 4 + 0.5 * 4 * numbers[0][0]


class TestNumbers:
    def test_they_are_nearly_normal_and_differ_by_seed(self):
        z = np.array([noise_twin.normals(seed, 2000) for seed in range(5)])
        assert abs(z.mean()) < 0.02
        assert z.std() == pytest.approx(1, abs=0.02)
        assert np.abs(np.corrcoef(z.reshape(5, -1)) - np.eye(5)).max() < 0.06
        assert abs(np.corrcoef(z[..., 0].ravel(), z[..., 1].ravel())[0, 1]) < 0.03
        lagged = np.corrcoef(z[:, 1:, 0].ravel(), z[:, :-1, 0].ravel())[0, 1]
        assert abs(lagged) < 0.03

    def test_each_point_has_its_turn_in_a_round(self):
        chosen = noise_twin.batches(3, 8, 64, 16)
        first, second = np.sort(np.ravel(chosen[:8])), np.sort(np.ravel(chosen[8:]))
        assert first.tolist() == second.tolist() == list(range(64))
        assert chosen[:8] != chosen[8:]


class TestRegression:
    def test_its_value_is_the_mean_squared_error_less_its_minimum(self):
        everything = range(len(REGRESSION.points))
        lowest, _ = noise_twin.of_batch(REGRESSION.points, everything, REGRESSION.minimum)
        for x in ([0.0, 0.0], [-1.5, 2.0], [3.0, -1.0]):
            f, g = noise_twin.of_batch(REGRESSION.points, everything, x)
            assert REGRESSION.fun(np.array(x)) == pytest.approx(f - lowest)
            assert REGRESSION.jac(np.array(x)) == pytest.approx(g)
        assert REGRESSION.fun(np.array(REGRESSION.minimum)) == 0

    def test_step_sizes_collapse_with_batches_and_not_with_all_points(self):
        """The argument of the page, with the numbers that the page has."""
        left = {}
        for size in (64, 16, 4, 1):
            at = noise_twin.seen(REGRESSION, batch=size, count=STEPS)
            x, prev, step_size = np.array(REGRESSION.start), np.zeros(2), np.full(2, 0.1)
            sizes = []
            for k in range(STEPS):
                g = np.array(at(x, k)[1])
                x, prev, step_size = naive.step(
                    "irprop-", x, g, prev, step_size, etas=(0.5, 1.2), step_sizes=(1e-6, 50)
                )
                sizes.append(step_size.max())
            left[size] = float(REGRESSION.fun(x) / REGRESSION.fun(np.array(REGRESSION.start)))
            if size < 64:
                assert min(sizes) < 1e-3
        assert left[64] < 1e-9
        assert all(left[size] > 1e-4 for size in (16, 4, 1))


def test_the_page_has_the_points(tmp_path):
    html = explorer.page(REGRESSION)
    data = json.loads(html.split("const DATA = ")[1].split(";\n")[0])
    (shown,) = [o for o in data["objectives"] if o["name"] == "regression"]
    assert shown["points"] == [list(point) for point in REGRESSION.points]
    assert all(math.isfinite(y) for _, y in shown["points"])
