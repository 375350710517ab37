"""How an implementation rounds in other dtypes than that of the experiments: found by trying all that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .._table.grammar import GLOBALS, Answer
from .strands import Nature

Entries = dict[str, Answer]

#: How 16 bits may be computed by what computes float64 in float32.
SINGLE = ("computed in float32", "everything in float32")


def plainest(names: Sequence[str], nature: Nature) -> Entries:
    """The entries about rounding that matter in some dtypes, with their plainest answers."""
    found: Entries = {"16-bit constants": "rounded"} if {"float16", "bfloat16"} & set(names) else {}
    return {**found, "arithmetic": SINGLE[0]} if nature.single else found


def choices(before: Entries, *, half: bool) -> Iterator[Entries]:
    """The answers that the entries may have, the plainest first.

    Parameters
    ----------
    before : dict of str to answer
        The answers up to now. If steps are not computed in the dtype of x, that is settled.
    half : bool
        Whether it is about 16 bits: other answers matter there than in float32.
    """
    settled = before.get("arithmetic")
    others = [word for word in GLOBALS["arithmetic"] if word not in SINGLE]
    for arithmetic in SINGLE if settled in SINGLE else others if settled is None else (settled,):
        if not half and "16" in str(arithmetic):
            continue
        for constants in GLOBALS["16-bit constants"] if half and "16-bit constants" in before else ("",):
            own: Entries = {"arithmetic": arithmetic} if arithmetic != "in the dtype" else {}
            yield {**before, **own, **({"16-bit constants": constants} if constants else {})}
