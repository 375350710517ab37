"""The functions of all alternatives, in the order of the slots they fill (`stages.SLOTS`).

Each function gets `s`, the values computed so far in a step, and returns the outputs of its slot. Arrays have the
shape (rules, coordinates) or broadcast to it. Every operation is rounded by itself in the dtype at hand, so an
alternative reproduces an implementation to the bit. What each alternative means is said in `deviations`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._core.dtypes import is_half

# --- factor and clamp: the constants --------------------------------------------------------------------------


def etas_as_given(s):
    return s.etas_given


def etas_swapped(s):
    return s.etas_given[1], s.etas_given[0]


def etas_read_once(s):
    return s.etas_first


def etas_hard_coded(s):
    return np.full_like(s.etas_given[0], 0.5), np.full_like(s.etas_given[1], 1.2)


def limits_as_given(s):
    return s.limits_given


def limits_swapped(s):
    return s.limits_given[1], s.limits_given[0]


def limits_read_once(s):
    return s.limits_first


def limits_hard_coded(s):
    return np.full_like(s.limits_given[0], 1e-6), np.full_like(s.limits_given[1], 50.0)


def constants_through_float32(s):
    if is_half(s.dtype):
        return tuple(a.astype(np.float32).astype(s.dtype) for a in _raw_constants(s))
    return tuple(a.astype(s.dtype) for a in _raw_constants(s))


def constants_rounded_once(s):
    return tuple(_rounded_once(a, s.dtype) for a in _raw_constants(s))


def float16_lr_rounded_once(s):
    *others, lr = constants_through_float32(s)
    return *others, s.lr.astype(s.dtype) if s.dtype == np.float16 else lr


def float16_constants_rounded_once(s):
    return tuple(
        (a.astype(np.float32) if s.dtype.name == "bfloat16" else a).astype(s.dtype) for a in _raw_constants(s)
    )


def _raw_constants(s):
    return s.raw_minus, s.raw_plus, s.raw_low, s.raw_high, s.lr


def _rounded_once(a, dtype):
    """Round float64 to `dtype` once. ml_dtypes rounds twice, through float32, which is corrected here."""
    if dtype.name != "bfloat16":
        return a.astype(dtype)
    single = a.astype(np.float32)
    # A float32 half way between two bfloat16 hides on which side of it `a` was: step to the float32 on that side.
    half_way = (single.view(np.uint32) & 0xFFFF) == 0x8000
    towards = np.nextafter(single, np.where(a > single, np.inf, -np.inf).astype(np.float32))
    return np.where(half_way & (a != single), towards, single).astype(dtype)


# --- sense ----------------------------------------------------------------------------------------------------


def skip_missing(s):
    return s.none


def skip_nothing(s):
    return np.zeros_like(s.none)


def skip_nan(s):
    return s.none | np.isnan(s.given)


def descend(s):
    return np.where(s.maximize, -s.given, s.given)


def mirror(s):
    return np.where(s.maximize, s.given, -s.given)


def ignore_maximize(s):
    return s.given


def every_gradient(s):
    return s.oriented


def nan_becomes_zero(s):
    return np.where(np.isnan(s.oriented), s.zero, s.oriented)


def small_gradients_are_zero(threshold: float) -> Any:
    def small(s):
        return np.where(np.abs(s.oriented).astype(np.float64) < threshold, s.zero, s.oriented)

    return small


def memory_is_a_copy(s):
    return s.memory


def memory_starts_at_zero(s):
    return s.recalled


def memory_starts_as_first_gradient(s):
    return np.where(s.first_step, s.g, s.recalled)


def memory_is_the_callers_array(s):
    return np.where(s.reused & ~s.first_step & ~s.resumed, s.g, s.memory)


def memory_lost_on_resume(s):
    return np.where(s.resumed, s.zero, s.memory)


def memory_before_maximize(s):
    return np.where(s.maximize, -s.memory, s.memory)


def product_of_gradients(s):
    return s.g * s.prev


def product_of_signs(s):
    return np.sign(s.g) * np.sign(s.prev)


def product_of_each_coordinate(s):
    return s.own_product


def product_summed_over_the_array(s):
    total = np.add.reduceat(s.own_product, s.starts, axis=1)
    return total[:, s.case]


def small_products_are_zero(threshold: float) -> Any:
    def small(s):
        return np.where(np.abs(s.own_product).astype(np.float64) < threshold, s.zero, s.own_product)

    return small


def flips_to_positive_missed(s):
    return np.where((s.own_product < s.zero) & (s.g > s.zero), s.zero, s.own_product)


def negative_agreement_missed(s):
    return np.where((s.own_product > s.zero) & (s.g < s.zero), s.zero, s.own_product)


# --- factor ---------------------------------------------------------------------------------------------------


def zero_and_nan_neutral(s):
    return np.where(s.product > s.zero, s.plus, np.where(s.product < s.zero, s.minus, s.one))


def zero_product_grows(s):
    return np.where(s.product >= s.zero, s.plus, np.where(s.product < s.zero, s.minus, s.one))


def zero_product_grows_but_not_at_first(s):
    return np.where(s.first_step, s.one, zero_product_grows(s))


def zero_product_shrinks(s):
    return np.where(s.product > s.zero, s.plus, np.where(s.product <= s.zero, s.minus, s.one))


def nan_product_shrinks(s):
    return np.where(s.product > s.zero, s.plus, np.where(s.product == s.zero, s.one, s.minus))


def nan_product_grows(s):
    return np.where(s.product < s.zero, s.minus, np.where(s.product == s.zero, s.one, s.plus))


def steps_never_grow(s):
    return np.where(s.product < s.zero, s.minus, s.one)


def factor_of_zero_counts_as_one(s):
    return np.where(s.raw_factor == s.zero, s.one, s.raw_factor)


def factor_of_zero_counts(s):
    return s.raw_factor


def nan_product_gives_factor_zero(s):
    return np.where(np.isnan(s.product), s.zero, factor_of_zero_counts_as_one(s))


def flip_by_factor(s):
    return s.factor == s.minus


def flip_by_sign(s):
    return s.product < s.zero


def zero_product_is_a_flip(s):
    return s.product <= s.zero


# --- clamp ----------------------------------------------------------------------------------------------------


def size_kept(s):
    return s.size


def size_lost_on_resume(s):
    return np.where(s.resumed, s.first_size, s.size)


def size_set_with_lr(s):
    return np.where(s.lr_edited, s.first_size, s.size)


def size_never_kept(s):
    return np.broadcast_to(s.first_size, s.size.shape)


def scale_by_rounded_factor(s):
    return s.base * s.factor


def scale_in_double(s):
    factor = np.where(s.factor == s.plus, s.raw_plus, np.where(s.factor == s.minus, s.raw_minus, 1.0))
    exact = (s.base.astype(np.float64) * factor).astype(s.work_dtype)
    return np.where(s.factor == s.one, s.base, exact)


def scale_bfloat16_in_double(s):
    return scale_in_double(s) if s.work_dtype.name == "bfloat16" else scale_by_rounded_factor(s)


def _clamped(size, s):
    return _at_most(_at_least(size, s), s)


def _at_least(size, s):
    return np.where((size >= s.low) | (size != size), size, s.low)


def _at_most(size, s):
    return np.where((size <= s.high) | (size != size), size, s.high)


def _both(size):
    """The step size that is stored, and the one that x moves by."""
    return size, size


def clamp_always(s):
    return _both(_clamped(s.scaled, s))


def lower_limit_wins(s):
    return _both(_at_least(_at_most(s.scaled, s), s))


def not_clamped_when_neutral(s):
    return _both(np.where(_neutral(s), s.scaled, _clamped(s.scaled, s)))


def one_limit_per_branch(s):
    grown, shrunk = _at_most(s.scaled, s), _at_least(s.scaled, s)
    return _both(np.where(s.product > s.zero, grown, np.where(s.product < s.zero, shrunk, s.scaled)))


def first_step_not_clamped(s):
    return _both(np.where(s.first_step, s.scaled, _clamped(s.scaled, s)))


def clamp_before_scaling(s):
    return _both(_clamped(s.base, s) * s.factor)


def clamp_the_move_only(s):
    return s.scaled, _clamped(s.scaled, s)


def no_lower_limit(s):
    return _both(_at_most(s.scaled, s))


def no_upper_limit(s):
    return _both(_at_least(s.scaled, s))


def no_limits(s):
    return _both(s.scaled)


def _neutral(s):
    return s.product == s.zero


# --- move -----------------------------------------------------------------------------------------------------


def loss_rose(s):
    return _is_worse(s.loss, s.last_loss, s)


def loss_rose_or_equal(s):
    return loss_rose(s) | (s.loss == s.last_loss)


def loss_rose_one_step_earlier(s):
    return np.where(s.maximize, False, s.was_worse)


def loss_above_best(s):
    return s.loss > s.best_loss


def loss_fell(s):
    return _is_worse(s.last_loss, s.loss, s)


def loss_rose_or_nan(s):
    return loss_rose(s) | np.isnan(s.loss)


def loss_rose_ignoring_maximize(s):
    return s.loss > s.last_loss


def _is_worse(a, b, s):
    return np.where(s.maximize, a < b, a > b)


def _sign(g, s):
    return np.where(g > s.zero, s.one, np.where(g < s.zero, -s.one, s.zero))


def nan_has_no_sign(s):
    return _sign(s.g, s)


def nan_sign_is_nan(s):
    return np.sign(s.g)


def zero_is_positive(s):
    return np.where(s.g >= s.zero, s.one, np.where(s.g < s.zero, -s.one, s.zero))


def zero_is_negative(s):
    return np.where(s.g > s.zero, s.one, np.where(s.g <= s.zero, -s.one, s.zero))


def rest_at_a_flip(s):
    return np.where(s.flip, s.zero, s.sign), np.False_, np.False_


def stay_at_a_flip(s):
    return s.sign, np.False_, s.flip


def move_on_at_a_flip(s):
    return s.sign, np.False_, np.False_


def take_back_at_a_flip(s):
    return s.sign, s.flip, np.False_


def take_back_if_worse(s):
    return s.sign, s.flip & s.worse, s.flip & ~s.worse


def take_back_unclipped(s):
    return s.x + _sign(s.memory, s) * s.base


def take_back_as_made(s):
    # A move that a bound has stopped cannot be computed again, so the point before it is restored.
    undone = take_back_unclipped(s)
    return np.where(s.bounded, s.saved_x, undone) if s.bounded.any() else undone


def restore_last_point(s):
    return s.saved_x


def take_back_shrunk_step(s):
    return s.x + _sign(s.memory, s) * s.new_size


def take_back_wrong_way(s):
    return s.x - _sign(s.memory, s) * s.base


def back_and_forth(s):
    return (s.x - s.sign * s.base) + s.sign * s.new_size


def last_move_lost_on_resume(s):
    return np.where(s.resumed, s.x, take_back_as_made(s))


def move_by_new_size(s):
    return s.move_size


def move_by_old_size(s):
    return s.base


def sign_times_size(s):
    return s.move_sign * s.length


def no_move_at_zero(s):
    return np.where(s.move_sign == s.zero, s.zero, s.move_sign * s.length)


def gradient_times_size(s):
    return np.where(s.move_sign == s.zero, s.move_sign, s.g) * s.length


def move_at_once(s):
    return np.where(s.take_back, s.undone, np.where(s.stay, s.x, s.x - s.move))


def move_one_step_late(s):
    return np.where(s.flip, np.where(s.take_back, s.undone, s.x), s.x - s.last_move)


def first_call_only_stores(s):
    return np.where(s.first_step, s.x, move_at_once(s))


def bounds_stop_x(s):
    if not s.bounded.any():
        return s.arrived, s.new_size
    x = np.where(s.arrived < s.lower, s.lower, s.arrived)
    return np.where(x > s.upper, s.upper, x), s.new_size


def bounds_ignored(s):
    return s.arrived, s.new_size


def size_cut_at_a_bound(s):
    x, size = bounds_stop_x(s)
    return x, np.where(x == s.arrived, size, np.abs(x - s.x))


# --- remember -------------------------------------------------------------------------------------------------


def store_gradient(s):
    return s.g


def store_sign(s):
    return np.sign(s.g)


def store_move(s):
    return s.sign * s.length


def clear_at_a_flip(s):
    return np.broadcast_to(s.zero, s.g.shape)


def keep_at_a_flip(s):
    return s.stored


def negate_at_a_flip(s):
    return -s.stored


def keep_older_at_a_flip(s):
    return s.memory


def remember_every_gradient(s):
    return np.where(s.flip, s.at_flip, s.stored)


def remember_unless_zero(s):
    return np.where(s.g == s.zero, s.memory, remember_every_gradient(s))


def remember_unless_nan(s):
    return np.where(np.isnan(s.g), s.memory, remember_every_gradient(s))


def gradient_only_read(s):
    return s.raw


def zero_written_at_a_flip(s):
    return np.where(s.flip, s.raw.dtype.type(0), s.raw)


def negated_in_place(s):
    return np.where(s.maximize, -s.raw, s.raw)


def negated_and_zeroed_in_place(s):
    return np.where(s.flip, s.raw.dtype.type(0), negated_in_place(s))


def never_stop(s):
    return np.False_


def stop_when_memory_is_zero(s):
    kept = np.where(s.skipped, s.memory, s.new_prev)
    resting = np.logical_and.reduceat(kept == s.zero, s.starts, axis=1)
    return resting[:, s.case]


# --- arithmetic -----------------------------------------------------------------------------------------------

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def same_dtype(dtype):
    return dtype


def double_to_single(dtype):
    return _SINGLE if dtype == _DOUBLE else dtype


def to_double(dtype):
    return _DOUBLE


def half_to_single(dtype):
    return _SINGLE if is_half(dtype) else dtype
