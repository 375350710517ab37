"""Hooks: when they run, what they may change, and how they are removed."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import weakref

import numpy as np
import pytest

from rprop_ref import (
    Optimizer,
    Parameter,
    Rprop,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from rprop_ref.hooks import RemovableHandle


@pytest.fixture
def parameter():
    p = Parameter(np.ones(1))
    p.grad = np.ones(1)
    return p


def test_hooks_and_closure_run_in_order(parameter):
    seen = []

    def record(name):
        return lambda *_: seen.append(name)

    o = Rprop([parameter])
    with (
        register_optimizer_step_pre_hook(record("every pre")),
        register_optimizer_step_post_hook(record("every post")),
    ):
        for i in (1, 2):
            o.register_step_pre_hook(record(f"pre {i}"))
            o.register_step_post_hook(record(f"post {i}"))
        o.step(lambda: seen.append("closure"))
    assert seen == ["every pre", "pre 1", "pre 2", "closure", "post 1", "post 2", "every post"]
    o.step()
    assert seen[7:] == ["pre 1", "pre 2", "post 1", "post 2"]


def test_a_hook_gets_optimizer_and_arguments(parameter):
    seen = []
    o = Rprop([parameter])
    o.register_step_pre_hook(lambda *given: seen.append(given))

    def closure():
        return 5

    for call in (o.step, lambda: o.step(closure), lambda: o.step(closure=closure), lambda: o.step(loss=3)):
        call()
    expected = [((o,), {}), ((o, closure), {}), ((o,), {"closure": closure}), ((o,), {"loss": 3})]
    assert seen == [(o, *given) for given in expected]


def test_a_pre_hook_may_replace_the_arguments(parameter):
    o, seen = Rprop([parameter]), []
    o.register_step_pre_hook(lambda opt, args, kwargs: ((opt, lambda: 42), {}))
    o.register_step_pre_hook(lambda opt, args, kwargs: seen.append(len(args)))
    o.register_step_post_hook(lambda opt, args, kwargs: seen.append((len(args), kwargs)))
    assert o.step(loss=7) == 42
    assert seen == [2, (2, {})]


@pytest.mark.parametrize("wrong", [1, (1,), (1, 2, 3), [1, 2], {}, "ab", False])
def test_other_returns_are_refused_in_torchs_words(parameter, wrong):
    o = Rprop([parameter])
    o.register_step_pre_hook(lambda *_: wrong)
    with pytest.raises(RuntimeError) as caught:
        o.step()
    text = str(caught.value)
    assert text.startswith("<function Rprop.step at 0x")
    assert text.endswith(f"> must return None or a tuple of (new_args, new_kwargs), but got {wrong}.")
    assert parameter.data[0] == 1


def test_a_hook_that_raises_ends_the_step(parameter):
    def fail(*_):
        raise ZeroDivisionError

    for register, moved in (("register_step_pre_hook", False), ("register_step_post_hook", True)):
        parameter.data[...] = 1
        o, seen = Rprop([parameter]), []
        getattr(o, register)(fail)
        o.register_step_post_hook(lambda *_, seen=seen: seen.append(1))
        with pytest.raises(ZeroDivisionError):
            o.step()
        assert (parameter.data[0] != 1) == moved
        assert not seen
    o = Rprop([parameter])
    o.register_step_post_hook(lambda *_: seen.append(1))
    with pytest.raises(ZeroDivisionError):
        o.step(fail)
    assert not seen


def test_hooks_run_for_optimizers_of_other_classes(parameter):
    class Mine(Optimizer):
        def step(self, closure=None):
            return "mine"

    class Child(Mine):
        pass

    seen = []
    for cls in (Mine, Child):
        o = cls([parameter], {})
        with register_optimizer_step_pre_hook(lambda *_: seen.append(1)):
            assert o.step() == "mine"
    assert seen == [1, 1]


def test_step_keeps_its_signature():
    assert list(inspect.signature(Rprop.step).parameters) == ["self", "closure", "loss"]
    assert Rprop.step.hooked


class TestHandles:
    def test_removing_is_idempotent_and_returns_none(self, parameter):
        o, seen = Rprop([parameter]), []
        handle = o.register_step_pre_hook(lambda *_: seen.append(1))
        assert isinstance(handle, RemovableHandle)
        assert list(o._optimizer_step_pre_hooks) == [handle.id]
        assert handle.remove() is None
        assert handle.remove() is None
        o.step()
        assert not seen

    def test_a_handle_is_a_context_manager(self, parameter):
        o, seen = Rprop([parameter]), []
        with o.register_step_pre_hook(lambda *_: seen.append(1)) as handle:
            assert isinstance(handle, RemovableHandle)
            o.step()
        o.step()
        assert seen == [1]

    @pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))])
    def test_a_copy_of_a_handle_keeps_the_number_and_removes_nothing(self, parameter, copied):
        o = Rprop([parameter])
        handle = o.register_step_pre_hook(lambda *args: None)
        other = copied(handle)
        other.remove()
        assert other.id == handle.id
        assert list(o._optimizer_step_pre_hooks) == [handle.id]

    def test_each_handle_removes_its_own_copy(self, parameter):
        o, seen = Rprop([parameter]), []

        def hook(*_):
            seen.append(1)

        first, second = o.register_step_pre_hook(hook), o.register_step_pre_hook(hook)
        assert first.id != second.id
        first.remove()
        o.step()
        assert seen == [1]

    def test_it_does_not_keep_the_optimizer_alive(self, parameter):
        o = Rprop([parameter])
        handle, alive = o.register_step_pre_hook(lambda *_: None), weakref.ref(o)
        del o
        gc.collect()
        assert alive() is None
        handle.remove()

    def test_hooks_may_remove_and_register_while_they_run(self, parameter):
        o, seen = Rprop([parameter]), []
        handle = o.register_step_pre_hook(lambda *_: (seen.append("once"), handle.remove())[2:] or None)
        o.register_step_pre_hook(lambda *_: seen.append("always"))
        o.step()
        o.step()
        assert seen == ["once", "always", "always"]


class TestStateDictHooks:
    def test_order_prepending_and_replacing(self, parameter):
        o, seen = Rprop([parameter]), []
        for name, prepend in (("b", False), ("c", False), ("a", True)):
            o.register_state_dict_pre_hook(lambda opt, name=name: seen.append(name), prepend=prepend)
        o.register_state_dict_post_hook(lambda opt, sd: sd.update(x=1))
        o.register_state_dict_post_hook(lambda opt, sd: {"new": sorted(sd)})
        assert o.state_dict() == {"new": ["param_groups", "state", "x"]}
        assert seen == ["a", "b", "c"]
        o.register_state_dict_post_hook(lambda opt, sd: 5)
        assert o.state_dict() == 5

    def test_the_last_prepended_hook_runs_first(self, parameter):
        o, seen = Rprop([parameter]), []
        for i in range(3):
            o.register_load_state_dict_post_hook(lambda opt, i=i: seen.append(i), prepend=True)
        o.load_state_dict(o.state_dict())
        assert seen == [2, 1, 0]

    def test_load_hooks_see_a_shallow_copy_and_may_replace_it(self, parameter):
        o, seen = Rprop([parameter]), []
        saved = o.state_dict()

        def pre(opt, given):
            seen.append((given is saved, given["param_groups"] is saved["param_groups"]))
            return {**given, "param_groups": [{**given["param_groups"][0], "lr": 7.0}]}

        o.register_load_state_dict_pre_hook(pre)
        o.register_load_state_dict_post_hook(lambda opt: seen.append(opt.param_groups[0]["lr"]))
        o.load_state_dict(saved)
        assert seen == [(False, True), 7.0]
        with pytest.raises(KeyError):
            o.load_state_dict({"state": {}})
        assert len(seen) == 2, "post hooks do not run when loading fails"

    def test_parameters_can_be_matched_by_name_as_in_torchs_documentation(self):
        def optimizer(names):
            params = {n: Parameter(np.ones(i + 1)) for i, n in enumerate(sorted(names))}
            for p in params.values():
                p.grad = np.full_like(p.data, p.size)
            return Rprop([(n, params[n]) for n in names])

        first, second = optimizer("ab"), optimizer("ba")
        first.step()

        def by_name(opt, given):
            (group,), (saved,) = opt.param_groups, given["param_groups"]
            numbers = dict(zip(saved["param_names"], saved["params"], strict=True))
            saved = {**saved, "params": [numbers[n] for n in group["param_names"]]}
            return {**given, "param_groups": [saved | {"param_names": group["param_names"]}]}

        second.register_load_state_dict_pre_hook(by_name)
        second.load_state_dict(first.state_dict())
        for name, p in zip("ba", second.param_groups[0]["params"], strict=True):
            assert second.state[p]["prev"].tolist() == ([1.0] if name == "a" else [2.0, 2.0])


class TestSubclasses:
    @pytest.mark.parametrize("kind", ["super", "mixin", "assigned"])
    def test_hooks_run_once_whether_step_is_defined_or_inherited_or_assigned(self, kind):
        class Super(Rprop):
            def step(self, closure=None):
                return super().step(closure)

        class Step:
            def step(self, closure=None):
                return 3

        class Mixin(Step, Optimizer):
            pass

        class Assigned(Optimizer):
            pass

        Assigned.step = Step.step
        p = Parameter(np.ones(1))
        p.grad = np.ones(1)
        o = Super([p]) if kind == "super" else {"mixin": Mixin, "assigned": Assigned}[kind]([p], {})
        seen = []
        o.register_step_pre_hook(lambda *_: seen.append("before"))
        o.register_step_post_hook(lambda *_: seen.append("after"))
        o.step()
        assert seen == ["before", "after"]
