"""The examples run, and the examples in docstrings print what they say."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

import pytest
from cases import sampled

import rprop_ref
from rprop_ref import checkpoint
from rprop_ref._minimizer import minimize
from rprop_ref._multistart import minimize_many, starts
from rprop_ref.autograd import _functions, _gradcheck, _mode, _parameter, _primitives, _tensor

ROOT = Path(rprop_ref.__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


#: What an example needs beside the package.
NEEDS = {"gaussian_process": "sklearn", "early_stopping": "sklearn"}

#: Each takes longer than most others together.
SLOW = {
    "distributed_least_squares",
    "early_stopping",
    "encoder",
    "extreme_value_likelihood",
    "gaussian_process",
    "predator_prey",
}


@pytest.mark.parametrize(
    "file", sampled(EXAMPLES, [f for f in EXAMPLES if f.stem not in SLOW]), ids=lambda f: f.stem
)
def test_examples_run_without_warnings(file):
    if file.stem in NEEDS:
        pytest.importorskip(NEEDS[file.stem], reason=f"{NEEDS[file.stem]} is not installed (extra test)")
    done = subprocess.run([sys.executable, "-W", "error", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 5


def test_the_examples_readme_lists_every_example():
    text = (ROOT / "examples" / "README.md").read_text()
    assert EXAMPLES
    for file in EXAMPLES:
        assert f"`{file.name}`" in text


@pytest.mark.parametrize(
    "module",
    [minimize_many, minimize, starts, checkpoint, _functions, _gradcheck, _mode, _parameter, _primitives, _tensor],
    ids=lambda m: m.__name__,
)
def test_docstrings_print_what_they_say(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
