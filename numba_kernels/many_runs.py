"""Many runs of `rprop_ref.minimize` at once in machine code: runs side by side, one in each lane of a block.

What most iterations of most runs do (a finite value, no end, a step) is done for the whole block in loops over the
lanes, which compilers turn into vector instructions. A lane that needs anything else, because its run begins, may
end, or has to go back, is an event: its record is taken out of the block, goes through
`rprop_ref._core.iteration` like that of a single run, and is put back. So there is no second text of what happens
then, and the bits are those of single runs: no operation of one run depends on another.
"""

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from numba_kernels import flat, loop, objective
from numba_kernels._cache import DIGEST, kernel
from numba_kernels.iterate import _advance
from numba_kernels.objective import call
from rprop_ref._core import iteration as it

#: Runs in a block. With two variables this many, and all that they need, are in the fastest cache.
LANES = 64

#: Runs of more variables than this are run one by one, with the vector instructions along the variables.
MOST_VARIABLES = 32

#: When so few runs are left they are finished one by one.
FEW = 4

# Where things are in a block. Vectors: variable by variable, row by row (those of the record without bounds), lane
# by lane. As the distance between two rows is a constant, the compiler sees that lanes do not touch each other.
# Loops over the lanes go over all of them, used or not: with a constant end they become vector instructions.
# Scalars: those of the record, and these, lane by lane.
_F = it.ENTRIES * LANES  # what the objective returned; its gradient is in the row LAST_G
_GOES = _F + LANES  # 1 if some coordinate has somewhere to go
_BETTER = _GOES + LANES  # 1 if this is the best point
_EVENT = _BETTER + LANES  # 1 for an event
_STAYED = _EVENT + LANES  # 1 if the last step led nowhere
_FAULT = _STAYED + LANES  # 1 if the objective raised an exception
_START = _FAULT + LANES  # the index of the start
BLOCK_SCALARS = _START + LANES

# What of the record of scalars changes with the run.
_KEPT = np.array(
    [
        it.NIT,
        it.LAST_F,
        it.LAST_G_MAX,
        it.WORSE,
        it.MOVED,
        it.LOWEST_F,
        it.LOWEST_NIT,
        it.BEST_F,
        it.BEST_G_MAX,
        it.WENT_BACK,
        it.MARK_F,
        it.MARK_NIT,
        it.NFEV,
        it.NJEV,
        it.FLOOR,
        it.XTOL,
    ]
)

# Columns of the table of results.
F, NIT, NFEV, STATUS = range(4)
RESULTS = 4

#: `STATUS` of a run whose objective raised an exception; otherwise it is what `iteration.advance` returned.
RAISED = loop.RAISED

# Entries of the array by which threads talk.
STOP, DONE = range(2)


@numba.njit
def _look(v, s, n):
    """Largest component of the gradient (NaN if one is), and whether some coordinate has somewhere to go."""
    zero = v.dtype.type(0)
    for lane in range(LANES):
        s[it.LAST_G_MAX * LANES + lane] = 0.0
        s[_GOES + lane] = 0.0
    for j in range(n):
        o = j * it.ROWS * LANES
        for lane in range(LANES):
            x = v[o + it.X * LANES + lane]
            g = v[o + it.LAST_G * LANES + lane]
            size = v[o + it.SIZE * LANES + lane]
            a = abs(g)
            largest = s[it.LAST_G_MAX * LANES + lane]
            s[it.LAST_G_MAX * LANES + lane] = a if (a > largest) | (a != a) else largest
            rest = (
                (g == zero) | (size <= s[it.XTOL * LANES + lane] * abs(x)) | (size <= s[it.FLOOR * LANES + lane])
            )
            s[_GOES + lane] = s[_GOES + lane] if rest else 1.0


@numba.njit
def _decide(s, options, lanes):
    """Find the events, and take the values of the other lanes in; whether there are events."""
    gtol, f_target, maxiter, maxfev = (
        options[it.GTOL],
        options[it.F_TARGET],
        options[it.MAXITER],
        options[it.MAXFEV],
    )
    patience, band = options[it.PATIENCE], options[it.BAND]
    # Without a tolerance nothing happens at the end of a window.
    window = options[it.WINDOW] if options[it.FTOL] >= 0 else np.inf
    any_event = False
    for lane in range(LANES):
        f = s[_F + lane]
        g_max = s[it.LAST_G_MAX * LANES + lane]
        before = s[it.NIT * LANES + lane]
        nit = before + 1
        lowest_then = s[it.LOWEST_F * LANES + lane]
        best_f = s[it.BEST_F * LANES + lane]
        best_g_max = s[it.BEST_G_MAX * LANES + lane]
        lowest_nit = s[it.LOWEST_NIT * LANES + lane]
        nfev = s[it.NFEV * LANES + lane] + (1.0 - s[_STAYED + lane])
        lower = f < lowest_then
        lowest = f if lower else lowest_then
        lowest_nit = nit if lower else lowest_nit
        limit = lowest + band * abs(lowest)
        better = (f <= limit) & ((best_f > limit) | (g_max < best_g_max))
        best_f = f if better else best_f
        best_g_max = g_max if better else best_g_max
        common = (
            (abs(f) < np.inf)
            & (g_max < np.inf)
            & (before >= 0)
            & (best_g_max > gtol)
            & (best_f > f_target)
            & (nit - s[it.MARK_NIT * LANES + lane] < window)
            & (nit < maxiter)
            & (nfev < maxfev)
            & (nit - lowest_nit < patience)
            & (g_max > 0)
            & (s[_GOES + lane] > 0)
            & (s[_FAULT + lane] == 0)
        )
        worse = f > s[it.LAST_F * LANES + lane]
        any_event |= (not common) & (lane < lanes)
        s[_EVENT + lane] = 0.0 if common else 1.0
        s[_BETTER + lane] = 1.0 if better else 0.0
        s[it.WORSE * LANES + lane] = 1.0 if worse else 0.0
        s[it.NIT * LANES + lane] = nit if common else before
        s[it.NFEV * LANES + lane] = nfev
        s[it.LAST_F * LANES + lane] = f if common else s[it.LAST_F * LANES + lane]
        s[it.LOWEST_F * LANES + lane] = lowest if common else lowest_then
        s[it.LOWEST_NIT * LANES + lane] = lowest_nit if common else s[it.LOWEST_NIT * LANES + lane]
        s[it.BEST_F * LANES + lane] = best_f if common else s[it.BEST_F * LANES + lane]
        s[it.BEST_G_MAX * LANES + lane] = best_g_max if common else s[it.BEST_G_MAX * LANES + lane]
    return any_event


def _stepper(rule):
    @numba.njit
    def step(v, s, constants, n):
        """Keep the best points, and make a step in all lanes; in those with events it means nothing."""
        c, direction = flat._unpack(constants)
        for lane in range(LANES):
            s[_STAYED + lane] = 1.0
        for j in range(n):
            o = j * it.ROWS * LANES
            for lane in range(LANES):
                x = v[o + it.X * LANES + lane]
                g = v[o + it.LAST_G * LANES + lane]
                better = s[_BETTER + lane] != 0
                best_x, best_g = v[o + it.BEST_X * LANES + lane], v[o + it.BEST_G * LANES + lane]
                v[o + it.LAST_X * LANES + lane] = x
                v[o + it.BEST_X * LANES + lane] = x if better else best_x
                v[o + it.BEST_G * LANES + lane] = g if better else best_g
                prev, size = v[o + it.PREV * LANES + lane], v[o + it.SIZE * LANES + lane]
                moved, prev, size = rule(x, direction * g, prev, size, s[it.WORSE * LANES + lane] != 0, c)
                v[o + it.X * LANES + lane] = moved
                v[o + it.PREV * LANES + lane] = prev
                v[o + it.SIZE * LANES + lane] = size
                s[_STAYED + lane] = s[_STAYED + lane] if moved == x else 0.0

    return step


_step_rprop_plus = _stepper(flat._rprop_plus)
_step_rprop_minus = _stepper(flat._rprop_minus)
_step_irprop_plus = _stepper(flat._irprop_plus)
_step_irprop_minus = _stepper(flat._irprop_minus)
_step_irprop_go = _stepper(flat._irprop_go)


@numba.njit
def _step(variant, v, s, constants, n):
    if variant == 0:
        _step_rprop_plus(v, s, constants, n)
    elif variant == 1:
        _step_rprop_minus(v, s, constants, n)
    elif variant == 2:
        _step_irprop_plus(v, s, constants, n)
    elif variant == 3:
        _step_irprop_minus(v, s, constants, n)
    else:
        _step_irprop_go(v, s, constants, n)


@numba.njit
def _take(v, s, lane, vectors, scalars):
    """Copy the record of a lane out of the block."""
    for j in range(vectors.shape[1]):
        for row in range(it.ROWS):
            vectors[row, j] = v[(j * it.ROWS + row) * LANES + lane]
    for entry in _KEPT:
        scalars[entry] = s[entry * LANES + lane]
    scalars[it.NJEV] = scalars[it.NFEV]


@numba.njit
def _put(v, s, lane, vectors, scalars):
    """Copy a record into a lane of the block."""
    for j in range(vectors.shape[1]):
        for row in range(it.ROWS):
            v[(j * it.ROWS + row) * LANES + lane] = vectors[row, j]
    for entry in _KEPT:
        s[entry * LANES + lane] = scalars[entry]


@numba.njit
def _begin(vectors, scalars, template, box, start, size, least):
    """The record of a run before its first evaluation: the template's, but for where it starts."""
    vectors[:] = 0
    for entry in range(it.ENTRIES):
        scalars[entry] = template[entry]
    scalars[it.XTOL] = least[0]
    scalars[it.FLOOR] = least[1]
    for j in range(start.size):
        vectors[it.X, j] = vectors[it.LAST_X, j] = vectors[it.BEST_X, j] = start[j]
        vectors[it.SIZE, j] = size[j]
        if vectors.shape[0] > it.ROWS:
            vectors[it.LOWER, j] = box[0, j]
            vectors[it.UPPER, j] = box[1, j]
            vectors[it.BEFORE, j] = start[j]


@numba.njit
def _report(i, vectors, scalars, status, x, g, table):
    """Write the result of a run to row i; if the objective raised an exception, with the point where it did."""
    found = scalars[it.NIT] >= 0
    for j in range(vectors.shape[1]):
        x[i, j] = vectors[it.BEST_X if found else it.LAST_X, j]
        g[i, j] = vectors[it.BEST_G if found else it.LAST_G, j]
        if status == RAISED:
            x[i, j] = vectors[it.X, j]
    table[i, F] = scalars[it.BEST_F] if found else scalars[it.LAST_F]
    table[i, NIT] = scalars[it.NIT]
    table[i, NFEV] = scalars[it.NFEV]
    table[i, STATUS] = status


@numba.njit(error_model="numpy")
def _evaluate(function, raised, sign, v, s, n, lanes, x, g):
    """Evaluate the objective in each lane, one after the other."""
    address, data = function
    for lane in range(lanes):
        if s[_STAYED + lane] != 0:
            s[_F + lane] = s[it.LAST_F * LANES + lane]
            continue
        for j in range(n):
            x[j] = v[(j * it.ROWS + it.X) * LANES + lane]
            g[j] = 0
        f = call(address, n, x.ctypes.data, g.ctypes.data, data)
        s[_FAULT + lane] = raised[0]
        raised[0] = 0
        s[_F + lane] = -f if sign < 0 else f
        for j in range(n):
            v[(j * it.ROWS + it.LAST_G) * LANES + lane] = -g[j] if sign < 0 else g[j]


@numba.njit(error_model="numpy")
def _evaluate_side_by_side(address, data, sign, v, s, n, lanes):
    """Evaluate the objective in all lanes, by a function that `side_by_side` made."""
    call(address, lanes, v.ctypes.data, s.ctypes.data + 8 * _F, data)
    if sign < 0:
        for lane in range(lanes):
            s[_F + lane] = -s[_F + lane]
        for j in range(n):
            o = (j * it.ROWS + it.LAST_G) * LANES
            for lane in range(lanes):
                v[o + lane] = -v[o + lane]


@numba.njit(error_model="numpy")
def _alone(function, raised, sign, constants, variant, vectors, scalars, x, g, control):
    """Take one run to its end, and return its status; or `GO_ON`, if it was to stop."""
    address, data = function
    turns = 1 << 62  # more than any run has
    status = loop.run(address, data, raised, sign, vectors, scalars, constants, variant, turns, control, x, g)
    if status == RAISED:
        raised[0] = 0
    return status


def _compile():
    stamp = f"{DIGEST} lanes={LANES}"

    @kernel()
    def run(
        function,
        block,
        raised,
        sign,
        box,
        starts,
        sizes,
        least,
        template,
        constants,
        variant,
        x,
        g,
        table,
        control,
    ):
        stamp  # noqa: B018
        m, n = starts.shape
        rows = it.BOUNDED_ROWS if box.size > 0 else it.ROWS
        places = LANES if rows == it.ROWS and n <= MOST_VARIABLES else 0
        v = np.zeros(places * it.ROWS * n, starts.dtype)
        s = np.zeros(BLOCK_SCALARS)
        vectors = np.zeros((LANES, rows, n), starts.dtype)
        scalars = np.zeros((LANES, it.ENTRIES))
        for lane in range(LANES):
            scalars[lane] = template
        status = np.zeros(LANES, np.int64)
        point, gradient = np.empty(n, starts.dtype), np.empty(n, starts.dtype)

        following = 0
        lanes = 0
        while following < m and lanes < places:
            _begin(vectors[0], scalars[0], template, box, starts[following], sizes[following], least[following])
            _put(v, s, lanes, vectors[0], scalars[0])
            s[_START + lanes] = following
            following += 1
            lanes += 1
        while lanes > FEW or (lanes > 0 and following < m):
            if control[STOP] != 0:
                return
            if block != 0:
                _evaluate_side_by_side(block, function[1], sign, v, s, n, lanes)
            else:
                _evaluate(function, raised, sign, v, s, n, lanes, point, gradient)
            _look(v, s, n)
            events = _decide(s, template, lanes)
            for lane in range(lanes if events else 0):
                if s[_EVENT + lane] != 0:
                    _take(v, s, lane, vectors[lane], scalars[lane])
                    status[lane] = RAISED
                    if s[_FAULT + lane] == 0:
                        it.copy(vectors[lane, it.LAST_G], gradient)
                        f = s[_F + lane]
                        status[lane] = _advance(vectors[lane], scalars[lane], constants, variant, f, gradient)
            _step(variant, v, s, constants, n)
            if not events:
                continue
            # From the last one on, since the last lane takes the place of one that is done with.
            for lane in range(lanes - 1, -1, -1):
                if s[_EVENT + lane] == 0:
                    continue
                s[_FAULT + lane] = 0
                s[_STAYED + lane] = 1.0 if status[lane] == it.STAYED else 0.0
                if status[lane] >= 0 or status[lane] == RAISED:
                    _report(int(s[_START + lane]), vectors[lane], scalars[lane], status[lane], x, g, table)
                    control[DONE] += 1
                    if following < m:
                        start, size = starts[following], sizes[following]
                        _begin(vectors[lane], scalars[lane], template, box, start, size, least[following])
                        s[_START + lane] = following
                        following += 1
                    else:
                        lanes -= 1
                        _take(v, s, lanes, vectors[lane], scalars[lane])
                        s[_START + lane] = s[_START + lanes]
                        s[_STAYED + lane] = s[_STAYED + lanes]
                _put(v, s, lane, vectors[lane], scalars[lane])

        # Those that are left in the block, and those that never were in it.
        for k in range(lanes + m - following):
            i = following + k - lanes
            if k < lanes:
                i = int(s[_START + k])
                _take(v, s, k, vectors[0], scalars[0])
                scalars[0, it.MOVED] = scalars[0, it.NIT] >= 0
            else:
                _begin(vectors[0], scalars[0], template, box, starts[i], sizes[i], least[i])
            ended = _alone(
                function, raised, sign, constants, variant, vectors[0], scalars[0], point, gradient, control
            )
            if control[STOP] != 0:
                return
            _report(i, vectors[0], scalars[0], ended, x, g, table)
            control[DONE] += 1

    return run


#: ``run(function, block, raised, sign, box, starts, sizes, least, template, constants, variant, x, g, table,
#: control)``: takes runs from m starts to their ends. It holds no lock, and touches nothing but its arguments.
#:
#: function : (int, int)
#:     Address and data of the objective, as for `numba_kernels.loop.run`.
#: block : int
#:     Address of what `side_by_side` made of the objective, or 0.
#: raised, sign
#:     As for `numba_kernels.loop.run`.
#: box : ndarray, shape (2, n) or (0, n)
#:     Bounds, if there are any. The starts are within them.
#: starts, sizes : ndarray, shape (m, n)
#:     First points and first step sizes.
#: least : ndarray of float64, shape (m, 2)
#:     XTOL and FLOOR of each run.
#: template : ndarray of float64, shape (ENTRIES,)
#:     The other scalars of a run before its first evaluation.
#: constants, variant
#:     As for `numba_kernels.iterate.advance`.
#: x, g, table : ndarray, shapes (m, n), (m, n) and (m, RESULTS)
#:     Where results are written: points, gradients, and the columns `F`, `NIT`, `NFEV` and `STATUS`. If the
#:     objective raised an exception, x is where it did.
#: control : ndarray of int64, shape (2,)
#:     When another thread sets `STOP` to something else than 0, this returns within an iteration. `DONE` counts
#:     the runs that have ended.
run = _compile()


@intrinsic
def _on_stack(typingctx, dtype, count):
    """An array of constant length in the frame of the function: its elements may live in registers."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    kind = types.Array(dtype.dtype, 1, "C")
    n = count.literal_value

    def codegen(context, builder, signature, arguments):
        element = context.get_data_type(kind.dtype)
        integer = context.get_value_type(types.intp)
        with builder.goto_entry_block():
            memory = builder.alloca(ir.ArrayType(element, n))
        array = arrayobj.make_array(kind)(context, builder)
        arrayobj.populate_array(
            array,
            data=builder.bitcast(memory, element.as_pointer()),
            shape=cgutils.pack_array(builder, [integer(n)]),
            strides=cgutils.pack_array(builder, [integer(context.get_abi_sizeof(element))]),
            itemsize=integer(context.get_abi_sizeof(element)),
            meminfo=None,
        )
        return array._getvalue()

    return kind(dtype, count), codegen


def side_by_side(fun: Any, kind: Any, n: int, dtype: Any) -> Any:
    """The C function that evaluates a jitted ``fun(x, g, *args) -> f`` in all lanes of a block, if it is worth it.

    Parameters
    ----------
    fun : numba dispatcher
    kind
        The type of shape and args, as `numba_kernels.objective.kind_of` gives it.
    n : int
        The number of variables. It becomes a constant, so that loops over the variables vanish, and the loop over
        the lanes can be made of vector instructions.
    dtype
        Of x and g.

    Returns
    -------
    numba.cfunc or None
        ``double (int lanes, T *block, double *f, void *data)``. None if the function is no plain arithmetic.

    Notes
    -----
    Plain arithmetic means: nothing but operations that IEEE 754 defines to the bit, on the way to a result that
    no exception prevents. Compiled for one n such a function has the results that it has for any n. That cannot
    be said of calls of ``pow`` and the like: knowing n, the compiler may evaluate them, or take others instead.
    """
    shape, args = kind.types
    if len(shape) != 1 or len(args) > 3 or not 1 <= n <= MOST_VARIABLES:
        return None
    options = {k: v for k, v in fun.targetoptions.items() if v and k not in ("nopython", "cache", "nogil")}
    if options.keys() - {"error_model"}:
        return None
    real = numba.from_dtype(np.dtype(dtype))
    try:
        if not _is_plain_arithmetic(numba.njit(**options)(fun.py_func), (real[::1], real[::1], *args)):
            return None
        return _side_by_side(numba.njit(inline="always", **options)(fun.py_func), options, kind, n, real)
    except numba.core.errors.NumbaError:
        return None  # not everything can be inlined


def _side_by_side(fun: Any, options: dict[str, Any], kind: Any, n: int, real: Any) -> Any:
    count = len(kind.types[1])
    # The inlining of functions knows no starred arguments.
    if count == 0:

        @numba.njit(inline="always", **options)
        def value(x, g, args):
            return fun(x, g)

    elif count == 1:

        @numba.njit(inline="always", **options)
        def value(x, g, args):
            return fun(x, g, args[0])

    elif count == 2:

        @numba.njit(inline="always", **options)
        def value(x, g, args):
            return fun(x, g, args[0], args[1])

    else:

        @numba.njit(inline="always", **options)
        def value(x, g, args):
            return fun(x, g, args[0], args[1], args[2])

    @numba.njit(**options)
    def evaluate(v, f, args, lanes):
        x, g = _on_stack(real, n), _on_stack(real, n)
        for lane in range(lanes):
            for j in range(n):
                x[j] = v[(j * it.ROWS + it.X) * LANES + lane]
                g[j] = 0
            f[lane] = value(x, g, args)
            for j in range(n):
                v[(j * it.ROWS + it.LAST_G) * LANES + lane] = g[j]

    doubles = types.CPointer(types.float64)

    @numba.cfunc(types.float64(types.intc, types.CPointer(real), doubles, types.intp))
    def c_function(lanes, block, f, data):
        _, args = objective._load(objective.pointer(data, np.int64)[1], kind)
        evaluate(numba.carray(block, (n * it.ROWS * LANES,)), numba.carray(f, (LANES,)), args, lanes)
        return 0.0

    return c_function


#: What a function of plain arithmetic may call, as LLVM names it; before Numba 0.61, square roots are those of C.
_PLAIN_CALLS = re.compile(
    r"sqrtf?\.|llvm\.(fabs|sqrt|copysign|floor|ceil|trunc|lifetime|assume|mem(set|cpy|move)|[su](max|min)|abs|"
    r"vector\.reduce|masked|experimental\.noalias)\."
)


def _is_plain_arithmetic(fun: Any, arguments: tuple[Any, ...]) -> bool:
    fun.compile(arguments)
    found = fun.overloads[arguments]
    functions = dict(
        re.findall(r'^define [^@]*@"?([^"(]+)"?\((.*?)^}', found.library.get_llvm_str(), re.MULTILINE | re.DOTALL)
    )
    seen: set[str] = set()
    waiting = [found.fndesc.llvm_func_name]
    while waiting:
        name = waiting.pop()
        if name in seen or _PLAIN_CALLS.match(name + "."):
            continue
        seen.add(name)
        if name not in functions or "picklebuf" in functions[name]:  # something else, or an exception
            return False
        for line in functions[name].splitlines():
            if re.search(r"\b(call|invoke)\b", line):
                callee = re.search(r'@"?([^"(]+)"?\(', line)
                waiting.append(callee[1] if callee else "what a pointer points to")
    return True


__all__ = ["DONE", "LANES", "NFEV", "NIT", "RESULTS", "STATUS", "STOP", "F", "run", "side_by_side"]
