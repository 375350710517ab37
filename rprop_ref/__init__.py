"""Rprop for NumPy: the reference that other implementations are checked against.

Importing this package is quick: each public name is loaded when it is first used. Most names load NumPy,
`minimize` loads SciPy, and Numba is loaded when there is enough work for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Imported early, so that it notices every fork of the process (see there).
from numba_kernels import _processes as _processes

if TYPE_CHECKING:
    from . import autograd, crosscheck, interop, lr_scheduler
    from ._minimizer.minimize import minimize
    from ._multistart.minimize_many import minimize_many
    from ._multistart.starts import distinct_minima, starts
    from ._step.functional import rprop
    from ._step.rprop import Rprop
    from ._teaching.step_table import step_table
    from .autograd import Parameter, Tensor, enable_grad, no_grad
    from .checkpoint import load_checkpoint, save_checkpoint
    from .hooks import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
    from .optimizer import Optimizer
    from .trace import Trace

__version__ = "0.1.0.dev0"

__all__ = [
    "Optimizer",
    "Parameter",
    "Rprop",
    "Tensor",
    "Trace",
    "autograd",
    "crosscheck",
    "distinct_minima",
    "enable_grad",
    "interop",
    "load_checkpoint",
    "lr_scheduler",
    "minimize",
    "minimize_many",
    "no_grad",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "rprop",
    "save_checkpoint",
    "starts",
    "step_table",
]

# The module of each public name; a public module stands for itself.
_MODULES = {
    "Optimizer": "optimizer",
    "Parameter": "autograd",
    "Rprop": "_step.rprop",
    "Tensor": "autograd",
    "Trace": "trace",
    "autograd": "autograd",
    "crosscheck": "crosscheck",
    "distinct_minima": "_multistart.starts",
    "enable_grad": "autograd",
    "interop": "interop",
    "load_checkpoint": "checkpoint",
    "lr_scheduler": "lr_scheduler",
    "minimize": "_minimizer.minimize",
    "minimize_many": "_multistart.minimize_many",
    "no_grad": "autograd",
    "register_optimizer_step_post_hook": "hooks",
    "register_optimizer_step_pre_hook": "hooks",
    "rprop": "_step.functional",
    "save_checkpoint": "checkpoint",
    "starts": "_multistart.starts",
    "step_table": "_teaching.step_table",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f".{_MODULES[name]}", __name__)
    value = globals()[name] = module if _MODULES[name] == name else getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
