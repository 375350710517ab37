"""Published implementations: a rule, deviations from it, and defaults.

The profiles of torch, optax, PINTS, PyBOP, torchzero, neurolab, OpenCV and Paddle were found by running `check` on
the packages (``tests/crosscheck/test_peers.py``). The others follow descriptions of the source code and have not
been run; their `about` says so.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ._cases.case import Array, Case
from ._cases.dtypes import COMPLEX, REALS
from ._comparison.expected import run_composition, trajectories_by
from ._comparison.observe import Factory
from ._comparison.trajectory import Trajectory
from ._stages.compositions import COMPOSITIONS, composition_of, differences
from ._stages.deviations import DEVIATIONS
from ._stages.optimizer import ComposedOptimizer
from ._stages.stages import Alternative, Changes, Composition, changed


def _run_all(composition: Composition, cases: Sequence[Case]) -> list[Trajectory]:
    return trajectories_by(functools.partial(run_composition, composition), cases)


@dataclass(frozen=True)
class Profile:
    """A published implementation that can be run without its package. It is a factory, as `check` needs it.

    Attributes
    ----------
    name : str
    about : str
        The package, its version, and whether it was run.
    rule : str
        The nearest of the five rules.
    changes : tuple of Alternative
        The deviations from that rule.
    lr : float
    etas, step_sizes : (float, float)
        The defaults of the implementation.
    dtypes : tuple of str
        What the implementation computes in.
    """

    name: str
    about: str
    rule: str
    changes: tuple[Alternative, ...]
    lr: float
    etas: tuple[float, float]
    step_sizes: tuple[float, float]
    dtypes: tuple[str, ...] = ("float64",)

    @property
    def composition(self) -> Composition:
        """The rule with the deviations: an alternative for each slot."""
        return changed(COMPOSITIONS[self.rule], self.changes)

    def __call__(
        self,
        x0: Array,
        *,
        lr: Any = None,
        etas: tuple[float, float] | None = None,
        step_sizes: tuple[float, float] | None = None,
        maximize: bool = False,
    ) -> ComposedOptimizer:
        """Start a run. Options that are not given have the defaults of the implementation."""
        return ComposedOptimizer(
            self.composition,
            x0,
            lr=self.lr if lr is None else lr,
            etas=self.etas if etas is None else etas,
            step_sizes=self.step_sizes if step_sizes is None else step_sizes,
            maximize=maximize,
        )

    def run_all(self, cases: Sequence[Case]) -> list[Trajectory]:
        """The same steps for many cases of the referee side by side."""
        return _run_all(self.composition, cases)

    def __str__(self) -> str:
        deviations = "".join(f"\n  * {a.name}. {a.does}" for a in self.changes)
        setting = f"lr={self.lr}, etas={self.etas}, step_sizes={self.step_sizes}"
        return f"{self.name}: {self.about}\n  {self.rule}, {setting}{deviations}"


def _profiles() -> dict[str, Profile]:
    inf = float("inf")
    usual = (0.5, 1.2)
    by_sign = "flip found by the sign"
    no_mending = "an eta- of 0 counts"
    table: tuple[tuple[str, str, str, tuple[str, ...], float, tuple[float, float]], ...] = (
        ("torch", "torch.optim.Rprop 2.13 on the CPU, eager", "irprop-", (), 0.01, (1e-6, 50.0)),
        ("torch-compiled", "the same through torch.compile", "irprop-",
         ("16 bits computed in float32, constants rounded",), 0.01, (1e-6, 50.0)),
        ("optax-0.2.8", "optax.rprop 0.2.8, XLA on a CPU without AVX512-FP16", "irprop-",
         ("one step late", "not clamped when neutral", "stores the move", by_sign, "subnormals flushed",
          "a NaN product shrinks", "NaN poisons", no_mending, "float16 lr rounded once"), 0.01, (1e-6, 50.0)),
        ("pints-0.6.1", "pints.IRPropMin 0.6.1 (float64)", "irprop-",
         ("memory starts as the first gradient", "memory is the caller's array", by_sign, no_mending,
          "NaN poisons", "writes zeros into the gradient"), 0.1, (1e-4, inf)),
        ("pybop-26.3", "PyBOP's IRPropPlus 26.3, with PINTS 0.6.1 (float64)", "irprop-",
         ("first call only stores", "memory is the caller's array", by_sign, no_mending, "NaN poisons",
          "writes zeros into the gradient"), 0.05, (5e-6, inf)),
        ("torchzero-0.4.4", "torchzero.m.Rprop 0.4.4 on torch 2.13", "rprop+",
         ("missing gradient is zero", "signs compared", no_mending), 1.0, (1e-6, 50.0)),
        ("neurolab-0.3.5", "neurolab's train_rprop 0.3.5 (float64)", "rprop-",
         ("NaN poisons", no_mending, "lower limit wins"), 0.07, (1e-9, 50.0)),
        ("opencv", "cv::ml::ANN_MLP::RPROP (float64)", "irprop-go",
         ("signs compared", "one limit per branch", "stores the sign"), 0.1, (1.2e-7, 50.0)),
        ("paddle-3.3", "paddle.optimizer.Rprop 3.3, but for gradients that are NaN", "irprop-",
         (by_sign,), 0.001, (1e-5, 50.0)),
        ("mindspore", "mindspore.nn.Rprop (described, not run)", "irprop-",
         ("computed in float32",), 0.1, (1e-6, 50.0)),
        ("neuralnet", "R's neuralnet, rprop+ (described, not run)", "rprop+",
         ("signs compared", "stores the sign", "one limit per branch"), 0.1, (1e-10, 0.1)),
        ("shark-3", "Shark 3, IRpropMinus, but for gradients that are NaN (described, not run)", "irprop-go",
         ("one limit per branch",), 0.01, (0.0, 1e100)),
        ("snns", "SNNS, and RSNNS, without weight decay (described, not run)", "irprop-",
         (by_sign, "one limit per branch"), 0.001, (1e-6, 2.0)),
        ("trainrp", "MATLAB's trainrp (described, not run)", "rprop-",
         ("memory starts as the first gradient", "no lower limit", "NaN poisons",
          "a NaN product makes the step the smallest"), 0.07, (0.0, 50.0)),
    )  # fmt: skip
    dtypes = {
        "torch": (*REALS, *COMPLEX),
        "torch-compiled": REALS,
        "optax-0.2.8": REALS,
        "torchzero-0.4.4": REALS,
        "paddle-3.3": ("float64", "float32"),
        "mindspore": REALS[:3],
        "snns": ("float32",),
    }
    return {
        name: Profile(
            name,
            about,
            rule,
            tuple(DEVIATIONS[n] for n in names),
            lr,
            usual,
            sizes,
            dtypes.get(name, ("float64",)),
        )
        for name, about, rule, names, lr, sizes in table
    }


#: All profiles, by name.
PROFILES: dict[str, Profile] = _profiles()


def published_changes(rule: Composition) -> dict[str, Changes]:
    """The deviations from a rule that make it each of the published implementations."""
    return {name: differences(rule, profile.composition) for name, profile in PROFILES.items()}


def profiles() -> list[str]:
    """The names that `profile` knows."""
    return list(PROFILES)


def profile(name: str) -> Profile:
    """A published implementation, to run it or to compare with it.

    Parameters
    ----------
    name : str
        One of `profiles`, such as "optax-0.2.8".

    Returns
    -------
    Profile
        A factory: ``profile(name)(x0, lr=0.1).step(grad)`` returns the same bits as a step of the implementation.
        ``print(profile(name))`` describes it.

    Raises
    ------
    ValueError
        If there is no such profile.
    """
    if not isinstance(name, str) or name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; choose from {', '.join(PROFILES)}")
    return PROFILES[name]


def mutant(claim: str, names: str | Sequence[str]) -> Factory:
    """A rule with known deviations, as a factory: to test the referee itself.

    Parameters
    ----------
    claim : str
        A key of `COMPOSITIONS`.
    names : str or sequence of str
        Names of `DEVIATIONS`, at most one for each slot.

    Raises
    ------
    ValueError
        If a name is unknown, or two deviations fill the same slot.
    """
    names = [names] if isinstance(names, str) else names
    for name in names:
        if name not in DEVIATIONS:
            raise ValueError(f"unknown deviation {name!r}; choose from {', '.join(DEVIATIONS)}")
    changes = tuple(DEVIATIONS[name] for name in dict.fromkeys(names))
    for one, other in itertools.combinations(changes, 2):
        if one.slot == other.slot:
            raise ValueError(f"{one.name!r} and {other.name!r} exclude each other")
    composition = changed(composition_of(claim), changes)

    def factory(x0: Array, **setting: Any) -> ComposedOptimizer:
        return ComposedOptimizer(composition, x0, **setting)

    factory.accepts_lr_array = factory.accepts_bounds = True  # type: ignore[attr-defined]
    factory.run_all = functools.partial(_run_all, composition)  # type: ignore[attr-defined]
    return factory
