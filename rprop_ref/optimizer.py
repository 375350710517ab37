"""`Optimizer`: parameter groups, their state, hooks, state dicts. It knows no arithmetic."""

from __future__ import annotations

import copy
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from cuda_kernels.arrays import DeviceArray, from_host, is_on_device

from . import hooks
from ._common.stacklevel import stacklevel
from ._core.checks import typename
from .autograd import Tensor
from .hooks import Hook, RemovableHandle

Group = dict[str, Any]

# The attributes that hold hooks, under torch's names. They are not pickled.
_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)

#: Stands in the defaults for an option that every group must give itself.
required = object()


class Optimizer:
    """Base class of the optimizers, after ``torch.optim.Optimizer``.

    Parameters
    ----------
    params : iterable
        Of `Parameter` (or other `Tensor` that are leaves), of ``(name, Parameter)`` pairs, or of dicts: each dict
        is one group, holds its parameters under ``"params"``, and overrides the defaults by the other keys. The
        dicts themselves become the groups.
    defaults : dict
        The options of a group that does not give them.

    Attributes
    ----------
    defaults : dict
    param_groups : list of dict
        Read at every step, so that an edit of an option acts from the next step on.
    state : dict
        For each parameter that has made a step, what the optimizer remembers of it.

    Raises
    ------
    ValueError, TypeError
        With the words of torch where it refuses the same thing.
    """

    _optimizer_step_pre_hooks: hooks.Hooks
    _optimizer_step_post_hooks: hooks.Hooks
    _optimizer_state_dict_pre_hooks: hooks.Hooks
    _optimizer_state_dict_post_hooks: hooks.Hooks
    _optimizer_load_state_dict_pre_hooks: hooks.Hooks
    _optimizer_load_state_dict_post_hooks: hooks.Hooks

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._wrap_step()

    @classmethod
    def _wrap_step(cls) -> None:
        """Let the step of the class run the hooks, wherever the class has it from."""
        if cls.step is not Optimizer.step and not hasattr(cls.step, "hooked"):
            cls.step = hooks.with_step_hooks(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        self._wrap_step()  # it may have been assigned after the class was made
        self._forget_hooks()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__module__.split('.')[0]}.{type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, also after steps have been made.

        Parameters
        ----------
        param_group : dict
            The parameters under ``"params"`` (one, or an ordered iterable of them or of ``(name, Parameter)``
            pairs), and any options. The dict itself becomes the group: its parameters become a list and the
            defaults are filled in. A dict that is refused is left as it was.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors "
                "in sets will change between runs. Please use a list instead."
            )
        members = list(params)
        params = [p[1] if isinstance(p, tuple) else p for p in members]
        names = [p[0] for p in members if isinstance(p, tuple)]
        added: Group = {}
        if names:
            if len(names) != len(params):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            added["param_names"] = names
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {typename(param)}")
            if not (param.is_leaf or param.retains_grad or self.defaults.get("differentiable")):
                raise ValueError("can't optimize a non-leaf Tensor")
        group = {**param_group, **added, "params": params}
        for name, default in self.defaults.items():
            if default is required and name not in group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
            added.setdefault(name, group.get(name, default))
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an "
                "error; see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=stacklevel(),
            )
        if any(("param_names" in group) != ("param_names" in other) for other in self.param_groups):
            which = "with names" if "param_names" in group else "without names"
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                f"cannot add param group {which} to the optimizer"
            )
        taken = {p for g in self.param_groups for p in g["params"]}
        if not taken.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        param_group["params"] = params
        param_group.update(added)
        self.param_groups.append(param_group)

    # ---------------------------------------------------------------------------------------------------
    # Hooks

    def _forget_hooks(self) -> None:
        for name in _HOOKS:
            setattr(self, name, OrderedDict())

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Run a hook before each step.

        Parameters
        ----------
        hook : callable
            ``hook(optimizer, args, kwargs)``, with ``args[0]`` the optimizer. It returns None, or a tuple
            ``(new_args, new_kwargs)`` of what the step is to be called with instead.

        Returns
        -------
        RemovableHandle
            Its ``remove()`` takes the hook away again.
        """
        return hooks.register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Run ``hook(optimizer, args, kwargs)`` after each step; returns a `RemovableHandle`."""
        return hooks.register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(optimizer)`` before `state_dict` collects anything; returns a `RemovableHandle`.

        With `prepend` it runs before all hooks that are registered already.
        """
        return hooks.register(self._optimizer_state_dict_pre_hooks, hook, prepend=prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(optimizer, state_dict)`` on what `state_dict` returns; returns a `RemovableHandle`.

        The hook may change the dict in place, or return another object, which then takes its place. With
        `prepend` it runs before all hooks that are registered already.
        """
        return hooks.register(self._optimizer_state_dict_post_hooks, hook, prepend=prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(optimizer, state_dict)`` before `load_state_dict` looks at it; returns a `RemovableHandle`.

        The dict is a shallow copy of the one that was passed. The hook may change it in place, or return
        another, which is loaded then. With `prepend` it runs before all hooks that are registered already.
        """
        return hooks.register(self._optimizer_load_state_dict_pre_hooks, hook, prepend=prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(optimizer)`` after `load_state_dict` has succeeded; returns a `RemovableHandle`.

        With `prepend` it runs before all hooks that are registered already.
        """
        return hooks.register(self._optimizer_load_state_dict_post_hooks, hook, prepend=prepend)

    # ---------------------------------------------------------------------------------------------------
    # State dicts

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the options as a dict of plain objects, without the parameters.

        Returns
        -------
        dict
            ``"state"``: for each parameter that has made a step, under its number, its state. ``"param_groups"``:
            the groups, with the numbers of the parameters in place of the parameters. Parameters are numbered
            0, 1, 2, ... through all groups.

            The arrays and the values are the live ones, not copies: later steps change them. Copy the dict
            (``copy.deepcopy``) to keep a moment.
        """
        for hook in tuple(self._optimizer_state_dict_pre_hooks.values()):
            hook(self)
        numbers: dict[Tensor, int] = {}
        groups = []
        count = 0
        for group in self.param_groups:
            members = group["params"]
            # As in torch, a parameter that is listed twice goes under the last of its numbers.
            fresh = {p: count + i for i, p in enumerate(members) if p not in numbers}
            numbers.update(fresh)
            count += len(members)
            packed = {key: value for key, value in group.items() if key != "params"}
            groups.append({**packed, "params": [numbers[p] for p in members]})
        state = {}
        for key, value in self.state.items():
            if isinstance(key, Tensor) and key not in numbers:
                raise KeyError(id(key))  # as torch says it: the parameter belongs to no group
            state[numbers[key] if isinstance(key, Tensor) else key] = value
        found: Any = {"state": state, "param_groups": groups}
        for hook in tuple(self._optimizer_state_dict_post_hooks.values()):
            replaced = hook(self, found)
            found = found if replaced is None else replaced
        return found  # type: ignore[no-any-return]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the state and the options from a dict that `state_dict` returned.

        Parameters are matched by position, not by name. The arrays are copied, so that no other optimizer is
        changed by later steps of this one; all but ``step`` are converted to the dtype of the parameter.
        ``param_names`` in the dict replace those of the groups, which stay if the dict has none.

        Parameters
        ----------
        state_dict : dict
            From an optimizer with as many groups, of as many parameters each. Not changed.

        Warns
        -----
        UserWarning
            If complex state is loaded for a real parameter.

        Raises
        ------
        ValueError
            If the number of groups, or of parameters in one, is different.
        KeyError
            If an entry is missing. Nothing has been changed in either case.

        Notes
        -----
        Build learning rate schedulers before you load: a scheduler sets the rates when it is built.
        """
        given: Any = state_dict.copy()  # type: ignore[attr-defined]
        for hook in tuple(self._optimizer_load_state_dict_pre_hooks.values()):
            replaced = hook(self, given)
            given = given if replaced is None else replaced

        saved_groups = copy.deepcopy(given["param_groups"])
        if len(saved_groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        pairs = list(zip(self.param_groups, saved_groups, strict=True))
        if any(len(group["params"]) != len(saved["params"]) for group, saved in pairs):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        members: dict[Any, tuple[Tensor, Group]] = {}
        for group, saved in pairs:
            for number, param in zip(saved["params"], group["params"], strict=True):
                members[number] = (param, saved)
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in given["state"].items():
            if key in members:
                param, saved = members[key]
                state[param] = self._loaded(value, param, saved, None)
            else:
                state[key] = value
        for group, saved in pairs:
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self._arrange(saved_groups, state)
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in tuple(self._optimizer_load_state_dict_post_hooks.values()):
            hook(self)

    @classmethod
    def _loaded(cls, value: Any, param: Tensor, group: Group, key: Any) -> Any:
        """A copy of some saved state, in the dtype of the parameter it is for."""
        if isinstance(value, Tensor):
            value = value.data
        there = is_on_device(param._data)
        if isinstance(value, DeviceArray) or (there and isinstance(value, np.ndarray)):
            host = value.copy_to_host() if isinstance(value, DeviceArray) else value
            if key == "step":
                there = there and bool(group.get("capturable"))
            loaded = cls._loaded_array(host, param, group, key)
            return from_host([loaded])[0] if there else loaded
        if isinstance(value, np.ndarray):
            return cls._loaded_array(value, param, group, key)
        if isinstance(value, dict):
            return {k: cls._loaded(v, param, group, k) for k, v in value.items()}
        if isinstance(value, (list, tuple, set)):
            return type(value)(cls._loaded(v, param, group, None) for v in value)
        return copy.deepcopy(value)

    @staticmethod
    def _loaded_array(value: Any, param: Tensor, group: Group, key: Any) -> Any:
        if key == "step":
            fixed = group.get("capturable") or group.get("fused")
            return value.astype(np.float32) if fixed else value.copy()
        if param.dtype.kind == "c" or value.dtype == param.dtype:
            return value.copy()
        if value.dtype.kind == "c":
            warnings.warn("Casting complex values to real discards the imaginary part", stacklevel=stacklevel())
            value = value.real
        with np.errstate(over="ignore"):
            return value.astype(param.dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        if "param_groups" in state:
            self._complete(state["param_groups"], state.get("state", {}))
        self.__dict__.update(state)
        if _HOOKS[0] not in self.__dict__:
            self._forget_hooks()
        self.defaults.setdefault("differentiable", False)

    def _arrange(self, groups: list[Group], state: Mapping[Any, Any]) -> None:
        """Choose the memory of state that was loaded, before it is taken over."""

    def _complete(self, groups: list[Group], state: Mapping[Any, Any]) -> None:
        """Add to groups and state what older versions did not save, before they are taken over."""

    # ---------------------------------------------------------------------------------------------------
    # Gradients and steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Parameters
        ----------
        set_to_none : bool, optional
            True: the gradients become None, and a step skips the parameter. False: they are filled with zeros
            in place, in the arrays that were given, and a step sees a gradient of zero (which clears the
            memory of the sign).
        """
        params = [p for group in self.param_groups for p in group["params"] if p._grad is not None]
        if set_to_none:
            for param in params:
                param._grad = None
            return
        for param in params:
            if isinstance(param._grad, Tensor):  # with a graph, which ends here
                param._grad._memory.writes += 1
                param.grad = param._grad.data
        if not all((g if isinstance(g := p._grad, DeviceArray) else g.flags).writeable for p in params):
            raise ValueError(
                "a gradient is read-only and cannot be filled with zeros; use zero_grad(set_to_none=True)"
            )
        for param in params:
            param._grad.fill(0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; each optimizer has its own."""
        raise NotImplementedError

    def __repr__(self) -> str:
        if not self.param_groups:
            return f"{type(self).__name__} ()"
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += ["", f"Parameter Group {i}"] if i else [f"Parameter Group {i}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    def _repr_html_(self) -> str:
        from ._common.display import optimizer_html

        return optimizer_html(self)
