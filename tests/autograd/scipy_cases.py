"""Calls of the functions of SciPy that have rules, for the tests of gradients; `gradient_cases` says what a case is."""

from __future__ import annotations

import numpy as np
import scipy.sparse
import scipy.special as sc
from domains import cplx, inside, positive, real, share, spd

from rprop_ref.autograd import _linalg, _special, linalg, special

UNARY = {
    **dict.fromkeys(
        [sc.expit, sc.log_expit, sc.erf, sc.erfc, sc.erfcx, sc.ndtr, sc.log_ndtr, sc.j0, sc.i0, sc.i0e, sc.exp2]
        + [sc.exp10, sc.expm1, sc.j1, sc.i1, sc.i1e, sc.cosm1, sc.exprel, sc.sindg, sc.cosdg, sc.tandg, sc.erfi]
        + [sc.dawsn, sc.gammasgn],
        real,
    ),
    **dict.fromkeys(
        [sc.gammaln, sc.gamma, sc.rgamma, sc.psi, sc.entr, sc.y0, sc.y1, sc.log1p, sc.cbrt, sc.loggamma, sc.exp1]
        + [sc.expi, sc.spence, sc.k0, sc.k1, sc.k0e, sc.k1e],
        positive,
    ),
    **dict.fromkeys([sc.logit, sc.ndtri, sc.ellipk, sc.ellipe], share),
    sc.erfinv: inside,
    sc.erfcinv: lambda *s: real(*s, low=0.2, high=1.8),
}
#: Those that take complex numbers, too. (So do gamma and loggamma, but SciPy has no polygamma of complex numbers.)
COMPLEX = [
    *(sc.erf, sc.erfc, sc.erfcx, sc.erfi, sc.dawsn, sc.wofz, sc.ndtr, sc.expm1, sc.log1p, sc.exp1, sc.expi),
    sc.spence,
]
BINARY = {
    **dict.fromkeys([sc.xlogy, sc.xlog1py], (real, positive)),
    **dict.fromkeys([sc.rel_entr, sc.kl_div, sc.betaln, sc.beta], (positive, positive)),
    **dict.fromkeys([sc.huber, sc.pseudo_huber], (positive, real)),
    **dict.fromkeys([sc.boxcox, sc.boxcox1p], (positive, real)),
    sc.binom: (lambda *s: real(*s, low=3, high=6), positive),
}
#: The first arguments, without gradients, and the last one.
LAST = {
    sc.gammainc: ([1.7], positive),
    sc.gammaincc: ([1.7], positive),
    sc.gammaincinv: ([1.7], share),
    sc.gammainccinv: ([1.7], share),
    sc.chdtr: ([3.0], positive),
    sc.chdtrc: ([3.0], positive),
    sc.pdtr: ([2.0], positive),
    sc.pdtrc: ([2.0], positive),
    sc.stdtr: ([3.0], real),
    sc.stdtrit: ([3.0], share),
    sc.betainc: ([1.5, 2.5], share),
    sc.betaincinv: ([1.5, 2.5], share),
    sc.expn: ([2], positive),
    sc.hyp1f1: ([0.5, 1.5], real),
    sc.hyp2f1: ([0.5, 1.5, 2.5], inside),
    sc.hyp0f1: ([1.5], real),
    sc.hyperu: ([0.5, 1.5], positive),
    **{fun: ([1.5], positive) for fun in (sc.jv, sc.iv, sc.yv, sc.kv, sc.ive, sc.jve, sc.yve, sc.kve)},
    sc.yn: ([2], positive),
    sc.kn: ([2], positive),
}
if hasattr(sc, "betaincc"):
    LAST[sc.betaincc] = ([1.5, 2.5], share)


def special_cases():
    for fun, domain in UNARY.items():
        yield fun, "3x2", fun, [domain(3, 2)]
    for fun in COMPLEX:
        yield fun, "complex", fun, [positive(3) + 1j * real(3)]
    for fun, (first, second) in BINARY.items():
        yield fun, "same shape", fun, [first(3, 2), second(3, 2)]
        yield fun, "rows", fun, [first(3, 2), second(2)]
    for fun, (given, domain) in LAST.items():
        yield fun, "the last argument", lambda x, fun=fun, given=given: fun(*given, x), [domain(3)]
    for fun in (sc.jv, sc.iv, sc.yv, sc.kv, sc.ive, sc.jve, sc.yve, sc.kve):
        yield fun, "complex", lambda z, fun=fun: fun(1.5, z), [positive(3) + 1j * real(3)]
    for fun, order in ((sc.hyp2f1, [0.5, 1.5, 2.5]), (sc.hyp0f1, [1.5])):
        yield fun, "complex", lambda z, fun=fun, order=order: fun(*order, z), [inside(3) + 0.3j * inside(3)]
    yield sc.expn, "order 0", lambda x: sc.expn(0, x), [positive(3)]
    yield sc.inv_boxcox, "number", lambda x: sc.inv_boxcox(x, 0.5), [real(3)]
    yield sc.inv_boxcox1p, "number", lambda x: sc.inv_boxcox1p(x, 0.5), [real(3)]
    yield sc._ufuncs._lambertw, "principal branch", lambda x: sc.lambertw(x), [positive(3)]
    yield sc._ufuncs._lambertw, "another branch", lambda z: sc.lambertw(z, 1), [cplx(3)]
    yield sc._ufuncs._zeta, "Hurwitz", lambda q: sc.zeta(2.5, q), [positive(3)]
    yield _special.erfcx_slope, "real", sc.erfcx, [real(3)]
    yield _special.i1e_minus_i0e, "real", sc.i0e, [real(3)]
    yield _special.exponential_moment, "boxcox", lambda x: sc.boxcox(3.0, x), [4 * real(5)]
    yield _special.ellipk_slope, "real", sc.ellipk, [share(3) - 1]
    yield _special.ellipe_slope, "real", sc.ellipe, [share(3) - 1]
    yield _special.dawson_slope, "real", sc.dawsn, [real(3)]
    yield _special.polygamma, "order", lambda x: special.polygamma(1, x), [positive(3)]
    # Written with functions that have rules.
    yield sc.gammaln, "multigammaln", lambda x: special.multigammaln(x, 3), [positive(3) + 2]
    yield sc.binom, "comb", special.comb, [positive(3) + 4, positive(3)]
    yield np.log, "logsumexp with factors", lambda x, b: special.logsumexp(x, 1, b), [real(2, 3), positive(3)]
    yield np.exp, "log_softmax", lambda x: special.log_softmax(x, axis=1), [real(2, 3)]


def matrix_cases():
    for name, field in (("real", real), ("complex", cplx)):
        a, b = field(3, 3) + 3 * np.eye(3), field(3, 2)
        for trans in "NTC":
            for lower in (False, True):
                yield (
                    linalg._solve_triangular,
                    f"{name} {trans} {lower}",
                    lambda a, b, trans=trans, lower=lower: linalg.solve_triangular(a, b, trans, lower),
                    [a, b],
                )
        yield (
            linalg._solve_triangular,
            f"{name} unit",
            lambda a, b: linalg.solve_triangular(a, b, 0, True, True),
            [a, b[:, 0]],
        )
        for lower in (False, True):
            yield (
                np.linalg.cholesky,
                f"{name} cho_solve {lower}",
                lambda a, b, lower=lower: linalg.cho_solve(
                    linalg.cho_factor(a @ np.conj(a.T) + np.eye(3), lower), b
                ),
                [a, b[:, 0]],
            )
        yield linalg._expm, name, linalg.expm, [field(2, 2)]
        yield linalg._expm, f"a stack, {name}", linalg.expm, [field(2, 2, 2)]
        yield linalg._sqrtm, name, linalg.sqrtm, [spd(3, field(1).dtype.type)]
        yield linalg._solve_sylvester, name, linalg.solve_sylvester, [a, a.T + 1, field(3, 3)]
        for make in (scipy.sparse.csr_array, scipy.sparse.csc_matrix):
            fixed = make(field(3, 3))
            for shape in ((3,), (3, 3)):
                yield (
                    _linalg.sparse_times_dense,
                    f"{name} {make.__name__} {shape}",
                    lambda x, fixed=fixed: fixed @ x + fixed.dot(x),
                    [field(*shape)],
                )
                yield (
                    _linalg.dense_times_sparse,
                    f"{name} {make.__name__} {shape}",
                    lambda x, fixed=fixed: x @ fixed,
                    [field(*shape)],
                )
    yield np.linalg.solve, "scipy's", linalg.solve, [spd(3), real(3)]
    yield np.pad, "block_diag", lambda x, y: linalg.block_diag(x, y, 2.0), [real(2, 3), real(2)]


ALL = [*special_cases(), *matrix_cases()]
