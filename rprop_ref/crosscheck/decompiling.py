"""`decompile`: the rule of an implementation, as a table and as NumPy code, without a claim."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import rules
from ._comparison.observe import CouldNotRun, Factory
from ._experiments.decompile import learn_rule
from ._experiments.result import Decompiled
from ._report.advice import with_advice
from ._requests import checked, missing_features


def decompile(factory: Factory, *, dtypes: Sequence[str] | None = None, without: Iterable[str] = ()) -> Decompiled:
    """Find out what rule an implementation follows, by experiments.

    Parameters
    ----------
    factory, dtypes, without
        As for `check`.

    Returns
    -------
    Decompiled
        ``decompiled.rule`` has a table (``print(rule)``), NumPy code (``rule.source()``), and is itself a factory.
        It is None if the implementation is no per-coordinate sign rule; ``decompiled.outside`` says what it was
        seen to depend on. ``decompiled.tiers`` says where the rule reproduces every bit.

    Raises
    ------
    CouldNotRun
        If the implementation fails in ordinary use.
    TypeError, ValueError
        As for `check`.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import crosscheck
    >>> class Mine:
    ...     def __init__(self, x0, *, lr, etas, step_sizes, maximize):
    ...         self.x, self.size, self.prev = x0, np.full_like(x0, lr), np.ones_like(x0)
    ...         self.etas, self.limits = etas, step_sizes
    ...     def step(self, grad, loss=None):
    ...         same = grad * self.prev >= 0
    ...         self.size = np.where(same, self.size * self.etas[1], self.size * self.etas[0])
    ...         self.size = np.clip(self.size, *self.limits)
    ...         self.x, self.prev = self.x - np.sign(grad) * self.size, grad
    ...         return self.x
    >>> found = crosscheck.decompile(Mine, dtypes=["float64"], without=["maximize", "nan", "inf"])
    >>> found.rule.nearest
    'rprop-'
    >>> "The memory begins at 1." in found.rule.differences
    True
    """
    excluded, names = checked(factory, rules.DEFAULT, dtypes, without)
    try:
        return learn_rule(factory, names, excluded | missing_features(factory, names))
    except CouldNotRun as failure:
        raise CouldNotRun(with_advice(str(failure))) from None
