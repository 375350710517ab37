"""Status codes shared by `minimize`, the rows of many starts, and the compiled loops."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """The status of a run: its code, which is ``result.status``, with its ``message``.

    A run with a negative code goes on. Codes and messages are those of SciPy's BFGS where it has them (0 to 3,
    99). The user sees `reported(code)`.
    """

    message: str

    def __new__(cls, code: int, message: str) -> Status:
        """Create a member that is equal to its code."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.message = message
        return member

    STALLED = -4, "The run cannot get on, and its gradient is small."
    CLAIMED = -3, "A tolerance is met; whether the best point is a minimum is still to be checked."
    STAYED = -2, "The step did not change x; no new evaluation is needed."
    CONTINUE = -1, "The run goes on."
    CONVERGED = 0, "Optimization terminated successfully."
    ITERATION_LIMIT = 1, "Maximum number of iterations has been exceeded."
    PRECISION_LOSS = 2, "Desired error not necessarily achieved due to precision loss."
    NOT_FINITE = 3, "NaN result encountered."
    EVALUATION_LIMIT = 4, "Maximum number of function evaluations has been exceeded."
    TIME_LIMIT = 5, "Maximum time has been exceeded."
    NO_IMPROVEMENT = 6, "The objective has not improved for `patience` iterations."
    KINK = 7, "The step sizes are exhausted; the objective may have a kink here, or be noisy."
    CALLBACK_STOPPED = 99, "`callback` raised `StopIteration`."
    RAISED = 100, "The objective raised an exception."


def reported(code: int) -> int:
    """The code as the user sees it: a kink is one of the ways to lose precision."""
    return Status.PRECISION_LOSS.value if code == Status.KINK else code


_MESSAGES = {status.value: status.message for status in Status}


def message_of(code: int) -> str:
    """The message of a code."""
    return _MESSAGES[code]  # much quicker than `Status(code)`, which matters for a million rows
