"""The kernels that the compiler makes, executed: the bits of the oracle, for any grid; and mutants of them are caught."""

from __future__ import annotations

import os

import cases
import numpy as np
import pytest

if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0":
    pytest.skip("Numba's CUDA simulator, which is chosen, compiles nothing", allow_module_level=True)
pytest.importorskip("cuda.core", reason="kernels are compiled by numba-cuda, which is not installed")

import execution
import mutants
import ptx
import ptx_machine

from rprop_ref.rules import RULES

CAPABILITIES = pytest.mark.parametrize("capability", ptx.CAPABILITIES, ids=["sm_80", "sm_90"])

#: Blocks and threads: one thread for all, fewer threads than elements, about as many, many more, and odd numbers.
GRIDS = ((1, 1), (1, 32), (3, 7), (2, 64), (8, 256))


@CAPABILITIES
@pytest.mark.parametrize("dtype", ptx.DTYPES)
@pytest.mark.parametrize("variant", RULES)
def test_one_array_has_the_bits_of_the_oracle_for_any_grid(variant, dtype, capability, rng):
    kernel = ptx_machine.parse(ptx.step_ptx("flat", variant, dtype, capability))
    kind = cases.dtype_named(dtype)
    for grid, block in GRIDS:
        for n in (0, 1, 37, 130):
            execution.one_array(kernel, variant, kind, n, grid, block, rng)
    for options in execution.settings(kind):
        execution.one_array(kernel, variant, kind, 40, 2, 16, rng, **options)
        execution.one_array(kernel, variant, kind, 40, 2, 16, rng, maximize=True, **options)


@CAPABILITIES
@pytest.mark.parametrize("dtype", ptx.DTYPES)
@pytest.mark.parametrize("variant", RULES)
def test_many_arrays_have_the_bits_of_numpy_for_any_grid(variant, dtype, capability, rng, monkeypatch):
    monkeypatch.setattr(execution.many, "CHUNK", 64)
    make = execution.many.make_kernel(variant, dtype)
    kernel = ptx_machine.parse(ptx.compile_ptx(make, ptx.many_arguments(dtype), capability))
    kind = cases.dtype_named(dtype)
    lengths = [0, 1, 5, 63, 64, 65, 200, *rng.integers(0, 30, 30).tolist()]
    for grid, block in ((1, 8), (5, 7), (200, 32)):
        execution.many_arrays(kernel, variant, kind, lengths, grid, block, rng)
    for i, options in enumerate(execution.settings(kind)):
        execution.many_arrays(kernel, variant, kind, [0, 5, 65, 3], 3, 16, rng, maximize=i % 2 == 1, **options)


@CAPABILITIES
@pytest.mark.parametrize("name", list(ptx.other_kernels()))
def test_the_other_kernels_do_what_numpy_does_for_any_grid(name, capability, rng):
    kernel = ptx_machine.parse(ptx.compile_ptx(*ptx.other_kernels()[name], capability))
    what, _, rest = name.rpartition(" ")
    if name == "write addresses":
        execution.addresses(kernel)
    elif what == "compare losses":
        execution.losses(kernel, np.dtype(rest), rng)
    else:
        for grid, block in GRIDS:
            if what == "fill":
                execution.fills(kernel, cases.dtype_named(rest), grid, block)
            else:
                execution.copies(kernel, int(name.split()[1]), grid, block, rng)


def test_a_store_beyond_the_array_is_caught(rng):
    """The array is said to be one element longer than it is."""
    kernel = ptx_machine.parse(ptx.step_ptx("flat", "irprop-", "float32", (8, 0)))
    memory = ptx_machine.Memory()
    arrays = [np.zeros(20, np.float32) for _ in range(4)]
    addresses = [memory.add(a[:19]) for a in arrays]
    with pytest.raises(ptx_machine.PtxError, match="outside the memory that was handed over"):
        ptx_machine.launch(kernel, [*addresses, 20, 0, 0, 0.5, 1.2, 0, 1, 0, 1, 1], 1, 32, memory)


@pytest.mark.parametrize("mutant", mutants.chosen(), ids=str)
def test_a_mutant_is_caught(mutant):
    """By other bits, by the check of the bounds, or because it does not end."""
    assert mutants.is_caught(mutant)


def test_what_is_mutated_passes_as_it_stands():
    assert not any(mutants.is_caught(original) for original in mutants.originals())
