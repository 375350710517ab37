"""The referee on real packages: it finds what each of them does differently."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import rprop_ref
from rprop_ref.crosscheck import COMPOSITIONS, adapters, check, closest_profiles, profile
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._stages.compositions import differences
from rprop_ref.crosscheck._stages.stages import changed

pytestmark = pytest.mark.peers

EVERY = [*available_reals(), "complex64", "complex128"]


def names(report):
    assert report.diagnosis is not None, str(report)
    assert report.diagnosis.complete, str(report)
    return [set(e.names) for e in report.diagnosis.explanations]


def behaves_as(name, report):
    """The deviations in which the explanations differ from the profile; none if they are the same."""
    published = profile(name)
    claim = COMPOSITIONS[report.claim]
    return {
        a.name
        for e in report.diagnosis.explanations
        for a in differences(published.composition, changed(claim, e.changes))
    }


# --- torch ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("foreach", [False, True])
def test_torch_agrees_in_every_dtype_and_flag(foreach):
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    report = check(adapters.from_torch(torch.optim.Rprop, foreach=foreach), "irprop-", dtypes=EVERY)
    assert report.agrees, str(report)
    assert report.compared == ("x", "step_size", "prev", "gradient")
    assert set(report.left_out) == {"lr per coordinate", "bounds"}


def test_torch_differs_from_the_box_on_its_own_page():
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    report = check(adapters.from_torch(torch.optim.Rprop), "paper")
    assert names(report) == [
        {
            "product in the dtype",  # it may underflow
            "flip found by the factor",  # an eta- that rounds to 1 is a flip on every neutral step
            "NaN has no sign",
            "clamped always",  # lr outside step_sizes
        }
    ]


def test_from_torch_takes_any_class_with_the_interface_of_torch():
    """`from_torch` takes whatever has torch's interface and torch's parameters."""
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")

    class Doubled(torch.optim.Rprop):
        def step(self, closure=None):
            super().step()
            super().step()

    report = check(adapters.from_torch(Doubled), "irprop-", dtypes=["float64"], random=10)
    assert report.verdict == "a different rule"
    assert report.diagnosis.explanations == []


@pytest.mark.referee
@pytest.mark.filterwarnings("ignore")  # those of the compiler
def test_torch_compiled_computes_16_bits_in_float32():
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    if not hasattr(torch, "compile"):
        pytest.skip("this torch does not compile")
    factory = adapters.from_compiled_torch()
    without = ["etas", "step_sizes", "lr outside step_sizes", "maximize"]
    report = check(factory, "irprop-", dtypes=["float64", "float32"], without=without)
    assert report.agrees, str(report)
    report = check(factory, "irprop-", dtypes=["float32", "float16"], without=without)
    assert {"16 bits computed in float32, constants rounded"} in names(report)


# --- the others -----------------------------------------------------------------------------------------------


@pytest.mark.referee
def test_optax_is_one_step_late():
    jax = pytest.importorskip("jax", reason="needs the extra 'referee'")
    optax = pytest.importorskip("optax", reason="needs the extra 'referee'")
    jax.config.update("jax_enable_x64", True)
    factory = adapters.from_optax(optax.rprop)
    report = check(factory)
    everywhere = {
        "one step late",
        "stores the move",
        "not clamped when neutral",
        "a NaN product shrinks",
        "NaN poisons",
        "flip found by the sign",
        "an eta- of 0 counts",
        "subnormals flushed",
    }
    # XLA rounds the etas to float16 in one step where the processor can (AVX512-FP16), and otherwise in two.
    directly, by_way_of_single = {"float16 constants rounded once"}, {"float16 lr rounded once"}
    (explained,) = names(report)
    assert explained in (everywhere | directly, everywhere | by_way_of_single)
    assert behaves_as("optax-0.2.8", report) == directly & explained
    assert closest_profiles(factory, dtypes=["float32"])[0][0] == "optax-0.2.8"


@pytest.mark.referee
def test_paddle_reads_uninitialised_memory_where_the_product_is_nan():
    paddle = pytest.importorskip("paddle", reason="needs the extra 'referee'")
    report = check(adapters.from_paddle(paddle.optimizer.Rprop), "irprop-", dtypes=["float64", "float32"])
    assert names(report) == [{"flip found by the sign", "an eta- of 0 counts"}]
    assert "0.0 < learning_rate_range[0] <= learning_rate <= learning_rate_range[1]" in report.refused[0]
    assert any(name.startswith("NaN gradients") for name in report.unsteady)
    with_numbers = check(
        adapters.from_paddle(paddle.optimizer.Rprop),
        dtypes=["float64"],
        without=["nan", "inf", "lr outside step_sizes"],
    )
    assert with_numbers.agrees, str(with_numbers)


@pytest.mark.referee
def test_pints_starts_with_the_first_gradient_and_writes_to_it():
    pints = pytest.importorskip("pints", reason="needs the extra 'referee'")
    with np.errstate(all="ignore"):
        report = check(
            adapters.from_pints(pints.IRPropMin),
            dtypes=["float64"],
            without=["etas", "maximize", "lr outside step_sizes"],
        )
    assert {
        "memory starts as the first gradient",
        "memory is the caller's array",
        "writes zeros into the gradient",
        "NaN poisons",
    } in names(report)
    # Without maximize, one more way of writing to the gradient cannot be told apart.
    assert len(names(report)) == 2


@pytest.mark.referee
def test_opencv_is_irprop_go_with_one_limit_per_branch():
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'referee'")
    if not hasattr(cv2, "ml"):
        pytest.skip("OpenCV 5 has no networks")
    report = check(
        adapters.from_opencv(), "irprop-go", dtypes=["float64"], without=["scripts", "objectives", "maximize"]
    )
    assert names(report) == [{"one limit per branch"}]
    report = check(
        adapters.from_opencv(), "irprop-", dtypes=["float64"], without=["scripts", "objectives", "maximize"]
    )
    assert {"moves on at a flip", "one limit per branch"} in names(report)


@pytest.mark.referee
def test_neurolab_through_the_protocol():
    from rprop_ref.crosscheck import Program

    python = os.environ.get("NEUROLAB_PYTHON")
    if not python:
        pytest.skip("NEUROLAB_PYTHON names no Python with neurolab; `make test-peers` makes one")
    client = Path(rprop_ref.__file__).parent.parent / "examples" / "crosscheck" / "neurolab_client.py"
    with Program([python, str(client)]) as program:
        report = check(program, "rprop-", dtypes=program.dtypes, without=program.lacks)
    assert names(report) == [{"lower limit wins", "NaN poisons"}]
    with Program([python, str(client), "M"]) as program:
        report = check(program, "rprop+", dtypes=program.dtypes, without=[*program.lacks, "prev"])
    assert {
        "goes back and forth again",
        "memory negated at a flip",
        "lower limit wins",
        "NaN poisons",
    } in names(report)
