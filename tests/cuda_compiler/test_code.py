"""The code that the kernels are compiled to, read without a GPU."""

from __future__ import annotations

import os

import pytest

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
    pytest.skip("Numba's CUDA simulator, which is switched on, compiles nothing", allow_module_level=True)
pytest.importorskip("cuda.core", reason="kernels are compiled by numba-cuda, which is not installed")

import ptx
import ptx_machine
from numba import cuda, types

from cuda_kernels import many_runs
from rprop_ref import rules

KINDS = ("flat", "many")

#: A step loads x, g, prev and size of each element that is in flight, and stores all but g. Besides, it reads and writes
#: the counter; with a table it also reads its row: chunk, first element, gradient, and the five columns. Only rules that
#: compare losses read whether the loss rose.
ELEMENTS = 4
LOADS, STORES = 4 * ELEMENTS, 3 * ELEMENTS
COUNTER = 1
ROW = {"flat": 0, "many": 8}


@pytest.mark.parametrize("capability", ptx.CAPABILITIES, ids=["sm_80", "sm_90"])
@pytest.mark.parametrize("dtype", ptx.DTYPES)
@pytest.mark.parametrize("variant", rules.RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_fuses_and_spills_nothing_and_loads_before_it_stores(kind, variant, dtype, capability):
    code = ptx.compiled(kind, variant, dtype, capability)
    assert code.cubin.startswith(b"\x7fELF")
    # No operation is fused with another, none is wider than its numbers, and no register is spilled.
    assert code.count(r"fma\b") == 0
    assert code.count(r"mad\.\S*f\d\d") == 0
    assert ".ftz" not in code.ptx
    if dtype != "float64":
        assert ".f64" not in code.ptx
    assert ".local" not in code.ptx
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in code.log
    # Products and sums are marked as rounded to nearest, so that ptxas may not fuse them either.
    assert code.count(r"(?:mul|add|sub)\.(?!rn)\S*f(?:32|64)") == 0
    assert code.count(r"mul\.rn\.f(?:32|64)") >= 4 * ELEMENTS
    assert code.count(r"call\b") == 0
    assert code.count(r"ld\.global") == LOADS + COUNTER + ROW[kind] + rules.RULES[variant].compares_losses
    assert code.count(r"st\.global") == STORES + COUNTER
    assert code.count(r"(?:ld|st)\.(?!global|param)") == 0
    # All loads of the elements come together, without a branch, before the first store.
    assert "|" + "L" * LOADS + "SSS" in code.order
    # A multiprocessor with 65,536 registers has room for 1,024 threads at once, or for 512 that compute in float64.
    assert code.registers <= (128 if dtype == "float64" else 64)


@pytest.mark.parametrize("capability", ptx.CAPABILITIES, ids=["sm_80", "sm_90"])
@pytest.mark.parametrize("name", list(ptx.other_kernels()))
def test_the_other_kernels_fuse_and_spill_nothing(name, capability):
    code = ptx.compile_kernel(*ptx.other_kernels()[name], capability)
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in code.log
    assert ".f64" not in code.ptx or "float64" in name or "compare losses" in name
    assert code.cubin.startswith(b"\x7fELF")
    assert ".local" not in code.ptx
    assert code.count(r"call\b") == 0
    assert code.count(r"fma\b") == 0


@pytest.mark.parametrize(
    "variant, dtype, capability",  # only a few, since each takes ten seconds
    [
        ("irprop-", "float32", (9, 0)),
        ("irprop-", "float64", (8, 0)),
        ("irprop+", "float64", (9, 0)),
        ("rprop+", "float32", (8, 0)),
    ],
)
def test_a_whole_run_fuses_and_spills_nothing(variant, dtype, capability):
    """The objective has no product or sum that could be fused."""

    @cuda.jit(device=True)
    def fun(x, g):
        f = 0.0
        for i in range(x.size):
            g[i] = x[i]
            f = max(f, abs(x[i]))
        return f

    assert many_runs.is_device_function(fun)
    assert not many_runs.is_device_function(many_runs.kernel)
    code = ptx.compile_runs(fun, variant, dtype, capability)
    assert code.cubin.startswith(b"\x7fELF")
    assert code.count(r"fma\b") == 0
    assert not ptx_machine.parse(code.ptx).fusable
    assert ".local" not in code.ptx
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in code.log
    assert code.count(r"call\b") == 0
    # A multiprocessor has room for at least two blocks at once.
    assert code.registers <= 65536 // (2 * many_runs.THREADS)


def test_a_kernel_of_the_compilers_own_floats_is_fused():
    """And the counts above show it."""

    def fused(x, y):
        x[0] = x[0] * y + x[1]

    code = ptx.compile_kernel(fused, [types.float32[::1], types.float32], (9, 0))
    assert code.count(r"fma\b") == 1
    wide = ptx.compile_kernel(fused, [types.float32[::1], types.float64], (9, 0))
    assert ".f64" in wide.ptx
