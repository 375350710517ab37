"""Where tasks are carried out: here, in other processes, in an executor, or on a cluster."""

from __future__ import annotations

import functools
import os
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import numpy as np

#: Work is cut into about this many pieces. One piece is lost when a worker is lost, and one piece may keep the
#: last worker busy when the others have finished.
PIECES = 32

#: No piece has more items than this, so that results keep coming in and progress can be shown.
LARGEST_PIECE = 64

#: The same for runs in machine code, which are fastest in large batches.
LARGEST_PIECE_OF_MACHINE_CODE = 4096

Array = np.ndarray[Any, Any]
Task = Callable[[Any], Any]


def pieces(m: int) -> list[slice]:
    """Cut m items into consecutive pieces. The cuts depend only on m."""
    size = min(max(1, m // PIECES), LARGEST_PIECE)
    return [slice(i, min(i + size, m)) for i in range(0, m, size)]


def count(workers: int) -> int:
    """The number of workers: -1 means one for each processor that this process may use."""
    if workers == -1:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if workers < 1:
        raise ValueError(f"workers must be at least 1, or -1 for one per processor, but is {workers}")
    return workers


def checked(workers: Any) -> Any:
    """Return `workers`, a number as an int; raise a TypeError if it is nothing that can be given work."""
    if isinstance(workers, (int, np.integer)) and not isinstance(workers, bool):
        count(int(workers))
        return int(workers)
    if isinstance(workers, bool) or not (isinstance(workers, Executor) or is_dask(workers) or callable(workers)):
        raise TypeError(
            "workers must be a number of processes, an executor of concurrent.futures, a dask.distributed Client, "
            f"or a callable like map, but is {workers!r}"
        )
    return workers


def processes(number: int) -> Executor:
    """Start an executor of `number` processes.

    Notes
    -----
    Processes are spawned, never forked. A fork copies the state of OpenMP's threads but not the threads, so that
    a parallel kernel ends the child or waits for ever.
    """
    # Imported here, because Python in a browser has no processes, and everything else in `minimize` works there.
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor(number, multiprocessing.get_context("spawn"))


def _is_of_processes(executor: Executor) -> bool:
    module = sys.modules.get("concurrent.futures.process")
    return module is not None and isinstance(executor, module.ProcessPoolExecutor)


def is_dask(workers: Any) -> bool:
    """Whether this is a dask.distributed Client; dask is not imported."""
    return any(
        kind.__module__.split(".")[0] == "distributed" and kind.__name__ == "Client"
        for kind in type(workers).__mro__
    )


@contextmanager
def mapped(task: Task, work: Sequence[Any], workers: Any) -> Iterator[Iterable[Any]]:
    """The results of ``task(item)`` for each item of `work`, in this order, as they become available.

    Leaving the context cancels the items that have not been started.
    """
    if isinstance(workers, int):
        number = min(count(workers), len(work))
        if number <= 1:
            yield map(task, work)
            return
        task = Packed(task)  # refuses a task that cannot be sent before processes are started
        with processes(number) as executor, _submitted(executor, task, work) as results:
            yield _with_advice(results)
    elif isinstance(workers, Executor):
        if _is_of_processes(workers):
            task = Packed(task)
        with _submitted(workers, task, work) as results:
            yield results
    elif is_dask(workers):
        with _on_cluster(workers, task, work) as results:
            yield results
    else:
        yield workers(task, work)


@contextmanager
def in_threads(runs: Any, points: Array, workers: int, show_progress: Any) -> Iterator[Iterable[Any]]:
    """The results of ``runs(points, control)`` in pieces, computed by threads of this process.

    These are threads of Python, not of OpenMP, so that the process may still be forked. About every 0.1 seconds
    `show_progress`, unless it is None, is called with the number of runs that have ended. Leaving the context ends
    all runs.
    """
    import numba

    number = numba.get_num_threads() if workers == 1 else count(workers)
    if not runs.allows_threads:
        number = 1
    m = len(points)
    size = (
        min(LARGEST_PIECE_OF_MACHINE_CODE, -(-m // (4 * number))) if number > 1 else LARGEST_PIECE_OF_MACHINE_CODE
    )
    parts = [points[i : i + size] for i in range(0, m, size)]
    # For each part: whether its runs must end, and how many of them have ended.
    controls = np.zeros((len(parts), 2), np.int64)
    executor = ThreadPoolExecutor(min(number, len(parts)))
    futures = [executor.submit(runs, part, control) for part, control in zip(parts, controls, strict=True)]

    def results() -> Iterator[Any]:
        for future in futures:
            while show_progress is not None and not wait([future], timeout=0.1).done:
                show_progress(int(controls[:, 1].sum()))
            yield future.result()

    try:
        yield results()
    finally:
        controls[:, 0] = 1
        executor.shutdown(cancel_futures=True)


@contextmanager
def _submitted(executor: Executor, task: Task, work: Sequence[Any]) -> Iterator[Iterable[Any]]:
    futures: list[Future[Any]] = [executor.submit(task, item) for item in work]
    try:
        yield (future.result() for future in futures)
    finally:
        for future in futures:
            future.cancel()


@contextmanager
def _on_cluster(client: Any, task: Task, work: Sequence[Any]) -> Iterator[Iterable[Any]]:
    if client.asynchronous:
        raise TypeError("workers is an asynchronous Client; minimize_many needs one made with asynchronous=False")
    # The task is sent once for all items, and as a result rather than as scattered data, because the cluster can
    # compute a result again if the worker that holds it is lost. Not pure: results of earlier calls are not used.
    task_on_cluster = client.submit(_identity, task, pure=False)
    futures = [client.submit(_call, task_on_cluster, item, pure=False) for item in work]
    try:
        yield (future.result() for future in futures)
    finally:
        client.cancel(futures)


def _identity(task: Task) -> Task:
    return task


def _call(task: Task, item: Any) -> Any:
    return task(item)


class Packed:
    """A task as bytes: pickled once, and unpickled once in each process, with errors that say what to do."""

    def __init__(self, task: Task) -> None:
        try:
            self._bytes = pickle.dumps(task)
        except Exception as error:
            raise TypeError(
                f"the objective cannot be sent to other processes ({type(error).__name__}: {error}). Define fun, "
                "jac and callables in args at the top level of a module, or run them in threads, with "
                "workers=concurrent.futures.ThreadPoolExecutor()"
            ) from error

    def __call__(self, item: Any) -> Any:
        return _unpacked(self._bytes)(item)


@functools.lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> Task:
    try:
        task: Task = pickle.loads(packed)
    except Exception as error:
        raise TypeError(
            f"the objective cannot be found in the other process ({type(error).__name__}: {error}). Define it in "
            "a module that can be imported, not in an interactive session, or run it in threads, with "
            "workers=concurrent.futures.ThreadPoolExecutor()"
        ) from error
    return task


def _with_advice(results: Iterable[Any]) -> Iterator[Any]:
    """The results; an error about a lost process says what to do."""
    try:
        yield from results
    except BrokenExecutor as error:
        raise RuntimeError(
            "a worker process ended before its work was done. If this is a script, put its statements under "
            "if __name__ == '__main__':, since each new process imports the script; otherwise the objective ended "
            "the process, or memory ran out"
        ) from error
