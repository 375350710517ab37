"""The machine that executes PTX in tests: against the manual's definitions, and against NumPy on special values."""

from __future__ import annotations

import itertools
import math
import operator
import re
from fractions import Fraction

import cases
import numpy as np
import ptx_machine
import pytest
from ptx_machine import Memory, PtxError, launch, parse

from rprop_ref.bits import same_bits

HEAD = ".version 9.0\n.target sm_80\n.address_size 64\n"


REGISTERS = """
        .reg .pred %p<4>, %q;
        .reg .b16 %rs<4>;
        .reg .b32 %r<4>, %i, %j, %k, %sum, %block, %width;
        .reg .f32 %f<4>;
        .reg .b64 %rd<9>, %base, %pa, %pb, %pc, %po;"""


def kernel(body, parameters=("u64 out",), head=HEAD):
    declared = ",\n".join(f"\t.param .{kind} {name}" for kind, name in (p.split() for p in parameters))
    return parse(f"{head}.visible .entry test(\n{declared}\n)\n{{{REGISTERS}\n{body}\n\tret;\n}}\n")


def address_of(name, register, shift):
    """Instructions that leave the address of a thread's element in a register."""
    return f"""
        mov.u32 %i, %tid.x;
        cvt.u64.u32 {register}, %i;
        shl.b64 {register}, {register}, {shift};
        ld.param.u64 %base, [{name}];
        add.s64 {register}, %base, {register};"""


LOADS = {2: "u16", 4: "u32", 8: "u64"}
WIDTHS = {f"{letter}{8 * n}": n for n in (2, 4, 8) for letter in "subf"}


def compute(instruction, result, *operands, kinds):
    """What an instruction with operands in ``%a``, ``%b``, ``%c`` leaves in ``%r``; an element for each thread."""
    arrays = [np.ascontiguousarray(a) for a in operands]
    out = np.zeros(arrays[0].size, result)
    parameters, body = ["u64 out"], f".reg .b{8 * out.itemsize} %r;"
    for name, kind in zip("abc"[: len(kinds)], kinds, strict=True):
        body += f"\n\t.reg .{kind} %{name};"
        parameters.append(f"u64 {name}")
        body += address_of(name, f"%p{name}", int(math.log2(WIDTHS[kind])))
        body += f"\n\tld.global.{LOADS[WIDTHS[kind]]} %{name}, [%p{name}];"
    width = out.dtype.itemsize
    body += f"\n\t{instruction}" + address_of("out", "%po", int(math.log2(width)))
    body += f"\n\tst.global.{LOADS[width]} [%po], %r;"
    memory = Memory()
    launch(kernel(body, parameters), [memory.add(a) for a in (out, *arrays)], 1, out.size, memory)
    return out


def special(dtype):
    """All pairs of special values."""
    values = cases.special_values(np.dtype(dtype))
    a, b = zip(*itertools.product(values, values), strict=True)
    return np.array(a, dtype), np.array(b, dtype)


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize(
    ("opcode", "function"),
    [
        ("add.rn", np.add),
        ("add", np.add),
        ("sub", np.subtract),
        ("mul.rn", np.multiply),
        ("div.rn", np.divide),
    ],
)
def test_arithmetic_is_that_of_numpy(opcode, function, kind):
    a, b = special({"f32": "f4", "f64": "f8"}[kind])
    with np.errstate(all="ignore"):
        expected = function(a, b)
    assert same_bits(compute(f"{opcode}.{kind} %r, %a, %b;", a.dtype, a, b, kinds=(kind, kind)), expected)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_comparisons_with_nan(kind):
    """The manual: "lt" and its like are false with NaN, "ne" too; "ltu" and its like are true."""
    a, b = special({"f32": "f4", "f64": "f8"}[kind])
    nan = np.isnan(a) | np.isnan(b)
    for name, function in (("lt", np.less), ("ge", np.greater_equal), ("ne", np.not_equal), ("eq", np.equal)):
        for suffix, with_nan in (("", False), ("u", True)):
            text = f"setp.{name}{suffix}.{kind} %q, %a, %b;\n\tselp.u32 %r, 1, 0, %q;"
            found = compute(text, "u4", a, b, kinds=(kind, kind))
            np.testing.assert_array_equal(found, np.where(nan, with_nan, function(a, b)))
    for name, expected in (("num", ~nan), ("nan", nan)):
        text = f"setp.{name}.{kind} %q, %a, %b;\n\tselp.u32 %r, 1, 0, %q;"
        np.testing.assert_array_equal(compute(text, "u4", a, b, kinds=(kind, kind)), expected)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_the_least_and_the_greatest_of_two_floats(kind):
    """The manual: a number rather than NaN, and -0 is less than 0."""

    def least(x, y):
        if math.isnan(x) or math.isnan(y):
            return y if math.isnan(x) else x
        return min((x, math.copysign(1, x)), (y, math.copysign(1, y)))[0]

    a, b = special({"f32": "f4", "f64": "f8"}[kind])
    for n in (1, a.size):  # NumPy treats long arrays and short ones differently
        x, y = (a[-n:], b[-n:]) if n > 1 else (a[:0].dtype.type([0.0]), a.dtype.type([-0.0]))
        for p, q in ((x, y), (y, x)):
            pairs = list(zip(p.tolist(), q.tolist(), strict=True))
            smaller = np.array([least(*pair) for pair in pairs], a.dtype)
            greater = np.array([-least(-u, -v) for u, v in pairs], a.dtype)
            assert same_bits(compute(f"min.{kind} %r, %a, %b;", a.dtype, p, q, kinds=(kind, kind)), smaller)
            assert same_bits(compute(f"max.{kind} %r, %a, %b;", a.dtype, p, q, kinds=(kind, kind)), greater)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_fma_of_special_values(kind):
    dtype = np.dtype({"f32": "f4", "f64": "f8"}[kind])
    big, inf, nan = float(np.finfo(dtype).max), np.inf, np.nan
    tiny = float(np.finfo(dtype).smallest_subnormal)
    rows = [
        (big, 2, -inf, -inf),  # the product is finite before it is rounded
        (big, -big, inf, inf),
        (big, 2, -big, big),
        (inf, 1, -inf, nan),
        (inf, 0, 1, nan),
        (nan, 0, 0, nan),
        (1, 1, nan, nan),
        (0.0, -1, -0.0, -0.0),
        (0.0, -1, 0.0, 0.0),
        (3, 2, -6, 0.0),
        (-tiny, 0.25, 0.0, -0.0),
        (tiny, 0.5, 0.0, 0.0),  # a tie goes to the even one
        (tiny, 1.5, 0.0, 2 * tiny),
        (big, 1, big, inf),
    ]
    a, b, c, expected = (np.array(column, dtype) for column in zip(*rows, strict=True))
    assert same_bits(compute(f"fma.rn.{kind} %r, %a, %b, %c;", dtype, a, b, c, kinds=(kind,) * 3), expected)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_fma_rounds_once(kind, rng):
    dtype = np.dtype({"f32": "f4", "f64": "f8"}[kind])
    a, b = (rng.standard_normal(300).astype(dtype) for _ in range(2))
    c = (-a * b * rng.choice([1, 1 + 1e-3, 1e-4, 1e9], 300)).astype(dtype)
    tiny = np.finfo(dtype).smallest_subnormal
    a[:4], b[:4], c[:4] = [tiny, tiny, 1, np.inf], [0.5, 1.5, 1, 1], [0, 0, -1, 0]
    found = compute(f"fma.rn.{kind} %r, %a, %b, %c;", dtype, a, b, c, kinds=(kind,) * 3)
    assert found[:4].tolist() == [0, 2 * tiny, 0, np.inf]
    for r, x, y, z in zip(found[4:], *(v[4:].tolist() for v in (a, b, c)), strict=True):
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        neighbours = [np.nextafter(r, dtype.type(-np.inf)), r, np.nextafter(r, dtype.type(np.inf))]
        errors = [abs(Fraction(float(v)) - exact) for v in neighbours]
        assert errors[1] == min(errors)
    with np.errstate(all="ignore"):
        assert (found != a * b + c).any(), "rounding twice would be seen"


def test_narrow_floats():
    a, _ = special("f4")
    a = np.concatenate([a, np.float32([65504, 65519, 65520, 2**-25, 2**-24 * 1.5, 1 + 2**-11, 1 + 3 * 2**-11])])
    with np.errstate(all="ignore"):
        halves = a.astype("f2")
    found = compute("cvt.rn.f16.f32 %r, %a;", "u2", a, kinds=("f32",))
    assert same_bits(found.view("f2"), halves)
    text = "cvt.rn.f16.f32 %rs1, %a;\n\tcvt.f32.f16 %r, %rs1;"
    assert same_bits(compute(text, "f4", a, kinds=("f32",)), halves.astype("f4"))
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes, which is not installed")
    with np.errstate(all="ignore"):
        brains = a.astype(ml_dtypes.bfloat16)
    found = compute("cvt.rn.bf16.f32 %r, %a;", "u2", a, kinds=("f32",))
    assert same_bits(found.view(ml_dtypes.bfloat16), brains)
    text = "cvt.rn.bf16.f32 %rs1, %a;\n\tmov.b32 %r, {0, %rs1};"
    assert same_bits(compute(text, "f4", a, kinds=("f32",)), brains.astype("f4"))


def test_integers_are_the_whole_part_of_a_number_that_has_one():
    text = "cvt.rzi.s64.f64 %r, %a;"
    numbers = np.array([0.0, -0.0, 0.9, 1.5, 2.5, -0.9, -1.5, 2.0**53 - 0.5, 2.0**63 - 1024, -(2.0**63)])
    found = compute(text, "i8", numbers, kinds=("f64",))
    assert found.tolist() == [math.trunc(v) for v in numbers]
    for wrong in (np.nan, np.inf, 2.0**63, -(2.0**63) - 2048):
        with pytest.raises(PtxError, match="no such integer"):
            compute(text, "i8", np.array([wrong]), kinds=("f64",))


def test_integers_as_the_manual_defines_them():
    a = np.array([7, -7, 7, -7, 2**40 + 1, -(2**62)], "i8")
    b = np.array([2, 2, -2, -2, 3, 2**31 + 7], "i8")
    truncated = np.array([3, -3, -3, 3, (2**40 + 1) // 3, -((2**62) // (2**31 + 7))])
    assert compute("div.s64 %r, %a, %b;", "i8", a, b, kinds=("s64",) * 2).tolist() == truncated.tolist()
    assert compute("rem.s64 %r, %a, %b;", "i8", a, b, kinds=("s64",) * 2).tolist() == (a - truncated * b).tolist()
    low = [int(v) for v in compute("mul.lo.s64 %r, %a, %b;", "i8", a, b, kinds=("s64",) * 2)]
    assert low == [(int(x) * int(y) + 2**63) % 2**64 - 2**63 for x, y in zip(a, b, strict=True)]
    c = np.array([2**31 - 1, -(2**31)], "i4")
    assert compute("mul.wide.s32 %r, %a, %a;", "i8", c, kinds=("s32",)).tolist() == [(2**31 - 1) ** 2, 2**62]
    c = np.array([2**31, 2**32 - 1], "u4")
    assert compute("mul.wide.u32 %r, %a, %a;", "u8", c, kinds=("u32",)).tolist() == [2**62, (2**32 - 1) ** 2]
    for opcode in ("div", "rem"):
        with pytest.raises(PtxError, match="by zero"):
            compute(f"{opcode}.s64 %r, %a, %b;", "i8", a, 0 * b, kinds=("s64",) * 2)
        with pytest.raises(PtxError, match="beyond the integers"):
            compute(f"{opcode}.s64 %r, %a, -1;", "i8", np.array([-(2**63)]), kinds=("s64",))


#: Integers of 64 bits at which something changes: signs, the lower and the upper half.
CORNERS = [
    0,
    1,
    -1,
    2,
    7,
    -7,
    2**31 - 1,
    2**31,
    -(2**31),
    2**32 - 1,
    2**32,
    2**63 - 1,
    -(2**63),
    0x123456789ABCDEF,
]


def of_type(value, kind):
    """An integer as a register of a type holds it."""
    bits = int(kind[1:])
    value &= 2**bits - 1
    return value - 2**bits if kind[0] == "s" and value >> (bits - 1) else value


@pytest.mark.parametrize("kind", ["s16", "u16", "s32", "u32", "s64", "u64", "b16", "b32", "b64"])
def test_integer_instructions_beside_integers_of_python(kind):
    functions = {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul.lo": lambda x, y: x * y,
        "min": min,
        "max": max,
        "and": lambda x, y: x & y,
        "or": lambda x, y: x | y,
        "xor": lambda x, y: x ^ y,
        **{f"setp.{name}": getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    }
    pairs = [(of_type(x, kind), of_type(y, kind)) for x, y in itertools.product(CORNERS, repeat=2)]
    dtype = f"{'i' if kind[0] == 's' else 'u'}{WIDTHS[kind]}"
    a, b = (np.array(column, dtype) for column in zip(*pairs, strict=True))
    for name in [name for name in functions if f"{name}.{kind}" in ptx_machine.OPCODES]:
        if name.startswith("setp"):
            text, result = f"{name}.{kind} %q, %a, %b;\n\tselp.u32 %r, 1, 0, %q;", "u4"
        else:
            text, result = f"{name}.{kind} %r, %a, %b;", dtype
        expected = [of_type(int(functions[name](*pair)), kind) for pair in pairs]
        assert compute(text, result, a, b, kinds=(kind, kind)).tolist() == expected, name


@pytest.mark.parametrize(
    "opcode", [opcode for opcode in ptx_machine.OPCODES if re.fullmatch(r"cvt\.[su]\d+\.[su]\d+", opcode)]
)
def test_conversions_of_integers(opcode):
    _, to, kind = opcode.split(".")
    values = [of_type(v, kind) for v in CORNERS]
    dtype, result = (f"{'i' if k[0] == 's' else 'u'}{WIDTHS[k]}" for k in (kind, to))
    found = compute(f"{opcode} %r, %a;", result, np.array(values, dtype), kinds=(kind,))
    assert found.tolist() == [of_type(v, to) for v in values]


def assert_nearest(found, exact):
    """Each float is the one nearest to a rational number; of two, the one whose last bit is 0."""
    for r, wanted in zip(found, exact, strict=True):
        below, above = (np.nextafter(r, r.dtype.type(end)) for end in (-np.inf, np.inf))
        error = abs(Fraction(float(r)) - wanted)
        for other in (below, above):
            assert error <= abs(Fraction(float(other)) - wanted)
            if error == abs(Fraction(float(other)) - wanted):
                assert r.view(f"u{r.itemsize}") % 2 == 0


@pytest.mark.parametrize(
    "opcode", [opcode for opcode in ptx_machine.OPCODES if re.fullmatch(r"cvt\.rn\.f\d+\.[su]\d+", opcode)]
)
def test_integers_become_the_nearest_floats(opcode):
    _, _, to, kind = opcode.split(".")
    values = [of_type(v, kind) for v in CORNERS + [2**24 + 1, 2**24 + 3, 2**53 + 1, 2**53 + 3, 2**40 + 2**15]]
    dtype = f"{'i' if kind[0] == 's' else 'u'}{WIDTHS[kind]}"
    found = compute(f"{opcode} %r, %a;", f"f{WIDTHS[to]}", np.array(values, dtype), kinds=(kind,))
    assert_nearest(found, [Fraction(v) for v in values])


def test_narrower_floats_are_the_nearest(rng):
    wide = rng.standard_normal(200) * 10.0 ** rng.integers(-42, 38, 200)
    wide[:3] = [1 + 2**-24, 1 + 3 * 2**-24, 2**-149 * 1.5]
    assert_nearest(compute("cvt.rn.f32.f64 %r, %a;", "f4", wide, kinds=("f64",)), [Fraction(v) for v in wide])
    single = (rng.standard_normal(200) * 10.0 ** rng.integers(-8, 4, 200)).astype("f4")
    halves = compute("cvt.rn.f16.f32 %r, %a;", "u2", single, kinds=("f32",)).view("f2")
    assert_nearest(halves, [Fraction(float(v)) for v in single])


@pytest.mark.parametrize("bits", [32, 64])
def test_shifts_by_the_width_or_more_move_everything_out(bits):
    amounts = [0, 1, bits - 1, bits, 200, 2**32 - 1]
    a, by = np.full(len(amounts), -5, f"i{bits // 8}"), np.array(amounts, "u4")
    unsigned = 2**bits - 5
    left = compute(f"shl.b{bits} %r, %a, %b;", f"u{bits // 8}", a, by, kinds=(f"b{bits}", "u32"))
    assert left.tolist() == [(unsigned << min(k, bits)) % 2**bits for k in amounts]
    right = compute(f"shr.u{bits} %r, %a, %b;", f"u{bits // 8}", a, by, kinds=(f"u{bits}", "u32"))
    assert right.tolist() == [unsigned >> min(k, bits) for k in amounts]
    right = compute(f"shr.s{bits} %r, %a, %b;", a.dtype, a, by, kinds=(f"s{bits}", "u32"))
    assert right.tolist() == [-5 >> min(k, bits) for k in amounts]


LOOP = """
        mov.u32 %i, %tid.x;
        mov.u32 %block, %ctaid.x;
        mov.u32 %width, %ntid.x;
        mul.lo.s32 %j, %block, %width;
        add.s32 %i, %i, %j;
        mov.u32 %sum, 0;
        mov.u32 %k, 0;
$AGAIN:
        setp.ge.s32 %q, %k, %i;
        @%q bra $END;
        add.s32 %k, %k, 1;
        add.s32 %sum, %sum, %k;
        bra.uni $AGAIN;
$END:
        ld.param.u64 %rd1, [out];
        mul.wide.s32 %rd2, %i, 4;
        add.s64 %rd1, %rd1, %rd2;
        st.global.u32 [%rd1], %sum;"""


def test_threads_that_part_meet_again():
    out, memory = np.zeros(12, "i4"), Memory()
    executed = launch(kernel(LOOP), [memory.add(out)], 3, 4, memory)
    assert out.tolist() == [i * (i + 1) // 2 for i in range(12)]
    # 7 instructions before the loop, 5 in each turn and 2 in the last one, 5 after it.
    assert executed == sum(7 + 5 * i + 2 + 5 for i in range(12))


NESTED = """
        mov.u32 %i, %tid.x;
        mov.u32 %sum, 0;
        mov.u32 %k, 0;
$OUTER:
        setp.ge.u32 %q, %k, 6;
        @%q bra $END;
        add.s32 %k, %k, 1;
        setp.eq.u32 %p1, %k, %i;
        @%p1 bra $OUTER;
        mov.u32 %j, 0;
$INNER:
        add.s32 %j, %j, 1;
        mul.lo.s32 %block, %j, %i;
        setp.gt.s32 %p2, %block, 7;
        @%p2 bra $AFTER;
        add.s32 %sum, %sum, %j;
        setp.lt.u32 %p3, %j, %k;
        @%p3 bra $INNER;
        bra.uni $OUTER;
$AFTER:
        add.s32 %sum, %sum, 100;
        setp.gt.s32 %p1, %sum, 250;
        @!%p1 bra $OUTER;
$END:
        ld.param.u64 %rd1, [out];
        mul.wide.s32 %rd2, %i, 4;
        add.s64 %rd1, %rd1, %rd2;
        st.global.u32 [%rd1], %sum;"""


def test_nested_loops_with_break_and_continue():
    def one_thread(i):
        total = k = 0
        while k < 6:
            k += 1
            if k == i:
                continue
            for j in range(1, k + 1):
                if j * i > 7:
                    total += 100
                    break
                total += j
            else:
                continue
            if total > 250:
                break
        return total

    out, memory = np.zeros(13, "i4"), Memory()
    launch(kernel(NESTED), [memory.add(out)], 1, 13, memory)
    assert out.tolist() == [one_thread(i) for i in range(13)]


class TestMemory:
    def test_a_guard_keeps_a_thread_from_reading_and_writing_outside(self):
        guarded = LOOP.replace("st.global.u32", "setp.lt.s32 %p1, %i, 10;\n@%p1 st.global.u32")
        guarded += "\n@%p1 ld.global.u32 %r1, [%rd1+0];"
        out, memory = np.zeros(10, "i4"), Memory()
        address = memory.add(out)
        launch(kernel(guarded), [address], 3, 4, memory)
        assert out.tolist() == [i * (i + 1) // 2 for i in range(10)]
        with pytest.raises(PtxError, match=r"thread 9: 4 bytes at 0x\w+ are outside .*: @%p1 ld"):
            launch(kernel(guarded.replace("+0]", "+4]")), [address], 3, 4, memory)

    def test_an_array_that_is_read_only_is_not_written(self):
        out, memory = np.zeros(12, "i4"), Memory()
        out.flags.writeable = False
        with pytest.raises(PtxError, match="is read-only: st"):
            launch(kernel(LOOP), [memory.add(out)], 3, 4, memory)
        assert not out.any()

    def test_an_array_with_gaps_is_refused(self):
        with pytest.raises(ValueError, match="not contiguous"):
            Memory().add(np.zeros((4, 2))[:, 0])

    def test_two_threads_that_write_to_one_address_at_once(self):
        out, memory = np.zeros(12, "i4"), Memory()
        with pytest.raises(PtxError, match="thread 1: another thread writes to 0x"):
            launch(kernel(LOOP.replace("%i, 4;", "%i, 0;")), [memory.add(out)], 1, 4, memory)

    def test_what_was_not_handed_over_is_not_touched(self):
        out, memory = np.zeros(12, "i4"), Memory()
        address = memory.add(out[:10])
        with pytest.raises(
            PtxError, match=r"thread 10: 4 bytes at 0x\w+ are outside .*: st.global.u32 \[%rd1\], %sum"
        ):
            launch(kernel(LOOP), [address], 3, 4, memory)
        assert out[10:].tolist() == [0, 0]

    def test_before_the_first_and_between_two_arrays(self):
        arrays, memory = np.zeros((3, 8), "i4"), Memory()
        memory.add(arrays[0])
        memory.add(arrays[2])
        for row, ok in ((0, True), (1, False), (2, True)):
            address = np.array([arrays[row].ctypes.data], np.uint64)
            if ok:
                assert memory.load(address, 4).tolist() == [0]
            else:
                with pytest.raises(Exception, match="outside"):
                    memory.load(address, 4)
        with pytest.raises(Exception, match="outside"):
            Memory().load(np.array([16], np.uint64), 4)

    def test_an_address_that_is_not_aligned_is_an_error(self):
        memory = Memory()
        data = np.zeros(4, "i8")
        address = np.array([memory.add(data) + 4], np.uint64)
        assert memory.load(address, 4).tolist() == [0]
        with pytest.raises(Exception, match="not aligned"):
            memory.load(address, 8)

    def test_an_array_whose_start_is_odd(self):
        data, memory = np.arange(9, dtype="u1"), Memory()
        memory.add(data[1:])
        first_aligned = -(-(data.ctypes.data + 1) // 4) * 4
        value = memory.load(np.array([first_aligned], np.uint64), 4).view("u1")
        assert value.tolist() == data[first_aligned - data.ctypes.data :][:4].tolist()


class TestRefusals:
    @pytest.mark.parametrize(
        "text",
        [
            "atom.global.add.u32 %r1, [%rd1], 1;",
            "bar.sync 0;",
            "shfl.sync.down.b32 %r1, %r2, 1, 31, -1;",
            "vote.sync.any.pred %p1, %p2, -1;",
            "add.rz.f32 %f1, %f2, %f3;",
            "add.ftz.f32 %f1, %f2, %f3;",
            "add.sat.f32 %f1, %f2, %f3;",
            "add.f16 %rs1, %rs2, %rs3;",
            "mul.rn.ftz.f32 %f1, %f2, %f3;",
            "mul.hi.s64 %rd1, %rd2, %rd3;",
            "mad.lo.s32 %r1, %r2, %r3, %r1;",
            "min.NaN.f32 %f1, %f2, %f3;",
            "fma.rz.f32 %f1, %f2, %f3, %f1;",
            "sqrt.approx.f32 %f1, %f2;",
            "sin.approx.f32 %f1, %f2;",
            "cvt.rni.s64.f64 %rd1, %rd2;",
            "cvt.rz.f32.f64 %f1, %rd2;",
            "cvt.rn.sat.f32.f64 %f1, %rd2;",
            "cvt.rn.ftz.f16.f32 %rs1, %f1;",
            "cvt.rn.bf16x2.f32 %r1, %f1, %f2;",
            "setp.lt.ftz.f32 %p1, %f1, %f2;",
            "setp.eq.and.s32 %p1, %r1, %r2, %p2;",
            "setp.lo.u32 %p1, %r1, %r2;",
            "prmt.b32 %r1, %r2, %r3, 0x5410;",
            "bfe.u32 %r1, %r2, 8, 4;",
            "ld.volatile.global.f32 %f1, [%rd1];",
            "ld.global.v2.f32 {%f1, %f2}, [%rd1];",
            "ld.global.u8 %rs1, [%rd1];",
            "st.global.v2.f32 [%rd1], {%f1, %f2};",
            "{ .reg .b32 %inner;",
            "call.uni f;",
            "trap;",
        ],
    )
    def test_an_instruction_that_it_does_not_know(self, text):
        with pytest.raises(PtxError, match="does not know the instruction"):
            kernel(text)

    @pytest.mark.parametrize(
        "text",
        [
            "neg.f32 %f1, %f2, %f3;",
            "add.f32 %f1, %f2;",
            "add.f32 %f1, %f2, %f3, %f1;",
            "mov.u32 %r1;",
            "ret %r1;",
        ],
    )
    def test_another_number_of_operands(self, text):
        with pytest.raises(PtxError, match=r"takes \d operands"):
            kernel(text)

    @pytest.mark.parametrize(
        "text",
        [
            "add.rn.f32 %f1, 1, 0f3F800000;",
            "mov.f32 %f1, 0f3F8;",
            "mov.f32 %f1, 0d3FF0000000000000;",
            "mov.f32 %f1, 1.5;",
            "mov.u32 %r1, 0f3F800000;",
            "mov.u32 %r1, 010;",
            "mov.u64 %rd1, out;",
            "selp.u32 %r1, 1, 0, !%p1;",
        ],
    )
    def test_an_operand_that_it_does_not_know(self, text):
        with pytest.raises(PtxError, match="does not know the operand"):
            launch(kernel(text), [0], 1, 1, Memory())

    @pytest.mark.parametrize(
        "text",
        [
            "setp.eq.u32 %p1|%p2, 1, 1;",
            "mov.b32 {%rs1, %rs2}, 1;",
            "mov.u32 %undeclared, 1;",
            "mov.u32 %tid.x, 1;",
            "mov.u32 5, 1;",
        ],
    )
    def test_a_result_that_goes_to_no_register(self, text):
        with pytest.raises(PtxError, match="there is no register"):
            launch(kernel(text), [0], 1, 1, Memory())

    @pytest.mark.parametrize(
        "text",
        [
            "mov.u32 %rd1, 1;",
            "mov.u32 %p1, 1;",
            "mov.pred %r1, 1;",
            "cvt.u64.u32 %r1, 5;",
            "mov.u64 %rd1, %tid.x;",
            "mov.u64 %rd1, 1;\n@%rd1 ret;",
            "mov.u64 %rd1, 1;\nst.u32 [%rd1], %rd1;",
        ],
    )
    def test_registers_of_another_width(self, text):
        with pytest.raises(PtxError, match="bit.*, but"):
            launch(kernel(text), [0], 1, 1, Memory())

    def test_a_special_register_of_another_axis(self):
        with pytest.raises(PtxError, match="is read before it is written"):
            launch(kernel("mov.u32 %r1, %tid.y;"), [0], 1, 1, Memory())

    def test_a_register_that_this_thread_has_not_written(self):
        """Also where another thread has, and where it is a guard."""
        some = "mov.u32 %i, %tid.x;\nsetp.eq.u32 %p1, %i, 0;\n@%p1 mov.u32 %r1, 1;"
        launch(kernel(some + "\n@%p1 mov.u32 %r2, %r1;"), [0], 1, 3, Memory())
        with pytest.raises(PtxError, match="thread 1: register %r1 is read before it is written"):
            launch(kernel(some + "\nmov.u32 %r2, %r1;"), [0], 1, 3, Memory())
        with pytest.raises(PtxError, match="thread 0: register %p2 is read before it is written: @!%p2 ret"):
            launch(kernel("@!%p2 ret;"), [0], 1, 1, Memory())

    def test_branches_and_labels_that_leave_something_open(self):
        with pytest.raises(PtxError, match="whether all threads take this branch"):
            kernel("$L:\n@%p1 bra.uni $L;")
        with pytest.raises(PtxError, match=r"two labels \$L:"):
            kernel("$L:\nmov.u32 %r1, 1;\n$L:")

    def test_declarations_that_it_does_not_know(self):
        with pytest.raises(PtxError, match="declared twice"):
            kernel(".reg .b32 %r<2>;")
        with pytest.raises(PtxError, match="declaration"):
            kernel(".reg .v4 .b32 %v;")
        for parameter in ("align 8 .b8 s[16]", "b8 s[16]", "pred p", "u64 .ptr .global a"):
            with pytest.raises(PtxError, match="does not know the parameter"):
                parse(HEAD + f".visible .entry k(\n.param .{parameter}\n)\n{{\nret;\n}}\n")

    @pytest.mark.parametrize(("old", "new"), [("size 64", "size 32"), ("sm_80", "sm_80, map_f64_to_f32")])
    def test_another_kind_of_gpu(self, old, new):
        with pytest.raises(PtxError, match="addresses of 64 bits"):
            kernel("", head=HEAD.replace(old, new))

    def test_a_label_that_is_not_there(self):
        with pytest.raises(PtxError, match=r"there is no label \$NOWHERE"):
            kernel("bra.uni $NOWHERE;")

    def test_a_register_of_another_width(self):
        with pytest.raises(PtxError, match="has 64 bits, but is read as u32"):
            launch(kernel("mov.u64 %rd1, 1;\nmov.u32 %r1, %rd1;"), [0], 1, 1, Memory())

    def test_a_register_that_was_never_written(self):
        with pytest.raises(PtxError, match="thread 0: register %r2 is read before it is written"):
            launch(kernel("mov.u32 %r1, %r2;"), [0], 1, 1, Memory())

    def test_functions_and_other_kinds_of_memory(self):
        with pytest.raises(PtxError, match="one kernel"):
            parse(HEAD + ".func f() { ret; }\n.visible .entry k(\n)\n{\nret;\n}\n")
        with pytest.raises(PtxError, match="one kernel"):
            kernel(".shared .align 4 .b8 buffer[16];")
        with pytest.raises(PtxError, match="one kernel"):
            kernel("ld.local.f32 %f1, [%rd1];")

    def test_another_number_of_arguments(self):
        with pytest.raises(PtxError, match="takes 1 arguments, but got 2"):
            launch(kernel(""), [0, 0], 1, 1, Memory())


def test_what_a_gpu_may_fuse_is_listed():
    product = "mul.f32 %f1, %f2, %f3;\n"
    for text, fusable in (
        (product + "add.f32 %f0, %f1, %f2;", True),
        (product + "neg.f32 %f0, %f1;\nsub.f32 %f0, %f2, %f0;", True),
        ("$L:\nsub.f32 %f0, %f3, %f2;\nmul.f32 %f1, %f2, %f3;\nmov.f32 %f3, %f1;\nbra.uni $L;", True),
        (product + "add.rn.f32 %f0, %f1, %f2;", False),
        ("mul.rn.f32 %f1, %f2, %f3;\nadd.f32 %f0, %f1, %f2;", False),
        (product + "abs.f32 %f0, %f1;\nadd.f32 %f0, %f0, %f2;", False),
    ):
        assert bool(kernel(text).fusable) == fusable, text
