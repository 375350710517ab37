"""What a diagnosis returns: explanations, or leads if there are none."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._stages.stages import Alternative, Changes


@dataclass(frozen=True)
class Learned:
    """A deviation that was learned by experiments, with the same attributes as a known one.

    Attributes
    ----------
    name : str
        A few words; that of a known deviation, if it is one.
    does : str
        What the implementation does, in sentences.
    known_in : tuple of str
        Published implementations that do the same.
    """

    name: str
    does: str
    known_in: tuple[str, ...] = ()
    stage: str = "table"


@dataclass
class Explanation:
    """A set of deviations that reproduces what was observed, to the bit, those that explain most first.

    Attributes
    ----------
    changes : tuple of Alternative or Learned
        The deviations.
    learned : bool
        Whether they were learned by experiments. Then they reproduce the tiers that the report's `learned` lists
        as explained; known deviations reproduce everything observed.
    """

    changes: tuple[Alternative | Learned, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the deviations."""
        return tuple(a.name for a in self.changes)

    @property
    def learned(self) -> bool:
        """Whether the deviations were learned by experiments."""
        return any(isinstance(a, Learned) for a in self.changes)


@dataclass
class Lead:
    """A set of deviations that explains only a part of what was observed.

    Attributes
    ----------
    changes : tuple of Alternative
        The deviations; empty for the claimed rule itself.
    matched, scripts : int
        How many coordinates of the cases it reproduces to the bit, of how many. In a case without an objective,
        each coordinate has a script: the gradients that it is given.
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
        The sets that explain everything observed, all of the same size. Up to the size that is searched
        exhaustively, these are all sets of the smallest possible size. No case tells them apart. If no known
        deviations do, and experiments have found the rule, the only explanation is what was learned.
    complete : bool
        Whether they explain `step_size` and `prev` as well, not only x and the caller's gradient.
    nearest : list of Lead
        If there is no explanation: the sets that explain most.
    tried : int
        How many sets were tried; a set that was tried twice counts twice.
    state_only : tuple of str
        If the claimed rule reproduces x and the caller's gradient in all cases: those of "step_size" and "prev"
        that it does not reproduce.
    cases : int
        How many cases had to be explained, including those where the claimed rule is right.
    """

    explanations: list[Explanation] = field(default_factory=list)
    complete: bool = True
    nearest: list[Lead] = field(default_factory=list)
    tried: int = 0
    state_only: tuple[str, ...] = ()
    cases: int = 0

    @property
    def found_nothing(self) -> bool:
        """Whether there is no explanation, and x is not right either."""
        return not self.explanations and not self.state_only
