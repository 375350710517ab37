"""What is asked of an implementation: the arguments of `check`, and the features and dtypes it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from .._core.dtypes import named as dtype_named
from ._cases.case import FEATURES
from ._cases.dtypes import COMPLEX, REALS, checked_names
from ._comparison.observe import Factory
from ._stages.compositions import composition_of


def checked(
    factory: Factory, claim: str, dtypes: Sequence[str] | None, without: Iterable[str]
) -> tuple[frozenset[str], tuple[str, ...]]:
    """Check the arguments; return the words of `without`, and the names of the dtypes to compare in."""
    if not callable(factory):
        raise TypeError(f"factory should be callable, as factory(x0, lr=...), and is {factory!r}")
    composition_of(claim)
    excluded = frozenset((*_words("without", without), *getattr(factory, "lacks", ())))
    allowed = {*FEATURES, *REALS, *COMPLEX, "prev", "step_size"}
    if excluded - allowed:
        choice = ", ".join(sorted(allowed))
        raise ValueError(f"without={min(excluded - allowed)!r} is unknown; choose from {choice}")
    declared = getattr(factory, "dtypes", None) if dtypes is None else dtypes
    names = tuple(name for name in checked_names(declared) if name not in excluded)
    if declared is None:
        names = _working_dtypes(factory, names)
    if not names:
        raise ValueError("no dtype is left to compare: all of dtypes= are in without=")
    return excluded, names


def _words(option: str, words: Iterable[str]) -> list[str]:
    """The words of an option that takes one word or several."""
    if isinstance(words, str):
        return [words]
    if not isinstance(words, Iterable):
        raise ValueError(f"{option}={words!r} should be a list of words")
    return [str(word) for word in words]


def missing_features(factory: Factory, names: Sequence[str]) -> frozenset[str]:
    """The optional features that an implementation does not declare."""
    lacks = {"none", "set", "save"}
    if not getattr(factory, "accepts_lr_array", False):
        lacks.add("lr per coordinate")
    if not getattr(factory, "accepts_bounds", False):
        lacks.add("bounds")
    for name in names:
        try:
            x0 = np.zeros(2, dtype_named(name))
            optimizer = factory(x0, lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False)
            if getattr(optimizer, "accepts_none", False):
                lacks.remove("none")
            if hasattr(optimizer, "set"):
                lacks.remove("set")
            if hasattr(optimizer, "save") and hasattr(optimizer, "load"):
                lacks.remove("save")
            break
        except (Exception, SystemExit):
            continue  # every case will fail with this error, and the report will show it
    return frozenset(lacks)


def _working_dtypes(factory: Factory, names: Sequence[str]) -> tuple[str, ...]:
    """The dtypes in which an implementation returns what it is given; all of them if it does so in none."""
    return tuple(name for name in names if _works_in(factory, name)) or tuple(names)


def _works_in(factory: Factory, name: str) -> bool:
    dtype = dtype_named(name)
    try:
        optimizer = factory(np.zeros(2, dtype), lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-6, 50.0), maximize=False)
        return np.asarray(optimizer.step(np.ones(2, dtype), loss=1.0)).dtype == dtype
    except (Exception, SystemExit):
        return False
