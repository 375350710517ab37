"""A case: gradients and settings that an implementation is run on.

A **script** is the sequence of gradients that one coordinate gets, whatever it does. Every rule treats coordinates
independently, so a case runs many scripts side by side, one per coordinate, under one setting of hyperparameters.
This also makes the diagnosis fast: all cases of a dtype become one array (`_stages.batch`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..._core.dtypes import named as dtype_named
from .dtypes import COMPLEX

Array = np.ndarray[Any, Any]

#: What a case may need of an implementation; `check` leaves out the cases that need something in ``without=``.
FEATURES = (
    "maximize",
    "etas",
    "step_sizes",
    "nan",
    "inf",
    "none",
    "set",
    "save",
    "lr per coordinate",
    "bounds",
    "same array",
    "scripts",
    "objectives",
    "lr outside step_sizes",
)


@dataclass(frozen=True, eq=False)
class Case:
    """Scripts that run side by side under one setting.

    Attributes
    ----------
    name, reason : str
        The name, and what the case is meant to show.
    dtype : str
        The name of a real or complex dtype. A complex parameter counts as two coordinates, its real and its
        imaginary part, so all arrays below are real.
    g : ndarray, shape (steps, coordinates)
        The gradients, in the dtype of the parameters.
    x0 : ndarray, shape (coordinates,)
        The starting point.
    lr : float or ndarray of float64, shape (coordinates,)
    etas, step_sizes : (float, float)
    maximize : bool
    loss : tuple of float
        Passed with each gradient; only rules that compare losses use it. If it is empty, none is passed.
    scripts : tuple of str
        A description of each coordinate's script.
    none : frozenset of int
        The steps (from 0) at which the gradient is None.
    resumed : frozenset of int
        The steps before which the state is saved, and loaded into a new object.
    edits : mapping of int to dict
        Hyperparameters that are set before a step.
    reused : bool
        Whether the caller passes the same array at every step, filled with the next gradient.
    objective : object with methods gradient and source, or None
        Computes the gradients, instead of `g`.
    bounds : (float, float) or None
        The bounds of x.
    needs : frozenset of str
        The `FEATURES` that an implementation needs for this case.
    """

    name: str
    reason: str
    dtype: str
    g: Array
    x0: Array
    lr: Any = 0.1
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)
    maximize: bool = False
    loss: tuple[float, ...] = ()
    scripts: tuple[str, ...] = ()
    none: frozenset[int] = frozenset()
    resumed: frozenset[int] = frozenset()
    edits: Mapping[int, dict[str, Any]] = field(default_factory=dict)
    reused: bool = False
    objective: Any = None
    bounds: tuple[float, float] | None = None
    needs: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """The dtype and the name, in a form for files and programs: "float64/one-coordinate-flips"."""
        return f"{self.dtype}/{re.sub('[^a-z0-9]+', '-', self.name.lower()).strip('-')}"

    @property
    def steps(self) -> int:
        """The number of steps."""
        return int(self.g.shape[0])

    @property
    def size(self) -> int:
        """The number of coordinates."""
        return int(self.g.shape[1])

    @property
    def real(self) -> np.dtype[Any]:
        """The dtype of a coordinate."""
        return dtype_named(COMPLEX.get(self.dtype, self.dtype))

    def alone(self, coordinate: int, steps: int | None = None) -> Case:
        """The case with one coordinate (two if complex), cut after `steps`. With an objective: all coordinates."""
        if self.objective is not None:
            return self._first_steps(steps)
        columns = slice(coordinate, coordinate + 1)
        if self.dtype in COMPLEX:
            columns = slice(coordinate - coordinate % 2, coordinate - coordinate % 2 + 2)
        lr = self.lr[columns] if isinstance(self.lr, np.ndarray) else self.lr
        picked = replace(
            self,
            g=self.g[:, columns],
            x0=self.x0[columns],
            lr=lr,
            scripts=self.scripts[coordinate : coordinate + 1],
        )
        return picked._first_steps(steps)

    def beside(self, coordinate: int, other: int) -> Case:
        """The case with two coordinates only; it is real, without an objective, and has one lr for all."""
        columns = sorted((coordinate, other))
        scripts = tuple(self.scripts[i] for i in columns) if len(self.scripts) == self.size else self.scripts
        return replace(self, g=self.g[:, columns], x0=self.x0[columns], scripts=scripts)

    def _first_steps(self, steps: int | None) -> Case:
        return self if steps is None else replace(self, g=self.g[:steps], loss=self.loss[:steps])

    def __str__(self) -> str:
        lr = str([float(v) for v in self.lr]) if isinstance(self.lr, np.ndarray) else repr(self.lr)
        setting = [self.dtype, f"lr={lr}", f"etas={self.etas}", f"step_sizes={self.step_sizes}"]
        if self.maximize:
            setting.append("maximize")
        if self.bounds:
            setting.append(f"bounds={self.bounds}")
        return f"{self.name} ({', '.join(setting)})"


def features_needed(setting: Mapping[str, Any]) -> list[str]:
    """The `FEATURES` that an implementation needs for a setting."""
    needs = [name for name in ("maximize", "etas", "step_sizes", "bounds") if setting.get(name)]
    needs += {name for edit in setting.get("edits", {}).values() for name in edit if name != "lr"}
    low, high = setting.get("step_sizes", (1e-6, 50.0))
    lr = setting.get("lr", 0.1)
    if not isinstance(lr, np.ndarray) and not 0 < low <= lr <= high < np.inf:
        needs.append("lr outside step_sizes")
    return needs
