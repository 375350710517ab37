"""What frequent errors of an implementation mean, in the words of its author's code."""

from __future__ import annotations

import re

#: A pattern of an error, and what it means.
_ADVICE = (
    (
        r"numpy boolean subtract",
        "Your code subtracts NumPy booleans: gradients are NumPy scalars, and so is what comparing them gives. "
        "Write np.sign(g), or convert each gradient with float(g).",
    ),
    (
        r"unexpected keyword argument '(lr|etas|step_sizes|maximize)'",
        "The factory is called as factory(x0, lr=..., etas=(..., ...), step_sizes=(..., ...), maximize=...).",
    ),
    (
        r"unexpected keyword argument 'loss'",
        "A step is called as step(grad, loss=...); the rules that do not compare losses may ignore the loss.",
    ),
    (
        r"truth value of an array|only (length-1|size-1|0-dimensional) arrays can be converted",
        "A gradient is an array of all coordinates: write np.where instead of if, or loop over the coordinates.",
    ),
)

#: What to try where an error is not a frequent one.
LEAVE_OUT = "If the implementation lacks a feature or a dtype, leave it out with without= or dtypes=."


def advice_on(error: str) -> str:
    """What an error means; empty if it is not a frequent one."""
    return next((text for pattern, text in _ADVICE if re.search(pattern, error)), "")


def with_advice(error: str) -> str:
    """An error of which nothing but this line is shown: with what it means, or else what to try."""
    return f"{error.rstrip('.')}. {advice_on(error) or LEAVE_OUT}"
