"""Functions on Tensors: grad, value_and_grad, logsumexp, softmax."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._core.checks import check_plain, described, is_not_finite
from . import _reductions
from ._engine import NO_GRADIENT, backward
from ._foreign import is_raised_by_others
from ._graph import NO_KEYWORDS, Node, is_differentiated, source
from ._mode import Recording, differentiated, enable_grad
from ._primitives import PRIMITIVES
from ._tensor import Tensor
from ._traced import kind_of


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
        What to differentiate (their sum).
    inputs : Tensor or sequence of Tensor
        Leaves, or values computed from them.
    grad_outputs : array_like or sequence of array_like or None, optional
        The gradient of the final loss with respect to each output; may be None for a real output of one element.
    retain_graph : bool, optional
        Keep the graph for another pass; the default is `create_graph`.
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
        Whenever ``torch.autograd.grad`` raises it, in its words.

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
    elif isinstance(outputs, Tensor) and not isinstance(grad_outputs, (list, tuple)):
        seeds = [grad_outputs]
    else:
        seeds = list(grad_outputs)
    if len(seeds) != len(outs):
        raise RuntimeError(f"got {len(outs)} tensors and {len(seeds)} gradients")
    if not all(tensor.requires_grad for tensor in ins):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    gradients = backward(
        list(zip(outs, seeds, strict=True)),
        retain=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
        wanted=ins,
    )
    for i, g in enumerate(gradients):
        if g is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {i} appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior."
            )
    return tuple(gradients)


def value_and_grad(fun: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Callable[..., tuple[Any, Any]]:
    """Turn a function of arrays into one that returns its value and its gradient.

    Parameters
    ----------
    fun : callable
        Takes arrays (and any other arguments) and returns one real number, computed with NumPy's functions.
    argnums : int or sequence of int, optional
        The positional arguments with respect to which to differentiate.

    Returns
    -------
    callable
        Takes the same arguments and returns ``(value, gradient)``: the value as a NumPy scalar, the gradient as an
        array of the shape and dtype of the argument (integers become float64), or a tuple of arrays if `argnums`
        is a sequence. `rprop_ref.minimize` takes it with ``jac=True``. Where the function returns a constant that
        is infinite or NaN, to say that it is not defined there, the gradient is NaN. Called inside the function of
        another `value_and_grad`, it returns Tensors if the results depend on the arguments of that one.

    Raises
    ------
    TypeError
        If the result was not computed from the arguments by recorded operations, or if a value on the way is
        converted to a number (``float``, ``math.sin``, ``item``) or written into a plain array, which would lose
        its gradient.

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
        for i in positions:
            args_list[i] = _variable(args[i], f"argument {i}")
        variables = [args_list[i] for i in positions]
        is_nested = False
        try:
            value = _call_strictly(fun, args_list, kwargs, variables)
            # Inside another call, the results are Tensors if they depend on its variables.
            is_nested = is_differentiated(value)
            number, gradients = _number_and_gradients(value, variables, is_nested)
        finally:
            if not is_nested:
                _end(variables)
        return number, gradients[0] if isinstance(argnums, int) else gradients

    return call


def _number_and_gradients(value: Any, variables: Sequence[Tensor], is_nested: bool) -> tuple[Any, tuple[Any, ...]]:
    """What value_and_grad returns for what its function has returned."""
    if not isinstance(value, Tensor) or not value.requires_grad:
        constant = value.data if isinstance(value, Tensor) else value
        if is_not_finite(constant):
            undefined = tuple(np.full(v.shape, np.nan, v.dtype) for v in variables)
            return np.float64(np.asarray(constant).item()), undefined
        raise _no_gradient(value)
    if value.size != 1:  # torch's words, and what to look for
        raise RuntimeError(
            "grad can be implicitly created only for scalar outputs; the function must return one number, but "
            f"returned an array of shape {value.shape}"
        )
    found = backward([(value, None)], retain=is_nested, create_graph=is_nested, wanted=variables, strict=True)
    # Copied, because a gradient may be an array of the caller's.
    gradients = tuple(
        np.zeros(v.shape, v.dtype) if g is None else g.copy() for v, g in zip(variables, found, strict=True)
    )
    return value.reshape(()) if is_nested else value.data.reshape(())[()], gradients


# The history of a variable whose call has ended: what an objective keeps from one call is refused in the next.
_ENDED = Node(PRIMITIVES[np.copy], (), NO_KEYWORDS, (), np.zeros(()))
_ENDED.free()


def _end(variables: Sequence[Tensor]) -> None:
    for variable in variables:
        if variable._node is None:
            variable._node = _ENDED


def _variable(arg: Any, name: str) -> Tensor:
    """An argument as a Tensor of its own that requires a gradient."""
    if is_differentiated(arg):
        copied: Tensor = arg.copy()
        return copied
    check_plain(arg, name)
    array = np.asarray(arg)
    variable = Tensor(array.astype(float) if array.dtype.kind in "biu" else array, requires_grad=True)
    variable._kind = kind_of(arg)
    return variable


def _no_gradient(value: Any) -> TypeError:
    """The error for a function that returned a value without a gradient."""
    if value is None:
        return TypeError("the function returned None, but must return one number; is there a return missing?")
    if isinstance(value, (tuple, list)):
        return TypeError(
            f"the function returned {described(value)}, but must return one number; if it returns its gradient "
            "too, nothing has to be derived: did you mean jac=True?"
        )
    return TypeError(
        f"{NO_GRADIENT}: the function returned {described(value)} that does not depend on its argument by "
        "recorded operations. float(), item(), tolist() and .data leave the tape; outside its domain it may "
        "return numpy.inf, but no finite constant"
    )


def _call_strictly(
    fun: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], variables: Sequence[Tensor]
) -> Any:
    """Call a function and record it; a value that leaves the tape is an error."""
    recording = Recording()
    sources = set(map(source, variables))
    differentiated.update(dict.fromkeys(sources, recording))
    try:
        with enable_grad():
            result = fun(*args, **kwargs)
    except Exception as error:
        # Other packages catch the refusal, and raise an error that says nothing of it; NumPy, for instance,
        # "setting an array element with a sequence".
        refused: Any = recording.refused
        if refused is None or error is refused or not (error.__cause__ is refused or is_raised_by_others(error)):
            raise
        raise refused from error
    else:
        if recording.refused is not None:
            # The function has caught the error, and returned what it would not have returned for arrays.
            raise recording.refused
        return result
    finally:
        for variable in sources:
            del differentiated[variable]


def logsumexp(a: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """The logarithm of a sum of exponentials, without overflow.

    Parameters
    ----------
    a : Tensor or array_like
    axis : int or tuple of int, optional
        The axes to sum over; all by default.
    keepdims : bool, optional
        Keep the axes, with length one.

    Returns
    -------
    Tensor or ndarray
        A Tensor if `a` is one.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import autograd
    >>> float(autograd.logsumexp(np.array([1000.0, 1000.0])).round(6))
    1000.693147
    """
    return _reductions._logsumexp(a if isinstance(a, Tensor) else np.asarray(a), axis, keepdims)


def softmax(a: Any, axis: int | tuple[int, ...] | None = None) -> Any:
    """Exponentials divided by their sum, without overflow.

    Parameters
    ----------
    a : Tensor or array_like
        Real.
    axis : int or tuple of int, optional
        The axes over which the result sums to one; all by default.

    Returns
    -------
    Tensor or ndarray
        A Tensor if `a` is one.

    Examples
    --------
    >>> import numpy as np
    >>> from rprop_ref import autograd
    >>> autograd.softmax(np.log([1.0, 3.0]))
    array([0.25, 0.75])
    """
    return _reductions._softmax(a if isinstance(a, Tensor) else np.asarray(a), axis)
