"""Whether operations are recorded: a switch in each thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class _Mode(threading.local):
    enabled = True


mode = _Mode()


class Recording:
    """A call of value_and_grad that is under way."""

    # The last error with which something was refused that its function would have got for arrays.
    refused: Exception | None = None


# For each variable of the calls that are under way, in any thread: the call.
differentiated: dict[Any, Recording] = {}


class LeavesTapeError(TypeError):
    """Raised inside `value_and_grad` if a value leaves the tape; NumPy may turn it into a ValueError."""


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded for a backward pass.

    Returns
    -------
    bool

    Examples
    --------
    >>> from rprop_ref import autograd
    >>> with autograd.no_grad():
    ...     autograd.is_grad_enabled()
    False
    """
    return mode.enabled


# The flag in code objects of generator functions (inspect names it, but is slow to import).
_GENERATOR = 32


def _decorated_generator(function: Callable[..., Any], context: type[_SetMode]) -> Callable[..., Any]:
    """As in torch: the switch is set while the generator runs, not while it waits."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with context():
            generator = function(*args, **kwargs)
            resume, argument = generator.send, None
        while True:
            try:
                with context():
                    yielded = resume(argument)
            except StopIteration as stop:
                return stop.value
            try:
                argument, resume = (yield yielded), generator.send
            except GeneratorExit:
                with context():
                    generator.close()
                raise
            except BaseException as error:
                argument, resume = error, generator.throw

    return call


class _SetMode:
    """Set the switch for a block, or for each call of a function, and restore it afterwards."""

    _enabled: bool

    def __init__(self) -> None:
        # A stack, so that the same object can be entered again inside its own block.
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(mode.enabled)
        mode.enabled = self._enabled

    def __exit__(self, *exception: object) -> None:
        mode.enabled = self._before.pop()

    def __call__(self, function: Function) -> Function:
        context = type(self)
        if (code := getattr(function, "__code__", None)) is not None and code.co_flags & _GENERATOR:
            return _decorated_generator(function, context)  # type: ignore[return-value]

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with context():
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    def __new__(cls, function: Function | None = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)


class no_grad(_SetMode):  # noqa: N801
    """Record nothing: a context manager, and a decorator with or without parentheses.

    The results of operations do not require gradients, and leaves that require a gradient may be changed in place.
    Only the current thread is affected.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import Parameter, no_grad
    >>> w = Parameter(np.ones(2))
    >>> with no_grad():
    ...     w -= 0.5
    >>> w
    Parameter([0.5, 0.5], dtype=float64)
    """

    _enabled = False


class enable_grad(_SetMode):  # noqa: N801
    """Record again inside `no_grad`: a context manager, and a decorator with or without parentheses.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import Parameter, enable_grad, no_grad
    >>> w = Parameter(np.ones(2))
    >>> with no_grad():
    ...     with enable_grad():
    ...         (w * 2).requires_grad
    True
    """

    _enabled = True
