"""Every public function of NumPy and scipy.special, and every method of arrays, with generated arguments.

The value that is recorded is NumPy's to the bit and the gradient agrees with differences, or the call is refused with
a message; nothing third. ``make test`` makes some calls of each function, always the same; ``make fuzz`` makes
FUZZ_CALLS new ones and prints what became of them. A rule that is added is called by itself.
"""

from __future__ import annotations

import collections
import os
import secrets

import numpy as np
from generated_calls import WAYS, Call, Operand, check, functions, generate

from rprop_ref import Tensor, autograd

CALLS = int(os.environ.get("FUZZ_CALLS", "0"))
#: In ``make test``: calls of each function.
ROUNDS = 4

#: NumPy 2.5 refuses vectors of two elements.
HAS_CROSS_OF_TWO = np.lib.NumpyVersion(np.__version__) < "2.5.0"


def test_values_are_numpys_and_gradients_agree_with_differences(capsys):
    surface = functions()
    seed = secrets.randbits(32) if CALLS else 0
    outcomes: collections.Counter[str] = collections.Counter()
    recorded, wrong = set(), []
    for i in range(CALLS or ROUNDS * len(surface)):
        rng = np.random.default_rng([seed, i])
        name, function = surface[i % len(surface)]
        call = generate(rng, name, function)
        # Threads take time to start.
        way = list(WAYS)[i % 7 if i % 7 < 4 else 0]
        outcome, reason = check(call, rng, way)
        outcomes[outcome] += 1
        if outcome == "recorded":
            recorded.add(name)
        elif outcome == "wrong":
            wrong.append(f"{name}, call {i} of seed {seed}, by {way}: {reason}\n    {call.args}, {call.kwargs}")
    if CALLS:
        with capsys.disabled():
            counts = ", ".join(
                f"{outcomes[o]} {o}" for o in ("recorded", "constant", "refused", "unclear", "wrong")
            )
            print(
                f"\n{len(surface)} functions, {len(recorded)} of them recorded; {sum(outcomes.values())} calls: {counts}"
            )
    assert not wrong, "\n".join(wrong[:20])
    assert len(recorded) > 250


def outcome(fun, x, way="backward"):
    return check(Call("it", fun, (Operand(np.asarray(x), "tracked"),), {}), np.random.default_rng(0), way)


def test_the_checks_find_what_is_wrong():
    """Faults of every kind, put into a function on purpose."""
    x = np.array([0.3, 0.7])

    def other_value(x):
        return np.sin(x) + (1e-15 if isinstance(x, Tensor) else 0.0)

    def other_dtype(x):
        return x.astype(np.float32) if isinstance(x, Tensor) else x * 1.0

    def detached(x):
        return np.sin(x.data if isinstance(x, Tensor) else x)

    def partly_detached(x):
        return np.sin(x), detached(x)

    def accepts_more(x):
        if not isinstance(x, Tensor):
            raise ValueError("not an array")
        return x * 1.0

    def says_nothing(x):
        raise ValueError

    wrong_rule = autograd.register_vjp(lambda x: x * x, lambda g, _ans, x: g * x)
    for fun in (other_value, other_dtype, detached, partly_detached, accepts_more, says_nothing, wrong_rule):
        assert outcome(fun, x)[0] == "wrong", fun
    for way in WAYS:
        assert outcome(np.sin, x, way)[0] == "recorded"
        assert outcome(wrong_rule, x, way)[0] == "wrong"
    assert outcome(np.argsort, x)[0] == outcome(np.floor, x * 3)[0].replace("recorded", "constant") == "constant"
    assert outcome(np.sort_complex, x)[0] == "refused"


def test_numpy_is_asked_where_a_function_is_rewritten():
    """Edges at which a rewritten function had other values, or was computed although NumPy refuses."""
    for fun, x in (
        (lambda x: np.interp(x, [1.0], [2.0]), [0.5, 1.0, 2.0]),
        (lambda x: np.interp([0.5, 1.0, 2.0], [1.0], x), [2.0]),
        (lambda x: np.interp(x, [0.0, 1.0, 1.0, 3.0], [1.0, 4.0, 5.0, 2.0]), [-1.0, 0.5, 1.5, 4.0]),
        (lambda x: np.modf(x), [1.5, -2.5]),
        (lambda x: np.linalg.norm(x), np.zeros((0, 2))),
        (lambda x: np.linalg.norm(x, 1), np.zeros((0,))),
        (lambda x: np.rollaxis(x, -2, -1), np.arange(18.0).reshape(2, 3, 3)),
        (lambda x: np.nansum(x, axis=-1, keepdims=np._NoValue), np.arange(9.0).reshape(3, 3)),
        (lambda x: np.prod(x, dtype=float), np.array([1 + 2j, 3 - 1j])),
        (lambda x: np.std(x, dtype=complex) + np.var(x, dtype=complex), np.array([1 + 2j, 3 - 1j])),
        (lambda x: np.concatenate([x, 2.5], axis=None), np.array([1.5, 0.5])),
        (lambda x: np.ravel(x, None), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        (lambda x: np.dot(np.ones((2, 3)), x), np.arange(12.0).reshape(2, 3, 2)),
        (lambda x: np.dot(x, np.arange(12.0).reshape(2, 3, 2)), np.arange(12.0).reshape(2, 2, 3)),
    ):
        assert outcome(fun, x) == ("recorded", ""), outcome(fun, x)
    for fun, x in (
        (lambda x: np.cross(x, [1.0, 2.0]), [3.0, 4.0]),
        (lambda x: np.cross(x, [1.0, 2.0, 5.0]), [3.0, 4.0]),
        (lambda x: np.cross([[1.0, 2.0, 5.0]], x), [[3.0, 4.0]]),
    ):
        assert outcome(fun, x)[0] == ("recorded" if HAS_CROSS_OF_TWO else "refused")
    assert outcome(np.modf, [np.inf, -0.0, np.nan])[0] == "recorded"
    half = Operand(np.array(1.5, np.float16), "tracked")
    assert (
        check(Call("it", np.concatenate, ([half, 2.5],), {"axis": None}), np.random.default_rng(0))[0] != "wrong"
    )
    for fun in (
        lambda x: np.quantile(x, -0.1),
        lambda x: np.percentile(x, -5),
        lambda x: np.average(x, weights=[1, -1]),
        lambda x: np.tensordot(x, x, ([5], [0])),
        lambda x: np.outer(x, x, 3),
        lambda x: np.linalg.outer(x[None], x),
        lambda x: np.add.accumulate(x[0]),
        lambda x: autograd.special.multigammaln(x, 4),
        lambda x: autograd.special.multigammaln(x + 3, Tensor(np.array([2]))),
    ):
        assert outcome(fun, [1.0, 2.0])[0] == "refused"
    assert outcome(lambda x: np.var(x, dtype=float), [1 + 2j, 3 - 1j])[0] == "refused"
