"""Numbers in JSON: each as a decimal and as a hexadecimal float."""

from __future__ import annotations

import functools
import math
import re
import struct
from typing import Any

import numpy as np

from .._cases.case import Array

_BITS, _DOUBLE = struct.Struct("q"), struct.Struct("d")

#: At the end of the fraction of a hexadecimal float.
_ZEROS = re.compile(r"\.?0+p")


def decimal(value: Any) -> float | str:
    """A number for JSON, which has no NaN and no infinities; these become strings."""
    number = float(value)
    return number if math.isfinite(number) else str(number)


def both_forms(name: str, values: Any) -> dict[str, Any]:
    """A number, or a list of them, under its name and, as hexadecimal floats, under its name with ``_hex``.

    A complex number counts as two numbers, and None stays None.
    """
    if values is None:
        return {name: None, f"{name}_hex": None}
    array = np.asarray(values)
    if np.iscomplexobj(array):
        array = np.ascontiguousarray(array).view(array.real.dtype)
    if array.ndim == 0:
        return {name: decimal(array), f"{name}_hex": _short_hexadecimal(array)}
    numbers = array.astype(np.float64).tolist()  # Python's floats are faster, one by one
    return {name: [decimal(v) for v in numbers], f"{name}_hex": [_short_hexadecimal(v) for v in numbers]}


def both_forms_as_text(**named: Any) -> str:
    """The members of a JSON object for some names and their values: what ``json.dumps`` makes of `both_forms`."""
    return ", ".join(_member(name, values) for name, values in named.items())


def each_as_text(name: str, values: Array) -> list[str]:
    """For each row of an array, or each number of a list, the members of `both_forms`."""
    rows = _bits(values).tolist()
    return [_text(name, row) if isinstance(row, list) else _text_of_one(name, row) for row in rows]


def _member(name: str, values: Any) -> str:
    if values is None:
        return f'"{name}": null, "{name}_hex": null'
    bits = _bits(values).tolist()
    return _text(name, bits) if np.ndim(values) else _text_of_one(name, bits[0])


def _bits(values: Any) -> Array:
    """The bits of doubles. By them the text of each is kept, since the same occur again and again.

    Equal numbers may differ in bits (0 and -0), and the same bits be not equal (NaN).
    """
    array = np.ascontiguousarray(values)
    if np.iscomplexobj(array):
        array = array.view(array.real.dtype)
    return array.astype(np.float64).view(np.int64)


def _text(name: str, bits: list[int]) -> str:
    decimals, hexadecimals = ", ".join(map(_decimal_text, bits)), ", ".join(map(_hexadecimal_text, bits))
    return f'"{name}": [{decimals}], "{name}_hex": [{hexadecimals}]'


@functools.lru_cache(1 << 10)
def _text_of_one(name: str, bits: int) -> str:
    return f'"{name}": {_decimal_text(bits)}, "{name}_hex": {_hexadecimal_text(bits)}'


@functools.lru_cache(1 << 16)
def _decimal_text(bits: int) -> str:
    number = _double(bits)
    return repr(number) if math.isfinite(number) else f'"{number}"'


@functools.lru_cache(1 << 16)
def _hexadecimal_text(bits: int) -> str:
    return f'"{_short_hexadecimal(_double(bits))}"'


def _double(bits: int) -> float:
    number: float = _DOUBLE.unpack(_BITS.pack(bits))[0]
    return number


def _short_hexadecimal(value: Any) -> str:
    """As C's ``printf("%a")`` writes it, without zeros at the end of the fraction."""
    return _ZEROS.sub("p", float(value).hex())
