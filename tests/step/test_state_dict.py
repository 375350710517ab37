"""State dicts, pickle and deepcopy."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from rprop_ref import Parameter, Rprop
from rprop_ref._core.arrays import joined
from rprop_ref.bits import same_bits

FLAGS = ["foreach", "maximize", "differentiable", "capturable"]


def stepped(dtype="f8", shapes=((2,), (3,)), steps=2, **options):
    params = [Parameter(np.ones(s, dtype)) for s in shapes]
    o = Rprop(params, **options)
    for _ in range(steps):
        for p in params:
            p.grad = p.data.copy()
        o.step()
    return o, params


def test_keys_and_their_order_are_torchs():
    (a, b, c) = (Parameter(np.ones(1)) for _ in "abc")
    o = Rprop([{"params": [a, b]}, {"params": [c], "lr": 0.5, "x": 1}])
    for p in (c, a):
        p.grad = np.ones(1)
    o.step()
    saved = o.state_dict()
    assert list(saved) == ["state", "param_groups"]
    assert list(saved["state"]) == [0, 2]
    assert list(saved["state"][0]) == ["step", "prev", "step_size"]
    assert [list(g) for g in saved["param_groups"]] == [
        ["lr", "etas", "step_sizes", *FLAGS, "params"],
        ["lr", "x", "etas", "step_sizes", *FLAGS, "params"],
    ]
    assert [g["params"] for g in saved["param_groups"]] == [[0, 1], [2]]


def test_a_duplicate_has_the_last_of_its_numbers():
    a, b = Parameter(np.ones(1)), Parameter(np.ones(1))
    with pytest.warns(UserWarning, match="duplicate"):
        o = Rprop([{"params": [a, a, b]}, {"params": [Parameter(np.ones(1))]}])
    assert [g["params"] for g in o.state_dict()["param_groups"]] == [[1, 1, 2], [3]]


def test_state_of_no_parameter_is_saved_and_loaded():
    o, _ = stepped()
    o.state["foo"] = 5
    assert o.state_dict()["state"]["foo"] == 5
    other, _ = stepped()
    other.load_state_dict(o.state_dict())
    assert other.state["foo"] == 5


def test_a_loaded_run_continues_with_the_same_bits(rng):
    first, params = stepped(lr=0.3, etas=(0.7, 1.4))
    second, others = stepped(steps=0)
    for p, q in zip(params, others, strict=True):
        q.data[...] = p.data
    second.load_state_dict(first.state_dict())
    for _ in range(20):
        for p, q in zip(params, others, strict=True):
            p.grad = q.grad = rng.standard_normal(p.shape)
        first.step()
        second.step()
    for p, q in zip(params, others, strict=True):
        assert same_bits(p.data, q.data)
        for key in ("step", "prev", "step_size"):
            assert same_bits(first.state[p][key], second.state[q][key])
            assert not np.shares_memory(first.state[p][key], second.state[q][key])


def test_nothing_is_shared_with_the_dict():
    o, _params = stepped()
    saved = o.state_dict()
    before = copy.deepcopy(saved)
    other, others = stepped(steps=0)
    other.load_state_dict(saved)
    other.state[others[0]]["prev"][...] = 77
    other.param_groups[0]["etas"] = (0.1, 5.0)
    assert repr(saved) == repr(before)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [("f4", "f8", "f8"), ("f8", "f4", "f4"), ("f4", "f2", "f2"), ("f4", "c8", "f4"), ("c8", "c16", "c8")],
)
def test_all_but_step_is_converted_if_the_parameter_is_real(source, target, expected):
    first, _ = stepped(source)
    second, others = stepped(target, steps=0)
    second.load_state_dict(first.state_dict())
    state = second.state[others[0]]
    assert state["step"].dtype == np.float32
    assert state["prev"].dtype == state["step_size"].dtype == expected


def test_complex_state_for_a_real_parameter_warns():
    first, _ = stepped("c8")
    second, others = stepped("f4", steps=0)
    with pytest.warns(UserWarning, match="Casting complex values to real discards the imaginary part"):
        second.load_state_dict(first.state_dict())
    assert second.state[others[0]]["prev"].dtype == np.float32


@pytest.mark.parametrize("step", [3, 3.0, np.float64(3)])
def test_a_step_that_is_a_number_becomes_an_array(step):
    o, params = stepped()
    saved = copy.deepcopy(o.state_dict())
    saved["state"][0]["step"] = step
    o.load_state_dict(saved)
    assert same_bits(o.state[params[0]]["step"], np.array(3, "f4"))


def test_missing_flags_of_an_older_dict_are_added_but_not_from_the_defaults():
    o, _params = stepped(maximize=True)
    saved = copy.deepcopy(o.state_dict())
    for flag in FLAGS:
        del saved["param_groups"][0][flag]
    o.load_state_dict(saved)
    group = o.param_groups[0]
    assert list(group) == ["lr", "etas", "step_sizes", "params", *FLAGS]
    assert [group[f] for f in FLAGS] == [None, False, False, False]
    assert o.defaults["maximize"] is True


@pytest.mark.parametrize("saved_named", [False, True])
@pytest.mark.parametrize("live_named", [False, True])
def test_names_in_the_dict_replace_those_of_the_groups(saved_named, live_named):
    def optimizer(name, named):
        p = Parameter(np.ones(1))
        return Rprop([(name, p)] if named else [p])

    live = optimizer("live", live_named)
    live.load_state_dict(optimizer("saved", saved_named).state_dict())
    expected = ["saved"] if saved_named else ["live"] if live_named else None
    assert live.param_groups[0].get("param_names") == expected


@pytest.mark.parametrize(
    ("spoil", "error", "text"),
    [
        (lambda sd: sd["param_groups"].append({}), ValueError, "has a different number of parameter groups"),
        (
            lambda sd: sd["param_groups"][0]["params"].append(9),
            ValueError,
            "doesn't match the size of optimizer's",
        ),
        (lambda sd: sd["param_groups"][0].pop("params"), KeyError, "params"),
        (lambda sd: sd.pop("state"), KeyError, "state"),
        (lambda sd: sd.pop("param_groups"), KeyError, "param_groups"),
        (lambda sd: sd["state"][1].pop("step"), KeyError, "step"),
        (lambda sd: sd["state"][1].update(step=None), TypeError, "float\\(\\) argument must be"),
        (lambda sd: sd["param_groups"][0].update(variant="x"), ValueError, "Invalid variant"),
    ],
)
def test_a_dict_that_is_refused_changes_nothing(spoil, error, text):
    o, _params = stepped()
    saved = copy.deepcopy(o.state_dict())
    saved["param_groups"][0]["lr"] = 9.0
    spoil(saved)
    before = pickle.dumps(o)
    with pytest.raises(error, match=text):
        o.load_state_dict(saved)
    assert pickle.dumps(o) == before


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["copy", "pickle"])
def test_a_pickled_or_copied_optimizer_steps_its_own_parameters(clone, rng):
    o, params = stepped(variant="irprop-go", backend="numpy")
    o.register_step_pre_hook(print)
    other = clone(o)
    assert repr(other) == repr(o)
    assert other.backend is None
    assert not other._optimizer_step_pre_hooks
    others = other.param_groups[0]["params"]
    for p, q in zip(params, others, strict=True):
        assert p is not q
        p.grad = q.grad = rng.standard_normal(p.shape)
    before = [p.data.copy() for p in params]
    other.step()
    assert all(same_bits(p.data, b) for p, b in zip(params, before, strict=True))
    o._optimizer_step_pre_hooks.clear()
    o.step()
    for p, q in zip(params, others, strict=True):
        assert same_bits(p.data, q.data)
        assert same_bits(o.state[p]["step_size"], other.state[q]["step_size"])


def test_an_optimizer_copied_with_its_parameters_refers_to_the_copies():
    o, params = stepped()
    (a, b), other = copy.deepcopy((params, o))
    assert other.param_groups[0]["params"] == [a, b]
    assert a in other.state


def test_state_of_small_parameters_is_gathered_when_it_is_made_and_when_it_is_loaded():
    """Steps of many small parameters are four times slower if it is not."""
    optimizers = []
    for _ in range(2):
        params = [Parameter(np.ones(shape)) for shape in [(2, 3), (), (0,), (4,)]]
        for p in params:
            p.grad = np.ones(p.shape)
        optimizers.append(Rprop(params))
    first, second = optimizers
    first.step()
    second.load_state_dict(first.state_dict())
    for o in optimizers:
        for key in ("step", "prev", "step_size"):
            assert joined([entry[key] for entry in o.state.values()]) is not None


def test_two_single_elements_of_16_bits_take_an_lr_beyond_float32():
    """torch fills single elements of 16 bits by way of double, so that it becomes infinite, and is clamped."""
    params = [Parameter(np.ones(1, np.float16)) for _ in range(2)]
    for p in params:
        p.grad = np.ones(1, np.float16)
    o = Rprop(params, lr=1e39)
    o.step()
    assert [o.state[p]["step_size"].item() for p in params] == [50, 50]
