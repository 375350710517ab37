"""What a diagnosis consists of."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._stages.stages import Changes


@dataclass
class Explanation:
    """A set of deviations that reproduces everything observed, to the bit."""

    changes: Changes

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the deviations."""
        return tuple(a.name for a in self.changes)


@dataclass
class Near:
    """A set of deviations that explains only a part.

    Attributes
    ----------
    changes : tuple of Alternative
        The deviations; empty for the claimed rule itself.
    matched, scripts : int
        How many scripts it reproduces, of how many.
    fails : str
        The first case, script and step that it does not reproduce.
    """

    changes: Changes
    matched: int
    scripts: int
    fails: str


@dataclass
class Diagnosis:
    """The result of the search for an explanation.

    Attributes
    ----------
    explanations : list of Explanation
        All sets of the smallest size that explain everything. If there are several, no case tells them apart.
    complete : bool
        Whether they explain `step_size` and `prev` as well, not only x.
    nearest : list of Near
        If there is no explanation: the sets that explain most.
    tried : int
        How many sets were tried.
    state_only : tuple of str
        If x is right everywhere: those of "step_size" and "prev" that are not.
    cases : int
        How many cases had to be explained, including those where the claimed rule is right.
    """

    explanations: list[Explanation] = field(default_factory=list)
    complete: bool = True
    nearest: list[Near] = field(default_factory=list)
    tried: int = 0
    state_only: tuple[str, ...] = ()
    cases: int = 0

    @property
    def found_nothing(self) -> bool:
        """Whether there is no explanation, and x is not right either."""
        return not self.explanations and not self.state_only
