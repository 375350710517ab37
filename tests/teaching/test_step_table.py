"""`step_table`: its numbers against the oracle, and the marking of exercises."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from rprop_ref import rules, step_table


class TestNumbers:
    @pytest.mark.parametrize("variant", rules.RULES)
    @pytest.mark.parametrize(
        "gradients",
        [[1, 1, -1], [1, 1, 1, -1, 1, 1, 1], [1, -1, -1, 1, 1], [2, 0, -3, 1e-200, 1e-200], [-1, -1, 1]],
    )
    def test_every_rule_has_the_numbers_of_the_oracle(self, variant, gradients):
        table = step_table(
            gradients, variant, x0=0.3, lr=0.1, step_sizes=(0.04, 0.13), losses=range(len(gradients))
        )
        expected = naive.run(
            variant,
            np.array([0.3]),
            [np.array([float(g)]) for g in gradients],
            lr=0.1,
            step_sizes=(0.04, 0.13),
            losses=list(range(len(gradients))),
        )
        assert [row.x for row in table.rows] == [x.item() for x, _, _ in expected]
        assert [row.step_size for row in table.rows] == [size.item() for _, _, size in expected]
        before = [0.3, *(row.x for row in table.rows)]
        np.testing.assert_allclose([row.move for row in table.rows], np.diff(before), atol=1e-15)
        stored = [0.0, *(prev.item() for _, prev, _ in expected)]
        assert [row.stored for row in table.rows] == stored[:-1]
        assert [row.product for row in table.rows] == [g * s for g, s in zip(gradients, stored)]

    def test_branches_are_named(self):
        branches = [row.branch for row in step_table([1, 1, -1, -1, 1e-300, 1e-300]).rows]
        assert branches == [
            "first or neutral",
            "same sign",
            "sign changed",
            "first or neutral",
            "sign changed",
            "first or neutral",
        ]
        assert step_table([1e-300, 1e-300]).rows[1].branch == "product underflows"

    def test_losses_decide_whether_irprop_plus_undoes(self):
        moves = [step_table([1, -1], "irprop+", losses=[1, e]).rows[1].move for e in (0, 1, 2)]
        assert moves == [0, 0, 0.1]
        assert "assuming that the loss rises" in str(step_table([1, -1], "irprop+"))
        assert "assuming that the loss rises" not in str(step_table([1, -1], "irprop+", losses=[1, 2]))

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"rule": "rprop"}, "Invalid variant: 'rprop'"),
            ({"etas": (1.2, 0.5)}, "Invalid eta values"),
            ({"losses": [1]}, "there must be a loss for each gradient, but there are 1 for 3"),
        ],
    )
    def test_wrong_options_are_refused(self, options, text):
        with pytest.raises(ValueError, match=text):
            step_table([1, 1, -1], **options)


RIGHT = [
    (1, 0, 0, "first", 0.1, -0.1, -0.1),
    {
        "gradient": 1,
        "stored": 1,
        "product": 1,
        "branch": "Same sign",
        "step_size": 0.12,
        "move": -0.12,
        "x": -0.22,
    },
    (-1, 1, -1, "sign changed", 0.06, 0, -0.22),
]


class TestCheck:
    def test_a_right_table_is_right(self):
        marks = step_table([1, 1, -1]).check(RIGHT)
        assert marks.right
        assert marks
        assert str(marks) == "All 21 cells are right."

    def test_empty_cells_are_counted(self):
        marks = step_table([1, 1, -1]).check([{"x": -0.1}, {"x": -0.22}, (None,) * 7])
        assert not marks
        assert str(marks) == "All 2 filled-in cells are right; 19 are empty."

    @pytest.mark.parametrize(
        ("row", "column", "value"),
        [
            (0, 4, 0.12),
            (1, 6, -0.2),
            (2, 3, "same sign"),
            (2, 4, 0.072),
            (2, 5, 0.12),
            (2, 6, "?"),
            (1, 2, -1),
            (2, 1, -1),
        ],
    )
    def test_one_wrong_cell_is_found(self, row, column, value):
        given = [list(r.values()) if isinstance(r, dict) else list(r) for r in RIGHT]
        given[row][column] = value
        (wrong,) = step_table([1, 1, -1]).check(given).wrong
        names = ("gradient", "stored", "product", "branch", "step_size", "move", "x")
        assert wrong[:3] == (row + 1, names[column], value)

    def test_the_hint_shows_the_calculation(self):
        marks = step_table([1, 1, -1], "rprop+").check([{}, {}, {"step_size": 0.06, "move": 0}])
        assert " ".join(str(marks).split()) == (
            "Step 3, move: 0 is not right. The product is -1 * 1 = -1: sign changed; the step size is 0.12 * 0.5 = 0.06; this "
            "rule takes the last move back: 0.12; x is -0.22 + 0.12 = -0.1."
        )

    def test_rounded_numbers_are_accepted(self):
        table = step_table([1] * 6)
        assert table.check([{"x": round(row.x, 4)} for row in table.rows]).wrong == []

    @pytest.mark.parametrize("rows", [[{}] * 4, [{"size": 1}], [(1, 2, 3, 4, 5, 6, 7, 8)]])
    def test_wrong_rows_are_refused(self, rows):
        with pytest.raises(ValueError, match=r"the table has 3 steps|the columns are"):
            step_table([1, 1, -1]).check(rows)


@pytest.mark.parametrize("gradients", ["1a", [1, None], [[1, 2], [3, 4]], 5])
def test_gradients_that_are_not_numbers_are_refused(gradients):
    with pytest.raises(ValueError, match="the gradients must be numbers, one for each step"):
        step_table(gradients)


def test_a_negative_first_step_is_refused():
    with pytest.raises(ValueError, match="Invalid learning rate: -1"):
        step_table([1, 1], lr=-1)
