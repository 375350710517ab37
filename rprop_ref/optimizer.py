"""`Optimizer`: parameter groups, their state, hooks and state dicts. It contains no arithmetic."""

from __future__ import annotations

import copy
import html
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from cuda_kernels.arrays import DeviceArray, from_host, is_on_device

from . import hooks
from ._common.display import html_table
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

#: The default of an option that every group must give itself.
required = object()


class Optimizer:
    """Base class of the optimizers, after ``torch.optim.Optimizer``.

    Parameters
    ----------
    params : iterable
        Of `Parameter` (or other leaf Tensors), of ``(name, Parameter)`` pairs, or of dicts. Each dict is one
        group: it holds its parameters under ``"params"``, and its other keys override the defaults. The dicts
        themselves become the groups.
    defaults : dict
        The options of a group that does not give them.

    Attributes
    ----------
    defaults : dict
    param_groups : list of dict
        Read at every step, so that an edit of an option takes effect at the next step.
    state : dict
        For each parameter that has made a step, what the optimizer remembers of it.

    Raises
    ------
    ValueError, TypeError
        In torch's words where torch refuses the same thing.
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
        """Make the step of the class run the hooks, whether the class defines it or inherits it."""
        if cls.step is not Optimizer.step and not hasattr(cls.step, "hooked"):
            cls.step = hooks.with_step_hooks(cls.step)  # type: ignore[method-assign]

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        self._wrap_step()  # `step` may have been assigned after the class was made
        self._clear_hooks()
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

    # ---------------------------------------------------------------------------------------------------
    # Groups

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters; steps may have been made before.

        Parameters
        ----------
        param_group : dict
            The parameters under ``"params"`` (one, or an ordered iterable of them or of ``(name, Parameter)``
            pairs), and any options. The dict itself becomes the group: its parameters become a list, and the
            defaults are filled in. A dict that is refused is left as it was.
        """
        # The checks are in torch's order. The dict is written only when all have passed.
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params, names = _params_and_names(param_group["params"])
        self._check_params(params)
        additions: Group = {"param_names": names} if names else {}
        additions |= self._missing_options({**param_group, **additions})
        _warn_of_duplicates(params)
        self._check_named_alike("param_names" in param_group or "param_names" in additions)
        self._check_in_no_group(params)
        param_group["params"] = params
        param_group.update(additions)
        self.param_groups.append(param_group)

    def _check_params(self, params: list[Any]) -> None:
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {typename(param)}")
            if not (param.is_leaf or param.retains_grad or self.defaults.get("differentiable")):
                raise ValueError("can't optimize a non-leaf Tensor")

    def _missing_options(self, group: Group) -> Group:
        """The defaults of the options that a group does not give."""
        missing = {name: default for name, default in self.defaults.items() if name not in group}
        for name, default in missing.items():
            if default is required:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
        return missing

    def _check_named_alike(self, named: bool) -> None:
        """Refuse a group with names if another group has none, and the reverse."""
        if any(named != ("param_names" in group) for group in self.param_groups):
            which = "with names" if named else "without names"
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                f"cannot add param group {which} to the optimizer"
            )

    def _check_in_no_group(self, params: list[Tensor]) -> None:
        members = {p for group in self.param_groups for p in group["params"]}
        if not members.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")

    # ---------------------------------------------------------------------------------------------------
    # Hooks

    def _clear_hooks(self) -> None:
        for name in _HOOKS:
            setattr(self, name, OrderedDict())

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Run a hook before each step.

        Parameters
        ----------
        hook : callable
            ``hook(optimizer, args, kwargs)``, with ``args[0]`` the optimizer. It returns None, or a tuple
            ``(new_args, new_kwargs)`` with which the step is called instead.

        Returns
        -------
        RemovableHandle
            Its ``remove()`` removes the hook.
        """
        return hooks.register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Run ``hook(optimizer, args, kwargs)`` after each step; returns a `RemovableHandle`."""
        return hooks.register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(optimizer)`` before `state_dict` collects anything; returns a `RemovableHandle`.

        With `prepend` it runs before all hooks registered so far.
        """
        return hooks.register(self._optimizer_state_dict_pre_hooks, hook, prepend=prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(optimizer, state_dict)`` on what `state_dict` returns; returns a `RemovableHandle`.

        The hook may change the dict in place, or return another object to replace it. With `prepend` it runs
        before all hooks registered so far.
        """
        return hooks.register(self._optimizer_state_dict_post_hooks, hook, prepend=prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(optimizer, state_dict)`` before `load_state_dict` reads it; returns a `RemovableHandle`.

        The dict is a shallow copy of the one that was passed. The hook may change it in place, or return another
        one to be loaded instead. With `prepend` it runs before all hooks registered so far.
        """
        return hooks.register(self._optimizer_load_state_dict_pre_hooks, hook, prepend=prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Run ``hook(optimizer)`` after `load_state_dict` has succeeded; returns a `RemovableHandle`.

        With `prepend` it runs before all hooks registered so far.
        """
        return hooks.register(self._optimizer_load_state_dict_post_hooks, hook, prepend=prepend)

    # ---------------------------------------------------------------------------------------------------
    # State dicts

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the options as a dict of plain objects, without the parameters.

        Returns
        -------
        dict
            ``"state"``: the state of each parameter that has made a step, by the number of the parameter.
            ``"param_groups"``: the groups, with numbers in place of the parameters. Parameters are numbered
            0, 1, 2, ... through all groups.

            Arrays and values are not copied, so later steps change them. Copy the dict (``copy.deepcopy``) to
            keep it as it is now.
        """
        for hook in tuple(self._optimizer_state_dict_pre_hooks.values()):
            hook(self)
        groups, numbers = self._numbered_groups()
        state = {}
        for key, value in self.state.items():
            if isinstance(key, Tensor) and key not in numbers:
                raise KeyError(id(key))  # torch's error for a parameter that belongs to no group
            state[numbers[key] if isinstance(key, Tensor) else key] = value
        state_dict = {"state": state, "param_groups": groups}
        return self._after_hooks(self._optimizer_state_dict_post_hooks, state_dict)  # type: ignore[no-any-return]

    def _numbered_groups(self) -> tuple[list[Group], dict[Tensor, int]]:
        """The groups with numbers in place of the parameters, and the number of each parameter."""
        numbers: dict[Tensor, int] = {}
        groups = []
        count = 0
        for group in self.param_groups:
            members = group["params"]
            # As in torch, a parameter that is listed twice has the last of its numbers.
            new_numbers = {p: count + i for i, p in enumerate(members) if p not in numbers}
            numbers.update(new_numbers)
            count += len(members)
            options = {key: value for key, value in group.items() if key != "params"}
            groups.append({**options, "params": [numbers[p] for p in members]})
        return groups, numbers

    def _after_hooks(self, registered: hooks.Hooks, value: Any) -> Any:
        """What hooks make of a state dict: each may change it, or return something to replace it."""
        for hook in tuple(registered.values()):
            replacement = hook(self, value)
            value = value if replacement is None else replacement
        return value

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load the state and the options from a dict that `state_dict` returned.

        Parameters are matched by position, not by name. The arrays are copied, so that later steps of this
        optimizer change no other one; all but ``step`` are converted to the dtype of the parameter.
        ``param_names`` in the dict replace those of the groups; if the dict has none, the groups keep theirs.

        Parameters
        ----------
        state_dict : dict
            From an optimizer with the same number of groups, and of parameters in each. Not changed.

        Warns
        -----
        UserWarning
            If complex state is loaded for a real parameter.

        Raises
        ------
        ValueError
            If the number of groups, or of parameters in a group, differs.
        KeyError
            If an entry is missing. Nothing has been changed in either case.

        Notes
        -----
        Build learning rate schedulers before you load: a scheduler sets the rates when it is built.
        """
        copied = state_dict.copy()  # type: ignore[attr-defined]
        to_load = self._after_hooks(self._optimizer_load_state_dict_pre_hooks, copied)
        saved_groups = copy.deepcopy(to_load["param_groups"])
        pairs = self._matched_groups(saved_groups)
        state = self._loaded_state(to_load["state"], pairs)
        for group, saved in pairs:
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        self._pack_state(saved_groups, state)
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in tuple(self._optimizer_load_state_dict_post_hooks.values()):
            hook(self)

    def _matched_groups(self, saved_groups: list[Group]) -> list[tuple[Group, Group]]:
        """The pairs of a group and the saved one for it; refuses groups of other sizes."""
        if len(saved_groups) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        pairs = list(zip(self.param_groups, saved_groups, strict=True))
        if any(len(group["params"]) != len(saved["params"]) for group, saved in pairs):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        return pairs

    def _loaded_state(self, saved_state: Any, pairs: list[tuple[Group, Group]]) -> defaultdict[Any, Any]:
        """A copy of saved state, by parameter instead of by number."""
        by_number: dict[Any, tuple[Tensor, Group]] = {}
        for group, saved in pairs:
            for number, param in zip(saved["params"], group["params"], strict=True):
                by_number[number] = (param, saved)
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in saved_state.items():
            if key in by_number:
                param, saved = by_number[key]
                state[param] = self._loaded(value, param, saved, None)
            else:
                state[key] = value
        return state

    @classmethod
    def _loaded(cls, value: Any, param: Tensor, group: Group, key: Any) -> Any:
        """A copy of saved state in the dtype of its parameter, and on a GPU if the parameter is."""
        if isinstance(value, Tensor):
            value = value.data
        on_device = is_on_device(param._array)
        if isinstance(value, DeviceArray) or (on_device and isinstance(value, np.ndarray)):
            host = value.copy_to_host() if isinstance(value, DeviceArray) else value
            if key == "step":
                on_device = on_device and bool(group.get("capturable"))
            loaded = cls._loaded_array(host, param, group, key)
            return from_host([loaded])[0] if on_device else loaded
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
            must_be_float32 = group.get("capturable") or group.get("fused")
            return value.astype(np.float32) if must_be_float32 else value.copy()
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
            self._add_missing_entries(state["param_groups"], state.get("state", {}))
        self.__dict__.update(state)
        if _HOOKS[0] not in self.__dict__:
            self._clear_hooks()
        self.defaults.setdefault("differentiable", False)

    def _pack_state(self, groups: list[Group], state: Mapping[Any, Any]) -> None:
        """Move loaded state into the memory that steps prefer; called before the optimizer takes it."""

    def _add_missing_entries(self, groups: list[Group], state: Mapping[Any, Any]) -> None:
        """Add to groups and state what older versions did not save; called before the optimizer takes them."""

    # ---------------------------------------------------------------------------------------------------
    # Gradients and steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of all parameters.

        Parameters
        ----------
        set_to_none : bool, optional
            True: the gradients become None, and a step skips the parameters. False: the arrays that were given
            are filled with zeros in place, and a step sees a gradient of zero (which clears the memory of the
            sign).
        """
        params = [p for group in self.param_groups for p in group["params"] if p._grad is not None]
        if set_to_none:
            for param in params:
                param._grad = None
            return
        for param in params:
            if isinstance(param._grad, Tensor):  # it has a graph, which is dropped
                param._grad._memory.writes += 1
                param.grad = param._grad.data
        if not all((g if isinstance(g := p._grad, DeviceArray) else g.flags).writeable for p in params):
            raise ValueError(
                "a gradient is read-only and cannot be filled with zeros; use zero_grad(set_to_none=True)"
            )
        for param in params:
            param._grad.fill(0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; each subclass defines its own."""
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
        parts = [self._group_html(i, group) for i, group in enumerate(self.param_groups)]
        return "".join(parts) or f"{html.escape(type(self).__name__)} without groups"

    def _group_html(self, i: int, group: Group) -> str:
        """Two tables for a group: its options, and its parameters with their state."""
        options = [(key, str(group[key])) for key in sorted(group) if key not in ("params", "param_names")]
        members = []
        for j, param in enumerate(group["params"]):
            state = self.state.get(param) or {}
            size = state.get("step_size")
            name = str(group["param_names"][j] if "param_names" in group else j)
            steps = f"{float(state['step']):.0f}" if "step" in state else "0"
            median = "" if size is None or not size.size else f"{np.median(np.abs(size)):.3g}"
            members.append((name, str(tuple(param.shape)), param.dtype.name, steps, median))
        caption = f"{type(self).__name__}, group {i}"
        head = ("parameter", "shape", "dtype", "steps", "median step size")
        return html_table(("option", "value"), options, caption, left=(0, 1)) + html_table(
            head, members, left=(0, 1, 2)
        )


def _params_and_names(given: Any) -> tuple[list[Any], list[Any]]:
    """The parameters of a group, and their names: none, or one for each."""
    if isinstance(given, Tensor):
        given = [given]
    elif isinstance(given, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors "
            "in sets will change between runs. Please use a list instead."
        )
    members = list(given)
    params = [p[1] if isinstance(p, tuple) else p for p in members]
    names = [p[0] for p in members if isinstance(p, tuple)]
    if names and len(names) != len(params):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    return params, names


def _warn_of_duplicates(params: list[Tensor]) -> None:
    if len(params) != len(set(params)):
        warnings.warn(
            "optimizer contains a parameter group with duplicate parameters; in future, this will cause an "
            "error; see github.com/pytorch/pytorch/issues/40967 for more information",
            stacklevel=stacklevel(),
        )
