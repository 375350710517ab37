"""Learning rate schedules, after ``torch.optim.lr_scheduler``.

A schedule sets ``lr`` in the groups of an optimizer. **Rprop reads lr once for each parameter, when its state is
created at its first gradient.** With Rprop a schedule therefore decides only first step sizes: a parameter whose
first gradient comes while the schedule is running starts with the rate of that moment. After a warm-up, for
instance, all parameters still have the rate that it began with. To change the steps of a run, edit
``state[p]["step_size"]``, ``step_sizes`` or ``etas``.

The sequences of rates are those of torch 2.13 to the bit.
"""

from __future__ import annotations

import contextlib
import math
import types
import warnings
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .autograd import Tensor, no_grad
from .optimizer import Optimizer

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

_EPOCH_DEPRECATED = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please "
    "use `scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, the "
    "closed form is used instead of the new chainable form, where available. Please open an issue if you are "
    "unable to replicate your use case: https://github.com/pytorch/pytorch/issues/new/choose."
)
_SEE = "See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
_STEP_REPLACED = (
    "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. Please, make "
    f"sure to call `optimizer.step()` before `lr_scheduler.step()`. {_SEE}"
)
_WRONG_ORDER = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, you should "
    "call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  Failure to do this will "
    f"result in PyTorch skipping the first value of the learning rate schedule. {_SEE}"
)


def _checked(optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer


def _rates(optimizer: Optimizer) -> list[float]:
    return [_rate(group["lr"]) for group in optimizer.param_groups]


def _rate(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


def _set_rate(group: dict[str, Any], rate: float) -> None:
    """Set a rate. A rate that is a Tensor is changed in place, as in torch."""
    if isinstance(group["lr"], Tensor):
        with no_grad():
            group["lr"][...] = rate
    else:
        group["lr"] = rate


class LRScheduler:
    """Base class of the schedules.

    Rprop reads ``lr`` only when the state of a parameter is created; see the head of this module.

    Parameters
    ----------
    optimizer : Optimizer
        All of its groups are scheduled. Building a schedule sets their rates to its first ones, even if the rates
        have just been loaded from a state dict: build schedulers first, then load.
    last_epoch : int, optional
        The last epoch of a run that is resumed; the groups must then have ``initial_lr``. -1 starts a new run.

    Attributes
    ----------
    base_lrs : list of float
        The rate of each group at the start; the group also has it, as ``initial_lr``.
    last_epoch : int
        How many times the schedule has been stepped.

    Notes
    -----
    A schedule is defined by `get_lr`, which computes the next rates from the present ones. It therefore respects
    changes that others have made in between, and schedules can be chained. ``step(epoch)`` goes straight to an
    epoch, with `_get_closed_form_lr` where a schedule has it.
    """

    #: Attributes that `state_dict` leaves out.
    _not_saved: tuple[str, ...] = ("optimizer",)

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = _checked(optimizer)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _rate(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler with "
                    "last_epoch >= 0.\nThis typically happens when:\n1. You're trying to resume training from a "
                    "checkpoint but haven't properly loaded the optimizer state\n2. You're using last_epoch >= 0 "
                    "for a fresh training run (not recommended)"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        _count_steps(optimizer)
        self._step_count = 0
        self._is_initial = False
        self._get_lr_called_within_step = False
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the first rates, with a step that is not counted."""
        self._step_count = 0
        self._is_initial = True
        self.step()
        self._is_initial = False

    def get_lr(self) -> list[float]:
        """Compute the next rate of each group from the present one; called by `step`."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group, as the last `step` set it."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer as a dict."""
        return {key: value for key, value in self.__dict__.items() if key not in self._not_saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned. This does not set the rates; loading the optimizer does."""
        self.__dict__.update(state_dict)

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to the one given, and set the rates."""
        if self._step_count == 1:
            self._check_order()
        if epoch is not None:
            warnings.warn(_EPOCH_DEPRECATED, UserWarning, stacklevel=2)
        with undone_on_failure(self):
            self._step_count += 1
            self._set_rates(epoch)

    def _check_order(self) -> None:
        step = self.optimizer.step
        if not hasattr(step, "_wrapped_by_lr_sched"):
            warnings.warn(_STEP_REPLACED, UserWarning, stacklevel=3)
        elif not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(_WRONG_ORDER, UserWarning, stacklevel=3)

    def _set_rates(self, epoch: int | None) -> None:
        if epoch is None:
            self.last_epoch += 1
            rates = self._called_within_step()
        else:
            self.last_epoch = epoch
            closed_form = getattr(self, "_get_closed_form_lr", None)
            rates = closed_form() if closed_form is not None else self._called_within_step()
        # A list, so that a wrong number of rates is refused before any rate is set.
        for group, rate in list(zip(self.optimizer.param_groups, rates, strict=True)):
            _set_rate(group, rate)
        self._last_lr = _rates(self.optimizer)

    def _called_within_step(self) -> list[float]:
        self._get_lr_called_within_step = True
        try:
            return self.get_lr()
        finally:
            self._get_lr_called_within_step = False

    def _present(self) -> list[float]:
        """The present rates; warns if `get_lr` was called by a user rather than by `step`."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )
        return _rates(self.optimizer)


@contextlib.contextmanager
def undone_on_failure(scheduler: LRScheduler) -> Iterator[None]:
    """Restore a scheduler, all its parts and the rates if the block raises."""
    before = [(part, dict(part.__dict__)) for part in _parts(scheduler)]
    rates = [(group, _rate(group["lr"])) for group in scheduler.optimizer.param_groups]
    try:
        yield
    except BaseException:
        for part, attributes in before:
            part.__dict__.clear()
            part.__dict__.update(attributes)
        for group, rate in rates:
            _set_rate(group, rate)
        raise


def _parts(scheduler: LRScheduler) -> Iterator[Any]:
    """The scheduler, the callable objects that it calls, and the parts of the schedulers it is made of."""
    yield scheduler
    yield from (f for f in getattr(scheduler, "lr_lambdas", ()) if hasattr(f, "__dict__"))
    for part in getattr(scheduler, "_schedulers", ()):
        yield from _parts(part)


def _count_steps(optimizer: Optimizer) -> None:
    """Make the optimizer record that it was stepped, so that `step` can warn about a wrong order; only once."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    # A weak reference, since otherwise the optimizer would keep itself alive.
    owner = weakref.ref(optimizer)
    plain = optimizer.step.__func__  # type: ignore[attr-defined]

    def step(*args: Any, **kwargs: Any) -> Any:
        optimizer = owner()
        optimizer._opt_called = True  # type: ignore[union-attr]
        return types.MethodType(plain, optimizer)(*args, **kwargs)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = step  # type: ignore[method-assign]


class LambdaLR(LRScheduler):
    """The first rate times a function of the epoch.

    Parameters
    ----------
    optimizer : Optimizer
    lr_lambda : callable or list of callable
        ``lr_lambda(epoch) -> factor``; one for all groups, or one for each. The state dict holds the attributes
        of callable objects, but not functions.
    last_epoch : int, optional
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.optimizer = _checked(optimizer)
        groups = len(optimizer.param_groups)
        if isinstance(lr_lambda, (list, tuple)):
            if len(lr_lambda) != groups:
                raise ValueError(f"Expected {groups} lr_lambdas, but got {len(lr_lambda)}")
            self.lr_lambdas = list(lr_lambda)
        else:
            self.lr_lambdas = [lr_lambda] * groups
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        del state["lr_lambdas"]  # so that it comes last, as in torch
        state["lr_lambdas"] = [
            None if isinstance(f, types.FunctionType) else dict(f.__dict__) for f in self.lr_lambdas
        ]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        for function, attributes in zip(self.lr_lambdas, state.pop("lr_lambdas"), strict=False):
            if attributes is not None:
                function.__dict__.update(attributes)
        super().load_state_dict(state)

    def get_lr(self) -> list[float]:
        self._present()
        pairs = zip(self.lr_lambdas, self.base_lrs, strict=True)
        return [base * factor(self.last_epoch) for factor, base in pairs]


class StepLR(LRScheduler):
    """The rate is multiplied by `gamma` every `step_size` epochs.

    Parameters
    ----------
    optimizer : Optimizer
    step_size : int
    gamma : float, optional
    last_epoch : int, optional
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        rates = self._present()
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return rates
        return [rate * self.gamma for rate in rates]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """The first rate times `factor` for `total_iters` epochs, then the first rate itself.

    Parameters
    ----------
    optimizer : Optimizer
    factor : float, optional
        Between 0 and 1.
    total_iters : int, optional
    last_epoch : int, optional
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if factor > 1.0 or factor < 0:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        rates = self._present()
        if self.last_epoch == 0:
            return [rate * self.factor for rate in rates]
        if self.last_epoch != self.total_iters:
            return rates
        return [rate * (1.0 / self.factor) for rate in rates]

    def _get_closed_form_lr(self) -> list[float]:
        is_over = self.last_epoch >= self.total_iters
        return [base * (self.factor + is_over * (1 - self.factor)) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """The first rate times a factor that goes from `start_factor` to `end_factor` in `total_iters` equal steps.

    Parameters
    ----------
    optimizer : Optimizer
    start_factor : float, optional
        Above 0, at most 1.
    end_factor : float, optional
        Between 0 and 1.
    total_iters : int, optional
    last_epoch : int, optional
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if start_factor > 1.0 or start_factor <= 0:
            raise ValueError(
                "Starting multiplicative factor expected to be greater than 0 and less or equal to 1."
            )
        if end_factor > 1.0 or end_factor < 0:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        rates = self._present()
        if self.last_epoch == 0:
            return [rate * self.start_factor for rate in rates]
        if self._is_initial or self.last_epoch > self.total_iters:
            return rates
        rise = self.end_factor - self.start_factor
        factor = 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)
        return [rate * factor for rate in rates]

    def _get_closed_form_lr(self) -> list[float]:
        rise = self.end_factor - self.start_factor
        done = min(self.total_iters, self.last_epoch)
        return [base * (self.start_factor + rise * done / self.total_iters) for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """The rate is multiplied by `gamma` every epoch.

    Parameters
    ----------
    optimizer : Optimizer
    gamma : float
    last_epoch : int, optional
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        rates = self._present()
        # In a resumed run the group has the right rate already.
        if self._is_initial:
            return rates
        return [rate * self.gamma for rate in rates]

    def _get_closed_form_lr(self) -> list[float]:
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """The rate falls to `eta_min` along half a cosine wave in `T_max` epochs, and rises again along the next half.

    Parameters
    ----------
    optimizer : Optimizer
    T_max : int
    eta_min : float, optional
    last_epoch : int, optional

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,  # noqa: N803
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        rates = self._present()
        epoch, period = self.last_epoch, self.T_max
        if self._is_initial:
            return rates
        if self._step_count == 1 and epoch > 0:
            return [
                self.eta_min + (base - self.eta_min) * (1 + math.cos(epoch * math.pi / period)) / 2
                for base, _ in zip(self.base_lrs, rates, strict=True)
            ]
        if (epoch - 1 - period) % (2 * period) == 0:
            # At the minimum the ratio below is 0 / 0.
            return [
                rate + (base - self.eta_min) * (1 - math.cos(math.pi / period)) / 2
                for base, rate in zip(self.base_lrs, rates, strict=True)
            ]
        ratio = (1 + math.cos(math.pi * epoch / period)) / (1 + math.cos(math.pi * (epoch - 1) / period))
        return [ratio * (rate - self.eta_min) + self.eta_min for rate in rates]

    def _get_closed_form_lr(self) -> list[float]:
        share = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        return [self.eta_min + (base - self.eta_min) * share / 2 for base in self.base_lrs]


class _Composite(LRScheduler):
    """A schedule made of several others of one optimizer."""

    _not_saved = ("optimizer", "_schedulers")
    _schedulers: Sequence[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = dict(state_dict)
        member_states = state.pop("_schedulers")
        super().load_state_dict(state)
        for scheduler, member_state in zip(self._schedulers, member_states, strict=True):
            scheduler.load_state_dict(member_state)


def _check_member(name: str, scheduler: Any, i: int, optimizer: Optimizer) -> None:
    if isinstance(scheduler, ReduceLROnPlateau):
        raise ValueError(
            f"{name} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to be "
            f"specified when calling `step`, but got one at index {i} in the given schedulers sequence."
        )
    if scheduler.optimizer is not optimizer:
        raise ValueError(
            f"{name} expects all schedulers to belong to the same optimizer, but got scheduler "
            f"{type(scheduler).__name__} at index {i} has {scheduler.optimizer}, which is different from "
            f"{type(optimizer).__name__}."
        )


class SequentialLR(_Composite):
    """One schedule after the other.

    Parameters
    ----------
    optimizer : Optimizer
    schedulers : list of LRScheduler
    milestones : list of int
        The epochs at which the second schedule begins, the third, and so on.
    last_epoch : int, optional
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        if len(schedulers) < 1:
            raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"SequentialLR at index {i} should have `optimizer` as its attribute.")
            _check_member("SequentialLR", scheduler, i, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than the number of "
                f"milestone points, but got number of schedulers {len(schedulers)} and the number of milestones "
                f"to be equal to {len(milestones)}"
            )
        # The lists are not copied: as in torch, the caller's later edits take effect.
        self._schedulers, self._milestones = schedulers, milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Building the schedulers has stepped each of them once. Undo that for all, and start the first one again.
        for group in optimizer.param_groups:
            _set_rate(group, group["initial_lr"])
        for scheduler in self._schedulers:
            _undo_step(scheduler)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Go to the next epoch."""
        with undone_on_failure(self):
            self.last_epoch += 1
            i = bisect_right(self._milestones, self.last_epoch)
            scheduler = self._schedulers[i]
            if i > 0 and self._milestones[i - 1] == self.last_epoch:
                _restart(scheduler)
            else:
                scheduler.step()
            self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_Composite):
    """Several schedules at once: each changes the rates that the one before it has set.

    Parameters
    ----------
    schedulers : list of LRScheduler
    optimizer : Optimizer, optional
        By default the optimizer of the first schedule.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if len(schedulers) < 1:
            raise ValueError(
                "ChainedScheduler expects at least one scheduler to be chained, but got no scheduler."
            )
        optimizer = optimizer or schedulers[0].optimizer
        for i, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"ChainedScheduler at index {i} should have `optimizer` as its attribute.")
            _check_member("ChainedScheduler", scheduler, i, optimizer)
        self._schedulers = list(schedulers)
        self.optimizer = optimizer
        self._last_lr = _rates(self._schedulers[-1].optimizer)

    def step(self) -> None:  # type: ignore[override]
        """Go to the next epoch in all schedules."""
        with undone_on_failure(self):
            for scheduler in self._schedulers:
                scheduler.step()
            self._last_lr = _rates(self._schedulers[-1].optimizer)


def _undo_step(scheduler: LRScheduler) -> None:
    if isinstance(scheduler, _Composite):
        for member in scheduler._schedulers:
            _undo_step(member)
    else:
        scheduler.last_epoch -= 1


def _restart(scheduler: LRScheduler) -> None:
    """Set a schedule to epoch 0. (torch cannot do this with a schedule that is made of others.)"""
    if isinstance(scheduler, SequentialLR):
        scheduler.last_epoch = 0
        _restart(scheduler._schedulers[0])
    elif isinstance(scheduler, _Composite):
        for member in scheduler._schedulers:
            _restart(member)
    else:
        scheduler._set_rates(0)
    scheduler._last_lr = _rates(scheduler.optimizer)


class ReduceLROnPlateau(LRScheduler):
    """The rate is multiplied by `factor` when a metric has not improved for more than `patience` epochs.

    Parameters
    ----------
    optimizer : Optimizer
    mode : {"min", "max"}, optional
        Whether a smaller or a larger metric is better.
    factor : float, optional
        Below 1.
    patience : int, optional
        The number of epochs without improvement that are tolerated.
    threshold : float, optional
        By how much a metric must beat the best one to count as an improvement.
    threshold_mode : {"rel", "abs"}, optional
        Whether `threshold` is relative to the best metric or absolute.
    cooldown : int, optional
        The number of epochs after a reduction during which bad epochs are not counted.
    min_lr : float or list of float, optional
        The smallest rate; one for all groups, or one for each.
    eps : float, optional
        The rate is left alone if it would change by `eps` or less.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        self.factor = factor
        self.optimizer = _checked(optimizer)
        groups = len(optimizer.param_groups)
        self.default_min_lr: float | None
        if isinstance(min_lr, (list, tuple)):
            if len(min_lr) != groups:
                raise ValueError(f"expected {groups} min_lrs, got {len(min_lr)}")
            self.default_min_lr = None
            self.min_lrs = list(min_lr)
        else:
            self.default_min_lr = min_lr  # type: ignore[assignment]
            self.min_lrs = [min_lr] * groups
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = _rates(optimizer)
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    @property
    def in_cooldown(self) -> bool:
        return self.cooldown_counter > 0

    def step(self, metrics: float, epoch: int | None = None) -> None:  # type: ignore[override]
        """Record the metric of an epoch, and reduce the rates if it has not improved for too long."""
        current = float(metrics)
        if epoch is None:
            epoch = self.last_epoch + 1
        else:
            warnings.warn(_EPOCH_DEPRECATED, UserWarning, stacklevel=2)
        with undone_on_failure(self):
            self._record(current, epoch)

    def _record(self, current: float, epoch: int) -> None:
        self.last_epoch = epoch
        if self._is_better(current, self.best):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = _rates(self.optimizer)

    def _is_better(self, metric: float, best: float) -> bool:
        if self.threshold_mode == "rel":
            bar = best * (1.0 - self.threshold) if self.mode == "min" else best * (self.threshold + 1.0)
        else:
            bar = best - self.threshold if self.mode == "min" else best + self.threshold
        return metric < bar if self.mode == "min" else metric > bar

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    "The number of param groups in the `optimizer` "
                    f"({len(groups)}) differs from when `ReduceLROnPlateau` was initialized "
                    f"({len(self.min_lrs)}), usually due to a new param group being added to the optimizer. "
                    "Please modify the `min_lrs` field to match the length of the `optimizer` param groups."
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, smallest in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            rate = max(old * self.factor, smallest)
            if old - rate > self.eps:
                _set_rate(group, rate)
