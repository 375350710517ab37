"""HIPS/autograd's own test-suite, with `stand_in/autograd.py` in place of the package.

`make test-peers-quick` downloads the tests. What fails is listed here by name and reason.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.peers

TESTS = os.environ.get("AUTOGRAD_TESTS", "")
HERE = pathlib.Path(__file__).resolve().parent

#: Gradients of functions that read one triangle of a matrix: the suite perturbs that triangle alone, and here, as in
#: torch, the gradient is that of the symmetric part.
ONE_TRIANGLE = {
    f"test_linalg.py::test_eigvalh_{end}"
    for end in ("lower", "upper", "lower_broadcasting", "upper_broadcasting", "lower_complex", "upper_complex")
}

#: No other gradient is wrong. These tests ask for something else, by the reason why they do not get it.
NOT_OFFERED = {
    "functions of scipy.stats, which convert a Tensor to an array": "test_scipy.py: chi2_pdf chi2_cdf chi2_logpdf "
    "beta_cdf beta_pdf beta_logpdf gamma_cdf gamma_pdf gamma_logpdf norm_pdf norm_cdf norm_sf norm_logpdf "
    "norm_logcdf norm_logsf norm_pdf_broadcast norm_cdf_broadcast norm_sf_broadcast norm_logpdf_broadcast "
    "norm_logcdf_broadcast norm_logsf_broadcast poisson_cdf poisson_logpmf poisson_pmf poisson_cdf_broadcast "
    "poisson_logpmf_broadcast poisson_pmf_broadcast t_pdf t_cdf t_logpdf t_logcdf t_pdf_broadcast t_cdf_broadcast "
    "t_logpdf_broadcast t_logcdf_broadcast mvn_pdf mvn_logpdf mvn_entropy mvn_sing_cov mvn_pdf_broadcast "
    "mvn_logpdf_broadcast dirichlet_pdf_x dirichlet_pdf_alpha dirichlet_logpdf_x dirichlet_logpdf_alpha",
    "likewise of scipy.signal, scipy.integrate and banded matrices": "test_scipy.py: convolve convolve_2d "
    "convolve_generalization convolve_ignore convolve_ignore_dot odeint solve_banded",
    "lists of Tensors, and numpy.r_ and c_, which NumPy does not hand on": "test_linalg.py: norm_list_of_boxes "
    "test_numpy.py: mean_list_of_boxes std_list_of_boxes var_list_of_boxes simple_append_list_2D r_basic r_double "
    "r_node_and_const r_mixed r_slicing c_ c_mixed",
    "a conversion by numpy.int64(x), which leaves the tape": "test_numpy.py: cast_to_int",
    "functions that only HIPS/autograd has": "test_numpy.py: make_diagonal diagonal test_linalg.py: pinv",
    "its internals": "test_logic.py: nograd no_vjp_def no_jvp_def test_misc.py: const_graph const_graph_args "
    "flatten flatten_empty flatten_dict flatten_nodes_in_containers flatten_complex test_vspaces.py: array_vspace "
    "array_vspace_0_dim array_vspace_complex list_vspace tuple_vspace dict_vspace mixed_vspace test_builtins.py: "
    "isinstance test_wrappers.py: deprecated_defgrad_wrapper deprecated_defvjp_wrapper "
    "deprecated_defvjp_is_zero_wrapper deprecated_quick_grad_check_wrapper wrapped_name_and_docs",
    "numpy.where of Python's numbers that returns such numbers, or takes keywords": "test_wrappers.py: custom_where "
    "custom_where_dtypes[int-True-1-2] custom_where_dtypes[float-True-3.0-4.0] "
    "custom_where_dtypes[float-False-1-2.0] custom_where_dtypes[list-True-x3-y3]",
    "longdouble, in which no gradients are computed": "test_wrappers.py: dtypes",
    "a refusal of what works here: rfftn of an odd shape, an assignment to an element": "test_fft.py: "
    "rfftn_odd_not_implemented test_graphs.py: assignment_raises_error",
}


def names(listed):
    file = ""
    for word in listed.split():
        if word.endswith(".py:"):
            file = word[:-1]
        else:
            yield f"{file}::test_{word}"


@pytest.mark.skipif(not TESTS, reason="AUTOGRAD_TESTS names no folder with the tests of HIPS/autograd 1.9.1")
def test_what_fails_is_listed_and_no_gradient_is_wrong():
    paths = [str(HERE / "stand_in"), str(HERE.parents[1])]
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rf",
            "--tb=short",
            "-c",
            os.devnull,
            "-p",
            "no:cacheprovider",
            "-W",
            "ignore",
            ".",
        ],
        cwd=TESTS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = set(re.findall(r"^FAILED (\S+)", result.stdout, re.MULTILINE))
    wrong = set(re.findall(r"^FAILED (\S+) - AssertionError: \(VJP\)", result.stdout, re.MULTILINE))
    passed = int(re.search(r"(\d+) passed", result.stdout)[1])
    assert wrong == ONE_TRIANGLE
    assert failed - wrong == {name for listed in NOT_OFFERED.values() for name in names(listed)}
    assert passed > 500
