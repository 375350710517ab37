"""`Rprop`, the optimizer with the interface of torch.optim.Rprop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cuda_kernels.arrays import DeviceArray, is_on_device, view

from .. import backends
from .._core.checks import check_etas, check_variant
from .._core.constants import rule_constants
from ..autograd import Tensor, enable_grad
from ..autograd._traced import values
from ..optimizer import Group, Optimizer
from ..rules import DEFAULT, RULES
from .cached_plan import CachedPlan
from .first_state import State, first_states, pack
from .functional import check_foreach
from .losses import is_worse, loss_value
from .plan import CAPTURABLE, Plan

if TYPE_CHECKING:
    from .recorded_step import Step

#: A group that is ready to be stepped, its plan, its rule, whether the loss rose, and the loss to store.
_Work = tuple[Group, CachedPlan, str, Any, Any]


class Rprop(Optimizer):
    """Resilient backpropagation, with the interface and the results of ``torch.optim.Rprop``.

    Parameters
    ----------
    params : iterable
        Of `Parameter`, of ``(name, Parameter)`` pairs, or of dicts that define groups.
    lr : float or Tensor of one element, optional
        The first step size of every coordinate. It is read once, when the state of a parameter is created at
        its first gradient; later edits have no effect on that parameter.
    etas : (float, float), optional
        The factors by which a step size shrinks where the gradient changed its sign, and grows where it did not.
    step_sizes : (float, float), optional
        The smallest and the largest step size allowed; None leaves a side open. They act on every step, the
        first included.
    capturable : bool, optional
        For arrays on a GPU: keep the counters of steps there too, so that a step can be recorded in a CUDA
        graph. With host arrays a step fails as torch's does.
    foreach : bool, optional
        Accepted for compatibility with torch. Arrays are grouped by their size in any case, and the numbers are
        the same.
    maximize : bool, optional
        Maximize the objective instead of minimizing it.
    differentiable : bool, optional
        Record the steps, so that gradients flow through them; see Notes. A step of a leaf that requires a
        gradient fails as torch's does.
    variant : str, optional
        The rule, one of `rprop_ref.rules.RULES`; "irprop-" is torch's. "irprop+" compares losses, so its `step`
        needs a closure or ``loss=``. A group has this key only if the rule is not the default.
    backend : {None, "numpy", "numba", "cuda"}, optional
        What makes the steps. None chooses: "cuda" for arrays on a GPU, otherwise "numpy" or "numba" by time
        (see `rprop_ref.backends`). All return the same bits.

    Attributes
    ----------
    state : dict
        For each parameter, after its first gradient: ``step`` (0-d float32 array, the number of steps),
        ``prev`` (the stored gradient, zero after a change of sign) and ``step_size``, the last two of the shape
        and dtype of the parameter. For a parameter on a GPU these two are on the GPU
        too (`cuda_kernels.arrays.DeviceArray`), and with `capturable` so is the counter.
    backend : str or None

    Raises
    ------
    ValueError
        ``Invalid learning rate``, ``Invalid eta values`` and the other refusals of torch, in its words.

    Notes
    -----
    **Differentiating through steps.** With ``differentiable=True`` each step is recorded by
    `rprop_ref.autograd`; the numbers are the same. Only then do Tensors that are given as ``lr``, ``etas`` or
    ``step_sizes`` receive gradients. Optimize values that are not leaves (``p = w.clone()``) or that require no
    gradient, set ``p.grad``, step as often as you like, and call ``backward`` on a loss at the end. Gradients then
    flow to ``w``, to gradients that carry a graph themselves (from ``autograd.grad(..., create_graph=True)``), to
    ``lr``, ``etas`` and ``step_sizes``.

    A step is ``x - sign(g) * size``. It is differentiated along the path that was taken: every size is `lr`, or
    one of the two `step_sizes`, times a product of etas, and x is the start minus a sum of such sizes with the
    signs of the gradients. The signs, and the branch that each coordinate takes, are piecewise constant: their
    derivative is zero, also exactly at a switch. For instance, after three steps from `x` with gradients of one
    sign and sizes between the `step_sizes`, the value is ``x - lr * (1 + eta_plus + eta_plus**2)``, so that d/dlr
    is ``-(1 + eta_plus + eta_plus**2)`` and d/deta_plus is ``-lr * (1 + 2 * eta_plus)``. Where "rprop+" and
    "irprop+" undo a move at a change of sign, they undo its derivative too.

    A recorded step gives the parameter and its state new memory, because what was recorded before still uses the
    old one: ``p.data`` is another array afterwards.

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
        variant: str = DEFAULT,
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
        # By the id of the group. Another group may get the id of one that is gone; the plan then does not hold.
        self._plans: dict[int, CachedPlan] = {}
        # Plans that CUDA graphs were recorded with: a replay uses their memory.
        self._recorded: list[CachedPlan] = []
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

    def _add_missing_entries(self, groups: list[Group], state: Mapping[Any, Any]) -> None:
        for group in groups:
            group.setdefault("foreach", None)
            # As in torch, not taken from the defaults of this optimizer.
            for flag in ("maximize", "differentiable", "capturable"):
                group.setdefault(flag, False)
            check_variant(group.get("variant", DEFAULT))
            for param in group["params"]:
                entry = state.get(param)
                if entry and not isinstance(entry["step"], (np.ndarray, DeviceArray)):
                    entry["step"] = np.array(float(entry["step"]), np.float32)

    def _pack_state(self, groups: list[Group], state: Mapping[Any, Any]) -> None:
        for group in groups:
            entries = [state.get(param) for param in dict.fromkeys(group["params"])]
            pack([entry for entry in entries if isinstance(entry, dict)])

    def step(self, closure: Callable[[], Any] | None = None, *, loss: float | None = None) -> Any:
        """Make one step of every parameter that has a gradient, in place.

        Parameters
        ----------
        closure : callable, optional
            Called once, before anything else, without arguments: it evaluates the loss and sets the gradients.
            Operations in it are recorded, also inside `no_grad`.
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
        else:
            self._step_in_place(loss)
        return value

    # ---------------------------------------------------------------------------------------------------
    # Steps in place

    def _step_in_place(self, loss: Any) -> None:
        new_states: dict[Tensor, State] = {}
        work = []
        seen: set[int] = set()
        for group in self.param_groups:
            # A group that is listed twice is stepped twice and needs two plans, hence the copy.
            prepared = self._prepare(dict(group) if id(group) in seen else group, loss, new_states)
            seen.add(id(group))
            if prepared is not None:
                work.append(prepared)
        # From here on nothing can be refused.
        for param, state in new_states.items():
            self.state[param].update(state)
        for group, cached, variant, worse, new_loss in work:
            cached.plan.run(variant, worse)
            cached.mark_written()
            if new_loss is not None:
                group["prev_loss"] = new_loss

    def _prepare(self, group: Group, loss: Any, new_states: dict[Tensor, State]) -> _Work | None:
        """Collect and check all that a step of one group needs; None if the group has no gradients.

        State that has to be created is added to `new_states`.
        """
        _eta_minus, _eta_plus = etas = group["etas"]
        _size_min, _size_max = step_sizes = group["step_sizes"]
        cached = self._plans.get(id(group))
        if cached is not None and (grads := cached.gradients(group["params"], self.state)) is not None:
            cached.plan.load(grads, fit=True)
        else:
            cached = self._new_plan(group, new_states)
            if cached is None:
                return None
        plan = cached.plan
        if group["differentiable"]:
            check_foreach(group["foreach"], True)
        plan.check_capturable(group["capturable"])
        variant = _variant(group)
        plan.prepare(variant, etas, step_sizes, group["maximize"], self.backend)
        if not RULES[variant].compares_losses:
            return group, cached, variant, False, None
        if group["capturable"] and is_on_device(loss):
            device_loss = plan.compare(view(loss), group.get("prev_loss"), group["maximize"])
            return group, cached, variant, device_loss, device_loss.before
        new_loss = loss_value(loss, variant)
        return group, cached, variant, is_worse(group, new_loss), new_loss

    def _new_plan(self, group: Group, new_states: dict[Tensor, State]) -> CachedPlan | None:
        """A plan for a group, with its gradients loaded; None if there are none."""
        active, stateless = self._active(group, new_states)
        if not active:
            return None
        lr = group["lr"]
        # A Tensor that requires a gradient is refused, as in torch, because the step is not recorded.
        is_plain_tensor = isinstance(lr, Tensor) and not lr.requires_grad
        new_states.update(first_states(stateless, lr.item() if is_plain_tensor else lr, group["capturable"]))
        memory = [p._array for g in self.param_groups for p in g["params"]]
        cached = CachedPlan(active, [new_states.get(p) or self.state[p] for p in active], memory)
        cached.plan.load([values(p._grad) for p in active])
        self._keep_recorded(self._plans)
        self._plans = {id(g): self._plans[id(g)] for g in self.param_groups if id(g) in self._plans}
        self._plans[id(group)] = cached
        return cached

    def _active(self, group: Group, new_states: dict[Tensor, State]) -> tuple[list[Tensor], list[Tensor]]:
        """The parameters of a group that have a gradient, and those among them that have no state yet."""
        active = [p for p in group["params"] if p._grad is not None]
        return active, [p for p in dict.fromkeys(active) if not self.state.get(p) and p not in new_states]

    def _keep_recorded(self, plans: dict[int, CachedPlan]) -> None:
        for cached in plans.values():
            if cached.plan.is_recorded and cached not in self._recorded:
                self._recorded.append(cached)

    # ---------------------------------------------------------------------------------------------------
    # Steps that gradients flow through; see the Notes of the class

    def _step_recorded(self, loss: Any) -> None:
        new_states: dict[Tensor, State] = {}
        steps: list[Step] = []
        losses: list[tuple[Group, float]] = []
        for group in self.param_groups:
            group_steps, new_loss = self._prepare_recorded(group, loss, new_states)
            steps += group_steps
            if new_loss is not None:
                losses.append((group, new_loss))
        # From here on nothing can be refused.
        for param, state in new_states.items():
            self.state[param] = state
        for step in steps:
            step.commit()
        for group, new_loss in losses:
            group["prev_loss"] = new_loss

    def _prepare_recorded(
        self, group: Group, loss: Any, new_states: dict[Tensor, State]
    ) -> tuple[list[Step], float | None]:
        """Compute the steps of one group, and the loss to store; change nothing but `new_states`."""
        from .recorded_step import Step

        _eta_minus, _eta_plus = etas = group["etas"]
        _size_min, _size_max = step_sizes = group["step_sizes"]
        active, stateless = self._active(group, new_states)
        if not active:
            return [], None
        if any(is_on_device(p._array) for p in active):
            raise TypeError("differentiable=True records steps in the memory of the host, not on a GPU")
        new_states.update(_first_states_recorded(stateless, group["lr"]))
        states = [new_states.get(p) or self.state[p] for p in active]
        arrays = [[values(s[key]) for s in states] for key in ("prev", "step_size", "step")]
        if group["differentiable"]:
            check_foreach(group["foreach"], True)
        if group["capturable"]:
            raise AssertionError(CAPTURABLE)
        _check_leaves(active, etas, step_sizes)
        # A plan refuses what cannot be stepped.
        Plan([p._array for p in active], *arrays).load([values(p._grad) for p in active])
        variant, worse, new_loss = _variant(group), False, None
        if RULES[variant].compares_losses:
            new_loss = loss_value(loss, variant)
            worse = is_worse(group, new_loss)
        steps = []
        latest: dict[Tensor, Step] = {}
        for param, state in zip(active, states, strict=True):
            latest[param] = Step(
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
        return steps, new_loss


def _first_states_recorded(params: list[Tensor], lr: Any) -> dict[Tensor, State]:
    """The state of parameters that have none, with step sizes that depend on `lr` if it is a Tensor."""
    from .recorded_step import first_size

    if not isinstance(lr, Tensor):
        return first_states(params, lr)
    states = first_states(params, lr.item())
    for param in params:
        states[param]["step_size"] = first_size(param, lr)
    return states


def _variant(group: Group) -> str:
    if "variant" not in group:
        return DEFAULT
    variant: str = group["variant"]
    check_variant(variant)
    return variant


def _check_leaves(params: list[Tensor], etas: Any, step_sizes: Any) -> None:
    """Refuse, in torch's order, parameters and constants that a recorded step cannot use."""
    for param in params:
        rule_constants(param.dtype, etas, step_sizes, False)
        if param.requires_grad and param.is_leaf:
            what = "a view of a leaf" if param.dtype.kind == "c" else "a leaf"
            raise RuntimeError(f"{what} Variable that requires grad is being used in an in-place operation.")
