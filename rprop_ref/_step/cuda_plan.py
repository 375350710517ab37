"""How to step parameters that are on a GPU; `plan` does this for arrays in the memory of the host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cuda_kernels import _cuda, arrays, dlpack, flat, layout, loss
from cuda_kernels import many_arrays as many
from cuda_kernels.arrays import DeviceArray

from .._core import dtypes as _dtypes
from .._core.constants import rule_constants
from .plan import CAPTURABLE, Counters, check_param, check_state, is_constant, sharing_memory

CAPTURE_NEEDS_CAPTURABLE = (
    "Attempting CUDA graph capture of step() for an instance of Rprop but param_groups' capturable is False."
)
_WARM_UP_FIRST = (
    "a step can be recorded in a graph only after an ordinary step with the same parameters and rule, and with "
    "gradients and a loss of the same kind: make a step or two first, and then begin the recording"
)


class DeviceLoss:
    """A loss on the GPU and that of the last step, which are compared there.

    Parameters
    ----------
    loss_now : DeviceArray
        One float32 or float64.
    before : DeviceArray
        The loss of the last step, a float64, or NaN before the first; `compare` overwrites it with `loss_now`.
    maximize : bool
    """

    def __init__(self, loss_now: DeviceArray, before: DeviceArray, maximize: bool) -> None:
        if loss_now.size != 1 or loss_now.dtype.name not in loss.DTYPES:
            raise ValueError(
                "a loss on a GPU must be one float32 or float64, but this one has dtype "
                f"{loss_now.dtype} and shape {loss_now.shape}"
            )
        self.before = before
        self.dtype = loss_now.dtype.name
        self._loss, self._maximize = loss_now, maximize

    def compare(self, worse: int, stream: int) -> None:
        """Write whether the loss rose to the address `worse`."""
        loss.compare(self.dtype, self._loss.address, self.before.address, worse, self._maximize, stream)


class DevicePlan:
    """How to step some parameters on a GPU; it takes the arguments of `plan.Plan` and is used like it.

    Steps run on the stream that the first parameter's library currently works on; gradients that come from other
    streams are waited for on the GPU.
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
                    "place; pass a writable array (JAX has none: its arrays can only be gradients)"
                )
        self._counters_on_device = all(isinstance(c, DeviceArray) for c in counters)
        self._host_counters = Counters([c for c in counters if not isinstance(c, DeviceArray)])
        self._jobs = _jobs(self._params, prevs, sizes, counters)
        if self._counters_on_device:
            for job in self._jobs:
                job.warm_up(self._stream)
        self._memory = _Memory(params if memory is None else memory)
        self._worse = arrays.from_host([np.zeros(1, np.int64)])[0]
        # Where the gradients are, and where kernels read them. Only addresses are kept, so that a gradient's
        # memory can be freed.
        self._grad_addresses = self._read_addresses = np.zeros(0, np.int64)
        self._copies: list[tuple[layout.Layout, int, int]] = []
        self._buffers: dict[int, DeviceArray] = {}
        # Kept for good, since a graph may use any of them.
        self._layouts: dict[tuple[int, Any], layout.Layout] = {}
        # Rules and dtypes of the loss with which a step has been made: their kernels are loaded.
        self._loaded: set[tuple[str, str | None]] = set()
        self._other_streams: list[int] = []
        #: Whether a graph has recorded a step of this plan; its replays use the plan's memory.
        self.is_recorded = False
        self._constants: dict[str, tuple[Any, ...]] = {}
        self._prepared_for: tuple[Any, ...] = ()

    def check_capturable(self, capturable: bool) -> None:
        """Refuse, in torch's words, counters of the host with `capturable`, and recording without it."""
        if capturable and not self._counters_on_device:
            raise AssertionError(CAPTURABLE)
        if not capturable and _cuda.is_capturing(self._stream):
            raise RuntimeError(CAPTURE_NEEDS_CAPTURABLE)

    def compare(self, loss_now: DeviceArray, before: Any, maximize: bool) -> DeviceLoss:
        """Pair a loss on the GPU with that of the last step: None, a number, or an array on the GPU."""
        self._other_streams += self._streams_to_wait_for([loss_now])
        if not isinstance(before, DeviceArray):
            check_not_recorded(self._stream)
            before = arrays.from_host([np.array(np.nan if before is None else float(before))])[0]
        return DeviceLoss(loss_now, before, maximize)

    def load(self, grads: Sequence[DeviceArray], *, fit: bool = False) -> None:
        """Find out where the gradients are and which streams they come from; arguments as for `plan.Plan.load`."""
        if not fit:
            check_all_on_device(grads)
            if len(grads) != len(self._params):
                raise ValueError(f"there are {len(grads)} gradients for {len(self._params)} parameters")
            for grad, param in zip(grads, self._params, strict=True):
                check_state(param, grad, "a gradient")
        self._stream = self._params[0].stream()
        self._other_streams = self._streams_to_wait_for(grads)
        grad_addresses = np.array([g.address for g in grads], np.int64)
        read_in_place = not self._copies and all(g.strides is None for g in grads)
        if read_in_place and np.array_equal(grad_addresses, self._grad_addresses):
            return
        copies, read_addresses = [], grad_addresses.copy()
        for i in self._memory.grads_to_copy(grads):
            grad = grads[i]
            if (i, grad.strides) not in self._layouts:
                check_not_recorded(self._stream)
                self._layouts[i, grad.strides] = arrays.layout_of(grad)
                if i not in self._buffers:
                    self._buffers[i] = arrays.allocated([grad.shape], grad.dtype)[0]
            read_addresses[i] = self._buffers[i].address
            copies.append((self._layouts[i, grad.strides], self._buffers[i].address, grad.address))
        self._grad_addresses, self._read_addresses, self._copies = grad_addresses, read_addresses, copies

    def _streams_to_wait_for(self, values: Sequence[DeviceArray]) -> list[int]:
        """The streams, other than that of the step, that gradients or a loss come from."""
        others = [s for s in _streams(values) if s != self._stream]
        if others and _cuda.is_capturing(self._stream):
            raise RuntimeError(
                "a step is being recorded in a graph, but a gradient or the loss comes from a stream that is not "
                "recorded; compute them on the stream that the step is recorded on"
            )
        return others

    def prepare(
        self,
        variant: str,
        etas: tuple[float, float],
        step_sizes: tuple[float | None, float | None],
        maximize: bool,
        backend: str | None,
    ) -> None:
        """Round the constants to the dtypes of the parameters."""
        if backend not in (None, "cuda"):
            raise TypeError(
                f"backend={backend!r} cannot step arrays on a GPU; use backend='cuda' or None, or copy them "
                "to the host"
            )
        last = self._prepared_for
        if last and all(a is b for a, b in zip(last, (etas, step_sizes, maximize), strict=True)):
            return
        dtypes = dict.fromkeys(p.dtype for p in self._params)
        rounded = {d: rule_constants(d, etas, step_sizes, maximize) for d in dtypes}
        self._constants = {
            _dtypes.real(d).name: tuple(map(flat.constant_type(_dtypes.real(d).name), c))
            for d, c in rounded.items()
        }
        # Only tuples of numbers can be recognised by their identity; anything else could change in place.
        unchangeable = is_constant(etas) and is_constant(step_sizes)
        self._prepared_for = (etas, step_sizes, maximize) if unchangeable else ()

    def run(self, variant: str, worse: bool | DeviceLoss) -> None:
        """Make the step that was loaded and prepared, and count it; this returns before the GPU has made it."""
        stream = self._stream
        kernels = variant, worse.dtype if isinstance(worse, DeviceLoss) else None
        if _cuda.is_capturing(stream):
            if kernels not in self._loaded:  # nothing has been changed yet
                raise RuntimeError(_WARM_UP_FIRST)
            self.is_recorded = True
        self._loaded.add(kernels)
        for other in self._other_streams:
            _cuda.wait_for(stream, other)
        if isinstance(worse, DeviceLoss):
            rose = self._worse.address
            worse.compare(rose, stream)
        else:
            rose = int(worse)
        for grad_layout, target, source in self._copies:
            grad_layout.gather(target, source, stream)
        for job in self._jobs:
            job.run(variant, self._read_addresses, self._constants[job.dtype], rose, stream)
        self._host_counters.add_one()


class _Job:
    """Parameters of one dtype that are stepped in one launch."""

    def __init__(self, indices: Sequence[int], rows: Sequence[tuple[DeviceArray, ...]], counters: Sequence[int]):
        self.dtype = _dtypes.real(rows[0][0].dtype).name
        self._indices = np.array(indices)
        # Arrays that are not contiguous are copied to a buffer before each step, and back after it.
        self._buffers: list[tuple[layout.Layout, DeviceArray, DeviceArray]] = []
        lengths = [row[0].size * (2 if row[0].dtype.kind == "c" else 1) for row in rows]
        addresses = [
            (*(self._contiguous(array).address for array in row), counter, length)
            for row, counter, length in zip(rows, counters, lengths, strict=True)
        ]
        self._only = addresses[0]
        self._table = many.Table(addresses) if len(rows) > 1 else None

    def _contiguous(self, array: DeviceArray) -> DeviceArray:
        """The array that a kernel steps: this one, or a buffer."""
        if array.strides is None:
            return array
        (buffer,) = arrays.allocated([array.shape], array.dtype)
        self._buffers.append((arrays.layout_of(array), buffer, array))
        return buffer

    def warm_up(self, stream: int) -> None:
        if self._table is not None:
            self._table.warm_up(stream)

    def run(self, variant: str, grads: Any, constants: tuple[Any, ...], worse: int, stream: int) -> None:
        for array_layout, buffer, array in self._buffers:
            array_layout.gather(buffer.address, array.address, stream)
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
        for array_layout, buffer, array in self._buffers:
            array_layout.scatter(buffer.address, array.address, stream)


class _Memory:
    """The memory of all parameters that are stepped at the same time."""

    def __init__(self, params: Iterable[DeviceArray]) -> None:
        spans = np.array(sorted(p.byte_bounds for p in params if p.size), np.int64).reshape(-1, 2)
        self._starts = spans[:, 0]
        # The highest end of a parameter and of all that start before it.
        self._ends = np.maximum.accumulate(spans[:, 1]) if len(spans) else spans[:, 1]

    def grads_to_copy(self, grads: Sequence[DeviceArray]) -> list[int]:
        """Positions of the gradients that no kernel can read in place.

        These are the gradients that are not contiguous, and those that share memory with a parameter, which the
        kernel would overwrite.
        """
        spans = np.array([g.byte_bounds for g in grads], np.int64).reshape(-1, 2)
        starting_before = np.searchsorted(self._starts, spans[:, 1])
        overlaps = np.zeros(len(grads), bool)
        possible = (starting_before > 0) & (spans[:, 1] > spans[:, 0])
        overlaps[possible] = self._ends[starting_before[possible] - 1] > spans[possible, 0]
        return [i for i, grad in enumerate(grads) if grad.strides is not None or overlaps[i]]


def _jobs(
    params: Sequence[DeviceArray],
    prevs: Sequence[DeviceArray],
    sizes: Sequence[DeviceArray],
    counters: Sequence[Any],
) -> list[_Job]:
    """Sort the parameters into launches; parameters that share memory with another keep their order."""
    rows = list(zip(params, prevs, sizes, strict=True))
    counter_addresses = [c.address if isinstance(c, DeviceArray) else 0 for c in counters]
    aliased = sharing_memory((*a.byte_bounds, i) for i, row in enumerate(rows) for a in row if a.size)
    by_dtype: dict[str, list[int]] = {}
    for i, param in enumerate(params):
        if i not in aliased:
            by_dtype.setdefault(_dtypes.real(param.dtype).name, []).append(i)
    return [
        _Job(indices, [rows[i] for i in indices], [counter_addresses[i] for i in indices])
        for indices in (*([i] for i in sorted(aliased)), *by_dtype.values())
    ]


def _streams(values: Sequence[DeviceArray]) -> list[int]:
    """The streams that gradients or a loss come from."""
    streams: dict[int, None] = {}
    # Each of Numba's arrays has its own stream; in other libraries one stream is current for all arrays of a type.
    has_own_stream: dict[type, bool] = {}
    for value in values:
        owner = value.owner
        if isinstance(owner, dlpack.Owner):
            owner = owner.array
        own = has_own_stream.get(type(owner))
        if own is None:
            own = has_own_stream[type(owner)] = type(owner).__module__.startswith("numba")
        elif not own:
            continue
        if not own or owner.stream != 0:  # an array with stream 0 belongs to no stream
            streams[value.stream()] = None
    return list(streams)


def check_not_recorded(stream: int) -> None:
    """Refuse, while a graph is recorded, what allocates memory or waits."""
    if _cuda.is_capturing(stream):
        raise RuntimeError(_WARM_UP_FIRST)


def check_all_on_device(values: Sequence[Any]) -> None:
    """Refuse arrays of the host among those of a GPU."""
    for value in values:
        if not isinstance(value, DeviceArray):
            raise _not_on_device(value)


def _not_on_device(value: Any) -> TypeError:
    is_array = isinstance(value, np.ndarray)
    what = f"of dtype {value.dtype} and shape {value.shape}" if is_array else f"of type {type(value).__name__}"
    return TypeError(
        "parameters, gradients and state that are stepped together must be all on the GPU or all in the memory of "
        f"the host, but at least one is on the GPU, and one, {what}, is not; copy it to the GPU, or put the "
        "parameters into different groups"
    )
