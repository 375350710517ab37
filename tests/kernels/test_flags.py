"""Flags that are quickly compared are those of Numba, and only our kernels have them."""

from __future__ import annotations

import numba
from numba.core import compiler

from numba_kernels._flags import Flags, quicken


def twice(a):
    return 2 * a


def test_flags_are_equal_if_the_same_options_are_set():
    flags = compiler.Flags()
    flags.nrt = True
    quick, same, other = Flags(flags), Flags(flags), Flags(flags)
    other.error_model = "numpy"
    assert quick.values() == flags.values()
    assert quick == same
    assert hash(quick) == hash(same)
    assert quick != other
    assert quick != flags
    assert quick.copy() == quick
    assert isinstance(quick.copy(), Flags)


def test_the_hash_follows_an_option_that_is_changed():
    quick = Flags()
    before = hash(quick)
    quick.forceinline = True
    assert hash(quick) != before
    assert hash(quick) == hash(quick.copy())


def test_machine_code_is_named_as_with_numbas_flags():
    """The name of a function holds its flags, so that no other function takes the place of one with other flags."""
    plain, quick = numba.njit(twice), quicken(numba.njit(twice))
    assert quick(1.5) == plain(1.5) == 3.0
    (ours,), (theirs,) = quick.overloads.values(), plain.overloads.values()
    assert ours.fndesc.abi_tags == theirs.fndesc.abi_tags
    assert len(ours.fndesc.abi_tags[-1]) > 10


def test_a_function_that_is_not_compiled_is_left_alone():
    assert quicken(twice) is twice
