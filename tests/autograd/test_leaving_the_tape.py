"""Ways in which a value could leave the tape inside value_and_grad: each is recorded or refused."""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.optimize
import scipy.sparse
import scipy.special
import scipy.stats
from leaves import leaf

from rprop_ref import Parameter, Tensor, autograd, minimize, no_grad
from rprop_ref.autograd._mode import differentiated

X = np.array([0.5, 1.5, 2.5])
MASKED = np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 1, 0])


def in_a_thread(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


def objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


# What is computed from x, and that it is the identity.
COPIES = {
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "in a list": lambda x: copy.deepcopy([x, x])[1],
    "of a value": lambda x: copy.deepcopy(x * 1),
    "shallow, of a value": lambda x: copy.copy(x * 1),
    "in a thread": lambda x: in_a_thread(copy.deepcopy, x),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
def test_gradients_flow_through_copies(make):
    value, gradient = autograd.value_and_grad(lambda x: np.sum(make(x) ** 2))(X)
    assert value == np.sum(X**2)
    assert gradient.tolist() == (2 * X).tolist()


def test_minimize_with_an_objective_that_copies():
    result = minimize(lambda x: np.sum((copy.deepcopy(x) - 1) ** 2), X, jac="autograd")
    np.testing.assert_allclose(result.x, 1, atol=1e-6)


def test_a_copy_is_a_copy():
    def fun(x):
        copied = copy.deepcopy(x)
        copied *= 2
        return np.sum(copied * x)

    assert autograd.value_and_grad(fun)(X)[1].tolist() == (4 * X).tolist()


def test_copies_outside_objectives_are_torchs():
    p = Parameter(np.ones(2))
    assert copy.deepcopy(p).is_leaf
    assert copy.copy(p).data is p.data
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(p * 2)
    # Not torch's: it cuts the graph here.
    np.sum(copy.copy(p * 2)).backward()
    assert p.grad.tolist() == [2.0, 2.0]


def test_a_refusal_that_the_objective_catches_is_raised_again():
    """A guard against failures of any kind would turn each value into infinity."""

    def guarded(x):
        try:
            return np.sum(x**2) * float(x[0])
        except Exception:
            return np.inf

    def with_an_alternative(x):
        with contextlib.suppress(TypeError):
            return np.sum(x) * x[0].item()
        return np.sum(x)

    def in_a_worker(x):
        return np.sum(x) * in_a_thread(guarded, x)

    def with_workers(x):
        with ThreadPoolExecutor(2) as pool:
            return np.sum(x) * sum(pool.map(lambda v: guarded(np.stack([v, v])), x))

    def without_a_rule(x):
        try:
            return np.sum(np.nextafter(x, 9.0))
        except TypeError:
            return np.sum(x)

    def in_place(x):
        with contextlib.suppress(RuntimeError):
            x[0] = 3.0
        return np.sum(x)

    def by_an_operator(x):
        try:
            return np.sum(x * scipy.sparse.csr_array(np.eye(3)))
        except TypeError:
            return np.sum(x)

    def by_its_text(x):
        return np.sum(x) * float(f"{x[0]:.17g}")

    for fun in (guarded, with_an_alternative, in_a_worker, with_workers, by_its_text):
        for call in (autograd.value_and_grad(fun), lambda x, fun=fun: minimize(fun, x, jac="autograd")):
            with pytest.raises(TypeError, match="leave the tape"):
                call(X)

    def by_a_method(x):
        with contextlib.suppress(TypeError):
            x.view(np.int64).sum()
        return np.sum(x)

    def by_an_attribute(x):
        with contextlib.suppress(TypeError):
            (x * 1).shape = (3, 1)
        return np.sum(x)

    for fun in (without_a_rule, in_place, by_an_operator, by_a_method, by_an_attribute):
        with pytest.raises((TypeError, RuntimeError), match="no rule|leaf|sparse|does not change|reinterpreted"):
            autograd.value_and_grad(fun)(X)
    # The next call knows nothing of it.
    assert autograd.value_and_grad(lambda x: np.sum(x))(X)[0] == np.sum(X)


REFUSED = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "a new Tensor": lambda x: Tensor(x, requires_grad=True),
    "a new Parameter": Parameter,
    "float in a thread": lambda x: x * in_a_thread(float, x[0]),
    "item in a thread": lambda x: x * in_a_thread(lambda: x[1].item()),
    "tolist in a thread": lambda x: x * in_a_thread(lambda: (x * 2).tolist()),
    "pickle in a thread": lambda x: x * in_a_thread(pickle.dumps, x)[0],
    "gradients": lambda x: autograd.grad(np.sum(x**3), x)[0],
    "backward": lambda x: (np.sum(x**3).backward(retain_graph=True), x)[1],
    "longdouble": lambda x: x.astype(np.longdouble),
    "clongdouble": lambda x: x.astype(np.clongdouble),
    "object": lambda x: x.astype(object),
    "text": lambda x: x.astype(str),
    "dtype=": lambda x: np.sum(x, dtype=np.longdouble),
    "times longdouble": lambda x: x * np.longdouble(2),
    "joined with longdouble": lambda x: np.concatenate([x, np.ones(1, np.longdouble)]),
    "objects": lambda x: x * np.array([1, 2, 3], object),
    "Tensors in an array": lambda x: x * objects(x[0], x[1], x[2]),
    "a number that is an object": lambda x: np.array(2.0, object) ** x[0],
    "masked * x": lambda x: MASKED * x,
    "x * masked": lambda x: x * MASKED,
    "masked @ x": lambda x: MASKED @ x,
    "list of masked": lambda x: x * [MASKED, MASKED],
    "numpy.multiply": lambda x: np.multiply(MASKED, x),
    "numpy.where": lambda x: np.where([True, False, True], x, MASKED),
    "masked condition": lambda x: np.where(MASKED > 1, x, 0.0),
    "masked index": lambda x: x[MASKED > 1],
    "numpy.concatenate": lambda x: np.concatenate([x, MASKED]),
    "numpy.average": lambda x: np.average(x, weights=MASKED),
    "numpy.interp": lambda x: np.interp(x, MASKED, [1.0, 2.0, 3.0]),
    "numpy.dot": lambda x: np.dot(MASKED, x),
    "numpy.add.reduce": lambda x: np.add.reduce([x, MASKED]),
    "numpy.ma.exp": np.ma.exp,
    "numpy.ma.add": lambda x: np.ma.add(x, x),
    "numpy.ma.array": lambda x: np.ma.array(x, mask=[0, 1, 0]),
    "numpy.ma.getdata": np.ma.getdata,
    "numpy.ma.median": np.ma.median,
    "numpy.ma.where": lambda x: np.ma.where(x > 1, x, 0),
    "numpy.ma.masked_greater": lambda x: np.ma.masked_greater(x, 1),
    "numpy.ma.dot": lambda x: np.ma.dot(x, x),
    "matrix * x": lambda x: np.asmatrix(X) * x,
    "x * matrix": lambda x: x * np.asmatrix(X),
    "matrix @ x": lambda x: np.asmatrix(X) @ x,
    "numpy.asmatrix": np.asmatrix,
    "sparse * x": lambda x: scipy.sparse.csr_array(np.eye(3)) * x,
    "matrix of scipy.sparse * x": lambda x: scipy.sparse.csr_matrix(np.eye(3)) * x,
    "x + sparse": lambda x: x + scipy.sparse.csr_array(np.eye(3)),
    "x * sparse": lambda x: x * scipy.sparse.csr_array(np.eye(3)),
    "numpy.multiply by sparse": lambda x: np.multiply(x, scipy.sparse.csr_array(np.eye(3))),
    "x += masked": lambda x: (x * 1).__iadd__(MASKED),
    "minimize": lambda x: minimize(lambda y: np.sum((y - x) ** 2), X + 1, jac="autograd").x,
}


@pytest.mark.filterwarnings("ignore:the matrix subclass", "ignore:Converting a tensor")
@pytest.mark.parametrize("compute", REFUSED.values(), ids=REFUSED)
def test_it_is_refused_with_advice(compute):
    def fun(x):
        return np.sum(x**2) + np.sum(compute(x) ** 2)

    advice = "[Ww]rite|give its? numbers|use numbers|replace the masked elements|give the numbers"
    with pytest.raises((TypeError, RuntimeError), match=advice):
        autograd.value_and_grad(fun)(X)
    assert not differentiated


FOREIGN = {
    "rprop_ref.autograd.linalg.expm": lambda x: scipy.linalg.expm(np.outer(x, x)),
    "rprop_ref.autograd.linalg.solve,": lambda x: scipy.linalg.solve(np.eye(3), x),
    "rprop_ref.autograd.linalg.cholesky": lambda x: scipy.linalg.cholesky(np.eye(3) * x),
    "rprop_ref.autograd.linalg.solve_triangular": lambda x: scipy.linalg.solve_triangular(np.eye(3), x),
    "rprop_ref.autograd.special.logsumexp": scipy.special.logsumexp,
    "rprop_ref.autograd.special.log_softmax": scipy.special.log_softmax,
    "rprop_ref.autograd.special.polygamma": lambda x: scipy.special.polygamma(1, x),
    "rprop_ref.autograd.special.comb": lambda x: scipy.special.comb(x, 2),
    "numpy.linalg.inv": lambda x: scipy.linalg.inv(np.eye(3) * x),
    "numpy.linalg.svd": lambda x: scipy.linalg.svd(np.eye(3) * x)[1],
    "numpy.fft.fft": lambda x: np.abs(scipy.fft.fft(x)),
    "np.polyval": lambda x: np.polynomial.Polynomial([1.0, 2.0])(x),
    "converted by numpy.vectorize; .*np.where": lambda x: np.vectorize(lambda v: v if v > 1 else 0.0)(x),
    "converted by scipy.interpolate.*__call__|converted by scipy.interpolate": (
        lambda x: scipy.interpolate.CubicSpline(X, X)(x)
    ),
    "converted by scipy.stats.*the formula of the density": lambda x: scipy.stats.norm.logpdf(x),
    r"converted by scipy.stats.gmean; .*scipy.special": scipy.stats.gmean,
    "chebvander": lambda x: np.polynomial.chebyshev.chebval(0.5, x),
    r"chebval\(x, coefficients\)": lambda x: np.polynomial.Chebyshev([1.0, 2.0])(x),
    # A ufunc in older versions of SciPy.
    r"converted by scipy.special.spherical_jn\.|^scipy.special.spherical_jn has no rule": lambda x: (
        scipy.special.spherical_jn(1, x)
    ),
    r"x instead of np.asarray\(x\)": np.asarray,
    "converted by scipy.integrate": lambda x: scipy.integrate.quad(lambda t: t * x[0], 0, 1)[0],
    "converted by scipy.optimize.fsolve": lambda x: scipy.optimize.fsolve(lambda y: y - x, X),
    "converted by scipy.optimize.root": lambda x: scipy.optimize.root(lambda y: y - x, X).x,
    "converted by scipy.optimize.brentq": lambda x: scipy.optimize.brentq(lambda t: t - 1, 0, x[2]),
    "converted by scipy.sparse.*A @ x": lambda x: scipy.sparse.csr_array(np.eye(3)).multiply(x),
}


@pytest.mark.parametrize(("advice", "compute"), FOREIGN.items(), ids=FOREIGN)
def test_functions_that_convert_a_tensor_are_named_with_what_to_write(advice, compute):
    with pytest.raises((TypeError, RuntimeError), match=advice):
        autograd.value_and_grad(lambda x: np.sum(compute(x) * x))(X)


def test_an_error_that_numpy_raises_too_may_be_caught():
    def fun(x):
        try:
            return np.sum(np.linalg.cholesky(np.outer(x, x) - np.eye(3)))
        except np.linalg.LinAlgError:
            pass
        try:
            return np.sum(x + np.ones(2))
        except ValueError:
            pass
        with contextlib.suppress(IndexError):
            x[7] = x[9]
        return np.sum(x)

    assert autograd.value_and_grad(fun)(X)[1].tolist() == [1.0, 1.0, 1.0]


def test_a_thread_that_is_refused_something_is_of_one_call():
    """Of two calls under way, only the one whose variable was converted is refused."""

    def guarded(x):
        with contextlib.suppress(TypeError):
            float(x[0])
        return 1.0

    def outer(x):
        with pytest.raises(TypeError, match="leave the tape"):
            autograd.value_and_grad(lambda y: np.sum(y) * in_a_thread(guarded, y))(X)
        return np.sum(x)

    assert autograd.value_and_grad(outer)(X)[1].tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(TypeError, match="leave the tape"):
        autograd.value_and_grad(
            lambda x: np.sum(x) * autograd.value_and_grad(lambda y: np.sum(y) * guarded(x))(X)[0]
        )(X)


def test_nothing_is_written_by_a_call_that_is_refused(tmp_path):
    def fun(x):
        with contextlib.suppress(TypeError):
            np.save(tmp_path / "x.npy", x)
        return np.sum(x)

    with pytest.raises(TypeError, match="no rule"):
        autograd.value_and_grad(fun)(X)
    assert not list(tmp_path.iterdir())
    plain = np.zeros(3)
    with pytest.raises(TypeError, match="np.zeros_like"):
        autograd.value_and_grad(lambda x: (np.copyto(plain, x), np.sum(x))[1])(X)
    assert plain.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("shape", [(3,), (3, 2), (3, 2, 2)])
@pytest.mark.parametrize("basis", ["poly", "cheb", "leg", "herm", "herme", "lag", "roots"])
def test_polynomials_with_coefficients_of_several_dimensions(basis, shape):
    """numpy.polynomial gives them axes for the values of x only if x is an array."""
    polynomial = np.polynomial
    where = (polynomial.polynomial, polynomial.chebyshev, polynomial.legendre, polynomial.hermite)
    where = (*where, polynomial.hermite_e, polynomial.laguerre)
    name = "polyvalfromroots" if basis == "roots" else f"{basis}val"
    evaluate = next(getattr(module, name) for module in where if hasattr(module, name))
    c = np.random.default_rng(0).uniform(-1, 1, shape)
    for x in (X, X[:2], X[:2] * np.ones((2, 1))):
        calls = [lambda x, c=c[..., *(None,) * x.ndim]: evaluate(x, c, tensor=False)]
        if basis != "roots" and len(shape) == 1:
            calls.append(lambda x: evaluate(x, c))
        else:
            advice = rf"{name} gives its coefficients c no axes.*{name}\(x, c.*tensor=False"
            with pytest.raises((TypeError, ValueError), match=f"{advice}|could not be broadcast"):
                evaluate(Tensor(x), c)
        for call in calls:
            value, gradient = autograd.value_and_grad(lambda x, call=call: np.sum(call(x)))(x)
            assert value == np.sum(evaluate(x, c))
            differences = (evaluate(x + 1e-6, c) - evaluate(x - 1e-6, c)) / 2e-6
            np.testing.assert_allclose(np.sum(gradient), np.sum(differences), rtol=1e-6)


@pytest.mark.parametrize(
    "combine",
    [
        lambda buffer, mask, v: np.sum(buffer * v),
        lambda buffer, mask, v: np.sum(v / buffer),
        lambda buffer, mask, v: np.sum(buffer**v),
        lambda buffer, mask, v: np.sum(Tensor(buffer) * v),
        lambda buffer, mask, v: np.sum(np.where(Tensor(mask), v * np.ones(4), 0.0)),
        lambda buffer, mask, v: buffer @ (v * np.ones(4)),
        lambda buffer, mask, v: np.sum(np.einsum("i,i->", buffer, v * np.ones(4))),
        lambda buffer, mask, v: np.prod(np.stack([v, buffer[0], buffer[1]])),
        lambda buffer, mask, v: np.hypot(v, buffer).sum(),
        lambda buffer, mask, v: np.sum(np.where(mask, v * np.ones(4), 0.0)),
        lambda buffer, mask, v: np.sum(v * np.ones(4), where=mask),
        lambda buffer, mask, v: np.max(v * np.arange(1, 5), where=mask, initial=0.0),
    ],
)
def test_a_buffer_may_be_refilled(combine):
    rows = np.random.default_rng(0).uniform(0.5, 1.5, (3, 4))

    def fun(x):
        buffer, mask, total = np.empty(4), np.empty(4, bool), 0.0
        for row, v in zip(rows, x, strict=True):
            buffer[:] = row
            mask[:] = row > 0.8
            total = total + combine(buffer, mask, v)
        return total

    steps = 1e-6 * np.eye(3)
    differences = [(fun(X + h) - fun(X - h)) / 2e-6 for h in steps]
    value, gradient = autograd.value_and_grad(fun)(X)
    assert value == fun(X)
    np.testing.assert_allclose(gradient, differences, rtol=1e-7)


def test_a_large_buffer_that_is_refilled_is_refused():
    for shape in ((3000,), (60, 70), (20, 20, 20)):
        for combine in (np.multiply, functools.partial(np.einsum, "...,->...")):

            def fun(x, shape=shape, combine=combine, copies=True):
                buffer, total = np.empty(shape), 0.0
                for i, v in enumerate(x):
                    buffer[...] = i + 1
                    total = total + np.sum(combine(buffer.copy() if copies else buffer, v))
                return total

            gradient = autograd.value_and_grad(fun)(X)[1]
            assert gradient.tolist() == [n * np.prod(shape) for n in (1, 2, 3)]
            with pytest.raises(RuntimeError, match=r"has been changed since.*array.copy\(\)"):
                autograd.value_and_grad(lambda x, fun=fun: fun(x, copies=False))(X)


def test_one_element_that_is_changed_in_a_large_buffer_is_noticed():
    for buffer, index in (
        (np.ones(3001), 3000),
        (Tensor(np.ones(3001)), 3000),
        (np.ones((60, 70), np.float32), (33, 7)),
        (np.ones((60, 70))[::-1, 1::2].T, (7, 33)),
        (np.ones(3000, complex, order="F"), 1500),
        (np.frombuffer(bytearray(8 * 3001 + 3), np.float64, 3000, offset=3), 1500),
        (scipy.sparse.csr_array(np.ones((60, 70))), (33, 7)),
        (scipy.sparse.coo_array(np.ones((60, 70))), None),
    ):

        def fun(x, buffer=buffer, index=index):
            product = (buffer @ x[: buffer.shape[-1]]) if buffer.ndim == 2 else buffer * x[: buffer.size]
            if index is None:
                buffer.data[100] = 5.0
            else:
                buffer[index] = 5.0
            return np.sum(np.real(product))

        with pytest.raises(RuntimeError, match=r"has been changed since.*a copy, array.copy\(\)"):
            autograd.value_and_grad(fun)(np.ones(4000))


def test_rows_that_change_places_in_a_large_buffer_are_noticed():
    def fun(x):
        rows = np.arange(60.0 * 70).reshape(60, 70)
        product = rows @ x
        rows[[11, 45]] = rows[[45, 11]]
        return np.sum(product)

    with pytest.raises(RuntimeError, match="has been changed since"):
        autograd.value_and_grad(fun)(np.ones(70))


def test_a_mapped_file_may_be_refilled(tmp_path):
    def fun(x):
        total, mapped = 0.0, np.memmap(tmp_path / "file", float, "w+", shape=3)
        for factor in (1, 2):
            mapped[:] = factor
            total = total + np.sum(mapped * x)
        return total

    assert autograd.value_and_grad(fun)(X)[1].tolist() == [3.0, 3.0, 3.0]


def test_a_sparse_array_may_be_changed():
    def fun(x):
        matrix = scipy.sparse.csr_array(np.eye(3))
        product = matrix @ x
        matrix.data *= 2
        return product @ x

    assert autograd.value_and_grad(fun)(X)[1].tolist() == (2 * X).tolist()


@pytest.mark.filterwarnings("ignore:you are shuffling")
def test_rows_are_not_shuffled_in_place():
    def fun(x, shuffle):
        rows = x * 1
        shuffle(rows)
        weights = np.arange(1, 4)
        return weights @ rows if rows.ndim == 1 else weights @ rows @ weights

    for shuffle in (np.random.default_rng(0).shuffle, np.random.RandomState(0).shuffle):
        with pytest.raises(TypeError, match="permutation"):
            autograd.value_and_grad(lambda x, s=shuffle: fun(x, s))(np.eye(3))
    # Vectors consist of numbers, which are no views.
    order = np.arange(3)
    np.random.default_rng(0).shuffle(order)
    gradient = autograd.value_and_grad(lambda x: fun(x, np.random.default_rng(0).shuffle))(X)[1]
    assert gradient[order].tolist() == [1.0, 2.0, 3.0]


def test_values_of_an_earlier_call_are_refused():
    """Kept by a cache, for instance, they would be constants."""
    kept = {}

    def kept_if_new(compute, x):
        return kept.setdefault("value", compute(x))

    for compute in (np.sum, lambda x: x, lambda x: x[:], lambda x: x[0]):
        kept.clear()
        fun = autograd.value_and_grad(lambda x, c=compute: np.sum(kept_if_new(c, x) * x))
        fun(X)
        with pytest.raises(RuntimeError, match="in an earlier call"):
            fun(X)
        assert autograd.value_and_grad(lambda x: np.sum(kept["value"].data * x))(X)[1].shape == X.shape

    def fails(x):
        kept["value"] = np.sum(x)
        raise KeyError

    def unused(x):
        kept["value"] = np.sum(x)
        return np.sum(x)

    for fun in (fails, unused):
        with contextlib.suppress(KeyError):
            autograd.value_and_grad(fun)(X)
        with pytest.raises(RuntimeError, match="in an earlier call"):
            autograd.value_and_grad(lambda x: np.sum(kept["value"] * x))(X)
    # A Parameter is no variable of a call.
    w = Parameter(np.ones(3))
    product = w * 2
    for _ in range(2):
        assert autograd.value_and_grad(lambda x: np.sum(product * x))(X)[1].tolist() == [2.0, 2.0, 2.0]


def test_text_of_a_value_is_for_people():
    kept = []

    def fun(x, number=None):
        text = f"{x[0]:.1f}"
        kept.append(text)
        assert (text, f"x = {text:>5}", pickle.loads(pickle.dumps(text))) == ("0.5", "x =   0.5", "0.5")
        return np.sum(x) * (1 if number is None else number(text))

    assert autograd.value_and_grad(fun)(X)[1].tolist() == [1.0, 1.0, 1.0]
    # The call is over, so that nothing leaves its tape.
    assert float(kept[0]) == 0.5
    assert autograd.value_and_grad(lambda x: fun(x, lambda _: float(kept[0])))(X)[1].tolist() == [0.5, 0.5, 0.5]
    for number in (float, int, np.float64, lambda text: in_a_thread(float, text)):
        with pytest.raises(TypeError, match="leave the tape"):
            autograd.value_and_grad(lambda x, number=number: fun(x, number))(X)


def test_an_error_of_arithmetic_may_be_caught():
    def fun(x):
        try:
            with np.errstate(divide="raise"):
                return np.sum(1 / (x - x[0]))
        except FloatingPointError:
            return np.sum(x)

    assert autograd.value_and_grad(fun)(X)[1].tolist() == [1.0, 1.0, 1.0]


def test_an_error_of_the_objective_itself_stays():
    def fun(x):
        with contextlib.suppress(TypeError):
            float(x[0])
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        autograd.value_and_grad(fun)(X)


def test_a_function_compiled_by_numba_is_refused():
    numba = pytest.importorskip("numba")
    with pytest.raises(TypeError, match=r"compiled by Numba takes arrays.*fun.py_func\(x\)"):
        autograd.value_and_grad(numba.njit(lambda x: x * 2))(X)


def test_other_libraries_get_no_values_that_require_a_gradient():
    with pytest.raises(RuntimeError, match="not turned into an array silently"):
        autograd.value_and_grad(lambda x: np.sum(x) * np.sum(np.from_dlpack(x)))(X)
    assert np.from_dlpack(Tensor(X)).tolist() == X.tolist()


@pytest.mark.peers
def test_torch():
    torch = pytest.importorskip("torch", reason="compares with torch")
    for convert in (torch.tensor, torch.as_tensor, torch.from_dlpack):
        assert convert(Tensor(X)).tolist() == X.tolist()
        with pytest.raises(RuntimeError, match="not turned into an array silently"):
            autograd.value_and_grad(lambda x, convert=convert: np.sum(x) * convert(x).sum().item())(X)


@pytest.mark.peers
def test_pandas():
    pd = pytest.importorskip("pandas", reason="pandas is in the extra 'peers'")
    series, frame = pd.Series(X), pd.DataFrame(np.eye(3), columns=["a", "b", "c"])
    for compute in (
        lambda x: series * x,
        lambda x: x * series,
        lambda x: series - x[0],
        lambda x: x[0] ** series,
        lambda x: frame * x,
        lambda x: x[0] / frame,
        lambda x: np.multiply(series, x),
        lambda x: np.where(series > 1, x, 0),
        lambda x: frame @ x,
        lambda x: x @ frame,
        lambda x: series.dot(x),
        lambda x: pd.Series(x),
        lambda x: pd.DataFrame({"a": x}),
        lambda x: frame.assign(c=x),
        lambda x: series.where(series > 1, x),
    ):
        with pytest.raises((TypeError, RuntimeError), match=r"\.to_numpy\(\)"):
            autograd.value_and_grad(lambda x, compute=compute: np.sum(np.sum(compute(x))))(X)
    _, gradient = autograd.value_and_grad(lambda x: np.sum(frame.to_numpy() @ x * series.to_numpy()))(X)
    assert gradient.tolist() == X.tolist()
    # An index is one of positions.
    assert autograd.value_and_grad(lambda x: np.sum(x[series > 1]))(X)[1].tolist() == [0.0, 1.0, 1.0]


class Series:
    """An array with labels, as those of pandas: NumPy hands calls to it."""

    values = X

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return getattr(ufunc, method)(*(x.values if isinstance(x, Series) else x for x in inputs))

    def to_numpy(self):
        return self.values


def test_arrays_with_labels_are_refused():
    with pytest.raises(TypeError, match=r"argument 1 of numpy.multiply is of type .*Series.*\.to_numpy\(\)"):
        np.multiply(leaf(X), Series())
    np.sum(np.multiply(x := leaf(X), Series().to_numpy())).backward()
    assert x.grad.tolist() == X.tolist()


@pytest.mark.parametrize("fun", [np.sum, np.cumsum, np.mean, np.prod, np.cumprod, np.var, np.std])
@pytest.mark.parametrize("dtype", [int, np.uint8, bool])
def test_no_gradient_flows_through_integers(fun, dtype):
    def objective(x):
        result = fun(x, dtype=dtype)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.data, fun(X, dtype=dtype))
        return np.sum(x) + np.sum(result)

    assert autograd.value_and_grad(objective)(X)[1].tolist() == [1.0, 1.0, 1.0]
    assert (
        autograd.value_and_grad(lambda x: np.sum(x.astype(dtype) * x))(X)[1].tolist() == X.astype(dtype).tolist()
    )


def test_a_file_is_an_operand(tmp_path):
    file = np.memmap(tmp_path / "w.bin", np.float64, "w+", shape=(3,))
    file[:] = X
    for fun in (lambda x: np.sum(file * x), lambda x: x @ file, lambda x: np.sum(np.where(file > 1, x * file, 0))):
        expected = np.where(X > 1, X, 0) if fun(X) < np.sum(X * X) else X
        assert autograd.value_and_grad(fun)(X)[1].tolist() == expected.tolist()


# ---- one tape inside another


def inner(x, y):
    return autograd.value_and_grad(lambda y: np.sum(x * y**3))(y)


NESTED = {
    "the value": (lambda x: inner(x, np.ones(3))[0] ** 2, 2 * np.sum(X) * np.ones(3)),
    "the gradient": (lambda x: np.sum(inner(x, X)[1] ** 2), 18 * X**5),
    "its argument": (lambda x: np.sum(inner(X, x)[1]), 6 * X**2),
    "both": (lambda x: np.sum(inner(x, x)[1]), 9 * X**2),
    "a keyword": (
        lambda x: np.sum(autograd.value_and_grad(lambda y, a: np.sum(a * y**2))(X, a=x)[1]),
        2 * X,
    ),
    "two arguments": (
        lambda x: np.sum(autograd.value_and_grad(lambda y, z: np.sum(x * y * z), (0, 1))(X, X)[1][1]),
        X,
    ),
    "nothing": (lambda x: np.sum(x) * autograd.value_and_grad(np.sum)(X)[0], np.full(3, np.sum(X))),
    "a gradient that is recorded": (lambda x: np.sum(autograd.grad(np.sum(x**3), x, create_graph=True)[0]), 6 * X),
}


@pytest.mark.parametrize("case", NESTED.values(), ids=NESTED)
def test_gradients_flow_through_an_inner_call(case):
    fun, expected = case
    np.testing.assert_allclose(autograd.value_and_grad(fun)(X)[1], expected, rtol=1e-14)


def test_an_inner_call_in_a_thread():
    _, gradient = autograd.value_and_grad(lambda x: np.sum(in_a_thread(inner, x, X)[1]))(X)
    np.testing.assert_allclose(gradient, 3 * X**2, rtol=1e-14)


def test_an_inner_call_without_gradients_returns_arrays():
    def fun(x):
        with no_grad():
            value, gradient = inner(x, X)
        assert type(gradient) is np.ndarray
        return np.sum(x) * value

    assert autograd.value_and_grad(fun)(X)[1].tolist() == [np.sum(X**4)] * 3


def test_an_inner_run_that_does_not_depend_on_the_outer_variable():
    def fun(x):
        return np.sum(x) * minimize(lambda y: np.sum((y - 1) ** 2) + 1, X, jac="autograd").fun

    np.testing.assert_allclose(autograd.value_and_grad(fun)(X)[1], 1, rtol=1e-9)


def test_values_of_other_tapes_become_numbers():
    w = leaf(2.0)

    def fun(x):
        with pytest.warns(UserWarning, match="Converting a tensor"):
            return np.sum(x) * float(w) * in_a_thread(w.item)

    assert autograd.value_and_grad(fun)(X)[1].tolist() == [4.0, 4.0, 4.0]


def test_after_an_error_nothing_is_differentiated():
    kept = []
    with pytest.raises(ZeroDivisionError):
        autograd.value_and_grad(lambda x: kept.append(x[0]) or 1 / 0)(X)
    assert kept[0].item() == 0.5
