"""A machine that executes PTX, so that tests can run the GPU's kernels without a GPU.

It knows the instructions that the kernels here use, and refuses every other one. Each register is an array with an
element for each thread; the threads whose program counter is lowest go on together, the others wait. Memory is that
of the host, and only what was handed over (`Memory.add`) may be read or written.

The reference is NVIDIA's "Parallel Thread Execution ISA". Arithmetic is IEEE 754, rounded to nearest. What the
manual leaves undefined is an error: a register that a thread has not written, a division of integers by zero, an address
that is not aligned. A product and a sum that a GPU may fuse are rounded one by one, and `Kernel.fusable` lists them.
What is not modelled: the order of memory accesses of different threads (here they are those of one thread after
another), warps, shared memory, barriers, and atomics.
"""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

#: The dtypes of the types of PTX. Registers hold unsigned integers of the same width.
DTYPES = {
    **{
        f"{kind}{8 * n}": np.dtype(f"{letter}{n}")
        for kind, letter in (("u", "u"), ("b", "u"), ("s", "i"), ("f", "f"))
        for n in (1, 2, 4, 8)
        if (kind, n) != ("f", 1)
    },
    "pred": np.dtype(bool),
}


class PtxError(Exception):
    """The text is no PTX that this machine knows, or a thread did what it may not do."""


class Memory:
    """The memory that a kernel may use: arrays of the host, found by their addresses."""

    def __init__(self) -> None:
        self._starts = np.zeros(0, np.uint64)
        self._stops = np.zeros(0, np.uint64)
        self._bytes: list[Array] = []
        self._kept_alive: list[Array] = []

    def add(self, array: Array) -> int:
        """Let the kernel use the memory of a contiguous array, and return its address.

        The kernel may not write to an array that is read-only.
        """
        if not array.flags.c_contiguous:
            raise ValueError("the array is not contiguous")
        self._kept_alive.append(array)
        start = array.ctypes.data
        self.add_at(start, array.nbytes, array.flags.writeable)
        return start

    def add_at(self, start: int, nbytes: int, writeable: bool = True) -> None:
        """Let the kernel use so many bytes from an address on."""
        if nbytes == 0:
            return
        place = int(np.searchsorted(self._starts, np.uint64(start)))
        self._starts = np.insert(self._starts, place, np.uint64(start))
        self._stops = np.insert(self._stops, place, np.uint64(start + nbytes))
        raw: Any = (ctypes.c_uint8 * nbytes).from_address(start)
        cells = np.frombuffer(raw, np.uint8)
        cells.flags.writeable = writeable
        self._bytes.insert(place, cells)

    def remove(self, start: int) -> None:
        """Take back what was added at an address."""
        place = np.flatnonzero(self._starts == np.uint64(start))
        if place.size:
            self._starts, self._stops = np.delete(self._starts, place[0]), np.delete(self._stops, place[0])
            del self._bytes[place[0]]

    def holds(self, start: int, nbytes: int) -> bool:
        """Whether so many bytes from an address on were handed over together."""
        place = int(np.searchsorted(self._starts, np.uint64(start), side="right")) - 1
        return nbytes == 0 or (place >= 0 and start + nbytes <= int(self._stops[place]))

    def load(self, addresses: Array, width: int) -> Array:
        """Read an unsigned integer of `width` bytes from each address."""
        values = np.zeros(addresses.size, f"u{width}")
        for threads, cells, places in self._found(addresses, width):
            values[threads] = cells[places]
        return values

    def store(self, addresses: Array, values: Array) -> None:
        """Write the integers to their addresses. Two threads that write to one address at once are an error."""
        order = np.argsort(addresses, kind="stable")
        twice = np.flatnonzero(np.diff(addresses[order]) == 0)
        if twice.size:
            thread = int(order[twice[0] + 1])
            raise _ThreadError(thread, f"another thread writes to {int(addresses[thread]):#x} at the same time")
        parts = self._found(addresses, values.itemsize)
        for threads, cells, _ in parts:
            if not cells.flags.writeable:
                raise _ThreadError(int(threads[0]), "the memory that was handed over is read-only")
        for threads, cells, places in parts:
            cells[places] = values[threads]

    def _found(self, addresses: Array, width: int) -> list[tuple[Array, Array, Array]]:
        which = np.searchsorted(self._starts, addresses, side="right") - 1
        end = addresses + np.uint64(width)
        outside = (which < 0) | (end < addresses)
        if self._stops.size:
            outside |= end > self._stops[which]
        else:
            outside[:] = True
        bad = outside | (addresses % np.uint64(width) != 0)
        if bad.any():
            thread = int(np.flatnonzero(bad)[0])
            what = (
                "outside the memory that was handed over"
                if outside[thread]
                else "at an address that is not aligned"
            )
            raise _ThreadError(thread, f"{width} bytes at {int(addresses[thread]):#x} are {what}")
        parts = []
        for block in sorted(set(which.tolist())):
            threads = np.flatnonzero(which == block)
            raw, start = self._bytes[block], self._starts[block]
            skew = int(-int(start) % width)  # cells begin at a multiple of their width
            cells = raw[skew : skew + (raw.size - skew) // width * width].view(f"u{width}")
            places = (addresses[threads] - start - np.uint64(skew)) // np.uint64(width)
            parts.append((threads, cells, places.astype(np.intp)))
        return parts


class _ThreadError(Exception):
    """What one thread did wrong; `thread` is its place among those that are active."""

    def __init__(self, thread: int, message: str) -> None:
        super().__init__(message)
        self.thread = thread


@dataclass
class Instruction:
    """One instruction: ``handler(threads, instruction, active)`` executes it for the threads in `active`."""

    text: str
    handler: Handler
    guard: str | None
    negated: bool
    opcode: str
    operands: tuple[str, ...]

    @functools.cached_property
    def jumps(self) -> bool:
        """Whether another instruction than the next one may follow."""
        return self.handler in (_bra, _ret)


@dataclass
class Kernel:
    """A kernel, parsed: parameters as (type, name), the dtypes of registers, instructions, and where labels stand."""

    name: str
    parameters: list[tuple[str, str]]
    registers: dict[str, np.dtype[Any]] = field(default_factory=dict)
    code: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)

    @property
    def fusable(self) -> list[str]:
        """Sums that a GPU may fuse with a product, since neither is marked ``.rn``: their bits are open."""
        products: set[str] = set()
        known = -1
        while known < len(products):
            known = len(products)
            for instruction in self.code:
                is_product = re.fullmatch(r"mul\.f\d\d", instruction.opcode)
                hands_on = instruction.opcode.startswith(("mov.", "selp.", "neg."))
                if is_product or (hands_on and products.intersection(instruction.operands[1:])):
                    products.add(instruction.operands[0])
        sums = [i for i in self.code if re.fullmatch(r"(add|sub)\.f\d\d", i.opcode)]
        return [i.text for i in sums if products.intersection(i.operands[1:])]


def parse(text: str) -> Kernel:
    """The one kernel in a text of PTX."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    if not re.search(r"\.target\s+sm_\d+\s+\.address_size\s+64\b", text):
        raise PtxError("the text must be for a GPU, without further options, and for addresses of 64 bits")
    entries = re.findall(r"\.entry\s+([\w$]+)\s*\((.*?)\)\s*\{(.*?)\n\}", text, re.DOTALL)
    if len(entries) != 1 or text.count(".entry") != 1 or re.search(r"\.(func|shared|const|local)\b", text):
        raise PtxError("the text must be one kernel, without functions and without memory of its own")
    name, parameters, body = entries[0]
    kernel = Kernel(name, [_parameter(part.strip()) for part in parameters.split(",") if part.strip()])
    for statement in _statements(body):
        if statement.endswith(":"):
            if statement[:-1] in kernel.labels:
                raise PtxError(f"there are two labels {statement}")
            kernel.labels[statement[:-1]] = len(kernel.code)
        elif statement.startswith(".reg "):
            _declare(statement, kernel.registers)
        elif not re.match(r"\.(loc|pragma)\b", statement):
            kernel.code.append(_instruction(statement))
    for instruction in kernel.code:
        if instruction.opcode.startswith("bra") and instruction.operands[0] not in kernel.labels:
            raise PtxError(f"there is no label {instruction.operands[0]}: {instruction.text}")
    return kernel


def _parameter(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"\.param\s+\.([usbf]\d+)\s+([\w$]+)", text)
    if not found or found[1] not in DTYPES:
        raise PtxError(f"this machine does not know the parameter: {text}")
    return found[1], found[2]


def _declare(statement: str, registers: dict[str, np.dtype[Any]]) -> None:
    """Add what ``.reg .b32 %r<9>, %i`` declares: here ``%r0`` to ``%r8``, and ``%i``."""
    _, kind, names = statement.split(" ", 2)
    for part in names.split(","):
        found = re.fullmatch(r"(%\w+)(?:<(\d+)>)?", part.strip())
        if not found or kind[1:] not in DTYPES:
            raise PtxError(f"this machine does not know the declaration: {statement}")
        dtype = DTYPES[kind[1:]]
        for name in [found[1]] if found[2] is None else [f"{found[1]}{i}" for i in range(int(found[2]))]:
            if name in registers:
                raise PtxError(f"register {name} is declared twice")
            registers[name] = dtype if dtype.kind == "b" else np.dtype(f"u{dtype.itemsize}")


def _statements(body: str) -> list[str]:
    parts = re.split(r";|((?:^|(?<=\s))[$\w]+:)", body)
    return [" ".join(part.split()) for part in parts if part and part.strip()]


def _instruction(text: str) -> Instruction:
    guarded = re.match(r"@(!?)(%\w+) (.*)", text)
    negated, guard, rest = (guarded[1] == "!", guarded[2], guarded[3]) if guarded else (False, None, text)
    opcode, _, operands = rest.partition(" ")
    if opcode not in _HANDLERS:
        raise PtxError(f"this machine does not know the instruction: {text}")
    parts = tuple(re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+", operands))
    handler, count = _HANDLERS[opcode]
    if len(parts) != count:
        raise PtxError(f"this instruction takes {count} operands: {text}")
    if guard is not None and opcode == "bra.uni":
        raise PtxError(f"this machine does not know whether all threads take this branch: {text}")
    return Instruction(text, handler, guard, negated, opcode, parts)


class Threads:
    """The threads of one launch: their registers, and where each of them is."""

    def __init__(self, kernel: Kernel, arguments: Sequence[Any], grid: int, block: int, memory: Memory) -> None:
        if len(arguments) != len(kernel.parameters):
            raise PtxError(f"the kernel takes {len(kernel.parameters)} arguments, but got {len(arguments)}")
        self.kernel, self.memory = kernel, memory
        self.n = grid * block
        #: Instructions executed so far, each counted once for each thread.
        self.executed = 0
        self.parameters = {
            f"[{name}]": np.array([value]).astype(DTYPES[kind])
            for (kind, name), value in zip(kernel.parameters, arguments, strict=True)
        }
        index = np.arange(self.n)
        self._special = {
            "%tid.x": index % block,
            "%ctaid.x": index // block,
            "%ntid.x": np.full(self.n, block),
            "%nctaid.x": np.full(self.n, grid),
        }
        self._registers: dict[str, Array] = {}
        #: For the registers that some threads have not written yet: which ones.
        self._unwritten: dict[str, Array] = {}
        self.counter = np.zeros(self.n, np.int64)

    def run(self, max_steps: int | None = None) -> None:
        """Execute the kernel until all threads have ended."""
        code = self.kernel.code
        steps = 0
        with np.errstate(all="ignore"):
            while (at := int(self.counter.min())) < len(code):
                active = np.flatnonzero(self.counter == at)
                # These go on alone until they branch, or come to where others wait.
                others = self.counter[self.counter != at]
                stop = int(others.min()) if others.size else len(code)
                is_linear = True
                while is_linear and at < stop:
                    steps += 1
                    if max_steps is not None and steps > max_steps:
                        raise PtxError(f"the kernel has not ended after {max_steps} steps")
                    instruction = code[at]
                    at += 1
                    is_linear = not instruction.jumps
                    if not is_linear or at == stop:
                        self.counter[active] = at
                    self.executed += active.size
                    self._execute(instruction, active)

    def _execute(self, instruction: Instruction, active: Array) -> None:
        try:
            if instruction.guard is not None:
                active = active[self.read(instruction.guard, "pred", active) != instruction.negated]
            if active.size:
                instruction.handler(self, instruction, active)
        except _ThreadError as error:
            raise PtxError(f"thread {active[error.thread]}: {error}: {instruction.text}") from None

    def read(self, operand: str, kind: str, active: Array) -> Array:
        """An operand of the active threads: a register, or a literal."""
        dtype = DTYPES[kind]
        if operand in self._special:
            if kind != "u32":
                raise PtxError(f"{operand} has 32 bits, but is read as {kind}")
            return self._special[operand][active].astype(dtype)
        if not operand.startswith("%"):
            return np.full(active.size, _literal(operand, kind))
        values = self._registers.get(operand)
        if values is None:
            raise _ThreadError(0, f"register {operand} is read before it is written")
        unwritten = self._unwritten.get(operand)
        if unwritten is not None and unwritten[active].any():
            thread = int(np.flatnonzero(unwritten[active])[0])
            raise _ThreadError(thread, f"register {operand} is read before it is written")
        if values.itemsize != dtype.itemsize or (values.dtype.kind == "b") != (dtype.kind == "b"):
            raise PtxError(f"{operand} has {_bits(values.dtype)}, but is read as {kind}")
        # Where all threads go on together, their numbers need not be copied; nobody changes what is returned.
        return (values if active.size == self.n else values[active]).view(dtype)

    def write(self, register: str, values: Array, active: Array) -> None:
        """Write a register of the active threads."""
        dtype = self.kernel.registers.get(register)
        if dtype is None:
            raise PtxError(f"there is no register {register}")
        bits = values if values.dtype == bool else values.view(f"u{values.itemsize}")
        if bits.dtype != dtype:
            raise PtxError(f"{register} has {_bits(dtype)}, but a result has {_bits(bits.dtype)}")
        if register not in self._registers:
            self._registers[register] = np.zeros(self.n, dtype)
            self._unwritten[register] = np.ones(self.n, bool)
        if active.size == self.n:
            self._registers[register][:] = bits
            self._unwritten.pop(register, None)
            return
        self._registers[register][active] = bits
        if register in self._unwritten:
            self._unwritten[register][active] = False
            if not self._unwritten[register].any():
                del self._unwritten[register]

    def address(self, operand: str, active: Array) -> Array:
        """The address in ``[register+offset]``."""
        base, _, offset = operand[1:-1].partition("+")
        return self.read(base, "u64", active) + np.uint64(int(offset or "0") & (2**64 - 1))


def _bits(dtype: np.dtype[Any]) -> str:
    return "1 bit" if dtype.kind == "b" else f"{8 * dtype.itemsize} bits"


@functools.cache
def _literal(text: str, kind: str) -> Any:
    """The number that a literal is: the bits of a float in hexadecimal digits, or an integer."""
    dtype = DTYPES[kind]
    bits = re.fullmatch(r"0(?:[fF]([0-9A-Fa-f]{8})|[dD]([0-9A-Fa-f]{16}))", text)
    if bits and kind in (("f32", "b32") if bits[1] else ("f64", "b64")):
        return np.array(int(bits[1] or bits[2], 16), f"u{dtype.itemsize}").view(dtype)
    if not re.fullmatch(r"-?(0|[1-9]\d*|0x[0-9A-Fa-f]+)", text) or dtype.kind == "f":
        raise PtxError(f"this machine does not know the operand {text} of type {kind}")
    if dtype.kind == "b":
        return np.bool_(int(text, 0))
    return np.array(int(text, 0) & (2 ** (8 * dtype.itemsize) - 1), f"u{dtype.itemsize}").view(dtype)


# --- The instructions -------------------------------------------------------------------------------------------

Handler = Callable[[Threads, Instruction, Array], None]

#: What executes an opcode, and how many operands it has.
_HANDLERS: dict[str, tuple[Handler, int]] = {}


def _knows(operands: int, *opcodes: str) -> Callable[[Handler], Handler]:
    """Register what executes these opcodes, written out in full: an opcode that is not listed is refused."""

    def register(handler: Handler) -> Handler:
        for opcode in opcodes:
            assert opcode not in _HANDLERS, opcode
            _HANDLERS[opcode] = handler, operands
        return handler

    return register


def _forms(pattern: str, *types: str) -> list[str]:
    return [pattern.replace("*", kind) for kind in types]


def _kind(instruction: Instruction) -> str:
    return instruction.opcode.rpartition(".")[2]


def _compute(function: Callable[..., Any], sources: int, *opcodes: str) -> None:
    """Instructions whose result and operands are all of the type that ends the opcode."""

    def execute(threads: Threads, instruction: Instruction, active: Array) -> None:
        kind = _kind(instruction)
        target, *operands = instruction.operands
        values = function(*(threads.read(operand, kind, active) for operand in operands))
        threads.write(target, np.asarray(values).astype(DTYPES[kind], copy=False), active)

    _knows(1 + sources, *opcodes)(execute)


_FLOATS = ("f32", "f64")
_INTEGERS = ("s32", "u32", "s64", "u64")


def _max(a: Array, b: Array) -> Array:
    """The greater of two floats: 0 is greater than -0, and any number counts as greater than NaN."""
    return np.where((a == 0) & (b == 0), a + b, np.fmax(a, b))


def _min(a: Array, b: Array) -> Array:
    return -_max(-a, -b)


_compute(np.add, 2, *_forms("add.*", *_FLOATS, *_INTEGERS), *_forms("add.rn.*", *_FLOATS))
_compute(np.subtract, 2, *_forms("sub.*", *_FLOATS, *_INTEGERS), *_forms("sub.rn.*", *_FLOATS))
_compute(np.multiply, 2, *_forms("mul.*", *_FLOATS), *_forms("mul.rn.*", *_FLOATS))
_compute(np.multiply, 2, *_forms("mul.lo.*", *_INTEGERS))
_compute(np.divide, 2, *_forms("div.rn.*", *_FLOATS))
_compute(np.negative, 1, *_forms("neg.*", *_FLOATS))
_compute(np.abs, 1, *_forms("abs.*", *_FLOATS))
_compute(_min, 2, *_forms("min.*", *_FLOATS))
_compute(_max, 2, *_forms("max.*", *_FLOATS))
_compute(np.minimum, 2, *_forms("min.*", *_INTEGERS))
_compute(np.maximum, 2, *_forms("max.*", *_INTEGERS))
_compute(np.bitwise_and, 2, *_forms("and.*", "b32", "b64", "pred"))
_compute(np.bitwise_or, 2, *_forms("or.*", "b32", "b64", "pred"))
_compute(np.bitwise_xor, 2, *_forms("xor.*", "b32", "b64", "pred"))
_compute(np.invert, 1, *_forms("not.*", "b32", "b64", "pred"))


def _divided(remainder: bool) -> Callable[[Array, Array], Array]:
    def divide(a: Array, b: Array) -> Array:
        if (b == 0).any():
            raise PtxError("a division of integers by zero, whose result is not defined")
        if a.dtype.kind == "i" and ((a == np.iinfo(a.dtype).min) & (b == -1)).any():
            raise PtxError("a quotient beyond the integers there are")
        # The quotient is rounded towards zero, and the remainder has the sign of the dividend.
        rest = np.fmod(a, b)
        return rest if remainder else (a - rest) // b

    return divide


_compute(_divided(remainder=False), 2, *_forms("div.*", *_INTEGERS))
_compute(_divided(remainder=True), 2, *_forms("rem.*", *_INTEGERS))


def _fma(a: Array, b: Array, c: Array) -> Array:
    """``a * b + c``, rounded once."""
    results = a * b + c
    for i, (x, y, z) in enumerate(zip(a.tolist(), b.tolist(), c.tolist(), strict=True)):
        if np.isfinite([x, y, z]).all():
            exact = Fraction(x) * Fraction(y) + Fraction(z)
            if exact != 0:  # the sign of a zero is that of the sum
                results[i] = _nearest(exact, a.dtype)
        elif np.isfinite([x, y]).all():
            results[i] = z  # also where the product by itself would be infinite
    return results


def _nearest(value: Fraction, dtype: np.dtype[Any]) -> Any:
    """The float that is nearest to a rational number, the even one of two."""
    info = np.finfo(dtype)
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, int(info.minexp)) - int(info.nmant))
    steps = round(magnitude / unit)  # Python rounds a half to even
    if steps * unit > Fraction(float(info.max)):
        return dtype.type(np.copysign(np.inf, 1 if value > 0 else -1))
    return dtype.type(float(steps * unit) * (1 if value > 0 else -1))


_compute(_fma, 3, *_forms("fma.rn.*", *_FLOATS))


@_knows(3, *_forms("shl.*", "b32", "b64"), *_forms("shr.*", *_INTEGERS))
def _shift(threads: Threads, instruction: Instruction, active: Array) -> None:
    kind = _kind(instruction)
    target, source, amount = instruction.operands
    value, by = threads.read(source, kind, active), threads.read(amount, "u32", active)
    bits = 8 * value.itemsize
    # A shift by the width of the register or more moves everything out.
    inside = np.minimum(by, bits - 1).astype(value.dtype)
    if instruction.opcode.startswith("shl"):
        shifted = np.where(by < bits, np.left_shift(value, inside), 0)
    elif kind.startswith("s"):
        shifted = np.right_shift(value, inside)
    else:
        shifted = np.where(by < bits, np.right_shift(value, inside), 0)
    threads.write(target, shifted.astype(value.dtype), active)


@_knows(3, "mul.wide.s32", "mul.wide.u32")
def _mul_wide(threads: Threads, instruction: Instruction, active: Array) -> None:
    kind = _kind(instruction)
    wide = DTYPES[kind.replace("32", "64")]
    target, a, b = instruction.operands
    product = threads.read(a, kind, active).astype(wide) * threads.read(b, kind, active).astype(wide)
    threads.write(target, product, active)


_COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


def _compare(name: str, a: Array, b: Array) -> Array:
    if a.dtype.kind != "f":
        return np.asarray(_COMPARISONS[name](a, b))
    unordered = np.isnan(a) | np.isnan(b)
    if name in ("num", "nan"):
        return unordered if name == "nan" else ~unordered
    if name in _COMPARISONS:  # false where a number is NaN, also "ne"
        return np.asarray(_COMPARISONS[name](a, b) & ~unordered)
    return np.asarray(_COMPARISONS[name.removesuffix("u")](a, b) | unordered)


@_knows(
    3,
    *(f"setp.{name}.{kind}" for name in _COMPARISONS for kind in (*_INTEGERS, "s16")),
    *(f"setp.{name}.{kind}" for name in ("eq", "ne") for kind in ("b32", "b64")),
    *(f"setp.{name}.{kind}" for name in (*_COMPARISONS, "num", "nan") for kind in _FLOATS),
    *(f"setp.{name}u.{kind}" for name in _COMPARISONS for kind in _FLOATS),
)
def _setp(threads: Threads, instruction: Instruction, active: Array) -> None:
    _, name, kind = instruction.opcode.split(".")
    target, a, b = instruction.operands
    threads.write(target, _compare(name, threads.read(a, kind, active), threads.read(b, kind, active)), active)


@_knows(4, *_forms("selp.*", *_FLOATS, *_INTEGERS, "b16", "b32", "b64"))
def _selp(threads: Threads, instruction: Instruction, active: Array) -> None:
    kind = _kind(instruction)
    target, a, b, condition = instruction.operands
    chosen = np.where(
        threads.read(condition, "pred", active), threads.read(a, kind, active), threads.read(b, kind, active)
    )
    threads.write(target, chosen, active)


@_knows(2, *_forms("mov.*", *_FLOATS, *_INTEGERS, "b16", "b32", "b64", "u16", "pred"))
def _mov(threads: Threads, instruction: Instruction, active: Array) -> None:
    kind = _kind(instruction)
    target, source = instruction.operands
    if source.startswith("{"):
        halves = source[1:-1].split(",")
        if kind != "b32" or len(halves) != 2:
            raise PtxError(f"this machine packs two halves into 32 bits only: {instruction.text}")
        low, high = (threads.read(half.strip(), "b16", active) for half in halves)
        threads.write(target, low.astype("u4") | high.astype("u4") << np.uint32(16), active)
    else:
        threads.write(target, threads.read(source, kind, active), active)


_knows(2, "cvta.to.global.u64")(_mov)


@_knows(
    2,
    "cvt.s64.s32",
    "cvt.u64.u32",
    "cvt.u32.u64",
    "cvt.s32.s64",
    "cvt.f64.f32",
    "cvt.rn.f32.f64",
    "cvt.rn.f16.f32",
    "cvt.rn.bf16.f32",
    "cvt.f32.f16",
    "cvt.rn.f64.s64",
    "cvt.rn.f64.u32",
)
def _cvt(threads: Threads, instruction: Instruction, active: Array) -> None:
    *_, to, kind = instruction.opcode.split(".")
    target, source = instruction.operands
    value = threads.read(source, kind, active)
    threads.write(target, _to_bfloat16(value) if to == "bf16" else value.astype(DTYPES[to]), active)


@_knows(2, "cvt.rzi.s64.f64")
def _cvt_toward_zero(threads: Threads, instruction: Instruction, active: Array) -> None:
    target, source = instruction.operands
    value = np.trunc(threads.read(source, "f64", active))
    if not ((value >= -(2.0**63)) & (value < 2.0**63)).all():
        raise PtxError(f"a number has no such integer: {instruction.text}")
    threads.write(target, value.astype(np.int64), active)


def _to_bfloat16(value: Array) -> Array:
    """The upper half of a float32, rounded to nearest and to even; NaN becomes 0x7fff."""
    bits = value.view("u4")
    rounded = (bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))) >> np.uint32(16)
    return np.where(np.isnan(value), 0x7FFF, rounded).astype("u2")


@_knows(2, *_forms("ld.param.*", *_FLOATS, *_INTEGERS, "u8", "u16", "b32", "b64"))
def _ld_param(threads: Threads, instruction: Instruction, active: Array) -> None:
    target, name = instruction.operands
    if name not in threads.parameters:
        raise PtxError(f"there is no parameter {name}: {instruction.text}")
    value = threads.parameters[name]
    kind = DTYPES[_kind(instruction)]
    if value.itemsize != kind.itemsize:
        raise PtxError(f"the parameter has {8 * value.itemsize} bits: {instruction.text}")
    # A register is wider than a byte.
    threads.write(target, np.repeat(value.astype("u2") if kind.itemsize == 1 else value, active.size), active)


_MEMORY = (*_FLOATS, *_INTEGERS, "u16", "b16", "b32", "b64")


@_knows(2, *_forms("ld.*", *_MEMORY), *_forms("ld.global.*", *_MEMORY))
def _ld(threads: Threads, instruction: Instruction, active: Array) -> None:
    target, place = instruction.operands
    width = DTYPES[_kind(instruction)].itemsize
    threads.write(target, threads.memory.load(threads.address(place, active), width), active)


@_knows(2, *_forms("st.*", *_MEMORY), *_forms("st.global.*", *_MEMORY))
def _st(threads: Threads, instruction: Instruction, active: Array) -> None:
    place, source = instruction.operands
    values = threads.read(source, _kind(instruction), active)
    threads.memory.store(threads.address(place, active), values.view(f"u{values.itemsize}"))


@_knows(1, "bra", "bra.uni")
def _bra(threads: Threads, instruction: Instruction, active: Array) -> None:
    threads.counter[active] = threads.kernel.labels[instruction.operands[0]]


@_knows(0, "ret")
def _ret(threads: Threads, instruction: Instruction, active: Array) -> None:
    threads.counter[active] = len(threads.kernel.code)


#: The instructions that this machine knows.
OPCODES = tuple(_HANDLERS)


def launch(
    kernel: Kernel,
    arguments: Sequence[Any],
    grid: int,
    block: int,
    memory: Memory,
    max_steps: int | None = None,
) -> int:
    """Run a kernel on ``grid * block`` threads; return how many instructions they executed, all together.

    Parameters
    ----------
    kernel : Kernel
        What `parse` returned.
    arguments : sequence of numbers
        One for each parameter of the kernel; arrays are passed by their addresses.
    grid, block : int
        Blocks of the grid and threads of a block, both one-dimensional.
    memory : Memory
        What the kernel may read and write.
    max_steps : int, optional
        After so many instructions (each counted once for all threads that execute it together) the kernel counts as
        one that does not end.

    Raises
    ------
    PtxError
        With the thread and the instruction, if a thread uses memory that it was not given, or does something
        that PTX does not define; if the kernel does not end.
    """
    threads = Threads(kernel, arguments, grid, block, memory)
    threads.run(max_steps)
    return threads.executed
