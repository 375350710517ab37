"""The backward pass through what was recorded.

It is a loop, not a recursion, and works through graphs of any depth; gradients and saved arrays are let go as soon
as they have been used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._mode import mode
from ._record import Node, refresh
from ._rules import Rule, unbroadcast
from ._traced import Traced, new

SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
    "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "
    "saved tensors after calling backward."
)


NO_GRADIENT = "element 0 of tensors does not require grad and does not have a grad_fn"


def backward(
    outputs: Sequence[tuple[Traced, Any]],
    *,
    retain: bool,
    create_graph: bool,
    wanted: Sequence[Traced] | None = None,
) -> list[Any]:
    """Check the gradients to begin with, and start the pass; returns the gradients of `wanted`."""
    for tensor in (*(output for output, _ in outputs), *(wanted or ())):
        if tensor._base is not None:
            refresh(tensor)
    seeds = [
        (output if output._node is None else output._node, _seed(i, output, gradient, create_graph))
        for i, (output, gradient) in enumerate(outputs)
    ]
    targets = None if wanted is None else [t if t._node is None else t._node for t in wanted]
    before = mode.enabled
    mode.enabled = create_graph
    try:
        found = _run(seeds, retain=retain, create_graph=create_graph, wanted=targets)
    finally:
        mode.enabled = before
    gradients = [found.get(t) for t in targets or ()]
    if create_graph:
        return [g if g is None or isinstance(g, Traced) else new(np.asarray(g), None) for g in gradients]
    return [np.asarray(g) if isinstance(g, np.generic) else g for g in gradients]


def _seed(i: int, output: Traced, gradient: Any, create_graph: bool) -> Any:
    """The gradient that the pass begins with, at the output number `i`."""
    if not output._requires_grad:
        raise RuntimeError(NO_GRADIENT.replace("element 0", f"element {i}"))
    data = output._data
    if gradient is None:
        if data.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if data.dtype.kind == "c":
            raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {data.dtype}")
        seed: Any = np.ones(data.shape, data.dtype)
    else:
        seed = gradient if isinstance(gradient, Traced) else np.asarray(gradient)
        if seed.shape != data.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {seed.shape} and output[{i}] has a shape of "
                f"{data.shape}."
            )
        if seed.dtype != data.dtype:
            seed = seed.astype(data.dtype)
    if create_graph:
        return seed if isinstance(seed, Traced) else new(seed, None)
    return seed._data if isinstance(seed, Traced) else seed


def _run(
    seeds: Sequence[tuple[Any, Any]],
    *,
    retain: bool,
    create_graph: bool,
    wanted: Sequence[Any] | None = None,
) -> dict[Any, Any]:
    """Take gradients from the outputs back.

    Parameters
    ----------
    seeds : sequence of (Node or leaf, gradient)
        Where to begin.
    retain : bool
        Keep what was saved, for another pass.
    create_graph : bool
        Gradients are Tensors, and the pass is recorded.
    wanted : sequence of Node or leaf, optional
        Stop there, and return their gradients; no leaf accumulates anything then.

    Returns
    -------
    dict
        The gradients of those in `wanted` that the outputs depend on.
    """
    counts = _reachable(seeds) if wanted is None else _leading_to(seeds, set(wanted))
    grads: dict[Any, Any] = {}
    # The targets whose gradient is an array that belongs to this pass, so that it can be added to.
    owned: set[Any] = set()
    found: dict[Any, Any] = {}
    leaves: list[tuple[Any, Any, bool]] = []
    for target, seed in seeds:
        if target in counts:
            grads[target] = grads[target] + seed if target in grads else seed
    ready = [target for target in grads if not counts[target]]
    stops = None if wanted is None else set(wanted)
    while ready:
        node = ready.pop()
        g = grads.pop(node)
        if stops is not None and node in stops:
            found[node] = g
            if type(node) is Node and not any(parent in counts for parent, _, _ in node.links):
                continue  # what lies behind it is not passed, and so not freed either
        if type(node) is not Node:
            leaves.append((node, g, node in owned))
            continue
        if node.keep is not None and (tensor := node.keep()) is not None and tensor._node is node:
            leaves.append((tensor, g, False))
        rule = node.rule
        ours = rule.ours and not create_graph
        args, kwargs, ans = node.args, node.kwargs, node.ans
        if rule.joint:
            # Once for all operands: each of them may be looked at for each of the others.
            _check_unchanged(node, 0)
        if create_graph:
            values, ans = _as_recorded(node), None if ans is None else new(ans, node)
        else:
            values = args
        for i, (parent, _, _) in enumerate(node.links):
            if parent is None or parent not in counts:
                continue
            if rule.joint:
                vjp, like = rule.vjps[0], args[0][i]
                out = vjp(g, ans, i, *values, **kwargs)
            else:
                vjp, like = rule.vjps[i], parent if args[i] is None else args[i]
                _check_unchanged(node, i)
                out = vjp(g, ans, *values, **kwargs) if kwargs else vjp(g, ans, *values)
            if not rule.ours and not isinstance(out, (np.ndarray, Traced)):
                out = np.asarray(out)
            if out.shape != like.shape:
                out = _reshaped(out, like.shape, rule)
            if out.dtype is not like.dtype and out.dtype != like.dtype:
                out = _cast(out, like.dtype)
            before = grads.get(parent)
            if before is None:
                grads[parent] = out
                if ours and out is not g and type(out) is np.ndarray and out.base is None:
                    owned.add(parent)
            elif parent in owned:
                np.add(before, out, out=before)
            else:
                grads[parent] = before + out
                if not create_graph and type(before) is np.ndarray and before.ndim:
                    owned.add(parent)
            counts[parent] -= 1
            if not counts[parent]:
                ready.append(parent)
        if not retain:
            node.args = node.ans = None
            node.links = ()
    if stops is None:
        for leaf, g, mine in leaves:
            # As in torch, one that wants no gradient any more gets none.
            if leaf._requires_grad:
                leaf._accumulate(g, mine)
    else:
        for tensor, g, mine in leaves:
            if tensor._node is not None and tensor._node not in stops:
                tensor._accumulate(g, mine)
    return found


def _as_recorded(node: Node) -> Any:
    """The arguments of an operation, as Tensors where a gradient flows."""
    joint = node.rule.joint
    arrays = node.args[0] if joint else node.args
    found = [
        array if array is None
        else new(array, parent) if type(parent) is Node
        # A leaf, if it has not become another since (by a step).
        else parent if parent is not None and parent._data is array
        else array
        for array, (parent, _, _) in zip(arrays, node.links, strict=False)
    ]  # fmt: skip
    return (tuple(found), *node.args[1:]) if joint else (*found, *node.args[len(found) :])


def _reachable(seeds: Sequence[tuple[Any, Any]]) -> dict[Any, int]:
    """Everything the outputs depend on, and from how many places each of these is reached."""
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


def _leading_to(seeds: Sequence[tuple[Any, Any]], wanted: set[Any]) -> dict[Any, int]:
    """The same, of what lies between the outputs and `wanted` only: nothing else need be computed."""
    children: dict[Any, list[Node]] = {}
    seen = {target for target, _ in seeds}
    stack = list(seen)
    while stack:
        node = stack.pop()
        if type(node) is Node:
            for parent, _, _ in node.links:
                if parent is not None:
                    children.setdefault(parent, []).append(node)
                    if parent not in seen:
                        seen.add(parent)
                        stack.append(parent)
    useful = wanted & seen
    if len(useful) < len(wanted) and any(type(node) is Node and node.args is None for node in seen):
        raise RuntimeError(SECOND_TIME)
    stack = list(useful)
    while stack:
        for child in children.get(stack.pop(), ()):
            if child not in useful:
                useful.add(child)
                stack.append(child)
    counts = dict.fromkeys(useful, 0)
    for node in useful:
        for parent, _, _ in node.links if type(node) is Node else ():
            if parent in counts:
                if node.args is None:
                    raise RuntimeError(SECOND_TIME)
                counts[parent] += 1
    return counts


def _check_unchanged(node: Node, k: int) -> None:
    """Refuse to use a value that the rule looks at, if it is not any more what it was."""
    rule, memory = node.rule, node.memory
    if memory.writes != node.version and rule.needs_ans[k]:
        raise _changed(node.ans, memory.writes, node.version, rule.name)
    links, needs = node.links, rule.needs[k]
    if rule.joint:
        # The first argument is all of them.
        needs = None if needs is None or 0 in needs else ()
    for j in range(len(links)) if needs is None else needs:
        if j >= len(links):
            continue
        origin, written, version = links[j]
        if written is not None and written.writes != version:
            array = node.args[0][j] if rule.joint else node.args[j]
            raise _changed(array, written.writes, version, origin.rule.name if type(origin) is Node else None)


def _changed(array: Any, now: int, then: int, origin: str | None) -> RuntimeError:
    where = f", which is output 0 of {origin}," if origin else ""
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{array.dtype} {list(array.shape)}]{where} is at version {now}; expected version {then} instead. "
        "Hint: change a copy (t.copy()) in place, or write t = t + x for t += x"
    )


def _reshaped(out: Any, shape: tuple[int, ...], rule: Rule) -> Any:
    summed = unbroadcast(out, shape) if rule.broadcasts else out
    if summed.shape != shape:
        raise RuntimeError(
            f"the rule of {rule.name} returned a gradient of shape {out.shape} for an argument of shape {shape}"
        )
    return summed


def _cast(g: Any, dtype: Any) -> Any:
    if g.dtype.kind == "c" and dtype.kind != "c":
        g = np.real(g)
    return g if g.dtype == dtype else g.astype(dtype)
