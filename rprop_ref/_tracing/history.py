"""The storage of `rprop_ref.Trace`: rows that fit into a number of bytes, and exact counts of every event."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._common.npz import Path
from .._core import events as _events
from .changes import CONTRADICTION, Changes

Array = np.ndarray[Any, Any]

#: Bytes that the rows may take before every second one is dropped.
LIMIT = 64 << 20

#: Bytes of a row besides the entries of its four arrays: the objects that hold them (measured: 640).
OVERHEAD = 700

#: How many of the latest rows are kept whatever the stride, if they take at most a quarter of the bytes.
RECENT = 64

_TABLE = ("iteration", "f", "coordinate", "x", "gradient_sign", "step_size", "event", "pattern_move")


class Row(NamedTuple):
    """One iteration; the fields are the columns of `rprop_ref.Trace`."""

    iteration: int
    f: float
    x: Array
    sign: Array
    size: Array
    event: Array
    g_max: float
    g_change: float
    x_change: float
    retreats: int
    pattern_move: bool


class History:
    """Rows and counts of a run, and the ways to read them; the attributes are those of `rprop_ref.Trace`."""

    def __init__(self, stride: int, limit: int) -> None:
        self.stride = stride
        self.limit = limit
        self.steps = 0
        self.groups: list[dict[str, Any]] = []
        self.firsts: dict[str, Array] = {}
        self._counts = np.zeros((0, len(_events.NAMES)), np.int64)
        self._changes = Changes()
        self._contradictions = 0  # how often the gradient differed from that of the step before, at the same point
        self._older: list[Row] = []  # every stride-th iteration
        self._recent: deque[Row] = deque()  # every one of the latest iterations
        self._gradients: deque[Array] = deque()  # at the latest points, as many
        self._retreats = 0
        self.probes = 0
        self.pattern_moves = self.pattern_moves_kept = 0
        self.new_beginnings: list[int] = []
        self.kink = False
        self.held = np.zeros(0, bool)
        self._last: tuple[Array, Array, Array] | None = None  # x, gradient, step size
        self._columns: dict[str, Array] = {}  # those read since the last step

    # ---------------------------------------------------------------------------------------------------
    # Storing

    def _begin(self, groups: list[dict[str, Any]]) -> None:
        self.groups = groups
        self._counts = np.zeros((self.n, len(_events.NAMES)), np.int64)
        self.held = np.zeros(self.n, bool)

    def _append(self, x: Array, f: float, g: Array, size: Array, event: Array, pattern_move: bool = False) -> None:
        self._columns = {}
        self._counts += _events.FLAGS[event]
        self._update_firsts(size, event)
        g_change = x_change = np.nan
        with np.errstate(all="ignore"):
            if self._last is not None:
                last_x, last_g, _ = self._last
                x_change = float(np.max(np.abs(x - last_x), initial=0))
                g_change = float(np.max(np.abs(g - last_g), initial=0))
                # A pattern move leads far down a slope, where the gradient differs without noise as well.
                if not pattern_move:
                    # Relative to the first step sizes, since variables may be of different magnitudes.
                    length = np.abs(x - last_x) / self.firsts["first"]
                    self._changes.add(float(np.max(length, initial=0, where=np.isfinite(length))), g_change)
            g_max = float(np.max(np.abs(g), initial=0))
            sign = (g > 0).astype(np.int8) - (g < 0).astype(np.int8)
        self._last = x, g, size = x.copy(), g.copy(), size.copy()
        self._contradictions += int(x_change == 0 and g_change > CONTRADICTION * g_max)
        if x_change != 0 and np.isfinite(g_max):
            self._gradients.append(g)
        changes = g_max, g_change, x_change
        row = Row(self.steps, float(f), x, sign, size, event, *changes, self._retreats, pattern_move)
        self.steps += 1
        self._recent.append(row)
        self._thin(max_rows=max(4, self.limit // (x.nbytes + size.nbytes + 2 * x.size + OVERHEAD)))

    def _thin(self, max_rows: int) -> None:
        if len(self._recent) > min(RECENT, max_rows // 4):
            oldest = self._recent.popleft()
            if oldest.iteration % self.stride == 0:
                self._older.append(oldest)
        while len(self._gradients) > len(self._recent):
            self._gradients.popleft()
        while len(self) > max_rows:
            self.stride *= 2
            self._older = [row for row in self._older if row.iteration % self.stride == 0]

    def _update_firsts(self, size: Array, event: Array) -> None:
        if not self.firsts:
            self.firsts = {
                name: np.full_like(size, np.nan) for name in ("first", "before shrinking", "before growing")
            }
        firsts = self.firsts
        stepped = ~_events.has(event, "no step")
        np.copyto(firsts["first"], size, where=np.isnan(firsts["first"]) & stepped)
        before = firsts["first"] if self._last is None else self._last[2]
        for name, change in (("before shrinking", "shrank"), ("before growing", "grew")):
            np.copyto(firsts[name], before, where=np.isnan(firsts[name]) & stepped & _events.has(event, change))

    # ---------------------------------------------------------------------------------------------------
    # Reading

    @property
    def n(self) -> int:
        """The number of coordinates; 0 before the first step."""
        return int(self.groups[-1]["stop"]) if self.groups else 0

    @property
    def counts(self) -> dict[str, Array]:
        """How often each event happened to each coordinate, over all iterations: int64 arrays of shape (n,)."""
        return {name: self._counts[:, i] for i, name in enumerate(_events.NAMES)}

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._older) + len(self._recent)

    def _rows(self) -> Iterator[Row]:
        yield from self._older
        yield from self._recent

    def __getattr__(self, name: str) -> Array:
        """A column of the table, made when it is first read."""
        if name not in Row._fields:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if name not in self._columns:
            values = [getattr(row, name) for row in self._rows()]
            # Without rows, the shape of an empty table.
            empty = np.zeros((0, 0) if name in ("x", "sign", "size", "event") else 0)
            self._columns[name] = np.array(values) if values else empty
            self._columns[name].flags.writeable = False
        return self._columns[name]

    def where(self, event: str) -> Array:
        """Where an event happened: a bool array of shape (rows, n).

        Parameters
        ----------
        event : str
            "grew" (the gradient kept its sign), "shrank" (it changed its sign), "underflow" (the product of two
            gradients underflowed), "held" (x stayed at a sign change), "undone" (the last move was taken back),
            "no step" (the run ended, or there was no gradient), "at lower clamp" or "at upper clamp" (the step
            size is the smallest or largest allowed), "zero gradient" or "gradient not finite".
        """
        if event not in _events.NAMES:
            raise ValueError(f"there is no event {event!r}; the events are {', '.join(map(repr, _events.NAMES))}")
        return _events.has(self.event, event)

    def words(self) -> Array:
        """The events in words, such as "shrank, held", or "kept" if there is none; shape (rows, n)."""
        words: Array = _events.WORDS[self.event.astype(np.uint8)]
        return words

    def to_dict(self) -> dict[str, Array]:
        """The trace as a table, with a line for each coordinate of each row.

        Returns
        -------
        dict
            One-dimensional arrays of equal length, ``iteration, f, coordinate, x, gradient_sign, step_size, event,
            pattern_move``. ``pandas.DataFrame`` takes it.
        """
        rows, n = len(self), self.n
        columns = (
            np.repeat(self.iteration, n),
            np.repeat(self.f, n),
            np.tile(np.arange(n), rows),
            self.x.ravel(),
            self.sign.ravel(),
            self.size.ravel(),
            self.words().ravel(),
            np.repeat(self.pattern_move, n),
        )
        return dict(zip(_TABLE, columns, strict=True))

    def to_csv(self, path: Path) -> None:
        """Write the table of `to_dict` as comma-separated values, with a header line.

        Numbers are written with all their digits, so that reading them back gives the same bits.
        """
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_TABLE)
            for row in self._rows():
                words = _events.WORDS[row.event].tolist()
                for i, (x, sign, size) in enumerate(zip(row.x, row.sign, row.size, strict=True)):
                    line = [row.iteration, row.f, i, x.item(), int(sign), size.item(), words[i]]
                    writer.writerow([*line, int(row.pattern_move)])
