"""torch tensors from arrays and back, with the same bits; bfloat16 included."""

from __future__ import annotations

from typing import Any

import cases
import numpy as np

Array = np.ndarray[Any, Any]


def tensor_over(array: Array) -> Any:
    """A tensor that shares the memory and layout of an array."""
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def array_over(tensor: Any) -> Array:
    """An array that shares the memory of a tensor."""
    import torch

    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(cases.dtype_named("bfloat16"))  # type: ignore[no-any-return]
    return tensor.numpy()  # type: ignore[no-any-return]


def to_torch(array: Any) -> Any:
    """A copy of an array, as a tensor."""
    return tensor_over(np.array(array))


def from_torch(tensor: Any) -> Array:
    """A copy of a tensor, as an array."""
    return array_over(tensor).copy()
