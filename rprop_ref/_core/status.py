"""Why a run goes on or has ended: one enumeration for `minimize`, rows of many starts, and the loops."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """The status of a run: its code, which is ``result.status``, with its ``message``.

    Codes below 0 are those of a run that goes on. As far as SciPy's BFGS knows a reason, it has BFGS's code and
    message.
    """

    message: str

    def __new__(cls, code: int, message: str) -> Status:
        """A member that is equal to its code."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.message = message
        return member

    STAYED = -2, "The step led nowhere; value and gradient are known."
    CONTINUE = -1, "The run goes on."
    CONVERGED = 0, "Optimization terminated successfully."
    ITERATION_LIMIT = 1, "Maximum number of iterations has been exceeded."
    PRECISION_LOSS = 2, "Desired error not necessarily achieved due to precision loss."
    NOT_FINITE = 3, "NaN result encountered."
    EVALUATION_LIMIT = 4, "Maximum number of function evaluations has been exceeded."
    TIME_LIMIT = 5, "Maximum time has been exceeded."
    NO_IMPROVEMENT = 6, "The objective has not improved for `patience` iterations."
    CALLBACK_STOPPED = 99, "`callback` raised `StopIteration`."
    RAISED = 100, "The objective raised an exception."


def message_of(code: int) -> str:
    """The message of a code."""
    return Status(code).message  # type: ignore[call-arg]
