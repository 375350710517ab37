"""`Messages`: the messages of many runs. Those of runs in machine code are made when they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core import record
from .._core.status import message_of
from .._minimizer.messages import DETAILED, run_message

Array = np.ndarray[Any, Any]


class Messages(Sequence[str]):
    """A sequence of m strings.

    Parameters
    ----------
    texts : sequence of str or None
        None for a message that is to be made of the record.
    status : ndarray, shape (m,)
    entries : ndarray of float64, shape (m, len(REPORTED))
        Entries of the records of the runs; read where the text is None.
    options : ndarray of float64, shape (ENTRIES,), optional
        A record with the options of all runs. Needed if a text is None.
    sign : int, optional
        -1 if the records hold negated values, else 1.
    """

    def __init__(
        self,
        texts: Sequence[str | None],
        status: Array,
        entries: Array | None = None,
        options: Array | None = None,
        sign: int = 1,
    ) -> None:
        self._texts = list(texts)
        self._status = status
        self._entries = np.zeros((len(status), len(record.REPORTED))) if entries is None else entries
        self._options = options
        self._sign = sign

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        text = self._texts[i]
        if text is not None:
            return text
        status = int(self._status[i])
        if status not in DETAILED:  # as many rows may be, so this must be quick
            return message_of(status)
        assert self._options is not None
        scalars = self._options.copy()
        scalars[list(record.REPORTED)] = self._entries[i]
        return run_message(status, scalars, self._sign)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Messages, list)):
            return NotImplemented
        return list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if len(self) <= 10:
            return repr(list(self))
        return f"[{self[0]!r}, {self[1]!r}, ..., {self[-1]!r}]"

    def first(self, k: int) -> Messages:
        """The first k messages."""
        return Messages(self._texts[:k], self._status[:k], self._entries[:k], self._options, self._sign)

    def replace(self, i: int, text: str) -> None:
        """Make this the message of run i."""
        self._texts[i] = text

    @staticmethod
    def joined(parts: Sequence[Messages]) -> Messages:
        """All messages of some parts, in order. Runs in machine code have the same options in all parts."""
        options, sign = next(((p._options, p._sign) for p in parts if p._options is not None), (None, 1))
        return Messages(
            [text for part in parts for text in part._texts],
            np.concatenate([part._status for part in parts]),
            np.concatenate([part._entries for part in parts]),
            options,
            sign,
        )
