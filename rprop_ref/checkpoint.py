"""Checkpoints: an optimizer, its parameters and its schedule in one file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from cuda_kernels.arrays import DeviceArray

from ._common import npz
from .interop import state_dict_to_host
from .lr_scheduler import LRScheduler, undone_on_failure
from .optimizer import Optimizer

_KIND, _VERSION = "checkpoint", 1


def save_checkpoint(
    path: npz.Path, optimizer: Optimizer, scheduler: LRScheduler | None = None, *, extra: Any = None
) -> None:
    """Save parameters, optimizer and scheduler, so that a run loaded with `load_checkpoint` continues bit for bit.

    Parameters
    ----------
    path : str or path-like
        The file, usually ending in ``.npz``. An existing file is replaced atomically, once the new one is
        complete on disk: after a crash there is either the old file or the new one.
    optimizer : Optimizer
        Its parameters are saved too.
    scheduler : LRScheduler, optional
        A scheduler of the optimizer.
    extra : object, optional
        Anything else to keep, such as the epoch: numbers, strings, None, arrays of numbers, and lists, tuples and
        dicts of these. `load_checkpoint` returns it.

    Raises
    ------
    TypeError
        If an option of a group, the scheduler or `extra` holds anything else. Nothing has been written then.
    OSError
        If the file cannot be written.

    Notes
    -----
    Arrays on a GPU are copied to the host. A file can be loaded for parameters on the host or on a GPU, wherever
    it was saved.

    The file is an npz archive (`numpy.load` reads its arrays) with a manifest in JSON: version of the format,
    names, dtypes and shapes of the arrays, the options, and a SHA-256 digest of everything. It contains no pickle.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from rprop_ref import Parameter, Rprop, load_checkpoint, save_checkpoint
    >>> def step(p, optimizer):
    ...     p.grad = 2 * p.data
    ...     optimizer.step()
    >>> p = Parameter(np.array([1.0, -2.0]))
    >>> optimizer = Rprop([p], lr=0.1)
    >>> step(p, optimizer)
    >>> path = os.path.join(tempfile.mkdtemp(), "run.npz")
    >>> save_checkpoint(path, optimizer, extra={"epoch": 1})
    >>> q = Parameter(np.zeros(2))
    >>> other = Rprop([q])
    >>> load_checkpoint(path, other)
    {'epoch': 1}
    >>> step(p, optimizer), step(q, other)
    (None, None)
    >>> p.data, q.data
    (array([ 0.78, -1.78]), array([ 0.78, -1.78]))
    """
    tree = {
        "param": state_dict_to_host([p._array for p in _params(optimizer)]),
        "optimizer": state_dict_to_host(optimizer.state_dict()),
        "scheduler": None if scheduler is None else [type(scheduler).__name__, scheduler.state_dict()],
        "extra": extra,
    }
    npz.write(path, _KIND, _VERSION, tree)


def load_checkpoint(path: npz.Path, optimizer: Optimizer, scheduler: LRScheduler | None = None) -> Any:
    """Load what `save_checkpoint` saved into an optimizer, its parameters and a scheduler.

    First build the optimizer, with parameters of the same shapes and dtypes in the same order, and the scheduler.

    Parameters
    ----------
    path : str or path-like
        A file from `save_checkpoint`. Untrusted files are safe to load: nothing in them is run.
    optimizer : Optimizer
        Its state and options are replaced, and its parameters are written in place.
    scheduler : LRScheduler, optional
        Required if, and only if, a scheduler was saved; it must be of the same class.

    Returns
    -------
    object
        The `extra` that was saved.

    Raises
    ------
    ValueError
        If the file is damaged, is not a checkpoint, is of a later version, or does not fit the optimizer. Neither
        the optimizer nor a parameter nor the scheduler has been changed then.
    OSError
        If the file cannot be read.
    """
    tree = npz.read(path, _KIND, _VERSION)
    try:
        saved, values, schedule = tree["optimizer"], tree["param"], tree["scheduler"]
        _check_params(optimizer, values)
        _check_state(saved, values)
        _check_scheduler(scheduler, schedule)
        with _restored_on_failure(optimizer, scheduler):
            if scheduler is not None:
                scheduler.load_state_dict(schedule[1])
            optimizer.load_state_dict(saved)
    except _MisfitError as error:
        raise ValueError(f"cannot load {os.fspath(path)!r}: {error}") from None
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        # The digest was right, so somebody other than save_checkpoint wrote this file on purpose.
        raise ValueError(f"cannot load {os.fspath(path)!r}: {type(error).__name__}: {error}") from error
    for param, value in zip(_params(optimizer), values, strict=True):
        param._load(value)
    return tree["extra"]


@contextlib.contextmanager
def _restored_on_failure(optimizer: Optimizer, scheduler: LRScheduler | None) -> Iterator[None]:
    """Restore optimizer and scheduler if loading fails half-way, in a hook for instance."""
    # Loading replaces state and groups by new objects, so the old ones need not be copied.
    before = {"state": optimizer.state, "param_groups": optimizer.param_groups}
    try:
        with contextlib.nullcontext() if scheduler is None else undone_on_failure(scheduler):
            yield
    except BaseException:
        optimizer.__setstate__(before)
        raise


class _MisfitError(Exception):
    """Why a checkpoint does not fit."""


def _params(optimizer: Optimizer) -> list[Any]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _check_params(optimizer: Optimizer, values: list[Any]) -> None:
    params = _params(optimizer)
    if len(values) != len(params):
        raise _MisfitError(f"it has {len(values)} parameters, but the optimizer has {len(params)}")
    for i, (param, value) in enumerate(zip(params, values, strict=True)):
        if not isinstance(value, np.ndarray) or value.shape != param.shape or value.dtype != param.dtype:
            saved = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else repr(value)
            raise _MisfitError(f"its parameter {i} is {saved}, but the optimizer's is {param.dtype} {param.shape}")
        data = param._array
        if not (data if isinstance(data, DeviceArray) else data.flags).writeable:
            raise _MisfitError(f"parameter {i} of the optimizer is read-only")


def _check_state(saved: dict[str, Any], values: list[Any]) -> None:
    numbers = [number for group in saved["param_groups"] for number in group["params"]]
    if len(numbers) != len(values):
        raise _MisfitError(f"it has {len(values)} parameters, but its groups list {len(numbers)}")
    for number, value in zip(numbers, values, strict=True):
        for key, entry in saved["state"].get(number, {}).items():
            if isinstance(entry, np.ndarray) and entry.shape != (() if key == "step" else value.shape):
                raise _MisfitError(f"its {key} of parameter {number} has shape {entry.shape}, not {value.shape}")


def _check_scheduler(scheduler: LRScheduler | None, saved: Any) -> None:
    name = None if scheduler is None else type(scheduler).__name__
    saved_name = None if saved is None else saved[0]
    if name != saved_name:
        raise _MisfitError(f"it was saved with scheduler {saved_name}, but is being loaded into {name}")
    if scheduler is not None and not _same_structure(scheduler.state_dict(), saved[1]):
        raise _MisfitError(f"it was saved with a {name} of different parts; build this one in the same way")


def _same_structure(state: dict[str, Any], saved: dict[str, Any]) -> bool:
    """Whether a scheduler with this state can load the saved one; some schedulers are made of others."""
    parts, saved_parts = state.get("_schedulers", []), saved.get("_schedulers", [])
    return (
        state.keys() == saved.keys()
        and len(state.get("lr_lambdas", [])) == len(saved.get("lr_lambdas", []))
        and len(parts) == len(saved_parts)
        and all(map(_same_structure, parts, saved_parts))
    )
