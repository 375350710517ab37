"""The examples, and the code in the README, run and print what they should."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rprop_ref
from rprop_ref import checkpoint
from rprop_ref._minimizer import minimize
from rprop_ref._multistart import minimize_many, starts
from rprop_ref.autograd import _functions, _gradcheck, _mode, _parameter, _primitives, _tensor

ROOT = Path(rprop_ref.__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda f: f.stem)
def test_examples_run(file):
    done = subprocess.run([sys.executable, "-W", "error", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 5


def test_every_example_is_in_their_readme():
    text = (ROOT / "examples" / "README.md").read_text()
    assert EXAMPLES
    for file in EXAMPLES:
        assert f"`{file.name}`" in text


@pytest.mark.parametrize(
    "module",
    [minimize_many, minimize, starts, checkpoint, _functions, _gradcheck, _mode, _parameter, _primitives, _tensor],
    ids=lambda m: m.__name__,
)
def test_docstrings(module):
    tried = doctest.testmod(module)
    assert tried.attempted > 0
    assert tried.failed == 0


def test_the_readmes_python():
    """Blocks of Python in the README are sessions; they print what it says."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "README", "README.md", 0))
    assert runner.summarize(verbose=False).attempted > 10
    assert runner.summarize(verbose=False).failed == 0


def test_the_readme_names_every_public_name():
    text = (ROOT / "README.md").read_text()
    for name in rprop_ref.__all__:
        assert f"`{name}`" in text, name
