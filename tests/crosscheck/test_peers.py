"""The referee on real packages: it finds what each of them does differently."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rprop_ref import crosscheck
from rprop_ref.crosscheck import COMPOSITIONS, check, closest_profiles, conformance_cases, profile
from rprop_ref.crosscheck._cases.dtypes import available_reals
from rprop_ref.crosscheck._comparison.divergence import first_divergence
from rprop_ref.crosscheck._comparison.observe import observe
from rprop_ref.crosscheck._stages.compositions import differences
from rprop_ref.crosscheck._stages.stages import changed

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]

EVERY = [*available_reals(), "complex64", "complex128"]

#: No eta of a case rounds to 0 or 1 in float64.
NONE_IN_FLOAT64 = {"flip found by the sign", "an eta- of 0 counts"}


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
    report = check(crosscheck.from_torch(torch.optim.Rprop, foreach=foreach), "irprop-", dtypes=EVERY)
    assert report.agrees, str(report)
    assert report.compared == ("x", "step_size", "prev", "gradient")
    assert set(report.left_out) == {"lr per coordinate", "bounds"}


def test_torch_differs_from_the_box_on_its_own_page():
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    report = check(crosscheck.from_torch(torch.optim.Rprop), "paper", dtypes=["float64", "float16"], random=20)
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

    report = check(crosscheck.from_torch(Doubled), "irprop-", dtypes=["float64"], random=10)
    assert report.verdict == "a different rule"
    assert report.diagnosis.explanations == []


@pytest.mark.referee
@pytest.mark.filterwarnings("ignore")  # those of the compiler
def test_torch_compiled_computes_16_bits_in_float32():
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    if not hasattr(torch, "compile"):
        pytest.skip("this torch does not compile")
    factory = crosscheck.from_compiled_torch()
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
    factory = crosscheck.from_optax(optax.rprop)
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
    report = check(crosscheck.from_paddle(paddle.optimizer.Rprop), "irprop-", dtypes=["float64", "float32"])
    assert names(report) == [{"flip found by the sign", "an eta- of 0 counts"}]
    assert "0.0 < learning_rate_range[0] <= learning_rate <= learning_rate_range[1]" in report.refused[0]
    assert any(name.startswith("NaN gradients") for name in report.unsteady)
    with_numbers = check(
        crosscheck.from_paddle(paddle.optimizer.Rprop),
        dtypes=["float64"],
        without=["nan", "inf", "lr outside step_sizes"],
    )
    assert with_numbers.agrees, str(with_numbers)


@pytest.mark.referee
def test_pints_starts_with_the_first_gradient_and_writes_to_it():
    pints = pytest.importorskip("pints", reason="needs the extra 'referee'")
    with np.errstate(all="ignore"):
        report = check(
            crosscheck.from_pints(pints.IRPropMin),
            dtypes=["float64"],
            without=["etas", "maximize", "lr outside step_sizes"],
        )
    assert {a.name for a in profile("pints-0.6.1").changes} - NONE_IN_FLOAT64 in names(report)
    # Without maximize, one more way of writing to the gradient cannot be told apart.
    assert len(names(report)) == 2


@pytest.mark.referee
def test_opencv_is_irprop_go_with_one_limit_per_branch():
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'referee'")
    if not hasattr(cv2, "ml"):
        pytest.skip("OpenCV 5 has no networks")
    report = check(
        crosscheck.from_opencv(), "irprop-go", dtypes=["float64"], without=["scripts", "objectives", "maximize"]
    )
    assert names(report) == [{"one limit per branch"}]
    report = check(
        crosscheck.from_opencv(), "irprop-", dtypes=["float64"], without=["scripts", "objectives", "maximize"]
    )
    assert {"moves on at a flip", "one limit per branch"} in names(report)


@pytest.mark.referee
def test_neurolab_through_the_protocol():
    from rprop_ref.crosscheck import Program

    python = os.environ.get("NEUROLAB_PYTHON")
    if not python:
        pytest.skip("NEUROLAB_PYTHON names no Python with neurolab; `make test-peers` makes one")
    client = ROOT / "examples" / "crosscheck" / "neurolab_client.py"
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


@pytest.mark.referee
def test_torchzero_is_rprop_plus_with_signs_compared():
    torchzero = pytest.importorskip("torchzero", reason="needs the extra 'referee'")
    report = check(crosscheck.from_torchzero(torchzero.m.Rprop), "rprop+", dtypes=["float32", "bfloat16"])
    # The profile says that signs are compared. Whether the sign is stored cannot be told apart.
    assert {a.name for a in profile("torchzero-0.4.4").changes} in names(report)
    assert len(names(report)) == 2
    # Its documentation says that it is torch's without backtracking.
    factory = crosscheck.from_torchzero(torchzero.m.Rprop, backtrack=False)
    report = check(factory, "irprop-", dtypes=["float32"], random=20)
    assert {
        "missing gradient is zero",
        "signs compared",
        "an eta- of 0 counts",
        "flip found by the sign",
    } in names(report)


@pytest.mark.referee
def test_pybop_calls_irprop_minus_irprop_plus():
    pytest.importorskip("pybop", reason="needs pybop; `make test-peers` makes an environment for it")
    from pybop.optimisers._irprop_plus import IRPropPlusImpl

    factory = crosscheck.from_pybop(IRPropPlusImpl)
    without = ["maximize", "lr outside step_sizes"]
    with np.errstate(all="ignore"):
        report = check(factory, "irprop-", dtypes=["float64"], without=without)
    # Without maximize, one more way of writing to the gradient cannot be told apart.
    assert len(names(report)) == 2
    assert {a.name for a in profile("pybop-26.3").changes} - NONE_IN_FLOAT64 in names(report)
    assert "Minimum step size (1.5) must be less than maximum step size (1.5)" in report.refused[0]


@pytest.mark.referee
def test_climin_ignores_the_first_step_size():
    climin = pytest.importorskip("climin", reason="needs the extra 'referee'")
    rprop_minus = crosscheck.mutant(
        "rprop-", ["NaN poisons", "memory is the caller's array", "an eta- of 0 counts"]
    )
    do_the_same(
        crosscheck.from_climin(climin.Rprop),
        lambda x0, **setting: rprop_minus(x0, **{**setting, "lr": 0.0}),
    )


@pytest.mark.referee
def test_fann_has_constants_of_its_own(tmp_path):
    source, library = ROOT / "examples" / "crosscheck" / "fann_step.c", tmp_path / "libfann_step.so"
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/doublefann.h").exists():
        pytest.skip("needs a C compiler and Debian's libfann-dev")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-ldoublefann"], check=True)
    do_the_same(crosscheck.from_fann(library), Fann)


def do_the_same(factory, other):
    """Two implementations in float64 on every case that both can run."""
    cannot = {"set", "save", "none", "lr per coordinate", "bounds"}
    compared = 0
    with np.errstate(all="ignore"):
        for case in conformance_cases(["float64"]):
            if not case.needs & cannot:
                a, b = observe(factory, case), observe(other, case)
                assert a.error is None, a.error
                assert first_divergence(b, a) is None, case
                compared += 1
    assert compared > 50


class Fann:
    """FANN's iRprop- with its constants, in scalars."""

    def __init__(self, x0, *, lr, etas, step_sizes, maximize):
        single = [float(np.float32(value)) for value in (lr, *etas, *step_sizes)]
        first, self.down, self.up, self.low, self.high = single
        self.x, self.way = x0, -1 if maximize else 1
        self.step_size, self.prev = np.full_like(x0, first), np.zeros_like(x0)

    def step(self, grad, loss=None):
        for i, value in enumerate(grad):
            g = self.way * value
            size = max(self.step_size[i], 1e-4)
            if g * self.prev[i] >= 0:
                size = min(size * self.up, self.high)
            else:  # also where the product is NaN
                size, g = max(size * self.down, self.low), 0.0
            # What has no sign counts as negative.
            self.x[i] = max(self.x[i] - size, -1500) if g > 0 else min(self.x[i] + size, 1500)
            self.step_size[i], self.prev[i] = size, g
        return self.x
