"""Arrays and state dicts of other libraries.

Importing this module imports no other library: a torch tensor, for instance, is recognised by its DLPack
interface. Only functions that handle torch's own objects import torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from cuda_kernels.arrays import DeviceArray

from ._core import dtypes
from ._core.checks import check_plain
from .rules import DEFAULT

__all__ = ["as_array", "state_dict_from_torch", "state_dict_to_host", "state_dict_to_torch"]

Array = np.ndarray[Any, Any]


def as_array(value: Any) -> Array:
    """View an array of any library as a NumPy array, without copying it.

    Parameters
    ----------
    value : ndarray, or any object in the memory of the host with DLPack or the buffer protocol
        For instance a torch tensor on the CPU, or an ``array.array``.

    Returns
    -------
    ndarray
        It shares the memory of `value`.

    Raises
    ------
    TypeError
        If `value` offers no such view: a torch tensor that requires a gradient (pass ``tensor.detach()``) or is
        bfloat16 (NumPy has no such dtype: pass ``tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)``), an
        array on a GPU, a list. Or if its arithmetic is not that of an array: a masked array, a matrix.
    """
    if type(value) is np.ndarray:
        return value
    check_plain(value, "an array")
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "__dlpack__"):
        if getattr(value, "is_neg", bool)():
            # torch would export it silently with the wrong sign.
            raise TypeError(f"cannot view a {kind} whose negative bit is set; pass tensor.resolve_neg()")
        try:
            return np.from_dlpack(value)
        except Exception as error:
            raise TypeError(
                f"cannot view a {kind} as a NumPy array: {error}. Pass a torch tensor that requires a gradient as "
                "tensor.detach(), and a bfloat16 tensor as "
                "tensor.detach().view(torch.int16).numpy().view(ml_dtypes.bfloat16)"
            ) from error
    try:
        return np.asarray(memoryview(value))
    except (TypeError, ValueError):
        raise TypeError(
            f"cannot view a {kind} as a NumPy array: it has neither DLPack nor the buffer protocol; "
            "pass numpy arrays"
        ) from None


def state_dict_to_host(state_dict: Any) -> Any:
    """Copy the arrays of a state dict that are on a GPU to the host.

    Parameters
    ----------
    state_dict : dict
        What `Rprop.state_dict` returned, or any nested dicts, lists and tuples.

    Returns
    -------
    dict
        The same structure, with NumPy arrays in place of the arrays on a GPU; nothing else is copied.
        `Rprop.load_state_dict` accepts it for parameters on the host and on a GPU.
    """
    return _mapped(state_dict, lambda array: array.copy_to_host() if isinstance(array, DeviceArray) else array)


def state_dict_from_torch(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Turn a state dict of ``torch.optim.Rprop`` into one that `Rprop.load_state_dict` accepts.

    Parameters
    ----------
    state_dict : dict
        What ``state_dict()`` of the torch optimizer returned. bfloat16 state needs the package ml_dtypes.

    Returns
    -------
    dict
        The same structure, with tensors copied to arrays, and one-element tensors in the options (such as a
        learning rate) turned into numbers.
    """
    return {
        "state": _mapped(state_dict["state"], copy_of_tensor),
        "param_groups": _mapped(state_dict["param_groups"], _option),
    }


def state_dict_to_torch(state_dict: dict[str, Any]) -> dict[str, Any]:
    """Turn a state dict of `Rprop` into one that ``torch.optim.Rprop.load_state_dict`` accepts.

    Parameters
    ----------
    state_dict : dict
        What `Rprop.state_dict` returned.

    Returns
    -------
    dict
        The same structure without ``"variant"``, and with arrays copied to tensors.

    Raises
    ------
    ValueError
        If a group has a rule other than torch's, "irprop-".
    """
    groups = state_dict["param_groups"]
    for group in groups:
        if group.get("variant", DEFAULT) != DEFAULT:
            raise ValueError(
                f"torch has only the rule {DEFAULT!r}, but a group has variant {group['variant']!r}, whose state "
                f"would mean something else in torch; only runs with variant={DEFAULT!r} can be exported"
            )
    import torch

    def tensor(array: Any) -> Any:
        array = array.copy_to_host() if isinstance(array, DeviceArray) else np.array(array)
        if array.dtype.name == "bfloat16":
            return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(array)

    return {
        "state": _mapped(state_dict["state"], tensor),
        "param_groups": [
            _mapped({key: value for key, value in group.items() if key != "variant"}, _option) for group in groups
        ],
    }


def _is_array_or_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return isinstance(value, (np.ndarray, DeviceArray)) or (torch is not None and isinstance(value, torch.Tensor))


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """A copy of nested dicts, lists and tuples with a function applied to the arrays and tensors in them."""
    if _is_array_or_tensor(value):
        return function(value)
    if isinstance(value, dict):
        return {key: _mapped(entry, function) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_mapped(entry, function) for entry in value)
    return value


def copy_of_tensor(tensor: Any) -> Array:
    """A copy of a torch tensor, device array or array, as an array on the host."""
    if isinstance(tensor, DeviceArray):
        return tensor.copy_to_host()
    if isinstance(tensor, np.ndarray):
        return tensor.copy()
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        import torch

        return np.array(tensor.view(torch.int16).numpy()).view(dtypes.named("bfloat16"))
    return np.array(tensor.numpy())


def _option(tensor: Any) -> Any:
    array = copy_of_tensor(tensor)
    return array if isinstance(tensor, np.ndarray) or array.size != 1 else array.item()
