"""The whole loop of `rprop_ref.minimize` in machine code, for objectives that are machine code as well."""

from __future__ import annotations

from numba_kernels._cache import DIGEST, kernel
from numba_kernels.iterate import _advance
from numba_kernels.objective import borrow, call
from rprop_ref._core import iteration as it

#: What `run` returns if the objective raised an exception; otherwise it returns what `iteration.advance` does.
RAISED = -3


def _compile():
    stamp = DIGEST

    @kernel()
    def run(address, data, raised, sign, vectors, scalars, constants, variant, turns, stop, x, g):
        stamp  # noqa: B018
        vectors = borrow(vectors)
        scalars = borrow(scalars)
        constants = borrow(constants)
        g = borrow(g)
        status = it.GO_ON
        if scalars[it.MOVED] != 0 and it.equal(vectors[it.X], vectors[it.LAST_X]):
            status = it.STAYED
            it.copy(vectors[it.LAST_G], g)
        for _ in range(turns):
            f = scalars[it.LAST_F]
            if status != it.STAYED:
                next_x = vectors[it.X]
                for i in range(x.size):
                    x[i] = next_x[i]
                    g[i] = 0
                f = call(address, x.size, x.ctypes.data, g.ctypes.data, data)
                if raised[0] != 0:
                    return RAISED
                if sign < 0:
                    f = -f
                    for i in range(g.size):
                        g[i] = -g[i]
                scalars[it.NFEV] += 1
                scalars[it.NJEV] += 1
            status = _advance(vectors, scalars, constants, variant, f, g)
            if status >= 0 or stop[0] != 0:
                break
        return status

    return run


#: ``run(address, data, raised, sign, vectors, scalars, constants, variant, turns, stop, x, g) -> status``:
#: evaluates the objective and advances, `turns` times at most. It holds no lock, and touches nothing but its
#: arguments.
#:
#: address, data : int
#:     A C function as described in `numba_kernels.objective`, and what it is called with.
#: raised : ndarray of int64
#:     The first entry is not 0 after the objective has raised an exception.
#: sign : int
#:     -1 if the objective is to be maximized: then it is the negative of its value that the record has; else 1.
#: vectors, scalars : ndarray
#:     The record, see `rprop_ref._core.iteration`. Changed in place.
#: constants, variant
#:     As for `numba_kernels.iterate.advance`.
#: stop : ndarray of int64
#:     When another thread sets the first entry to something else than 0, this returns within an iteration.
#: x, g : ndarray, shape (n,)
#:     Room for the point and the gradient, in the dtype of `vectors`.
run = _compile()

__all__ = ["RAISED", "run"]
