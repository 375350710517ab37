"""What code the kernels become, read without a GPU."""

from __future__ import annotations

import os

import cases
import pytest

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
    pytest.skip("Numba's CUDA simulator, which is chosen, compiles nothing", allow_module_level=True)
pytest.importorskip("cuda.core", reason="kernels are compiled by numba-cuda, which is not installed")

import ptx
from numba import cuda, types

from cuda_kernels import many_runs

KINDS = ("flat", "many")

#: Loads of a step: x, g, prev and size of each of the elements that are in flight together; stores: all but g. Beside
#: them, the counter is read and written, and in a table its row is read: chunk, first element, gradient, and the five
#: columns. Only "irprop+" reads whether the loss rose.
ELEMENTS = 4
LOADS, STORES = 4 * ELEMENTS, 3 * ELEMENTS
COUNTER = 1
ROW = {"flat": 0, "many": 8}


@pytest.mark.parametrize("capability", ptx.CAPABILITIES, ids=["sm_80", "sm_90"])
@pytest.mark.parametrize("dtype", ptx.DTYPES)
@pytest.mark.parametrize("variant", cases.VARIANTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step(kind, variant, dtype, capability):
    code = ptx.compiled(kind, variant, dtype, capability)
    assert code.cubin.startswith(b"\x7fELF")
    # No operation is fused with another, none is wider than its numbers, nothing is spilled.
    assert code.count(r"fma\b") == 0
    assert code.count(r"mad\.\S*f\d\d") == 0
    assert ".ftz" not in code.ptx
    if dtype != "float64":
        assert ".f64" not in code.ptx
    assert ".local" not in code.ptx
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in code.linked
    # Products and sums are marked as rounded, so that ptxas may not fuse them either.
    assert code.count(r"(?:mul|add|sub)\.(?!rn)\S*f(?:32|64)") == 0
    assert code.count(r"mul\.rn\.f(?:32|64)") >= 4 * ELEMENTS
    assert code.count(r"call\b") == 0
    verdict = variant == "irprop+"
    assert code.count(r"ld\.global") == LOADS + COUNTER + ROW[kind] + verdict
    assert code.count(r"st\.global") == STORES + COUNTER
    assert code.count(r"(?:ld|st)\.(?!global|param)") == 0
    # All loads of the elements stand together, without a branch, before the first of them is stored.
    assert "|" + "L" * LOADS + "SSS" in code.order
    # So many threads of 256 in a block fit into a multiprocessor with 65,536 registers: 1,024, or 512 of doubles.
    assert code.registers <= (128 if dtype == "float64" else 64)


@pytest.mark.parametrize("capability", ptx.CAPABILITIES, ids=["sm_80", "sm_90"])
@pytest.mark.parametrize("name", list(ptx.others()))
def test_the_other_kernels(name, capability):
    text, arguments = ptx.others()[name]
    code = ptx.compile_kernel(text, arguments, capability)
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in code.linked
    assert ".f64" not in code.ptx or "float64" in name or "compare losses" in name
    assert code.cubin.startswith(b"\x7fELF")
    assert ".local" not in code.ptx
    assert code.count(r"call\b") == 0
    assert code.count(r"fma\b") == 0


@pytest.mark.parametrize(
    "variant, dtype, capability",  # a few, since one takes ten seconds
    [
        ("irprop-", "float32", (9, 0)),
        ("irprop-", "float64", (8, 0)),
        ("irprop+", "float64", (9, 0)),
        ("rprop+", "float32", (8, 0)),
    ],
)
def test_a_whole_run(variant, dtype, capability):
    """With an objective that multiplies and adds nothing, nothing is fused either."""

    @cuda.jit(device=True)
    def fun(x, g):
        f = 0.0
        for i in range(x.size):
            g[i] = x[i]
            f = max(f, abs(x[i]))
        return f

    assert many_runs.is_device_function(fun)
    assert not many_runs.is_device_function(many_runs.kernel)
    code = ptx.runs(fun, variant, dtype, capability)
    assert code.cubin.startswith(b"\x7fELF")
    assert code.count(r"fma\b") == 0
    assert ".local" not in code.ptx
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in code.linked
    assert code.count(r"call\b") == 0
    # Two blocks of 128 threads, or three, in a multiprocessor at once.
    assert code.registers <= 65536 // (2 * many_runs.THREADS)


def test_the_check_finds_what_it_looks_for():
    """A kernel that is written with the compiler's own floats is fused, and this is seen."""

    def fused(x, y):
        x[0] = x[0] * y + x[1]

    code = ptx.compile_kernel(fused, [types.float32[::1], types.float32], (9, 0))
    assert code.count(r"fma\b") == 1
    wide = ptx.compile_kernel(fused, [types.float32[::1], types.float64], (9, 0))
    assert ".f64" in wide.ptx
