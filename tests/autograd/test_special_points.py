"""Derivatives at zeros, poles and limits, where a formula that is right elsewhere cancels, overflows or divides by 0.

The numbers were computed by mpmath 1.3 with 60 digits, from the formulas in textbooks, at points that float32 has.
"""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sc
from leaves import leaf

from rprop_ref import autograd
from rprop_ref.autograd import _special  # noqa: F401  (adds rows to the table)
from rprop_ref.autograd._primitives import NO_VJP, PRIMITIVES

#: For each function: points and derivatives there.
DERIVATIVES = {
    sc.expit: [
        (-700.0, 9.85967654375977e-305),
        (-80.0, 1.8048513878454153e-35),
        (0.0, 0.25),
        (40.0, 4.248354255291589e-18),
    ],
    sc.logit: [(9.094947017729282e-13, 1099511627777.0), (0.5, 4.0), (0.9999990463256836, 1048577.0000009537)],
    sc.log_expit: [(-40.0, 1.0), (0.0, 0.5), (80.0, 1.8048513878454153e-35)],
    sc.erf: [
        (0.0, 1.1283791670955126),
        (9.5367431640625e-07, 1.1283791670944863),
        (3.375, 1.2751740799765088e-05),
        (9.25, 7.818680227161615e-38),
    ],
    sc.erfc: [
        (-2.0, -0.020666985354092053),
        (0.0, -1.1283791670955126),
        (5.875, -1.154807464350253e-15),
        (25.125, -7.893643465730683e-275),
    ],
    sc.erfcx: [
        (-3.0, -97237.06150316462),
        (0.0, -1.1283791670955126),
        (1.5, -0.16362291773256007),
        (3.0, -0.05437226000717287),
        (25.0, -0.0009005454634446267),
        (10000000000.0, -5.6418958354775626e-21),
    ],
    sc.ndtr: [
        (-37.125, 2.0622071989616538e-300),
        (-9.0625, 5.845809668990318e-19),
        (0.0, 0.3989422804014327),
        (5.3125, 2.9678239062112855e-07),
    ],
    sc.log_ndtr: [
        (-100000000.0, 100000000.00000001),
        (-40.5, 40.52466134256537),
        (-9.25, 9.355717266426998),
        (0.0, 0.7978845608028654),
        (2.5, 0.017637825486916735),
        (8.25, 6.627137455968752e-16),
    ],
    sc.gammaln: [
        (9.313225746154785e-10, -1073741824.5772157),
        (1.5, 0.03648997397857652),
        (2.0, 0.42278433509846713),
        (-0.9999847412109375, -65535.577175306455),
        (-2.000244140625, 4096.922077559462),
        (100.0, 4.600161852738087),
    ],
    sc.gamma: [
        (9.313225746154785e-10, -1.152921504606847e18),
        (1.0, -0.5772156649015329),
        (1.5, 0.03233839744888501),
        (-0.9999847412109375, 4294967294.5881443),
        (-2.000244140625, -8388607.063735355),
        (20.5, 1.6196219485112225e18),
    ],
    sc.rgamma: [
        (0.0, 1.0),
        (9.313225746154785e-10, 1.000000001075148),
        (-1.0, -1.0),
        (-2.0, 2.0),
        (-3.0, -6.0),
        (-0.9999847412109375, -0.9999870967847263),
        (-2.5, 1.1669802856379654),
        (-0.50390625, 0.00044578753800804486),
        (0.5, 1.107791903872871),
        (20.5, -5.541438674688793e-18),
    ],
    sc.psi: [
        (0.0009765625, 1048577.6425893921),
        (1.5, 0.9348022005446793),
        (1000000.0, 1.0000005000001667e-06),
        (-0.5, 8.934802200544679),
        (-0.9999847412109375, 4294967298.644928),
    ],
    sc.entr: [(9.094947017729282e-13, 26.725887222397812), (1.0, -1.0), (1000000.0, -14.815510557964274)],
    sc.j0: [
        (0.0, 0.0),
        (9.5367431640625e-07, -4.768371582030708e-07),
        (2.40625, -0.5188396479424237),
        (10.0, -0.04347274616886144),
    ],
    sc.j1: [
        (0.0, 0.5),
        (9.5367431640625e-07, 0.49999999999982947),
        (3.828125, -0.4031337440359732),
        (-2.0, -0.06447162473720103),
    ],
    sc.y0: [
        (9.5367431640625e-07, 667544.2144345043),
        (0.890625, 0.8823317924501143),
        (10.0, -0.24901542420695388),
    ],
    sc.y1: [(9.5367431640625e-07, 699970842185.9755), (2.1875, 0.5230625418789757), (10.0, 0.030769624862904004)],
    sc.i0: [(0.0, 0.0), (9.5367431640625e-07, 4.768371582031792e-07), (5.0, 24.335642142450528)],
    sc.i1: [(0.0, 0.5), (9.5367431640625e-07, 0.5000000000001705), (-5.0, 22.37274339511434)],
    sc.i0e: [
        (9.5367431640625e-07, -0.9999985694896623),
        (1.0, -0.257849192243932),
        (21.0, -0.0021115632089980813),
        (30.0, -0.0012296158835897392),
        (1000000.0, -1.9947121500246404e-10),
        (-1000.0, 6.310198962627116e-06),
    ],
    sc.i1e: [
        (0.0, 0.5),
        (9.5367431640625e-07, 0.49999904632653625),
        (1.0, 0.04993877689422354),
        (21.0, -0.001958798526489051),
        (30.0, -0.0011675951363651794),
        (1000000.0, -1.9947091579556673e-10),
        (-1000.0, -6.300731294301514e-06),
    ],
    sc.exp2: [(-100.5, 3.866436632034333e-31), (0.5, 0.9802581434685472)],
    sc.exp10: [(-30.25, 1.2948387525578148e-30), (0.5, 7.281413400211801)],
    sc.expm1: [
        (-70.5, 2.411232150975086e-31),
        (9.313225746154785e-10, 1.0000000009313226),
        (3.0, 20.085536923187668),
    ],
    sc.log1p: [
        (-0.9999990463256836, 1048576.0),
        (9.313225746154785e-10, 0.9999999990686774),
        (10000000000.0, 9.999999999e-11),
    ],
    sc.cbrt: [
        (9.313225746154785e-10, 349525.3333333333),
        (-8.0, 0.08333333333333333),
        (10000000000.0, 7.181448966772946e-08),
    ],
    sc.dawsn: [
        (0.0, 1.0),
        (-0.5, 0.5755636164979777),
        (-2.5, -0.1154186108371774),
        (7.125, -0.010155621758471053),
        (100.0, -5.000750187565654e-05),
        (1048576.0, -4.547473508870845e-13),
    ],
    sc.erfi: [(0.0, 1.1283791670955126), (-3.125, 19661.294534362314), (25.125, 1.6129934804666328e274)],
    sc.cosm1: [(0.0, 0.0), (9.5367431640625e-07, -9.536743164061055e-07), (2.5, -0.5984721441039565)],
    sc.exprel: [
        (0.0, 0.5),
        (9.5367431640625e-07, 0.5000003178915525),
        (-1.5, 0.1965220442795224),
        (2.5, 3.0837985505688335),
        (-100.0, 0.0001),
        (30.5, 558732630545.5438),
    ],
    sc.exp1: [
        (9.5367431640625e-07, -1048575.0000004768),
        (1.5, -0.14875344009895322),
        (300.0, -1.7160667408040047e-133),
    ],
    sc.expi: [(9.5367431640625e-07, 1048577.0000004768), (-1.5, -0.14875344009895322), (40.0, 5884631670925500.0)],
    sc.spence: [
        (9.5367431640625e-07, -13.862956831944786),
        (1.0, -1.0),
        (1.0000009536743164, -0.999999523163145),
        (1000.0, -0.006914669948931068),
    ],
    sc.loggamma: [
        (9.313225746154785e-10, -1073741824.5772157),
        (1.5, 0.03648997397857652),
        (100.0, 4.600161852738087),
    ],
    sc.k0: [(9.5367431640625e-07, -1048575.999993096), (1.5, -0.2773878004568438), (60.5, -8.610652681565438e-28)],
    sc.k1: [
        (9.5367431640625e-07, -1099511627782.7395),
        (1.5, -0.39873076295208826),
        (60.5, -8.682683005382382e-28),
    ],
    sc.ellipk: [
        (0.0, 0.39269908169872414),
        (9.5367431640625e-07, 0.39269950301954953),
        (0.5, 0.847213084793979),
        (0.9990234375, 511.1610479177772),
        (-1.0, 0.17798966494456595),
        (-1048576.0, 3.4075980871301763e-09),
    ],
    sc.ellipe: [
        (0.0, -0.39269908169872414),
        (9.5367431640625e-07, -0.3926992221389435),
        (0.5, -0.5034307962536965),
        (0.9990234375, -1.9273048869282483),
        (-1.0, -0.29953505868389807),
        (-1048576.0, -0.00048827942978507384),
    ],
    np.sinc: [
        (0.0, 0.0),
        (9.313225746154785e-10, -3.0639284604195997e-09),
        (0.0009765625, -0.003212758825337777),
        (0.015625, -0.05139180444842791),
        (0.3125, -0.932344830348063),
        (0.34375, -1.0043800668570697),
        (1.0, -1.0),
        (2.5, -0.05092958178940651),
    ],
    np.arcsinh: [(0.0, 1.0), (1e30, 9.999999999999999e-31)],
    np.arctan: [(10000000000.0, 1e-20)],
}


def derivative(fun, *args, dtype=float):
    """The derivative with respect to the first argument."""
    x = leaf(np.asarray(args[0]), dtype=dtype)
    result = fun(x, *args[1:])
    result.backward(np.ones(result.shape, result.dtype))
    return x.grad


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("fun", DERIVATIVES, ids=lambda f: f.__name__)
def test_derivatives_are_those_of_calculus(fun, dtype):
    points, expected = np.array(DERIVATIVES[fun]).T
    if dtype == np.float32:
        limits = np.finfo(dtype)
        kept = (np.abs(expected) < limits.max) & ((np.abs(expected) > limits.tiny) | (expected == 0))
        kept &= points == points.astype(dtype)
        points, expected = points[kept], expected[kept]
    np.testing.assert_allclose(derivative(fun, points, dtype=dtype), expected, rtol=32 * np.finfo(dtype).eps)


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize(
    ("fun", "point", "expected"),
    [
        (np.sqrt, 0.0, np.inf),
        (sc.y1, 0.0, np.inf),
        (sc.logit, 0.0, np.inf),
        (sc.rgamma, 200.0, 0.0),
        (sc.erfcx, np.inf, 0.0),
        (sc.i0e, 0.0, 0.0),
        (sc.i0e, np.inf, 0.0),
        (sc.erf, -np.inf, 0.0),
        (lambda x: np.hypot(x, 0.0), 0.0, 0.0),
        (lambda x: np.hypot.reduce(np.stack([0 * x, x, 2 * x])), 3.0, np.sqrt(5.0)),
        (sc.log_ndtr, np.inf, 0.0),
        (lambda x: sc.boxcox(4.0, x), 0.0, 2 * np.log(2.0) ** 2),
        (lambda x: sc.boxcox1p(3.0, x), 2.0**-40, 2 * np.log(2.0) ** 2 + 2.0**-40 * np.log(4.0) ** 3 / 3),
        (lambda x: np.real(sc.lambertw(x)), 0.0, 1.0),
        (sc.ellipk, 1.0, np.inf),
        (lambda x: sc.binom(x, 3.0), 1.0, -1 / 6),
        (lambda x: sc.binom(1.0, x), 3.0, 1 / 6),
        (lambda x: sc.boxcox(0.0, x), 2.0, 0.25),
        (lambda x: sc.stdtr(1.0, x), 1e10, 1e-20 / np.pi),
        # Older versions of SciPy have values below 0.
        (lambda x: sc.chdtrc(1.0, x), -0.5, 0.0 * sc.chdtrc(1.0, -0.5)),
        (lambda x: sc.rel_entr(1.0, x), 0.5, -2.0),
        (lambda x: sc.rel_entr(0.0, x), 0.0, 0.0),
        (lambda x: sc.kl_div(0.0, x), 0.0, 1.0),
        (lambda x: sc.kl_div(x, 3.0), 3.0 + 3 * 2**-40, 2**-40 - 2**-81),
        (lambda x: sc.pseudo_huber(x, 2.0), 0.0, 2.0),
        (lambda x: sc.pseudo_huber(x, 0.0), 2.0, 0.0),
        (lambda x: sc.pseudo_huber(x, 2.0**-20), 1.0, 2.0**-82),
        (lambda x: sc.pseudo_huber(2.0, x), 1e200, 2.0),
    ],
)
def test_derivatives_at_ends_and_corners(fun, point, expected):
    np.testing.assert_allclose(derivative(fun, point), expected, rtol=1e-11)


def test_second_derivatives_near_the_poles_of_gamma():
    for n, expected in ((0.0, 1.1544313298030658), (-1.0, 0.8455686701969342)):
        x = leaf(n)
        (first,) = autograd.grad(sc.rgamma(x), x, create_graph=True)
        np.testing.assert_allclose(autograd.grad(first, x)[0], expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("dtype", "size"), [("f4", 1e-25), ("f4", 1e25), ("f8", 1e-165), ("f8", 1e165), ("f8", 1e-300), ("f8", 1e300)]
)
def test_angles_of_tiny_and_huge_numbers(dtype, size):
    scale = np.dtype(dtype).type(size)
    rtol = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(derivative(np.arctan2, 3 * scale, 4 * scale, dtype=dtype) * scale, 4 / 25, rtol)
    np.testing.assert_allclose(
        derivative(lambda x: np.arctan2(3 * scale, x), 4 * scale, dtype=dtype) * scale, -3 / 25, rtol
    )
    complex_dtype = np.result_type(scale, 1j)
    z = derivative(np.angle, np.asarray((4 + 3j) * scale, complex_dtype), dtype=complex_dtype)
    np.testing.assert_allclose(z * scale, (-3 + 4j) / 25, rtol)


@pytest.mark.parametrize("point", [1.9 + 0j, complex(1.9, -0.0), -1.9 + 0j, complex(-1.9, -0.0), 0.5 + 0j])
@pytest.mark.parametrize("fun", [np.arcsin, np.arccos, np.arccosh, np.sqrt, np.log])
def test_complex_derivatives_beside_a_cut(fun, point):
    """They are those of the side that the sign of zero says, on which the value lies, too."""
    h = 1e-6
    z = [complex(point.real + d, point.imag) for d in (h, -h)]
    expected = (fun(np.complex128(z[0])) - fun(np.complex128(z[1]))) / (2 * h)
    np.testing.assert_allclose(np.conj(derivative(fun, point, dtype=complex)), expected, rtol=1e-8)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_determinant_of_an_infinite_matrix():
    """LAPACK may never return from its singular values."""
    a = np.array([[2.0, np.inf, 2.0], [np.inf, -1.0, 0.0], [1.0, -np.inf, 0.0]])
    assert np.isnan(derivative(np.linalg.det, a)).all()


def test_angles_at_the_origin():
    assert derivative(np.arctan2, 0.0, 0.0) == 0.0
    assert derivative(np.angle, 0j, dtype=complex) == 0.0


# ---- complex numbers


@pytest.mark.parametrize(
    "fun",
    [
        *(sc.erf, sc.erfc, sc.erfcx, sc.ndtr, sc.log_ndtr, sc.gamma, sc.rgamma, sc.expm1, sc.log1p, np.sinc),
        *(lambda z: sc.jv(1.5, z), lambda z: sc.iv(0.5, z), lambda z: sc.xlogy(z, 2 - z)),
        *(lambda z: sc.xlog1py(z, z / 2), lambda z: sc.xlogy(np.real(z), z)),
    ],
)
def test_complex_gradients_have_torchs_convention(fun):
    z = np.array([0.4 + 0.3j, 1.2 - 0.7j, -0.3 + 0.2j])
    assert autograd.gradcheck(fun, z, second_order=fun not in (sc.gamma, sc.rgamma))


def test_psi_of_complex_numbers_is_refused():
    z = leaf(0.4 + 0.3j, dtype=complex)
    with pytest.raises(
        TypeError, match=r"scipy.special.psi has no rule .* complex .*register_vjp\(scipy.special.psi"
    ):
        np.real(sc.psi(z)).backward()


def test_softmax_of_complex_numbers_is_refused():
    for values in (np.array([1j, 2.0]), leaf(1j, 2.0, dtype=complex)):
        with pytest.raises(TypeError, match="softmax is a function of real numbers, but got .* complex128"):
            autograd.softmax(values)
    assert autograd.gradcheck(lambda z: np.real(autograd.logsumexp(z)), np.array([0.4 + 0.3j, 1.2 - 0.7j]))


# ---- linear algebra and transforms


@pytest.mark.parametrize("call", [np.linalg.eigvalsh, lambda a: np.linalg.eigh(a)[0]])
@pytest.mark.parametrize("dtype", [float, complex])
def test_eigenvalues_that_coincide(call, dtype):
    """The gradient of a sum of functions of the eigenvalues, V diag(g) V^H, does not depend on the choice of V."""
    basis = np.linalg.qr(np.random.default_rng(3).standard_normal((4, 4)))[0].astype(dtype)
    if dtype is complex:
        basis = basis * np.exp(1j * np.arange(4))[:, None]
    for a in (np.eye(4, dtype=dtype), basis @ np.diag([2.0, 2.0, 2.0, 5.0]) @ basis.conj().T):
        x = leaf((a + a.conj().T) / 2, dtype=dtype)
        np.sum(call(x) ** 3).backward()
        np.testing.assert_allclose(x.grad, 3 * x.data @ x.data, rtol=1e-12, atol=1e-12)


def test_eigenvectors_that_are_not_unique_have_no_gradient():
    x = leaf(np.eye(2))
    with np.errstate(divide="ignore", invalid="ignore"):
        np.linalg.eigh(x).eigenvectors[0, 1].backward()
    assert not np.isfinite(x.grad).any()


@pytest.mark.filterwarnings("ignore:`axes` should not be")
@pytest.mark.parametrize("fun", [np.fft.fftn, np.fft.ifftn, np.fft.fft2])
@pytest.mark.parametrize(
    "arguments",
    [{"s": (2,), "axes": None}, {"s": (4, 3)}, {"s": (2,), "axes": (0,)}, {"axes": (0, 0)}, {"axes": (1,)}],
)
def test_transforms_of_some_axes(fun, arguments):
    x = np.random.default_rng(4).standard_normal((3, 3)) + 1j
    assert autograd.gradcheck(lambda x: fun(x, **arguments), x, second_order=False)


# ---- operands of other dtypes


INTEGER_ORDERS = {np.ldexp, sc.yn, sc.kn, sc.expn}


def ufuncs_of_two():
    """The ufuncs of two arguments that have a derivative, each by either argument."""
    for ufunc in PRIMITIVES:
        if isinstance(ufunc, np.ufunc) and ufunc.nin == 2 and ufunc not in INTEGER_ORDERS:
            for i, vjp in enumerate(PRIMITIVES[ufunc].vjps):
                if vjp not in (None, NO_VJP):
                    call = (lambda x, c, f=ufunc: f(x, c)) if i == 0 else (lambda x, c, f=ufunc: f(c, x))
                    yield pytest.param(call, id=f"{ufunc.__name__} {i}")


@pytest.mark.parametrize(
    "fun",
    [*ufuncs_of_two(), lambda x, c: np.average(x, weights=c), lambda x, c: np.average(c, weights=x)],
)
def test_constants_of_less_precision_are_widened_before_they_are_added_to(fun):
    x, c = np.array([0.80313396, 0.19230894, 0.67028817]), np.array([0.7285, 0.6416, 0.7075], np.float16)
    narrow = derivative(lambda x: fun(x, c), x)
    np.testing.assert_allclose(narrow, derivative(lambda x: fun(x, c.astype(float)), x), rtol=1e-14)


def test_a_real_base_with_a_complex_power():
    assert autograd.gradcheck(np.power, [np.array([-1.5, 2.0]), np.array([0.3 + 1j, 1.2 - 0.5j])])
    assert autograd.gradcheck(lambda x: sc.xlogy(x, np.array([-1.5, 2.0])), np.array([0.3 + 1j, 1.2 - 0.5j]))


def test_a_loss_that_depends_on_the_phases_of_eigenvectors_is_refused():
    a = leaf(np.array([[2.0, 1j], [-1j, 3.0]]), dtype=complex)
    with pytest.raises(RuntimeError, match=r"specified up to multiplication by e\^\{i phi\}"):
        np.sum(np.linalg.eigh(a).eigenvectors * (1 + 0.3j)).imag.backward()


def test_the_complex_derivative_of_arcsinh_beside_its_cut():
    for point, expected in ((2j, -1j / np.sqrt(3)), (complex(0, -2), 1j / np.sqrt(3))):
        np.testing.assert_allclose(np.conj(derivative(np.arcsinh, point, dtype=complex)), expected, rtol=1e-14)


def test_rgamma_in_half_precision_near_an_extremum():
    """Its derivative there is the difference of two numbers that half precision cannot tell apart."""
    np.testing.assert_allclose(derivative(sc.rgamma, -0.50390625, dtype="f2"), 0.000445787538, rtol=1e-3)
