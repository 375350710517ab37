"""Learning rate schedules: their sequences, their state, and what they mean for Rprop."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import warnings
import weakref

import numpy as np
import pytest
from runs import outcome

import rprop_ref
import rprop_ref.lr_scheduler as ours
from rprop_ref import Parameter, Rprop


def optimizer(*lrs, **options):
    params = [Parameter(np.ones(1)) for _ in lrs]
    for p in params:
        p.grad = np.ones(1)
    return Rprop([{"params": [p], "lr": lr} for p, lr in zip(params, lrs)], **options)


def sequence(o, scheduler, steps, *metrics):
    """The rates of the first group before each step."""
    rates = []
    for i in range(steps):
        rates.append(o.param_groups[0]["lr"])
        o.step()
        scheduler.step(*(m[i] for m in metrics))
    return rates


def the_documented_schedule(module, o):
    """The example in the documentation of torch.optim."""
    first = module.LinearLR(o, start_factor=0.1, end_factor=1, total_iters=20)
    second = module.CosineAnnealingLR(o, T_max=80, eta_min=3e-5)
    return module.SequentialLR(o, schedulers=[first, second], milestones=[20])


SCHEDULES = {
    "a milestone at once": lambda m, o: m.SequentialLR(o, [m.ConstantLR(o, 0.5, 3), m.ExponentialLR(o, 0.9)], [0]),
    "milestones out of order": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.5, 3), m.ExponentialLR(o, 0.9), m.ExponentialLR(o, 0.1)], [4, 2]
    ),
    "lambda": lambda m, o: m.LambdaLR(o, lambda e: 0.9**e),
    "lambdas": lambda m, o: m.LambdaLR(o, [lambda e: 0.9**e, lambda e: 1 / (e + 1)]),
    "step": lambda m, o: m.StepLR(o, 3, 0.3),
    "constant": lambda m, o: m.ConstantLR(o, 0.3, 4),
    "linear": lambda m, o: m.LinearLR(o, 0.1, 0.7, 7),
    "exponential": lambda m, o: m.ExponentialLR(o, 0.9),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, 5, 0.001),
    "of the documentation": the_documented_schedule,
    "three in sequence": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, 1, 5), m.CosineAnnealingLR(o, 6, 1e-4), m.ExponentialLR(o, 0.7)], [5, 17]
    ),
    "chained": lambda m, o: m.ChainedScheduler([m.ConstantLR(o, 0.1, 4), m.ExponentialLR(o, 0.9)]),
    "chained, then steps": lambda m, o: m.SequentialLR(
        o, [m.ChainedScheduler([m.ConstantLR(o, 0.1, 4), m.ExponentialLR(o, 0.9)]), m.StepLR(o, 2)], [6]
    ),
    "sequence in a sequence": lambda m, o: m.SequentialLR(
        o,
        [m.SequentialLR(o, [m.ConstantLR(o, 0.1, 4), m.ExponentialLR(o, 0.9)], [3]), m.StepLR(o, 2)],
        [6],
    ),
}


class TestSequences:
    def test_values_worked_out_by_hand(self):
        for build, expected in (
            (lambda o: ours.StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
            (lambda o: ours.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125]),
            (lambda o: ours.ConstantLR(o, 0.25, 2), [0.25, 0.25, 1, 1]),
            (lambda o: ours.LinearLR(o, 0.5, 1, 2), [0.5, 0.75, 1, 1]),
            (lambda o: ours.CosineAnnealingLR(o, 2), [1, 0.5, 0, 0.5, 1]),
            (lambda o: ours.LambdaLR(o, lambda e: e + 1), [1, 2, 3]),
        ):
            o = optimizer(1.0)
            np.testing.assert_allclose(sequence(o, build(o), len(expected)), expected, atol=1e-15)

    def test_the_example_of_torchs_documentation(self):
        o = optimizer(3e-4)
        rates = sequence(o, the_documented_schedule(ours, o), 121)
        expected = {
            0: 2.9999999999999997e-05,
            1: 4.3499999999999993e-05,
            19: 0.0002865,
            20: 0.0003,
            21: 0.00029989591989249757,
            60: 0.0001650000000000001,
            99: 3.010408010750241e-05,
            100: 3e-05,
            120: 6.954058453981656e-05,
        }
        assert {t: rates[t] for t in expected} == expected

    @pytest.mark.parametrize("name", ["step", "constant", "linear", "exponential", "cosine"])
    def test_closed_and_recursive_forms_agree(self, name):
        o = optimizer(0.3)
        recursive = sequence(o, SCHEDULES[name](ours, o), 30)
        o = optimizer(0.3)
        scheduler = SCHEDULES[name](ours, o)
        o.step()
        for t in (7, 3, 29, 0, 12):
            with pytest.warns(UserWarning, match="The epoch parameter"):
                scheduler.step(t)
            assert math.isclose(o.param_groups[0]["lr"], recursive[t], rel_tol=1e-12)
            assert scheduler.last_epoch == t

    def test_a_plateau_reduces_the_rate(self):
        o = optimizer(1.0)
        scheduler = ours.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
        rates = sequence(o, scheduler, 12, [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3])
        assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]
        assert not hasattr(o.step, "_wrapped_by_lr_sched")
        assert "initial_lr" not in o.param_groups[0]

    def test_a_group_added_later_is_scheduled_too(self):
        o = optimizer(1.0)
        scheduler = ours.StepLR(o, 1, 0.5)
        o.add_param_group({"params": [Parameter(np.ones(1))], "lr": 8.0})
        o.step()
        scheduler.step()
        assert [g["lr"] for g in o.param_groups] == [0.5, 4.0]
        assert scheduler.get_last_lr() == [0.5, 4.0]

    @pytest.mark.parametrize("make", [
        lambda o, part: ours.SequentialLR(o, [ours.StepLR(o, 1), part], [1]),
        lambda o, part: ours.ChainedScheduler([ours.StepLR(o, 1), part]),
    ])  # fmt: skip
    def test_a_refused_step_of_a_composite_schedule_changes_nothing(self, make):
        o = optimizer(1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler = make(o, ours.LambdaLR(o, lambda e: 0.5**e))
        o.step()
        o.add_param_group({"params": [Parameter(np.ones(1))], "lr": 8.0})
        before = copy.deepcopy(scheduler.state_dict()), [g["lr"] for g in o.param_groups]
        with pytest.raises(ValueError, match="shorter"):
            scheduler.step()
        assert (scheduler.state_dict(), [g["lr"] for g in o.param_groups]) == before

    def test_a_resumed_schedule_continues(self):
        o = optimizer(1.0)
        whole = sequence(o, ours.ExponentialLR(o, 0.5), 8)
        o = optimizer(1.0)
        scheduler = ours.ExponentialLR(o, 0.5)
        sequence(o, scheduler, 3)
        other = optimizer(77.0)
        again = ours.ExponentialLR(other, 0.5)
        again.load_state_dict(scheduler.state_dict())
        other.load_state_dict(o.state_dict())
        assert sequence(other, again, 5) == whole[3:]


class TestWhatItMeansForRprop:
    def test_only_parameters_that_start_later_see_the_schedule(self):
        early, late = Parameter(np.zeros(1)), Parameter(np.zeros(1))
        o = Rprop([early, late], lr=1.0)
        scheduler = ours.ExponentialLR(o, 0.1)
        early.grad = np.ones(1)
        for _ in range(2):
            o.step()
            scheduler.step()
        late.grad = np.ones(1)
        o.step()
        assert o.state[early]["step_size"][0] == pytest.approx(1.44)
        assert o.state[late]["step_size"][0] == pytest.approx(0.01)

    def test_after_a_warm_up_the_step_size_is_its_first_rate(self):
        o = optimizer(1.0)
        scheduler = ours.LinearLR(o, 0.1)
        o.step()
        scheduler.step()
        (state,) = o.state.values()
        assert state["step_size"][0] == 0.1

    def test_the_docstrings_say_so(self):
        assert "reads lr once" in ours.__doc__
        assert "reads ``lr`` only when" in ours.LRScheduler.__doc__

    def test_a_scheduler_built_after_loading_overwrites_the_loaded_rates(self):
        """The documentation of torch warns of this."""
        o = optimizer(3e-4)
        scheduler = the_documented_schedule(ours, o)
        sequence(o, scheduler, 30)
        saved, saved_schedule = copy.deepcopy(o.state_dict()), copy.deepcopy(scheduler.state_dict())
        assert saved["param_groups"][0]["lr"] == 0.00028972373688902363

        right = optimizer(3e-4)
        schedule = the_documented_schedule(ours, right)
        schedule.load_state_dict(saved_schedule)
        right.load_state_dict(saved)
        assert right.param_groups[0]["lr"] == 0.00028972373688902363
        wrong = optimizer(3e-4)
        wrong.load_state_dict(saved)
        other = the_documented_schedule(ours, wrong)
        other.load_state_dict(saved_schedule)
        assert wrong.param_groups[0]["lr"] == 2.9999999999999997e-05

        assert sequence(right, schedule, 6)[5] == 0.0002772483976608436
        assert sequence(wrong, other, 6)[5] == 2.9999999999999997e-05
        (a,), (b,) = (o.param_groups[0]["params"] for o in (right, wrong))
        assert a.data == b.data, "Rprop's steps come from the state, not from the rate"


class TestMechanics:
    def test_the_wrong_order_warns(self):
        o = optimizer(1.0)
        scheduler = ours.ExponentialLR(o, 0.5)
        with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before"):
            scheduler.step()

    def test_a_replaced_step_warns(self):
        o = optimizer(1.0)
        scheduler = ours.ExponentialLR(o, 0.5)
        o.step = lambda: None
        with pytest.warns(UserWarning, match="has been overridden after learning rate scheduler initialization"):
            scheduler.step()

    def test_closures_and_hooks_work_with_a_schedule(self):
        o, seen = optimizer(1.0), []
        ours.ExponentialLR(o, 0.5)
        wrapped = o.step
        ours.StepLR(o, 5)
        assert o.step is wrapped
        o.register_step_pre_hook(lambda opt, args, kwargs: seen.append(args[0] is o))
        assert o.step(lambda: 7) == 7
        assert seen == [True]

    def test_pickling_drops_the_wrapped_step_and_keeps_the_rates(self):
        o = optimizer(1.0)
        ours.ConstantLR(o, 0.5)
        other = pickle.loads(pickle.dumps(o))
        assert "step" not in other.__dict__
        assert [other.param_groups[0][k] for k in ("lr", "initial_lr")] == [0.5, 1.0]

    def test_no_cycle_keeps_the_optimizer_alive(self):
        gc.disable()
        try:
            o = optimizer(1.0)
            alive = weakref.ref(o)
            ours.ExponentialLR(o, 0.5)
            del o
            assert alive() is None
        finally:
            gc.enable()

    def test_get_lr_called_by_a_user_warns(self):
        scheduler = ours.ExponentialLR(optimizer(1.0), 0.5)
        with pytest.warns(UserWarning, match="please use `get_last_lr"):
            scheduler.get_lr()

    def test_the_attributes_of_callable_objects_are_saved(self):
        class Factor:
            def __init__(self, k):
                self.k = k

            def __call__(self, epoch):
                return self.k**epoch

        first = ours.LambdaLR(optimizer(1.0, 1.0), [Factor(0.5), lambda e: 1.0])
        saved = first.state_dict()
        assert saved["lr_lambdas"] == [{"k": 0.5}, None]
        second = ours.LambdaLR(optimizer(1.0, 1.0), [Factor(0.1), lambda e: 1.0])
        second.load_state_dict(saved)
        assert second.lr_lambdas[0].k == 0.5
        assert "lr_lambdas" in saved


REFUSED = [
    lambda m, o: m.StepLR(3, 1),
    lambda m, o: m.ReduceLROnPlateau(3),
    lambda m, o: m.LRScheduler(o),
    lambda m, o: m.LambdaLR(o, [abs, abs]),
    lambda m, o: m.LambdaLR(o, 3),
    lambda m, o: m.ConstantLR(o, 1.5),
    lambda m, o: m.LinearLR(o, 0),
    lambda m, o: m.LinearLR(o, 0.5, 1.5),
    lambda m, o: m.SequentialLR(o, [], []),
    lambda m, o: m.SequentialLR(o, [1], []),
    lambda m, o: m.SequentialLR(o, [m.ReduceLROnPlateau(o)], []),
    lambda m, o: m.SequentialLR(o, [m.ConstantLR(copy.deepcopy(o))], []),
    lambda m, o: m.SequentialLR(o, [m.ConstantLR(o)], [1]),
    lambda m, o: m.ChainedScheduler([]),
    lambda m, o: m.ChainedScheduler([1]),
    lambda m, o: m.ChainedScheduler([m.ReduceLROnPlateau(o)]),
    lambda m, o: m.ChainedScheduler([m.ConstantLR(o), m.ConstantLR(copy.deepcopy(o))]),
    lambda m, o: m.ReduceLROnPlateau(o, mode="x"),
    lambda m, o: m.ReduceLROnPlateau(o, factor=1.0),
    lambda m, o: m.ReduceLROnPlateau(o, threshold_mode="x"),
    lambda m, o: m.ReduceLROnPlateau(o, min_lr=[1, 2]),
    lambda m, o: m.ExponentialLR(o, 0.5, last_epoch=3),
    lambda m, o: m.ExponentialLR(o, 0.5).step(),
    lambda m, o: m.ExponentialLR(o, 0.5).step(3),
    lambda m, o: m.ExponentialLR(o, 0.5).get_lr(),
]


def test_a_refused_metric_changes_nothing():
    o = optimizer(1.0)
    scheduler = ours.ReduceLROnPlateau(o, patience=0, min_lr=[0.1])
    o.add_param_group({"params": [Parameter(np.zeros(1))]})
    scheduler.step(1.0)
    before = scheduler.state_dict()
    with pytest.raises(RuntimeError, match="number of param groups"):
        scheduler.step(2.0)
    assert scheduler.state_dict() == before
    assert o.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize("build", REFUSED)
def test_wrong_use_is_refused_or_warned_about(build):
    raised, warned, _ = outcome(build, ours, optimizer(1.0))
    assert raised or warned


@pytest.mark.peers
class TestAgainstTorch:
    @pytest.fixture
    def theirs(self):
        import torch
        import torch.optim.lr_scheduler

        return torch

    def pair(self, theirs, *lrs):
        params = [theirs.nn.Parameter(theirs.ones(1)) for _ in lrs]
        for p in params:
            p.grad = theirs.ones(1)
        return optimizer(*lrs), theirs.optim.Rprop([{"params": [p], "lr": lr} for p, lr in zip(params, lrs)])

    @pytest.mark.parametrize("last_epoch", [0, 1, 4, 9])
    @pytest.mark.parametrize(
        "build",
        [
            lambda m, o, e: m.LambdaLR(o, lambda t: 0.9**t, last_epoch=e),
            lambda m, o, e: m.StepLR(o, 3, 0.3, last_epoch=e),
            lambda m, o, e: m.ConstantLR(o, 0.3, 5, last_epoch=e),
            lambda m, o, e: m.LinearLR(o, 0.1, 0.7, 7, last_epoch=e),
            lambda m, o, e: m.ExponentialLR(o, 0.9, last_epoch=e),
            lambda m, o, e: m.CosineAnnealingLR(o, 5, 0.001, last_epoch=e),
        ],
    )
    def test_schedules_resumed_by_last_epoch(self, theirs, build, last_epoch):
        mine, other = self.pair(theirs, 0.3, 1.7)
        for o in (mine, other):
            for group in o.param_groups:
                group["initial_lr"] = group["lr"]
        a = build(ours, mine, last_epoch)
        b = build(theirs.optim.lr_scheduler, other, last_epoch)
        for _ in range(12):
            assert a.get_last_lr() == b.get_last_lr()
            assert a.state_dict() == b.state_dict()
            for o, s in ((mine, a), (other, b)):
                o.step()
                s.step()

    def test_a_tensor_is_changed_in_place(self, theirs):
        lrs = [rprop_ref.Tensor(np.array(0.5)), theirs.tensor(0.5, dtype=theirs.float64)]
        p = theirs.nn.Parameter(theirs.ones(1))
        for o, module, lr in (
            (Rprop([Parameter(np.ones(1))], lr=lrs[0]), ours, lrs[0]),
            (theirs.optim.Rprop([p], lr=lrs[1]), theirs.optim.lr_scheduler, lrs[1]),
        ):
            scheduler = module.StepLR(o, 1, 0.5)
            o.step()
            scheduler.step()
            assert o.param_groups[0]["lr"] is lr
            assert lr.item() == 0.25
            assert o.param_groups[0]["initial_lr"] == 0.5

    # Building a composite schedule steps its parts, and both libraries warn about that.
    @pytest.mark.filterwarnings("ignore:Detected call of")
    @pytest.mark.parametrize("name", SCHEDULES)
    def test_rates_and_states_are_torchs(self, theirs, name):
        mine, other = self.pair(theirs, 0.3, 1.7)
        a = SCHEDULES[name](ours, mine)
        b = SCHEDULES[name](theirs.optim.lr_scheduler, other)
        for _ in range(60):
            assert [g["lr"] for g in mine.param_groups] == [g["lr"] for g in other.param_groups]
            assert a.get_last_lr() == b.get_last_lr()
            assert a.state_dict() == b.state_dict()
            assert list(a.state_dict()) == list(b.state_dict())
            mine.step()
            other.step()
            a.step()
            b.step()
        assert [list(g) for g in mine.param_groups] == [list(g) for g in other.param_groups]

    @pytest.mark.parametrize("name", ["lambda", "step", "constant", "linear", "exponential", "cosine"])
    def test_steps_to_an_epoch_are_torchs(self, theirs, name, rng):
        mine, other = self.pair(theirs, 0.3)
        a = SCHEDULES[name](ours, mine)
        b = SCHEDULES[name](theirs.optim.lr_scheduler, other)
        mine.step()
        other.step()
        for _ in range(40):
            epoch = None if rng.random() < 0.5 else int(rng.integers(0, 30))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                a.step(epoch)
                b.step(epoch)
            assert a.state_dict() == b.state_dict()

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"mode": "max", "patience": 0},
            {"threshold_mode": "abs", "threshold": 0.3, "patience": 1, "cooldown": 2},
            {"mode": "max", "threshold_mode": "abs", "patience": 0, "min_lr": [0.1, 0.2], "factor": 0.7},
            {"patience": 0, "eps": 0.1},
        ],
    )
    def test_plateaus_are_torchs(self, theirs, options, rng):
        mine, other = self.pair(theirs, 1.0, 2.0)
        a = ours.ReduceLROnPlateau(mine, **options)
        b = theirs.optim.lr_scheduler.ReduceLROnPlateau(other, **options)
        for metric in rng.choice([1.0, 1.00005, 2.0, 0.5, np.nan, np.inf], 60):
            a.step(metric)
            b.step(metric)
            assert repr(a.state_dict()) == repr(b.state_dict())

    @pytest.mark.parametrize("name", ["step", "linear", "cosine", "exponential"])
    def test_a_schedule_from_torch_continues_here(self, theirs, name):
        mine, other = self.pair(theirs, 0.3)
        a = SCHEDULES[name](ours, mine)
        b = SCHEDULES[name](theirs.optim.lr_scheduler, other)
        for _ in range(7):
            other.step()
            b.step()
        a.load_state_dict(b.state_dict())
        mine.param_groups[0]["lr"] = other.param_groups[0]["lr"]
        mine.step()
        for _ in range(7):
            a.step()
            b.step()
            assert a.get_last_lr() == b.get_last_lr()

    @pytest.mark.parametrize("build", REFUSED)
    def test_refusals_are_in_torchs_words(self, theirs, build):
        mine, other = self.pair(theirs, 1.0)
        expected = outcome(build, theirs.optim.lr_scheduler, other)[:2]
        assert outcome(build, ours, mine)[:2] == expected


def test_the_module_is_public():
    assert rprop_ref.lr_scheduler is ours
    assert set(ours.__all__) <= set(dir(ours))
