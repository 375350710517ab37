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
    factory: Factory, claim: str, case: Case, without: frozenset[str], *, signs: bool = False
) -> Divergence | None:
    """Run one case, and say where it differs first."""
    return divergence(expected(claim, [case])[0], observe(factory, case, without), signs=signs)


def shrink(
    factory: Factory, claim: str, found: Divergence, without: frozenset[str] = frozenset(), *, signs: bool = False
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
            again = first_failure(factory, claim, candidate, without, signs=signs)
            if again is not None and again.quantity == found.quantity:
                case, found, smaller = candidate, again, True
                break
            if trials >= TRIALS:
                break
    return found


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
    kind = f'"{case.dtype}"'
    lines = [f"# {case.name}: {case.reason}", "import numpy as np"]
    if case.dtype == "bfloat16":
        lines.append("import ml_dtypes  # makes NumPy know bfloat16")
    lines.append(factory)
    x0, g, view = _literal(case.x0), ", ".join(_literal(row) for row in case.g), ""
    if case.dtype in COMPLEX:
        view = f".view({kind})"
        kind = f'"{case.real.name}"'
    lr = _literal(case.lr) if isinstance(case.lr, np.ndarray) else _float(case.lr)
    etas, sizes = (f"({_float(a)}, {_float(b)})" for a, b in (case.etas, case.step_sizes))
    bounds = "" if case.bounds is None else ", bounds=({}, {})".format(*map(_float, case.bounds))
    lines.append(f"setting = dict(lr={lr}, etas={etas}, step_sizes={sizes}, maximize={case.maximize}{bounds})")
    lines.append(f"x = np.array({x0}, {kind}){view}")
    lines.append("rule = factory(x, **setting)")
    if case.objective is not None:
        lines.append(f"# gradients: {case.objective}")
    lines.append(f"losses = {list(case.loss)}".replace("nan", 'float("nan")'))
    lines.append(f"for t, g in enumerate([{g}]):")
    for t in sorted(case.edits):
        lines.append(f"    if t == {t}: rule.set(**{case.edits[t]})")
    if case.resumed:
        lines.append(f"    if t in {sorted(case.resumed)}:")
        lines.append("        state = rule.save(); rule = factory(x, **setting); rule.load(state)")
    given = f"np.array(g, {kind}){view}"
    if case.none:
        given = f"None if t in {sorted(case.none)} else {given}"
    lines.append(f"    x = rule.step({given}, loss=losses[t])")
    lines.append("    print(t + 1, x)")
    if found.quantity == "error":
        lines.append(f"# step {found.step}: {found.got}")
    else:
        wanted, got = _float(float(found.expected)), _float(float(found.got))
        lines.append(f"# step {found.step}: {found.quantity} should be {wanted}, and is {got}")
    return "\n".join(lines) + "\n"


def _literal(values: np.ndarray) -> str:
    return "[" + ", ".join(_float(float(v)) for v in values) + "]"


def _float(value: float) -> str:
    return repr(float(value)) if np.isfinite(value) else f'float("{float(value)}")'
