"""Profiles of published implementations, and the guide."""

from __future__ import annotations

import doctest
import os
import re
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from cases import sampled

import rprop_ref
from rprop_ref import crosscheck
from rprop_ref.crosscheck import (
    COMPOSITIONS,
    checking,
    profile,
    published,
)
from rprop_ref.crosscheck._comparison.divergence import same_values
from rprop_ref.crosscheck._comparison.observe import observe
from rprop_ref.crosscheck._stages.compositions import differences

ROOT = Path(rprop_ref.__file__).parent.parent


def moves(name, gradients, lr=0.1):
    run = profile(name)(np.zeros(1), lr=lr)
    return [round(float(run.step(np.array([g]), loss=0.0)[0]), 6) for g in gradients]


def test_profiles_make_the_first_moves_that_their_packages_make():
    script = (1, 1, 1, -1, 1, 1, 1)
    assert moves("torch", script) == [-0.1, -0.22, -0.364, -0.364, -0.436, -0.5224, -0.62608]
    assert moves("optax-0.2.8", script) == [0, -0.1, -0.22, -0.22, -0.22, -0.292, -0.3784]
    assert moves("pints-0.6.1", script[:6]) == [-0.12, -0.264, -0.4368, -0.4368, -0.5232, -0.62688]
    assert moves("opencv", script) == [-0.1, -0.22, -0.364, -0.292, -0.364, -0.4504, -0.55408]
    assert moves("neurolab-0.3.5", script) == [-0.1, -0.22, -0.364, -0.292, -0.328, -0.3712, -0.42304]


@pytest.mark.parametrize("name", sampled(["optax-0.2.8", "mindspore", "neuralnet", "trainrp"], ["mindspore"]))
def test_a_profile_is_closest_to_itself(name):
    published = profile(name)
    run = published(np.zeros(3))
    assert run.step_size[0] == pytest.approx(published.lr)
    best = crosscheck.closest_profiles(published, dtypes=["float64"])
    assert best[0][1] == best[0][2]
    equals = {row[0] for row in best if row[1] == row[2]}
    assert name in equals
    assert published.about in str(published)
    assert set(differences(COMPOSITIONS[published.rule], published.composition)) == set(published.changes)


def test_an_unknown_profile_is_refused():
    with pytest.raises(ValueError, match="unknown profile 'tensorflow'; choose from torch, "):
        profile("tensorflow")


@pytest.mark.parametrize(
    ("name", "other", "without"),
    [
        ("trainrp", "MatlabTrainrp", set()),
        ("shark-3", "Shark3IrpropMinus", {"nan"}),  # there, the sign of a NaN is its sign bit
    ],
)
def test_a_profile_that_was_not_run_does_what_others_made_of_the_same_source(name, other, without):
    file = ROOT.parent / "shared" / "foreign" / "ten_rprops.py"
    if not file.exists():
        pytest.skip("needs a file beside the repository, with implementations that others wrote")
    factory = run_path(str(file))[other]
    cannot = {"none", "set", "save", "lr per coordinate", "bounds", *without}
    cases = [case for case in crosscheck.conformance_cases(["float64"]) if not case.needs & cannot]
    assert len(cases) > 50
    for case in cases:
        theirs, ours = observe(factory, case), observe(profile(name), case)
        assert theirs.error is None
        assert same_values("x", theirs.x, ours.x).all(), case


# --- who computes what ------------------------------------------------------------------------------------------

PAGE = ROOT / "docs" / "who_computes_what.md"


@pytest.fixture(scope="module")
def rows():
    return list(published.published_rows())


@pytest.mark.exhaustive
def test_the_page_is_what_the_profiles_do(rows):
    """``UPDATE_GOLDEN=1`` writes it anew."""
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(published.page(rows), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == published.page(rows)


@pytest.mark.exhaustive
def test_every_difference_of_a_profile_is_on_the_page(rows):
    """But for two that are none in the dtypes that the implementation has."""
    unseen = {"flip found by the sign", "an eta- of 0 counts"}
    differences = {row.about: row.differences for row in rows}
    for name in crosscheck.profiles():
        sentences = [sentence for tier in differences[profile(name).about].values() for sentence in tier]
        assert {a.name for a in profile(name).changes if a.does not in sentences} <= unseen, name


# --- the guide ------------------------------------------------------------------------------------------------


def test_every_message_in_the_guides_table_has_an_op():
    messages = re.findall(r"^\| `(\{.*?\})`", (ROOT / "docs" / "crosscheck.md").read_text(), re.M)
    assert messages
    assert all('"op"' in message for message in messages)


def test_the_example_of_check_runs():
    tried = doctest.testmod(checking)
    assert tried.attempted > 4
    assert tried.failed == 0


def test_every_public_function_and_class_has_a_docstring():
    for name in crosscheck.__all__:
        assert getattr(crosscheck, name).__doc__ or isinstance(getattr(crosscheck, name), dict)
