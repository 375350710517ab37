"""A step of any Rprop as five stages, each made of slots that can be filled in more than one way.

The stages are *sense* (how does this gradient compare with the last?), *factor* (by what is the step size
multiplied?), *clamp* (within which limits?), *move* (where does x go?) and *remember* (what is stored for the next
step?). A stage consists of a few **slots**, and each slot can be filled with one of several **alternatives**:
small functions of the values computed so far (`deviations` lists them). A **composition** is a complete rule, one
alternative for each slot. A **deviation** from a rule is another alternative in one slot. So rules are data that
can be combined and searched. A **flip** is a sign change of the gradient, as the rule detects it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

STAGES = ("sense", "factor", "clamp", "move", "remember")


class Slot(NamedTuple):
    """An exchangeable part of a stage, and the names of the values that it computes."""

    stage: str
    name: str
    outputs: tuple[str, ...]


#: In the order in which a step evaluates them.
SLOTS = (
    Slot("factor", "etas", ("raw_minus", "raw_plus")),
    Slot("clamp", "limits", ("raw_low", "raw_high")),
    Slot("factor", "constants", ("minus", "plus", "low", "high", "first_size")),
    Slot("sense", "skip", ("skipped",)),
    Slot("sense", "direction", ("oriented",)),
    Slot("sense", "filter", ("g",)),
    Slot("sense", "recall", ("recalled",)),
    Slot("sense", "start", ("prev",)),
    Slot("sense", "product", ("own_product",)),
    Slot("sense", "agreement", ("product",)),
    Slot("factor", "factor", ("raw_factor",)),
    Slot("factor", "mend", ("factor",)),
    Slot("factor", "flip", ("flip",)),
    Slot("clamp", "base", ("base",)),
    Slot("clamp", "scale", ("scaled",)),
    Slot("clamp", "clamp", ("new_size", "move_size")),
    Slot("move", "worse", ("worse",)),
    Slot("move", "sign", ("sign",)),
    Slot("move", "action", ("move_sign", "take_back", "stay")),
    Slot("move", "undo", ("undone",)),
    Slot("move", "length", ("length",)),
    Slot("move", "displace", ("move",)),
    Slot("move", "arrive", ("arrived",)),
    Slot("move", "wall", ("new_x", "kept_size")),
    Slot("remember", "stored", ("stored",)),
    Slot("remember", "at_flip", ("at_flip",)),
    Slot("remember", "memory", ("new_prev",)),
    Slot("remember", "touch", ("touched",)),
    Slot("remember", "halt", ("halted",)),
)

#: This many slots, the first ones, compute constants; they run again only when a case edits hyperparameters.
CONSTANT_SLOTS = 3

#: The slot of the dtypes that a step is computed in. It affects all stages, so it belongs to none.
ARITHMETIC = "arithmetic"


@dataclass(frozen=True)
class Alternative:
    """One way to fill a slot: a function that computes the slot's values, and its description.

    Attributes
    ----------
    name : str
        The name that a diagnosis uses.
    slot : str
        The slot it fills.
    does : str
        What a rule with this alternative does, in a sentence.
    fix : str
        What to change in an implementation to get this alternative. For a deviation, a diagnosis prints the `fix`
        of the alternative that the claimed rule has in its slot, unless it has a `cure`.
    function : callable or Arithmetic
        ``function(s)`` returns the outputs of the slot; `s` has all values computed so far as attributes. In the
        slot "arithmetic", an `Arithmetic`.
    known_in : tuple of str
        Published implementations that behave in this way.
    cure : str
        What to change to be rid of this deviation, where a `fix` of its slot would speak of something else.
    """

    name: str
    slot: str
    does: str
    fix: str
    function: Any = field(compare=False, repr=False)
    known_in: tuple[str, ...] = ()
    cure: str = ""

    # The generated hash covers all fields, which is slow for a search that hashes many sets.
    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def stage(self) -> str:
        """The stage that its slot belongs to, or "arithmetic"."""
        return next((slot.stage for slot in SLOTS if slot.name == self.slot), ARITHMETIC)


#: A complete rule: the alternative in each slot.
Composition = dict[str, Alternative]

#: A set of deviations from a rule: other alternatives in some slots, at most one for each.
Changes = tuple[Alternative, ...]


def changed(composition: Composition, changes: Changes) -> Composition:
    """The composition with other alternatives in some slots."""
    return {**composition, **{a.slot: a for a in changes}}


@dataclass(frozen=True)
class Arithmetic:
    """The dtypes that a step is computed in and that its state is stored in, and how they round.

    Attributes
    ----------
    work, store : callable
        Functions of the parameters' dtype: ``work`` gives the dtype of a step's operations, ``store`` that of its
        state.
    exact_constants : bool
        Whether hyperparameters are rounded to the ``work`` dtype only, not first to the dtype of the parameters.
    flush : bool
        Whether subnormal numbers are flushed to zero.
    """

    work: Any
    store: Any
    exact_constants: bool = False
    flush: bool = False
