"""The machine that executes PTX in tests: against the manual's definitions, and against NumPy on special values."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import cases
import numpy as np
import pytest
from ptx_machine import Memory, PtxError, launch, parse

from rprop_ref.bits import same_bits

HEAD = ".version 9.0\n.target sm_80\n.address_size 64\n"


def kernel(body, parameters=("u64 out",)):
    declared = ",\n".join(f"\t.param .{kind} {name}" for kind, name in (p.split() for p in parameters))
    return parse(f"{HEAD}.visible .entry test(\n{declared}\n)\n{{\n\t.reg .b64 %rd<9>;\n{body}\n\tret;\n}}\n")


def address_of(name, register, shift):
    """Instructions that leave the address of a thread's element in a register."""
    return f"""
        mov.u32 %i, %tid.x;
        cvt.u64.u32 {register}, %i;
        shl.b64 {register}, {register}, {shift};
        ld.param.u64 %base, [{name}];
        add.s64 {register}, %base, {register};"""


#: Which load and store moves a value of a type.
MOVED = {
    "s32": "u32",
    "u32": "u32",
    "s64": "u64",
    "u64": "u64",
    "f32": "f32",
    "f64": "f64",
    "b64": "b64",
    "b32": "b32",
}
WIDTHS = {"s32": 4, "u32": 4, "b32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8, "b64": 8, "u16": 2, "b16": 2}


def compute(instruction, result, *operands, kinds):
    """What an instruction with operands in ``%a``, ``%b``, ``%c`` leaves in ``%r``; an element for each thread."""
    arrays = [np.ascontiguousarray(a) for a in operands]
    out = np.zeros(arrays[0].size, result)
    parameters, body = ["u64 out"], ""
    for name, kind in zip("abc"[: len(kinds)], kinds, strict=True):
        parameters.append(f"u64 {name}")
        body += address_of(name, f"%p{name}", int(math.log2(WIDTHS[kind])))
        body += f"\n\tld.global.{MOVED.get(kind, kind)} %{name}, [%p{name}];"
    width = out.dtype.itemsize
    body += f"\n\t{instruction}" + address_of("out", "%po", int(math.log2(width)))
    body += f"\n\tst.global.{ {2: 'u16', 4: 'u32', 8: 'u64'}[width] } [%po], %r;"
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
        ("min", np.fmin),
        ("max", np.fmax),
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
    text = "cvt.rn.f16.f32 %h, %a;\n\tcvt.f32.f16 %r, %h;"
    assert same_bits(compute(text, "f4", a, kinds=("f32",)), halves.astype("f4"))
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes, which is not installed")
    with np.errstate(all="ignore"):
        brains = a.astype(ml_dtypes.bfloat16)
    found = compute("cvt.rn.bf16.f32 %r, %a;", "u2", a, kinds=("f32",))
    assert same_bits(found.view(ml_dtypes.bfloat16), brains)
    text = "cvt.rn.bf16.f32 %h, %a;\n\tmov.u16 %z, 0;\n\tmov.b32 %r, {%z, %h};"
    assert same_bits(compute(text, "f4", a, kinds=("f32",)), brains.astype("f4"))


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("to", ["s32", "u32", "s64", "u64"])
def test_integers_are_the_whole_part_of_a_number_that_has_one(to, kind):
    result, dtype = np.dtype({"s": "i", "u": "u"}[to[0]] + str(int(to[1:]) // 8)), f"f{int(kind[1:]) // 8}"
    text = f"cvt.rzi.{to}.{kind} %r, %a;"
    numbers = np.array([0.0, -0.0, 0.9, 1.5, 2.5, 2.0**20 + 0.75, 2.0**31 - 128], dtype)
    np.testing.assert_array_equal(
        compute(text, result, numbers, kinds=(kind,)), [0, 0, 0, 1, 2, 2**20, 2**31 - 128]
    )
    if to[0] == "s":
        negative = compute(text, result, np.array([-0.9, -1.5, -(2.0**31)], dtype), kinds=(kind,))
        np.testing.assert_array_equal(negative, [0, -1, -(2**31)])
    beyond = 2.0 ** (int(to[1:]) - (to[0] == "s"))
    for wrong in (np.nan, np.inf, beyond, -2 * beyond if to[0] == "s" else -1.0):
        with pytest.raises(PtxError, match="no such integer"):
            compute(text, result, np.array([wrong], dtype), kinds=(kind,))


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
    with pytest.raises(PtxError, match="by zero"):
        compute("div.s64 %r, %a, %b;", "i8", a, 0 * b, kinds=("s64",) * 2)


def test_shifts_by_the_width_or_more_move_everything_out():
    a, by = np.array([-5] * 5, "i8"), np.array([0, 1, 63, 64, 200], "u4")
    shifted = compute("shl.b64 %r, %a, %b;", "u8", a, by, kinds=("b64", "u32"))
    assert shifted.tolist() == [(-5 << k) % 2**64 if k < 64 else 0 for k in (0, 1, 63, 64, 200)]
    assert compute("shr.s64 %r, %a, %b;", "i8", a, by, kinds=("s64", "u32")).tolist() == [-5, -3, -1, -1, -1]
    shifted = compute("shr.u64 %r, %a, %b;", "u8", a, by, kinds=("u64", "u32"))
    assert shifted.tolist() == [(2**64 - 5) >> k if k < 64 else 0 for k in (0, 1, 63, 64, 200)]


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


class TestMemory:
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
            "add.rz.f32 %f1, %f2, %f3;",
            "add.ftz.f32 %f1, %f2, %f3;",
            "mul.rn.ftz.f32 %f1, %f2, %f3;",
            "sin.approx.f32 %f1, %f2;",
            "ld.volatile.global.f32 %f1, [%rd1];",
            "st.global.v2.f32 [%rd1], {%f1, %f2};",
        ],
    )
    def test_an_instruction_that_it_does_not_know(self, text):
        with pytest.raises(PtxError, match="does not know the instruction"):
            kernel(text)

    def test_a_label_that_is_not_there(self):
        with pytest.raises(PtxError, match=r"there is no label \$NOWHERE"):
            kernel("bra.uni $NOWHERE;")

    def test_a_register_of_another_width(self):
        with pytest.raises(PtxError, match="has 64 bits, but is read as u32"):
            launch(kernel("mov.u64 %rd1, 1;\nmov.u32 %r1, %rd1;"), [0], 1, 1, Memory())

    def test_a_register_that_was_never_written(self):
        with pytest.raises(PtxError, match="register '%r2' is read before it is written"):
            launch(kernel("mov.u32 %r1, %r2;"), [0], 1, 1, Memory())

    def test_functions_and_other_kinds_of_memory(self):
        with pytest.raises(PtxError, match="one kernel"):
            parse(HEAD + ".func f() { ret; }\n.visible .entry k(\n)\n{\nret;\n}\n")
        with pytest.raises(PtxError, match="one kernel"):
            kernel(".shared .align 4 .b8 buffer[16];")

    def test_another_number_of_arguments(self):
        with pytest.raises(PtxError, match="takes 1 arguments, but got 2"):
            launch(kernel(""), [0, 0], 1, 1, Memory())
