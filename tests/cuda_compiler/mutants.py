"""Kernels with one fault each: the text of their PTX is changed in one place."""

from __future__ import annotations

import functools
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cases
import execution
import numpy as np
import ptx
import ptx_machine

#: How many mutants are tried; ``MUTANTS=all`` tries every one (some 800).
COUNT = 50

#: What is mutated: one array and many, rules that read the loss and rules that do not, narrow and wide floats.
KERNELS = (
    ("flat", "irprop+", "float32"),
    ("flat", "rprop+", "float64"),
    ("flat", "irprop-", "bfloat16"),
    ("flat", "rprop-", "float16"),
    ("many", "irprop+", "float32"),
)


@dataclass(frozen=True)
class Mutant:
    """A kernel's text, and what was changed in it."""

    kind: str
    variant: str
    dtype: str
    text: str
    change: str

    def __str__(self) -> str:
        return f"{self.kind} {self.variant} {self.dtype}: {self.change}"


#: Labels that a guard jumps to past the counter of steps, and past the whole kernel.
GUARDED = r"(?:\$L__BB0_2|\$EXIT)"


def _fused(line: str) -> str:
    """Add a square to a sum: ``fma(b, b, a)`` for ``a + b``, which is the same only where b is 0 or 1."""
    return re.sub(r"add\.rn\.(f\d\d)(\s+%\w+, )(%\w+), (%\w+)", r"fma.rn.\1\2\4, \4, \3", line, count=1)


def _swap(pattern: str, replacement: str) -> Callable[[str], str]:
    return lambda line: re.sub(pattern, replacement, line, count=1)


#: Changes of one instruction. A line that a change leaves as it is, is not one for it. Left out are changes after which
#: the kernel computes the same: whether a clamp at a limit takes a size that equals the limit; the sign of a stored
#: gradient of 0, which no rule reads; and the guards of the stores, since the elements that a thread does not have are
#: stood in for by its first one, which would be stored again.
CHANGES: dict[str, Callable[[str], str]] = {
    "a comparison points the other way": lambda line: re.sub(
        r"setp\.([lg])", lambda m: "setp." + {"l": "g", "g": "l"}[m[1]], line, count=1
    ),
    "NaN is told from numbers the other way": _swap(r"setp\.num\.", "setp.nan."),
    "a choice is the other one": _swap(r"(selp\.\S+\s+%\w+, )([^,]+), ([^,]+), ", r"\1\3, \2, "),
    "a sum is a difference": _swap(r"add\.rn\.", "sub.rn."),
    "a product is a sum": _swap(r"mul\.rn\.", "add.rn."),
    "a sum is fused with a product": _fused,
    "a sign is lost": _swap(r"neg\.", "mov."),
    "16 bits are lost": _swap(r"cvt\.rn\.(?:bf|f)16\.f32(\s+%\w+), %\w+", r"mov.u16\1, 1"),
    "an index is that of another thread": _swap(r"(mov\.u32\s+%\w+, )%tid\.x", r"\1%ntid.x"),
    "an address is that of a wider element": _swap(r"(shl\.b64\s+%\w+, %\w+, )([123]);", r"\g<1>4;"),
    "a guard is missing": _swap(rf"@%\w+ bra\s+{GUARDED};", ""),
    "a guard is the other way": _swap(rf"@(%\w+) bra(\s+{GUARDED};)", r"@!\1 bra\2"),
    "a store is missing": _swap(r"st\.global\.\S+\s+\[[^]]*\], %\w+;", ""),
}


@functools.cache
def _text(kind: str, variant: str, dtype: str) -> str:
    text = ptx.step_ptx(kind, variant, dtype, (8, 0))
    last = re.findall(r"^(\$\w+):\s*\n\s*ret;", text, re.MULTILINE)[-1]
    return text.replace(last, "$EXIT")


def originals() -> list[Mutant]:
    """The kernels as they are."""
    return [Mutant(*kernel, _text(*kernel), "nothing") for kernel in KERNELS]


def _all_mutants(kernel: tuple[str, str, str], name: str) -> Iterator[Mutant]:
    lines = _text(*kernel).splitlines()
    ones = set(re.findall(r"mov\.f32\s+(%\w+), 0f3F800000;", "\n".join(lines)))
    for i, line in enumerate(lines):
        changed = CHANGES[name](line)
        # A counter grows by 1, the square of which is 1.
        if changed != line and not (CHANGES[name] is _fused and line.rstrip(";").split()[-1] in ones):
            text = "\n".join([*lines[:i], changed, *lines[i + 1 :]])
            yield Mutant(*kernel, text, f"{name}: {line.strip()} -> {changed.strip()}")


@functools.cache
def chosen() -> tuple[Mutant, ...]:
    """Of each change about as many, spread over the kernels; or all."""
    if os.environ.get("MUTANTS") == "all":
        return tuple(m for kernel in KERNELS for name in CHANGES for m in _all_mutants(kernel, name))
    choice = random.Random(20)
    mutants: list[Mutant] = []
    while len(mutants) < COUNT:
        for name in CHANGES:
            kernels = [k for k in KERNELS if next(_all_mutants(k, name), None)]
            mutant = choice.choice(list(_all_mutants(choice.choice(kernels), name)))
            if mutant not in mutants:
                mutants.append(mutant)
    return tuple(mutants[:COUNT])


def is_caught(mutant: Mutant) -> bool:
    """Whether the bits, the memory that is touched, or the number of instructions tell that something is wrong."""
    dtype = cases.dtype_named(mutant.dtype)
    try:
        kernel = ptx_machine.parse(mutant.text)
        for seed, given in enumerate(execution.settings(dtype)):
            rng, options = np.random.default_rng(seed), {"maximize": seed % 2 == 1, **given}
            if mutant.kind == "many":
                lengths = [0, 1, 5, 300, *rng.integers(0, 30, 16).tolist()]
                grid = 3 if seed % 2 else 30  # fewer blocks than arrays, or more
                execution.many_arrays(kernel, mutant.variant, dtype, lengths, grid, 16, rng, **options)
            else:
                execution.one_array(kernel, mutant.variant, dtype, 150, 2, 16, rng, step_sizes=(0.05, 0.2))
                for n in (20, 50, 70, 100):  # a thread of 32 has so many elements: none or one, to four
                    execution.one_array(kernel, mutant.variant, dtype, n, 2, 16, rng, **options)
    except (AssertionError, ptx_machine.PtxError):
        return True
    return False
