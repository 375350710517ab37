"""The rules do what the papers and the family's known first moves say."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from rprop_ref import Parameter, Rprop, rules

SIGNS_A = (1, 1, 1, -1, 1, 1, 1)
SIGNS_B = (1, -1, -1, 1, 1)

# Worked out by hand: one coordinate, first step 0.1, etas 0.5 / 1.2, x from 0.
FIRST_MOVES = {
    "rprop+": (
        [-0.1, -0.22, -0.364, -0.22, -0.292, -0.3784, -0.48208],
        [-0.1, 0, 0.05, 0, -0.025],
    ),
    "rprop-": (
        [-0.1, -0.22, -0.364, -0.292, -0.328, -0.3712, -0.42304],
        [-0.1, -0.05, 0.01, -0.02, -0.056],
    ),
    "irprop-": (
        [-0.1, -0.22, -0.364, -0.364, -0.436, -0.5224, -0.62608],
        [-0.1, -0.1, -0.05, -0.05, -0.075],
    ),
    "irprop-go": (
        [-0.1, -0.22, -0.364, -0.292, -0.364, -0.4504, -0.55408],
        [-0.1, -0.05, 0, -0.025, -0.05],
    ),
}


def trajectory(variant, signs, losses=None, x0=0.0):
    p = Parameter(np.array([x0]))
    optimizer = Rprop([p], lr=0.1, variant=variant)
    xs = []
    for i, s in enumerate(signs):
        p.grad = np.array([float(s)])
        optimizer.step(loss=None if losses is None else losses[i])
        xs.append(p.data[0])
    return xs


@pytest.mark.parametrize("variant", FIRST_MOVES)
def test_first_moves(variant):
    for signs, expected in zip((SIGNS_A, SIGNS_B), FIRST_MOVES[variant], strict=True):
        np.testing.assert_allclose(trajectory(variant, signs), expected, rtol=1e-12, atol=1e-15)


def test_irprop_plus_goes_back_only_if_the_loss_rose():
    rising = trajectory("irprop+", SIGNS_A, losses=[5, 4, 3, 3.5, 3, 2, 1])
    falling = trajectory("irprop+", SIGNS_A, losses=[5, 4, 3, 2.5, 2, 1, 0])
    level = trajectory("irprop+", SIGNS_A, losses=[5, 4, 3, 3, 2, 1, 0])
    np.testing.assert_allclose(rising, FIRST_MOVES["rprop+"][0], rtol=1e-12)
    np.testing.assert_allclose(falling, FIRST_MOVES["irprop-"][0], rtol=1e-12)
    np.testing.assert_allclose(level, FIRST_MOVES["irprop-"][0], rtol=1e-12)


def test_the_undone_move_is_the_last_move_to_the_bit():
    """Adding it back need not give x again, but must give what adding a stored move would give."""
    x, move = np.float64(0.01), np.float64(-0.1)
    undone = (x + move) - move
    assert undone != x
    assert trajectory("rprop+", (1, -1), x0=x)[1] == undone


@pytest.mark.parametrize("variant", rules.RULES)
def test_mirrored_gradients_give_the_mirrored_run(variant, rng):
    x0 = rng.standard_normal(20)
    grads = [rng.standard_normal(20) for _ in range(50)]
    there = naive.run(variant, x0, grads)[-1][0]
    p = Parameter(-x0)
    optimizer = Rprop([p], variant=variant)
    for g in grads:
        p.grad = -g
        optimizer.step(loss=0.0)
    np.testing.assert_array_equal(-p.data, there)


def test_a_rule_changes_nothing_in_place(rng):
    arrays = [rng.standard_normal(5) for _ in range(4)]
    copies = [a.copy() for a in arrays]
    constants = tuple(np.array([0.5, 1.2, 1e-6, 50, 0, 1]))
    for variant in rules.RULES:
        rules.build(variant, np.where)(*arrays, True, constants)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_the_file_of_the_rules_has_no_import_and_no_number():
    """What makes the text independent of array libraries and of dtypes."""
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(rules))
    for node in ast.walk(tree):
        assert not isinstance(node, (ast.Import, ast.ImportFrom))
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, str), f"a literal {node.value!r} in line {node.lineno}"
