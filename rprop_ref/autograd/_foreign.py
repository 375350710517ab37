"""What to write instead of functions of other packages that convert a Tensor to an array."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np

_PACKAGES = ("numpy", "scipy", "pandas")

#: By the beginning of a function's name, the first that fits: what to write.
_ADVICE = (
    ("numpy.vectorize", "call the function with the whole Tensor, with np.where in place of if"),
    ("numpy.polynomial.polynomial", "write np.polyval(coefficients[::-1], x)"),
    (
        "numpy.polynomial",
        "write np.polyval(coefficients[::-1], x) for powers of x, and, for instance, chebval(x, coefficients) in "
        "another basis, or chebvander(x, degree) @ coefficients if these are the Tensor",
    ),
    ("pandas", "give it the numbers, df.to_numpy() @ x, and make a Series or DataFrame of x.detach() at the end"),
    ("scipy.sparse", "write A @ x for a product with a Tensor, and A.toarray() for everything else"),
    ("scipy.stats", "write the formula of the density with NumPy and scipy.special"),
)


def advice() -> str:
    """A sentence, after a space, on the function of another package that converts a Tensor; "" without one."""
    names = list(_callers())
    for name in reversed(names):
        if (other := _differentiated(name)) is not None:
            return f" It is converted by {name}; write {other}, which is differentiated."
    if not names:
        return ""
    found = [text for start, text in _ADVICE if any(name.startswith(start) for name in names)]
    return f" It is converted by {names[-1]}{'; ' + found[0] if found else ''}."


def is_raised_by_others(error: Exception) -> bool:
    """Whether an error comes from inside another package."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and _package_of(trace.tb_frame) in _PACKAGES


def is_sparse_product(frame: FrameType) -> bool:
    """Whether this is a sparse matrix of SciPy that asks whether its other operand is an array."""
    module = frame.f_globals.get("__name__", "")
    return frame.f_code.co_name == "_matmul_dispatch" and module.startswith("scipy.sparse.")


def check_polynomial(frame: FrameType) -> None:
    """Raise if numpy.polynomial broadcasts coefficients, to which it would give axes for the values of an array.

    It asks isinstance(x, numpy.ndarray).
    """
    if not frame.f_globals.get("__name__", "").startswith("numpy.polynomial.") or "tensor" not in frame.f_locals:
        return
    name, given = frame.f_code.co_name, frame.f_locals
    coefficients = given.get("r" if name == "polyvalfromroots" else "c")
    axes = getattr(coefficients, "ndim", 0) - (name != "polyvalfromroots")
    if given["tensor"] and axes > 0 and getattr(given.get("x"), "ndim", 0) > 0:
        raise TypeError(
            f"{public_name(frame)} gives its coefficients c no axes for the values of x if x is a Tensor; write "
            f"{name}(x, c.reshape(c.shape + (1,) * x.ndim), tensor=False)"
        )


def is_operator(frame: FrameType) -> bool:
    """Whether this frame is at an operator such as ``a ** b``, not at a call such as ``np.power(a, b)``.

    ``operator.pow(a, b)`` looks like that call: if `a` is a scalar of NumPy, the last bit is that of ``np.power``.
    So it is with ``operator.mul`` and a complex one.
    """
    return _instruction(frame) == "BINARY_OP"


def check_exchange(frame: FrameType) -> None:
    """Raise if one row of a Tensor is assigned to another, but not by a statement of Python.

    numpy.random exchanges rows in C, as it does those of lists, which are no views.
    """
    if not _instruction(frame).startswith("STORE_"):
        raise TypeError(
            "the rows of a Tensor are views, of which shuffle() would overwrite one with the other; write "
            "x = x[rng.permutation(len(x))]"
        )


def _instruction(frame: FrameType) -> str:
    """The name of the instruction that a frame is at."""
    import opcode  # seldom needed

    return opcode.opname[frame.f_code.co_code[frame.f_lasti]]


def _package_of(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.split(".")[0]


def _callers() -> Iterator[str]:
    """The functions of other packages that are being called, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _package_of(frame) == "rprop_ref":
        frame = frame.f_back
    while frame is not None and _package_of(frame) in _PACKAGES:
        yield public_name(frame)
        frame = frame.f_back


def public_name(frame: FrameType) -> str:
    """For instance scipy.linalg.expm, which is in scipy.linalg._matfuncs."""
    module: str = frame.f_globals["__name__"]
    decorated = [
        frame.f_locals.get(name) for name in ("f", "fun", "hypotest_fun_in")
    ]  # what a decorator of SciPy has been given
    function: Any = next(filter(callable, decorated), None)
    if function is not None and (module.startswith("scipy._lib") or "<locals>" in frame.f_code.co_qualname):
        module, name = function.__module__, function.__name__
    else:
        name = frame.f_code.co_qualname.removesuffix(".__call__")
    parts = module.split(".")
    public = parts[: next((i for i, part in enumerate(parts) if part.startswith("_")), len(parts))]
    return ".".join([*(public if public != ["numpy", "lib"] else ["numpy"]), name])


def _differentiated(name: str) -> str | None:
    """The function with a rule that does the same as one of SciPy, if there is one."""
    module, _, function = name.rpartition(".")
    if module in ("scipy.linalg", "scipy.special"):
        topic = module.removeprefix("scipy.")
        ours = importlib.import_module(f"rprop_ref.autograd.{topic}")
        if function in ours.__all__:
            return f"rprop_ref.autograd.{topic}.{function}"
    for start, numpys, called in (("scipy.linalg", np.linalg, "numpy.linalg"), ("scipy.fft", np.fft, "numpy.fft")):
        if module == start and hasattr(numpys, function):
            return f"{called}.{function}"
    return None
