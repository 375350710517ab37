"""Random programs of calls, run side by side in our library and in torch; see `worlds`.

``make test-peers`` runs 150 programs, always the same; ``make fuzz`` runs FUZZ_PROGRAMS new ones and prints
the numbers of programs and calls.
"""

from __future__ import annotations

import copy
import os
import pickle
from functools import partial

import cases
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from worlds import Worlds

pytestmark = pytest.mark.peers

PROGRAMS = int(os.environ.get("FUZZ_PROGRAMS", "0"))
CALLS_PER_PROGRAM = 40

nan, inf = float("nan"), float("inf")

# Options; programs draw good ones more often than bad ones. A bad option is refused when the optimizer is built, or it
# is accepted in a group, and a step refuses or uses it. Options are copied before use, as programs edit lists in place.
GOOD = {
    "lr": [0.01, 0.1, 1, 0, 100.0, 1e-9, inf, True, np.float64(0.3), np.float32(0.1)],
    "etas": [(0.5, 1.2), [0.9, 1.5], (0.5, inf), (1e-50, 1.2), (1 - 1e-8, 1.2), (0.1, 1.0000001)],
    "step_sizes": [
        (1e-6, 50),
        (0, 50),
        (0.125, 2),
        [1.0, 0.5],
        (None, 1.0),
        (0.1, None),
        (nan, 1),
        (-2, -1),
        (0, inf),
    ],
    "maximize": [True, False],
    "foreach": [None, False, True],
    "differentiable": [False],
    "capturable": [False],
    "note": ["a note"],
}
BAD = {
    "lr": [-1.0, nan, -1, "a", None, [0.1], 1j, 1e39, np.array([0.1, 0.2])],
    "etas": [(1.5, 1.2), (0.5, 1.0), (0.5,), 0.5, "ab", None, (nan, 1.2), (0.5, 1.2, 3), (1.2, 1.2), (0.5, 1e39)],
    "step_sizes": [(None, None), (0, 1e39), (0, 1e5), 3, (1,), (1, 2, 3), "ab", None, ("a", "b"), (0, "b")],
    "maximize": [None, 1, "yes"],
    "foreach": [0, "no"],
    "differentiable": [True],
    "capturable": [True],
    "momentum": [0.9],
}
OPTIONS = st.one_of(
    *[st.tuples(st.just(name), st.sampled_from(values)) for name, values in GOOD.items()] * 3,
    *[st.tuples(st.just(name), st.sampled_from(values)) for name, values in BAD.items()],
)

DTYPES = ("float32", "float64", "float16", "bfloat16", "complex64", "complex128")
SHAPES = ((), (0,), (1,), (3,), (2, 3), (2, 0), (40,), (5, 450))
LAYOUTS = ("contiguous", "transposed", "strided")

seeds = st.integers(0, 2**32 - 1)
numbers = st.integers(0, 63)  # the index of an object, modulo the number of objects


def values(seed, dtype, shape, layout="contiguous"):
    """Ordinary and special values; the same for the same seed."""
    rng = np.random.default_rng(seed)
    array = cases.mixed(rng, dtype, int(np.prod(shape))).reshape(shape)
    if layout == "transposed":
        return np.asfortranarray(array)
    if layout == "strided" and array.ndim:
        wide = np.zeros((2 * shape[0], *shape[1:]), dtype)
        wide[::2] = array
        return wide[::2]
    return array


def short_lists(values):
    return st.lists(values, max_size=4)


SCHEDULERS = {
    "LambdaLR": lambda m, o: m.LambdaLR(o, lambda e: 0.9**e),
    "StepLR": lambda m, o: m.StepLR(o, 2, 0.3),
    "ConstantLR": lambda m, o: m.ConstantLR(o, 0.3, 2),
    "LinearLR": lambda m, o: m.LinearLR(o, 0.1, 0.7, 3),
    "ExponentialLR": lambda m, o: m.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda m, o: m.CosineAnnealingLR(o, 4, 0.001),
    "SequentialLR": lambda m, o: m.SequentialLR(o, [m.LinearLR(o, 0.1, 1, 2), m.ExponentialLR(o, 0.7)], [2]),
    "ChainedScheduler": lambda m, o: m.ChainedScheduler([m.ConstantLR(o, 0.1, 2), m.ExponentialLR(o, 0.9)]),
    "ReduceLROnPlateau": lambda m, o: m.ReduceLROnPlateau(o, patience=0),
    "bad": lambda m, o: m.ConstantLR(o, 3.0),
    "not an optimizer": lambda m, o: m.StepLR(3, 2),
}


class Programs(RuleBasedStateMachine):
    """The calls that a user can make."""

    count = 0

    def __init__(self):
        super().__init__()
        Programs.count += 1
        self.worlds = Worlds()
        self.kinds = []  # dtype and shape of each parameter
        self.shared = False  # whether some parameters share memory

    def teardown(self):
        self.worlds.close()

    def call(self, act):
        return self.worlds.call(act)

    def pick(self, number, objects):
        return number % len(getattr(self.worlds.ours, objects))

    def room(self, objects, limit):
        """Whether another object may be made. Objects are few, so that many calls use the same ones."""
        return len(getattr(self.worlds.ours, objects)) < limit

    def has(self, objects):
        return bool(getattr(self.worlds.ours, objects))

    # ---------------------------------------------------------------------------------------------------
    # Parameters and gradients

    @initialize(
        seed=seeds,
        names=st.booleans(),
        shared=st.booleans(),
        options=st.sampled_from([{}, {"etas": [0.4, 1.3], "maximize": True}, {"foreach": True}]),
        backend=st.sampled_from([None, "numba"]),
    )
    def begin(self, seed, names, shared, options, backend):
        """Make a few parameters and an optimizer, so that every program has something to work on."""
        self.worlds.backend = backend
        for name in ("float32", "float32" if options.get("foreach") else "float64"):
            self.new_parameter(name, (3,), "contiguous", seed, True)
        if shared:
            self.new_parameter_in_the_memory_of_another(0)

        def params(w):
            return [(f"p{i}", p) for i, p in enumerate(w.params)] if names else w.params[:]

        self.call(lambda w: w.optimizers.append(w.optim.Rprop(params(w), **copy.deepcopy(options))))

    @precondition(lambda self: self.room("params", 8))
    @rule(
        name=st.sampled_from(DTYPES),
        shape=st.sampled_from(SHAPES),
        layout=st.sampled_from(LAYOUTS),
        seed=seeds,
        requires_grad=st.sampled_from([True, True, True, False]),
    )
    def new_parameter(self, name, shape, layout, seed, requires_grad):
        dtype = cases.dtype_named(name)
        self.kinds.append((dtype, shape))
        self.call(lambda w: w.params.append(w.parameter(values(seed, dtype, shape, layout), requires_grad)))

    @precondition(lambda self: self.room("params", 8))
    @rule(number=numbers)
    def new_parameter_in_the_memory_of_another(self, number):
        i = self.pick(number, "params")
        self.shared = True
        self.kinds.append(self.kinds[i])
        self.call(lambda w: w.params.append(type(w.params[i])(w.params[i].data)))

    def _set_gradients(self, w, o, seed):
        """Set all gradients of an optimizer."""
        params = [p for g in w.optimizers[o].param_groups for p in g["params"]]
        for i, p in enumerate(w.params):
            if any(p is q for q in params):
                p.grad = w.of_array(values(seed + i, *self.kinds[i]))

    @rule(number=numbers, seed=seeds, layout=st.sampled_from(LAYOUTS))
    def set_gradient(self, number, seed, layout):
        i = self.pick(number, "params")
        dtype, shape = self.kinds[i]
        self.call(lambda w: setattr(w.params[i], "grad", w.of_array(values(seed, dtype, shape, layout))))

    @rule(number=numbers, seed=seeds)
    def set_all_gradients(self, number, seed):
        o = self.pick(number, "optimizers")
        self.call(lambda w: self._set_gradients(w, o, seed))

    @rule(number=numbers, how=st.sampled_from(["None", "del"]))
    def drop_gradient(self, number, how):
        i = self.pick(number, "params")
        self.call(lambda w: delattr(w.params[i], "grad") if how == "del" else setattr(w.params[i], "grad", None))

    @rule(number=numbers, wrong=st.sampled_from(["shape", "dtype", "list", "number", "itself"]))
    def set_a_wrong_gradient(self, number, wrong):
        i = self.pick(number, "params")
        dtype, shape = self.kinds[i]

        def act(w):
            other = np.float32 if dtype == np.float64 else np.float64
            w.params[i].grad = {
                "shape": w.of_array(np.zeros((7, *shape), dtype)),
                "dtype": w.of_array(np.zeros(shape, other)),
                "list": [1.0],
                "number": 1.0,
                "itself": w.params[i],
            }[wrong]

        self.call(act)

    @rule(number=numbers, factor=st.sampled_from([-1, 0.5, -0.0]))
    def change_gradient_in_place(self, number, factor):
        i = self.pick(number, "params")

        def act(w):
            if w.params[i].grad is not None and self.kinds[i][0].kind != "c":
                with np.errstate(invalid="ignore"):
                    w.params[i].grad *= factor

        self.call(act)

    @rule(number=numbers, seed=seeds, how=st.sampled_from(["in place", "replaced"]))
    def write_parameter(self, number, seed, how):
        i = self.pick(number, "params")
        dtype, shape = self.kinds[i]

        def act(w):
            new = w.of_array(values(seed, dtype, shape))
            if how == "replaced":
                w.params[i].data = new
            else:
                w.params[i].data[...] = new

        self.call(act)

    # ---------------------------------------------------------------------------------------------------
    # Optimizers

    def _members(self, indices):
        return [i % len(self.kinds) for i in indices]

    def _foreach_is_defined(self, members):
        """Whether torch's foreach gives the results of its loop, and refuses in the order of the parameters.

        It does not if a parameter is listed twice (docs/torch.md), or if there are several dtypes, whose order is not
        defined.
        """
        return len(set(members)) == len(members) and len({self.kinds[i][0] for i in members}) < 2

    @precondition(lambda self: self.room("optimizers", 4))
    @rule(
        indices=short_lists(numbers),
        form=st.sampled_from(["list", "tuple", "generator", "names", "some names", "dict", "junk", "one"]),
        options=short_lists(OPTIONS),
    )
    def new_optimizer(self, indices, form, options):
        members = self._members(indices)
        options = dict(options)
        options.pop("note", None)
        if not self._foreach_is_defined(members):
            options.pop("foreach", None)

        def params(w):
            chosen = [w.params[i] for i in members]
            return {
                "list": chosen,
                "tuple": tuple(chosen),
                "generator": (p for p in chosen),
                "names": [(f"p{i}", p) for i, p in enumerate(chosen)],
                "some names": [(f"p{i}", p) if i else p for i, p in enumerate(chosen)],
                "dict": dict(enumerate(chosen)),
                "junk": [*chosen, 3.0],
                "one": chosen[0] if chosen else None,
            }[form]

        self.call(lambda w: w.optimizers.append(w.optim.Rprop(params(w), **copy.deepcopy(options))))

    GROUP = st.tuples(
        short_lists(numbers),
        st.sampled_from(["list", "list", "names", "tuple", "generator", "set", "one", "param_names", "none"]),
        short_lists(OPTIONS),
    )

    def _group(self, w, group):
        indices, form, options = group
        members = self._members(indices)
        chosen = [w.params[i] for i in members]
        options = dict(options)
        if not self._foreach_is_defined(members):
            options["foreach"] = None
        params = {
            "list": chosen,
            "names": [(f"p{i}", p) for i, p in enumerate(chosen)],
            "tuple": tuple(chosen),
            "generator": (p for p in chosen),
            "set": set(chosen),
            "one": chosen[0] if chosen else 1.0,
            "param_names": chosen,
            "none": None,
        }[form]
        if form == "param_names":
            options["param_names"] = ["a", "b"]
        return {**copy.deepcopy(options), "params": params} if form != "none" else options

    @precondition(lambda self: self.room("optimizers", 4))
    @rule(groups=st.lists(GROUP, min_size=1, max_size=3), options=short_lists(OPTIONS))
    def new_optimizer_of_groups(self, groups, options):
        options = {k: v for k, v in options if k not in ("note", "foreach")}
        self.call(
            lambda w: w.optimizers.append(
                w.optim.Rprop([self._group(w, g) for g in groups], **copy.deepcopy(options))
            )
        )

    def _indices(self, group):
        """The indices, in our world, of the parameters of a group."""
        return [i for p in group["params"] for i, q in enumerate(self.worlds.ours.params) if p is q]

    @rule(number=numbers, group=GROUP)
    def add_group(self, number, group):
        o = self.pick(number, "optimizers")
        self.call(lambda w: w.optimizers[o].add_param_group(self._group(w, group)))

    @rule(number=numbers, group=numbers, option=OPTIONS)
    def edit_option(self, number, group, option):
        o = self.pick(number, "optimizers")
        groups = self.worlds.ours.optimizers[o].param_groups
        name, value = option
        g = group % len(groups)
        if name == "foreach" and not self._foreach_is_defined(self._indices(groups[g])):
            return
        if name == "lr" and self.has("schedulers") and not isinstance(value, float):
            return
        self.call(lambda w: w.optimizers[o].param_groups[g].update({name: copy.deepcopy(value)}))

    @rule(
        number=numbers,
        group=numbers,
        name=st.sampled_from(["maximize", "etas", "step_sizes"]),
        value=numbers,
        seed=seeds,
    )
    def edit_between_steps(self, number, group, name, value, seed):
        self.train(number, [seed % 4, seed % 4])
        self.edit_option(number, group, (name, GOOD[name][value % len(GOOD[name])]))
        self.train(number, [seed % 4, seed % 4])

    @rule(number=numbers, key=st.sampled_from(["lr", "etas", "step_sizes", "maximize"]))
    def edit_default(self, number, key):
        o = self.pick(number, "optimizers")
        self.call(lambda w: w.optimizers[o].defaults.update({key: GOOD[key][-1]}))

    @rule(number=numbers, group=numbers, value=st.sampled_from([0.25, 1.5]), end=st.booleans())
    def edit_option_in_place(self, number, group, value, end):
        o = self.pick(number, "optimizers")

        def act(w):
            g = w.optimizers[o].param_groups[group % len(w.optimizers[o].param_groups)]
            for key in ("etas", "step_sizes"):
                if isinstance(g.get(key), list):
                    g[key][end] = value

        self.call(act)

    @rule(number=numbers, seeds=st.lists(st.integers(0, 3), min_size=1, max_size=5))
    def train(self, number, seeds):
        """Make steps with gradients that are sometimes repeated."""
        o = self.pick(number, "optimizers")
        for seed in seeds:
            self.call(lambda w, seed=seed: self._set_gradients(w, o, seed))
            self.call(lambda w: w.optimizers[o].step())

    @rule(number=numbers, times=st.integers(1, 4))
    def step(self, number, times):
        o = self.pick(number, "optimizers")
        for _ in range(times):
            self.call(lambda w: w.optimizers[o].step())

    @rule(
        number=numbers,
        seed=seeds,
        kind=st.sampled_from(["value", "keyword", "raises", "no function", "two arguments", "unknown keyword"]),
    )
    def step_with_closure(self, number, seed, kind):
        o = self.pick(number, "optimizers")

        def act(w):
            step = w.optimizers[o].step
            closure = partial(self._closure, w, o, seed)
            if kind == "raises":
                return step(lambda: 1 / 0)
            if kind == "keyword":
                return step(closure=closure)
            wrong = {"no function": (3,), "two arguments": (closure, 1)}
            return step(nothing=1) if kind == "unknown keyword" else step(*wrong.get(kind, (closure,)))

        self.call(act)

    def _closure(self, w, o, seed):
        self._set_gradients(w, o, seed)
        w.log.append("closure")
        return seed / 7

    @rule(number=numbers, how=st.sampled_from([(), (True,), (False,), (False,)]))
    def zero_grad(self, number, how):
        o = self.pick(number, "optimizers")
        self.call(lambda w: w.optimizers[o].zero_grad(*how))

    @rule(number=numbers, parameter=numbers, what=st.sampled_from(["delete", "touch", "size", "new"]))
    def reach_into_state(self, number, parameter, what):
        o, i = self.pick(number, "optimizers"), self.pick(parameter, "params")

        def act(w):
            state, p = w.optimizers[o].state, w.params[i]
            if what == "delete":
                state.pop(p, None)
            elif what == "touch":
                state[p]  # makes an empty entry
            elif what == "size" and state.get(p):
                state[p]["step_size"][...] = 0.25
            elif what == "new" and state.get(p):
                state[p]["step_size"] = copy.deepcopy(state[p]["step_size"])
                state[p]["step_size"][...] = 0.5

        self.call(act)

    # ---------------------------------------------------------------------------------------------------
    # Saving and loading

    @rule(number=numbers)
    def read_state_dict(self, number):
        o = self.pick(number, "optimizers")
        self.call(lambda w: w.optimizers[o].state_dict())

    @rule(number=numbers)
    def save(self, number):
        o = self.pick(number, "optimizers")
        self.call(lambda w: w.saved.append(copy.deepcopy(w.optimizers[o].state_dict())))

    @precondition(lambda self: self.has("saved"))
    @rule(saved=numbers, number=numbers, across=st.booleans())
    def load(self, saved, number, across):
        self._load(self.pick(saved, "saved"), self.pick(number, "optimizers"), across)

    @rule(number=numbers, across=st.booleans(), names=st.booleans())
    def save_and_load(self, number, across, names):
        o = self.pick(number, "optimizers")

        def act(w):
            w.saved.append(copy.deepcopy(w.optimizers[o].state_dict()))
            if not names:
                for group in w.saved[-1]["param_groups"]:
                    group.pop("param_names", None)

        if self.call(act):
            self._load(-1, o, across)

    def _load(self, s, o, across):
        if not self._can_take(s, o):
            return
        # The state is copied because torch would share it with the dict (docs/torch.md).
        mine, theirs = (
            {k: copy.deepcopy(v) if k == "state" else v for k, v in d.items()} if isinstance(d, dict) else d
            for d in (self.worlds.ours.saved[s], self.worlds.theirs.saved[s])
        )
        if across:
            try:
                mine, theirs = self.worlds.ours.from_the_other(theirs), self.worlds.theirs.from_the_other(mine)
            except (KeyError, TypeError):
                return  # the dict was mutilated
        self.call(lambda w: w.optimizers[o].load_state_dict(mine if w is self.worlds.ours else theirs))

    def _can_take(self, s, o):
        """Whether the loaded state would have the dtypes of its parameters (docs/torch.md)."""
        saved, optimizer = self.worlds.ours.saved[s], self.worlds.ours.optimizers[o]
        if not isinstance(saved, dict) or not {"state", "param_groups"} <= set(saved):
            return True
        for group, other in zip(saved["param_groups"], optimizer.param_groups):
            if group.get("foreach") and not self._foreach_is_defined(self._indices(other)):
                return False
            for number, param in zip(group["params"], other["params"]):
                for key, value in saved["state"].get(number, {}).items():
                    if key == "step" or not isinstance(value, np.ndarray):
                        continue
                    if value.shape != param.shape or (param.dtype.kind == "c" and value.dtype != param.dtype):
                        return False
        return True

    @precondition(lambda self: self.has("saved"))
    @rule(
        saved=numbers,
        how=st.sampled_from(
            ["flags", "etas", "step", "prev", "empty entry", "number", "extra", "groups", "more", "fewer", "label"]
            + ["no state", "no groups", "names", "wide step", "capturable"]
        ),
    )
    def mutilate(self, saved, how):
        s = self.pick(saved, "saved")

        def act(w):
            d = w.saved[s]
            state, groups = d["state"], d["param_groups"]
            first = next(iter(state), None)
            if how == "flags":
                for key in ("maximize", "foreach", "differentiable", "capturable"):
                    groups[0].pop(key, None)
            elif how == "etas":
                groups[0].pop("etas", None)
            elif how in ("step", "prev") and first is not None:
                state[first].pop(how, None)
            elif how == "empty entry" and first is not None:
                state[first] = {}
            elif how == "number" and first is not None and "step" in state[first]:
                state[first]["step"] = 7
            elif how == "wide step" and first is not None and not isinstance(state[first].get("step", 7), int):
                state[first]["step"] = w.of_array(np.array(3.0))
            elif how == "capturable":
                groups[0][["capturable", "fused"][len(w.saved) % 2]] = True
                for entry in state.values():
                    if isinstance(entry, dict) and not isinstance(entry.get("step", 7), int):
                        entry["step"] = w.of_array(np.array(3.0))
            elif how == "extra":
                d["extra"] = 1
                groups[0]["extra"] = 2
            elif how == "groups":
                groups.append(dict(groups[0]))
            elif how == "more":
                groups[0]["params"] = [*groups[0]["params"], 99]
            elif how == "fewer":
                groups[0]["params"] = groups[0]["params"][1:]
            elif how == "label" and first is not None:
                state["a label"] = state.pop(first)
            elif how == "no state":
                del d["state"]
            elif how == "no groups":
                del d["param_groups"]
            elif how == "names":
                groups[0]["param_names"] = ["x"] * len(groups[0]["params"])

        self.call(act)

    @precondition(lambda self: self.room("optimizers", 4) and self.room("params", 8))
    @rule(number=numbers, how=st.sampled_from(["pickle", "deepcopy", "copy"]))
    def copy_optimizer(self, number, how):
        """Add a copy, with parameters of its own, to the program."""
        o = self.pick(number, "optimizers")
        if how == "pickle" and self.shared:
            how = "deepcopy"  # pickles of shared memory differ (docs/torch.md)

        def act(w):
            old = w.optimizers[o]
            members = [*(p for g in old.param_groups for p in g["params"]), *old.state]
            numbers = [i for i, p in enumerate(w.params) if any(p is q for q in members)]
            chosen = [w.params[i] for i in numbers]
            if how == "copy":
                new, copies = copy.copy(old), []
            elif how == "deepcopy":
                new, copies = copy.deepcopy((old, chosen))
            else:
                new, copies = pickle.loads(pickle.dumps((old, chosen)))
            w.optimizers.append(new)
            w.params.extend(copies)
            return numbers if copies else []

        before = len(self.worlds.ours.params)
        self.call(act)
        copied = self.worlds.ours.params[before:]
        self.kinds += [(p.dtype, p.shape) for p in copied]

    # ---------------------------------------------------------------------------------------------------
    # Hooks

    @rule(
        number=numbers,
        where=st.sampled_from(["before each", "after each", "step_pre", "step_post"]),
        kind=st.sampled_from(["watch", "watch", "closure", "wrong", "list", "empty", "raises"]),
        seed=seeds,
    )
    def add_step_hook(self, number, where, kind, seed):
        o = self.pick(number, "optimizers")

        def act(w):
            tag = len(w.handles)

            def hook(optimizer, args, kwargs):
                w.log.append((tag, where, len(args), sorted(kwargs), args[0] is optimizer))
                if kind == "raises":
                    raise RuntimeError("a hook")
                own = next(i for i, other in enumerate(w.optimizers) if other is optimizer)
                return {
                    "closure": ((optimizer, partial(self._closure, w, own, seed)), {}),
                    "wrong": False,
                    "list": [1, 2],
                    "empty": ((), {}),
                }.get(kind)

            if where == "before each":
                handle = w.before_each(hook)
            elif where == "after each":
                handle = w.after_each(hook)
            else:
                handle = getattr(w.optimizers[o], f"register_{where}_hook")(hook)
            w.handles.append(handle)

        self.call(act)

    @rule(
        number=numbers,
        where=st.sampled_from(
            ["state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post"]
        ),
        kind=st.sampled_from(["watch", "edit", "replace", "number", "raises"]),
        prepend=st.booleans(),
    )
    def add_state_dict_hook(self, number, where, kind, prepend):
        o = self.pick(number, "optimizers")

        def act(w):
            tag = len(w.handles)

            def hook(optimizer, *rest):
                w.log.append((tag, where, len(rest)))
                if kind == "raises":
                    raise RuntimeError("a hook")
                if kind == "edit" and rest and isinstance(rest[0], dict):
                    rest[0]["edited by"] = tag
                if kind == "replace" and rest and isinstance(rest[0], dict):
                    return {**rest[0], "replaced by": tag}
                return 5 if kind == "number" else None

            w.handles.append(getattr(w.optimizers[o], f"register_{where}_hook")(hook, prepend=prepend))

        self.call(act)

    @precondition(lambda self: self.has("handles"))
    @rule(number=numbers)
    def remove_hook(self, number):
        h = self.pick(number, "handles")
        self.call(lambda w: w.handles[h].remove())

    @precondition(lambda self: self.has("handles"))
    @rule(number=numbers)
    def remove_hook_too(self, number):
        """A second chance to remove a hook, so that programs are not stuck with one that raises."""
        self.remove_hook(number)

    # ---------------------------------------------------------------------------------------------------
    # Schedulers

    @rule(number=numbers, kind=st.sampled_from(sorted(SCHEDULERS)))
    def new_scheduler(self, number, kind):
        o = self.pick(number, "optimizers")
        if not all(type(g["lr"]) is float for g in self.worlds.ours.optimizers[o].param_groups):
            return
        self.call(lambda w: w.schedulers.append(SCHEDULERS[kind](w.lr_scheduler, w.optimizers[o])))

    @precondition(lambda self: self.has("schedulers"))
    @rule(number=numbers, metric=st.sampled_from([1.0, 2.0, nan]), times=st.integers(1, 3))
    def step_scheduler(self, number, metric, times):
        s = self.pick(number, "schedulers")
        needs = hasattr(self.worlds.ours.schedulers[s], "patience")
        for _ in range(times):
            self.call(lambda w: w.schedulers[s].step(*([metric] if needs else [])))

    @precondition(lambda self: self.has("schedulers"))
    @rule(number=numbers, other=numbers)
    def load_scheduler(self, number, other):
        s, t = self.pick(number, "schedulers"), self.pick(other, "schedulers")
        if type(self.worlds.ours.schedulers[s]) is not type(self.worlds.ours.schedulers[t]):
            return
        self.call(lambda w: w.schedulers[s].load_state_dict(copy.deepcopy(w.schedulers[t].state_dict())))


def test_programs_do_the_same_in_both_libraries(capsys):
    import torch

    torch.set_num_threads(1)
    Programs.count = Worlds.calls = 0
    many = PROGRAMS > 0
    chosen = settings(
        max_examples=PROGRAMS or 150,
        stateful_step_count=CALLS_PER_PROGRAM,
        deadline=None,
        derandomize=not many,
        database=None,
        print_blob=many,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    mismatches = 1
    try:
        run_state_machine_as_test(Programs, settings=chosen)
        mismatches = 0
    finally:
        if many:
            with capsys.disabled():
                print(f"\n{Programs.count} programs, {Worlds.calls} calls, {mismatches} mismatches")
