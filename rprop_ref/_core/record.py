"""The record of a run of `minimize`: two arrays, ``vectors`` and ``scalars``, that hold its whole state.

Copying these two arrays is enough to save, resume or inspect a run. `rprop_ref._core.iteration` updates them;
`rprop_ref._minimizer.starting` sets their first values.
"""

# Rows of ``vectors``, an array of shape (ROWS, n) in the dtype of the parameters, or (BOUNDED_ROWS, n) with
# bounds.
X = 0  # where the objective is evaluated next
PREV = 1  # the rule's memory: the stored gradient
SIZE = 2  # the rule's step sizes
LAST_X = 3  # the last accepted point: its value is finite, and its gradient (with bounds, INWARD_G) ...
LAST_G = 4  # ... and its gradient
BEST_X = 5  # the best point so far ...
BEST_G = 6  # ... and its gradient
SPAN = 7  # how large each variable was at the start, or the first step size if that is larger
AGGREGATE = 8  # used by a check (`probing`): the shortest mean of gradients near BEST_X that it has found ...
SCALE = 9  # ... and the largest absolute values of their components
BASE = 10  # where the last pattern move began, or the start; see `pattern`
ROWS = 11
LOWER = 11  # the bounds
UPPER = 12
MOVE_START = 13  # where the last move began, to undo a move that was clipped
INWARD_G = 14  # the gradient at LAST_X, with 0 in components whose descent direction leaves the bounds
BOUNDED_ROWS = 15

# Entries of ``scalars``, an array of float64.
NIT = 0  # the number of steps that led to LAST_X, retreats not counted; -1 before the first finite point
LAST_F = 1  # value at LAST_X
LAST_G_MAX = 2  # largest absolute value in the gradient there; with bounds, in INWARD_G
WORSE = 3  # whether that value was higher than the one before
STEP_MADE = 4  # 1 once the step from LAST_X has been made; 0 if a stopping rule ended the run there first
LOWEST_F = 5  # lowest value seen
LOWEST_NIT = 6  # NIT when it was seen first
BEST_F = 7  # value at BEST_X
BEST_G_MAX = 8  # as LAST_G_MAX
RETREAT_NIT = 9  # NIT at the last retreat or new beginning, -inf if there was none; or SMALL_FIRST_STEPS
WINDOW_F = 10  # LOWEST_F when the window of FTOL began
WINDOW_NIT = 11  # NIT then
NFEV = 12  # evaluations of the objective ...
NJEV = 13  # ... and of the gradient; counted by the driver
SIZE_FLOOR = 14  # step sizes at or below this are negligible
F_RESOLUTION = 15  # f counts as equal to the lowest value if f <= lowest + F_RESOLUTION * |lowest|
DEFAULT_XTOL = 16  # XTOL where the user gives none
RETREAT_F = 17  # -inf if that was a value; else the value where it or the gradient was last not finite, or 0
FIRST_F = 18  # value at the first finite point
CHECK = 19  # the stage of the check under way, 0 if there is none; see `probing` for this and the next four
PROBES = 20  # points that the check has evaluated
RADIUS = 21  # their distance from BEST_X, relative to the size of the variables
MARGIN = 22  # a value is lower than BEST_F if it is lower by more than this
NEGLIGIBLE = 23  # a gradient component is negligible if its effect on the value is at most this
PATTERN = 24  # the stage of the pattern move under way, 0 if there is none; see `pattern`
PATTERN_NIT = 25  # NIT when the last pattern move began
STRETCH = 26  # the factor of the next one
SLOPE = 27  # the slope from LAST_X to its point
SMOOTH = 28  # whether a check may take the objective for smooth
STALLS = 29  # how often the run has begun again where it had stalled; see `stalling` for this and the next
STALL_EFFECT = 30  # the largest effect of a gradient on the value since then, where the best one is small
MAXITER = 31  # the options of this name, from here on; infinity where there is no limit
MAXFEV = 32
GTOL = 33
XTOL = 34
FTOL = 35  # negative if there is no such tolerance
WINDOW = 36  # in iterations, as is PATIENCE
F_TARGET = 37
PATIENCE = 38
PATTERN_EVERY = 39  # infinity for no pattern moves; the same in all calls of a run
FIRST_RADIUS = 40  # the smallest RADIUS
XTOL_NEGLIGIBLE = 41  # NEGLIGIBLE relative to the scale of the values, where XTOL is met ...
FTOL_NEGLIGIBLE = 42  # ... and where FTOL is
SMALL_AGGREGATE = 43  # AGGREGATE is small if its components are at most this times SCALE
WAIT = 44  # PATIENCE, or FUTILE_STEPS if that is less and XTOL is in use
GTOL_NEGLIGIBLE = (
    45  # where no GTOL is given: the effect of a small gradient, relative to the value; else negative
)
SMOOTH_NEGLIGIBLE = 46  # where no XTOL and FTOL are given: the same for SMOOTH; else infinity
ENTRIES = 47

#: The entries that the result, the message and the check of a run are made of, besides the options that all runs
#: share.
REPORTED = (
    *(NIT, NFEV, FIRST_F, LAST_F, BEST_F, BEST_G_MAX, LOWEST_F, LOWEST_NIT),
    *(WINDOW_F, WINDOW_NIT, RETREAT_F, MARGIN, NEGLIGIBLE, STALLS, XTOL),
)

#: RETREAT_NIT of a run whose first step sizes already satisfy XTOL.
SMALL_FIRST_STEPS = -1

#: The row of the point where a run has stalled last, if it has (`stalling`), until a check takes the row.
STALLED_X = AGGREGATE
