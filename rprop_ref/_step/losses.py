"""The losses of this step and the last one, for a rule that compares them."""

from __future__ import annotations

from typing import Any

from cuda_kernels.arrays import DeviceArray, is_on_device, view

from ..autograd import Tensor
from ..optimizer import Group


def loss_value(loss: Any, variant: str) -> float:
    """Return the loss as a number; refuse a missing one."""
    if loss is None:
        raise ValueError(
            f"variant {variant!r} compares the loss with that of the last step: call step(closure) with a closure "
            "that returns it, or step(loss=...)"
        )
    if is_on_device(loss):
        loss = view(loss)  # waits for the GPU; with `capturable` the loss stays there
    return float(loss.item() if isinstance(loss, (Tensor, DeviceArray)) else loss)


def is_worse(group: Group, loss: float) -> bool:
    """Whether the loss rose since the last step (fell, when maximizing); False at the first step and for NaN."""
    before = group.get("prev_loss")
    if before is None:
        return False
    if isinstance(before, DeviceArray):
        before = before.item()
    return bool(loss < before if group["maximize"] else loss > before)
