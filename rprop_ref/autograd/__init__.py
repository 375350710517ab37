"""Gradients of NumPy code: reverse-mode automatic differentiation with torch's meaning and NumPy's functions.

`Tensor` is an array that records what is computed with it; ``backward()`` goes back through the record. Rules are
data, one table for each family of functions; the rest is a page each:

    _mode       whether operations are recorded
    _traced     what a Tensor keeps
    _rules      the table of rules, and what they have in common
    _elementwise, _shapes, _reductions, _linalg, _signals, _special    the rules
    _record     a function that has a rule is computed, and remembered as a node of the graph
    _engine     the backward pass through the graph
    _inplace    changes in place
    _dispatch   calls of NumPy's functions with Tensors
    _tensor     Tensor and Parameter: attributes, operators, conversions
    _functions  grad, value_and_grad, gradcheck, logsumexp, softmax

Each uses only those above it.
"""

from __future__ import annotations

from ._functions import grad, gradcheck, logsumexp, softmax, value_and_grad
from ._mode import enable_grad, is_grad_enabled, no_grad
from ._rules import register_vjp
from ._tensor import Parameter, Tensor

__all__ = [
    "Parameter",
    "Tensor",
    "enable_grad",
    "grad",
    "gradcheck",
    "is_grad_enabled",
    "logsumexp",
    "no_grad",
    "register_vjp",
    "softmax",
    "value_and_grad",
]
