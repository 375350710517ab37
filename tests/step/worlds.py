"""Two worlds, ours and torch's, in which the same calls are made and everything is compared after each.

A `World` has the modules of one library and the objects that a program has made so far. A call is a function of a
world; `Worlds.call` makes it in both and compares the values, warnings and errors, and then everything else:
parameters, gradients, state and groups of all optimizers, and what the hooks have seen.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import tensors
from runs import outcome

import rprop_ref
from rprop_ref import interop
from rprop_ref.bits import same_bits

Array = np.ndarray[Any, Any]

#: Parts of messages that cannot be equal in two libraries, and their replacements: names of classes and dtypes, advice
#: that names an attribute of one library, addresses, and the lists of overloads with which torch's generated functions
#: refuse an argument.
SUBSTITUTIONS = [
    (r" at 0x[0-9a-f]+", " at ADDRESS"),
    (r"torch\.(cuda\.)?\w*Tensor|rprop_ref\.Parameter", "PARAMETER"),
    (r"(an invalid combination of arguments - got \([^)]*\)).*", r"\1"),
    (r"(can't assign a \w+ to a PARAMETER).*", r"\1"),
    (
        r"(assign a gradient with dtype) '.*?' to a tensor with (grad_)?dtype '.*",
        r"\1 DTYPE to a tensor with DTYPE",
    ),
    (r"^\d{9,}$", "ADDRESS"),
    (r"<class '(torch\.nn\.parameter|rprop_ref\.autograd[._a-z]*)\.Parameter'>", "<class PARAMETER>"),
]


class World:
    """The objects of a program in one library."""

    def __init__(self) -> None:
        self.params: list[Any] = []
        self.optimizers: list[Any] = []
        self.schedulers: list[Any] = []
        self.saved: list[Any] = []
        self.handles: list[Any] = []
        self.log: list[Any] = []

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()

    def plain(self, value: Any) -> Any:
        """The value with arrays in place of tensors, and numbers in place of parameters."""
        numbers = {id(p): i for i, p in enumerate(self.params)}

        def plain(value: Any) -> Any:
            if id(value) in numbers:
                return f"parameter {numbers[id(value)]}"
            if isinstance(value, dict):
                return {plain(k): plain(v) for k, v in value.items()}
            if isinstance(value, (list, tuple)):
                return type(value)(map(plain, value))
            return f"function {value.__name__}" if callable(value) else self.array_of(value)

        return plain(value)

    def snapshot(self) -> dict[str, Any]:
        """Everything that a user can see."""
        return {
            "params": [self.array_of(self.data(p)) for p in self.params],
            "grads": [self.array_of(p.grad) for p in self.params],
            "state": [self.plain(o.state) for o in self.optimizers],
            "defaults": [self.plain(o.defaults) for o in self.optimizers],
            "groups": [self.plain(o.param_groups) for o in self.optimizers],
            "repr": [repr(o) for o in self.optimizers],
            "rates": [self.plain(s.get_last_lr()) for s in self.schedulers],
            "schedules": [self.plain(s.state_dict()) for s in self.schedulers],
            "saved": self.plain(self.saved),
            "log": list(self.log),
        }

    # The parts that differ between the two libraries.
    optim: Any
    lr_scheduler: Any
    before_each: Callable[..., Any]
    after_each: Callable[..., Any]

    def array_of(self, value: Any) -> Any:
        return value

    def of_array(self, array: Array) -> Any:
        raise NotImplementedError

    def data(self, param: Any) -> Any:
        return param.data

    def parameter(self, array: Array, requires_grad: bool) -> Any:
        raise NotImplementedError

    def from_the_other(self, state_dict: Any) -> Any:
        raise NotImplementedError


class Ours(World):
    optim = rprop_ref
    lr_scheduler = rprop_ref.lr_scheduler
    before_each = staticmethod(rprop_ref.register_optimizer_step_pre_hook)
    after_each = staticmethod(rprop_ref.register_optimizer_step_post_hook)

    def of_array(self, array: Array) -> Array:
        return array

    def parameter(self, array: Array, requires_grad: bool) -> Any:
        return rprop_ref.Parameter(array, requires_grad)

    def from_the_other(self, state_dict: Any) -> Any:
        return interop.state_dict_from_torch(state_dict)


class Torchs(World):
    def __init__(self) -> None:
        super().__init__()
        import torch
        from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

        self.torch = torch
        self.optim = torch.optim
        self.lr_scheduler = torch.optim.lr_scheduler
        self.before_each = register_optimizer_step_pre_hook
        self.after_each = register_optimizer_step_post_hook

    def array_of(self, value: Any) -> Any:
        if not isinstance(value, self.torch.Tensor):
            return value
        return tensors.array_over(value)

    def of_array(self, array: Array) -> Any:
        return tensors.tensor_over(array)

    def parameter(self, array: Array, requires_grad: bool) -> Any:
        return self.torch.nn.Parameter(self.of_array(array), requires_grad)

    def from_the_other(self, state_dict: Any) -> Any:
        return interop.state_dict_to_torch(state_dict)


class MismatchError(AssertionError):
    """The two libraries differ."""


class Worlds:
    """Both worlds, in which every call is made."""

    calls = 0  # in all programs

    def __init__(self) -> None:
        self.ours, self.theirs = Ours(), Torchs()
        self.backend: str | None = None  # of our optimizers
        self.maximized = False  # whether any optimizer has maximized

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()

    def call(self, act: Callable[[World], Any]) -> bool:
        """Make a call in both worlds, compare everything, and return whether the call succeeded.

        A refused call changes nothing in our world, but may change parameters and state in torch's (docs/torch.md).
        These are then set to ours, so that the program can continue.
        """
        Worlds.calls += 1
        for o in self.ours.optimizers:
            halves = any(p.dtype.itemsize == 2 for g in o.param_groups for p in g["params"])
            o.backend = None if halves else self.backend
        before = self._ours()
        objects = [(t.param_groups, list(t.param_groups), t.state) for t in self.theirs.optimizers]
        mine, theirs = (_outcome(act, world) for world in (self.ours, self.theirs))
        difference = _difference("error and warnings", repr(mine[:2]), repr(theirs[:2]))
        difference = difference or _difference("value", mine[2], theirs[2])
        if difference:
            raise MismatchError(difference)
        refused = mine[0] is not None
        self.maximized |= any(g.get("maximize") for o in self.ours.optimizers for g in o.param_groups)
        difference = self._difference()
        if difference and refused and not _difference("", self._ours(), before):
            self._repair(objects)
            difference = self._difference()
        if difference:
            raise MismatchError(difference)
        return not refused

    def _difference(self) -> str | None:
        return _difference("", self.ours.snapshot(), self.theirs.snapshot(), signed_zeros=not self.maximized)

    def _ours(self) -> Any:
        """What a refused call must not change: everything except what the programs' closures and hooks change."""
        snapshot = self.ours.snapshot()
        return copy.deepcopy({key: value for key, value in snapshot.items() if key not in ("grads", "log")})

    def _repair(self, objects: list[tuple[Any, Any, Any]]) -> None:
        """Set torch's world to ours, in the objects that torch's world had before the call."""
        ours, theirs = self.ours, self.theirs
        with theirs.torch.no_grad():
            for p, q in zip(ours.params, theirs.params, strict=True):
                q.copy_(theirs.of_array(p.data.copy()))
        for s, t in zip(ours.schedulers, theirs.schedulers, strict=True):
            _set_counters(t, s)
        twins = {id(p): q for p, q in zip(ours.params, theirs.params, strict=True)}

        def twin(value: Any) -> Any:
            return twins.get(id(value), value)

        for o, t, (groups, members, state) in zip(ours.optimizers, theirs.optimizers, objects, strict=True):
            t.param_groups, t.state = groups, state
            groups[:] = members
            for group, other in zip(o.param_groups, members, strict=True):
                old = dict(other)
                other.clear()
                for k, v in group.items():
                    same = k in old and repr(old[k]) == repr(v)
                    other[k] = list(map(twin, v)) if k == "params" else old[k] if same else copy.deepcopy(v)
            state.clear()
            for p, entry in o.state.items():
                state[twin(p)] = {
                    k: theirs.of_array(np.array(v)) if isinstance(v, np.ndarray) else v for k, v in entry.items()
                }


def _set_counters(scheduler: Any, like: Any) -> None:
    counters = {k: v for k, v in like.__dict__.items() if k in ("last_epoch", "_step_count")}
    scheduler.__dict__.update(counters)
    for part, other in zip(getattr(scheduler, "_schedulers", ()), getattr(like, "_schedulers", ()), strict=True):
        _set_counters(part, other)


def _outcome(act: Callable[[World], Any], world: World) -> Any:
    """The outcome of a call, after the substitutions."""
    error, warned, value = outcome(lambda: world.plain(act(world)))
    return error and _substituted(*error), [_substituted(*warning) for warning in warned], value


def _substituted(kind: str, text: str) -> tuple[str, str]:
    for pattern, replacement in SUBSTITUTIONS:
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return kind, text


def _difference(where: str, a: Any, b: Any, *, signed_zeros: bool = True) -> str | None:
    """The first difference between two snapshots, ours and torch's; None if they are equal.

    Without `signed_zeros`, signs of zeros in the stored gradients of complex parameters are ignored (docs/torch.md).
    """
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        lenient = not signed_zeros and where.endswith("'prev'") and a.dtype.kind == "c"
        if same_bits(a, b, signed_zeros=not lenient):
            return None
    elif isinstance(a, dict) and isinstance(b, dict) and list(a) == list(b):
        return next(
            (d for k in a if (d := _difference(f"{where} {k!r}", a[k], b[k], signed_zeros=signed_zeros))), None
        )
    elif type(a) is type(b) and isinstance(a, (list, tuple)) and len(a) == len(b):
        pairs = enumerate(zip(a, b, strict=True))
        return next(
            (d for i, (x, y) in pairs if (d := _difference(f"{where} {i}", x, y, signed_zeros=signed_zeros))), None
        )
    elif repr(a) == repr(b):
        return None
    return f"{where}:\n  ours  {_shown(a)}\n  torch {_shown(b)}"


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value!r} {value.dtype} {value.tobytes().hex()[:200]}"
    return f"{type(value).__name__} {value!r}"
