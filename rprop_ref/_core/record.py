"""The record of a run of `minimize`: two arrays, ``vectors`` and ``scalars``, that hold its whole state.

To save, resume or watch a run is to copy its record. `rprop_ref._core.iteration` says what is done with it.
"""

# Rows of ``vectors``, an array of shape (ROWS, n) in the dtype of the parameters, or (BOUNDED_ROWS, n) with
# bounds.
X = 0  # where the objective is evaluated next
PREV = 1  # the rule's memory: the stored gradient
SIZE = 2  # the rule's step sizes
LAST_X = 3  # the last point with a finite value and gradient ...
LAST_G = 4  # ... and its gradient
BEST_X = 5  # the best point so far ...
BEST_G = 6  # ... and its gradient
ROWS = 7
LOWER = 7  # the bounds
UPPER = 8
MOVE_START = 9  # where the last move began: a move that was clipped cannot be computed again
INWARD_G = 10  # the gradient at LAST_X, but 0 where going downhill would leave the bounds
BOUNDED_ROWS = 11

# Entries of ``scalars``, an array of float64.
NIT = 0  # steps made; -1 before the first evaluation
LAST_F = 1  # value at LAST_X
LAST_G_MAX = 2  # largest component of the gradient there, in absolute value; with bounds, of INWARD_G
WORSE = 3  # whether that value was higher than the one before
MOVED = 4  # whether the step from LAST_X has been made; not if a stopping rule ended the run there
LOWEST_F = 5  # lowest value seen
LOWEST_NIT = 6  # NIT when it was seen first
BEST_F = 7  # value at BEST_X
BEST_G_MAX = 8  # as LAST_G_MAX
RETREAT_NIT = 9  # NIT when the run last had to retreat; or SMALL_FIRST_STEPS
WINDOW_F = 10  # LOWEST_F when the window of FTOL began
WINDOW_NIT = 11  # NIT then
NFEV = 12  # calls of the objective and of the gradient; counted by the driver
NJEV = 13
SIZE_FLOOR = 14  # a step size that is no larger than this counts as none
F_RESOLUTION = 15  # values that differ by less than this, relative to the lowest, count as equal
DEFAULT_XTOL = 16  # XTOL where the user gives none
MAXITER = 17  # the options from here on
MAXFEV = 18
GTOL = 19
XTOL = 20
FTOL = 21
WINDOW = 22
F_TARGET = 23
PATIENCE = 24
ENTRIES = 25

#: What RETREAT_NIT is where the first steps are so small that they would count as those of a run at rest.
SMALL_FIRST_STEPS = -1
