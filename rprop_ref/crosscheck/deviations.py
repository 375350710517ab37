"""The catalogue: what each slot of a rule can be filled with, and the rules that are made of it.

Each function works on `s`, everything that is known so far in a step (`stages.SLOTS` has the order); arrays are of
shape (rules, coordinates) or broadcast to it. Operations are rounded one by one in the dtype at hand, so an
alternative reproduces an implementation to the bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.dtypes import is_half
from .stages import ARITHMETIC, SLOTS, Alternative, Arithmetic, Rule, changed

# --- factor and clamp: the constants --------------------------------------------------------------------------


def _etas(s):
    return s.etas_given


def _etas_swapped(s):
    return s.etas_given[1], s.etas_given[0]


def _etas_first(s):
    return s.etas_first


def _etas_usual(s):
    return np.full_like(s.etas_given[0], 0.5), np.full_like(s.etas_given[1], 1.2)


def _limits(s):
    return s.limits_given


def _limits_swapped(s):
    return s.limits_given[1], s.limits_given[0]


def _limits_first(s):
    return s.limits_first


def _limits_usual(s):
    return np.full_like(s.limits_given[0], 1e-6), np.full_like(s.limits_given[1], 50.0)


def _through_single(s):
    if is_half(s.dtype):
        return tuple(a.astype(np.float32).astype(s.dtype) for a in _raw_constants(s))
    return tuple(a.astype(s.dtype) for a in _raw_constants(s))


def _directly(s):
    return tuple(_nearest(a, s.dtype) for a in _raw_constants(s))


def _half_lr_directly(s):
    *others, lr = _through_single(s)
    return *others, s.lr.astype(s.dtype) if s.dtype == np.float16 else lr


def _as_numpy(s):
    return tuple(
        (a.astype(np.float32) if s.dtype.name == "bfloat16" else a).astype(s.dtype) for a in _raw_constants(s)
    )


def _raw_constants(s):
    return s.raw_minus, s.raw_plus, s.raw_low, s.raw_high, s.lr


def _nearest(a, dtype):
    """Round float64 once; ml_dtypes goes through float32, so there a double rounding is undone by hand."""
    if dtype.name != "bfloat16":
        return a.astype(dtype)
    single = a.astype(np.float32)
    # Where rounding to float32 has landed half way between two bfloat16, the next float32 decides as `a` does.
    half_way = (single.view(np.uint32) & 0xFFFF) == 0x8000
    towards = np.nextafter(single, np.where(a > single, np.inf, -np.inf).astype(np.float32))
    return np.where(half_way & (a != single), towards, single).astype(dtype)


# --- sense ----------------------------------------------------------------------------------------------------


def _skip_none(s):
    return s.none


def _skip_nothing(s):
    return np.zeros_like(s.none)


def _skip_nan(s):
    return s.none | np.isnan(s.given)


def _turn(s):
    return np.where(s.maximize, -s.given, s.given)


def _turn_back(s):
    return np.where(s.maximize, s.given, -s.given)


def _turn_never(s):
    return s.given


def _all_pass(s):
    return s.turned


def _nan_is_zero(s):
    return np.where(np.isnan(s.turned), s.zero, s.turned)


def _small_gradient_is_zero(threshold):
    def small(s):
        return np.where(np.abs(s.turned).astype(np.float64) < threshold, s.zero, s.turned)

    return small


def _memory(s):
    return s.memory


def _zero_first(s):
    return s.recalled


def _first_gradient(s):
    return np.where(s.first, s.g, s.recalled)


def _callers_array(s):
    return np.where(s.reused & ~s.first & ~s.resumed, s.g, s.memory)


def _memory_not_saved(s):
    return np.where(s.resumed, s.zero, s.memory)


def _memory_before_turning(s):
    return np.where(s.maximize, -s.memory, s.memory)


def _product(s):
    return s.g * s.prev


def _signs(s):
    return np.sign(s.g) * np.sign(s.prev)


def _each(s):
    return s.q0


def _shared(s):
    total = np.add.reduceat(s.q0, s.starts, axis=1)
    return total[:, s.case]


def _small_product_is_zero(threshold):
    def small(s):
        return np.where(np.abs(s.q0).astype(np.float64) < threshold, s.zero, s.q0)

    return small


def _rising_flip_unseen(s):
    return np.where((s.q0 < s.zero) & (s.g > s.zero), s.zero, s.q0)


def _falling_agreement_unseen(s):
    return np.where((s.q0 > s.zero) & (s.g < s.zero), s.zero, s.q0)


# --- factor ---------------------------------------------------------------------------------------------------


def _factor(s):
    return np.where(s.q > s.zero, s.plus, np.where(s.q < s.zero, s.minus, s.one))


def _zero_grows(s):
    return np.where(s.q >= s.zero, s.plus, np.where(s.q < s.zero, s.minus, s.one))


def _zero_grows_later(s):
    return np.where(s.first, s.one, _zero_grows(s))


def _zero_shrinks(s):
    return np.where(s.q > s.zero, s.plus, np.where(s.q <= s.zero, s.minus, s.one))


def _nan_shrinks(s):
    return np.where(s.q > s.zero, s.plus, np.where(s.q == s.zero, s.one, s.minus))


def _nan_grows(s):
    return np.where(s.q < s.zero, s.minus, np.where(s.q == s.zero, s.one, s.plus))


def _only_shrinks(s):
    return np.where(s.q < s.zero, s.minus, s.one)


def _mended(s):
    return np.where(s.factor0 == s.zero, s.one, s.factor0)


def _not_mended(s):
    return s.factor0


def _nan_to_zero(s):
    return np.where(np.isnan(s.q), s.zero, _mended(s))


def _flip_by_factor(s):
    return s.factor == s.minus


def _flip_by_sign(s):
    return s.q < s.zero


def _flip_or_zero(s):
    return s.q <= s.zero


# --- clamp ----------------------------------------------------------------------------------------------------


def _size(s):
    return s.size


def _size_not_saved(s):
    return np.where(s.resumed, s.first_size, s.size)


def _size_from_edited_lr(s):
    return np.where(s.edited, s.first_size, s.size)


def _size_never_kept(s):
    return np.broadcast_to(s.first_size, s.size.shape)


def _scale(s):
    return s.base * s.factor


def _scale_by_unrounded(s):
    factor = np.where(s.factor == s.plus, s.raw_plus, np.where(s.factor == s.minus, s.raw_minus, 1.0))
    exact = (s.base.astype(np.float64) * factor).astype(s.kind)
    return np.where(s.factor == s.one, s.base, exact)


def _scale_by_unrounded_bfloat16(s):
    return _scale_by_unrounded(s) if s.kind.name == "bfloat16" else _scale(s)


def _clamped(size, s):
    return _at_most(_at_least(size, s), s)


def _at_least(size, s):
    return np.where((size >= s.low) | (size != size), size, s.low)


def _at_most(size, s):
    return np.where((size <= s.high) | (size != size), size, s.high)


def _both(size):
    return size, size


def _clamp(s):
    return _both(_clamped(s.scaled, s))


def _clamp_low_last(s):
    return _both(_at_least(_at_most(s.scaled, s), s))


def _clamp_in_branch(s):
    return _both(np.where(_neutral(s), s.scaled, _clamped(s.scaled, s)))


def _clamp_one_side_in_branch(s):
    grown, shrunk = _at_most(s.scaled, s), _at_least(s.scaled, s)
    return _both(np.where(s.q > s.zero, grown, np.where(s.q < s.zero, shrunk, s.scaled)))


def _clamp_not_first(s):
    return _both(np.where(s.first, s.scaled, _clamped(s.scaled, s)))


def _clamp_first(s):
    clamped = _clamped(s.base, s) * s.factor
    return _both(clamped)


def _clamp_move_only(s):
    return s.scaled, _clamped(s.scaled, s)


def _no_low(s):
    return _both(_at_most(s.scaled, s))


def _no_high(s):
    return _both(_at_least(s.scaled, s))


def _no_limits(s):
    return _both(s.scaled)


def _neutral(s):
    return s.q == s.zero


# --- move -----------------------------------------------------------------------------------------------------


def _rose(s):
    return _higher(s.loss, s.last_loss, s)


def _rose_or_equal(s):
    return _rose(s) | (s.loss == s.last_loss)


def _rose_before(s):
    return np.where(s.maximize, False, s.was_worse)


def _rose_over_best(s):
    return s.loss > s.best_loss


def _fell(s):
    return _higher(s.last_loss, s.loss, s)


def _rose_or_nan(s):
    return _rose(s) | np.isnan(s.loss)


def _rose_not_turned(s):
    return s.loss > s.last_loss


def _higher(a, b, s):
    return np.where(s.maximize, a < b, a > b)


def _sign(g, s):
    return np.where(g > s.zero, s.one, np.where(g < s.zero, -s.one, s.zero))


def _sign_of_gradient(s):
    return _sign(s.g, s)


def _sign_keeps_nan(s):
    return np.sign(s.g)


def _zero_is_positive(s):
    return np.where(s.g >= s.zero, s.one, np.where(s.g < s.zero, -s.one, s.zero))


def _zero_is_negative(s):
    return np.where(s.g > s.zero, s.one, np.where(s.g <= s.zero, -s.one, s.zero))


def _rest(s):
    return np.where(s.flip, s.zero, s.sign), np.False_, np.False_


def _stay(s):
    return s.sign, np.False_, s.flip


def _go(s):
    return s.sign, np.False_, np.False_


def _take_back(s):
    return s.sign, s.flip, np.False_


def _take_back_if_worse(s):
    return s.sign, s.flip & s.worse, s.flip & ~s.worse


def _recomputed(s):
    return s.x + _sign(s.memory, s) * s.base


def _as_made(s):
    # A move that a wall has stopped cannot be computed again.
    again = _recomputed(s)
    return np.where(s.bounded, s.saved_x, again) if s.bounded.any() else again


def _saved_point(s):
    return s.saved_x


def _shrunk_step(s):
    return s.x + _sign(s.memory, s) * s.new_size


def _wrong_way(s):
    return s.x - _sign(s.memory, s) * s.base


def _back_and_forth(s):
    return (s.x - s.sign * s.base) + s.sign * s.new_size


def _move_not_saved(s):
    return np.where(s.resumed, s.x, _as_made(s))


def _new_size(s):
    return s.reach


def _old_size(s):
    return s.base


def _sign_times_size(s):
    return s.steer * s.length


def _nonzero_sign_times_size(s):
    return np.where(s.steer == s.zero, s.zero, s.steer * s.length)


def _gradient_times_size(s):
    return np.where(s.steer == s.zero, s.steer, s.g) * s.length


def _arrive(s):
    return np.where(s.back, s.undone, np.where(s.stay, s.x, s.x - s.move))


def _arrive_late(s):
    return np.where(s.flip, np.where(s.back, s.undone, s.x), s.x - s.pending)


def _first_call_rests(s):
    return np.where(s.first, s.x, _arrive(s))


def _kept_within(s):
    if not s.bounded.any():
        return s.arrived, s.new_size
    x = np.where(s.arrived < s.lower, s.lower, s.arrived)
    return np.where(x > s.upper, s.upper, x), s.new_size


def _not_kept_within(s):
    return s.arrived, s.new_size


def _size_cut_at_the_wall(s):
    x, size = _kept_within(s)
    return x, np.where(x == s.arrived, size, np.abs(x - s.x))


# --- remember -------------------------------------------------------------------------------------------------


def _gradient(s):
    return s.g


def _sign_only(s):
    return np.sign(s.g)


def _last_move(s):
    return s.sign * s.length


def _clear(s):
    return np.broadcast_to(s.zero, s.g.shape)


def _keep(s):
    return s.stored


def _negated(s):
    return -s.stored


def _older(s):
    return s.memory


def _remember(s):
    return np.where(s.flip, s.at_flip, s.stored)


def _remember_unless_zero(s):
    return np.where(s.g == s.zero, s.memory, _remember(s))


def _remember_unless_nan(s):
    return np.where(np.isnan(s.g), s.memory, _remember(s))


def _untouched(s):
    return s.raw


def _zero_written(s):
    return np.where(s.flip, s.raw.dtype.type(0), s.raw)


def _turned_in_place(s):
    return np.where(s.maximize, -s.raw, s.raw)


def _turned_and_zeroed(s):
    return np.where(s.flip, s.raw.dtype.type(0), _turned_in_place(s))


def _go_on(s):
    return np.False_


def _halt_at_zero(s):
    kept = np.where(s.skipped, s.memory, s.new_prev)
    resting = np.logical_and.reduceat(kept == s.zero, s.starts, axis=1)
    return resting[:, s.case]


# --- arithmetic -----------------------------------------------------------------------------------------------

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def _same(dtype):
    return dtype


def _narrowed(dtype):
    return _SINGLE if dtype == _DOUBLE else dtype


def _to_double(dtype):
    return _DOUBLE


def _half_to_single(dtype):
    return _SINGLE if is_half(dtype) else dtype


def _catalogue() -> tuple[Alternative, ...]:
    a = Alternative
    return (
        a("etas as given", "etas", "Uses the etas it is given, also if they are edited later.",
          "Use eta- to shrink and eta+ to grow, as they stand at this step.", _etas),
        a("etas swapped", "etas", "Takes (eta-, eta+) for (eta+, eta-): a step shrinks where it should grow.",
          "Swap the two etas.", _etas_swapped),
        a("etas read once", "etas", "Later edits of the etas have no effect.",
          "Read the etas once, at the start.", _etas_first),
        a("etas hard-coded", "etas", "Uses 0.5 and 1.2 whatever it is given.",
          "Ignore the etas given, and use 0.5 and 1.2.", _etas_usual),
        a("limits as given", "limits", "Uses the step size limits it is given, also if they are edited later.",
          "Use the smallest and the largest step size in this order, as they stand at this step.", _limits),
        a("limits swapped", "limits", "Takes (smallest, largest) step size for (largest, smallest).",
          "Swap the two limits.", _limits_swapped),
        a("limits read once", "limits", "Later edits of the step size limits have no effect.",
          "Read the limits once, at the start.", _limits_first),
        a("limits hard-coded", "limits", "Uses 1e-6 and 50 whatever it is given.",
          "Ignore the limits given, and use 1e-6 and 50.", _limits_usual),
        a("constants through float32", "constants", "16-bit constants are rounded to float32 first, then again.",
          "Round constants to the parameter's dtype, 16-bit ones by way of float32.", _through_single),
        a("constants rounded once", "constants", "16-bit constants are rounded once, not by way of float32.",
          "Round constants directly to the parameter's dtype.", _directly),
        a("float16 lr rounded once", "constants",
          "A float16 lr is rounded once, other 16-bit constants by way of float32.",
          "Round a float16 lr directly, other 16-bit constants by way of float32.", _half_lr_directly,
          ("optax on other processors",)),
        a("float16 constants rounded once", "constants",
          "float16 constants are rounded once, bfloat16 ones by way of float32.",
          "Round float16 constants directly, bfloat16 ones by way of float32.", _as_numpy,
          ("NumPy with ml_dtypes", "optax on processors with AVX512-FP16")),
        # --- sense
        a("skips missing gradients", "skip",
          "A missing gradient (None) leaves the coordinate and its state alone.",
          "Skip coordinates without a gradient altogether: their memory survives.", _skip_none),
        a("missing gradient is zero", "skip",
          "A missing gradient counts as a gradient of zero, which clears the memory.",
          "Treat None like a gradient of zero.", _skip_nothing),
        a("skips NaN gradients", "skip", "A NaN gradient is skipped: memory and step size stay as they were.",
          "Skip coordinates whose gradient is NaN.", _skip_nan, ("Accord",)),
        a("descends", "direction", "Walks against the gradient, and along it when maximizing.",
          "Negate the gradient if, and only if, maximizing.", _turn),
        a("mirrored", "direction", "Walks the other way: takes the gradient for its negative.",
          "Change the sign of the gradient.", _turn_back),
        a("maximize has no effect", "direction", "Descends under maximize as well (ignored, or applied twice).",
          "Ignore maximize.", _turn_never),
        a("takes gradients as they are", "filter", "Every gradient counts, however small.",
          "Do not replace gradients by zero.", _all_pass),
        a("NaN gradient becomes zero", "filter", "A NaN gradient is replaced by zero, also in the memory.",
          "Replace NaN gradients by zero.", _nan_is_zero),
        a("gradients under 1e-13 are zero", "filter", "A gradient below 1e-13 in absolute value counts as zero.",
          "Take gradients below 1e-13 for zero.", _small_gradient_is_zero(1e-13), ("Encog",)),
        a("gradients under 1e-27 are zero", "filter", "A gradient below 1e-27 in absolute value counts as zero.",
          "Take gradients below 1e-27 for zero.", _small_gradient_is_zero(1e-27), ("Neuroph",)),
        a("memory is a copy", "recall", "What was stored is what is compared.",
          "Keep a copy of each gradient (negated, if maximizing), and save it with the state.", _memory),
        a("memory is the caller's array", "recall",
          "Keeps a reference to the gradient array instead of a copy: a caller who fills the same array again "
          "makes every gradient agree with itself.",
          "Keep the caller's gradient array itself.", _callers_array, ("PINTS", "neurolab")),
        a("memory lost on resume", "recall", "The stored gradient is not part of what is saved.",
          "Leave the stored gradient out of the saved state.", _memory_not_saved),
        a("memory holds the gradient before maximize", "recall",
          "Stores the gradient as given but compares it with the negated one: under maximize all is reversed.",
          "Store the gradient before maximize negates it.", _memory_before_turning),
        a("memory starts at zero", "start", "The stored gradient is zero before the first step.",
          "Start with a stored gradient of zero.", _zero_first),
        a("memory starts as the first gradient", "start",
          "The first gradient is compared with itself, so the first move is eta+ times the first step size.",
          "Start with the first gradient as the stored one.", _first_gradient, ("PINTS", "trainrp")),
        a("product in the dtype", "product",
          "Compares by the product of the two gradients, which may underflow to 0.",
          "Multiply the two gradients in the parameter's dtype.", _product, ("torch", "optax", "Paddle")),
        a("signs compared", "product", "Compares the signs of the two gradients, so no product underflows.",
          "Multiply the signs of the two gradients instead of the gradients.", _signs, ("Shark", "OpenCV")),
        a("each coordinate by itself", "agreement", "Every coordinate has its own product.",
          "Give every coordinate a step size of its own.", _each),
        a("shared step size", "agreement", "One step size for a whole array: the products are summed first.",
          "Sum the products over the array.", _shared),
        a("products under 1e-13 are zero", "agreement", "A product below 1e-13 in absolute value counts as zero.",
          "Take products below 1e-13 for zero.", _small_product_is_zero(1e-13), ("Encog",)),
        a("products under 1e-27 are zero", "agreement", "A product below 1e-27 in absolute value counts as zero.",
          "Take products below 1e-27 for zero.", _small_product_is_zero(1e-27), ("Neuroph",)),
        a("flips to positive are missed", "agreement", "A change of sign from minus to plus is not seen.",
          "Ignore changes of sign from minus to plus.", _rising_flip_unseen),
        a("negative agreement is missed", "agreement", "Two negative gradients in a row do not let the step grow.",
          "Ignore agreement of negative gradients.", _falling_agreement_unseen),
        # --- factor
        a("zero and NaN are neutral", "factor",
          "The step size changes only where the product is positive or negative.",
          "Grow if the product is > 0, shrink if it is < 0, and otherwise leave the step size alone.", _factor),
        a("a zero product grows", "factor", "A zero product counts as agreement, also at the first step.",
          "Grow where the product is >= 0.", _zero_grows),
        a("a zero product grows, but not at first", "factor",
          "A zero product counts as agreement, except at the first step.",
          "Grow where the product is >= 0, but not at the first step.", _zero_grows_later),
        a("a zero product shrinks", "factor", "A zero product lets the step shrink, also at the first step.",
          "Shrink where the product is <= 0.", _zero_shrinks),
        a("a NaN product shrinks", "factor",
          "What is neither > 0 nor == 0 shrinks: NaN, and an infinite first gradient.",
          "Shrink where the product is neither > 0 nor == 0.", _nan_shrinks, ("optax",)),
        a("a NaN product grows", "factor",
          "What is neither < 0 nor == 0 grows: NaN, and an infinite first gradient.",
          "Grow where the product is neither < 0 nor == 0.", _nan_grows),
        a("steps never grow", "factor", "Agreement does not let the step grow.",
          "Leave the step size alone where the product is > 0.", _only_shrinks),
        a("an eta- of 0 counts as 1", "mend", "A factor that has rounded to 0 is taken for 1, as torch does.",
          "Use 1 instead of a factor that has rounded to 0.", _mended, ("torch",)),
        a("an eta- of 0 counts", "mend", "An eta- that rounds to 0 makes the step 0; torch then uses 1.",
          "Use a factor that has rounded to 0.", _not_mended),
        a("a NaN product makes the step the smallest", "mend",
          "The factor is a sum over three masks, none of which holds for NaN, so that it is 0.",
          "Let the factor be 0 where the product is NaN.", _nan_to_zero),
        a("flip found by the factor", "flip",
          "A flip is where the factor equals eta-; if eta- rounds to 1, everywhere.",
          "Take for a flip where the factor equals eta-.", _flip_by_factor, ("torch", "TorchSharp", "MindSpore")),
        a("flip found by the sign", "flip", "A flip is where the product is negative.",
          "Take for a flip where the product is < 0.", _flip_by_sign),
        a("a zero product is a flip", "flip", "A zero product is treated as a flip, also at the first step.",
          "Take for a flip where the product is <= 0.", _flip_or_zero),
        # --- clamp
        a("step size kept", "base", "The step size is what the last step left; lr is read once.",
          "Keep the step size from step to step, save it, and read lr only at the start.", _size),
        a("step size lost on resume", "base", "The step size is not part of what is saved.",
          "Leave the step size out of the saved state.", _size_not_saved),
        a("lr re-read", "base", "Setting lr during a run sets all step sizes to it.",
          "Set the step sizes to lr whenever lr is set.", _size_from_edited_lr),
        a("step size never kept", "base", "Every step starts from lr again.",
          "Start from lr at every step.", _size_never_kept),
        a("factor rounded", "scale", "The step size is multiplied by an eta that has been rounded to its dtype.",
          "Round the etas to the parameter's dtype before multiplying.", _scale),
        a("etas in double", "scale", "The step size is multiplied in double precision, and rounded afterwards.",
          "Multiply in double precision by unrounded etas, and round the result.", _scale_by_unrounded),
        a("bfloat16 etas not rounded", "scale", "bfloat16 step sizes are multiplied by an eta of more precision.",
          "Multiply bfloat16 step sizes by unrounded etas.", _scale_by_unrounded_bfloat16,
          ("NumPy with ml_dtypes",)),
        a("clamped always", "clamp", "Both limits act on every step, also the first and neutral ones.",
          "Clamp at both ends on every step; the upper limit wins.", _clamp, ("torch",)),
        a("lower limit wins", "clamp", "Where the limits cross, the step size is the lower one.",
          "Apply the lower limit after the upper.", _clamp_low_last),
        a("not clamped when neutral", "clamp", "The limits act only where the step size grows or shrinks.",
          "Clamp only in the branches that change the step size.", _clamp_in_branch, ("optax",)),
        a("one limit per branch", "clamp", "Growth is limited from above only, shrinking from below only.",
          "Use min(., largest) in the growing branch and max(., smallest) in the shrinking one, nothing else.",
          _clamp_one_side_in_branch, ("the papers", "OpenCV", "Shark")),
        a("first step not clamped", "clamp", "The limits act from the second step on.",
          "Do not clamp at the first step.", _clamp_not_first),
        a("clamped before scaling", "clamp", "The limits act on the old step size, before eta+ or eta-.",
          "Clamp the old step size, then multiply.", _clamp_first),
        a("only the move is clamped", "clamp",
          "The stored step size runs past the limits; only the move obeys them.",
          "Clamp the move and not the stored step size.", _clamp_move_only),
        a("no lower limit", "clamp", "Steps may become as small as they like.",
          "Drop the lower limit.", _no_low, ("trainrp",)),
        a("no upper limit", "clamp", "Steps may become as large as they like.",
          "Drop the upper limit.", _no_high),
        a("no limits", "clamp", "The step size limits have no effect.", "Drop both limits.", _no_limits),
        # --- move
        a("error test: rose", "worse", "The loss counts as worse if it is greater than the last one.",
          "Compare E(t) > E(t-1); E(t) < E(t-1) when maximizing.", _rose),
        a("error test: rose or equal", "worse", "A loss equal to the last one counts as worse.",
          "Compare E(t) >= E(t-1).", _rose_or_equal),
        a("error test: one step late", "worse", "Compares the two losses before: E(t-1) > E(t-2).",
          "Compare the losses of one step earlier.", _rose_before),
        a("error test: best so far", "worse", "Compares with the best loss so far, not with the last.",
          "Compare with the lowest loss so far.", _rose_over_best),
        a("error test: reversed", "worse", "Takes moves back where the loss fell.",
          "Compare E(t) < E(t-1).", _fell),
        a("error test: NaN is worse", "worse", "A loss that is NaN counts as worse.",
          "Let a NaN loss count as worse.", _rose_or_nan),
        a("error test: maximize ignored", "worse", "The comparison of losses is not reversed when maximizing.",
          "Do not reverse the comparison when maximizing.", _rose_not_turned),
        a("NaN has no sign", "sign", "The sign of NaN is 0: such a coordinate does not move.",
          "Let the sign of a NaN gradient be 0.", _sign_of_gradient, ("torch",)),
        a("NaN poisons", "sign", "A NaN gradient makes the parameter NaN for ever.",
          "Let the sign of a NaN gradient be NaN.", _sign_keeps_nan, ("optax", "PINTS", "neurolab")),
        a("zero is positive", "sign", "A zero gradient moves the coordinate as a positive one does.",
          "Let the sign of 0 be 1.", _zero_is_positive),
        a("zero is negative", "sign", "A zero gradient moves the coordinate as a negative one does.",
          "Let the sign of 0 be -1.", _zero_is_negative),
        a("rests at a flip", "action", "Makes no move at a change of sign (adds 0 times the step).",
          "Set the gradient to zero at a change of sign, then move as always.", _rest,
          ("torch", "torch7", "Paddle", "MindSpore", "SNNS", "Optimisers.jl", "PINTS", "libgp", "limbo",
          "Korali")),
        a("stays at a flip", "action",
          "Makes no move at a change of sign; differs from resting only if a step is infinite.",
          "Leave the coordinate alone at a change of sign.", _stay),
        a("moves on at a flip", "action", "Moves by the step that has just shrunk at a change of sign.",
          "Move at a change of sign, too.", _go, ("Shark", "OpenCV", "darch", "treeano", "neurolab", "trainrp")),
        a("takes the move back at a flip", "action", "Undoes the last move at every change of sign.",
          "Undo the last move at every change of sign.", _take_back, ("R neuralnet", "torchzero")),
        a("takes the move back if the loss rose", "action",
          "Undoes the last move at a change of sign if the loss rose, and otherwise stays.",
          "Undo the last move at a change of sign only if the loss rose.", _take_back_if_worse, ("R CaDENCE",)),
        a("last move computed again", "undo",
          "The move taken back is the stored sign times the old step size; within bounds, the one that was made.",
          "Add sign(stored gradient) times the old step size; with bounds, restore the last point.", _as_made),
        a("takes back the unclipped move", "undo",
          "Takes back the stored sign times the old step size, also where a wall had stopped the move.",
          "Add sign(stored gradient) times the old step size, also with bounds.", _recomputed),
        a("last point restored", "undo", "The move is taken back by restoring the saved point, without rounding.",
          "Restore the point of before the last move.", _saved_point),
        a("takes back the shrunk step", "undo", "Takes back the step size after it has shrunk.",
          "Take back the new step size instead of the old.", _shrunk_step),
        a("takes back the wrong way", "undo", "Repeats the last move instead of taking it back.",
          "Subtract where the last move should be added back.", _wrong_way),
        a("goes back and forth again", "undo",
          "Takes a step back by the old step size, then one forth by the new one.",
          "Step along the new gradient by the old step size, then against it by the new one.", _back_and_forth,
          ("neurolab's TrainRpropM",)),
        a("last move lost on resume", "undo",
          "The last move is not part of what is saved, so it cannot be taken back.",
          "Leave the last move out of the saved state.", _move_not_saved),
        a("moves by the new step size", "length", "The step size is adapted first, and then used.",
          "Adapt the step size before the move.", _new_size),
        a("adapts after the move", "length", "Moves by the step size of before the adaptation.",
          "Move first, then adapt the step size.", _old_size),
        a("moves by sign times step", "displace", "Moves by the sign of the gradient times the step size.",
          "Move by sign times step size.", _sign_times_size),
        a("no move at zero", "displace",
          "Where the sign is 0 there is no move, even if the step is infinite (0 * inf).",
          "Choose the move by cases instead of multiplying by the sign.", _nonzero_sign_times_size),
        a("moves by gradient times step", "displace", "The magnitude of the gradient leaks into the move.",
          "Multiply the step size by the gradient instead of its sign.", _gradient_times_size),
        a("moves at once", "arrive", "The move of a step is made in this step.",
          "Apply the move in the step that has computed it.", _arrive),
        a("one step late", "arrive", "Applies the move that the step before has computed; the first move is zero.",
          "Apply the move of the previous step.", _arrive_late, ("optax",)),
        a("first call only stores", "arrive", "The first step only stores the gradient.",
          "Make no move at the first step.", _first_call_rests),
        a("walls stop x only", "wall", "Bounds stop x, and leave the step size alone.",
          "Clip x to its bounds, and not the step size.", _kept_within),
        a("bounds have no effect", "wall", "Walks through its bounds.", "Ignore the bounds.", _not_kept_within),
        a("step size cut at a wall", "wall",
          "Where a bound stops x, the step size becomes the move that was made: at the wall, 0.",
          "Set the step size to the length of the clipped move.", _size_cut_at_the_wall),
        # --- remember
        a("stores the gradient", "stored", "The memory is the gradient.", "Store the gradient.", _gradient),
        a("stores the sign", "stored", "The memory is the sign of the gradient, so products underflow less.",
          "Store the sign of the gradient.", _sign_only),
        a("stores the move", "stored", "The memory is the last move, sign times step size.",
          "Store the move instead of the gradient.", _last_move, ("optax",)),
        a("memory cleared at a flip", "at_flip", "A flip clears the memory, so that the next step is neutral.",
          "Store zero at a change of sign.", _clear),
        a("memory kept at a flip", "at_flip", "The new gradient is stored at a flip as always.",
          "Store the gradient at a change of sign, too.", _keep, ("neurolab", "trainrp")),
        a("memory negated at a flip", "at_flip", "At a flip the negative of the gradient is stored.",
          "Store the negative of the gradient at a change of sign.", _negated, ("neurolab's TrainRpropM",)),
        a("memory not updated at a flip", "at_flip", "At a flip the memory keeps the gradient of before.",
          "Leave the memory alone at a change of sign.", _older),
        a("zero is remembered", "memory", "A zero gradient is stored, so that the next step is neutral.",
          "Store every gradient, zeros and NaN included.", _remember),
        a("zero leaves the memory", "memory",
          "A zero gradient leaves the memory alone, so that steps grow over it.",
          "Do not store gradients of zero.", _remember_unless_zero),
        a("NaN leaves the memory", "memory", "A NaN gradient leaves the memory alone, so that steps grow over it.",
          "Do not store gradients that are NaN.", _remember_unless_nan),
        a("gradient left alone", "touch", "The caller's gradient array is only read.",
          "Work on a copy of the gradient.", _untouched),
        a("writes zeros into the gradient", "touch", "Zeroes the caller's own gradient array at a flip.",
          "Set the caller's gradient to zero at a flip, in place.", _zero_written, ("PINTS",)),
        a("negates the gradient in place", "touch", "Negates the caller's own gradient array under maximize.",
          "Negate the caller's gradient in place.", _turned_in_place),
        a("negates and zeroes the gradient in place", "touch",
          "Negates the caller's own gradient array under maximize, and zeroes it at a flip.",
          "Change the caller's gradient in place.", _turned_and_zeroed),
        a("goes on", "halt", "Never stops by itself.", "Do not stop.", _go_on),
        a("stops when the memory is zero", "halt",
          "Takes a memory of zeros for convergence: in one dimension, the first flip.",
          "Stop when every stored gradient is zero.", _halt_at_zero),
        # --- arithmetic
        a("computed in the dtype", ARITHMETIC, "Every operation is rounded to the parameter's dtype.",
          "Compute every operation in the parameter's dtype.", Arithmetic(_same, _same)),
        a("computed in float32", ARITHMETIC, "float64 parameters are stepped in float32.",
          "Convert float64 to float32.", Arithmetic(_narrowed, _narrowed), ("MindSpore",)),
        a("computed in double", ARITHMETIC,
          "A step is computed in double precision with constants that are not rounded, and its results are "
          "rounded.",
          "Compute each step in double precision, and round its results.",
          Arithmetic(_to_double, _same, exact_constants=True)),
        a("computed in double, constants rounded", ARITHMETIC,
          "A step is computed in double precision, with constants rounded to the parameter's dtype.",
          "Round the constants, compute each step in double precision, and round its results.",
          Arithmetic(_to_double, _same)),
        a("state in double", ARITHMETIC, "Parameters and state are kept in double precision.",
          "Keep parameters and state in double precision.",
          Arithmetic(_to_double, _to_double, exact_constants=True)),
        a("16 bits computed in float32", ARITHMETIC,
          "A step of 16-bit parameters is computed in float32, with constants in float32, and its results are "
          "rounded.",
          "Compute each step of 16-bit parameters in float32, and round its results.",
          Arithmetic(_half_to_single, _same, exact_constants=True)),
        a("16 bits computed in float32, constants rounded", ARITHMETIC,
          "A step of 16-bit parameters is computed in float32 with rounded constants, and its results are "
          "rounded.",
          "Round the constants to 16 bits, compute each step in float32, and round its results.",
          Arithmetic(_half_to_single, _same)),
        a("16 bits kept in float32", ARITHMETIC, "16-bit parameters and their state are kept in float32.",
          "Keep 16-bit parameters and state in float32.",
          Arithmetic(_half_to_single, _half_to_single, exact_constants=True)),
        a("subnormals flushed", ARITHMETIC, "Subnormal numbers count as zero.",
          "Flush subnormals to zero.", Arithmetic(_same, _same, flush=True), ("XLA on the CPU",)),
    )  # fmt: skip


#: Every alternative of every slot, by name.
CATALOGUE: dict[str, Alternative] = {a.name: a for a in _catalogue()}


def _first_of_each() -> Rule:
    first: Rule = {}
    for alternative in CATALOGUE.values():
        first.setdefault(alternative.slot, alternative)
    return first


def _rules() -> dict[str, Rule]:
    base = _first_of_each()
    assert set(base) == {slot.name for slot in SLOTS} | {ARITHMETIC}

    def rule(*names: str) -> Rule:
        return changed(base, tuple(CATALOGUE[name] for name in names))

    sign, back = "flip found by the sign", "takes the move back at a flip"
    return {
        "irprop-": base,
        "rprop+": rule(sign, back),
        "rprop-": rule(sign, "moves on at a flip", "memory kept at a flip"),
        "irprop+": rule(sign, "takes the move back if the loss rose"),
        "irprop-go": rule(sign, "moves on at a flip"),
        # The algorithm box of torch's page, in exact arithmetic as far as a computer can have it.
        "paper": rule(sign, "signs compared", "one limit per branch", "NaN poisons"),
    }


#: The claims `check` accepts: the five rules of `rprop_ref.rules`, and "paper".
RULES: dict[str, Rule] = {}
RULES.update(_rules())


def rule_named(claim: str) -> Rule:
    """The rule of this name."""
    if not isinstance(claim, str) or claim not in RULES:
        raise ValueError(f"unknown claim {claim!r}; choose from {', '.join(RULES)}")
    return RULES[claim]


def alternatives(rule: Rule) -> list[Alternative]:
    """The single deviations from a rule: every other alternative of every slot."""
    return [a for a in CATALOGUE.values() if a != rule[a.slot]]


def differences(rule: Rule, other: Rule) -> tuple[Alternative, ...]:
    """What `other` has in the slots where the two differ."""
    return tuple(other[slot] for slot in rule if other[slot] != rule[slot])


def remedy(rule: Rule, change: Alternative) -> Any:
    """What to change to get from `change` back to the rule."""
    return rule[change.slot].fix
