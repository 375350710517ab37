"""An objective in machine code: one C function that returns the value and writes the gradient.

A compiled loop cannot call Python, and it should not be compiled again for each objective. So whatever the user
gives that is machine code (a function compiled by Numba, or a C function) is turned into one C function::

    double evaluate(int n, T *x, T *g, void *data)

T is the dtype of x. The function returns the value at x and writes the gradient to g, which is full of zeros when
it is called. The loop knows it by its address, an integer.

`recognize.recognize` decides whether an objective is machine code. It returns a `JittedObjective`
(`jitted_objective`), a `CObjective` (`c_objective`), or None. A compiled loop uses the result like this::

    compiled = recognize(fun, jac, args, shape, dtype)
    address, data, raised = compiled.bind()                # once per run, or once per thread
    run = numba_kernels.loop.kernel(rule)
    status = run(address, data, raised, 1, vectors, scalars, constants, max_iterations, stop, x, g)
    if status == Status.RAISED:                            # the objective raised an exception: raised[0] is not 0
        compiled.reraise(x)

The loop releases the interpreter's lock and touches nothing but its arguments. So several runs may go on at the
same time in threads, each with a `bind` of its own. Python code calls the object itself: ``f, g = compiled(x)``.
"""

from __future__ import annotations

import ctypes
from typing import Any, NoReturn

import numpy as np

Array = np.ndarray[Any, Any]


class CompiledObjective:
    """An objective with its gradient as one C function.

    Parameters
    ----------
    address : int
        Of the C function.
    shape, dtype
        Of x as the user's function sees it.
    *keep
        Objects that must live as long as the C function is called.

    Attributes
    ----------
    address : int
    """

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any], *keep: Any) -> None:
        self.address = address
        self._shape = shape
        self._dtype = dtype
        self._keep = keep
        pointer = ctypes.c_void_p
        self._call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, pointer, pointer, pointer)(address)
        self._bound = self.bind()

    def bind(self) -> tuple[int, int, Array]:
        """What compiled code needs to call the function: ``address, data, raised``.

        `data` is the last argument of each call. After a call that raised an exception, ``raised[0]`` is 1, and
        the value and gradient are meaningless. Keep `raised` and this object alive as long as the two integers
        are used.
        """
        raise NotImplementedError

    @property
    def parallel(self) -> bool:
        """Whether the objective starts threads of its own."""
        return False

    def batched(self) -> int:
        """The address of a C function that evaluates several points per call; 0 if there is none.

        See `numba_kernels.batched_objective.batched`. It takes the same `data`.
        """
        return 0

    def reraise(self, x: Array) -> NoReturn:
        """Raise the exception that the objective raised at x in compiled code, by calling it from Python."""
        self._call_in_python(x.copy().reshape(self._shape))
        raise RuntimeError(
            f"the objective raised an exception in compiled code at x = {x}, but not when it was called again"
        )

    def _call_in_python(self, x: Array) -> None:
        """Call the user's own functions at x, so that an exception comes out as usual."""
        raise NotImplementedError

    def __call__(self, x: Array) -> tuple[float, Array]:
        """Value and gradient at x, of shape (n,), for loops in Python. The gradient is a new array."""
        _, data, raised = self._bound
        point, g = x.astype(self._dtype), np.zeros(x.size, self._dtype)
        f = self._call(x.size, point.ctypes.data, g.ctypes.data, data)
        if raised[0]:
            raised[0] = 0
            self.reraise(x)
        return f, g
