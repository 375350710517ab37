"""Rprop for NumPy: the reference that other implementations are checked against.

Importing this package imports NumPy and nothing heavier; Numba and SciPy are loaded when first needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._rprop import Rprop, rprop
from .autograd import Parameter
from .hooks import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from .optimizer import Optimizer

if TYPE_CHECKING:
    from . import lr_scheduler
    from ._minimize import minimize

__version__ = "0.1.0.dev0"

__all__ = [
    "Optimizer",
    "Parameter",
    "Rprop",
    "lr_scheduler",
    "minimize",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "rprop",
]

# Public names that are loaded when first used: the first because it imports SciPy, the second to save time.
_LAZY = {"minimize": "_minimize", "lr_scheduler": "lr_scheduler"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module = importlib.import_module(f".{_LAZY[name]}", __name__)
        value = globals()[name] = module if _LAZY[name] == name else getattr(module, name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
