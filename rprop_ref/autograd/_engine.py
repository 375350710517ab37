"""The backward pass through the graph.

It is a loop, not a recursion, so a graph may be of any depth. Gradients and saved arrays are freed as soon as they
have been used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from .._core.checks import check_plain
from ._graph import Node, fingerprint, is_differentiated, refresh, refusal, source
from ._mode import LeavesTapeError, mode
from ._primitives import Primitive, unbroadcast
from ._traced import Traced, new_tensor

SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
    "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "
    "saved tensors after calling backward."
)

INSIDE_ANOTHER = (
    "gradients are computed inside value_and_grad from values that depend on its arguments; they would leave the "
    "tape, and what depends on them would lose its gradient. Write grad(..., create_graph=True), call "
    "value_and_grad, or use x.detach() where no gradient is wanted"
)
EARLIER_CALL = (
    "the function uses a value that was computed from its argument in an earlier call, or whose graph has been "
    "freed; no gradient would flow through it. Compute it in each call, or keep value.data if a constant is meant"
)
NO_GRADIENT = "element 0 of tensors does not require grad and does not have a grad_fn"


def backward(
    outputs: Sequence[tuple[Traced, Any]],
    *,
    retain: bool,
    create_graph: bool,
    wanted: Sequence[Traced] | None = None,
    strict: bool = False,
) -> list[Any]:
    """Compute the gradients of `wanted`; without it those of all leaves, which are added to their ``grad``.

    Parameters
    ----------
    outputs : sequence of (Tensor, array_like or None)
        What to differentiate, and the gradient of the final loss with respect to it.
    retain : bool
        Keep what was saved, for another pass.
    create_graph : bool
        Record the pass, so that the gradients are Tensors.
    wanted : sequence of Tensor, optional
        Stop at these; no leaf accumulates anything then.
    strict : bool, optional
        Raise also if a part of the graph that does not lead to `wanted` has been freed.

    Returns
    -------
    list of (ndarray or Tensor or None)
        The gradients of `wanted`; None for a Tensor that the outputs do not depend on.
    """
    for tensor in (*(output for output, _ in outputs), *(wanted or ())):
        if tensor._base is not None:
            refresh(tensor)
    if not create_graph and any(is_differentiated(output) for output, _ in outputs):
        raise refusal(LeavesTapeError(INSIDE_ANOTHER), [output for output, _ in outputs])
    seeds = [
        (source(output), _seed(i, output, gradient, create_graph)) for i, (output, gradient) in enumerate(outputs)
    ]
    targets = None if wanted is None else [source(tensor) for tensor in wanted]
    before = mode.enabled
    mode.enabled = create_graph
    try:
        gradient_of = _run(seeds, targets, retain=retain, create_graph=create_graph, strict=strict)
    finally:
        mode.enabled = before
    gradients = [gradient_of.get(target) for target in targets or ()]
    if create_graph:
        return [g if g is None or isinstance(g, Traced) else new_tensor(np.asarray(g), None) for g in gradients]
    return [np.asarray(g) if isinstance(g, np.generic) else g for g in gradients]


def _seed(i: int, output: Traced, gradient: Any, create_graph: bool) -> Any:
    """The gradient with which the pass starts at output number `i`."""
    if not output._requires_grad:
        raise RuntimeError(NO_GRADIENT.replace("element 0", f"element {i}"))
    data = output._array
    if gradient is None:
        if data.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if data.dtype.kind == "c":
            raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {data.dtype}")
        seed: Any = np.ones(data.shape, data.dtype)
    else:
        check_plain(gradient, f"grad_output[{i}]")
        seed = gradient if isinstance(gradient, Traced) else np.asarray(gradient)
        if seed.shape != data.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {seed.shape} and output[{i}] has a shape of "
                f"{data.shape}."
            )
        if seed.dtype != data.dtype:
            seed = seed.astype(data.dtype)
    if create_graph:
        return seed if isinstance(seed, Traced) else new_tensor(seed, None)
    return seed._array if isinstance(seed, Traced) else seed


def _run(
    seeds: Sequence[tuple[Any, Any]],
    targets: Sequence[Any] | None,
    *,
    retain: bool,
    create_graph: bool,
    strict: bool,
) -> dict[Any, Any]:
    """Go from the outputs back to the leaves, or to the given Nodes and leaves, whose gradients are returned."""
    wanted = None if targets is None else set(targets)
    uses = _count_uses(seeds) if wanted is None else _count_uses_between(seeds, wanted, strict)
    pending = _Pending(seeds, uses, create_graph)
    wanted_gradients: dict[Any, Any] = {}
    # Of leaves, and of Tensors that retain theirs. Stored after the pass, so that one that fails changes nothing.
    to_store: list[tuple[Any, Any, bool]] = []
    while pending.ready:
        target = pending.ready.pop()
        gradient = pending.gradients.pop(target)
        if wanted is not None and target in wanted:
            wanted_gradients[target] = gradient
            if _is_an_end(target, uses):
                continue  # and what lies behind it is not freed
        if type(target) is not Node:
            to_store.append((target, gradient, target in pending.owned))
            continue
        if target.retaining is not None and (tensor := target.retaining()) is not None and tensor._node is target:
            to_store.append((tensor, gradient, False))
        _propagate(target, gradient, pending, create_graph)
        if not retain:
            target.free()
    _store(to_store, wanted)
    return wanted_gradients


class _Pending:
    """The gradients that are still being summed.

    Parameters
    ----------
    seeds : sequence of (Node or leaf, gradient)
        Where the pass starts.
    uses : dict
        How many contributions the gradient of each Node or leaf still lacks.
    create_graph : bool
        The pass is recorded, so nothing may be added to in place.
    """

    __slots__ = ("_in_place", "gradients", "owned", "ready", "uses")

    def __init__(self, seeds: Sequence[tuple[Any, Any]], uses: dict[Any, int], create_graph: bool) -> None:
        self.uses = uses
        self._in_place = not create_graph
        self.gradients: dict[Any, Any] = {}
        # The targets whose gradient is an array that belongs to this pass, so that it can be added to.
        self.owned: set[Any] = set()
        for target, seed in seeds:
            if target in uses:
                before = self.gradients.get(target)
                self.gradients[target] = seed if before is None else before + seed
        # The targets whose gradients are complete.
        self.ready = [target for target in self.gradients if not uses[target]]

    def add(self, target: Any, contribution: Any, is_new: bool) -> None:
        """Add a contribution; `is_new` says that it is a new array or a view of one."""
        gradients = self.gradients
        before = gradients.get(target)
        if before is None:
            gradients[target] = contribution
            if is_new and type(contribution) is np.ndarray and contribution.base is None:
                self.owned.add(target)
        elif target in self.owned:
            np.add(before, contribution, out=before)
        else:
            gradients[target] = before + contribution
            if self._in_place and type(before) is np.ndarray and before.ndim:
                self.owned.add(target)
        self.uses[target] = missing = self.uses[target] - 1
        if not missing:
            self.ready.append(target)


def _is_an_end(target: Any, uses: dict[Any, int]) -> bool:
    """Whether the pass need not go beyond this Node."""
    return type(target) is Node and not any(parent in uses for parent, _, _ in target.links)


def _propagate(node: Node, g: Any, pending: _Pending, create_graph: bool) -> None:
    """Take the gradient of the result of an operation to its operands."""
    primitive, args, kwargs, ans = node.primitive, node.args, node.kwargs, node.ans
    if primitive.takes_sequence:
        # Once for all operands: the vjp of each may read each of the others.
        _check_unchanged(node, 0)
    if create_graph:
        args, ans = _recorded_args(node), None if ans is None else new_tensor(ans, node)
    trusted = primitive.trusted and not create_graph
    uses, vjps = pending.uses, primitive.vjps
    for i, (parent, _, _) in enumerate(node.links):
        if parent not in uses:
            continue
        if primitive.takes_sequence:
            vjp, operand = vjps[0], node.args[0][i]
            contribution = vjp(g, ans, i, *args, **kwargs)
        else:
            vjp, operand = vjps[i], parent if node.args[i] is None else node.args[i]
            _check_unchanged(node, i)
            contribution = vjp(g, ans, *args, **kwargs) if kwargs else vjp(g, ans, *args)
        if not (primitive.trusted and contribution.shape == operand.shape and contribution.dtype is operand.dtype):
            contribution = _fitted(contribution, operand, primitive)
        pending.add(parent, contribution, trusted and contribution is not g)


def _fitted(g: Any, operand: Any, primitive: Primitive) -> Any:
    """The gradient in the shape and the dtype of the operand."""
    if not isinstance(g, (np.ndarray, Traced)):
        g = np.asarray(g)
    if g.shape != operand.shape:
        g = _summed(g, operand.shape, primitive)
    return g if g.dtype == operand.dtype else _cast(g, operand.dtype)


def _store(gradients: Iterable[tuple[Any, Any, bool]], wanted: Collection[Any] | None) -> None:
    """Add gradients to ``grad`` of their Tensors."""
    for tensor, gradient, is_owned in gradients:
        if wanted is None:
            # As in torch, a leaf that no longer requires a gradient gets none.
            is_stored = tensor._requires_grad
        else:
            # Of a Tensor that retains its gradient, and is not itself wanted.
            is_stored = tensor._node is not None and tensor._node not in wanted
        if is_stored:
            tensor._accumulate(gradient, is_owned)


def _recorded_args(node: Node) -> Any:
    """The arguments of an operation, as Tensors where a gradient flows."""
    takes_sequence = node.primitive.takes_sequence
    arrays = node.args[0] if takes_sequence else node.args
    operands = [
        array if array is None
        else new_tensor(array, parent) if type(parent) is Node
        # A leaf, unless a step has given it another array since.
        else parent if parent is not None and parent._array is array
        else array
        for array, (parent, _, _) in zip(arrays, node.links, strict=False)
    ]  # fmt: skip
    return (tuple(operands), *node.args[1:]) if takes_sequence else (*operands, *node.args[len(operands) :])


# -----------------------------------------------------------------------------------------------------------
# Which part of the graph is passed


def _count_uses(seeds: Sequence[tuple[Any, Any]]) -> dict[Any, int]:
    """For each Node and leaf that the outputs depend on: how many operands it is."""
    counts: dict[Any, int] = {target: 0 for target, _ in seeds}
    stack = list(counts)
    while stack:
        node = stack.pop()
        if type(node) is Node:
            if node.args is None:
                raise RuntimeError(SECOND_TIME)
            for parent, _, _ in node.links:
                if parent is not None:
                    if parent in counts:
                        counts[parent] += 1
                    else:
                        counts[parent] = 1
                        stack.append(parent)
    return counts


def _count_uses_between(seeds: Sequence[tuple[Any, Any]], wanted: set[Any], strict: bool) -> dict[Any, int]:
    """Likewise, only for what lies between the outputs and `wanted`: nothing else need be computed."""
    children, any_freed = _children({target for target, _ in seeds})
    needed = wanted & children.keys()
    if any_freed and strict:
        raise RuntimeError(EARLIER_CALL)
    if any_freed and len(needed) < len(wanted):
        raise RuntimeError(SECOND_TIME)
    stack = list(needed)
    while stack:
        for child in children[stack.pop()]:
            if child not in needed:
                needed.add(child)
                stack.append(child)
    counts = dict.fromkeys(needed, 0)
    for node in needed:
        for parent, _, _ in node.links if type(node) is Node else ():
            if parent in counts:
                if node.args is None:
                    raise RuntimeError(SECOND_TIME)
                counts[parent] += 1
    return counts


def _children(outputs: Iterable[Any]) -> tuple[dict[Any, list[Node]], bool]:
    """For each Node and leaf that the outputs depend on: the operations that use it; and whether any was freed."""
    children: dict[Any, list[Node]] = {target: [] for target in outputs}
    stack = list(children)
    any_freed = False
    while stack:
        node = stack.pop()
        if type(node) is Node:
            any_freed = any_freed or node.args is None
            for parent, _, _ in node.links:
                if parent is not None:
                    if parent not in children:
                        children[parent] = []
                        stack.append(parent)
                    children[parent].append(node)
        elif node._node is not None and node._node.args is None:
            any_freed = True  # a variable of a call of value_and_grad that has ended
    return children, any_freed


# -----------------------------------------------------------------------------------------------------------
# Checks


def _check_unchanged(node: Node, k: int) -> None:
    """Raise if a value that vjp number `k` reads has been changed in place."""
    primitive, memory = node.primitive, node.memory
    if memory.writes != node.version and primitive.reads_ans[k]:
        raise _changed(node.ans, memory.writes, node.version, primitive.name)
    links, places = node.links, primitive.reads[k]
    for j in range(len(links)) if places is None else places:
        if j >= len(links):
            continue
        origin, written, version = links[j]
        if written is not None and written.writes != version:
            array = node.args[0][j] if primitive.takes_sequence else node.args[j]
            raise _changed(array, written.writes, version, origin.primitive.name if type(origin) is Node else None)
        if written is None and version:
            array = node.args[0][j] if primitive.takes_sequence else node.args[j]
            if version != fingerprint(array):
                raise RuntimeError(
                    f"an array of shape {array.shape} has been changed since {primitive.name} was called with it, "
                    "and its former values are needed for the gradient; give it a copy, array.copy()"
                )


def _changed(array: Any, now: int, then: int, origin: str | None) -> RuntimeError:
    where = f", which is output 0 of {origin}," if origin else ""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{array.dtype} {list(array.shape)}]{where} is at version {now}; expected version {then} instead. "
        "Hint: change a copy (t.copy()) in place, or write t = t + x for t += x"
    )


def _summed(g: Any, shape: tuple[int, ...], primitive: Primitive) -> Any:
    """The gradient summed over broadcast axes."""
    summed = unbroadcast(g, shape) if primitive.broadcasts else g
    if summed.shape != shape:
        raise RuntimeError(
            f"the rule of {primitive.name} returned a gradient of shape {g.shape} for an argument of shape {shape}"
        )
    return summed


def _cast(g: Any, dtype: Any) -> Any:
    if g.dtype.kind == "c" and dtype.kind != "c":
        g = np.real(g)
    return g if g.dtype == dtype else g.astype(dtype)
