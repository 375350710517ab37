"""A failing case as a Python script that can be run without this package."""

from __future__ import annotations

import numpy as np

from .._cases.case import Array, Case
from .._cases.dtypes import COMPLEX
from .._comparison.divergence import Divergence


def python_script(divergence: Divergence, factory: str = "from my_module import factory") -> str:
    """A Python script of about ten lines that shows a failure.

    Parameters
    ----------
    divergence : Divergence
        Preferably one that `shrink` has returned.
    factory : str, optional
        The line that defines the name ``factory``.
    """
    case = divergence.case
    dtype, view = _dtype_and_view(case)
    lines = [f"# {case.name}: {case.reason}", "import numpy as np"]
    if case.dtype == "bfloat16":
        lines.append("import ml_dtypes  # makes NumPy know bfloat16")
    lines += [factory, _setting(case)]
    lines.append(f"x = np.array({_literal(case.x0)}, {dtype}){view}")
    lines.append("rule = factory(x.copy(), **setting)")
    lines += _loop(case, dtype, view)
    # x is printed as step returned it, everything else as the caller sees it after the step.
    shown = {"x": "x", "error": "x", "gradient": "g"}.get(divergence.quantity, f"rule.{divergence.quantity}")
    values = "x" if shown == "x" else f'np.asarray({shown}, "{case.dtype}")'
    if divergence.quantity == "prev" and divergence.prev_negated:
        values = f"(-{values})"
    lines.append(f"    print(t + 1, {values}.tolist())")
    lines.append(_last_comment(divergence))
    return "\n".join(lines) + "\n"


def _dtype_and_view(case: Case) -> tuple[str, str]:
    """The dtype in which numbers are written, and what turns pairs of them into complex numbers."""
    if case.dtype in COMPLEX:
        return f'"{case.real.name}"', f'.view("{case.dtype}")'
    return f'"{case.dtype}"', ""


def _setting(case: Case) -> str:
    lr = f"np.array({_literal(case.lr)})" if isinstance(case.lr, np.ndarray) else _float(case.lr)
    etas, sizes = (f"({_float(a)}, {_float(b)})" for a, b in (case.etas, case.step_sizes))
    bounds = "" if case.bounds is None else ", bounds=({}, {})".format(*map(_float, case.bounds))
    return f"setting = dict(lr={lr}, etas={etas}, step_sizes={sizes}, maximize={case.maximize}{bounds})"


def _last_comment(divergence: Divergence) -> str:
    if divergence.quantity == "error":
        return f"# step {divergence.step}: {divergence.got}"
    expected, got = _float(float(divergence.expected)), _float(float(divergence.got))
    return f"# step {divergence.step}: {divergence.quantity} should be {expected}, and is {got}"


def _loop(case: Case, dtype: str, view: str) -> list[str]:
    """The lines of the loop, except for what it prints."""
    lines = [f"losses = {list(case.loss)}".replace("nan", 'float("nan")')] if case.loss else []
    if case.objective is None:
        lines.append(f"gradients = np.array([{', '.join(_literal(row) for row in case.g)}], {dtype}){view}")
        g = "gradients[t].copy()"
    elif view:
        g = f"({case.objective.source(f'x.view({dtype})')}){view}"
    else:
        g = case.objective.source("x")
    if case.reused:
        lines.append("g = np.zeros_like(x)")
    lines.append(f"for t in range({case.steps}):")
    if case.resumed:
        lines.append(f"    if t in {sorted(case.resumed)}:")
        lines.append("        state = rule.save(); rule = factory(x.copy(), **setting); rule.load(state)")
    for t in sorted(case.edits):
        lines.append(f"    if t == {t}: rule.set(**{case.edits[t]})")
    lines.append(f"    g[:] = {g}" if case.reused else f"    g = {g}")
    given = f"None if t in {sorted(case.none)} else g" if case.none else "g"
    # A copy, because the next step may change what this one returned, and in the dtype of the comparison.
    arguments = f"{given}, loss=losses[t]" if case.loss else given
    lines.append(f'    x = np.array(rule.step({arguments}), "{case.dtype}")')
    return lines


def _literal(values: Array) -> str:
    return "[" + ", ".join(_float(float(v)) for v in values) + "]"


def _float(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else f'float("{float(value)}")'
