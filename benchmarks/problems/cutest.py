"""CUTEst problems in JAX, from the package sif2jax: those with at most 100 variables, and a few large ones.

sif2jax imports and instantiates more than a thousand problems, which takes minutes. So only the modules of the
problems asked for are imported, through empty stand-ins for its packages.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from .problem import Array, Problem

#: Problems of sif2jax 0.0.8 with at most 100 variables, by the folder that they are in.
UNCONSTRAINED = """
    AKIVA ALLINITU BARD BEALE BENNETT5LS BIGGS6 BOX3 BOXBODLS BROWNBS BROWNDEN CHNROSNB CHNRSNBM
    CHWIRUT1LS CHWIRUT2LS CLIFF CLUSTERLS COOLHANSLS CUBE DANIWOODLS DENSCHNA DENSCHNB DENSCHNC DENSCHND
    DENSCHNE DENSCHNF DEVGLA1 DEVGLA2 DMN15102LS DMN15103LS DIXMAANA1 DJTL EGGCRATE ELATVIDU ENGVAL2
    ERRINROS EXP2 EXPFIT GAUSS1LS GAUSS2LS GAUSS3LS GAUSSIAN GROWTHLS HAHN1LS HAIRY HATFLDD HATFLDE
    HATFLDFL HATFLDFLS HEART6LS HEART8LS HELIX HILBERTA HILBERTB HIMMELBCLS HIMMELBG HIMMELBH HUMPS
    JENSMP JUDGE KIRBY2LS KOWOSB LANCZOS1LS LANCZOS2LS LOGHAIRY LSC1LS LSC2LS LUKSAN11LS LUKSAN12LS
    LUKSAN13LS LUKSAN14LS LUKSAN15LS LUKSAN16LS LUKSAN17LS LUKSAN21LS MARATOSB MEXHAT MGH09LS MGH10LS
    MGH10SLS MGH17LS MGH17SLS MISRA1ALS MISRA1BLS MISRA1CLS MISRA1DLS NELSONLS OSBORNEA OSBORNEB PALMER1C
    PALMER1D PALMER2C PALMER3C PALMER4C PALMER5C PALMER5D PALMER6C PALMER7C PALMER8C POWERSUM PRICE3
    PRICE4 QING RAT42LS RAT43LS ROSENBR ROSZMAN1LS S308 SISSER SNAIL WAYSEA1 WAYSEA2 ZANGWIL2 TRIGON1
    VANDANMSLS VESUVIALS VIBRBEAM VESUVIOLS VESUVIOULS
""".split()  # noqa: SIM905
BOUNDED = """
    AIRCRFTB BIGGS3 BIGGS5 BOX2 BRANIN CAMEL6 DEVGLA1B DEVGLA2B DIAGIQB EGGCRATEB ELATVIDUB DGOSPEC EXP2B
    FBRAINLS HART6 HATFLDA HATFLDB HATFLDC HS1 HS2 HS3 HS3MOD HS4 HS5 HS25 HS38 HS45 HS110 JUDGEB
    KOEBHELB LEVYMONT LEVYMONT5 LEVYMONT6 LEVYMONT7 LEVYMONT8 LEVYMONT9 LEVYMONT10 LOGROS PALMER1
    PALMER1A PALMER2 PALMER2A PALMER2B PALMER2E PALMER3 PALMER3A PALMER3B PALMER3E PALMER4 PALMER4B
    PALMER4E PALMER5B PALMER6A PALMER6E PALMER7E PALMER8A PALMER8E PFIT1LS PFIT2LS PFIT3LS PFIT4LS
    PRICE4B QINGB S368 TRIGON1B BQP1VAR BQPGABIM BQPGASIM
""".split()  # noqa: SIM905
#: A few with 1,000 to 5,000.
LARGE = ["ARWHEAD", "DIXMAANB", "ENGVAL1", "LIARWHD", "NONDIA", "TOINTGSS"]

_FOLDERS = ("_unconstrained_minimisation", "_bounded_minimisation", "_quadratic_problems")


def missing() -> str | None:
    """Why there are no CUTEst problems here, or None."""
    if importlib.util.find_spec("sif2jax") is None or importlib.util.find_spec("jax") is None:
        return "sif2jax is not installed (extra problems)"
    return None


def _root() -> Path:
    spec = importlib.util.find_spec("sif2jax")
    assert spec is not None
    if spec.origin is None:  # a stand-in is in its place
        return Path(sys.modules["sif2jax"].__path__[0])
    return Path(spec.origin).parent


def _instance(name: str) -> Any:
    root = _root()
    packages = {"sif2jax": root, "sif2jax.cutest": root / "cutest"}
    packages.update({f"sif2jax.cutest.{folder}": root / "cutest" / folder for folder in _FOLDERS})
    for package, path in packages.items():
        if package not in sys.modules:
            stand_in = types.ModuleType(package)
            stand_in.__path__ = [str(path)]
            stand_in.__spec__ = importlib.util.spec_from_loader(package, None, is_package=True)
            sys.modules[package] = stand_in
    for folder in _FOLDERS:
        # Drafts are in files whose names begin with an underscore.
        files = (root / "cutest" / folder).glob("*.py")
        for file in sorted(files, key=lambda file: (file.stem != name.lower(), file.stem.startswith("_"), file)):
            if file.stem != "__init__" and f"class {name}(" in file.read_text(encoding="utf-8"):
                return getattr(importlib.import_module(f"sif2jax.cutest.{folder}.{file.stem}"), name)()
    raise KeyError(name)


def load(suite: str, name: str) -> Problem:
    """One problem, compiled."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    from jax.flatten_util import ravel_pytree

    problem = _instance(name)
    start, unravel = ravel_pytree(problem.y0)
    x0 = np.array(start, float)

    def objective(x: Any) -> Any:
        return problem.objective(unravel(x), problem.args)

    def packed(x: Any) -> Any:
        f, g = jax.value_and_grad(objective)(x)
        return jax.numpy.concatenate([jax.numpy.reshape(f, 1), g])

    compiled = jax.jit(packed)

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        result = np.asarray(compiled(x))
        return float(result[0]), result[1:].copy()

    batched = jax.jit(jax.vmap(packed))

    def batch(points: Array) -> Array:
        return np.asarray(batched(points))

    bounds = None
    if getattr(problem, "bounds", None) is not None:
        lower, upper = (np.array(ravel_pytree(b)[0], float) for b in problem.bounds)
        bounds = lower, upper
        x0 = np.clip(x0, lower, upper)
    return Problem(suite, name, x0, value_and_gradient, bounds=bounds, batch=batch)
