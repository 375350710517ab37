"""Many runs of `rprop_ref.minimize` at once in machine code, one run in each lane of a block.

Most iterations of most runs do the same: the value is finite, the run does not end, and a step is made. Loops over
the lanes do this for the whole block, and compilers turn them into vector instructions. A lane that goes back from
the point of a pattern move makes the step as well, and then gets back what it had. A lane that needs anything else
is special: its run begins, may end, or has to retreat. Its record is taken out of the block, goes through
`rprop_ref._core.iteration` like that of a single run, and is put back. The bits are those of single runs, since no
operation of one run depends on another.

Runs with bounds or with many variables go one by one, and so do the last few of a block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import from_dtype, types

from numba_kernels import flat, iterate, loop
from numba_kernels._cache import DIGEST, bound, inner, kernel_of, made_once
from numba_kernels.lanes import LANES, MAX_VARIABLES
from numba_kernels.objective import call
from rprop_ref import rules
from rprop_ref._core import pattern, record
from rprop_ref._core.constants import SIZE_MAX
from rprop_ref._core.status import Status

CLAIMED, STAYED, RAISED = Status.CLAIMED.value, Status.STAYED.value, Status.RAISED.value

#: When so few runs are left, they are finished one by one.
FEW = 4

# The layout of a block. Vectors: variable by variable, row by row (those of the record without bounds), lane
# by lane. As the distance between two rows is a constant, the compiler sees that lanes do not touch each other.
# Loops over the lanes go over all of them, used or not: with a constant end they become vector instructions.
# Scalars: those of the record, and these, lane by lane.
_F = record.ENTRIES * LANES  # what the objective returned; its gradient is in the row LAST_G
_STALLED = _F + LANES  # 1 if all coordinates are stalled
_BETTER = _STALLED + LANES  # 1 if this is the best point
_SPECIAL = _BETTER + LANES  # 1 for a special lane
_STAYED = _SPECIAL + LANES  # 1 if the last step led nowhere
_EXCEPTION = _STAYED + LANES  # 1 if the objective raised an exception
_DUE = _EXCEPTION + LANES  # 1 if a pattern move is due after the step
_FAILED = _DUE + LANES  # 1 if this is the point of a pattern move, and no lower
_START = _FAILED + LANES  # the index of the start
BLOCK_SCALARS = _START + LANES

# The entries of the record that differ between the runs of a block.
_OWN_ENTRIES = np.array(
    [
        record.NIT,
        record.LAST_F,
        record.LAST_G_MAX,
        record.WORSE,
        record.STEP_MADE,
        record.LOWEST_F,
        record.LOWEST_NIT,
        record.BEST_F,
        record.BEST_G_MAX,
        record.RETREAT_NIT,
        record.RETREAT_F,
        record.WINDOW_F,
        record.WINDOW_NIT,
        record.NFEV,
        record.NJEV,
        record.SIZE_FLOOR,
        record.FIRST_F,
        record.MARGIN,
        record.NEGLIGIBLE,
        record.PATTERN,
        record.PATTERN_NIT,
        record.STRETCH,
        record.SLOPE,
        record.STALLS,
        record.STALL_EFFECT,
        record.XTOL,
    ]
)

# Columns of the table of results: these entries of the record, and the status.
_REPORTED = np.array(record.REPORTED)
STATUS = len(record.REPORTED)
RESULTS = STATUS + 1

# Entries of the array by which another thread stops the kernel and reads its progress.
STOP, DONE = range(2)


# Placeholders: `kernel` replaces them with compiled functions.
_evaluations_are_used_up: Any = None
_highest_equal_value: Any = None
_is_better: Any = None
_is_stalled: Any = None
_is_valley: Any = None
_lowest_share: Any = None
_may_stop: Any = None
_pattern_is_due: Any = None
_rule: Any = None

_split = flat.split


def _gradient_and_stalled_in_lanes(v, s, n):
    """Write for each lane the largest component of the gradient (NaN if one is), and whether it is stalled."""
    zero = v.dtype.type(0)
    for lane in range(LANES):
        s[record.LAST_G_MAX * LANES + lane] = 0.0
        s[_STALLED + lane] = 1.0
    for j in range(n):
        o = j * record.ROWS * LANES
        for lane in range(LANES):
            x = v[o + record.X * LANES + lane]
            g = v[o + record.LAST_G * LANES + lane]
            size = v[o + record.SIZE * LANES + lane]
            a = abs(g)
            largest = s[record.LAST_G_MAX * LANES + lane]
            s[record.LAST_G_MAX * LANES + lane] = a if (a > largest) | (a != a) else largest
            stalled = _is_stalled(
                x, g, size, s[record.XTOL * LANES + lane], s[record.SIZE_FLOOR * LANES + lane], zero
            )
            s[_STALLED + lane] = s[_STALLED + lane] if stalled else 0.0


def _find_special_in_lanes(s, options, lanes):
    """Mark the special lanes, and update the scalars of the others.

    Returns whether there are special lanes, and whether others end or begin a pattern move.
    """
    gtol, f_target, resolution = options[record.GTOL], options[record.F_TARGET], options[record.F_RESOLUTION]
    maxiter, maxfev, wait = options[record.MAXITER], options[record.MAXFEV], options[record.WAIT]
    # Without the tolerance, windows do not matter.
    window = options[record.WINDOW] if options[record.FTOL] >= 0 else np.inf
    pattern_every = options[record.PATTERN_EVERY]
    any_special = any_pattern = False
    for lane in range(LANES):
        f = s[_F + lane]
        g_max = s[record.LAST_G_MAX * LANES + lane]
        before = s[record.NIT * LANES + lane]
        nit = before + 1
        nfev = s[record.NFEV * LANES + lane] + (1.0 - s[_STAYED + lane]) * (1.0 - s[_EXCEPTION + lane])
        old_lowest_f = s[record.LOWEST_F * LANES + lane]
        old_lowest_nit = s[record.LOWEST_NIT * LANES + lane]
        old_best_f = s[record.BEST_F * LANES + lane]
        old_best_g_max = s[record.BEST_G_MAX * LANES + lane]
        lower = f < old_lowest_f
        lowest_f = f if lower else old_lowest_f
        lowest_nit = nit if lower else old_lowest_nit
        highest = _highest_equal_value(lowest_f, resolution)
        better = _is_better(f, g_max, highest, old_best_f, old_best_g_max)
        best_f = f if better else old_best_f
        best_g_max = g_max if better else old_best_g_max
        stalled = s[_STALLED + lane] != 0
        window_nit = s[record.WINDOW_NIT * LANES + lane]
        may_stop = _may_stop(
            nit,
            nfev,
            g_max,
            stalled,
            best_f,
            best_g_max,
            lowest_nit,
            window_nit,
            gtol,
            f_target,
            window,
            maxiter,
            maxfev,
            wait,
        )
        last_f = s[record.LAST_F * LANES + lane]
        at_pattern = s[record.PATTERN * LANES + lane] != 0
        due = _pattern_is_due(nit, s[record.PATTERN_NIT * LANES + lane], pattern_every)
        finite = (abs(f) < np.inf) & (g_max < np.inf)
        raised = s[_EXCEPTION + lane] != 0
        # What happens to a run whose last evaluation this was is left to `iteration`.
        keeps = raised | _evaluations_are_used_up(nfev, maxfev) | (finite & (not stalled) & (f < last_f))
        failed = at_pattern & (not keeps)
        special = (may_stop | (before < 0) | (not finite) | raised) & (not failed)
        counts = (not special) & (not failed)
        worse = f > last_f
        any_special |= special & (lane < lanes)
        any_pattern |= (at_pattern | due) & (not special) & (lane < lanes)
        s[_DUE + lane] = 1.0 if due & counts else 0.0
        s[_FAILED + lane] = 1.0 if failed else 0.0
        s[_SPECIAL + lane] = 1.0 if special else 0.0
        s[_BETTER + lane] = 1.0 if better & counts else 0.0
        s[record.WORSE * LANES + lane] = 1.0 if worse else 0.0
        s[record.NIT * LANES + lane] = nit if counts else before
        s[record.NFEV * LANES + lane] = nfev
        s[record.LAST_F * LANES + lane] = f if counts else last_f
        s[record.LOWEST_F * LANES + lane] = lowest_f if counts else old_lowest_f
        s[record.LOWEST_NIT * LANES + lane] = lowest_nit if counts else old_lowest_nit
        s[record.BEST_F * LANES + lane] = best_f if counts else old_best_f
        s[record.BEST_G_MAX * LANES + lane] = best_g_max if counts else old_best_g_max
    return any_special, any_pattern


def _end_pattern_moves_in_lanes(v, s, n, lanes, kept):
    """`pattern.end_pattern_move` in lanes that are not special.

    `kept` has room for where lanes go whose value is not lower, and for what the step will overwrite in them.
    """
    for lane in range(lanes):
        stage = s[record.PATTERN * LANES + lane]
        if (s[_SPECIAL + lane] != 0) | (stage == 0):
            continue
        s[record.PATTERN * LANES + lane] = 0.0
        stretch = s[record.STRETCH * LANES + lane]
        if s[_FAILED + lane] == 0:
            if stage == pattern.AHEAD:
                s[record.STRETCH * LANES + lane] = min(stretch * 2, pattern.LONGEST)
            for j in range(n):
                v[(j * record.ROWS + record.PREV) * LANES + lane] = 0
            continue
        slope, rise = s[record.SLOPE * LANES + lane], s[_F + lane] - s[record.LAST_F * LANES + lane]
        tries = (stage == pattern.AHEAD) & _is_valley(slope, rise)
        share = -_lowest_share(slope, rise) if tries else 0.0
        back_at_base = back_at_last = True
        for j in range(n):
            o = j * record.ROWS * LANES + lane
            last, base = v[o + record.LAST_X * LANES], v[o + record.BASE * LANES]
            kept[lane, record.X, j] = np.float64(last) + share * (
                np.float64(last) - np.float64(v[o + record.X * LANES])
            )
            back_at_base &= kept[lane, record.X, j] == base
            back_at_last &= kept[lane, record.X, j] == last
            kept[lane, record.LAST_X, j] = last
            kept[lane, record.PREV, j] = v[o + record.PREV * LANES]
            kept[lane, record.SIZE, j] = v[o + record.SIZE * LANES]
        if tries & (not back_at_base) & (not back_at_last):
            s[record.PATTERN * LANES + lane] = pattern.BETWEEN
        else:
            s[record.STRETCH * LANES + lane] = max(stretch / 2, 1 / pattern.SHORTEST)
            for j in range(n):
                kept[lane, record.X, j] = v[(j * record.ROWS + record.BASE) * LANES + lane]


@inner
def _go_back_or_begin(v, s, constants, n, lanes, kept):
    """Undo the step in lanes that go on or back from a pattern move's point, and begin one where it is due."""
    for lane in range(lanes):
        if s[_FAILED + lane] != 0:
            s[_STAYED + lane] = 0.0
            for j in range(n):
                o = j * record.ROWS * LANES + lane
                v[o + record.X * LANES] = kept[lane, record.X, j]
                v[o + record.LAST_X * LANES] = kept[lane, record.LAST_X, j]
                v[o + record.PREV * LANES] = kept[lane, record.PREV, j]
                v[o + record.SIZE * LANES] = kept[lane, record.SIZE, j]
        elif (s[_DUE + lane] != 0) & (s[_STAYED + lane] == 0):
            _begin_pattern_move(v, s, constants, n, lane)


@inner
def _lift(v, constants, n, lane):
    """`lift` of `rprop_ref._core.loops` in a lane. Usually no step size is so small."""
    largest, smallest = 0.0, np.inf
    for j in range(n):
        o = j * record.ROWS * LANES + lane
        x, span = abs(v[o + record.X * LANES]), v[o + record.SPAN * LANES]
        length = np.float64(x if x > span else span)
        if length > 0:
            relative = np.float64(v[o + record.SIZE * LANES]) / length
            smallest = min(smallest, relative)
            if v[o + record.LAST_G * LANES] != 0 and largest < relative < np.inf:
                largest = relative
    least = 1 / pattern.PARTS_OF_LARGEST * largest
    if smallest < 2 * least:  # twice, to be on the safe side of rounding errors
        _lift_to(v, constants, n, lane, least)


@inner
def _lift_to(v, constants, n, lane, least):
    for j in range(n):
        o = j * record.ROWS * LANES + lane
        x, span = abs(v[o + record.X * LANES]), v[o + record.SPAN * LANES]
        old = v[o + record.SIZE * LANES]
        v[o + record.SIZE * LANES] = least * np.float64(x if x > span else span)
        size = v[o + record.SIZE * LANES]  # in the dtype of x
        size = constants[SIZE_MAX] if size > constants[SIZE_MAX] else size
        v[o + record.SIZE * LANES] = size if 0 < old < size < np.inf else old


@inner
def _begin_pattern_move(v, s, constants, n, lane):
    """`pattern.begin_pattern_move` in a lane."""
    s[record.PATTERN_NIT * LANES + lane] = s[record.NIT * LANES + lane]
    _lift(v, constants, n, lane)
    stretch = s[record.STRETCH * LANES + lane]
    slope = 0.0
    back_at_base = back_at_last = True
    for j in range(n):
        o = j * record.ROWS * LANES + lane
        start, base = v[o + record.X * LANES], v[o + record.BASE * LANES]
        v[o + record.BASE * LANES] = start
        v[o + record.X * LANES] = np.float64(start) + stretch * (np.float64(start) - np.float64(base))
        x = v[o + record.X * LANES]  # in the dtype of x
        back_at_base &= x == start
        last = v[o + record.LAST_X * LANES]
        back_at_last &= x == last
        slope += (np.float64(x) - np.float64(last)) * np.float64(v[o + record.LAST_G * LANES])
    if back_at_base | back_at_last:
        s[record.STRETCH * LANES + lane] = max(stretch / 2, 1 / pattern.SHORTEST)
        for j in range(n):
            o = j * record.ROWS * LANES + lane
            v[o + record.X * LANES] = v[o + record.BASE * LANES]
    else:
        s[record.PATTERN * LANES + lane] = pattern.AHEAD
        s[record.SLOPE * LANES + lane] = slope


def _step_lanes(v, s, constants, n):
    """Keep the best points and make a step in all lanes; in special lanes the result is overwritten."""
    c, direction = _split(constants)
    for lane in range(LANES):
        s[_STAYED + lane] = 1.0
    for j in range(n):
        o = j * record.ROWS * LANES
        for lane in range(LANES):
            x = v[o + record.X * LANES + lane]
            g = v[o + record.LAST_G * LANES + lane]
            better = s[_BETTER + lane] != 0
            best_x, best_g = v[o + record.BEST_X * LANES + lane], v[o + record.BEST_G * LANES + lane]
            v[o + record.LAST_X * LANES + lane] = x
            v[o + record.BEST_X * LANES + lane] = x if better else best_x
            v[o + record.BEST_G * LANES + lane] = g if better else best_g
            prev, size = v[o + record.PREV * LANES + lane], v[o + record.SIZE * LANES + lane]
            moved, prev, size = _rule(x, direction * g, prev, size, s[record.WORSE * LANES + lane] != 0, c)
            v[o + record.X * LANES + lane] = moved
            v[o + record.PREV * LANES + lane] = prev
            v[o + record.SIZE * LANES + lane] = size
            s[_STAYED + lane] = s[_STAYED + lane] if moved == x else 0.0


@inner
def _take(v, s, lane, vectors, scalars):
    """Copy the record of a lane out of the block."""
    for j in range(vectors.shape[1]):
        for row in range(record.ROWS):
            vectors[row, j] = v[(j * record.ROWS + row) * LANES + lane]
    for entry in _OWN_ENTRIES:
        scalars[entry] = s[entry * LANES + lane]
    scalars[record.NJEV] = scalars[record.NFEV]


@inner
def _put(v, s, lane, vectors, scalars):
    """Copy a record into a lane of the block."""
    for j in range(vectors.shape[1]):
        for row in range(record.ROWS):
            v[(j * record.ROWS + row) * LANES + lane] = vectors[row, j]
    for entry in _OWN_ENTRIES:
        s[entry * LANES + lane] = scalars[entry]


@inner
def _begin(vectors, scalars, template, box, start, size, tolerances):
    """Write the record of a run before its first evaluation: the template's, but for its start."""
    vectors[:] = 0
    for entry in range(record.ENTRIES):
        scalars[entry] = template[entry]
    scalars[record.XTOL] = tolerances[0]
    scalars[record.SIZE_FLOOR] = tolerances[1]
    for j in range(start.size):
        vectors[record.X, j] = vectors[record.LAST_X, j] = vectors[record.BEST_X, j] = start[j]
        vectors[record.BASE, j] = start[j]
        vectors[record.SIZE, j] = size[j]
        vectors[record.SPAN, j] = max(abs(start[j]), size[j])
        if vectors.shape[0] > record.ROWS:
            vectors[record.LOWER, j] = box[0, j]
            vectors[record.UPPER, j] = box[1, j]
            vectors[record.MOVE_START, j] = start[j]


@inner
def _report(i, vectors, scalars, status, x, g, table):
    """Write the result of a run to row i; if the objective raised an exception, the point is where it did."""
    has_best = scalars[record.NIT] >= 0
    for j in range(vectors.shape[1]):
        x[i, j] = vectors[record.BEST_X if has_best else record.LAST_X, j]
        g[i, j] = vectors[record.BEST_G if has_best else record.LAST_G, j]
        if status == RAISED:
            x[i, j] = vectors[record.X, j]
    for k in range(_REPORTED.size):
        table[i, k] = scalars[_REPORTED[k]]
    table[i, STATUS] = status


@inner(error_model="numpy")
def _evaluate(function, raised, sign, v, s, n, lanes, x, g):
    """Evaluate the objective in each lane, one after the other."""
    address, data = function
    for lane in range(lanes):
        if s[_STAYED + lane] != 0:
            s[_F + lane] = s[record.LAST_F * LANES + lane]
            continue
        for j in range(n):
            x[j] = v[(j * record.ROWS + record.X) * LANES + lane]
            g[j] = 0
        f = call(address, n, x.ctypes.data, g.ctypes.data, data)
        if raised[0] != 0:
            s[_EXCEPTION + lane] = 1
            raised[0] = 0
            continue
        s[_F + lane] = -f if sign < 0 else f
        for j in range(n):
            v[(j * record.ROWS + record.LAST_G) * LANES + lane] = -g[j] if sign < 0 else g[j]


@inner(error_model="numpy")
def _evaluate_batched(address, data, sign, v, s, n, lanes):
    """Evaluate the objective in all lanes, by a function that `batched_objective.batched` made."""
    call(address, lanes, v.ctypes.data, s.ctypes.data + 8 * _F, data)
    if sign < 0:
        for lane in range(lanes):
            s[_F + lane] = -s[_F + lane]
        for j in range(n):
            o = (j * record.ROWS + record.LAST_G) * LANES
            for lane in range(lanes):
                v[o + lane] = -v[o + lane]


#: No limit on iterations.
_NO_LIMIT = 1 << 62

# Placeholders: `_cache.kernel_of` replaces them with compiled functions.
_advance: Any = None
_copy: Any = None
_end_pattern_moves: Any = None
_find_special: Any = None
_gradient_and_stalled: Any = None
_run_alone: Any = None
_step: Any = None


_OF_LANES = (
    "evaluations_are_used_up",
    "highest_equal_value",
    "is_better",
    "is_stalled",
    "is_valley",
    "lowest_share",
    "may_stop",
    "pattern_is_due",
)


@made_once
def _special_and_stalled(*functions: Any) -> tuple[Any, ...]:
    """The compiled functions of lanes that do not depend on the rule, made from those named in `_OF_LANES`."""
    names = {f"_{name}": function for name, function in zip(_OF_LANES, functions, strict=True)}
    texts = _find_special_in_lanes, _gradient_and_stalled_in_lanes, _end_pattern_moves_in_lanes
    return tuple(inner(bound(text, names), error_model="numpy") for text in texts)


@made_once
def kernel(rule: rules.Rule) -> Any:
    """The kernel that takes runs by one rule from m starts to their ends.

    ``run(function, block, raised, sign, box, starts, sizes, tolerances, template, constants, x, g, table,
    control)`` releases the GIL, and has no effect but on its arguments.

    function : (int, int)
        Address and data of the objective, as for `numba_kernels.loop.kernel`.
    block : int
        Address of what `batched_objective.batched` made of the objective, or 0.
    raised, sign
        As for `numba_kernels.loop.kernel`.
    box : ndarray, shape (2, n) or (0, n)
        Bounds, if there are any. The starts are within them.
    starts, sizes : ndarray, shape (m, n)
        First points and first step sizes.
    tolerances : ndarray of float64, shape (m, 2)
        XTOL and SIZE_FLOOR of each run.
    template : ndarray of float64, shape (ENTRIES,)
        The other scalars of a run before its first evaluation.
    constants
        As for `numba_kernels.flat.step`.
    x, g, table : ndarray, shapes (m, n), (m, n) and (m, RESULTS)
        Where results are written: points, gradients, and the entries `record.REPORTED` with the status in the
        column `STATUS`. If the objective raised an exception, x is where it did.
    control : ndarray of int64, shape (2,)
        The kernel returns within an iteration after another thread has set `STOP` to 1. `DONE` counts the runs
        that have ended.
    """
    stamp = f"{DIGEST} {rule.name}"

    def run(
        function, block, raised, sign, box, starts, sizes, tolerances, template, constants, x, g, table, control
    ):
        stamp  # noqa: B018
        m, n = starts.shape
        rows = record.BOUNDED_ROWS if box.size > 0 else record.ROWS
        block_lanes = LANES if rows == record.ROWS and n <= MAX_VARIABLES else 0
        v = np.zeros(block_lanes * record.ROWS * n, starts.dtype)
        s = np.zeros(BLOCK_SCALARS)
        vectors = np.zeros((max(block_lanes, 1), rows, n), starts.dtype)
        scalars = np.zeros((LANES, record.ENTRIES))
        for lane in range(LANES):
            for entry in range(record.ENTRIES):  # Numba compiles the assignment of an array for a second
                scalars[lane, entry] = template[entry]
        status = np.zeros(LANES, np.int64)
        point, gradient = np.empty(n, starts.dtype), np.empty(n, starts.dtype)

        next_start = 0
        lanes = 0
        while next_start < m and lanes < block_lanes:
            i = next_start
            _begin(vectors[0], scalars[0], template, box, starts[i], sizes[i], tolerances[i])
            _put(v, s, lanes, vectors[0], scalars[0])
            s[_START + lanes] = next_start
            next_start += 1
            lanes += 1
        while lanes > FEW or (lanes > 0 and next_start < m):
            if control[STOP] != 0:
                return
            if block != 0:
                _evaluate_batched(block, function[1], sign, v, s, n, lanes)
            else:
                _evaluate(function, raised, sign, v, s, n, lanes, point, gradient)
            _gradient_and_stalled(v, s, n)
            any_special, any_pattern = _find_special(s, template, lanes)
            for lane in range(lanes if any_special else 0):
                if s[_SPECIAL + lane] != 0:
                    _take(v, s, lane, vectors[lane], scalars[lane])
                    status[lane] = RAISED
                    if s[_EXCEPTION + lane] == 0:
                        _copy(vectors[lane, record.LAST_G], gradient)
                        f = s[_F + lane]
                        status[lane] = _advance(vectors[lane], scalars[lane], constants, 0, f, gradient)
            if any_pattern:
                _end_pattern_moves(v, s, n, lanes, vectors)
            _step(v, s, constants, n)
            if any_pattern:
                _go_back_or_begin(v, s, constants, n, lanes, vectors)
            if not any_special:
                continue
            # Backwards, since the last lane moves into the place of one whose run has ended.
            for lane in range(lanes - 1, -1, -1):
                if s[_SPECIAL + lane] == 0:
                    continue
                s[_EXCEPTION + lane] = 0
                s[_STAYED + lane] = 1.0 if status[lane] == STAYED else 0.0
                if status[lane] >= 0 or status[lane] == CLAIMED:
                    _report(int(s[_START + lane]), vectors[lane], scalars[lane], status[lane], x, g, table)
                    control[DONE] += 1
                    if next_start < m:
                        start, size = starts[next_start], sizes[next_start]
                        _begin(vectors[lane], scalars[lane], template, box, start, size, tolerances[next_start])
                        s[_START + lane] = next_start
                        next_start += 1
                    else:
                        lanes -= 1
                        _take(v, s, lanes, vectors[lane], scalars[lane])
                        s[_START + lane] = s[_START + lanes]
                        s[_STAYED + lane] = s[_STAYED + lanes]
                _put(v, s, lane, vectors[lane], scalars[lane])

        # Finish the runs that are left in the block, then those that never entered it.
        for k in range(lanes + m - next_start):
            i = next_start + k - lanes
            if k < lanes:
                i = int(s[_START + k])
                _take(v, s, k, vectors[0], scalars[0])
                scalars[0, record.STEP_MADE] = scalars[0, record.NIT] >= 0
            else:
                _begin(vectors[0], scalars[0], template, box, starts[i], sizes[i], tolerances[i])
            ended = _run_alone(
                *function,
                raised,
                sign,
                vectors[0],
                scalars[0],
                constants,
                _NO_LIMIT,
                control,
                point,
                gradient,
            )
            if ended == RAISED:
                raised[0] = 0
            if control[STOP] != 0:
                return
            _report(i, vectors[0], scalars[0], ended, x, g, table)
            control[DONE] += 1

    made = iterate.functions(rule)
    find_special, gradient_and_stalled, end_pattern_moves = _special_and_stalled(
        *(made[name] for name in _OF_LANES)
    )
    names = {
        "_advance": made["advance"],
        "_copy": made["copy"],
        "_end_pattern_moves": end_pattern_moves,
        "_find_special": find_special,
        "_gradient_and_stalled": gradient_and_stalled,
        "_run_alone": loop.kernel(rule),
        "_step": inner(bound(_step_lanes, {"_rule": flat.scalar_rule(rule)})),
    }
    return kernel_of(rule, run, names)


def compile_for(rule: rules.Rule, dtype: np.dtype[Any], elements: int, read_only: bool) -> list[Any]:
    """Compile the kernel for one dtype, and return it."""
    real, double, integer, integers = from_dtype(dtype), types.float64, types.intp, types.int64[::1]
    x, table = real[:, ::1], double[:, ::1]
    function = types.UniTuple(integer, 2)
    starts = x, x, x, table, double[::1], real[::1]
    made = kernel(rule)
    made.compile((function, integer, integers, integer, *starts, x, x, table, integers))
    return [made]


__all__ = ["DONE", "LANES", "MAX_VARIABLES", "RESULTS", "STATUS", "STOP", "compile_for", "kernel"]
