"""The explorer's exercises: its answers against `step_table`, its broken programs against the referee's."""

from __future__ import annotations

import numpy as np
import pytest
from test_explorer import javascript, needs_node

from rprop_ref import explorer, rules, step_table
from rprop_ref.bits import same_bits
from rprop_ref.crosscheck._stages.compositions import COMPOSITIONS
from rprop_ref.crosscheck._stages.deviations import DEVIATIONS
from rprop_ref.crosscheck._stages.optimizer import ComposedOptimizer
from rprop_ref.crosscheck._stages.stages import changed
from rprop_ref.objectives import OBJECTIVES

SCRIPTS = ["rules.js", "exercises.js"]


def options(objective, steps=120):
    return {
        "lr": objective.lr, "etaMinus": 0.5, "etaPlus": 1.2, "min": 1e-6, "max": 50, "start": objective.start, "steps": steps,
    }  # fmt: skip


def texts(objective):
    return {"value": objective.value, "da": objective.da, "db": objective.db}


@needs_node
class TestPredict:
    @pytest.mark.parametrize("rule", rules.RULES)
    def test_answers_and_words_are_those_of_the_table(self, tmp_path, rule):
        """`step_table` is given the gradients of the run, so it makes the same steps."""
        o = OBJECTIVES["himmelblau"]
        code = """
            const rows = run(compile(data.objective), data.rule, data.options);
            return rows.slice(0, -1).map((row, k) => [row.f, [0, 1].map((i) => [row.g[i], solution(row, rows[k + 1], i, data.options)])]);
        """
        data = {"objective": texts(o), "rule": rule, "options": options(o, 25)}
        found = javascript(tmp_path, SCRIPTS, code, data)
        moves = set()
        for i in (0, 1):
            gradients, losses = [row[1][i][0] for row in found], [row[0] for row in found]
            table = step_table(gradients, rule, x0=o.start[i], lr=o.lr, losses=losses)
            for k, row in enumerate(table.rows):
                answer = found[k][1][i][1]
                assert (answer["size"], answer["x"]) == (row.step_size, row.x)
                (wrong,) = table.check([*[{}] * k, {"x": 1e9}]).wrong
                assert answer["words"] == wrong[3]
                moves.add(answer["move"])
        assert "made" in moves
        assert moves - {"made"} == (
            {"undone"} if rule == "rprop+" else {"held"} if rule == "irprop-" else moves - {"made"}
        )

    def test_the_first_wrong_answer_is_named(self, tmp_path):
        right = {"adaptation": "grew", "move": "made", "size": 0.06, "x": -1.2}
        cases = [
            right,
            {**right, "size": 0.060001},
            {**right, "size": 0.0601, "x": 0.5},
            {**right, "move": "held"},
            {**right, "adaptation": ""},
        ]
        code = "return data.cases.map((given) => mistake(given, data.right));"
        found = javascript(tmp_path, SCRIPTS, code, {"cases": cases, "right": right})
        assert [m and (m["what"], m["empty"]) for m in found] == [
            None, None, ("the new step size", False), ("the move", False), ("the step size", True),
        ]  # fmt: skip


@needs_node
class TestBrokenPrograms:
    @pytest.mark.parametrize("name", ["rosenbrock", "himmelblau"])
    def test_each_does_to_the_bit_what_the_referee_calls_it(self, tmp_path, name):
        o = OBJECTIVES[name]
        code = """
            const f = compile(data.objective);
            return ["", ...data.bugs].map((bug) => brokenRun(f, bug, data.options).map((row) => [...row.x, ...row.size]));
        """
        data = {"objective": texts(o), "options": options(o), "bugs": explorer.BUGS}
        found = [np.array(rows) for rows in javascript(tmp_path, SCRIPTS, code, data)]
        for bug, rows in zip((None, *explorer.BUGS), found):
            composition = changed(COMPOSITIONS["irprop-"], (DEVIATIONS[bug],) if bug else ())
            program = ComposedOptimizer(composition, np.array(o.start), lr=o.lr)
            for row in rows:
                assert same_bits(row, np.concatenate([program.x, program.step_size])), bug
                program.step(o.jac(program.x))
        # All differ from the rule and from each other, so there is one right answer.
        assert len({rows.tobytes() for rows in found}) == 1 + len(explorer.BUGS)
