"""Kernels compiled without a GPU: to PTX, and by nvJitLink to machine code."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest import mock

from numba import cuda, types
from numba.cuda import dispatcher

from cuda_kernels import flat, layout, loss, many_runs
from cuda_kernels import many_arrays as many
from rprop_ref._core.constants import COUNT

CAPABILITIES = ((8, 0), (9, 0))

DTYPES = ("float16", "bfloat16", "float32", "float64")

INT = types.int64


@dataclass
class Compiled:
    """A compiled kernel, with the linker's log."""

    ptx: str
    cubin: bytes
    log: str

    def count(self, instruction: str) -> int:
        """How many instructions of the PTX match a regular expression."""
        return len(re.findall(rf"^\s*(?:@\S+\s+)?{instruction}", self.ptx, re.MULTILINE))

    @property
    def order(self) -> str:
        """Loads (L), stores (S), and branches and labels (|), in the order of the PTX."""
        names = re.findall(r"^\s*(?:@\S+\s+)?(?:(ld|st)\.global|bra\b|\$\w+:)", self.ptx, re.MULTILINE)
        return "".join({"ld": "L", "st": "S", "": "|"}[name] for name in names)

    @property
    def registers(self) -> int:
        """The number of registers of each thread."""
        return int(re.findall(r"Used (\d+) registers", self.log)[0])


def compile_ptx(kernel: Any, arguments: list[Any], capability: tuple[int, int]) -> str:
    """Compile a kernel to PTX, for arguments of some types and a compute capability."""
    # numba-cuda compiles the functions that a kernel calls for the current GPU; pretend there is one.
    device = SimpleNamespace(compute_capability=capability)
    with mock.patch.object(dispatcher, "get_current_device", lambda: device):
        signature = types.void(*arguments)
        ptx: str = cuda.compile(kernel, signature, device=False, cc=capability, output="ptx", abi="numba")[0]
    return ptx


def compile_kernel(kernel: Any, arguments: list[Any], capability: tuple[int, int]) -> Compiled:
    """Compile a kernel to PTX, and link it to machine code."""
    return link(compile_ptx(kernel, arguments, capability), capability)


def link(ptx: str, capability: tuple[int, int]) -> Compiled:
    """Link PTX to machine code."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch=f"sm_{capability[0]}{capability[1]}", ptxas_options="-v")
    linker = Linker(ObjectCode.from_ptx(ptx.encode()), options=options)
    return Compiled(ptx, linker.link("cubin").code, linker.get_info_log())


def real(dtype: str) -> Any:
    """The type in which a kernel takes its constants."""
    return types.float64 if dtype == "float64" else types.float32


def flat_arguments(dtype: str) -> list[Any]:
    """The types of what steps one array."""
    return [INT] * 7 + [types.UniTuple(real(dtype), COUNT)]


def many_arguments(dtype: str) -> list[Any]:
    """The types of what steps many arrays."""
    return [INT] * 5 + [types.UniTuple(real(dtype), COUNT)]


@functools.cache
def step_ptx(kind: str, variant: str, dtype: str, capability: tuple[int, int]) -> str:
    """The PTX of the kernel that steps one array ("flat") or many ("many")."""
    if kind == "flat":
        return compile_ptx(flat.make_kernel(variant, dtype), flat_arguments(dtype), capability)
    return compile_ptx(many.make_kernel(variant, dtype), many_arguments(dtype), capability)


@functools.cache
def compiled(kind: str, variant: str, dtype: str, capability: tuple[int, int]) -> Compiled:
    """The same kernel, linked."""
    return link(step_ptx(kind, variant, dtype, capability), capability)


def compile_runs(fun: Any, variant: str, dtype: str, capability: tuple[int, int]) -> Compiled:
    """The kernel of `many_runs`, for an objective without further arguments."""
    number = real(dtype)
    arrays = [types.Array(number, 3, "C"), types.Array(types.float64, 2, "C"), *[types.Array(number, 2, "C")] * 2]
    others = [types.Array(INT, 1, "C"), types.Array(number, 1, "C"), INT, INT, types.Tuple(())]
    return compile_kernel(many_runs.make_kernel(fun, variant, dtype), [*arrays, *others], capability)


def other_kernels() -> dict[str, tuple[Any, list[Any]]]:
    """The kernels that make no steps, with the types of their arguments."""
    kernels: dict[str, tuple[Any, list[Any]]] = {
        f"copy {width} bytes": (layout.make_kernel(width), [INT] * 5 + [types.boolean]) for width in layout.WORDS
    }
    for dtype in DTYPES:
        kernels[f"fill {dtype}"] = (layout.make_fill_kernel(dtype), [INT, INT, real(dtype)])
    for dtype in loss.DTYPES:
        kernels[f"compare losses {dtype}"] = (loss.make_kernel(dtype), [INT] * 4)
    addresses = types.UniTuple(INT, many.ADDRESSES_PER_LAUNCH)
    kernels["write addresses"] = (many.write_addresses, [INT] * 3 + [addresses])
    return kernels
