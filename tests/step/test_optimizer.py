"""Parameters, groups, state, and refusals."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from rprop_ref import Optimizer, Parameter, Rprop, backends, rprop
from rprop_ref._step import rprop as _rprop
from rprop_ref.bits import same_bits

BACKENDS = ("numpy", "numba")


def with_grad(values, grad=None):
    p = Parameter(np.array(values, float))
    p.grad = np.ones_like(p.data) if grad is None else np.array(grad, float)
    return p


class TestParameter:
    def test_it_shares_memory_with_the_array(self):
        a = np.zeros(3)
        p = Parameter(a)
        assert p.data is a
        p.grad = np.ones(3)
        Rprop([p], lr=0.5).step()
        np.testing.assert_array_equal(a, -0.5)

    def test_a_list_becomes_an_array(self):
        assert Parameter([1.0, 2.0]).data.dtype == np.float64

    @pytest.mark.parametrize("data", [[1, 2], [True], ["a"], np.zeros(2, ">f4"), np.zeros(2, "g")])
    def test_other_dtypes_are_refused(self, data):
        if np.asarray(data).dtype == np.float64:
            pytest.skip("long double is float64 on this platform")
        with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype"):
            Parameter(data)

    @pytest.mark.parametrize(
        ("grad", "error", "text"),
        [
            (
                [1.0, 2.0],
                TypeError,
                "assigned grad expected to be a Tensor or None but got grad of type list",
            ),
            (
                np.ones(3),
                RuntimeError,
                r"attempting to assign a gradient of size '\[3\]' to a tensor of size '\[2\]'",
            ),
            (np.ones(2, "f4"), RuntimeError, "attempting to assign a gradient with dtype 'float32'"),
        ],
    )
    def test_gradients_that_do_not_fit_are_refused(self, grad, error, text):
        p = with_grad([1.0, 2.0])
        before = p.grad
        with pytest.raises(error, match=text):
            p.grad = grad
        assert p.grad is before

    def test_a_parameter_is_not_its_own_gradient(self):
        p = with_grad([1.0, 2.0])
        with pytest.raises(RuntimeError, match="can't assign Variable as its own grad"):
            p.grad = p
        assert type(p.grad) is np.ndarray

    def test_a_deleted_gradient_is_none(self):
        p = with_grad([1.0, 2.0])
        del p.grad
        assert p.grad is None

    def test_the_gradient_is_not_copied(self):
        p, g = Parameter(np.zeros(2)), np.ones(2)
        p.grad = g
        assert p.grad is g

    def test_a_scalar_parameter_takes_a_scalar_gradient(self):
        p = Parameter(np.array(2.0))
        p.grad = np.float64(1)
        Rprop([p], lr=0.5).step()
        assert p.data == 1.5

    def test_it_does_not_turn_into_an_array_silently(self):
        with pytest.raises(RuntimeError, match=r"p\.data"):
            np.asarray(Parameter(np.zeros(2)))

    def test_repr(self):
        assert repr(Parameter(np.array([1.0, 2.0], "f4"))) == "Parameter([1., 2.], dtype=float32)"


class TestGroups:
    def test_a_single_parameter_in_place_of_a_list_is_refused(self):
        with pytest.raises(
            TypeError, match="should be an iterable of Tensors or dicts, but got rprop_ref.Parameter"
        ):
            Rprop(Parameter(np.zeros(1)))

    def test_options_of_groups_override_the_defaults(self):
        p, q = with_grad([0.0]), with_grad([0.0])
        o = Rprop(({"params": x, **g} for x, g in ((p, {}), (q, {"lr": 0.5}))), lr=0.1)
        o.step()
        assert (p.data[0], q.data[0]) == (-0.1, -0.5)

    def test_the_options_are_in_torchs_order(self):
        o = Rprop([with_grad([0.0])])
        expected = ["lr", "etas", "step_sizes", "foreach", "maximize", "differentiable", "capturable"]
        assert list(o.defaults) == expected
        assert list(o.param_groups[0]) == ["params", *expected]

    def test_the_variant_is_a_key_only_if_it_is_not_the_default(self):
        p = with_grad([0.0])
        assert "variant" not in Rprop([p]).param_groups[0]
        assert Rprop([p], variant="rprop-").param_groups[0]["variant"] == "rprop-"

    def test_named_parameters(self):
        p, q = with_grad([0.0]), with_grad([0.0])
        o = Rprop([("a", p), ("b", q)])
        assert o.param_groups[0]["param_names"] == ["a", "b"]
        assert o.param_groups[0]["params"] == [p, q]

    def test_a_group_added_later_starts_at_its_own_lr(self):
        p, q = with_grad([0.0]), with_grad([0.0])
        o = Rprop([p], lr=0.1)
        o.step()
        o.add_param_group({"params": [q], "lr": 0.3})
        o.step()
        assert q.data[0] == -0.3
        assert o.state[p]["step"] == 2
        assert o.state[q]["step"] == 1

    def test_a_refused_group_is_left_as_it_was(self):
        p = with_grad([0.0])
        o = Rprop([p])
        group = {"params": iter([p]), "lr": 3.0}
        before = dict(group)
        with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
            o.add_param_group(group)
        assert group == before
        assert len(o.param_groups) == 1

    def test_a_group_without_a_required_option_is_refused(self):
        from rprop_ref.optimizer import required

        with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter lr"):
            Optimizer([with_grad([0.0])], {"lr": required})

    @pytest.mark.parametrize("bad", [{"variant": "rprop"}, {"backend": "torch"}])
    def test_errors_about_variants_and_backends_say_what_is_allowed(self, bad):
        ((name, value),) = bad.items()
        with pytest.raises(ValueError, match=rf"Invalid {name}: '{value}'; it must be"):
            Rprop([with_grad([0.0])], **bad)
        with pytest.raises(ValueError, match="Invalid variant"):
            Rprop([{"params": [with_grad([0.0])], "variant": "x"}])


class TestStep:
    def test_the_closure_runs_once_and_its_value_is_returned(self):
        p, calls = Parameter(np.array([1.0])), []

        def closure():
            calls.append(p.data.copy())
            p.grad = 2 * p.data
            return "anything"

        assert Rprop([p], lr=0.25).step(closure) == "anything"
        assert len(calls) == 1
        assert p.data[0] == 0.75

    def test_without_a_closure_it_returns_none(self):
        assert Rprop([with_grad([0.0])]).step() is None

    def test_a_closure_that_raises_leaves_everything_as_it_was(self):
        p = with_grad([1.0])
        o = Rprop([p])
        with pytest.raises(ZeroDivisionError):
            o.step(lambda: 1 / 0)
        assert p.data[0] == 1.0
        assert not o.state

    def test_state_comes_with_the_first_gradient(self):
        p = Parameter(np.zeros((2, 2), "f4"))
        o = Rprop([p], lr=0.5)
        o.step()
        assert not o.state
        p.grad = np.ones((2, 2), "f4")
        o.step()
        state = o.state[p]
        assert list(state) == ["step", "prev", "step_size"]
        assert state["step"].dtype == np.float32
        assert state["step"].shape == ()
        assert state["prev"].dtype == state["step_size"].dtype == np.float32
        assert state["prev"].shape == state["step_size"].shape == (2, 2)

    def test_a_gradient_of_none_keeps_the_stored_gradient_and_zero_clears_it(self):
        for between, expected in ((None, [1.0, 0.5]), (np.zeros(1), [2.0, 1.0])):
            p = Parameter(np.zeros(1))
            o = Rprop([p], lr=1.0)
            for g in (np.ones(1), between, -np.ones(1)):
                p.grad = g
                o.step()
            assert [float(o.state[p]["step"]) - 1, float(o.state[p]["step_size"][0])] == expected

    def test_lr_is_read_once_and_the_other_options_at_every_step(self):
        p = with_grad([0.0])
        o = Rprop([p], lr=1.0)
        o.step()
        group = o.param_groups[0]
        group["lr"] = 100.0
        group["etas"] = (0.5, 3.0)
        o.step()
        assert p.data[0] == -4.0
        group["step_sizes"] = (0.0, 0.25)
        o.step()
        assert p.data[0] == -4.25
        group["maximize"] = True
        o.step()
        assert o.state[p]["prev"][0] == 0

    def test_zero_grad_checks_before_it_writes(self):
        p, q = with_grad([1.0]), with_grad([2.0])
        q.grad.flags.writeable = False
        with pytest.raises(ValueError, match=r"use zero_grad\(set_to_none=True\)"):
            Rprop([p, q]).zero_grad(False)
        assert p.grad[0] == 1

    def test_options_in_a_list_can_be_edited_in_place(self):
        p = with_grad([0.0])
        o = Rprop([p], lr=1.0, etas=[0.5, 2.0])
        o.step()
        o.param_groups[0]["etas"][1] = 4.0
        o.step()
        assert o.state[p]["step_size"][0] == 4.0

    def test_state_can_be_edited_replaced_and_deleted(self):
        p = with_grad([0.0])
        o = Rprop([p], lr=1.0)
        o.step()
        o.state[p]["step_size"][0] = 5.0
        o.step()
        assert p.data[0] == -7.0
        o.state[p]["step_size"] = np.array([2.0])
        o.step()
        assert p.data[0] == -9.4
        del o.state[p]
        o.step()
        assert p.data[0] == -10.4
        assert o.state[p]["step"] == 1

    def test_the_parameter_array_can_be_replaced(self):
        p = with_grad([0.0])
        o = Rprop([p], lr=1.0)
        o.step()
        p.data = np.array([10.0])
        o.step()
        assert p.data[0] == 10 - 1.2

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_the_gradient_is_not_written_to(self, backend):
        p = with_grad([0.0, 0.0])
        o = Rprop([p], backend=backend)
        for sign in (1, -1):
            p.grad = g = np.full(2, float(sign))
            o.step()
            np.testing.assert_array_equal(g, sign)

    def test_the_counter_stops_where_float32_does(self):
        p = with_grad([0.0])
        o = Rprop([p])
        o.step()
        o.state[p]["step"][...] = 2.0**24
        o.step()
        assert o.state[p]["step"] == 2.0**24

    @pytest.mark.parametrize("dtype", ["f8", "i8", "u1", "f2"])
    def test_counters_of_other_dtypes_count_too(self, dtype):
        p, q = with_grad([0.0]), with_grad([0.0])
        o = Rprop([p, q])
        o.step()
        counts = np.ones(2, dtype)
        for i, param in enumerate((p, q)):
            o.state[param]["step"] = counts[i : i + 1].reshape(())
        o.step()
        np.testing.assert_array_equal(counts, 2)

    def test_irprop_plus_without_a_loss_is_refused_with_advice(self):
        p = with_grad([1.0])
        o = Rprop([p], variant="irprop+")
        for call in (o.step, lambda: o.step(lambda: None)):
            with pytest.raises(ValueError, match=r"step\(closure\).*step\(loss=\.\.\.\)"):
                call()
        assert p.data[0] == 1.0
        assert not o.state
        o.step(lambda: 3.0)
        assert o.param_groups[0]["prev_loss"] == 3.0
        o.step(loss=2.0)
        assert o.param_groups[0]["prev_loss"] == 2.0

    @pytest.mark.parametrize(
        ("maximize", "loss", "undone"), [(False, 4, True), (False, 2, False), (True, 2, True)]
    )
    def test_maximize_reverses_the_comparison_of_losses(self, maximize, loss, undone):
        p = with_grad([0.0])
        o = Rprop([p], lr=1.0, variant="irprop+", maximize=maximize)
        o.step(loss=3.0)
        moved = p.data[0]
        p.grad = -p.grad
        o.step(loss=loss)
        assert p.data[0] == (0.0 if undone else moved)

    @pytest.mark.parametrize("set_to_none", [True, False])
    def test_zero_grad(self, set_to_none):
        p, q = with_grad([1.0], [np.nan]), Parameter(np.zeros(1))
        o = Rprop([p, q])
        g = p.grad
        o.zero_grad(set_to_none)
        assert q.grad is None
        if set_to_none:
            assert p.grad is None
            assert np.isnan(g[0])
        else:
            assert p.grad is g
            assert g[0] == 0


class TestPlans:
    """Steps reuse plans of earlier steps; this must never change a result."""

    def test_groups_appended_removed_and_reordered_by_hand(self):
        params = [with_grad([0.0]) for _ in range(3)]
        o = Rprop([{"params": [p]} for p in params[:2]], lr=1.0)
        o.step()
        o.param_groups.append({**o.param_groups[0], "params": [params[2]]})
        o.param_groups.reverse()
        o.step()
        del o.param_groups[1]
        o.step()
        np.testing.assert_allclose([p.data[0] for p in params], [-3.64, -2.2, -2.2])

    def test_gradients_that_come_and_go(self, rng):
        params = [Parameter(np.zeros(3)) for _ in range(4)]
        alone = [Parameter(np.zeros(3)) for _ in range(4)]
        o, singles = Rprop(params), [Rprop([p]) for p in alone]
        for _ in range(60):
            for p, q in zip(params, alone, strict=True):
                p.grad = q.grad = rng.standard_normal(3) if rng.random() < 0.5 else None
            o.step()
            for single in singles:
                single.step()
        for p, q in zip(params, alone, strict=True):
            assert same_bits(p.data, q.data)

    def test_a_frozen_parameter_does_not_invalidate_the_plan(self, monkeypatch):
        params = [with_grad([0.0]), Parameter(np.zeros(1)), with_grad([0.0])]
        o = Rprop(params)
        o.step()
        monkeypatch.setattr(_rprop, "CachedPlan", None)
        o.step()

    @pytest.mark.parametrize("n", [1, 3, 3000])
    def test_copies_of_copies_step_their_own_arrays(self, n):
        """Plans are kept by the id of the group, and a new group may get the id of an old one."""
        o = Rprop([Parameter(np.ones(n))])
        for _ in range(100):
            o = copy.deepcopy(o)
            (p,) = o.param_groups[0]["params"]
            before = p.data.copy()
            p.grad = np.ones(n)
            o.step()
            assert not np.any(before == p.data)
        assert len(o._plans) == 1

    def test_plans_of_removed_groups_are_dropped(self):
        o = Rprop([with_grad([0.0])])
        for _ in range(20):
            o.add_param_group({"params": [with_grad([0.0])]})
            o.step()
            del o.param_groups[1]
        o.param_groups[0]["params"].append(with_grad([0.0]))
        o.step()
        assert len(o._plans) == 1

    def test_options_that_can_change_in_place_are_read_at_every_step(self):
        eta = np.array(0.5)
        p = with_grad([0.0])
        o = Rprop([p], etas=(eta, 1.2), lr=1.0, backend="numpy")
        o.step()
        eta[()] = 0.1
        p.grad = -p.grad
        o.step()
        assert o.state[p]["step_size"][0] == 0.1

    def test_a_parameter_appended_by_hand_to_a_second_group(self):
        p, q = with_grad([0.0]), with_grad([0.0])
        o = Rprop([{"params": [p]}, {"params": [q]}], lr=1.0)
        o.param_groups[1]["params"].append(p)
        o.step()
        assert o.state[p]["step"] == 2
        assert p.data[0] == -2.2

    def test_an_array_that_was_replaced_and_restored(self):
        p, q = with_grad([0.0, 0.0]), with_grad([0.0, 0.0])
        o = Rprop([p, q], lr=1.0)
        o.step()
        first = p.data
        p.data = np.zeros(3)
        p.grad = np.ones(3)
        p.data = first
        with pytest.raises(ValueError, match=r"a gradient has shape \(3,\)"):
            o.step()
        np.testing.assert_array_equal([*p.data, *q.data], -1.0)


class TestSharedMemory:
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_parameters_that_share_memory_are_stepped_in_order(self, backend):
        base = np.zeros(6)
        views = [Parameter(base[:4]), Parameter(base[2:]), Parameter(base.reshape(2, 3)[:, 1])]
        for p in views:
            p.grad = np.ones(p.shape)
        Rprop(views, lr=1.0, backend=backend).step()
        np.testing.assert_array_equal(base, [-1, -2, -2, -2, -2, -1])

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_a_duplicate_is_stepped_twice_with_torchs_warning(self, backend):
        p = with_grad([1.0])
        with pytest.warns(UserWarning, match="duplicate parameters") as caught:
            o = Rprop([p, p], backend=backend)
        assert [w.filename for w in caught] == [__file__]
        o.step()
        assert p.data[0] == 0.978
        assert o.state[p]["step"] == 2

    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize("shift", [0, 1])
    def test_a_gradient_that_shares_memory_with_its_parameter(self, backend, shift):
        base = np.arange(-3.0, 4.0)
        p = Parameter(base[:6])
        expected = base.copy()
        expected[:6] -= np.sign(base[shift : shift + 6])
        p.grad = base[shift : shift + 6]
        Rprop([p], lr=1.0, backend=backend).step()
        np.testing.assert_array_equal(base, expected)

    @pytest.mark.parametrize("n", [3, 5000])
    def test_gradients_that_are_other_parameters_are_read_before_any_is_written(self, n):
        p, q = Parameter(np.full(n, 2.0)), Parameter(np.full(n, -3.0))
        p.grad, q.grad = q.data, p.data[:]
        Rprop([p, q], lr=4.0).step()
        assert (p.data[0], q.data[0]) == (6.0, -7.0)


class TestFailures:
    """A refused step changes nothing, not even in the groups before the faulty one."""

    def check(self, spoil, error, text, backend=None):
        good, bad = with_grad([1.0, 2.0]), with_grad([3.0, 4.0])
        o = Rprop([{"params": [good]}, {"params": [bad]}], backend=backend)
        o.step()
        spoil(o, bad)
        # `spoil` may have changed state[bad] itself; from here on nothing may change.
        before = copy.deepcopy([(p.data, dict(o.state[p])) for p in (good, bad)])
        with pytest.raises(error, match=text):
            o.step()
        for p, (data, state) in zip((good, bad), before, strict=True):
            assert same_bits(p.data, data)
            assert all(same_bits(o.state[p][k], v) for k, v in state.items())

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_a_read_only_parameter(self, backend):
        def spoil(o, p):
            p.data.flags.writeable = False

        self.check(spoil, ValueError, r"of shape \(2,\), is read-only", backend)

    @pytest.mark.parametrize("name", ["prev", "step_size"])
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_read_only_state(self, backend, name):
        def spoil(o, p):
            o.state[p][name] = o.state[p][name].copy()
            o.state[p][name].flags.writeable = False

        self.check(spoil, ValueError, "is read-only", backend)

    def test_an_invalid_variant_written_into_a_group(self):
        def spoil(o, p):
            o.param_groups[1]["variant"] = "x"

        self.check(spoil, ValueError, "Invalid variant: 'x'")

    def test_irprop_plus_in_a_later_group_without_a_loss(self):
        def spoil(o, p):
            o.param_groups[1]["variant"] = "irprop+"

        self.check(spoil, ValueError, "compares the loss")

    def test_a_read_only_parameter_at_the_first_step(self):
        data = np.ones(2)
        data.flags.writeable = False
        p = Parameter(data)
        p.grad = np.ones(2)
        o = Rprop([with_grad([1.0]), p])
        with pytest.raises(ValueError, match="is read-only"):
            o.step()
        assert not o.state
        assert o.param_groups[0]["params"][0].data[0] == 1.0

    def test_a_parameter_reshaped_after_its_gradient_was_set(self):
        def spoil(o, p):
            p.data = np.ones(3)

        self.check(spoil, ValueError, "they must be equal")

    def test_state_of_another_shape_or_dtype(self):
        for wrong in (np.ones(3), np.ones(2, "f4"), np.ones((2, 1))):

            def spoil(o, p, wrong=wrong):
                o.state[p]["step_size"] = wrong

            self.check(spoil, ValueError, "step_size has shape .* they must be equal")

    @pytest.mark.parametrize("step", [np.float32(5), 5, None, np.zeros(2), np.array("a")])
    def test_a_counter_that_is_not_an_array_of_one_number(self, step):
        good, bad = with_grad([1.0, 2.0]), with_grad([3.0, 4.0])
        for params in ([bad], [good, bad]):
            o = Rprop(params)
            o.step()
            before = [p.data.copy() for p in params]
            o.state[bad]["step"] = step
            with pytest.raises(RuntimeError, match="must contain a list of singleton tensors"):
                o.step()
            assert all(same_bits(p.data, b) for p, b in zip(params, before, strict=True))

    @pytest.mark.parametrize("n", [6, 6000])
    @pytest.mark.parametrize("backend", BACKENDS)
    def test_a_gradient_that_was_resized_in_place(self, backend, n):
        p, q = (Parameter(np.ones(n)) for _ in "ab")
        o = Rprop([p, q], backend=backend, lr=1.0)
        p.grad, q.grad = np.ones(n), np.ones(n)
        o.step()
        q.grad.resize((3,), refcheck=False)
        with pytest.raises(ValueError):
            o.step()
        np.testing.assert_array_equal(p.data, 0.0)
        np.testing.assert_array_equal(q.data, 0.0)

    def test_a_parameter_that_repeats_one_element(self):
        def spoil(o, p):
            p.data = as_strided(np.ones(1), (2,), (0,))

        self.check(spoil, RuntimeError, "refers to a single memory location")

    def test_constants_that_do_not_fit_the_dtype(self):
        p = Parameter(np.ones(1, "f4"))
        p.grad = np.ones(1, "f4")
        for options in ({"lr": 1e39}, {"step_sizes": (0, 1e39)}, {"etas": (0.5, 1e39)}):
            o = Rprop([p], **options)
            with pytest.raises(RuntimeError, match="value cannot be converted to type float without overflow"):
                o.step()
            assert p.data[0] == 1
            assert not o.state

    def test_an_lr_beyond_float16_is_infinite_and_one_beyond_float32_is_refused(self):
        p = Parameter(np.ones(2, "f2"))
        p.grad = np.ones(2, "f2")
        Rprop([p], lr=1e5).step()
        assert p.data[0] == -49
        with pytest.raises(RuntimeError, match="value cannot be converted to type c10::Half without overflow"):
            Rprop([p], lr=1e39).step()

    def test_a_group_listed_twice_is_stepped_twice(self):
        p = Parameter(np.ones(3000))
        p.grad = np.ones(3000)
        o = Rprop([p], lr=0.1)
        o.param_groups.append(o.param_groups[0])
        for _ in range(2):
            o.step()
        assert o.state[p]["prev"][0] == 1
        assert p.data[0] == 1 - 0.1 - 0.1 * 1.2 - 0.1 * 1.2 * 1.2 - 0.1 * 1.2 * 1.2 * 1.2

    def test_a_single_element_of_float16_accepts_any_lr(self):
        p = Parameter(np.ones(1, "f2"))
        p.grad = np.ones(1, "f2")
        Rprop([p], lr=1e39).step()
        assert p.data[0] == -49

    def test_a_stored_loss_that_is_not_a_number(self):
        def spoil(o, p):
            o.param_groups[1].update(variant="irprop+", prev_loss="a")

        good, bad = with_grad([1.0]), with_grad([1.0])
        o = Rprop([{"params": [good]}, {"params": [bad]}])
        spoil(o, bad)
        with pytest.raises(TypeError):
            o.step(loss=1.0)
        assert good.data[0] == 1.0

    def test_overlapping_windows_are_refused(self):
        def spoil(o, p):
            p.data = as_strided(np.zeros(4), (3, 2), (8, 8))

        self.check(spoil, (RuntimeError, ValueError), ".")
        p = Parameter(as_strided(np.zeros(4), (3, 2), (8, 8)))
        p.grad = np.ones((3, 2))
        with pytest.raises(RuntimeError, match="refers to a single memory location"):
            Rprop([p]).step()
        q = Parameter(as_strided(np.zeros(12), (3, 2), (8, 40)))
        q.grad = np.ones((3, 2))
        Rprop([q], lr=1.0).step()
        np.testing.assert_array_equal(q.data, -1)

    def test_numba_refuses_float16(self):
        p = Parameter(np.ones(1, "f2"))
        p.grad = np.ones(1, "f2")
        with pytest.raises(TypeError, match="Numba has no 16-bit floats"):
            Rprop([p], backend="numba").step()

    def test_the_functional_form_checks_its_arguments(self):
        arrays = [[np.ones(2)] for _ in range(4)]
        counter = [np.zeros((), "f4")]
        numbers = {"step_size_min": 0, "step_size_max": 1, "etaminus": 0.5, "etaplus": 1.2}
        with pytest.raises(ValueError, match="a gradient has shape"):
            rprop(arrays[0], [np.ones(3)], arrays[2], arrays[3], counter, **numbers)
        with pytest.raises(ValueError, match="prev has shape"):
            rprop(arrays[0], arrays[1], [np.ones(3)], arrays[3], counter, **numbers)
        with pytest.raises(ValueError, match="Invalid variant"):
            rprop(*arrays, counter, **numbers, variant="x")
        with pytest.raises(ValueError, match="there are 1 parameters and 1, 1 and 0 of these"):
            rprop(*arrays, [], **numbers)
        with pytest.raises(ValueError, match="there are 2 gradients for 1 parameters"):
            rprop(arrays[0], arrays[1] * 2, *arrays[2:], counter, **numbers)
        assert counter[0] == 0


class TestChoiceOfBackend:
    F4, F2 = np.dtype("f4"), np.dtype("f2")

    @pytest.mark.parametrize(
        ("work", "dtype", "made", "expected"),
        [
            (0.0, F4, False, "numpy"),
            (0.99, F4, False, "numpy"),
            (1.0, F4, False, "numba"),
            (0.0, F4, True, "numba"),
            (5.0, F4, None, "numpy"),
            (5.0, F2, True, "numpy"),
            (5.0, np.dtype("c16"), False, "numba"),
        ],
    )
    def test_the_backend_chosen_for_host_arrays(self, work, dtype, made, expected):
        assert backends.choose(work, 1.0, dtype, "cpu", made) == expected

    def test_arrays_on_a_gpu_are_stepped_there(self):
        for dtype, made in ((self.F2, None), (self.F4, False), (self.F4, True)):
            assert backends.choose(0.0, 1.0, dtype, "cuda", made) == "cuda"

    def test_a_million_elements_load_numba_at_once(self):
        assert backends.choose(1_000_000 * backends.SECONDS_PER_ELEMENT, 1.0, self.F4, "cpu", False) == "numba"

    def test_other_devices_are_refused(self):
        with pytest.raises(ValueError, match="device 'tpu'"):
            backends.choose(0.0, 1.0, self.F4, "tpu", True)
