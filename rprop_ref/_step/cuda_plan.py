"""How to step parameters that are on a GPU: what `plan` is for those in the memory of the host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cuda_kernels import _cuda, arrays, flat, layout, loss
from cuda_kernels import many_arrays as many
from cuda_kernels.arrays import DeviceArray

from .._core import dtypes as _dtypes
from .._core.constants import rule_constants
from .plan import CAPTURABLE, Counters, check_param, check_state, is_constant, sharing_memory

CAPTURE_NEEDS_CAPTURABLE = (
    "Attempting CUDA graph capture of step() for an instance of Rprop but param_groups' capturable is False."
)
_WARM_UP = (
    "a step that is recorded in a graph must have been made before, with the same parameters and rule, and "
    "gradients and loss of the same kind: make a step or two first, and then begin the recording"
)


class DeviceLoss:
    """A loss on the GPU, and that of the last step, to be compared there.

    Parameters
    ----------
    loss : DeviceArray
        One float32 or float64.
    before : DeviceArray
        The float64 that is kept for the next step; NaN at first.
    maximize : bool
    """

    def __init__(self, loss_now: DeviceArray, before: DeviceArray, maximize: bool) -> None:
        if loss_now.size != 1 or loss_now.dtype.name not in loss.DTYPES:
            raise ValueError(
                f"a loss on a GPU must be one float32 or float64, but is {loss_now.dtype} {loss_now.shape}"
            )
        self.before = before
        self.dtype = loss_now.dtype.name
        self._loss, self._maximize = loss_now, maximize

    def compare(self, worse: int, stream: int) -> None:
        loss.compare(self.dtype, self._loss.address, self.before.address, worse, self._maximize, stream)


class DevicePlan:
    """How to step some parameters on a GPU; the arguments, and the use, are those of `plan.Plan`.

    The steps are made on the stream that the first parameter's library works on at the time; of gradients that
    come from other streams it is made sure, on the GPU, that they are there.
    """

    def __init__(
        self,
        params: Sequence[DeviceArray],
        prevs: Sequence[DeviceArray],
        sizes: Sequence[DeviceArray],
        counters: Sequence[Any],
        memory: Sequence[DeviceArray] | None = None,
    ) -> None:
        check_all_on_device([*params, *prevs, *sizes])
        self._params = list(params)
        self._stream = params[0].stream()
        check_not_recorded(self._stream)
        for param, prev, size in zip(params, prevs, sizes, strict=True):
            check_param(param, param.strides is None)
            check_state(param, prev, "prev")
            check_state(param, size, "step_size")
        for array in (*params, *prevs, *sizes):
            if not array.writeable:
                raise ValueError(
                    f"a parameter or its state, of shape {array.shape}, is read-only, but a step changes it in "
                    "place; pass a writable array (JAX has none: its arrays can be gradients)"
                )
        self._counts_there = all(isinstance(c, DeviceArray) for c in counters)
        self._host_counters = Counters([c for c in counters if not isinstance(c, DeviceArray)])
        self._jobs = _jobs(self._params, prevs, sizes, counters)
        if self._counts_there:
            for job in self._jobs:
                job.warm_up(self._stream)
        self._memory = _Memory(params if memory is None else memory)
        self._worse = arrays.from_host([np.zeros(1, np.int64)])[0]
        # Of the gradients only their addresses are kept, so as not to keep their memory.
        self._found_at = self._addresses = np.zeros(0, np.int64)
        self._copies: list[tuple[layout.Layout, int, int]] = []
        self._buffers: dict[int, DeviceArray] = {}
        # All of them, since a graph may use any.
        self._layouts: dict[tuple[int, Any], layout.Layout] = {}
        # The rules, and kinds of losses, of which a step has been made, whose kernels are thus on the GPU.
        self._made: set[tuple[str, str | None]] = set()
        self._streams: list[int] = []
        #: Whether a graph was recorded with it, whose replays use its memory.
        self.is_recorded = False
        self._constants: dict[str, tuple[Any, ...]] = {}
        self._ready_for: tuple[Any, ...] = ()

    def check_capturable(self, capturable: bool) -> None:
        """Refuse, in torch's words, counters that are not where `capturable` needs them."""
        if capturable and not self._counts_there:
            raise AssertionError(CAPTURABLE)
        if not capturable and _cuda.is_capturing(self._stream):
            raise RuntimeError(CAPTURE_NEEDS_CAPTURABLE)

    def compare(self, loss_now: DeviceArray, before: Any, maximize: bool) -> DeviceLoss:
        """A loss on the GPU beside that of the last step, which may be None, a number, or there already."""
        self._streams += self._others([loss_now])
        if not isinstance(before, DeviceArray):
            check_not_recorded(self._stream)
            before = arrays.from_host([np.array(np.nan if before is None else float(before))])[0]
        return DeviceLoss(loss_now, before, maximize)

    def load(self, grads: Sequence[DeviceArray], *, fit: bool = False) -> None:
        """Find out where the gradients are, and on which streams."""
        if not fit:
            check_all_on_device(grads)
            if len(grads) != len(self._params):
                raise ValueError(f"there are {len(grads)} gradients for {len(self._params)} parameters")
            for grad, param in zip(grads, self._params, strict=True):
                check_state(param, grad, "a gradient")
        self._stream = self._params[0].stream()
        self._streams = self._others(grads)
        found_at = np.array([g.address for g in grads], np.int64)
        plain = not self._copies and all(g.strides is None for g in grads)
        if plain and np.array_equal(found_at, self._found_at):
            return
        copies, addresses = [], found_at.copy()
        for i in self._memory.to_copy(grads, self._params):
            grad = grads[i]
            if (i, grad.strides) not in self._layouts:
                check_not_recorded(self._stream)
                self._layouts[i, grad.strides] = arrays.layout_of(grad)
                if i not in self._buffers:
                    self._buffers[i] = arrays.allocated([grad.shape], grad.dtype)[0]
            addresses[i] = self._buffers[i].address
            copies.append((self._layouts[i, grad.strides], self._buffers[i].address, grad.address))
        self._found_at, self._addresses, self._copies = found_at, addresses, copies

    def _others(self, values: Sequence[DeviceArray]) -> list[int]:
        """The streams that gradients or a loss come from, if they are not the one of the step."""
        others = [s for s in _streams(values) if s != self._stream]
        if others and _cuda.is_capturing(self._stream):
            raise RuntimeError(
                "a step is being recorded in a graph, and a gradient or the loss comes from another stream than "
                "the one that is recorded; compute them and step on one stream"
            )
        return others

    def prepare(
        self,
        etas: tuple[float, float],
        step_sizes: tuple[float | None, float | None],
        maximize: bool,
        backend: str | None,
    ) -> None:
        """Round the constants."""
        if backend not in (None, "cuda"):
            raise TypeError(
                f"backend={backend!r} cannot step arrays on a GPU; use backend='cuda' or None, or copy them "
                "to the host"
            )
        known = self._ready_for
        if known and all(a is b for a, b in zip(known, (etas, step_sizes, maximize), strict=True)):
            return
        dtypes = dict.fromkeys(p.dtype for p in self._params)
        rounded = {d: rule_constants(d, etas, step_sizes, maximize) for d in dtypes}
        self._constants = {
            _dtypes.real(d).name: tuple(map(flat.constant_type(_dtypes.real(d).name), c))
            for d, c in rounded.items()
        }
        # Only tuples of numbers cannot be changed behind our back.
        lasting = is_constant(etas) and is_constant(step_sizes)
        self._ready_for = (etas, step_sizes, maximize) if lasting else ()

    def run(self, variant: str, worse: bool | DeviceLoss) -> None:
        """Make the step that was loaded and prepared, and count it; returns before the GPU has made it."""
        stream = self._stream
        kind = variant, worse.dtype if isinstance(worse, DeviceLoss) else None
        if _cuda.is_capturing(stream):
            if kind not in self._made:  # what has been recorded so far is of no use, and nothing has been changed
                raise RuntimeError(_WARM_UP)
            self.is_recorded = True
        self._made.add(kind)
        for other in self._streams:
            _cuda.wait_for(stream, other)
        if isinstance(worse, DeviceLoss):
            rose = self._worse.address
            worse.compare(rose, stream)
        else:
            rose = int(worse)
        for moving, target, source in self._copies:
            moving.gather(target, source, stream)
        for job in self._jobs:
            job.run(variant, self._addresses, self._constants[job.dtype], rose, stream)
        self._host_counters.add_one()


class _Job:
    """Some arrays of one dtype that are stepped in one launch."""

    def __init__(self, indices: Sequence[int], rows: Sequence[tuple[DeviceArray, ...]], counters: Sequence[int]):
        self.dtype = _dtypes.real(rows[0][0].dtype).name
        self._indices = np.array(indices)
        # What is not contiguous is copied to and fro.
        self._moves = []
        places: list[tuple[int, int, int]] = []
        for row in rows:
            addresses = []
            for array in row:
                stepped = array
                if array.strides is not None:
                    stepped = arrays.allocated([array.shape], array.dtype)[0]
                    self._moves.append((arrays.layout_of(array), stepped, array))
                addresses.append(stepped.address)
            x, prev, size = addresses
            places.append((x, prev, size))
        lengths = [row[0].size * (2 if row[0].dtype.kind == "c" else 1) for row in rows]
        self._table = None
        self._only = (*places[0], counters[0], lengths[0])
        if len(rows) > 1:
            self._table = many.Table(
                [(*place, c, n) for place, c, n in zip(places, counters, lengths, strict=True)]
            )

    def warm_up(self, stream: int) -> None:
        if self._table is not None:
            self._table.warm_up(stream)

    def run(self, variant: str, grads: Any, constants: tuple[Any, ...], worse: int, stream: int) -> None:
        for moving, moved, array in self._moves:
            moving.gather(moved.address, array.address, stream)
        if self._table is not None:
            self._table.run(variant, self.dtype, grads[self._indices], constants, worse=worse, stream=stream)
        else:
            x, prev, size, counter, n = self._only
            g = int(grads[self._indices[0]])
            flat.run(
                variant,
                self.dtype,
                x,
                g,
                prev,
                size,
                n,
                constants,
                counter=counter,
                worse=worse,
                stream=stream,
            )
        for moving, moved, array in self._moves:
            moving.scatter(moved.address, array.address, stream)


class _Memory:
    """The memory of all parameters that are stepped at the same time."""

    def __init__(self, params: Iterable[DeviceArray]) -> None:
        spans = np.array(sorted(p.bounds for p in params if p.size), np.int64).reshape(-1, 2)
        self._starts = spans[:, 0]
        self._reach = np.maximum.accumulate(spans[:, 1]) if len(spans) else spans[:, 1]

    def to_copy(self, grads: Sequence[DeviceArray], params: Sequence[DeviceArray]) -> list[int]:
        """Which gradients a kernel cannot read in place: those that it would overwrite, or are not contiguous.

        A gradient that is its own parameter is read before that is written, element by element.
        """
        bounds = np.array([g.bounds for g in grads], np.int64).reshape(-1, 2)
        before = np.searchsorted(self._starts, bounds[:, 1])
        overlaps = np.zeros(len(grads), bool)
        some = (before > 0) & (bounds[:, 1] > bounds[:, 0])
        overlaps[some] = self._reach[before[some] - 1] > bounds[some, 0]
        return [
            i for i, (g, p) in enumerate(zip(grads, params, strict=True)) if g.strides is not None or overlaps[i]
        ]


def _jobs(
    params: Sequence[DeviceArray],
    prevs: Sequence[DeviceArray],
    sizes: Sequence[DeviceArray],
    counters: Sequence[Any],
) -> list[_Job]:
    """Sort the parameters into launches; those that share memory with another keep their order."""
    rows = list(zip(params, prevs, sizes, strict=True))
    steps = [c.address if isinstance(c, DeviceArray) else 0 for c in counters]
    entangled = sharing_memory((*a.bounds, i) for i, row in enumerate(rows) for a in row if a.size)
    together: dict[str, list[int]] = {}
    lists = [[i] for i in sorted(entangled)]
    for i, param in enumerate(params):
        if i not in entangled:
            together.setdefault(_dtypes.real(param.dtype).name, []).append(i)
    return [
        _Job(indices, [rows[i] for i in indices], [steps[i] for i in indices])
        for indices in (*lists, *together.values())
    ]


def _streams(grads: Sequence[DeviceArray]) -> list[int]:
    """The streams that gradients come from."""
    found: dict[int, None] = {}
    # Whether the arrays of a type have a stream each, as Numba's, or one for all, as other libraries have it.
    kinds: dict[type, bool] = {}
    for grad in grads:
        owner = grad.owner
        if isinstance(owner, arrays.Seen):
            owner = owner.array
        each = kinds.get(type(owner))
        if each is None:
            each = kinds[type(owner)] = type(owner).__module__.startswith("numba")
        elif not each:
            continue
        if not each or owner.stream != 0:  # 0 is that of arrays that belong to no stream
            found[grad.stream()] = None
    return list(found)


def check_not_recorded(stream: int) -> None:
    """Refuse to do what needs memory or waits while a graph is recorded."""
    if _cuda.is_capturing(stream):
        raise RuntimeError(_WARM_UP)


def check_all_on_device(values: Sequence[Any]) -> None:
    """Refuse arrays of the host among those of a GPU."""
    for value in values:
        if not isinstance(value, DeviceArray):
            raise mixed(value)


def mixed(value: Any) -> TypeError:
    """What is raised for arrays of which some are on a GPU and some are not."""
    where = f"of type {type(value).__name__}"
    if isinstance(value, np.ndarray):
        where = f"{value.dtype} {value.shape} in the memory of the host"
    return TypeError(
        "parameters, gradients and state that are stepped together must be all on the GPU or all in the memory of "
        f"the host, but one is on the GPU and one is {where}; copy it, or put parameters in groups of their own"
    )
