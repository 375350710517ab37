"""The grammar: which entries a table has, the answers that each may have, and the words for them.

An **event** is what a step meets in one coordinate: the sign of the memory and that of the gradient. Each event is
a row of the table, with four answers: what the step size is multiplied by (``factor``), which limits apply
(``limits``), how x moves (``move``), and what is stored (``memory``). A few entries hold for the whole rule (how a
run begins, what is compared with what). A key is ``"row: field"``, with the sign of the gradient if it matters, or
the name of an entry of the whole rule. An answer is a word of this file, or a number that was measured.
"""

from __future__ import annotations

import functools

Answer = str | float

# --- rows -----------------------------------------------------------------------------------------------------

#: The rows, and when they apply.
ROWS = {
    "first": "At the first step",
    "same": "Where the gradient keeps its sign",
    "flip": "Where the gradient changes its sign",
    "rose": "Where the gradient changes its sign and the loss rose",
    "fresh": "Where the memory is 0",
    "after": "At the step after a sign change",
    "zero": "Where the gradient is 0",
    "rest": "Where gradient and memory are 0",
    "nan": "Where the gradient is NaN",
    "nan product": "Where the product is NaN, and the gradient is a number",
}

FIELDS = ("factor", "limits", "move", "memory")

#: The answers of each field, the plainest first: of answers that nothing tells apart, the first is taken.
ANSWERS: dict[str, dict[str, str]] = {
    "factor": {
        "1": "keeps the step size",
        "up": "multiplies it by eta+",
        "down": "multiplies it by eta-",
        "0": "makes it 0",
        "lr": "sets it to lr",
        "lo": "sets it to the smallest",
        "hi": "sets it to the largest",
        "up down": "multiplies it by eta+ and by eta-",
        "up up": "multiplies it by eta+ twice",
        "down down": "multiplies it by eta- twice",
    },
    "limits": {
        "both": "within both limits",
        "hi": "at most the largest",
        "lo": "at least the smallest",
        "none": "without limits",
        "both, lo wins": "within both limits, of which the smallest wins",
        "move only": "with both limits for the move only, not for what is stored",
        "before": "with both limits applied before the multiplication",
    },
    "move": {
        "new": "moves downhill by the new step size",
        "old": "moves downhill by the old step size",
        "none": "does not move x",
        "undo": "takes the last move back",
        "undo recomputed": "takes back sign(memory) times the old step size",
        "undo shrunk": "takes back sign(memory) times the new step size",
        "restore": "restores the last x",
        "repeat": "repeats the last move",
        "on": "moves on in the direction of the memory by the new step size",
        "back and forth": "moves downhill by the old step size, then back by the new one",
        "uphill": "moves uphill by the new step size",
        "+new": "moves up by the new step size",
        "-new": "moves down by the new step size",
        "+old": "moves up by the old step size",
        "-old": "moves down by the old step size",
        "nan": "makes x NaN",
        "sign bit": "moves against the sign bit of the gradient by the new step size",
    },
    "late move": {
        "made": "makes the move of the step before",
        "dropped": "drops the move of the step before",
        "at once": "drops the move of the step before, and makes its own at once",
    },
    "memory": {
        "new": "stores the gradient",
        "0": "clears the memory",
        "kept": "keeps the memory",
        "negated": "stores the negative of the gradient",
    },
}

# --- entries of the whole rule --------------------------------------------------------------------------------

#: The other entries and their answers, the plainest first.
GLOBALS: dict[str, dict[str, str]] = {
    "start": {
        "lr": "Step sizes begin at lr",
        "lr limited": "Step sizes begin at lr, within the limits",
        "lr at most hi": "Step sizes begin at lr, at most the largest",
        "lr at least lo": "Step sizes begin at lr, at least the smallest",
        "0": "Step sizes begin at 0, whatever lr says",
        "lo": "Step sizes begin at the smallest, whatever lr says",
        "hi": "Step sizes begin at the largest, whatever lr says",
        "up lr": "Step sizes begin at eta+ times lr",
        "down lr": "Step sizes begin at eta- times lr",
    },
    "start memory": {
        "0": "The memory begins at 0",
        "first": "The memory begins as the first gradient",
        "1": "The memory begins at 1",
        "-1": "The memory begins at -1",
        "own": "The first step has a row of its own",
    },
    "after a flip": {
        "as fresh": "The step after a sign change is like any with a memory of 0",
        "own": "The step after a sign change has a row of its own",
    },
    "direction": {"down": "It moves downhill", "up": "It moves uphill, as if the gradient had the other sign"},
    "first move": {"made": "The first call makes a step", "none": "The first call only stores"},
    "late": {"no": "Each step makes its own move", "yes": "Each step makes the move of the step before"},
    "constants": {
        "given": "Hyperparameters are used as they are given",
        "float32": "Hyperparameters are rounded to float32",
    },
    "arithmetic": {
        "in the dtype": "Every operation is rounded to the dtype of x",
        "etas in double": "The step size is multiplied in double precision, by etas that are not rounded",
        "bfloat16 etas not rounded": "The step size of bfloat16 is multiplied by etas that are not rounded",
        "computed in double": "Steps are computed in double precision, and their results are rounded",
        "computed in double, constants rounded": (
            "Steps are computed in double precision, with rounded hyperparameters, and their results are rounded"
        ),
        "16 bits computed in float32": "Steps of 16 bits are computed in float32, and their results are rounded",
        "16 bits computed in float32, constants rounded": (
            "Steps of 16 bits are computed in float32, with rounded hyperparameters, and their results are rounded"
        ),
        "state in double": "x, step sizes and memory are kept in double precision, and x is rounded when shown",
        "16 bits kept in float32": (
            "x, step sizes and memory of 16 bits are kept in float32, and x is rounded when shown"
        ),
        "computed in float32": "Steps of float64 are computed in float32, in which all is kept",
        "everything in float32": "Steps of every dtype are computed in float32, in which all is kept",
    },
    "16-bit constants": {
        "rounded": "Hyperparameters are rounded to 16 bits at once",
        "through float32": "Hyperparameters are rounded to float32, and then to 16 bits",
        "lr at once": "lr is rounded to 16 bits at once, and the other hyperparameters through float32",
        "float16 lr at once": "lr is rounded to float16 at once, and all else to 16 bits through float32",
        "bfloat16 through float32": "Hyperparameters are rounded to float16 at once, to bfloat16 through float32",
        "bfloat16 lr through float32": "lr is rounded to bfloat16 through float32, all else to 16 bits at once",
    },
    "compare": {
        "product": "Gradient and memory are compared by their product",
        "signs": "The signs of gradient and memory are compared",
        "product in float32": "Their product is rounded to float32",
        "stored sign": "The memory is the sign of the gradient",
        "stored move": "The memory is the move (sign times step size)",
    },
    "loss test": {
        "rose": "The loss counts as worse if it rose",
        "rose or equal": "The loss counts as worse if it did not fall",
        "late": "The loss counts as worse if it rose one step earlier",
        "best": "The loss counts as worse if it is above the best so far",
        "rose or NaN": "The loss counts as worse if it rose or is NaN",
        "fell": "The loss counts as worse if it fell",
    },
    "flip test": {
        "sign": "A sign change is where the product is negative",
        "factor": "A sign change is where the factor is eta-",
    },
    "factor of 0": {"counts": "A factor of 0 counts", "is 1": "A factor of 0 counts as 1"},
    "no move": {
        "times 0": "No move is 0 times the step size, NaN if that is infinite",
        "none": "No move leaves x alone, also if the step size is infinite",
    },
    "sign of 0": {
        "times 0": "The move at a gradient of 0 is 0 times the step size, NaN if that is infinite",
        "none": "A gradient of 0 leaves x alone, also if the step size is infinite",
    },
    "small gradients": {"count": "Every gradient counts"},
    "small moves": {"count": "Every gradient moves x"},
    "small products": {"count": "Every product counts"},
    "base": {"kept": "Step sizes are kept from step to step", "lr": "Every step begins with lr again"},
    "step sizes": {
        "in the dtype": "Step sizes are numbers of the dtype",
        "float32": "Step sizes are rounded to float32",
    },
    "move by": {"size": "x moves by step sizes", "lr times size": "x moves by lr times the step size"},
    "floor": {"none": "Step sizes are read as they are"},
    "step_sizes": {
        "in order": "step_sizes are the smallest and the largest step size",
        "swapped": "The largest step size is taken for the smallest, and the smallest for the largest",
    },
    "own limits": {"lengths": "Limits of its own are lengths", "times lr": "Limits of its own are times lr"},
    "largest": {"given": "The largest step size is as given"},
    "smallest": {"given": "The smallest step size is as given"},
    "walls": {"none": "Nothing stops x"},
    "walls act": {
        "ahead": "Each wall stops the moves towards it",
        "both": "Both walls clip x after every step",
    },
    "NaN gradient": {
        "taken": "A NaN gradient is taken as it is",
        "skipped": "A NaN gradient is skipped: x, step size and memory stay as they are",
        "skipped, with its loss": (
            "A NaN gradient is skipped: x, step size and memory stay as they are, and the last loss, too"
        ),
    },
    "subnormals": {
        "count": "Subnormal numbers count",
        "flushed": "Subnormal gradients and products count as 0",
        "all flushed": "Subnormal numbers become 0, whatever they are",
    },
    # --- calls
    "maximize": {
        "negates": "maximize=True negates the gradient",
        "ignored": "maximize has no effect",
        "memory not negated": "maximize=True negates the gradient, but not what is stored of it",
    },
    "loss under maximize": {
        "reversed": "maximize=True reverses the comparison of losses",
        "not reversed": "maximize=True does not reverse the comparison of losses",
        "never worse": "With maximize=True, the loss never counts as worse",
    },
    "None": {"skipped": "A gradient of None is skipped", "as 0": "A gradient of None counts as 0"},
    "caller's array": {
        "copied": "The memory is a copy of the gradient",
        "kept": "The memory is the caller's own array: if that is used again, every product is a square",
        "kept unless maximizing": (
            "The memory is the caller's own array, unless maximizing: "
            "if that is used again, every product is a square"
        ),
    },
    "caller's gradient": {
        "read": "The caller's gradient is only read",
        "zeroed": "Zeros are written into the caller's gradient at a sign change",
        "negated": "The caller's gradient is negated when maximizing",
        "negated, zeroed": "The caller's gradient is negated when maximizing, and set to 0 at a sign change",
        "zeroed, own array if maximizing": (
            "Zeros are written into the caller's gradient at a sign change, unless maximizing"
        ),
    },
    "lr set": {
        "ignored": "lr is read once",
        "resets": "Setting lr resets all step sizes",
        "used": "Later lr is used, and step sizes stay as they are",
    },
    "etas set": {"used": "Later etas are used", "ignored": "The etas are read once"},
    "limits set": {"used": "Later limits are used", "ignored": "The limits are read once"},
    "saved": {
        "all": "The saved state is complete",
        "no memory": "The saved state lacks the memory",
        "no step size": "The saved state lacks the step sizes",
        "no last move": "The saved state lacks the last move",
    },
}  # fmt: skip


#: Rows at a sign change.
FLIPS = ("flip", "rose")

#: The moves of each kind of row, the plainest first.
_FLIP_MOVES = (
    "none", "new", "undo", "undo recomputed", "restore", "undo shrunk", "old", "back and forth", "repeat", "on",
    "uphill",
)  # fmt: skip
_OTHER_MOVES = ("new", "old", "none", "uphill")
_ZERO_MOVES = ("new", "on", "undo", "repeat", "undo recomputed")
_NAN_MOVES = (
    "none",
    "nan",
    "+new",
    "-new",
    "sign bit",
    "on",
    "undo",
    "undo recomputed",
    "restore",
    "repeat",
    "+old",
    "-old",
)

#: Moves in a direction that does not depend on the gradient, so that mirrored gradients do not mirror the run.
_ONE_SIDED = ("+new", "-new", "+old", "-old")

_PLAIN_FACTORS = ("1", "up", "down", "0", "lr", "lo", "hi")


def field_of(key: str) -> str:
    """The field of a key ("flip: move" -> "move"); a global entry is its own."""
    return key.rpartition(": ")[2]


def row_of(key: str) -> str:
    """The row of a key, without its sign ("flip +: move" -> "flip"); empty for a global entry."""
    row = key.rpartition(": ")[0]
    return row[:-2] if row[-2:] in (" +", " -", " 0") else row


def keyed(row: str, sign: str, *, symmetric: bool) -> str:
    """A row, with the sign of the gradient where that matters: 0 times infinity is apart from infinity times 0."""
    if sign == "0" and row in ("rest", "nan"):
        return row
    both = symmetric and not (sign == "0" and row == "nan product")
    return row if both else f"{row} {sign}"


class Grammar:
    """Which answers every entry may have.

    Parameters
    ----------
    symmetric : bool
        Without moves in a direction that does not depend on the gradient.
    wide : bool
        With answers that are rare.
    numbers : dict of str to tuple of float
        Numbers that were measured, to try in each field.
    fixed : dict of str to str
        Entries whose answer is known already.
    """

    def __init__(
        self,
        symmetric: bool = True,
        wide: bool = False,
        numbers: dict[str, tuple[float, ...]] | None = None,
        fixed: dict[str, tuple[Answer, ...]] | None = None,
    ) -> None:
        self.symmetric, self.wide, self.numbers = symmetric, wide, numbers or {}
        self._answers: dict[str, tuple[Answer, ...]] = dict(fixed or {})

    def answers(self, key: str) -> tuple[Answer, ...]:
        """All answers that an entry may have, the plainest first."""
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._words(key) + self.numbers.get(field_of(key), ())
        return found

    @functools.cached_property
    def late_moves(self) -> frozenset[Answer]:
        """What may become of the move of the step before, anywhere."""
        keys = {keyed(row, sign, symmetric=self.symmetric) for row in ROWS for sign in "+-0"}
        return frozenset(answer for key in keys for answer in self.answers(f"{key}: late move"))

    def _words(self, key: str) -> tuple[str, ...]:
        field, row = field_of(key), row_of(key)
        if field == "move":
            return self._moves(row)
        words = tuple(ANSWERS.get(field) or GLOBALS[field])
        if self.wide:
            return words
        if field == "factor":
            return _PLAIN_FACTORS
        if field == "late move" and row not in FLIPS:
            return words[:2]
        if field == "limits":
            return words[:5]
        return words[:3] if field == "memory" and row not in FLIPS else words

    def _moves(self, row: str) -> tuple[str, ...]:
        if row in ("nan", "nan product"):
            return _NAN_MOVES if row == "nan" else ("new", "old", *_NAN_MOVES)
        one_sided = () if self.symmetric else _ONE_SIDED
        if row in FLIPS:
            return (*_FLIP_MOVES[:2], *one_sided, *_FLIP_MOVES[2:])
        if self.wide:
            return tuple(dict.fromkeys((*_OTHER_MOVES, *_FLIP_MOVES, *one_sided)))
        moves = _ZERO_MOVES if row in ("zero", "rest") else _OTHER_MOVES
        return (moves[0], *one_sided, *moves[1:])
