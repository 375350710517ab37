"""Conversions between arrays and torch's tensors that keep all bits, bfloat16 included."""

from __future__ import annotations

from typing import Any

import cases
import numpy as np

Array = np.ndarray[Any, Any]


def tensor_over(array: Array) -> Any:
    """A tensor that shares the memory and the layout of the array."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array_over(tensor: Any) -> Array:
    """An array that shares the memory of the tensor."""
    import torch

    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(cases.dtype_named("bfloat16"))  # type: ignore[no-any-return]
    return tensor.numpy()  # type: ignore[no-any-return]


def to_torch(array: Any) -> Any:
    """A tensor with memory of its own."""
    return tensor_over(np.array(array))


def from_torch(tensor: Any) -> Array:
    """An array with memory of its own."""
    return array_over(tensor).copy()
