"""The five Rprop update rules, each written once.

This file is the arithmetic of the whole project. It imports nothing, and its functions hold no numeric literal:
the choice ``where(condition, a, b)`` is handed in, and so is every constant, already rounded to the dtype of the
parameter. The same functions therefore run

* on whole arrays, with ``numpy.where``;
* on scalars inside compiled loops, with a three-line ``select`` (`numba_kernels`);
* on anything else that has the operators ``* + - == != < > <= >= |`` and a ``where``.

Every operation below is one IEEE-754 operation, rounded to nearest, in the parameter's dtype. This fixes the
result bit for bit, so do not reorder or rewrite these expressions.

Names, per coordinate and as in the papers:

====================  =========================================================================
``x``                 the parameter, w
``g``                 the gradient of this step, dE/dw (t); already negated when maximizing
``prev``              the stored gradient, dE/dw (t - 1); 0 before the first step, and after a sign
                      change if the rule clears it
``size``              the step size; the papers' update-value, Delta (t - 1)
``worse``             whether the loss rose, E(t) > E(t - 1); one value for all coordinates, and
                      read by iRprop+ only
``constants``         ``(eta_minus, eta_plus, size_min, size_max, zero, one)``
====================  =========================================================================

A rule returns ``(x, prev, size)`` for the next step and changes nothing in place.

References
----------
.. [1] M. Riedmiller and H. Braun, "A direct adaptive method for faster backpropagation learning: the
   RPROP algorithm", IEEE International Conference on Neural Networks, 1993, pp. 586-591.
.. [2] M. Riedmiller, "Rprop - Description and Implementation Details", technical report, University of
   Karlsruhe, 1994.
.. [3] C. Igel and M. Huesken, "Improving the Rprop learning algorithm", Second International Symposium
   on Neural Computation (NC 2000), 2000, pp. 115-121.
.. [4] C. Igel and M. Huesken, "Empirical evaluation of the improved Rprop learning algorithms",
   Neurocomputing 50, 2003, pp. 105-123.
"""


def sign(where):
    """Make ``sign(g, zero, one)``: -1, 0 or 1, and 0 for NaN (as in torch; `numpy.sign` would keep NaN)."""

    def sign(g, zero, one):
        return where(g > zero, one, where(g < zero, -one, zero))

    return sign


def adapt(where):
    """Make ``adapt(product, size, constants) -> (factor, size)``, which all five rules share: the next step size.

    The sign of ``product = g * prev`` tells whether the gradient kept its sign. The step size grows by
    ``eta_plus`` where it did and shrinks by ``eta_minus`` where it did not ([1]_ and [2]_, the adaptation
    of the update-values Delta), and is then clamped at both ends.

    Three details follow torch rather than the papers. The product is formed in the dtype, so it may underflow
    to 0 (then the step is neutral), overflow, or be NaN (neutral too). A factor that rounded to 0 counts
    as 1. The clamp acts at both ends on every step, the first and the neutral ones included; NaN stays
    NaN, a limit that is NaN gives NaN, and where size_min > size_max the result is size_max.
    """

    def adapt(product, size, constants):
        eta_minus, eta_plus, size_min, size_max, zero, one = constants
        factor = where(product > zero, eta_plus, where(product < zero, eta_minus, one))
        factor = where(factor == zero, one, factor)
        size = size * factor
        size = where((size >= size_min) | (size != size), size, size_min)
        size = where((size <= size_max) | (size != size), size, size_max)
        return factor, size

    return adapt


def rprop_plus(where, sign, adapt):
    """Rprop+: weight-backtracking. Riedmiller & Braun 1993 [1]_; the listing "Rprop+" in [3]_ and [4]_.

    On a sign change the last move is taken back, and the stored gradient is cleared so that the next step is
    neutral. The last move was ``-sign(prev) * size`` with the step size before it shrinks, so it is computed
    again instead of being stored: the same bits, and no fourth array.
    """

    def rule(x, g, prev, size, worse, constants):
        _, _, _, _, zero, one = constants
        product = g * prev
        flip = product < zero
        _, new_size = adapt(product, size, constants)
        moved = x - sign(g, zero, one) * new_size
        undone = x + sign(prev, zero, one) * size
        return where(flip, undone, moved), where(flip, zero, g), new_size

    return rule


def rprop_minus(where, sign, adapt):
    """Rprop-: no backtracking, the stored gradient is kept. The listing "Rprop-" in Igel & Huesken [3]_, [4]_.

    On a sign change the step is made nevertheless, with the smaller step size.
    """

    def rule(x, g, prev, size, worse, constants):
        _, _, _, _, zero, one = constants
        _, new_size = adapt(g * prev, size, constants)
        return x - sign(g, zero, one) * new_size, g, new_size

    return rule


def irprop_plus(where, sign, adapt):
    """iRprop+: backtracking only where it helps. The listing "iRprop+" in Igel & Huesken [3]_, [4]_.

    On a sign change the last move is taken back if the loss rose since the last step (``worse``), and
    otherwise the coordinate stays where it is. The stored gradient is cleared either way.
    """

    def rule(x, g, prev, size, worse, constants):
        _, _, _, _, zero, one = constants
        product = g * prev
        flip = product < zero
        _, new_size = adapt(product, size, constants)
        moved = x - sign(g, zero, one) * new_size
        undone = x + sign(prev, zero, one) * size
        return where(flip, where(worse, undone, x), moved), where(flip, zero, g), new_size

    return rule


def irprop_minus(where, sign, adapt):
    """iRprop- as printed, and torch's. The listing "iRprop-" in Igel & Huesken [3]_, [4]_.

    On a sign change the gradient is set to zero: the coordinate rests for one step, and the next step is
    neutral. The test for the sign change is torch's, a comparison of the factor with ``eta_minus``. It
    differs from ``product < 0`` only where ``eta_minus`` rounds to 1 in the dtype (then every neutral step
    looks like a sign change, and the coordinate is frozen) or to 0 (then none does).
    """

    def rule(x, g, prev, size, worse, constants):
        eta_minus, _, _, _, zero, one = constants
        factor, new_size = adapt(g * prev, size, constants)
        g = where(factor == eta_minus, zero, g)
        return x - sign(g, zero, one) * new_size, g, new_size

    return rule


def irprop_go(where, sign, adapt):
    """iRprop- as the authors of [3]_ programmed it (their code of 1999, and Shark's after it).

    The stored gradient is cleared on a sign change as in the printed iRprop-, but the coordinate does not
    rest: it moves by the smaller step size. The two rules first differ at the first sign change.
    """

    def rule(x, g, prev, size, worse, constants):
        _, _, _, _, zero, one = constants
        product = g * prev
        _, new_size = adapt(product, size, constants)
        return x - sign(g, zero, one) * new_size, where(product < zero, zero, g), new_size

    return rule


#: What a rule does with the move at a sign change (`Rule.move`).
UNDONE = "undone"
UNDONE_IF_WORSE = "undone if the loss rose, else left out"
LEFT_OUT = "left out"
MADE = "made with the smaller step size"

#: What it does with the stored gradient there (`Rule.memory`).
CLEARED = "cleared"
KEPT = "kept"

#: How it detects a sign change (`Rule.sign_change`).
PRODUCT_IS_NEGATIVE = "product < 0"
FACTOR_IS_ETA_MINUS = "factor == eta_minus"


class Rule:
    """A rule: what it computes, and the facts about it.

    Code that treats rules differently (kernels, events, plots, the explorer, the referee) reads these attributes,
    and never compares names.

    Parameters
    ----------
    name : str
        What ``variant=`` takes.
    make : callable
        ``make(where, sign, adapt)`` puts the function together, see `build`.
    title : str
        The name shown to readers.
    move, memory, sign_change : str
        What the rule does with the move and with the stored gradient at a sign change, and how it detects one;
        each is one of the constants above.
    colour : str
        Of its line in plots, ``"#rrggbb"``. The five are distinct also for colour-blind readers.
    line : {"-", "--"}
        The style of its line, as matplotlib writes it.
    source : str
        Where it was published.
    """

    def __init__(self, name, make, *, title, move, memory, sign_change, colour, line, source):
        self.name = name
        self.make = make
        self.title = title
        self.move = move
        self.memory = memory
        self.sign_change = sign_change
        self.colour = colour
        self.line = line
        self.source = source
        #: Whether it needs to know if the loss rose.
        self.compares_losses = move == UNDONE_IF_WORSE

    def __repr__(self):
        return f"<rule {self.name}>"

    def undoes(self, worse):
        """Whether it takes the last move back at a sign change."""
        return self.move == UNDONE or (self.compares_losses and worse)


#: The rules by their names. To add one, write its function above and a row here, and what tests and referee have
#: independently of this file (CONTRIBUTING.md).
RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "rprop+",
            rprop_plus,
            title="Rprop+",
            move=UNDONE,
            memory=CLEARED,
            sign_change=PRODUCT_IS_NEGATIVE,
            colour="#0072b2",
            line="-",
            source="Riedmiller & Braun 1993",
        ),
        Rule(
            "rprop-",
            rprop_minus,
            title="Rprop-",
            move=MADE,
            memory=KEPT,
            sign_change=PRODUCT_IS_NEGATIVE,
            colour="#56b4e9",
            line="--",
            source="Igel & Huesken 2000",
        ),
        Rule(
            "irprop+",
            irprop_plus,
            title="iRprop+",
            move=UNDONE_IF_WORSE,
            memory=CLEARED,
            sign_change=PRODUCT_IS_NEGATIVE,
            colour="#009e73",
            line="-",
            source="Igel & Huesken 2000",
        ),
        Rule(
            "irprop-",
            irprop_minus,
            title="iRprop- as printed",
            move=LEFT_OUT,
            memory=CLEARED,
            sign_change=FACTOR_IS_ETA_MINUS,
            colour="#d55e00",
            line="-",
            source="Igel & Huesken 2000 as printed; torch",
        ),
        Rule(
            "irprop-go",
            irprop_go,
            title="iRprop- as programmed",
            move=MADE,
            memory=CLEARED,
            sign_change=PRODUCT_IS_NEGATIVE,
            colour="#cc79a7",
            line="--",
            source="Igel & Huesken as programmed; Shark, OpenCV",
        ),
    )
}

#: The rules of this file, whatever is put into the table later.
SHIPPED = tuple(RULES.values())

#: The default of ``variant=``: the rule that torch implements.
DEFAULT = "irprop-"


def build(rule, where, compiled=lambda function: function):
    """Put the function of one rule together.

    Parameters
    ----------
    rule : Rule or str
        The rule, or its name.
    where : callable
        ``where(condition, a, b)`` for whatever the rule is to run on.
    compiled : callable, optional
        Wraps each of the three functions a rule is made of (``numba.njit``, for instance).

    Returns
    -------
    callable
        ``rule(x, g, prev, size, worse, constants) -> (x, prev, size)``.
    """
    rule = RULES[rule] if isinstance(rule, str) else rule
    return compiled(rule.make(where, compiled(sign(where)), compiled(adapt(where))))
