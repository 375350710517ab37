"""Vjps of Fourier transforms, convolution, interpolation, and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ._primitives import add_primitive, as_array, composite, conj, primitive


def fitted(x, shape, axes):
    """Cut, or padded with zeros at the end, to the lengths of a shape along some axes."""
    for axis in normalize_axis_tuple(axes, len(shape)):
        before, n = (slice(None),) * axis, shape[axis]
        missing = n - x.shape[axis]
        if missing < 0:
            x = x[(*before, slice(n))]
        elif missing:
            x = np.pad(x, [(0, missing if i == axis else 0) for i in range(len(shape))])
    return x


def _adjoint(transform):
    """The vjp of a linear function with a symmetric matrix; normalization is part of the matrix."""
    return lambda g, _ans, _x, n=None, axis=-1, norm=None: fitted(
        conj(transform(conj(g), None, axis, norm)), _x.shape, [axis]
    )


def _adjoint_of_many(transform, default):
    def vjp(g, _ans, _x, s=None, axes=default, norm=None):
        if axes is None:
            # As in NumPy: the last axes, as many as there are lengths.
            axes = tuple(range(0 if s is None else -len(s), 0 if s is not None else _x.ndim))
        if s is None:
            return conj(transform(conj(g), None, axes, norm))
        # One axis after the other, since one may be named twice: NumPy begins with the last.
        shapes = [list(_x.shape)]
        for n, axis in zip(s[::-1], axes[::-1], strict=True):
            shapes.append(list(shapes[-1]))
            if n not in (None, -1):
                shapes[-1][axis] = n
        for axis, shape in zip(axes, shapes[-2::-1], strict=True):
            g = fitted(conj(transform(conj(g), None, (axis,), norm)), shape, [axis])
        return g

    return vjp


def _rfft(g, _ans, _x, n=None, axis=-1, norm=None):
    n = _x.shape[axis] if n is None else n
    return fitted(np.real(conj(np.fft.fft(conj(g), n, axis, norm))), _x.shape, [axis])


def _opposite(norm: Any) -> Any:
    """The normalization of the transform in the other direction."""
    return {"ortho": "ortho", "forward": "backward"}.get(norm, "forward")


def _irfft(g, _ans, _x, n=None, axis=-1, norm=None):
    spectrum = np.moveaxis(np.fft.rfft(g, None, axis, _opposite(norm)), axis, -1)
    # Every frequency stands for two, but the first, and the last if n is even.
    twice = np.full(spectrum.shape[-1], 2, g.dtype)
    twice[0] = 1
    if g.shape[axis] % 2 == 0:
        twice[-1] = 1
    return fitted(np.moveaxis(spectrum * twice, -1, axis), _x.shape, [axis])


TRANSFORMS: dict[Any, Any] = {
    np.fft.fft: _adjoint(np.fft.fft),
    np.fft.ifft: _adjoint(np.fft.ifft),
    np.fft.fft2: _adjoint_of_many(np.fft.fft2, (-2, -1)),
    np.fft.ifft2: _adjoint_of_many(np.fft.ifft2, (-2, -1)),
    np.fft.fftn: _adjoint_of_many(np.fft.fftn, None),
    np.fft.ifftn: _adjoint_of_many(np.fft.ifftn, None),
    np.fft.rfft: _rfft,
    np.fft.irfft: _irfft,
}
for _fun, _vjp in TRANSFORMS.items():
    add_primitive(_fun, _vjp)


def _lengths_and_axes(x, s, axes):
    """The length (None: as it is) and the axis of each one-dimensional transform; the last comes last."""
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    lengths = [None] * len(axes) if s is None else [None if n == -1 else n for n in s]
    return list(zip(lengths, axes, strict=True))


@composite(np.fft.rfftn)
def rfftn(a, s=None, axes=None, norm=None):
    *others, (n, axis) = _lengths_and_axes(a, s, axes)
    a = np.fft.rfft(a, n, axis, norm)
    for n, axis in others[::-1]:
        a = np.fft.fft(a, n, axis, norm)
    return a


@composite(np.fft.irfftn)
def irfftn(a, s=None, axes=None, norm=None):
    *others, (last, last_axis) = _lengths_and_axes(a, s, axes)
    for n, axis in others:
        a = np.fft.ifft(a, n, axis, norm)
    return np.fft.irfft(a, last, last_axis, norm)


@composite(np.fft.rfft2)
def rfft2(a, s=None, axes=(-2, -1), norm=None):
    return rfftn(a, s, axes, norm)


@composite(np.fft.irfft2)
def irfft2(a, s=None, axes=(-2, -1), norm=None):
    return irfftn(a, s, axes, norm)


@composite(np.fft.hfft)
def hfft(a, n=None, axis=-1, norm=None):
    return np.fft.irfft(conj(a), n, axis, _opposite(norm))


@composite(np.fft.ihfft)
def ihfft(a, n=None, axis=-1, norm=None):
    return conj(np.fft.rfft(a, n, axis, _opposite(norm)))


@composite(np.fft.fftshift)
def fftshift(x, axes=None):
    axes = tuple(range(x.ndim)) if axes is None else (axes,) if np.ndim(axes) == 0 else tuple(axes)
    return np.roll(x, [x.shape[axis] // 2 for axis in axes], axes)


@composite(np.fft.ifftshift)
def ifftshift(x, axes=None):
    axes = tuple(range(x.ndim)) if axes is None else (axes,) if np.ndim(axes) == 0 else tuple(axes)
    return np.roll(x, [-(x.shape[axis] // 2) for axis in axes], axes)


@primitive(
    lambda g, _ans, _a, v: _convolved(g, conj(v)[::-1])[len(v) - 1 : len(g)],
    lambda g, _ans, a, _v: _convolved(g, conj(a)[::-1])[len(a) - 1 : len(g)],
)
def _convolved(a, v):
    return np.convolve(a, v)


@composite(np.convolve)
def convolve(a, v, mode="full"):
    a, v = np.atleast_1d(as_array(a)), np.atleast_1d(as_array(v))
    full = _convolved(a, v)
    long, short = sorted((len(a), len(v)), reverse=True)
    if mode == "same":
        return full[(short - 1) // 2 :][:long]
    if mode == "valid":
        return full[short - 1 : long]
    return full if mode == "full" else NotImplemented


@composite(np.correlate)
def correlate(a, v, mode="valid"):
    a, v = np.atleast_1d(as_array(a)), np.atleast_1d(as_array(v))
    full = _convolved(a, conj(v)[::-1])
    long, short = max(len(a), len(v)), min(len(a), len(v))
    if mode == "same":
        # NumPy swaps the two if the first is shorter, and reverses the result.
        return full[(short - 1) // 2 if len(a) >= len(v) else short // 2 :][:long]
    if mode == "valid":
        return full[short - 1 : long]
    return full if mode == "full" else NotImplemented


@composite(np.interp)
def interp(x, xp, fp, left=None, right=None, period=None):
    x, xp, fp = as_array(x), as_array(xp), as_array(fp)
    if period is not None:
        period = abs(period)
        order = np.argsort(xp % period)
        xp, fp = (xp % period)[order], fp[order]
        x, xp = x % period, np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp, left, right = np.concatenate([fp[-1:], fp, fp[:1]]), None, None
    i = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, max(len(xp) - 2, 0))
    following = np.minimum(i + 1, len(xp) - 1)
    width = xp[following] - xp[i]
    slope = (fp[following] - fp[i]) / np.where(width == 0, 1, width)
    result = slope * (x - xp[i]) + fp[i]
    result = np.where(x < xp[0], fp[0] if left is None else left, result)
    result = np.where(x > xp[-1], fp[-1] if right is None else right, result)
    # Double precision, whatever the dtypes of the arguments.
    return result.astype(np.result_type(result.dtype, float))


@composite(np.gradient)
def gradient(f, *varargs, axis=None, edge_order=1):
    f = as_array(f)
    axes = range(f.ndim) if axis is None else np.atleast_1d(axis).tolist()
    steps = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    gradients = []
    for i, step in zip(axes, steps, strict=True):
        rows = np.moveaxis(f, i, -1)
        # The slopes between neighbours, and the distances between them.
        widths = np.diff(as_array(step)) if np.ndim(step) else step * np.ones(rows.shape[-1] - 1, rows.real.dtype)
        slopes = (rows[..., 1:] - rows[..., :-1]) / widths
        before, after = widths[:-1], widths[1:]
        share = after / (before + after)
        inside = share * slopes[..., :-1] + (1 - share) * slopes[..., 1:]
        first, last = slopes[..., :1], slopes[..., -1:]
        if edge_order == 2:
            first = first + (first - slopes[..., 1:2]) * (1 - share[:1])
            last = last + (last - slopes[..., -2:-1]) * share[-1:]
        whole = np.concatenate([first, inside, last], -1)
        gradients.append(np.moveaxis(whole, -1, i).astype(np.result_type(f, np.float16)))
    return gradients[0] if len(gradients) == 1 else tuple(gradients)


@composite(np.diff)
def diff(a, n=1, axis=-1, prepend=None, append=None):
    if prepend is not None or append is not None:
        one = [1 if i == axis % a.ndim else m for i, m in enumerate(a.shape)]
        parts = [p for p in (prepend, a, append) if p is not None]
        a = np.concatenate([p if np.ndim(p) else np.broadcast_to(p, one) for p in parts], axis)
    for _ in range(n):
        before = (slice(None),) * normalize_axis_index(axis, a.ndim)
        a = a[(*before, slice(1, None))] - a[(*before, slice(None, -1))]
    return a


@composite(np.ediff1d)
def ediff1d(ary, to_end=None, to_begin=None):
    ary = np.ravel(ary)
    parts = (to_begin, ary[1:] - ary[:-1], to_end)
    return np.concatenate([np.ravel(part).astype(ary.dtype) for part in parts if part is not None])


@composite(np.trapezoid)
def trapezoid(y, x=None, dx=1.0, axis=-1):
    y = as_array(y)
    before = (slice(None),) * normalize_axis_index(axis, np.ndim(y))
    if x is not None:
        x = as_array(x)
        dx = np.diff(x, axis=0 if np.ndim(x) == 1 else axis)
        if np.ndim(x) == 1:
            dx = np.reshape(dx, (-1,) + (1,) * (np.ndim(y) - len(before) - 1))
    return np.sum(dx * (y[(*before, slice(1, None))] + y[(*before, slice(None, -1))]) / 2, axis=axis)
