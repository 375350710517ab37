"""`Optimizer`: parameter groups, their state, gradients set to zero. It knows no arithmetic."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from .autograd import Parameter

Group = dict[str, Any]

#: Stands in the defaults for an option that every group must give itself.
required = object()


class Optimizer:
    """Base class of the optimizers, after ``torch.optim.Optimizer``.

    Parameters
    ----------
    params : iterable
        Of `Parameter`, of ``(name, Parameter)`` pairs, or of dicts: each dict is one group, holds its
        parameters under ``"params"``, and overrides the defaults by the other keys. The dicts themselves
        become the groups.
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

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        if isinstance(params, Parameter):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__module__.split('.')[0]}.{type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Parameter, dict[str, Any]] = defaultdict(dict)
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
        if isinstance(params, Parameter):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors "
                "in sets will change between runs. Please use a list instead."
            )
        params = list(params)
        added: Group = {}
        if any(isinstance(p, tuple) for p in params):
            if not all(isinstance(p, tuple) for p in params):
                raise ValueError("all optimizer params should be with/without names. Some param names are missing")
            added["param_names"] = [p[0] for p in params]
            params = [p[1] for p in params]
        for param in params:
            if not isinstance(param, Parameter):
                kind = type(param)
                name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {name}")
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
                stacklevel=3,
            )
        taken = {p for g in self.param_groups for p in g["params"]}
        if not taken.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        if self.param_groups and ("param_names" in group) != ("param_names" in self.param_groups[0]):
            which = "with names" if "param_names" in group else "without names"
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                f"cannot add param group {which} to the optimizer"
            )
        param_group["params"] = params
        param_group.update(added)
        self.param_groups.append(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Parameters
        ----------
        set_to_none : bool, optional
            True: the gradients become None, and a step skips the parameter. False: they are filled with zeros
            in place, in the arrays that were given, and a step sees a gradient of zero (which clears the
            memory of the sign).
        """
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param._grad = None
                elif param._grad is not None:
                    param._grad.fill(0)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; each optimizer has its own."""
        raise NotImplementedError

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += ["", f"Parameter Group {i}"] if i else [f"Parameter Group {i}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])
