"""Ten nonlinear-regression problems with certified solutions.

The problems are from the Statistical Reference Datasets (StRD) of the NIST Information Technology
Laboratory (NIST/ITL), section "nonlinear regression". NIST certifies, for each dataset, the
least-squares parameters and the residual sum of squares to 11 significant digits, which makes the
problems an independent test of an optimizer. Data, starting points and certified values are the digits
NIST prints. Each problem names its dataset's own reference in `Problem.source`.

In the docstrings m is the number of observations and n the number of parameters.
"""

import dataclasses
import math
import os
import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Model = Callable[[Array, Array], tuple[Array, Array]]

# NIST prints its certified values to 11 significant digits, so agreement beyond that means nothing.
CERTIFIED_DIGITS = 11.0


# eq=False: comparing array fields gives arrays instead of one truth value, so two problems are equal
# only if they are the same object.
@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """One least-squares problem of the NIST/ITL StRD nonlinear-regression collection.

    All arrays are float64 and read-only.

    Attributes
    ----------
    name : str
        NIST's name of the dataset.
    difficulty : str
        NIST's rating: "lower", "average" or "higher".
    formula : str
        The predicted response as a function of x and b1, b2, ...
    source : str
        Author, year and title of the dataset's reference, as NIST gives them.
    x, y : ndarray, shape (m,)
        Predictor and response.
    starts : ndarray, shape (2, n)
        NIST's two starting points; the second is the closer one to the solution.
    certified : ndarray, shape (n,)
        Certified parameters.
    rss : float
        Certified residual sum of squares.
    model : callable
        ``model(b, x)``, b of shape (n,) and x of shape (m,), returns the predicted response, shape
        (m,), and its derivative with respect to b, shape (m, n). It lets floating-point warnings
        through; `objective` does not.
    """

    name: str
    difficulty: str
    formula: str
    source: str
    x: Array
    y: Array
    starts: Array
    certified: Array
    rss: float
    model: Model

    def objective(self, b: npt.ArrayLike) -> tuple[float, Array]:
        """Return the sum of squared residuals and its gradient.

        Parameters
        ----------
        b : array_like, shape (n,)
            Parameters.

        Returns
        -------
        f : float
            Sum of (yhat - y)**2.
        g : ndarray, shape (n,)
            Gradient of f: 2 * J^T (yhat - y).
        """
        # Far from the solution an exponential may overflow. An optimizer must cope with the resulting inf
        # or nan; a warning would only repeat it.
        with np.errstate(all="ignore"):
            yhat, jac = self.model(np.asarray(b, dtype=np.float64), self.x)
            r = yhat - self.y
            # np.sum, not a matrix product: BLAS orders its additions, and so rounds the last bits, by the
            # number of its threads.
            f = float(np.sum(r * r))
            g: Array = 2.0 * np.sum(jac * r[:, np.newaxis], axis=0)
        return f, g


def correct_digits(b: npt.ArrayLike, certified: npt.ArrayLike) -> float:
    """Return NIST's log relative error of the worst parameter: its number of correct digits.

    Parameters
    ----------
    b : array_like, shape (n,)
        Parameters found.
    certified : array_like, shape (n,)
        Certified parameters, none of them zero.

    Returns
    -------
    float
        Smallest -log10(|b - c| / |c|) of all parameters, clamped to 0 and 11; 0 if any b is not finite.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    fitted = np.asarray(b, dtype=np.float64)
    exact = np.asarray(certified, dtype=np.float64)
    if fitted.shape != exact.shape:
        raise ValueError(f"b has shape {fitted.shape}, certified has shape {exact.shape}")
    if not np.all(np.isfinite(fitted)):
        return 0.0
    # If a huge b overflows here, inf counts as no correct digit, as it should.
    with np.errstate(over="ignore"):
        error = float(np.max(np.abs(fitted - exact) / np.abs(exact)))
    if error == 0.0:
        return CERTIFIED_DIGITS
    return min(CERTIFIED_DIGITS, max(0.0, -math.log10(error)))


@dataclasses.dataclass(frozen=True, eq=False)
class File:
    """The contents of one of NIST's .dat files. All arrays are float64 and read-only.

    Attributes
    ----------
    name : str
        NIST's name of the dataset.
    x, y : ndarray, shapes (m, k) and (m,)
        Predictors and response.
    starts : ndarray, shape (2, n)
        NIST's two starting points; the second is the closer one to the solution.
    certified : ndarray, shape (n,)
        Certified parameters.
    rss : float
        Certified residual sum of squares.
    """

    name: str
    x: Array
    y: Array
    starts: Array
    certified: Array
    rss: float


def read(path: str | os.PathLike[str]) -> File:
    """Read one of the .dat files of the NIST/ITL StRD nonlinear-regression collection.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    File

    Raises
    ------
    ValueError
        If it is not such a file.
    OSError
        If it cannot be read.
    """
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    text = "\n".join(lines)
    name = re.search(r"^Dataset Name: +(\w+)", text, re.MULTILINE)
    # The header gives the lines of the data, counted from 1.
    span = re.search(r"^ +Data +\(lines +(\d+) to +(\d+)\)", text, re.MULTILINE)
    rss = re.search(r"^Residual Sum of Squares: +(\S+)", text, re.MULTILINE)
    # "b1 = start1 start2 certified deviation"
    parameters = re.findall(r"^ +b\d+ = +(\S+) +(\S+) +(\S+) +\S+ *$", text, re.MULTILINE)
    if name is None or span is None or rss is None or not parameters:
        raise ValueError(f"{path} is not a file of NIST's nonlinear regression datasets")
    data = np.array([line.split() for line in lines[int(span[1]) - 1 : int(span[2])]], dtype=np.float64)
    table = np.array(parameters, dtype=np.float64)
    return File(
        name=name[1],
        x=_read_only(data[:, 1:]),
        y=_read_only(data[:, 0]),
        starts=_read_only(table[:, :2].T),
        certified=_read_only(table[:, 2]),
        rss=float(rss[1]),
    )


def _read_only(values: npt.ArrayLike) -> Array:
    """Return a contiguous, read-only float64 copy of values, shape unchanged."""
    a = np.array(values, dtype=np.float64, order="C")
    a.setflags(write=False)
    return a


def _problem(
    name: str,
    *,
    difficulty: str,
    formula: str,
    source: str,
    data: Sequence[tuple[float, float]],
    starts: Sequence[Sequence[float]],
    certified: Sequence[float],
    rss: float,
    model: Model,
) -> Problem:
    """Build a Problem; data holds the m rows (y, x) in the column order of NIST's files."""
    return Problem(
        name=name,
        difficulty=difficulty,
        formula=formula,
        source=source,
        x=_read_only([x for _, x in data]),
        y=_read_only([y for y, _ in data]),
        starts=_read_only(starts),
        certified=_read_only(certified),
        rss=rss,
        model=model,
    )


# The models use only operations that also accept a complex b. So a complex step, which has no
# cancellation, can check the derivatives to nearly full precision.


# ---- Misra1a ---------------------------------------------------------------------------------------------


def _misra1a(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the Misra1a response (m,) and its derivative (m, 2)."""
    b1, b2 = b
    e = np.exp(-b2 * x)
    yhat = b1 * (1.0 - e)
    return yhat, np.column_stack((1.0 - e, b1 * x * e))


_MISRA1A = _problem(
    "Misra1a",
    difficulty="lower",
    formula="b1*(1 - exp(-b2*x))",
    source="Misra, D., NIST (1978). Dental Research Monomolecular Adsorption Study.",
    data=(
        # y, x
        (10.07, 77.6),
        (14.73, 114.9),
        (17.94, 141.1),
        (23.93, 190.8),
        (29.61, 239.9),
        (35.18, 289.0),
        (40.02, 332.8),
        (44.82, 378.4),
        (50.76, 434.8),
        (55.05, 477.3),
        (61.01, 536.8),
        (66.40, 593.1),
        (75.47, 689.1),
        (81.78, 760.0),
    ),
    starts=((500, 0.0001), (250, 0.0005)),
    certified=(2.3894212918e02, 5.5015643181e-04),
    rss=1.2455138894e-01,
    model=_misra1a,
)


# ---- Chwirut2 --------------------------------------------------------------------------------------------


def _chwirut2(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the Chwirut2 response (m,) and its derivative (m, 3)."""
    b1, b2, b3 = b
    d = b2 + b3 * x
    yhat = np.exp(-b1 * x) / d
    return yhat, np.column_stack((-x * yhat, -yhat / d, -x * yhat / d))


_CHWIRUT2 = _problem(
    "Chwirut2",
    difficulty="lower",
    formula="exp(-b1*x) / (b2 + b3*x)",
    source="Chwirut, D., NIST (197?). Ultrasonic Reference Block Study.",
    data=(
        # y, x
        (92.9000, 0.500),
        (57.1000, 1.000),
        (31.0500, 1.750),
        (11.5875, 3.750),
        (8.0250, 5.750),
        (63.6000, 0.875),
        (21.4000, 2.250),
        (14.2500, 3.250),
        (8.4750, 5.250),
        (63.8000, 0.750),
        (26.8000, 1.750),
        (16.4625, 2.750),
        (7.1250, 4.750),
        (67.3000, 0.625),
        (41.0000, 1.250),
        (21.1500, 2.250),
        (8.1750, 4.250),
        (81.5000, 0.500),
        (13.1200, 3.000),
        (59.9000, 0.750),
        (14.6200, 3.000),
        (32.9000, 1.500),
        (5.4400, 6.000),
        (12.5600, 3.000),
        (5.4400, 6.000),
        (32.0000, 1.500),
        (13.9500, 3.000),
        (75.8000, 0.500),
        (20.0000, 2.000),
        (10.4200, 4.000),
        (59.5000, 0.750),
        (21.6700, 2.000),
        (8.5500, 5.000),
        (62.0000, 0.750),
        (20.2000, 2.250),
        (7.7600, 3.750),
        (3.7500, 5.750),
        (11.8100, 3.000),
        (54.7000, 0.750),
        (23.7000, 2.500),
        (11.5500, 4.000),
        (61.3000, 0.750),
        (17.7000, 2.500),
        (8.7400, 4.000),
        (59.2000, 0.750),
        (16.3000, 2.500),
        (8.6200, 4.000),
        (81.0000, 0.500),
        (4.8700, 6.000),
        (14.6200, 3.000),
        (81.7000, 0.500),
        (17.1700, 2.750),
        (81.3000, 0.500),
        (28.9000, 1.750),
    ),
    starts=((0.1, 0.01, 0.02), (0.15, 0.008, 0.010)),
    certified=(1.6657666537e-01, 5.1653291286e-03, 1.2150007096e-02),
    rss=5.1304802941e02,
    model=_chwirut2,
)


# ---- DanWood ---------------------------------------------------------------------------------------------


def _danwood(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the DanWood response (m,) and its derivative (m, 2)."""
    b1, b2 = b
    power = x**b2
    yhat = b1 * power
    return yhat, np.column_stack((power, yhat * np.log(x)))


_DANWOOD = _problem(
    "DanWood",
    difficulty="lower",
    formula="b1 * x**b2",
    source="Daniel, C. and F. S. Wood (1980). Fitting Equations to Data, Second Edition.",
    data=(
        # y, x
        (2.138, 1.309),
        (3.421, 1.471),
        (3.597, 1.490),
        (4.340, 1.565),
        (4.882, 1.611),
        (5.660, 1.680),
    ),
    starts=((1, 5), (0.7, 4)),
    certified=(7.6886226176e-01, 3.8604055871e00),
    rss=4.3173084083e-03,
    model=_danwood,
)


# ---- BoxBOD ----------------------------------------------------------------------------------------------


def _boxbod(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the BoxBOD response (m,) and its derivative (m, 2)."""
    b1, b2 = b
    e = np.exp(-b2 * x)
    yhat = b1 * (1.0 - e)
    return yhat, np.column_stack((1.0 - e, b1 * x * e))


_BOXBOD = _problem(
    "BoxBOD",
    difficulty="higher",
    formula="b1*(1 - exp(-b2*x))",
    source="Box, G. P., W. G. Hunter, and J. S. Hunter (1978). Statistics for Experimenters.",
    data=(
        # y, x
        (109, 1),
        (149, 2),
        (149, 3),
        (191, 5),
        (213, 7),
        (224, 10),
    ),
    starts=((1, 1), (100, 0.75)),
    certified=(2.1380940889e02, 5.4723748542e-01),
    rss=1.1680088766e03,
    model=_boxbod,
)


# ---- Rat42 -----------------------------------------------------------------------------------------------


def _rat42(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the Rat42 response (m,) and its derivative (m, 3)."""
    b1, b2, b3 = b
    z = b2 - b3 * x
    s = 1.0 / (1.0 + np.exp(z))
    # t is exp(z) / (1 + exp(z)), written so that a large z gives 1 instead of inf / inf.
    t = 1.0 / (1.0 + np.exp(-z))
    yhat = b1 * s
    return yhat, np.column_stack((s, -yhat * t, x * yhat * t))


_RAT42 = _problem(
    "Rat42",
    difficulty="higher",
    formula="b1 / (1 + exp(b2 - b3*x))",
    source="Ratkowsky, D.A. (1983). Nonlinear Regression Modeling.",
    data=(
        # y, x
        (8.930, 9.000),
        (10.800, 14.000),
        (18.590, 21.000),
        (22.330, 28.000),
        (39.350, 42.000),
        (56.110, 57.000),
        (61.730, 63.000),
        (64.620, 70.000),
        (67.080, 79.000),
    ),
    starts=((100, 1, 0.1), (75, 2.5, 0.07)),
    certified=(7.2462237576e01, 2.6180768402e00, 6.7359200066e-02),
    rss=8.0565229338e00,
    model=_rat42,
)


# ---- Rat43 -----------------------------------------------------------------------------------------------


def _rat43(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the Rat43 response (m,) and its derivative (m, 4)."""
    b1, b2, b3, b4 = b
    z = b2 - b3 * x
    d = 1.0 + np.exp(z)
    s = d ** (-1.0 / b4)
    # t is exp(z) / (1 + exp(z)), written so that a large z gives 1 instead of inf / inf.
    t = 1.0 / (1.0 + np.exp(-z))
    yhat = b1 * s
    return yhat, np.column_stack((s, -yhat * t / b4, x * yhat * t / b4, yhat * np.log(d) / b4**2))


_RAT43 = _problem(
    "Rat43",
    difficulty="higher",
    formula="b1 / (1 + exp(b2 - b3*x))**(1/b4)",
    source="Ratkowsky, D.A. (1983). Nonlinear Regression Modeling.",
    data=(
        # y, x
        (16.08, 1.0),
        (33.83, 2.0),
        (65.80, 3.0),
        (97.20, 4.0),
        (191.55, 5.0),
        (326.20, 6.0),
        (386.87, 7.0),
        (520.53, 8.0),
        (590.03, 9.0),
        (651.92, 10.0),
        (724.93, 11.0),
        (699.56, 12.0),
        (689.96, 13.0),
        (637.56, 14.0),
        (717.41, 15.0),
    ),
    starts=((100, 10, 1, 1), (700, 5, 0.75, 1.3)),
    certified=(6.9964151270e02, 5.2771253025e00, 7.5962938329e-01, 1.2792483859e00),
    rss=8.7864049080e03,
    model=_rat43,
)


# ---- MGH09 -----------------------------------------------------------------------------------------------


def _mgh09(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the MGH09 response (m,) and its derivative (m, 4)."""
    b1, b2, b3, b4 = b
    d = x**2 + b3 * x + b4
    q = (x**2 + b2 * x) / d
    yhat = b1 * q
    return yhat, np.column_stack((q, b1 * x / d, -x * yhat / d, -yhat / d))


_MGH09 = _problem(
    "MGH09",
    difficulty="higher",
    formula="b1*(x**2 + b2*x) / (x**2 + b3*x + b4)",
    source="Kowalik, J.S., and M. R. Osborne, (1978). Methods for Unconstrained Optimization Problems.",
    data=(
        # y, x
        (1.957000e-01, 4.000000e00),
        (1.947000e-01, 2.000000e00),
        (1.735000e-01, 1.000000e00),
        (1.600000e-01, 5.000000e-01),
        (8.440000e-02, 2.500000e-01),
        (6.270000e-02, 1.670000e-01),
        (4.560000e-02, 1.250000e-01),
        (3.420000e-02, 1.000000e-01),
        (3.230000e-02, 8.330000e-02),
        (2.350000e-02, 7.140000e-02),
        (2.460000e-02, 6.250000e-02),
    ),
    starts=((25, 39, 41.5, 39), (0.25, 0.39, 0.415, 0.39)),
    certified=(1.9280693458e-01, 1.9128232873e-01, 1.2305650693e-01, 1.3606233068e-01),
    rss=3.0750560385e-04,
    model=_mgh09,
)


# ---- MGH10 -----------------------------------------------------------------------------------------------


def _mgh10(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the MGH10 response (m,) and its derivative (m, 3)."""
    b1, b2, b3 = b
    d = x + b3
    e = np.exp(b2 / d)
    yhat = b1 * e
    return yhat, np.column_stack((e, yhat / d, -b2 * yhat / d**2))


_MGH10 = _problem(
    "MGH10",
    difficulty="higher",
    formula="b1 * exp(b2/(x + b3))",
    source="Meyer, R. R. (1970). Theoretical and computational aspects of nonlinear regression.",
    data=(
        # y, x
        (3.478000e04, 5.000000e01),
        (2.861000e04, 5.500000e01),
        (2.365000e04, 6.000000e01),
        (1.963000e04, 6.500000e01),
        (1.637000e04, 7.000000e01),
        (1.372000e04, 7.500000e01),
        (1.154000e04, 8.000000e01),
        (9.744000e03, 8.500000e01),
        (8.261000e03, 9.000000e01),
        (7.030000e03, 9.500000e01),
        (6.005000e03, 1.000000e02),
        (5.147000e03, 1.050000e02),
        (4.427000e03, 1.100000e02),
        (3.820000e03, 1.150000e02),
        (3.307000e03, 1.200000e02),
        (2.872000e03, 1.250000e02),
    ),
    starts=((2, 400000, 25000), (0.02, 4000, 250)),
    certified=(5.6096364710e-03, 6.1813463463e03, 3.4522363462e02),
    rss=8.7945855171e01,
    model=_mgh10,
)


# ---- Roszman1 --------------------------------------------------------------------------------------------


def _roszman1(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the Roszman1 response (m,) and its derivative (m, 4)."""
    b1, b2, b3, b4 = b
    d = x - b4
    yhat = b1 - b2 * x - np.arctan(b3 / d) / np.pi
    h = np.pi * (d**2 + b3**2)
    return yhat, np.column_stack((np.ones_like(x), -x, -d / h, -b3 / h))


_ROSZMAN1 = _problem(
    "Roszman1",
    difficulty="average",
    formula="b1 - b2*x - arctan(b3/(x - b4))/pi",
    source="Roszman, L., NIST (19??). Quantum Defects for Sulfur I Atom.",
    data=(
        # y, x
        (0.252429, -4868.68),
        (0.252141, -4868.09),
        (0.251809, -4867.41),
        (0.297989, -3375.19),
        (0.296257, -3373.14),
        (0.295319, -3372.03),
        (0.339603, -2473.74),
        (0.337731, -2472.35),
        (0.333820, -2469.45),
        (0.389510, -1894.65),
        (0.386998, -1893.40),
        (0.438864, -1497.24),
        (0.434887, -1495.85),
        (0.427893, -1493.41),
        (0.471568, -1208.68),
        (0.461699, -1206.18),
        (0.461144, -1206.04),
        (0.513532, -997.92),
        (0.506641, -996.61),
        (0.505062, -996.31),
        (0.535648, -834.94),
        (0.533726, -834.66),
        (0.568064, -710.03),
        (0.612886, -530.16),
        (0.624169, -464.17),
    ),
    starts=((0.1, -0.00001, 1000, -100), (0.2, -0.000005, 1200, -150)),
    certified=(2.0196866396e-01, -6.1953516256e-06, 1.2044556708e03, -1.8134269537e02),
    rss=4.9484847331e-04,
    model=_roszman1,
)


# ---- Thurber ---------------------------------------------------------------------------------------------


def _thurber(b: Array, x: Array) -> tuple[Array, Array]:
    """Return the Thurber response (m,) and its derivative (m, 7)."""
    b1, b2, b3, b4, b5, b6, b7 = b
    x2 = x**2
    x3 = x**3
    d = 1.0 + b5 * x + b6 * x2 + b7 * x3
    yhat = (b1 + b2 * x + b3 * x2 + b4 * x3) / d
    q = yhat / d
    return yhat, np.column_stack((1.0 / d, x / d, x2 / d, x3 / d, -x * q, -x2 * q, -x3 * q))


_THURBER = _problem(
    "Thurber",
    difficulty="higher",
    formula="(b1 + b2*x + b3*x**2 + b4*x**3) / (1 + b5*x + b6*x**2 + b7*x**3)",
    source="Thurber, R., NIST (197?). Semiconductor electron mobility modeling.",
    data=(
        # y, x
        (80.574, -3.067),
        (84.248, -2.981),
        (87.264, -2.921),
        (87.195, -2.912),
        (89.076, -2.840),
        (89.608, -2.797),
        (89.868, -2.702),
        (90.101, -2.699),
        (92.405, -2.633),
        (95.854, -2.481),
        (100.696, -2.363),
        (101.060, -2.322),
        (401.672, -1.501),
        (390.724, -1.460),
        (567.534, -1.274),
        (635.316, -1.212),
        (733.054, -1.100),
        (759.087, -1.046),
        (894.206, -0.915),
        (990.785, -0.714),
        (1090.109, -0.566),
        (1080.914, -0.545),
        (1122.643, -0.400),
        (1178.351, -0.309),
        (1260.531, -0.109),
        (1273.514, -0.103),
        (1288.339, 0.010),
        (1327.543, 0.119),
        (1353.863, 0.377),
        (1414.509, 0.790),
        (1425.208, 0.963),
        (1421.384, 1.006),
        (1442.962, 1.115),
        (1464.350, 1.572),
        (1468.705, 1.841),
        (1447.894, 2.047),
        (1457.628, 2.200),
    ),
    starts=((1000, 1000, 400, 40, 0.7, 0.3, 0.03), (1300, 1500, 500, 75, 1, 0.4, 0.05)),
    certified=(
        1.2881396800e03,
        1.4910792535e03,
        5.8323836877e02,
        7.5416644291e01,
        9.6629502864e-01,
        3.9797285797e-01,
        4.9727297349e-02,
    ),
    rss=5.6427082397e03,
    model=_thurber,
)


# ---- all ---------------------------------------------------------------------------------------------

PROBLEMS: tuple[Problem, ...] = (
    _MISRA1A,
    _CHWIRUT2,
    _DANWOOD,
    _BOXBOD,
    _RAT42,
    _RAT43,
    _MGH09,
    _MGH10,
    _ROSZMAN1,
    _THURBER,
)


def get(name: str) -> Problem:
    """Return the problem of that name.

    Parameters
    ----------
    name : str
        NIST's name of the dataset, upper and lower case as NIST writes them.

    Returns
    -------
    Problem
        The entry of `PROBLEMS`.

    Raises
    ------
    ValueError
        If there is no such problem.
    """
    for problem in PROBLEMS:
        if problem.name == name:
            return problem
    allowed = ", ".join(problem.name for problem in PROBLEMS)
    raise ValueError(f"unknown problem {name!r}; the problems are {allowed}")
