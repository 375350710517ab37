"""Importing loads nothing heavy, and everything works without Numba."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rprop_ref


def words_printed_by(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    "code",
    [
        "import rprop_ref, numba_kernels, cuda_kernels.arrays",
        "import numpy as np, rprop_ref as r; p = r.Parameter(np.ones(1000)); p.grad = p.data * 2; r.Rprop([p]).step()",
        "import rprop_ref as r; str(r.step_table([1, 1, -1])); r.Trace()",
    ],
    ids=["import", "one step", "lesson"],
)
def test_small_uses_load_nothing_heavy(code):
    loaded = words_printed_by(code + "; import sys; print(*sys.modules)")
    heavy = {"numba", "scipy", "llvmlite", "matplotlib", "torch"}
    assert not heavy & set(loaded)


def test_numba_is_loaded_after_a_second_of_steps():
    loaded = words_printed_by(
        "import sys, threading, time, numpy as np, rprop_ref as r\n"
        "from rprop_ref import backends\n"
        "p = r.Parameter(np.ones(8)); p.grad = p.data * 2; o = r.Rprop([p]); o.step()\n"
        "print(threading.active_count(), 'numba' in sys.modules); backends.spend(1.0)\n"
        "while backends.resolve(None, 8, p.dtype, 'flat', 'irprop-') == 'numpy': o.step(); time.sleep(0.01)\n"
        "o.step(); print('numba' in sys.modules)\n"
    )
    assert loaded == ["1", "False", "True"]


def test_everything_but_speed_works_without_numba():
    """As in a browser's Python, which lacks `_multiprocessing` as well."""
    printed = words_printed_by(
        "import sys, importlib.abc\n"
        "class Hide(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('numba', '_multiprocessing'): raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hide())\n"
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'numba' else find(name, *a)\n"
        "import numpy as np, rprop_ref as r\n"
        "from rprop_ref import backends; backends.spend(5)\n"
        "p = r.Parameter(np.ones(3)); p.grad = p.data * 2; r.Rprop([p], lr=0.5).step(); print(p.data[0])\n"
        "print(r.minimize(lambda x: (x @ x, 2 * x), [1.0], jac=True).success)\n"
        "t = r.minimize(lambda x: (x @ x, 2 * x), [1.0], jac=True, trace=True).trace\n"
        "from rprop_ref import explorer, objectives\n"
        "page = explorer.page(objectives.OBJECTIVES['bowl'])\n"
        "print(len(t.explain().findings), len(r.step_table([1, 1, -1]).rows), page[:15] == '<!DOCTYPE html>')\n"
        "try: r.Rprop([p], backend='numba')\n"
        "except ModuleNotFoundError as e: print('needs the package numba' in str(e))\n"
    )
    assert printed == ["0.5", "True", "0", "3", "True", "True"]


def test_every_public_name_exists_and_has_a_docstring():
    assert set(rprop_ref.__all__) <= set(dir(rprop_ref))
    for name in rprop_ref.__all__:
        assert getattr(rprop_ref, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        rprop_ref.nonsense  # noqa: B018
