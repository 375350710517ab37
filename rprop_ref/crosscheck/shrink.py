"""Make a failing case as small as it gets, and write it down as a script of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .cases import COMPLEX, Case
from .observe import Divergence, Factory, divergence, expected, observe

#: How many smaller cases are tried.
TRIALS = 200


def first_failure(
    factory: Factory, claim: str, case: Case, without: frozenset[str], *, signs: bool = False, turned: bool = False
) -> Divergence | None:
    """Run one case, and say where it differs first."""
    got = observe(factory, case, without)
    if turned:
        got.turn()
    return divergence(expected(claim, [case])[0], got, signs=signs)


def shrink(
    factory: Factory,
    claim: str,
    found: Divergence,
    without: frozenset[str] = frozenset(),
    *,
    signs: bool = False,
    turned: bool = False,
) -> Divergence:
    """The same failure on a smaller case: one coordinate, few steps, plain numbers.

    Parameters
    ----------
    factory : callable
    claim : str
    found : Divergence
    without : frozenset of str
    signs : bool
        As for `observe.divergence`.
    turned : bool
        Whether the memory that is shown is that of before maximize has negated it.

    Returns
    -------
    Divergence
        Of a case from which nothing can be left out; or `found` itself, if it shows only in company.
    """
    case, trials = found.case, 0
    smaller = True
    while smaller and trials < TRIALS:
        smaller = False
        for candidate in _smaller(case, found):
            trials += 1
            again = first_failure(factory, claim, candidate, without, signs=signs, turned=turned)
            if again is not None and _alike(again, found):
                case, found, smaller = candidate, again, True
                break
            if trials >= TRIALS:
                break
    return found


def _alike(again: Divergence, found: Divergence) -> bool:
    """Whether it is the same failure; one error may have become another, as of a program that has ended."""
    return again.quantity == found.quantity and (found.quantity != "error" or again.got == found.got)


def _smaller(case: Case, found: Divergence) -> Iterator[Case]:
    """Simpler cases, the boldest first."""
    one = 2 if case.dtype in COMPLEX else 1
    if case.objective is not None:
        if case.steps > found.step:
            yield case.alone(0, found.step)
        return
    if case.size > one:
        yield case.alone(found.coordinate, found.step)
        yield case.alone(found.coordinate)
    if case.steps > found.step:
        yield replace(case, g=case.g[: found.step], loss=case.loss[: found.step])
    plain = not (case.none or case.resumed or case.edits)
    for t in range(case.steps) if plain and case.steps > 1 else ():
        yield replace(case, g=np.delete(case.g, t, axis=0), loss=case.loss[:t] + case.loss[t + 1 :])
    if case.resumed:
        yield replace(case, resumed=frozenset())
    for t in sorted(case.none):
        yield replace(case, none=case.none - {t})
    for t in sorted(case.edits):
        yield replace(case, edits={k: v for k, v in case.edits.items() if k != t})
    if case.reused:
        yield replace(case, reused=False)
    if case.maximize:
        yield replace(case, maximize=False)
    if case.bounds:
        yield replace(case, bounds=None)
    if case.x0.any():
        yield replace(case, x0=np.zeros_like(case.x0))
    for setting, plainest in (("lr", 0.1), ("etas", (0.5, 1.2)), ("step_sizes", (1e-6, 50.0))):
        if isinstance(case.lr, np.ndarray) or getattr(case, setting) != plainest:
            changes: dict[str, Any] = {setting: plainest}
            yield replace(case, **changes)
    if case.dtype not in COMPLEX:
        for t in range(case.steps):
            for simple in (0, 1, -1):
                if not (case.g[t] == simple).all() and not (simple != 0 and abs(float(case.g[t][0])) == 1):
                    g = case.g.copy()
                    g[t] = simple
                    yield replace(case, g=g)


def script(found: Divergence, factory: str = "from my_module import factory") -> str:
    """A script of about ten lines that shows a failure.

    Parameters
    ----------
    found : Divergence
        Best one that `shrink` has returned.
    factory : str, optional
        The line that makes the name ``factory`` known.
    """
    case = found.case
    kind, view = f'"{case.dtype}"', ""
    if case.dtype in COMPLEX:
        kind, view = f'"{case.real.name}"', f".view({kind})"
    lines = [f"# {case.name}: {case.reason}", "import numpy as np"]
    if case.dtype == "bfloat16":
        lines.append("import ml_dtypes  # makes NumPy know bfloat16")
    lines.append(factory)
    lr = f"np.array({_literal(case.lr)})" if isinstance(case.lr, np.ndarray) else _float(case.lr)
    etas, sizes = (f"({_float(a)}, {_float(b)})" for a, b in (case.etas, case.step_sizes))
    bounds = "" if case.bounds is None else ", bounds=({}, {})".format(*map(_float, case.bounds))
    lines.append(f"setting = dict(lr={lr}, etas={etas}, step_sizes={sizes}, maximize={case.maximize}{bounds})")
    lines.append(f"x = np.array({_literal(case.x0)}, {kind}){view}")
    lines.append("rule = factory(x.copy(), **setting)")
    lines += _steps(case, kind, view)
    # Of parameters it may suffice to print what is returned; of the rest what the caller can see.
    shown = {"x": "x", "error": "x", "gradient": "g"}.get(found.quantity, f"rule.{found.quantity}")
    minus = "-" if found.quantity == "prev" and found.turned else ""
    lines.append(f'    print(t + 1, ({minus}np.asarray({shown}, "{case.dtype}")).tolist())')
    if found.quantity == "error":
        lines.append(f"# step {found.step}: {found.got}")
    else:
        wanted, got = _float(float(found.expected)), _float(float(found.got))
        lines.append(f"# step {found.step}: {found.quantity} should be {wanted}, and is {got}")
    return "\n".join(lines) + "\n"


def _steps(case: Case, kind: str, view: str) -> list[str]:
    """The lines of the loop, up to what it prints."""
    lines = [f"losses = {list(case.loss)}".replace("nan", 'float("nan")')]
    if case.objective is None:
        lines.append(f"gradients = np.array([{', '.join(_literal(row) for row in case.g)}], {kind}){view}")
        g = "gradients[t].copy()"
    elif view:
        g = f"({case.objective.source(f'x.view({kind})')}){view}"
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
    # A copy, as what is returned may be what the next step works on, and in the dtype in which it is compared.
    lines.append(f'    x = np.array(rule.step({given}, loss=losses[t]), "{case.dtype}")')
    return lines


def _literal(values: np.ndarray) -> str:
    return "[" + ", ".join(_float(float(v)) for v in values) + "]"


def _float(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else f'float("{float(value)}")'
