"""Gradients of NumPy code: reverse-mode automatic differentiation with torch's meaning and NumPy's functions.

`Tensor` is an array that records what is computed with it; ``backward()`` goes back through the graph of recorded
operations. Each module uses only those above it::

    _mode        whether operations are recorded
    _traced      the data of a Tensor
    _primitives  the table of functions with vector-Jacobian products (vjps), and helpers of the vjps
    _elementwise, _shapes, _reductions, _linalg, _special ...    the rows of the table
    _graph       calls of primitives become nodes of the graph
    _engine      the backward pass through the graph
    _inplace     changes in place
    _ufuncs      methods of ufuncs
    _dispatch    calls of NumPy's functions with Tensors
    _foreign     what other packages do with a Tensor
    _tensor      Tensor: attributes, operators, conversions
    _parameter   Parameter, in host memory or on a GPU
    _functions   grad, value_and_grad, logsumexp, softmax
    _gradcheck   gradcheck
    linalg, special    functions of SciPy that do not hand Tensors on (loaded when first used)
"""

from __future__ import annotations

import importlib
from typing import Any

from ._functions import grad, logsumexp, softmax, value_and_grad
from ._gradcheck import gradcheck
from ._mode import enable_grad, is_grad_enabled, no_grad
from ._parameter import Parameter
from ._primitives import register_vjp
from ._tensor import Tensor

__all__ = [
    "Parameter",
    "Tensor",
    "enable_grad",
    "grad",
    "gradcheck",
    "is_grad_enabled",
    "linalg",
    "logsumexp",
    "no_grad",
    "register_vjp",
    "softmax",
    "special",
    "value_and_grad",
]


def __getattr__(name: str) -> Any:
    # They need SciPy, which takes long to import.
    if name in ("linalg", "special"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
