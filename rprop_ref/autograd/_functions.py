"""What is built on Tensors and the engine: derivatives of functions, their check, logsumexp and softmax."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import _reductions
from ._engine import NO_GRADIENT, backward
from ._mode import enable_grad, mode
from ._tensor import LeavesTapeError, Tensor

Array = np.ndarray[Any, Any]


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """The gradients of outputs with respect to inputs, without touching ``grad`` of any leaf.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
        What to differentiate (the sum of them).
    inputs : Tensor or sequence of Tensor
        Leaves, or values computed on the way.
    grad_outputs : array_like or sequence of array_like or None, optional
        The gradient of the final loss with respect to each output; None for real outputs of one element.
    retain_graph : bool, optional
        Keep what was recorded for another pass; the default is `create_graph`.
    create_graph : bool, optional
        Record the pass, so that the gradients can be differentiated again.
    allow_unused : bool, optional
        Return None for an input that the outputs do not depend on, instead of raising.

    Returns
    -------
    tuple of (ndarray or Tensor or None)
        One for each input: arrays, or Tensors with `create_graph`.

    Raises
    ------
    RuntimeError
        With the words of ``torch.autograd.grad`` where it refuses the same thing.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import Tensor, autograd
    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> (first,) = autograd.grad(np.sum(x**3), x, create_graph=True)
    >>> autograd.grad(np.sum(first), x)
    (array([ 6., 12.]),)
    """
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not ins:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for kind, tensors in (("outputs", outs), ("inputs", ins)):
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{kind} of grad() must be Tensors, but got {type(tensor).__name__}")
    if grad_outputs is None:
        seeds = [None] * len(outs)
    else:
        seeds = (
            [grad_outputs]
            if isinstance(outputs, Tensor) and not isinstance(grad_outputs, (list, tuple))
            else list(grad_outputs)
        )
    if len(seeds) != len(outs):
        raise RuntimeError(f"got {len(outs)} tensors and {len(seeds)} gradients")
    if not all(tensor.requires_grad for tensor in ins):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    found = backward(
        list(zip(outs, seeds, strict=True)),
        retain=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
        wanted=ins,
    )
    for i, g in enumerate(found):
        if g is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
    return tuple(found)


def value_and_grad(fun: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., tuple[Any, Any]]:
    """Make of a function of arrays one that returns its value and its gradient.

    Parameters
    ----------
    fun : callable
        Takes arrays (any arguments) and returns one real number, computed with NumPy's functions.
    argnums : int or sequence of int, optional
        The positional arguments to differentiate by.

    Returns
    -------
    callable
        Of the same arguments; returns ``(value, gradient)``: the value as a NumPy scalar, the gradient as an array
        of the shape and dtype of the argument (integers become float64), or a tuple of arrays if `argnums` is a
        sequence. `rprop_ref.minimize` takes it with ``jac=True``.

    Raises
    ------
    TypeError
        If the value did not come from the arguments by recorded operations, or one on the way is converted to a
        number (``float``, ``math.sin``, ``item``) or written into a plain array, which would lose its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import autograd, minimize
    >>> def fun(x):
    ...     return np.sum((x - [3, -1]) ** 2)
    >>> value, gradient = autograd.value_and_grad(fun)(np.zeros(2))
    >>> print(value, gradient)
    10.0 [-6.  2.]
    >>> minimize(autograd.value_and_grad(fun), [1.0, 1.0], jac=True).x.round(6)
    array([ 3., -1.])
    """
    positions = [argnums] if isinstance(argnums, int) else list(argnums)

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        args_list = list(args)
        variables = []
        for i in positions:
            array = np.asarray(args[i])
            if array.dtype.kind in "biu":
                array = array.astype(float)
            args_list[i] = Tensor(array, requires_grad=True)
            variables.append(args_list[i])
        before, mode.strict = mode.strict, True
        try:
            with enable_grad():
                value = fun(*args_list, **kwargs)
        except ValueError as error:
            # NumPy says "setting an array element with a sequence" of a Tensor that refuses to become a number.
            if isinstance(error.__cause__, LeavesTapeError):
                raise error.__cause__.with_traceback(error.__traceback__) from None
            raise
        finally:
            mode.strict = before
        if not isinstance(value, Tensor) or not value.requires_grad:
            raise TypeError(
                f"{NO_GRADIENT}: the function returned a {type(value).__name__} that does not depend on its "
                "argument by recorded operations; float(), item(), tolist() and .data leave the tape"
            )
        found = grad(value, variables, allow_unused=True)
        # As a copy where the gradient could be an array of the caller's.
        gradients = [
            np.zeros(v.shape, v.dtype) if g is None else np.array(g) for v, g in zip(variables, found, strict=True)
        ]
        number = value.data.reshape(())[()]
        return number, gradients[0] if isinstance(argnums, int) else tuple(gradients)

    return call


def logsumexp(a: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """The logarithm of a sum of exponentials, without overflow.

    Parameters
    ----------
    a : Tensor or array_like
    axis : int or tuple of int, optional
        Over which axes to sum; all by default.
    keepdims : bool, optional
        Keep the axes, with length one.

    Returns
    -------
    Tensor or ndarray
        Of a Tensor, a Tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import autograd
    >>> float(autograd.logsumexp(np.array([1000.0, 1000.0])).round(6))
    1000.693147
    """
    return _reductions._logsumexp(a if isinstance(a, Tensor) else np.asarray(a), axis, keepdims)


def softmax(a: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Exponentials over their sum, without overflow.

    Parameters
    ----------
    a : Tensor or array_like
        Real.
    axis : int or tuple of int, optional
        Over which axes the result sums to one; all by default.

    Returns
    -------
    Tensor or ndarray
        Of a Tensor, a Tensor.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import autograd
    >>> autograd.softmax(np.log([1.0, 3.0]))
    array([0.25, 0.75])
    """
    return _reductions._softmax(a if isinstance(a, Tensor) else np.asarray(a), axis)


# -----------------------------------------------------------------------------------------------------------
# Checking


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    second_order: bool = True,
    seed: int = 0,
) -> bool:
    """Compare the gradients of a function with finite differences.

    Parameters
    ----------
    fn : callable
        Takes Tensors, and returns one or a sequence of them.
    inputs : array_like or sequence of array_like
        Where to check. float64 and complex128 arrays are differentiated by; others are passed on as they are.
    eps : float, optional
        The step of the central differences.
    atol, rtol : float, optional
        Two numbers agree if they differ by no more than ``atol + rtol * abs(numerical)``.
    second_order : bool, optional
        Check the derivatives of the gradients as well.
    seed : int, optional
        Of the random gradients of the outputs to begin with.

    Returns
    -------
    bool
        True, always.

    Raises
    ------
    AssertionError
        If they do not agree, with both numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import autograd
    >>> autograd.gradcheck(lambda x: np.sin(x) * x, np.array([0.5, 2.0]))
    True
    """
    given = [inputs] if isinstance(inputs, (np.ndarray, Tensor)) else list(inputs)
    arrays: list[Array] = [a.data if isinstance(a, Tensor) else np.asarray(a) for a in given]
    rng = np.random.default_rng(seed)
    _check(fn, arrays, eps, atol, rtol, rng, "gradient")
    if second_order:
        outputs = [o.data for o in _outputs(fn, arrays)[1]]
        cotangents = [_random(rng, o) for o in outputs]
        count = len(arrays)

        def gradient(*values: Any) -> list[Any]:
            outs = _as_list(fn(*values[:count]))
            wrt = [v for v in values[:count] if isinstance(v, Tensor) and v.requires_grad]
            pairs = [(o, c) for o, c in zip(outs, values[count:], strict=True) if o.requires_grad]
            found = grad([o for o, _ in pairs], wrt, [c for _, c in pairs], create_graph=True, allow_unused=True)
            return [g for g in found if g is not None and g.requires_grad]

        _check(gradient, [*arrays, *cotangents], eps, atol, rtol, rng, "second derivative")
    return True


def _as_list(found: Any) -> list[Any]:
    return [found] if isinstance(found, Tensor) else list(found)


def _random(rng: np.random.Generator, like: Array) -> Array:
    found: Any = rng.standard_normal(like.shape)
    if like.dtype.kind == "c":
        found = found + 1j * rng.standard_normal(like.shape)
    return np.asarray(found, like.dtype)


def _outputs(fn: Callable[..., Any], arrays: Sequence[Array]) -> tuple[list[Tensor | Array], list[Tensor]]:
    values: list[Any] = [
        Tensor(a.copy(), requires_grad=True) if a.dtype in (np.float64, np.complex128) else a for a in arrays
    ]
    with enable_grad():
        return values, _as_list(fn(*values))


def _check(
    fn: Callable[..., Any], arrays: list[Array], eps: float, atol: float, rtol: float, rng: Any, what: str
) -> None:
    values, outs = _outputs(fn, arrays)
    outs = [o for o in outs if o.requires_grad]
    if not outs:
        if what == "gradient":
            raise AssertionError("no output depends on the inputs by recorded operations")
        return
    cotangents = [_random(rng, o.data) for o in outs]
    variables = [v for v in values if isinstance(v, Tensor)]
    found = grad(outs, variables, cotangents, allow_unused=True)

    def projected(changed: list[Array]) -> float:
        others = [o for o in _outputs(fn, changed)[1] if o.requires_grad]
        total = sum(np.sum(np.real(np.conj(c) * o.data)) for c, o in zip(cotangents, others, strict=True))
        return float(total)

    wrt = [i for i, v in enumerate(values) if isinstance(v, Tensor)]
    for i, g in zip(wrt, found, strict=True):
        analytical = np.zeros_like(arrays[i]) if g is None else g
        for index in np.ndindex(arrays[i].shape):
            for direction in (1.0 + 0j, 1.0j) if arrays[i].dtype.kind == "c" else (1.0 + 0j,):
                ends = []
                for sign in (1, -1):
                    moved = list(arrays)
                    moved[i] = arrays[i].copy()
                    moved[i][index] += sign * eps * (direction if arrays[i].dtype.kind == "c" else 1.0)
                    ends.append(projected(moved))
                numerical = (ends[0] - ends[1]) / (2 * eps)
                ours = float(np.real(np.conj(direction) * analytical[index]))
                if not abs(ours - numerical) <= atol + rtol * abs(numerical):
                    part = " (imaginary part)" if direction == 1.0j else ""
                    raise AssertionError(
                        f"the {what} with respect to element {index}{part} of input {i} is {ours!r}, but finite "
                        f"differences give {numerical!r}"
                    )
