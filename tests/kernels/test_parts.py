"""Functions that only kernels call become machine code in those alone."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numba.core.errors import UnsupportedError

from numba_kernels._cache import inner
from numba_kernels._parts import NotInlinedCompiler


def is_machine_code(function):
    (compiled,) = function.overloads.values()
    return compiled.target_context.codegen()._engine.is_symbol_defined(compiled.fndesc.llvm_func_name)


def test_a_function_of_a_kernel_has_no_machine_code_of_its_own():
    twice = inner(lambda x: 2 * x, forceinline=True)

    @numba.njit
    def kernel(x):
        return twice(x) + 1

    assert kernel(3.0) == 7
    assert is_machine_code(kernel)
    assert not is_machine_code(twice)


def test_kernels_share_functions_that_are_not_inlined():
    @inner(forceinline=False, pipeline_class=NotInlinedCompiler)
    def total(x):
        result = 0.0
        for i in range(x.size):
            result += x[i]
        return result

    @inner(forceinline=True)
    def mean(x):
        return total(x) / x.size

    kernels = [numba.njit(lambda x: mean(x) + total(x)), numba.njit(lambda x: mean(x) - total(x))]
    assert [kernel(np.array([1.0, 3.0])) for kernel in kernels] == [6, -2]
    assert is_machine_code(total)


def test_what_needs_more_of_numbas_passes_is_refused():
    @inner
    def root(x):
        if x < 0:
            raise ValueError
        return x**0.5

    with pytest.raises(UnsupportedError, match="raise"):
        numba.njit(lambda x: root(x))(1.0)
