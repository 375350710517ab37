"""A process that prepares one contender and measures it on request.

Each contender has a process of its own, so that its number of threads is fixed before any library is loaded, and
so that contenders can take turns. For each line on its input, the process measures once more, and prints the
seconds of single calls as JSON.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

#: Seconds of measuring for each request, and the smallest number of calls.
TURN = 0.4
MIN_CALLS = 3

#: Does the work once, and returns its seconds.
Call = Callable[[], float]


def gradients(shapes: list[tuple[int, ...]]) -> list[list[np.ndarray]]:
    """Two sets of gradients to be used alternately: some signs change at every step, others never."""
    rng = np.random.default_rng(1)
    return [[rng.standard_normal(s, dtype=np.float32) for s in shapes] for _ in range(2)]


def shapes_of(size: str) -> list[tuple[int, ...]]:
    """ "1000x64" is a thousand arrays of 64 elements, "5e7" one array."""
    count, _, length = size.rpartition("x")
    return [(int(float(length)),)] * int(count or 1)


def ours(size: str) -> Call:
    """One step of `rprop_ref.Rprop`, as a user makes it."""
    from rprop_ref import Parameter, Rprop

    shapes = shapes_of(size)
    params = [Parameter(np.ones(s, np.float32)) for s in shapes]
    optimizer = Rprop(params, backend="numba")
    return _alternating(params, gradients(shapes), optimizer.step)


def grouped(size: str) -> Call:
    """The same step with groups of ten parameters, and with a hook before and after it."""
    shapes = shapes_of(size)
    params, optimizer = _groups_of_ten(shapes)
    _add_hooks(optimizer)
    return _alternating(params, gradients(shapes), optimizer.step)


def hooks(size: str) -> Call:
    """The cost of these two hooks: the time of steps without gradients, with the hooks and without them."""
    _, optimizer = _groups_of_ten(shapes_of(size))

    def seconds() -> float:
        began = time.perf_counter()
        for _ in range(10):
            optimizer.step()
        return (time.perf_counter() - began) / 10

    def call() -> float:
        without = seconds()
        handles = _add_hooks(optimizer)
        cost = seconds() - without
        for handle in handles:
            handle.remove()
        return cost

    return call


def _groups_of_ten(shapes: list[tuple[int, ...]]) -> tuple[list, Any]:
    from rprop_ref import Parameter, Rprop

    params = [Parameter(np.ones(s, np.float32)) for s in shapes]
    return params, Rprop([{"params": params[i : i + 10]} for i in range(0, len(params), 10)], backend="numba")


def _add_hooks(optimizer: Any) -> list:
    return [
        register(lambda optimizer, args, kwargs: None)
        for register in (optimizer.register_step_pre_hook, optimizer.register_step_post_hook)
    ]


def company(who: str, size: str, surroundings: str) -> Call:
    """One step "alone", or "between" two calls of the BLAS, as where gradients are computed.

    `who` is "ours", "sequential" or "parallel" (ours, with that kernel), or "torch" (its loop over parameters).
    """
    if who in ("sequential", "parallel"):
        from numba_kernels import flat

        flat.run = functools.partial(flat.run, parallel=who == "parallel")
    call = torch_step(size, "for-loop") if who == "torch" else ours(size)
    if surroundings == "alone":
        return call
    matrix = np.random.default_rng(0).standard_normal((300, 300))

    def between() -> float:
        matrix @ matrix
        return call()

    return between


def torch_step(size: str, how: str) -> Call:
    """One step of ``torch.optim.Rprop``: "default", "for-loop", "foreach", or "compile"."""
    import torch

    shapes = shapes_of(size)
    params = [torch.nn.Parameter(torch.ones(s)) for s in shapes]
    sets = [[torch.from_numpy(g) for g in group] for group in gradients(shapes)]
    foreach = {"for-loop": False, "foreach": True}.get(how)
    step = torch.optim.Rprop(params, foreach=foreach).step
    if how == "compile":
        step = torch.compile(step)
    return _alternating(params, sets, step)


def _alternating(params: list, sets: list[list], step: Call) -> Call:
    """Time the step alone, without the assignment of gradients before it."""
    turn = 0

    def call() -> float:
        nonlocal turn
        turn ^= 1
        for param, grad in zip(params, sets[turn], strict=True):
            param.grad = grad
        began = time.perf_counter()
        step()
        return time.perf_counter() - began

    return call


def memory(size: str, kernel: str) -> Call:
    """A loop that does nothing but move memory: "scale", a = s*b, or "triad", a = b + s*c.

    (Not a = b: compilers turn that into a call of memcpy, which bypasses the cache, and then the number of moved
    bytes is unknown.)
    """
    import numba

    n = int(float(size))
    a, b, c = (np.ones(n, np.float32) for _ in range(3))
    s = np.float32(0.5)

    if kernel == "scale":

        @numba.njit(parallel=True)
        def run(a: Any, b: Any, c: Any, s: Any) -> None:
            for i in numba.prange(a.size):
                a[i] = s * b[i]

    else:

        @numba.njit(parallel=True)
        def run(a: Any, b: Any, c: Any, s: Any) -> None:
            for i in numba.prange(a.size):
                a[i] = b[i] + s * c[i]

    def call() -> float:
        began = time.perf_counter()
        run(a, b, c, s)
        return time.perf_counter() - began

    return call


#: Bytes moved per element. A store to a line that is not in the cache reads the line first.
MEMORY_BYTES = {"scale": 12, "triad": 16}


def minimizer(who: str, n: str) -> Call:
    """Minimize Rosenbrock's function; seconds per evaluation, with everything that happens between evaluations."""
    from scipy.optimize import minimize as scipy_minimize

    x0 = np.where(np.arange(int(n)) % 2, 1.0, -1.2)
    options = {"gtol": 0.0, "ftol": 0.0, "maxiter": 2000}
    if who == "rprop":
        from rprop_ref import minimize

        return _each(
            lambda: minimize(rosenbrock, x0, jac=rosenbrock_der, maxiter=2000, gtol=0, backend="numba").nfev
        )
    return _each(
        lambda: scipy_minimize(rosenbrock, x0, jac=rosenbrock_der, method="L-BFGS-B", options=options).nfev
    )


def objective(n: str) -> Call:
    """The objective and gradient of `minimizer` alone."""
    x = np.where(np.arange(int(n)) % 2, 1.0, -1.2)

    def evaluate() -> int:
        for _ in range(100):
            rosenbrock(x)
            rosenbrock_der(x)
        return 100

    return _each(evaluate)


def _each(run: Callable[[], int]) -> Call:
    """Time a run, and divide by the number of evaluations that it returns."""

    def call() -> float:
        began = time.perf_counter()
        evaluations = run()
        return (time.perf_counter() - began) / evaluations

    return call


def rosenbrock(x: np.ndarray) -> float:
    a, b = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    return float(100.0 * a.dot(a) + b.dot(b))


def rosenbrock_der(x: np.ndarray) -> np.ndarray:
    a = x[1:] - x[:-1] ** 2
    g = np.zeros_like(x)
    g[1:] = 200.0 * a
    g[:-1] -= 400.0 * x[:-1] * a + 2.0 * (1.0 - x[:-1])
    return g


def iterations(who: str, n: str) -> Call:
    """Minimize Rosenbrock's function by loops that do nothing but iterate; seconds per iteration."""
    x0 = np.where(np.arange(int(n)) % 2, 1.0, -1.2)
    return _each({"ours": _our_loop, "torch": _torch_loop, "optax": _optax_loop}[who](x0))


def _our_loop(x0: np.ndarray) -> Callable[[], int]:
    from rprop_ref import minimize

    from .shark import rosenbrock

    return lambda: int(minimize(rosenbrock, x0, maxiter=100_000, gtol=0, xtol=0, backend="numba").nit)


def _torch_loop(x0: np.ndarray) -> Callable[[], int]:
    import torch

    def run() -> int:
        x = torch.nn.Parameter(torch.from_numpy(x0.copy()))
        x.grad = torch.empty_like(x)
        optimizer = torch.optim.Rprop([x])
        with torch.no_grad():
            for _ in range(500):
                head, tail, g = x[:-1], x[1:], x.grad
                a = tail - head * head
                g[:-1] = -400.0 * head * a - 2.0 * (1.0 - head)
                g[-1] = 0.0
                g[1:] += 200.0 * a
                optimizer.step()
        return 500

    return run


def _optax_loop(x0: np.ndarray) -> Callable[[], int]:
    jax, optimizer, rosen = _jax_and_rprop()

    def body(carry: Any) -> Any:
        i, x, state = carry
        updates, state = optimizer.update(jax.grad(rosen)(x), state, x)
        return i + 1, x + updates, state

    def run(x: Any, steps: Any) -> Any:
        return jax.lax.while_loop(lambda carry: carry[0] < steps, body, (0, x, optimizer.init(x)))[1]

    compiled = jax.jit(run)

    def call() -> int:
        compiled(x0, 20_000).block_until_ready()
        return 20_000

    return call


def _jax_and_rprop() -> tuple[Any, Any, Any]:
    """JAX, its Rprop and Rosenbrock's function. JAX uses as many threads as the process has processors."""
    threads = int(os.environ["NUMBA_NUM_THREADS"])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import optax

    jax.config.update("jax_enable_x64", True)

    def rosen(x: Any) -> Any:
        head, tail = x[:-1], x[1:]
        return (100.0 * (tail - head * head) ** 2 + (1.0 - head) ** 2).sum()

    return jax, optax.rprop(0.01, 0.8, 1.1, 1e-300, 1e300), rosen


def many_starts(who: str, m: str) -> Call:
    """Rosenbrock's function of two variables from m starts; seconds per iteration of one start."""
    x0s = np.random.default_rng(0).uniform(-2.0, 2.0, (int(m), 2))
    runs = {"ours": _our_starts, "optax": _optax_starts, "optax, nothing but steps": _optax_steps}
    return _each(runs[who](x0s))


#: Iterations of each start.
ITERATIONS = 1000


def _our_starts(x0s: np.ndarray) -> Callable[[], int]:
    from rprop_ref import minimize_many

    from .shark import rosenbrock

    return lambda: int(
        minimize_many(rosenbrock, x0s, maxiter=ITERATIONS, gtol=0, xtol=0, backend="numba").nit.sum()
    )


def _optax_starts(x0s: np.ndarray) -> Callable[[], int]:
    """With value and gradient, and an end where the gradient is zero, like ours."""
    jax, optimizer, rosen = _jax_and_rprop()
    evaluate = jax.value_and_grad(rosen)

    def goes_on(carry: Any) -> Any:
        i, _, _, _, g = carry
        return (i < ITERATIONS) & (abs(g).max() > 0)

    def body(carry: Any) -> Any:
        i, x, state, _, g = carry
        updates, state = optimizer.update(g, state, x)
        x = x + updates
        return i + 1, x, state, *evaluate(x)

    def run(x: Any) -> Any:
        return jax.lax.while_loop(goes_on, body, (0, x, optimizer.init(x), *evaluate(x)))

    compiled = jax.jit(jax.vmap(run))
    return lambda: int(compiled(x0s)[0].sum())


def _optax_steps(x0s: np.ndarray) -> Callable[[], int]:
    """With gradients only, and a fixed number of steps."""
    jax, optimizer, rosen = _jax_and_rprop()

    def body(_: Any, carry: Any) -> Any:
        x, state = carry
        updates, state = optimizer.update(jax.grad(rosen)(x), state, x)
        return x + updates, state

    def run(x: Any) -> Any:
        return jax.lax.fori_loop(0, ITERATIONS, body, (x, optimizer.init(x)))[0]

    compiled = jax.jit(jax.vmap(run))

    def call() -> int:
        compiled(x0s).block_until_ready()
        return ITERATIONS * len(x0s)

    return call


def network(who: str, sizes: str) -> Call:
    """One training step of a network of tanh units on 150 points: forward, backward, and Rprop's step."""
    widths = [int(n) for n in sizes.split("-")]
    rng = np.random.default_rng(0)
    points, classes = rng.standard_normal((150, widths[0])), rng.integers(0, widths[-1], 150)
    starts = []
    for before, after in itertools.pairwise(widths):
        starts += [rng.standard_normal((before, after)) / before**0.5, np.zeros(after)]
    step = (_our_network if who == "ours" else _torch_network)(starts, points, classes)

    def call() -> float:
        began = time.perf_counter()
        step()
        return time.perf_counter() - began

    return call


def _our_network(starts: list[np.ndarray], points: np.ndarray, classes: np.ndarray) -> Callable[[], None]:
    from rprop_ref import Parameter, Rprop, autograd

    params: list[Any] = [Parameter(s) for s in starts]
    optimizer = Rprop(params, backend="numba")
    rows = np.arange(len(classes))

    def step() -> None:
        optimizer.zero_grad()
        h: Any = points
        for i in range(0, len(params) - 2, 2):
            h = np.tanh(h @ params[i] + params[i + 1])
        z = h @ params[-2] + params[-1]
        loss: Any = np.mean(autograd.logsumexp(z, axis=1) - z[rows, classes])
        loss.backward()
        optimizer.step()

    return step


def _torch_network(starts: list[np.ndarray], points: np.ndarray, classes: np.ndarray) -> Callable[[], None]:
    import torch

    params = [torch.nn.Parameter(torch.from_numpy(s)) for s in starts]
    optimizer = torch.optim.Rprop(params)
    inputs, targets = torch.from_numpy(points), torch.from_numpy(classes)

    def step() -> None:
        optimizer.zero_grad()
        h = inputs
        for i in range(0, len(params) - 2, 2):
            h = torch.tanh(h @ params[i] + params[i + 1])
        loss: Any = torch.nn.functional.cross_entropy(h @ params[-2] + params[-1], targets)
        loss.backward()
        optimizer.step()

    return step


def digits(who: str, part: str) -> Call:
    """Train a network of 784 inputs, 128 tanh units and 10 classes on batches of 256, with gradients by NumPy.

    `part` is "iteration", or "step" for the seconds of the optimizer's step in it. Forward and backward are the
    same code whoever makes the step.
    """
    rng = np.random.default_rng(0)
    inputs, classes = rng.standard_normal((256, 784), dtype=np.float32), rng.integers(0, 10, 256)
    targets = np.eye(10, dtype=np.float32)[classes]
    shapes = ((784, 128), (128,), (128, 10), (10,))
    arrays = [rng.standard_normal(s, dtype=np.float32) / np.float32(28) for s in shapes]
    grads = [np.zeros_like(a) for a in arrays]
    params: list[Any]
    if who == "ours":
        from rprop_ref import Parameter, Rprop

        params = [Parameter(a) for a in arrays]
        step: Call = Rprop(params, backend="numba").step
    else:
        import torch

        params = [torch.nn.Parameter(torch.from_numpy(a)) for a in arrays]
        step = torch.optim.Rprop(params).step
    for param, grad in zip(params, grads, strict=True):
        param.grad = grad if who == "ours" else torch.from_numpy(grad)

    def call() -> float:
        began = time.perf_counter()
        w, b, v, c = arrays
        h = np.tanh(inputs @ w + b)
        z = h @ v + c
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z)
        p /= p.sum(axis=1, keepdims=True)
        back = (p - targets) / np.float32(256)
        np.matmul(h.T, back, out=grads[2])
        np.sum(back, axis=0, out=grads[3])
        back = (back @ v.T) * (1 - h * h)
        np.matmul(inputs.T, back, out=grads[0])
        np.sum(back, axis=0, out=grads[1])
        middle = time.perf_counter()
        step()
        end = time.perf_counter()
        return end - (began if part == "iteration" else middle)

    return call


TASKS: dict[str, Callable[..., Call]] = {
    "ours": ours,
    "grouped": grouped,
    "hooks": hooks,
    "torch": torch_step,
    "memory": memory,
    "minimizer": minimizer,
    "objective": objective,
    "iterations": iterations,
    "many": many_starts,
    "network": network,
    "company": company,
    "digits": digits,
}


def measure(call: Call) -> list[float]:
    """The seconds of as many calls as fit into one turn, and of `MIN_CALLS` at least."""
    seconds: list[float] = []
    end = time.perf_counter() + TURN
    while len(seconds) < MIN_CALLS or time.perf_counter() < end:
        seconds.append(call())
    return seconds


def main() -> None:
    task, *arguments = sys.argv[1:]
    call = TASKS[task](*arguments)
    for _ in range(3):  # compile, and touch all memory
        call()
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure(call)), flush=True)


if __name__ == "__main__":
    main()
