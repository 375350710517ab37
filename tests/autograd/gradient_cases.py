"""Calls of every primitive and composite, for the tests of gradients.

A case is the primitive or composite, a title, a function that calls it, and the arrays to call that with. The values
keep away from kinks and poles, so that finite differences are accurate.
"""

from __future__ import annotations

import operator

import numpy as np
import scipy_cases
from domains import cplx, inside, positive, real, spd

from rprop_ref.autograd import (
    _factorizations,
    _linalg,
    _padding,
    _reductions,
    _shapes,
    _signals,
    _statistics,
    _ufuncs,
)
from rprop_ref.autograd._elementwise import _clip, _nan_to_num, _where

#: For each function of one argument: its domain, and whether it takes complex numbers.
UNARY = {
    **dict.fromkeys(
        [
            np.negative,
            np.positive,
            np.conjugate,
            np.square,
            np.exp,
            np.exp2,
            np.expm1,
            np.sin,
            np.cos,
            np.tan,
            np.sinh,
        ]
        + [np.cosh, np.tanh, np.arctan, np.arcsinh, np.absolute, np.sign, np.real, np.imag, np.angle, np.copy],
        (real, True),
    ),
    **dict.fromkeys([np.sqrt, np.reciprocal, np.log, np.log2, np.log10, np.log1p], (positive, True)),
    **dict.fromkeys([np.arcsin, np.arccos, np.arctanh], (inside, True)),
    np.arccosh: (lambda *s: real(*s, low=1.2, high=3.0), True),
    **dict.fromkeys(
        [np.fabs, np.deg2rad, np.radians, np.rad2deg, np.degrees, np.nan_to_num, np.sinc], (real, False)
    ),
    **dict.fromkeys([np.floor, np.ceil, np.trunc, np.rint, np.round, np.around, np.fix], (real, False)),
    np.cbrt: (positive, False),
}
BINARY = {
    **dict.fromkeys([np.add, np.subtract, np.multiply], (real, real, True)),
    np.divide: (real, positive, True),
    **dict.fromkeys([np.power, np.float_power], (positive, real, True)),
    **dict.fromkeys(
        [np.maximum, np.minimum, np.fmax, np.fmin, np.arctan2, np.hypot, np.logaddexp, np.logaddexp2]
        + [np.copysign, np.heaviside],
        (real, real, False),
    ),
    **dict.fromkeys([np.remainder, np.fmod, np.floor_divide], (real, lambda *s: real(*s, low=5, high=6), False)),
}


def elementwise_cases():
    for fun, (domain, takes_complex) in UNARY.items():
        yield fun, "3x2", fun, [domain(3, 2)]
        yield fun, "0d", fun, [domain()]
        if takes_complex:
            yield fun, "complex", fun, [domain(2, 2) + 0.4j * domain(2, 2)]
    for fun, (first, second, takes_complex) in BINARY.items():
        yield fun, "same shape", fun, [first(3, 2), second(3, 2)]
        yield fun, "rows", fun, [first(3, 2), second(2)]
        yield fun, "outer", fun, [first(3, 1), second(2)]
        yield fun, "0d", fun, [first(), second(2)]
        constant = first(2)
        yield fun, "constant on the left", lambda y, fun=fun, x=constant: fun(x, y), [second(3, 2)]
        if takes_complex:
            c, d = first(3) + 0.3j * first(3), second(2, 3) - 0.2j * second(2, 3)
            yield fun, "complex", fun, [c, d]
            yield fun, "real and complex", fun, [first(3), d]
            yield fun, "complex and real", fun, [c, second(3)]
    for n in (0, 1, 2, 3, -1, 0.5, 2.5):
        yield operator.pow, f"**{n}", lambda x, n=n: x**n, [positive(3)]
    yield operator.pow, "**array", lambda x, y: x**y, [positive(3), real(2, 3)]
    yield operator.pow, "number**", lambda y: 2.0**y, [real(3)]
    yield np.ldexp, "integers", lambda x: np.ldexp(x, np.array([1, -2, 0])), [real(3)]
    yield _where, "arrays", lambda x, y: np.where(np.array([True, False, True]), x, y), [real(2, 3), real(3)]
    yield np.where, "condition", lambda x: np.where(x > 0, x**2, 0.5 * x), [real(5)]
    yield np.where, "complex", lambda x, y: np.where(np.array([True, False, True]), x, y), [cplx(3), real(3)]
    yield np.clip, "numbers", lambda x: np.clip(x, -1, 1), [real(6)]
    yield np.clip, "one side", lambda x: np.clip(x, None, 0.5), [real(6)]
    yield np.clip, "keywords", lambda x: np.clip(x, a_min=-0.5, a_max=0.5), [real(6)]
    yield np.clip, "method", lambda x: x.clip(-0.5), [real(6)]
    yield _clip, "arrays", np.clip, [real(6), real(6) / 8 - 1, real(6) / 8 + 1]
    for name, call in (("angle", lambda x: np.angle(x, True)), ("copy", lambda x: np.copy(x, "C"))):
        yield getattr(np, name), "positional", call, [cplx(3)]
    yield _nan_to_num, "keywords", lambda x: np.nan_to_num(np.where(x > 0, x, np.nan), nan=1.0), [real(4)]
    yield np.divmod, "two", lambda x, y: list(np.divmod(x, y)), [real(3), real(3, low=5, high=6)]
    yield np.modf, "both", lambda x: list(np.modf(x)), [real(4)]
    yield np.select, "two", lambda x: np.select([x > 1, x > 0], [x**2, x**3], 2.0), [real(6)]
    for tol in (100, 1e-3):
        yield np.real_if_close, f"real {tol}", lambda x, tol=tol: np.real_if_close(x + 0j, tol), [real(3)]
    yield np.real_if_close, "complex", np.real_if_close, [cplx(3)]
    yield np.i0, "real", np.i0, [real(3)]
    yield np.frexp, "mantissa", lambda x: np.frexp(x)[0], [real(4)]
    yield np.add, "dtype", lambda x: np.add(x, 1, dtype=complex), [real(3)]
    for ufunc in (np.subtract, np.hypot, np.logaddexp, np.multiply, np.maximum):
        for method in (ufunc.reduce, ufunc.accumulate):
            yield ufunc, method.__name__, lambda x, method=method: method(x, axis=1), [positive(2, 3)]
        yield ufunc, "reduceat", lambda x, f=ufunc.reduceat: f(x, [0, 2, 1], axis=-1), [positive(2, 3)]
        yield ufunc, "outer", ufunc.outer, [positive(2), positive(2, 1)]
    yield np.hypot, "reduce one", lambda x: np.hypot.reduce(x, axis=1), [-positive(2, 1)]
    yield np.hypot, "reduceat one", lambda x: np.hypot.reduceat(x, [0, 1]), [-positive(2)]
    yield np.hypot, "reduce all", lambda x: np.hypot.reduce(x, axis=None, keepdims=True), [positive(2, 3)]
    yield np.logaddexp, "reduce two", lambda x: np.logaddexp.reduce(x, axis=(0, 2)), [positive(2, 2, 2)]
    yield np.divide, "where", _divided, [real(4), real(4)]
    for ufunc, row in ((np.add, _ufuncs._add_at), (np.subtract, _ufuncs._subtract_at)):
        yield row, "at", lambda x, v, at=ufunc.at: _changed(at, x, [0, 2, 0], v), [real(3), real(3)]
        yield (
            row,
            "at, rows",
            lambda x, v, at=ufunc.at: _changed(at, x, (slice(2), [0, 0]), v),
            [real(2, 3), real(2)],
        )
    for name, write in WRITERS.items():
        yield _shapes.setitem, name, lambda x, v, write=write: _changed(write, x, v), [real(3, 3), real(2)]


def _divided(x, y):
    return np.divide(x, y, out=np.zeros_like(x), where=np.array([True, False, True, True]))


def _changed(write, x, *args):
    """The square of an array that a function has written to."""
    changed = x * 1
    write(changed, *args)
    return changed * changed


WRITERS = {
    "copyto": lambda x, v: np.copyto(x[:, :2], v, where=[[True], [False], [True]]),
    "put": lambda x, v: np.put(x, [0, 5, 1], v),
    "place": lambda x, v: np.place(x, x > 0, v),
    "putmask": lambda x, v: np.putmask(x, x > 0, v),
    "put_along_axis": lambda x, v: np.put_along_axis(x, np.array([[0, 2, 0]]), v[:1], 0),
    "fill_diagonal": np.fill_diagonal,
    "fill": lambda x, v: x.fill(v[0]),
    "flat": lambda x, v: x.flat.__setitem__(slice(1, 6), v),
}


#: Views of a 2 x 3 x 2 array with other memory layouts.
LAYOUTS = {
    "C": lambda x: x,
    "Fortran": lambda x: x.T,
    "neither": lambda x: np.swapaxes(x, 0, 1),
    "backwards": lambda x: np.flip(x, 1),
    "turned and backwards": lambda x: np.flip(np.moveaxis(x, 0, -1), 0),
}


def shape_cases():
    x, c = real(2, 3), cplx(2, 3)
    yield np.reshape, "numbers", lambda x: np.reshape(x, (3, -1)), [x]
    yield np.reshape, "fortran", lambda x: np.reshape(x, (3, 2), order="F"), [x]
    yield np.reshape, "order A", lambda x: np.reshape(x, (3, 2), order="A") * np.arange(6).reshape(3, 2), [x]
    yield np.reshape, "method", lambda x: x.reshape(3, 2) * x.reshape((3, 2)), [c]
    yield np.ravel, "default", np.ravel, [x]
    for name, make in LAYOUTS.items():
        for order in "AK":
            yield (
                np.ravel,
                f"{name}, {order}",
                lambda x, make=make, order=order: np.ravel(make(x), order=order) * np.arange(12),
                [real(2, 3, 2)],
            )
    yield np.ravel, "method", lambda x: x.ravel() * x.flatten(), [x]
    yield np.transpose, "default", np.transpose, [c]
    yield np.transpose, "axes", lambda x: np.transpose(x, (1, 2, 0)), [real(2, 3, 2)]
    yield np.transpose, "methods", lambda x: x.T @ x.transpose(0, 1), [x]
    yield np.swapaxes, "negative", lambda x: np.swapaxes(x, 0, -1), [real(2, 1, 3)]
    yield np.moveaxis, "one", lambda x: np.moveaxis(x, 0, -1), [real(2, 1, 3)]
    yield np.moveaxis, "two", lambda x: np.moveaxis(x, (0, 1), (2, 0)), [real(2, 1, 3)]
    yield np.rollaxis, "default", lambda x: np.rollaxis(x, 2, 1), [real(2, 1, 3)]
    yield np.squeeze, "all", np.squeeze, [real(2, 1, 1)]
    yield np.squeeze, "axis", lambda x: np.squeeze(x, axis=1), [real(2, 1, 1)]
    yield np.expand_dims, "axis", lambda x: np.expand_dims(x, (0, 2)), [x]
    yield np.broadcast_to, "new axis", lambda x: np.broadcast_to(x, (2, 2, 3)), [real(2, 1)]
    yield np.broadcast_arrays, "two", lambda x, y: list(np.broadcast_arrays(x, y)), [real(2, 1), real(3)]
    yield np.diagonal, "offset", lambda x: np.diagonal(x, 1), [real(3, 4)]
    yield np.diagonal, "stack", lambda x: np.diagonal(x, -1, 1, 2), [real(2, 3, 2)]
    yield np.diag, "of a matrix", lambda x: np.diag(x, 1), [real(3, 4)]
    yield np.diag, "of a vector", lambda x: np.diag(x, -1), [real(3)]
    yield np.diagflat, "matrix", np.diagflat, [real(2, 2)]
    for fun in (np.flip, np.fliplr, np.flipud, np.rot90):
        yield fun, "default", fun, [x]
    yield np.flip, "axis", lambda x: np.flip(x, 1), [c]
    yield np.rot90, "k", lambda x: np.rot90(x, 3), [x]
    yield np.tile, "number", lambda x: np.tile(x, 2), [x]
    yield np.tile, "tuple", lambda x: np.tile(x, (2, 1, 2)), [c]
    yield np.repeat, "number", lambda x: np.repeat(x, 2), [x]
    yield np.repeat, "axis", lambda x: np.repeat(x, [1, 0, 3], axis=1), [x]
    yield np.roll, "flat", lambda x: np.roll(x, 1), [x]
    yield np.roll, "axes", lambda x: np.roll(x, (1, 2), axis=(0, 1)), [x]
    yield np.trace, "default", np.trace, [c]
    yield np.trace, "stack", lambda x: np.trace(x, 1, 1, 2), [real(2, 3, 3)]
    yield np.tril, "k", lambda x: np.tril(x, -1), [real(3, 3)]
    yield np.triu, "default", np.triu, [cplx(3, 3)]
    yield np.take, "flat", lambda x: np.take(x, [0, 4, 4]), [x]
    yield np.take, "axis", lambda x: x.take(np.array([[2, 0], [2, 1]]), axis=1), [x]
    yield np.take_along_axis, "axis", lambda x: np.take_along_axis(x, np.array([[0, 0], [2, 1]]), 1), [x]
    yield np.take_along_axis, "one row", lambda x: np.take_along_axis(x, np.array([[1, 1, 0, 2]]), 1), [x]
    yield np.pad, "number", lambda x: np.pad(x, 1), [x]
    yield _padding._with_zeros, "widths", lambda x: np.pad(x, ((1, 0), (0, 2))), [x]
    yield np.pad, "constants", lambda x, v: np.pad(x, ((1, 0), (0, 2)), constant_values=v), [x, real(2, 2)]
    if np.lib.NumpyVersion(np.__version__) >= "2.2.0":
        yield np.pad, "axes", lambda x: np.pad(x, {1: (1, 2)}, "edge"), [x]
    yield np.pad, "ramp", lambda x, v: np.pad(x, (2, 1), "linear_ramp", end_values=v), [x, real()]
    for mode in ("maximum", "mean", "median", "minimum"):
        yield np.pad, mode, lambda x, mode=mode: np.pad(x, ((1, 2), (3, 0)), mode), [x]
        yield np.pad, f"{mode} of some", lambda x, mode=mode: np.pad(x, 1, mode, stat_length=2), [x]
    for mode in ("reflect", "symmetric"):
        yield (
            np.pad,
            f"{mode} odd",
            lambda x, mode=mode: np.pad(x, ((0, 1), (2, 1)), mode, reflect_type="odd"),
            [x],
        )
    yield np.full_like, "value", lambda v, x: np.full_like(x, v) * 2, [real(), x]
    yield np.delete, "axis", lambda x: np.delete(x, 1, axis=1), [x]
    yield np.delete, "flat", lambda x: np.delete(x, [0, 2]), [x]
    yield np.meshgrid, "xy", lambda x, y: list(np.meshgrid(x, y)), [real(2), real(3)]
    yield np.meshgrid, "ij", lambda x, y: list(np.meshgrid(x, y, indexing="ij")), [real(2), real(3)]
    yield np.compress, "axis", lambda x: np.compress([True, False, True], x, axis=1), [x]
    yield np.extract, "mask", lambda x: np.extract(x > 0, x), [x]
    yield np.meshgrid, "sparse", lambda x, y: list(np.meshgrid(x, y, sparse=True)), [real(2), real(3)]
    yield np.linspace, "numbers", lambda a, b: np.linspace(a, b, 4), [real(), real()]
    yield np.linspace, "number and array", lambda b: np.linspace(1, b, 3), [real(2)]
    yield np.linspace, "arrays", lambda a, b: np.linspace(a, b, 4, endpoint=False), [real(2), real(2)]
    yield np.linspace, "axis", lambda a, b: np.linspace(a, b, 4, axis=1), [real(2), real(2)]
    yield np.linspace, "step", lambda a, b: list(np.linspace(a, b, 4, retstep=True)), [real(2), real()]
    yield np.logspace, "default", lambda a, b: np.logspace(a, b, 4), [inside(2), inside(2)]
    yield np.logspace, "base", lambda a, b, c: np.logspace(a, b, 3, base=c, axis=-1), [*inside(2, 2), positive(2)]
    yield np.geomspace, "axis", lambda a, b: np.geomspace(a, b, 4, axis=-1), [positive(2), positive(2)]
    yield np.geomspace, "complex", lambda a, b: np.geomspace(a, b, 3, endpoint=False), [cplx(2), cplx()]
    yield np.vander, "default", np.vander, [real(3)]
    yield np.vander, "increasing", lambda x: np.vander(x, 4, increasing=True), [np.array([0.0, 1.5])]
    yield np.unwrap, "axis", lambda x: np.unwrap(5 * x, axis=0), [x]
    yield np.unwrap, "period", lambda x: np.unwrap(x, period=1.5), [x]
    for mode in ("edge", "reflect", "symmetric", "wrap"):
        yield np.pad, mode, lambda x, mode=mode: np.pad(x, ((1, 2), (3, 0)), mode), [x]
    yield np.insert, "one place", lambda x, v: np.insert(x, 1, v, axis=1), [x, real(2)]
    yield np.insert, "one place, several", lambda x, v: np.insert(x, 1, v), [x, real(3)]
    yield np.insert, "rows", lambda x, v: np.insert(x, [1], v, axis=0), [x, real(2, 3)]
    yield np.insert, "places", lambda x, v: np.insert(x, [2, 0, 2], v, axis=-1), [x, real(2, 3)]
    yield np.insert, "slice", lambda x, v: np.insert(x, slice(0, 3, 2), v, axis=1), [x, real()]
    yield np.resize, "more", lambda x: np.resize(x, (3, 5)), [x]
    yield np.resize, "less", lambda x: np.resize(x, 4), [x]
    windows = np.lib.stride_tricks.sliding_window_view
    yield windows, "axis", lambda x: windows(x, 2, axis=1), [x]
    yield windows, "both", lambda x: windows(x, (2, 2)), [c]
    yield np.partition, "axis", lambda x: np.partition(x, 2, axis=0), [real(7, 2)]
    yield np.partition, "flat", lambda x: np.partition(x, (1, 3), axis=None), [x]
    yield np.choose, "rows", lambda x, y: np.choose([[0], [1]], [x, y]), [real(3), real(2, 3)]
    yield np.choose, "wrap", lambda x: np.choose([3, -1, 0], x, mode="wrap"), [x]
    yield np.ix_, "two", lambda x, y: list(np.ix_(x, y)), [real(2), real(3)]
    yield np.block, "nested", lambda x, y: np.block([[x, y], [1.0, 2.0, 3.0, y[0, 0]]]), [x, real(2, 1)]
    yield np.block, "vectors", lambda x, y: np.block([x, y, 1.0]), [real(3), real(2)]
    yield np.unique, "values", lambda x: np.unique(x[[0, 1, 0]]), [x]
    yield np.unique, "counts", lambda x: np.unique(x, return_index=True, return_counts=True)[0], [x]
    yield np.union1d, "two", np.union1d, [x, real(2)]
    yield np.intersect1d, "two", lambda x: np.intersect1d(x, x[0]), [x]
    yield np.setdiff1d, "two", lambda x: np.setdiff1d(x, x[0]), [x]
    yield np.trim_zeros, "both ends", lambda x: np.trim_zeros(np.pad(x, (1, 2))), [real(3)]
    yield np.trim_zeros, "one end", lambda x: np.trim_zeros(np.pad(x, (1, 2)), "b"), [real(3)]
    if hasattr(np, "unstack"):
        yield np.unstack, "axis", lambda x: list(np.unstack(x, axis=1)), [x]
        yield np.astype, "complex", lambda x: np.astype(x, x.dtype), [x]
    yield np.apply_along_axis, "rows", lambda x: np.apply_along_axis(lambda r: r[:2] * r[1], 1, x), [x]
    yield np.apply_along_axis, "numbers", lambda x: np.apply_along_axis(np.sum, 0, x), [real(2, 2, 2)]
    yield np.apply_over_axes, "sums", lambda x: np.apply_over_axes(np.sum, x, [0, -1]), [real(2, 2, 2)]
    yield np.piecewise, "otherwise", lambda x: np.piecewise(x, [x > 1, x < 0], [np.sin, 2.0, np.square]), [x]
    yield np.piecewise, "arguments", lambda x: np.piecewise(x, x > 0, [lambda x, a: a * x], 3.0), [real(4)]
    yield np.matrix_transpose, "stack", np.matrix_transpose, [real(2, 2, 3)]
    yield np.linalg.matrix_transpose, "stack", np.linalg.matrix_transpose, [real(2, 2, 3)]
    yield np.linalg.diagonal, "stack", lambda x: np.linalg.diagonal(x, offset=1), [real(2, 2, 3)]
    yield np.linalg.trace, "stack", np.linalg.trace, [real(2, 3, 3)]
    yield np.concatenate, "axis", lambda x, y: np.concatenate([x, y], axis=1), [x, c]
    yield _shapes._concatenate, "three", lambda x, y: np.concatenate([x, y, x * y], -1), [x, real(2, 3)]
    yield np.concatenate, "flat", lambda x, y: np.concatenate((x, y), axis=None), [x, real(2)]
    yield np.concatenate, "constant", lambda x: np.concatenate([np.ones(2), x, [1.0]]), [real(3)]
    yield np.stack, "axis", lambda x, y: np.stack([x, y], axis=-1), [x, real(2, 3)]
    yield np.stack, "numbers", lambda x: np.stack([x[0], 2.0, x[0] * x[1]]), [real(2)]
    for fun in (np.vstack, np.hstack, np.dstack, np.column_stack):
        yield fun, "vectors", lambda x, y, fun=fun: fun([x, y]), [real(3), real(3)]
        yield fun, "matrices", lambda x, y, fun=fun: fun([x, y]), [real(2, 3), real(2, 3)]
    yield np.append, "flat", lambda x: np.append(x, 1.0), [x]
    yield np.append, "axis", lambda x, y: np.append(x, y, axis=0), [x, x + 1]
    for fun in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
        for shape in ((), (3,), (2, 3)):
            yield fun, f"{len(shape)}d", fun, [real(*shape)]
    yield np.atleast_1d, "several", lambda x, y: list(np.atleast_1d(x, y)), [real(), real(2)]
    yield np.split, "number", lambda x: np.split(x, 3, axis=1), [x]
    yield np.array_split, "unequal", lambda x: np.array_split(x, 2, axis=1), [x]
    yield np.array_split, "indices", lambda x: np.array_split(x, [1], axis=-1), [x]
    for fun in (np.vsplit, np.hsplit, np.dsplit):
        yield fun, "number", lambda x, fun=fun: fun(x, 2), [real(2, 2, 2)]
    indices = {
        "number": 1,
        "negative": (0, -1),
        "slice": slice(None, None, -2),
        "mixed": (slice(1), None, Ellipsis, 2),
        "integers": np.array([0, 1, 1, 0, 1]),
        "pairs": ([0, 1, 1], [2, 0, 0]),
        "rows": (np.arange(2), slice(1, 3)),
        "mask": real(2, 3) > 0,
        "mask of rows": np.array([False, True]),
        "list": [1, 1],
    }
    for name, index in indices.items():
        yield _shapes.getitem, name, lambda x, index=index: x[index], [x]
        yield _shapes.scatter, name, lambda x, index=index: x[index] ** 3, [x]
        value = real(*x[index].shape)

        def assign(x, v, index=index):
            y = x * 1
            y[index] = v**2
            return y * y

        yield _shapes.setitem, name, assign, [x, value]
        yield _shapes.setitem, f"{name}, one value", assign, [x, np.array(0.7)]
    for name, take in {"slice": lambda x: x[1:], "turned": lambda x: x.T[1:, 0], "flat": np.ravel}.items():

        def change(x, v, take=take):
            y = x * 1
            view = take(y)
            view *= v
            return y * y

        yield _shapes.overwrite, name, change, [x, np.array(0.7)]
    yield _shapes.getitem, "complex", lambda x: x[:, 1], [c]
    yield _shapes.astype, "complex", lambda x: x.astype(complex) ** 2, [x]
    yield _shapes.astype, "real", lambda x: (x**2).astype(float), [c]


def reduction_cases():
    x, c = real(2, 3, 2), cplx(2, 3)
    ways = [{}, {"axis": 1}, {"axis": (0, -1)}, {"axis": 1, "keepdims": True}, {"keepdims": True}]
    for fun in (np.sum, np.mean, np.prod, np.max, np.min, np.amax, np.amin, np.var, np.std, np.ptp):
        for way in ways:
            if fun is np.ptp and way.get("axis") == (0, -1):
                continue
            yield fun, str(way), lambda x, fun=fun, way=way: fun(x, **way), [x]
    for fun in (np.sum, np.mean, np.prod, np.var, np.std):
        yield fun, "complex", fun, [c]
    yield np.prod, "zeros", lambda x: np.prod(x, axis=1), [np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])]
    yield np.sum, "positional", lambda x: np.sum(x, 1, None, None, True), [x]
    yield np.sum, "of a ufunc", lambda x: np.add.reduce(x) + np.add.reduce(x, axis=0), [x]
    yield np.sum, "method", lambda x: x.sum(0) + x.mean(axis=0), [x]
    yield np.var, "ddof", lambda x: np.var(x, axis=0, ddof=1), [real(4)]
    yield np.std, "correction", lambda x: np.std(x, correction=1), [real(4)]
    for fun in (np.cumsum, np.cumprod):
        yield fun, "flat", fun, [x]
        yield fun, "axis", lambda x, fun=fun: fun(x, axis=1), [x]
        yield fun, "complex", lambda x, fun=fun: fun(x, axis=-1), [c]
    yield np.cumprod, "zeros", lambda x: np.cumprod(x, axis=1), [np.array([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]])]
    yield np.cumprod, "positional", lambda x: np.cumprod(x, 1, None, None), [x]
    yield np.cumsum, "positional", lambda x: np.cumsum(x, 1, None, None), [x]
    for fun in (np.prod, np.sum, np.cumprod, np.cumsum):
        yield fun, "empty", fun, [np.zeros((0, 2))]
        yield fun, "empty axis", lambda x, fun=fun: fun(x, axis=0), [np.zeros((0, 2))]
    yield np.sort, "last", np.sort, [x]
    yield np.sort, "positional", lambda x: np.sort(x, -1, "stable"), [x]
    yield np.sort, "flat", lambda x: np.sort(x, axis=None), [x]
    yield np.sort, "first", lambda x: np.sort(x, 0), [real(4, 2)]
    for shape in ((5,), (4,)):
        yield np.median, str(shape), np.median, [real(*shape)]
    yield np.median, "axis", lambda x: np.median(x, axis=1, keepdims=True), [x]
    for fun in (np.quantile, np.percentile):
        yield fun, "one", lambda x, fun=fun: fun(x, 0.3), [x]
        yield fun, "several", lambda x, fun=fun: fun(x, [0.1, 0.5, 1.0], axis=1), [x]
        yield fun, "keepdims", lambda x, fun=fun: fun(x, 0.7, axis=-1, keepdims=True), [x]
    yield np.average, "plain", np.average, [x]
    yield np.average, "constant weights", lambda x: np.average(x, axis=1, weights=[1, 2, 3]), [x]
    yield np.average, "weights", lambda x, w: np.average(x, axis=1, weights=w), [x, positive(3)]
    yield np.nansum, "axis", lambda x: np.nansum(np.where(x > 1, np.nan, x), axis=0), [x]
    yield np.nanmean, "all", lambda x: np.nanmean(np.where(x > 1, np.nan, x)), [x]
    mask = np.array([[True, False], [False, True], [True, True]])
    for fun in (np.sum, np.mean, np.prod, np.var, np.std):
        yield fun, "where", lambda x, fun=fun: fun(x, axis=1, where=mask), [x]
        yield fun, "where of a row", lambda x, fun=fun: fun(x, axis=(0, 1), where=mask[:, :1], keepdims=True), [x]
        yield fun, "complex where", lambda x, fun=fun: fun(x, where=mask.T), [c]
    for fun, initial in ((np.sum, 2.0), (np.prod, 2.0), (np.max, 0.0), (np.min, 0.0)):
        yield fun, "initial", lambda x, fun=fun, initial=initial: fun(x, axis=0, initial=initial), [x]
        yield fun, "both", lambda x, fun=fun, i=initial: fun(x, axis=1, initial=i, where=mask), [x]
    with_nan = np.where(x > 1, np.nan, 0.0)
    for fun in (np.nanmax, np.nanmin, np.nanvar, np.nanstd, np.nanmedian, np.nanprod, np.nanmean):
        yield fun, "all", lambda x, fun=fun: fun(x + with_nan), [x]
        yield fun, "axis", lambda x, fun=fun: fun(x + with_nan, axis=1, keepdims=True), [x]
    for fun in (np.nancumsum, np.nancumprod):
        yield fun, "axis", lambda x, fun=fun: fun(x + with_nan, axis=1), [x]
    for fun in (np.nanquantile, np.nanpercentile):
        yield fun, "axes", lambda x, fun=fun: fun(x + with_nan, [0.2, 0.7], axis=(0, 1), keepdims=True), [x]
    for fun in (np.quantile, np.percentile):
        yield fun, "axes", lambda x, fun=fun: fun(x, [0.2, 0.7], axis=(0, 1), keepdims=True), [x]
    yield np.median, "axes", lambda x: np.median(x, axis=(0, 2)), [x]
    if hasattr(np, "cumulative_sum"):
        for fun in (np.cumulative_sum, np.cumulative_prod):
            yield fun, "vector", fun, [real(4)]
            yield fun, "initial", lambda x, fun=fun: fun(x, axis=-1, include_initial=True), [x]
    for fun in (np.cov, np.corrcoef):
        yield fun, "rows", fun, [real(3, 4)]
        yield fun, "columns", lambda x, y, fun=fun: fun(x, y, rowvar=False), [real(4, 2), real(4, 2)]
        yield fun, "complex", fun, [cplx(2, 4)]
    yield np.cov, "number", np.cov, [real(5)]
    yield np.corrcoef, "two", np.corrcoef, [real(5), real(5)]
    yield np.cov, "weights", lambda x, w: np.cov(x, fweights=[1, 2, 1], aweights=w), [real(2, 3), positive(3)]
    yield np.cov, "ddof", lambda x: np.cov(x, ddof=0) + np.cov(x, bias=True), [real(2, 3)]
    for ord in (None, 1, 2, 3, 0.5, np.inf, -np.inf, 0):
        yield np.linalg.norm, f"vector {ord}", lambda x, ord=ord: np.linalg.norm(x, ord), [real(4)]
        yield (
            np.linalg.norm,
            f"axis {ord}",
            lambda x, ord=ord: np.linalg.norm(x, ord, axis=0, keepdims=True),
            [x[0]],
        )
    for ord in (None, "fro", 1, -1, np.inf, -np.inf):
        yield np.linalg.norm, f"matrix {ord}", lambda x, ord=ord: np.linalg.norm(x, ord), [x[0]]
        yield np.linalg.norm, f"stack {ord}", lambda x, ord=ord: np.linalg.norm(x, ord, axis=(1, 2)), [x]
        yield np.linalg.matrix_norm, str(ord), lambda x, ord=ord: np.linalg.matrix_norm(x, ord=ord or "fro"), [x]
    yield _reductions.normp, "complex", lambda x: np.linalg.norm(x, 3), [c[0]]
    yield np.linalg.vector_norm, "all", np.linalg.vector_norm, [x]
    yield np.linalg.vector_norm, "3", lambda x: np.linalg.vector_norm(x, axis=1, ord=3), [x]
    for method in (
        "inverted_cdf",
        "averaged_inverted_cdf",
        "closest_observation",
        "hazen",
        "weibull",
        "lower",
        "nearest",
    ):
        yield np.quantile, method, lambda x, m=method: np.quantile(x, [0.2, 0.65], axis=0, method=m), [real(5, 2)]
        yield np.nanpercentile, method, lambda x, m=method: np.nanpercentile(x, 35, method=m), [real(5)]
    yield _statistics._weighted_counts, "bincount", lambda w: np.bincount([0, 2, 2], w, minlength=4), [real(3)]
    yield np.bincount, "weights", lambda w: np.bincount([0, 2, 2], weights=w), [real(3)]
    for density in (False, True):
        yield (
            np.histogram,
            f"density {density}",
            lambda w, density=density: np.histogram([0.1, 0.2, 0.9], 4, (0, 1), density, w)[0],
            [positive(3)],
        )
    yield np.histogram, "edges", lambda w: np.histogram([0.1, 0.9, 2.0], [0.0, 0.5, 2.0], weights=w)[0], [real(3)]
    yield np.polyadd, "two", np.polyadd, [real(3), real(2)]
    yield np.polysub, "two", np.polysub, [real(2), real(3)]
    yield np.polymul, "two", np.polymul, [real(2), real(3)]
    yield np.polyder, "twice", lambda p: np.polyder(p, 2), [real(4)]
    yield np.polyint, "twice", lambda p, k: np.polyint(p, 2, k), [real(3), real(2)]
    yield np.poly, "roots", np.poly, [real(3)]
    yield np.poly, "matrix", np.poly, [spd(3)]
    yield np.roots, "real", lambda p: np.roots(np.poly(np.arange(3) + p)), [inside(3) / 4]
    yield np.roots, "zeros", lambda p: np.abs(np.roots(np.pad(p, 1))), [positive(3)]
    yield np.polyfit, "line", lambda x, y: np.polyfit(x, y, 1), [real(4), real(4)]
    yield np.polyfit, "weights", lambda x, y, w: np.polyfit(x, y, 2, w=w), [real(5), real(5, 2), positive(5)]
    yield np.polyval, "list", lambda p: np.polyval(p, [1.0, 2.0]), [real(3)]
    yield np.polyval, "both", np.polyval, [real(3), real(2)]
    yield _reductions.norm2, "complex", np.linalg.norm, [c]
    for way in ways:
        yield (
            _reductions._logsumexp,
            str(way),
            lambda x, way=way: _reductions._logsumexp(x, way.get("axis"), way.get("keepdims", False)),
            [x],
        )
    for axis in (None, 1, (0, 2)):
        yield _reductions._softmax, str(axis), lambda x, axis=axis: _reductions._softmax(x, axis), [x]


def signal_cases():
    x, c = real(5), cplx(5)
    for fun in (np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft):
        takes = [c] if fun is np.fft.irfft else [x] if fun is np.fft.rfft else [x, c]
        for a in takes:
            yield fun, f"{a.dtype}", fun, [a]
            for n in (3, 4, 8):
                yield fun, f"{a.dtype} {n}", lambda x, fun=fun, n=n: fun(x, n), [a]
        for norm in ("ortho", "forward", "backward"):
            yield (
                fun,
                f"{norm}, axis",
                lambda x, fun=fun, norm=norm: fun(x, axis=0, norm=norm),
                [(real if fun is np.fft.rfft else cplx)(4, 2)],
            )
    for fun in (np.fft.fft2, np.fft.ifft2, np.fft.fftn, np.fft.ifftn):
        yield fun, "default", fun, [cplx(2, 3)]
        yield fun, "sizes", lambda x, fun=fun: fun(x, (3, 2), (0, -1), norm="ortho"), [real(2, 2, 3)]
        yield fun, "axes", lambda x, fun=fun: fun(x, axes=(0, 2)), [cplx(2, 2, 2)]
    for fun in (np.fft.rfft2, np.fft.rfftn, np.fft.irfft2, np.fft.irfftn):
        field = real if fun in (np.fft.rfft2, np.fft.rfftn) else cplx
        yield fun, "default", fun, [field(2, 2, 3)]
        yield fun, "sizes", lambda x, fun=fun: fun(x, (3, 4), (0, 1), "ortho"), [field(2, 3, 2)]
        yield fun, "axes", lambda x, fun=fun: fun(x, axes=(0, -1), norm="forward"), [field(2, 2, 3)]
    for fun in (np.fft.fftn, np.fft.ifftn):
        yield fun, "one axis twice", lambda x, fun=fun: fun(x, (4, 2), (0, 0)), [cplx(3, 2)]
        yield fun, "one axis twice, as it is", lambda x, fun=fun: fun(x, axes=(0, 0)), [cplx(3, 2)]
    for fun, field in ((np.fft.hfft, cplx), (np.fft.ihfft, real)):
        yield fun, "default", fun, [field(4)]
        yield fun, "size", lambda x, fun=fun: fun(x, 5, axis=0, norm="ortho"), [field(3, 2)]
        yield fun, "norm", lambda x, fun=fun: fun(x, norm="forward"), [field(2, 3)]
    for fun in (np.fft.fftshift, np.fft.ifftshift):
        yield fun, "all", fun, [real(3, 4)]
        yield fun, "axis", lambda x, fun=fun: fun(x, 1), [real(2, 3)]
    for mode in ("full", "same", "valid"):
        for m, n in ((5, 3), (2, 4), (4, 4)):
            yield (
                np.convolve,
                f"{mode} {m} {n}",
                lambda a, v, mode=mode: np.convolve(a, v, mode),
                [real(m), real(n)],
            )
            yield (
                np.correlate,
                f"{mode} {m} {n}",
                lambda a, v, mode=mode: np.correlate(a, v, mode),
                [cplx(m), real(n)],
            )
    yield _signals._convolved, "complex", np.convolve, [cplx(4), cplx(2)]
    grid = np.sort(real(4))
    yield np.interp, "all", np.interp, [real(5), grid, real(4)]
    yield (
        np.interp,
        "ends",
        lambda x, f: np.interp(x, grid, f, left=-1.0, right=2.0),
        [real(5, low=-4, high=4), real(4)],
    )
    yield np.interp, "0d", lambda x: np.interp(x, [0.0, 1.0, 3.0], [1.0, 4.0, 2.0]), [np.array(1.7)]
    yield np.interp, "period", lambda x, f: np.interp(x, [0.2, 1.7, 0.9], f, period=2), [real(5, low=-4), real(3)]
    yield np.gradient, "one", lambda x: np.gradient(x, 0.5), [x]
    yield np.gradient, "two", lambda x: list(np.gradient(x)), [real(3, 4)]
    yield np.gradient, "axis", lambda x: np.gradient(x, 2.0, axis=1), [real(2, 4)]
    spacing = np.array([0.0, 0.5, 1.5, 1.8])
    for order in (1, 2):
        yield np.gradient, f"order {order}", lambda x, k=order: list(np.gradient(x, edge_order=k)), [real(3, 4)]
        yield (
            np.gradient,
            f"coordinates {order}",
            lambda x, p, q, k=order: list(np.gradient(x, p, 0.5 * q, edge_order=k)),
            [real(4, 3), spacing, np.array([1.0, 2.0, 3.5])],
        )
        yield (
            np.gradient,
            f"coordinates of an axis {order}",
            lambda x, k=order: np.gradient(x, spacing, axis=1, edge_order=k),
            [cplx(2, 4)],
        )
    yield np.ediff1d, "plain", np.ediff1d, [real(2, 3)]
    yield np.ediff1d, "ends", lambda x, y: np.ediff1d(x, to_begin=y, to_end=[1.0, 2.0]), [real(4), real(2)]
    yield np.diff, "twice", lambda x: np.diff(x, 2, axis=1), [real(2, 4)]
    yield np.diff, "ends", lambda x, y: np.diff(x, axis=0, prepend=0, append=y), [real(2, 3), real(1, 3)]
    yield np.diff, "one end", lambda x: np.diff(x, append=x[:1]), [real(3)]
    yield np.trapezoid, "list", lambda x: np.trapezoid([1.0, 2.0, 4.0], x), [np.sort(real(3))]
    yield np.trapezoid, "x is a list", lambda y: np.trapezoid(y, [1.0, 2.0, 4.0]), [real(3)]
    yield np.trapezoid, "dx", lambda y: np.trapezoid(y, dx=0.5), [real(2, 4)]
    yield np.trapezoid, "x", lambda y, x: np.trapezoid(y, x), [real(2, 4), np.sort(real(4))]


def recomposed(a):
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return (u * s[..., None, :] ** 2) @ vh


def linalg_cases():
    shapes = {
        "matrices": ((2, 3), (3, 2)),
        "vectors": ((3,), (3,)),
        "matrix vector": ((2, 3), (3,)),
        "vector matrix": ((3,), (3, 2)),
    }
    stacks = {
        "stacks": ((2, 1, 2, 3), (3, 3, 2)),
        "stack matrix": ((2, 2, 3), (3, 2)),
        "matrix stack": ((2, 3), (2, 3, 2)),
        "stack vector": ((2, 2, 3), (3,)),
        "vector stack": ((3,), (2, 3, 2)),
    }
    for name, (s, t) in {**shapes, **stacks}.items():
        yield np.matmul, name, lambda x, y: x @ y, [real(*s), real(*t)]
        yield np.matmul, f"complex {name}", np.matmul, [cplx(*s), cplx(*t)]
        yield np.dot, name, np.dot, [real(*s[-3:]), real(*t)]
    yield np.dot, "number", np.dot, [real(), real(3)]
    yield np.dot, "method", lambda x, y: x.dot(y), [real(3), real(3)]
    for fun in (np.inner, np.outer, np.vdot):
        yield fun, "vectors", fun, [real(3), real(3)]
        yield fun, "complex", fun, [cplx(3), cplx(3)]
    yield np.vdot, "list", lambda x: np.vdot([1.0, 2.0, 3.0], x) + np.vdot(x, (1.0, 2.0, 3.0)), [real(3)]
    yield np.inner, "matrices", np.inner, [real(2, 3), real(2, 3)]
    yield np.inner, "numbers", np.inner, [real(), real(2)]
    yield np.vecdot, "complex", np.vecdot, [cplx(2, 3), cplx(3)]
    for fun in (np.linalg.matmul, np.linalg.tensordot):
        yield fun, "matrices", fun, [real(2, 2, 2)[0], real(2, 2)]
    yield np.linalg.outer, "vectors", np.linalg.outer, [real(2), real(3)]
    yield np.linalg.cross, "vectors", np.linalg.cross, [real(3), real(3)]
    yield np.linalg.vecdot, "axis", lambda x, y: np.linalg.vecdot(x, y, axis=0), [cplx(3, 2), cplx(3, 2)]
    if hasattr(np, "matvec"):
        yield np.matvec, "stack", np.matvec, [cplx(2, 2, 3), cplx(3)]
        yield np.vecmat, "stack", np.vecmat, [cplx(2), cplx(2, 2, 3)]
    yield np.kron, "matrices", np.kron, [real(2, 2), real(1, 3)]
    yield np.kron, "vector", np.kron, [real(2), real(2, 2)]
    for axes in (0, 1, 2, (-1, 0), ([1], [0]), ([0, 1], [1, 0])):
        yield np.tensordot, str(axes), lambda x, y, axes=axes: np.tensordot(x, y, axes), [real(2, 2), real(2, 2)]
    yield np.cross, "stack", np.cross, [real(2, 3), real(3)]
    for subscripts, *operands in (
        ("ij,jk->ik", (2, 3), (3, 2)),
        ("ij,jk", (2, 3), (3, 2)),
        ("i,i", (3,), (3,)),
        ("ij->", (2, 3)),
        ("ij->j", (2, 3)),
        ("ii->i", (3, 3)),
        ("ii", (3, 3)),
        ("iij,j->i", (2, 2, 3), (3,)),
        ("...ij,...jk->...ik", (2, 2, 3), (3, 2)),
        ("i...,i->...", (2, 3), (2,)),
        ("...,...", (2, 3), (3,)),
        ("ij,j,kj->ik", (2, 3), (3,), (2, 3)),
        ("i,j", (2,), (3,)),
        ("ij,ij->i", (2, 1), (2, 3)),
        ("ji", (2, 3)),
    ):
        yield (
            _linalg._einsum,
            subscripts,
            lambda *a, subscripts=subscripts: np.einsum(subscripts, *a),
            [real(*s) for s in operands],
        )
    yield np.einsum, "optimize", lambda a, b: np.einsum("ij,jk", a, b, optimize=True), [real(2, 2), real(2, 2)]
    yield _linalg._einsum, "complex", lambda a, b: np.einsum("ij,jk->ki", a, b), [cplx(2, 3), cplx(3, 2)]
    yield (
        np.einsum,
        "lists",
        lambda a, b: np.einsum(a, [0, 1], b, [1, Ellipsis], [0, Ellipsis]),
        [real(2, 3), real(3, 2)],
    )
    yield (
        np.einsum,
        "lists without a result",
        lambda a, b: np.einsum(a, [0, 1], b, [1, 0]),
        [real(2, 3), real(3, 2)],
    )
    for name, make in (("real", spd), ("complex", lambda n: spd(n, complex))):
        field = real if name == "real" else cplx
        a = make(3) + 0.5 * field(3, 3)
        yield np.linalg.solve, f"{name} vector", np.linalg.solve, [a, field(3)]
        yield np.linalg.solve, f"{name} matrix", np.linalg.solve, [a, field(3, 2)]
        yield np.linalg.solve, f"{name} stack", np.linalg.solve, [np.stack([a, a.T]), field(3, 1)]
        yield np.linalg.solve, f"{name} stack vector", np.linalg.solve, [np.stack([a, a.T]), field(3)]
        yield np.linalg.solve, f"{name} stacks", np.linalg.solve, [np.stack([a, a.T]), field(2, 3, 2)]
        yield np.linalg.inv, name, np.linalg.inv, [a]
        yield np.linalg.det, name, np.linalg.det, [a / 3]
        yield np.linalg.det, f"{name} singular", np.linalg.det, [a * [[1, 1, 0]]]
        yield np.linalg.det, f"{name} singular stack", np.linalg.det, [np.stack([a * [[1, 1, 0]], a])]
        yield np.linalg.det, f"{name} stack", np.linalg.det, [np.stack([a / 3, a.T / 4])]
        yield _linalg._det_log, name, lambda a: np.linalg.slogdet(a).logabsdet, [a]
        yield _linalg._det_sign, name, lambda a: np.linalg.slogdet(a)[0], [a]
        yield np.linalg.slogdet, name, lambda a: list(np.linalg.slogdet(a)), [a]
        yield (
            np.linalg.cholesky,
            name,
            lambda b: np.linalg.cholesky(b @ np.conj(np.swapaxes(b, -1, -2)) + 2 * np.eye(b.shape[-1])),
            [field(2, 3, 3) / 2],
        )
        hermitian = np.linalg.eigvalsh, lambda a: a + np.conj(np.swapaxes(a, -1, -2))
        yield hermitian[0], name, lambda a, h=hermitian[1]: np.linalg.eigvalsh(h(a)), [field(2, 3, 3)]
        yield np.linalg.eigh, name, lambda a, h=hermitian[1]: np.linalg.eigh(h(a))[0], [field(3, 3)]
        distinct = np.diag([1.0, 3.0, 6.0]) + field(2, 3, 3) / 4
        yield np.linalg.eigvals, name, np.linalg.eigvals, [distinct]
        yield np.linalg.eig, name, lambda a: np.linalg.eig(a)[0], [distinct]
        yield (
            _factorizations._eig,
            f"vectors of {name}",
            lambda a: np.abs(np.linalg.eig(a).eigenvectors) ** 2,
            [distinct],
        )
        # Only what does not depend on the signs or phases of the eigenvectors.
        yield (
            _linalg._eigen,
            name,
            lambda a, h=hermitian[1]: np.abs(np.linalg.eigh(h(a), UPLO="U").eigenvectors) ** 2,
            [field(3, 3)],
        )
        for m, n in ((3, 2), (2, 3), (2, 2)):
            yield np.linalg.pinv, f"{name} {m} {n}", np.linalg.pinv, [field(m, n)]
            matrices, k = field(2, m, n), min(m, n)
            yield np.linalg.svdvals, f"{name} {m} {n}", np.linalg.svdvals, [matrices]
            # Only what does not depend on the signs or phases of the vectors.
            yield _factorizations._svd, f"{name} {m} {n}", recomposed, [matrices]
            yield np.linalg.svd, f"{name} {m} {n}", lambda a: np.linalg.svd(a)[1], [matrices]
            yield (
                np.linalg.svd,
                f"values of {name} {m} {n}",
                lambda a: np.linalg.svd(a, compute_uv=False),
                [matrices],
            )
            yield _factorizations._qr, f"{name} {m} {n}", lambda a: list(np.linalg.qr(a)), [matrices]
            yield np.linalg.qr, f"{name} {m} {n}", lambda a: np.linalg.qr(a, "r"), [matrices]
            yield (
                _factorizations._undetermined,
                f"{name} {m} {n}",
                lambda a, k=k: np.linalg.svd(a)[0][..., :k] * np.linalg.qr(a, "complete")[0][..., :k],
                [matrices.real],
            )
            yield (
                np.linalg.lstsq,
                f"{name} {m} {n}",
                lambda a, b: np.linalg.lstsq(a, b)[0],
                [matrices[0], field(m)],
            )
        yield (
            np.linalg.lstsq,
            f"{name} residuals",
            lambda a, b: [x for i, x in enumerate(np.linalg.lstsq(a, b)) if i != 2],
            [field(4, 2), field(4, 2)],
        )
        for p in (None, 1, -1, 2, -2, np.inf, "fro", "nuc"):
            yield np.linalg.cond, f"{name} {p}", lambda a, p=p: np.linalg.cond(a, p), [make(3) + field(3, 3)]
        for ord in (2, -2, "nuc"):
            yield np.linalg.norm, f"{name} {ord}", lambda a, ord=ord: np.linalg.norm(a, ord), [field(3, 2)]
            yield (
                np.linalg.norm,
                f"{name} axes {ord}",
                lambda a, ord=ord: np.linalg.norm(a, ord, axis=(2, 0), keepdims=True),
                [field(2, 2, 3)],
            )
    yield np.linalg.cond, "not square", np.linalg.cond, [real(4, 2)]
    yield np.linalg.tensorsolve, "default", np.linalg.tensorsolve, [real(2, 3, 6), real(2, 3)]
    yield (
        np.linalg.tensorsolve,
        "axes",
        lambda a, b: np.linalg.tensorsolve(a, b, axes=(0,)),
        [real(6, 2, 3), real(2, 3)],
    )
    yield np.linalg.tensorinv, "1", lambda a: np.linalg.tensorinv(a, ind=1), [real(6, 3, 2)]
    yield np.linalg.tensorinv, "2", np.linalg.tensorinv, [real(2, 3, 6)]
    for n in (0, 1, 3, -2):
        yield np.linalg.matrix_power, str(n), lambda a, n=n: np.linalg.matrix_power(a, n), [spd(2) / 2]
    yield np.linalg.multi_dot, "a stack", lambda a, b: np.linalg.multi_dot([a, b]), [real(2, 3), real(2, 3, 3)]
    yield (
        np.linalg.multi_dot,
        "three",
        lambda a, b, c: np.linalg.multi_dot([a, b, c]),
        [
            real(2, 3),
            real(3, 2),
            real(2, 2),
        ],
    )


ALL = [
    *(*elementwise_cases(), *shape_cases(), *reduction_cases(), *signal_cases(), *linalg_cases()),
    *scipy_cases.ALL,
]
