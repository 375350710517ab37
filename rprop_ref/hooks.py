"""Hooks: functions that run before or after a step or a state dict, and the handles that remove them."""

from __future__ import annotations

import functools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Hook]


class RemovableHandle:
    """What registering a hook returns: `remove` removes the hook.

    As a context manager it removes the hook at the end of the block. It does not keep the optimizer alive.
    Removing a hook twice, or after the optimizer is gone, does nothing. A copied or unpickled handle keeps the
    number but removes nothing, since the hooks themselves are not copied.

    Attributes
    ----------
    id : int
        The key of the hook in the optimizer's ordered dict of hooks; unique within the process.
    """

    next_id = 0

    def __init__(self, hooks: Hooks) -> None:
        self._hooks: Callable[[], Hooks | None] = weakref.ref(hooks)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1

    def remove(self) -> None:
        """Remove the hook if it is still registered."""
        hooks = self._hooks()
        if hooks is not None:
            hooks.pop(self.id, None)

    def __getstate__(self) -> int:
        return self.id

    def __setstate__(self, number: int) -> None:
        self._hooks = _no_hooks
        self.id = number

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def _no_hooks() -> None:
    """Stands for the weak reference of a handle that was copied: there are no hooks to remove from."""


def register(hooks: Hooks, hook: Hook, *, prepend: bool = False) -> RemovableHandle:
    """Add a hook at the end, or at the beginning, and return its handle."""
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


_every_step_pre: Hooks = OrderedDict()
_every_step_post: Hooks = OrderedDict()


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Run a hook before every step of every optimizer, before the optimizer's own hooks.

    Parameters
    ----------
    hook : callable
        ``hook(optimizer, args, kwargs) -> None or (new_args, new_kwargs)``, see
        `Optimizer.register_step_pre_hook`.

    Returns
    -------
    RemovableHandle
    """
    return register(_every_step_pre, hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Run a hook after every step of every optimizer, after the optimizer's own hooks.

    Parameters
    ----------
    hook : callable
        ``hook(optimizer, args, kwargs) -> None``.

    Returns
    -------
    RemovableHandle
    """
    return register(_every_step_post, hook)


def with_step_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the ``step`` of an optimizer class so that it runs the hooks."""

    @functools.wraps(step)
    def hooked_step(self: Any, *args: Any, **kwargs: Any) -> Any:
        before, after = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        if not (before or after or _every_step_pre or _every_step_post):
            return step(self, *args, **kwargs)
        running = self.__dict__.get("_step_with_hooks")
        if running is not None and running is not step:
            return step(self, *args, **kwargs)  # super().step(): the subclass has run the hooks
        all_args: tuple[Any, ...] = (self, *args)
        for hook in (*_every_step_pre.values(), *before.values()):
            replacement = hook(self, all_args, kwargs)
            if replacement is None:
                continue
            if not (isinstance(replacement, tuple) and len(replacement) == 2):
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got {replacement}."
                )
            all_args, kwargs = replacement
        self._step_with_hooks = step
        try:
            value = step(all_args[0], *all_args[1:], **kwargs)  # without arguments an IndexError, as in torch
        finally:
            self._step_with_hooks = running
        for hook in (*after.values(), *_every_step_post.values()):
            hook(self, all_args, kwargs)
        return value

    hooked_step.hooked = True  # type: ignore[attr-defined]
    return hooked_step
