"""`Rprop`, the optimizer with torch.optim.Rprop's interface, and `rprop`, the same on lists of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cuda_kernels.arrays import DeviceArray, filled, is_on_device, view

from .. import backends
from .._core import dtypes
from .._core.arrays import slices
from .._core.checks import check_etas, check_variant
from .._core.constants import rule_constants
from ..autograd import Tensor, enable_grad
from ..autograd._traced import values
from ..interop import as_array
from ..optimizer import Group, Optimizer
from ..rules import DEFAULT, RULES
from .plan import GATHER_BELOW, Plan

Array = np.ndarray[Any, Any]

_FOREACH = "_foreach ops don't support autograd"


class Rprop(Optimizer):
    """Resilient backpropagation, with the interface and the results of ``torch.optim.Rprop``.

    Parameters
    ----------
    params : iterable
        Of `Parameter`, of ``(name, Parameter)`` pairs, or of dicts that define groups.
    lr : float or Tensor of one element, optional
        The first step size, of every coordinate. It is read once, when the state of a parameter is created at
        its first gradient; later edits have no effect on it.
    etas : (float, float), optional
        Factors by which a step size shrinks where the gradient changed its sign, and grows where it did not.
    step_sizes : (float, float), optional
        Smallest and largest step size allowed; None leaves a side open. They act on every step, the first
        included.
    capturable : bool, optional
        For arrays on a GPU: keep the counters of steps there as well, so that a step can be recorded in a CUDA
        graph. With host arrays a step fails as torch's does.
    foreach : bool, optional
        Accepted for torch's sake. The way of stepping is chosen by size, and the numbers are the same.
    maximize : bool, optional
        Maximize the objective instead of minimizing it.
    differentiable : bool, optional
        Record the steps, so that gradients flow through them; see Notes. With a parameter that is a leaf and
        requires a gradient a step fails as torch's does.
    variant : {"irprop-", "rprop+", "rprop-", "irprop+", "irprop-go"}, optional
        The rule, see `rprop_ref.rules`; "irprop-" is torch's. "irprop+" compares losses, so its `step` needs
        a closure or ``loss=``. The key stands in a group only if it is not the default.
    backend : {None, "numpy", "numba", "cuda"}, optional
        Who makes the steps; None chooses: for arrays on a GPU "cuda", for others by time (see
        `rprop_ref.backends`). The bits are the same.

    Attributes
    ----------
    state : dict
        For each parameter, after its first gradient: ``step`` (0-d float32 array, the number of steps),
        ``prev`` (the stored gradient, zero after a change of sign) and ``step_size``, both of the shape and
        dtype of the parameter. Of a parameter on a GPU the last two are there, too
        (`cuda_kernels.arrays.DeviceArray`), and with `capturable` the counter.
    backend : str or None

    Raises
    ------
    ValueError
        ``Invalid learning rate``, ``Invalid eta values`` and the other refusals of torch, in its words.

    Notes
    -----
    **Differentiating through steps.** With ``differentiable=True``, which also ``lr``, ``etas`` and ``step_sizes``
    as Tensors need to be of use, each step is recorded by `rprop_ref.autograd`; the numbers are the same. Optimize
    values that are no leaves (``p = w.clone()``) or that require no gradient, set ``p.grad``, step as often as you
    like, and call ``backward`` on a loss at the end. Gradients then flow to ``w``, to gradients that carry a graph
    themselves (from ``autograd.grad(..., create_graph=True)``), to ``lr``, ``etas`` and ``step_sizes``.

    A step is ``x - sign(g) * size``. What is differentiated is the path that was taken: every size is `lr`, or one
    of the limits, times a product of etas, and x is the start minus a sum of such sizes with the signs that the
    gradients had. The signs, and which branch each coordinate takes, are piecewise constant: their derivative is
    zero, also exactly at a switch. After three steps with gradients of one sign, for instance, from `x` with sizes
    inside their limits, the value is ``x - lr * (1 + eta_plus + eta_plus**2)``, so that d/dlr is
    ``-(1 + eta_plus + eta_plus**2)`` and d/deta_plus is ``-lr * (1 + 2 * eta_plus)``. Only at a flip of
    "rprop+" and "irprop+" is a move taken back, and its derivative with it.

    A recorded step gives the parameter, and its state, new memory, because what was recorded before goes on using
    the old one: ``p.data`` is another array after it.

    The results are defined to the bit: they are those of torch 2.13 on the CPU, for float16, bfloat16 (arrays
    of ml_dtypes), float32, float64, complex64 and complex128. A step that fails changes nothing.

    References
    ----------
    .. [1] M. Riedmiller and H. Braun, "A direct adaptive method for faster backpropagation learning: the
       RPROP algorithm", IEEE International Conference on Neural Networks, 1993, pp. 586-591.
    .. [2] C. Igel and M. Huesken, "Empirical evaluation of the improved Rprop learning algorithms",
       Neurocomputing 50, 2003, pp. 105-123.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        variant: str = "irprop-",
        backend: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.size != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        check_etas(etas)
        check_variant(variant)
        backends.check(backend)
        self.backend = backend
        # By the id of the group; a plan found under the id of a group that is gone does not hold for another.
        self._plans: dict[int, _Known] = {}
        # Plans that graphs were recorded with: a replay uses their memory.
        self._recorded: list[_Known] = []
        defaults: Group = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        if variant != DEFAULT:
            defaults["variant"] = variant
        super().__init__(params, defaults)

    def add_param_group(self, param_group: Group) -> None:
        if isinstance(param_group, dict) and "variant" in param_group:
            check_variant(param_group["variant"])
        super().add_param_group(param_group)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("backend", None)
        self._recorded = self.__dict__.get("_recorded", [])
        self._keep_recorded(self.__dict__.get("_plans", {}))
        self._plans = {}

    def _complete(self, groups: list[Group], state: Mapping[Any, Any]) -> None:
        for group in groups:
            group.setdefault("foreach", None)
            # As in torch, not taken from the defaults of this optimizer.
            for flag in ("maximize", "differentiable", "capturable"):
                group.setdefault(flag, False)
            check_variant(group.get("variant", DEFAULT))
            for param in group["params"]:
                kept = state.get(param)
                if kept and not isinstance(kept["step"], (np.ndarray, DeviceArray)):
                    kept["step"] = np.array(float(kept["step"]), np.float32)

    def _arrange(self, groups: list[Group], state: Mapping[Any, Any]) -> None:
        for group in groups:
            entries = [state.get(param) for param in dict.fromkeys(group["params"])]
            _pack([entry for entry in entries if isinstance(entry, dict)])

    def step(self, closure: Callable[[], Any] | None = None, *, loss: float | None = None) -> Any:
        """Make one step of every parameter that has a gradient, in place.

        Parameters
        ----------
        closure : callable, optional
            Called once, before anything else, without arguments: it evaluates the loss anew and sets the
            gradients. Operations in it are recorded, also inside `no_grad`.
        loss : float, optional
            The loss at the present parameters, for "irprop+" without a closure.

        Returns
        -------
        object
            What the closure returned, or None without one.

        Raises
        ------
        ValueError
            If "irprop+" gets no loss; if a gradient does not fit its parameter; if a parameter is read-only.
            Neither parameters nor state have been changed then.
        """
        value = None
        if closure is not None:
            with enable_grad():
                value = closure()
        if loss is None:
            loss = value
        if self.defaults["differentiable"]:  # as in torch, the constructor decides
            with enable_grad():
                self._step_recorded(loss)
            return value
        fresh: dict[Tensor, State] = {}
        work = []
        seen: set[int] = set()
        for group in self.param_groups:
            # A group that is listed twice is stepped twice, which takes a plan each.
            prepared = self._prepare(dict(group) if id(group) in seen else group, loss, fresh)
            seen.add(id(group))
            if prepared is not None:
                work.append(prepared)
        # From here on nothing can be refused.
        for param, state in fresh.items():
            self.state[param].update(state)
        for group, known, variant, worse, new_loss in work:
            known.plan.run(variant, worse)
            known.mark_written()
            if new_loss is not None:
                group["prev_loss"] = new_loss
        return value

    def _active(self, group: Group, fresh: dict[Tensor, State]) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters of a group that have a gradient, and those of them that have no state yet."""
        active = [p for p in group["params"] if p._grad is not None]
        return active, [p for p in dict.fromkeys(active) if not self.state.get(p) and p not in fresh]

    def _prepare(self, group: Group, loss: Any, fresh: dict[Tensor, State]) -> _Work | None:
        """Collect, and check, all that a step of one group needs; None if it has no gradients.

        State that has to be created is added to `fresh`.
        """
        _eta_minus, _eta_plus = etas = group["etas"]
        _size_min, _size_max = step_sizes = group["step_sizes"]
        known = self._plans.get(id(group))
        if known is not None and (grads := known.gradients(group["params"], self.state)) is not None:
            known.plan.load(grads, fit=True)
        else:
            active, missing = self._active(group, fresh)
            if not active:
                return None
            lr = group["lr"]
            # A Tensor that requires a gradient is refused as in torch, unless the step is recorded.
            fixed = isinstance(lr, Tensor) and not lr.requires_grad
            fresh.update(_first_states(missing, lr.item() if fixed else lr, group["capturable"]))
            memory = [p._data for g in self.param_groups for p in g["params"]]
            known = _Known(active, [fresh.get(p) or self.state[p] for p in active], memory)
            known.plan.load([values(p._grad) for p in active])
            self._keep_recorded(self._plans)
            self._plans = {id(g): self._plans[id(g)] for g in self.param_groups if id(g) in self._plans}
            self._plans[id(group)] = known
        if group["differentiable"]:
            _check_flags(group)
        known.plan.check_capturable(group["capturable"])
        variant = _variant(group)
        known.plan.prepare(etas, step_sizes, group["maximize"], self.backend)
        if not RULES[variant].compares_losses:
            return group, known, variant, False, None
        if group["capturable"] and is_on_device(loss):
            device_loss = known.plan.compare(view(loss), group.get("prev_loss"), group["maximize"])
            return group, known, variant, device_loss, device_loss.before
        new_loss = _loss(loss, variant)
        return group, known, variant, _is_worse(group, new_loss), new_loss

    def _keep_recorded(self, plans: dict[int, _Known]) -> None:
        for known in plans.values():
            if known.plan.is_recorded and known not in self._recorded:
                self._recorded.append(known)

    def _step_recorded(self, loss: Any) -> None:
        """Make a step that gradients flow through; see the Notes of the class."""
        from . import recorded_step

        fresh: dict[Tensor, State] = {}
        steps: list[recorded_step.Step] = []
        losses: list[tuple[Group, float]] = []
        for group in self.param_groups:
            _eta_minus, _eta_plus = etas = group["etas"]
            _size_min, _size_max = step_sizes = group["step_sizes"]
            active, missing = self._active(group, fresh)
            if not active:
                continue
            if any(is_on_device(p._data) for p in active):
                raise TypeError("differentiable=True records steps in the memory of the host, not on a GPU")
            lr = group["lr"]
            fresh.update(_first_states(missing, _number(lr)))
            if isinstance(lr, Tensor):
                for param in missing:
                    fresh[param]["step_size"] = recorded_step.first_size(param, lr)
            states = [fresh.get(p) or self.state[p] for p in active]
            arrays = [[values(s[key]) for s in states] for key in ("prev", "step_size", "step")]
            _check_flags(group)
            _check_leaves(active, etas, step_sizes)
            # A plan refuses what cannot be stepped.
            Plan([p._data for p in active], *arrays).load([values(p._grad) for p in active])
            variant, worse = _variant(group), False
            if RULES[variant].compares_losses:
                losses.append((group, _loss(loss, variant)))
                worse = _is_worse(*losses[-1])
            latest: dict[Tensor, recorded_step.Step] = {}
            for param, state in zip(active, states, strict=True):
                latest[param] = recorded_step.Step(
                    param,
                    state,
                    latest.get(param),
                    etas=etas,
                    step_sizes=step_sizes,
                    maximize=group["maximize"],
                    variant=variant,
                    worse=worse,
                )
                steps.append(latest[param])
        # From here on nothing can be refused.
        for param, state in fresh.items():
            self.state[param] = state
        for step in steps:
            step.commit()
        for group, new_loss in losses:
            group["prev_loss"] = new_loss


State = dict[str, Any]


class _Known:
    """A plan, and the parameters and arrays that it was made for."""

    def __init__(self, params: list[Tensor], states: list[State], memory: list[Array]) -> None:
        self._entries = [
            (p, p._data, s["prev"], s["step_size"], s["step"]) for p, s in zip(params, states, strict=True)
        ]
        _, data, prevs, sizes, counters = zip(*self._entries, strict=True)
        self.plan = _plan(data, prevs, sizes, counters, memory)
        self._memories = [p._memory for p in params]

    def gradients(self, params: list[Tensor], state: dict[Tensor, State]) -> list[Array] | None:
        """The gradients of these parameters, if the plan holds for them.

        It does if all arrays are the same objects, and the gradients were checked against them when they were
        assigned.
        """
        grads = []
        entries = iter(self._entries)
        for param in params:
            grad = param._grad
            if grad is None:
                continue
            same, data, prev, size, step = next(entries, _NOTHING)
            kept = state.get(param)
            if param is not same or param._data is not data or param._grad_fits is not data or not kept:
                return None
            if kept["prev"] is not prev or kept["step_size"] is not size or kept["step"] is not step:
                return None
            grads.append(grad)
        return grads if len(grads) == len(self._entries) else None

    def mark_written(self) -> None:
        """Let the Tensors know that their memory was changed, for what was recorded with them before."""
        for memory in self._memories:
            memory.writes += 1


_Work = tuple[Group, _Known, str, Any, Any]
_NOTHING = (None, None, None, None, None)


def _plan(
    params: Sequence[Any],
    prevs: Sequence[Any],
    sizes: Sequence[Any],
    counters: Sequence[Any],
    memory: Sequence[Any] | None = None,
    grads: Sequence[Any] = (),
) -> Any:
    """A plan for arrays of the host, or for arrays on a GPU."""
    if not any(isinstance(a, DeviceArray) for arrays in (params, prevs, sizes, grads) for a in arrays):
        return Plan(params, prevs, sizes, counters, memory and [a for a in memory if isinstance(a, np.ndarray)])
    backends.require_cuda()
    from .cuda_plan import DevicePlan

    others = memory and [a for a in memory if isinstance(a, DeviceArray)]
    return DevicePlan(params, prevs, sizes, counters, others)


def rprop(
    params: Sequence[Array],
    grads: Sequence[Array],
    prevs: Sequence[Array],
    step_sizes: Sequence[Array],
    state_steps: Sequence[Array],
    foreach: bool | None = None,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    step_size_min: float,
    step_size_max: float,
    etaminus: float,
    etaplus: float,
    variant: str = "irprop-",
    worse: bool = False,
    backend: str | None = None,
) -> None:
    """Make one Rprop step on lists of arrays, in place: the function behind `Rprop`, without groups.

    Arrays of other libraries are taken as well, without a copy, if they are in the memory of the host and have
    DLPack or the buffer protocol (torch tensors, for instance); see `rprop_ref.interop.as_array`. Or all are on a
    GPU, of Numba, CuPy or torch; the counters may then be there or on the host.

    Parameters
    ----------
    params : sequence of ndarray
        The parameters; any shapes, layouts and supported dtypes. Changed in place.
    grads : sequence of ndarray
        A gradient for each, of its shape and dtype. Only read.
    prevs, step_sizes : sequence of ndarray
        Stored gradient (zeros before the first step) and step size (the learning rate before the first step)
        of each, of its shape and dtype. Changed in place.
    state_steps : sequence of ndarray
        A 0-d array for each that counts its steps. Changed in place.
    foreach, capturable, differentiable, has_complex : optional
        Accepted for torch's sake; `capturable` fails, as there, unless parameters and counters are on a GPU.
    maximize : bool, optional
        Negate the gradients first.
    step_size_min, step_size_max, etaminus, etaplus : float
        The constants of the rule.
    variant : str, optional
        The rule, see `rprop_ref.rules`.
    worse : bool, optional
        Whether the loss rose since the last step (fell, when maximizing). Only "irprop+" reads it.
    backend : {None, "numpy", "numba", "cuda"}, optional
        Who makes the step.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        If an array cannot be stepped, or its gradient or state does not fit. Nothing has been changed then.
    """
    check_variant(variant)
    _check_flags({"foreach": foreach, "capturable": capturable, "differentiable": differentiable})
    counters = [_counter(s) for s in state_steps]
    arrays = [list(map(_as_any, given)) for given in (params, prevs, step_sizes, grads)]
    plan = _plan(arrays[0], arrays[1], arrays[2], counters, grads=arrays[3])
    plan.check_capturable(capturable)
    plan.load(arrays[3])
    plan.prepare((etaminus, etaplus), (step_size_min, step_size_max), maximize, backend)
    plan.run(variant, worse)


def _as_any(value: Any) -> Any:
    return view(value) if is_on_device(value) else as_array(value)


def _counter(value: Any) -> Any:
    try:
        return _as_any(value)
    except TypeError:
        return value  # refused in torch's words when the plan is made


def _variant(group: Group) -> str:
    if "variant" not in group:
        return DEFAULT
    variant: str = group["variant"]
    check_variant(variant)
    return variant


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


def _check_flags(group: Group) -> None:
    if group["differentiable"] and group["foreach"]:
        raise AssertionError(_FOREACH)


def _check_leaves(params: list[Tensor], etas: Any, step_sizes: Any) -> None:
    """Refuse, in torch's order, what a step refuses that is to be differentiated through."""
    for param in params:
        rule_constants(param.dtype, etas, step_sizes, False)
        if param.requires_grad and param.is_leaf:
            what = "a view of a leaf" if param.dtype.kind == "c" else "a leaf"
            raise RuntimeError(f"{what} Variable that requires grad is being used in an in-place operation.")


def _first_states(params: list[Tensor], lr: float, capturable: bool = False) -> dict[Tensor, State]:
    """State for parameters that have none: no steps made, nothing stored, step size `lr`."""
    there = {p for p in params if is_on_device(p._data)}
    states = {
        p: {
            "step": np.zeros((), np.float32),
            "prev": np.zeros(p.shape, p.dtype),
            "step_size": dtypes.first_size(p.shape, p.dtype, lr),
        }
        for p in params
        if p not in there
    }
    if there:
        states |= _first_states_on_device([p for p in params if p in there], lr, capturable)
    _pack(list(states.values()))
    return states


def _first_states_on_device(params: list[Tensor], lr: float, capturable: bool) -> dict[Tensor, State]:
    backends.require_cuda()
    from .cuda_plan import check_not_recorded

    check_not_recorded(view(params[0]._data).stream())
    alike: dict[Any, list[Tensor]] = {}
    for p in params:
        # What `lr` becomes in a dtype, and whether it can, depends on whether there is one element.
        size = dtypes.first_size((min(p.size, 2),), p.dtype, lr)
        key = p.dtype, float(size[0].real) if p.size else 0.0, p.size < GATHER_BELOW or p
        alike.setdefault(key, []).append(p)
    states: dict[Tensor, State] = {}
    for (dtype, size, _), members in alike.items():
        shapes, stream = [p.shape for p in members], view(members[0]._data).stream()
        prevs, sizes = filled(shapes, dtype, 0.0, stream), filled(shapes, dtype, size, stream)
        steps: list[Any] = [np.zeros((), np.float32) for _ in members]
        if capturable:
            steps = filled([()] * len(members), np.dtype(np.float32), 0.0, stream)
        for p, step, prev, step_size in zip(members, steps, prevs, sizes, strict=True):
            states[p] = {"step": step, "prev": prev, "step_size": step_size}
    return {p: states[p] for p in params}


def _pack(states: list[State]) -> None:
    """Move the state of small parameters into common arrays, so that a step finds it gathered already."""
    for key in ("step", "prev", "step_size"):
        alike: dict[np.dtype[Any], list[State]] = {}
        for state in states:
            value = state.get(key)
            if isinstance(value, np.ndarray) and value.size < GATHER_BELOW:
                alike.setdefault(value.dtype, []).append(state)
        for members in alike.values():
            arrays = [state[key] for state in members]
            common = np.concatenate([a.reshape(-1) for a in arrays])
            for state, part in zip(members, slices(common, [a.shape for a in arrays]), strict=True):
                state[key] = part


def _loss(loss: Any, variant: str) -> float:
    if loss is None:
        raise ValueError(
            f"variant {variant!r} compares the loss with that of the last step: call step(closure) with a closure "
            "that returns it, or step(loss=...)"
        )
    if is_on_device(loss):
        loss = view(loss)  # waits for the GPU; with `capturable` the loss stays there
    return float(loss.item() if isinstance(loss, (Tensor, DeviceArray)) else loss)


def _is_worse(group: Group, loss: float) -> bool:
    """Whether the loss went the wrong way; no comparison with NaN, nor at the first step, says so."""
    before = group.get("prev_loss")
    if before is None:
        return False
    if isinstance(before, DeviceArray):
        before = before.item()
    return bool(loss < before if group["maximize"] else loss > before)
