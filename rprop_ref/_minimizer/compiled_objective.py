"""An objective in machine code: one C function that returns the value and writes the gradient.

A compiled loop cannot call Python, and it should not be compiled again for each objective. So every objective in
machine code (a function compiled by Numba, or a C function) is given to it as a C function of one signature::

    double evaluate(int n, T *x, T *g, void *data)

T is the dtype of x. The function returns the value at x and writes the gradient to g, which is full of zeros when
it is called. The loop gets its address, an integer.

`recognize.recognize` decides whether an objective is machine code. It returns a `JittedObjective`
(`jitted_objective`), a `CObjective` (`c_objective`), or None. A compiled loop uses the result like this::

    compiled = recognize(fun, jac, args, shape, dtype)
    address, data, raised = compiled.bind()                # once per run, or once per thread
    run = numba_kernels.loop.kernel(rule)
    status = run(address, data, raised, sign, vectors, scalars, constants, max_iterations, stop, x, g)
    if status == Status.RAISED:                            # the objective raised an exception at x
        compiled.reraise(x)

The loop releases the GIL and changes nothing but its arguments. So several threads may run it at the same time,
each with a `bind` of its own. Python code calls the object itself: ``f, g = compiled(x)``.
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
        The address of the C function.
    shape, dtype
        Shape and dtype of x as the user's function sees it.
    *owners
        Objects that own the memory of the C function and its data. They are kept alive with this one.

    Attributes
    ----------
    address : int
    """

    def __init__(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any], *owners: Any) -> None:
        self.address = address
        self._shape = shape
        self._dtype = dtype
        self._owners = owners
        pointer = ctypes.c_void_p
        self._call = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_int, pointer, pointer, pointer)(address)
        self._bound = self.bind()

    def bind(self) -> tuple[int, int, Array]:
        """What a compiled loop needs to call the function: ``address, data, raised``.

        `data` is the last argument of each call. After a call in which the user's function raised an exception,
        ``raised[0]`` is 1, and the value and gradient are meaningless. Keep `raised` and this object alive while
        `address` and `data` are in use.
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
        """Value and gradient at x, of shape (n,), for `PythonDriver`. The gradient is a new array."""
        _, data, raised = self._bound
        point, g = x.astype(self._dtype), np.zeros(x.size, self._dtype)
        f = self._call(x.size, point.ctypes.data, g.ctypes.data, data)
        if raised[0]:
            raised[0] = 0
            self.reraise(x)
        return f, g
