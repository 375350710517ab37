"""Every function of NumPy and every ufunc of scipy.special, called with a Tensor: no gradient is lost silently."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sc

from rprop_ref import Tensor, autograd, no_grad
from rprop_ref.autograd._primitives import COMPOSITES

#: Functions through which no gradient flows: piecewise constant, or not numbers at all.
CONSTANT = {
    *("all", "allclose", "any", "argmax", "argmin", "argpartition", "argsort", "argwhere", "array2string"),
    *("array_equal", "array_equiv", "array_repr", "array_str", "common_type", "count_nonzero"),
    *("diag_indices_from", "digitize", "einsum_path", "empty_like", "equal", "flatnonzero", "greater"),
    *("greater_equal", "isclose", "iscomplex", "iscomplexobj", "isfinite", "isin", "isinf", "isnan", "isneginf"),
    *("isposinf", "isreal", "isrealobj", "less", "less_equal", "lexsort", "linalg.matrix_rank", "logical_and"),
    *("logical_not", "logical_or", "logical_xor", "may_share_memory", "min_scalar_type", "nanargmax", "nanargmin"),
    *("ndim", "nonzero", "not_equal", "ones_like", "result_type", "searchsorted", "shape", "shares_memory"),
    *("signbit", "size", "spacing", "tril_indices_from", "triu_indices_from", "zeros_like"),
}


#: Constant or not, depending on the arguments: full_like(t, 1) is constant, full_like(t, t[0]) is not.
SOMETIMES_CONSTANT = {"full_like", "piecewise", "where"}


#: Functions that write values into their first argument.
WRITERS = {np.copyto, np.put, np.putmask, np.place, np.put_along_axis, np.fill_diagonal}


def leaf(values):
    return Tensor(np.array(values, float), requires_grad=True)


def leaf_of(array):
    return Tensor(array, requires_grad=True)


def functions():
    for module in (np, np.linalg, np.fft, sc):
        for name in sorted(dir(module)):
            fun = getattr(module, name)
            if isinstance(fun, np.ufunc) or (hasattr(fun, "_implementation") and module is not sc):
                yield f"{module.__name__}.{name}".removeprefix("numpy."), fun


def calls_that_write():
    """Arguments of functions that change the first one, which has no gradient before."""
    v, m = leaf([0.3, 0.6, 0.8]), leaf([[2.0, 0.3], [0.3, 1.0]])
    yield [np.zeros_like(v), v]
    yield [np.zeros_like(v), [0, 1, 2], v]
    yield [np.zeros_like(v), v > 0.4, v]
    yield [np.zeros_like(m), np.array([[0, 1]]), m[:1], 0]
    yield [np.zeros_like(m), v]


def calls(fun):
    """Arguments of many kinds; most functions accept some of them."""
    v, m = leaf([0.3, 0.6, 0.8]), leaf([[2.0, 0.3], [0.3, 1.0]])
    if isinstance(fun, np.ufunc):
        yield from ([x] * fun.nin for x in (v, m))
        yield from ([v if i == j else c for j in range(fun.nin)] for c in (1, 0.1) for i in range(fun.nin))
        yield from ([m, v[:2]], [v[:2], m])
        return
    yield from (
        [v],
        [m],
        [v, v],
        [m, m],
        [m, v[:2]],
        [(v, v)],
        [(m, m)],
        [v, 1],
        [m, 1],
        [m, 0],
        [m, 0, 1],
        [v, [0, 1]],
    )
    yield from (
        [v, 2, 0],
        [v, v, v],
        [v, v, 1],
        [v[0], v[1]],
        [[True, False, True], v],
        [[v > 0.4], [v]],
        [m[None, None]],
    )
    yield from (
        ["f8", v],
        [v, float],
        ["i->", v],
        [v, [0, 1, 2], [1.0, 2.0, 3.0]],
        [v, [True, False, True], [1.0]],
    )
    yield from ([v, (3,)], [m, 2, 0], [m, [[0, 1]], 0], [lambda x: x, 0, m], [lambda a, i: a.sum(i), m, 0])
    yield from ([m, np.array([[0, 1]]), 0], [v, [v > 0.5], [np.sin]], [m, [[0, 0]], 1.0, 0], [m[None, None], 1])


def tensors(result):
    if isinstance(result, Tensor):
        yield result
    elif isinstance(result, (tuple, list)):
        for part in result:
            yield from tensors(part)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "fun"), [pytest.param(*f, id=f[0]) for f in functions()])
def test_a_call_is_recorded_or_constant_or_refused(name, fun):
    outcomes = set()
    with np.errstate(all="ignore"):
        for args in calls_that_write() if fun in WRITERS else calls(fun):
            try:
                result = fun(*args)
            except Exception as error:
                if "no rule" not in str(error):
                    continue  # NumPy refuses these arguments
                assert isinstance(error, TypeError)
                assert fun.__name__ in str(error) or fun in COMPOSITES
                assert "register_vjp(" in str(error) or "which has one" in str(error)
                outcomes.add("refused")
            else:
                if isinstance(result, (tuple, list)) and not result:
                    continue  # an empty result, such as the derivatives along no axes
                # NumPy does not always dispatch on a Tensor inside a list.
                if any(t.requires_grad for t in tensors(args[0] if fun in WRITERS else result)):
                    outcomes.add("recorded")
                elif isinstance(args[0], Tensor):
                    outcomes.add("constant")
    if name in CONSTANT:
        assert outcomes == {"constant"}
    else:
        assert outcomes - {"constant"}
        assert "constant" not in outcomes or name in SOMETIMES_CONSTANT


OUT = [
    *((np.sum, 0, None), (np.mean, 0, None), (np.prod, 0, None), (np.max, 0), (np.min, 0), (np.var, 0, None)),
    *((np.std, 0, None), (np.median, 0), (np.ptp, 0), (np.nansum, 0, None), (np.nanmean, 0, None)),
    *((np.cumsum, 0, None), (np.cumprod, 0, None), (np.round, 0), (np.clip, 0, 1), (np.take, [0, 1, 2], 0)),
    *((np.fix,), (np.percentile, 50, None), (np.compress, [1, 1, 1], 0), (np.dot, 2.0)),
]


@pytest.mark.parametrize("call", OUT, ids=lambda c: c[0].__name__)
@pytest.mark.parametrize("where", ["keyword", "position"])
def test_out_is_refused_or_written(call, where):
    fun, *rest = call
    x = np.array([1.0, 2.0, 4.0])
    before = [rest.pop(0)] if fun is np.compress else []

    def run(x, out):
        return fun(*before, x, *rest, out=out) if where == "keyword" else fun(*before, x, *rest, out)

    expected = fun(*before, x, *rest)
    out = np.zeros_like(expected)
    with pytest.raises(TypeError, match=f"numpy.{fun.__name__} with out= has no rule"):
        run(leaf(x), out)
    assert not out.any()
    for make in (np.asarray, Tensor):
        out = make(np.zeros_like(expected))
        with no_grad():
            assert run(leaf(x), out) is out
        np.testing.assert_array_equal(out.data if isinstance(out, Tensor) else out, expected)
    w = leaf(np.ones(expected.shape))
    y = np.sum(out * w)
    with no_grad():
        run(leaf(x), out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_nan_to_num_without_a_copy():
    x = leaf([1.0, np.nan])
    for call in (lambda: np.nan_to_num(x, copy=False), lambda: np.nan_to_num(x, False)):
        with pytest.raises(TypeError, match=r"numpy.nan_to_num writes values.*t\[index\] = value"):
            call()
    assert np.isnan(x.data[1])
    y = np.sum(x * x)
    with no_grad():
        assert np.nan_to_num(x, copy=False) is x
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_methods_of_ufuncs_without_a_rule_are_refused():
    x = leaf([1.0, 2.0])
    for call, advice in (
        (lambda: np.hypot.reduce(x, initial=1.0), "numpy.hypot.reduce with these arguments has no rule"),
        (
            lambda: np.add.accumulate(x, dtype=np.longdouble),
            "numpy.add.accumulate with these arguments has no rule",
        ),
        (lambda: np.multiply.at(x * 1, [0], 2.0), r"numpy.multiply.at is recorded only.*t\[index\] = value"),
        (lambda: np.add.at(np.zeros(2), [0, 1], x), r"numpy.add.at is recorded only.*np.zeros_like\(x\)"),
    ):
        with pytest.raises(TypeError, match=advice):
            call()


def test_the_outer_method_of_ufuncs():
    for ufunc in (np.subtract, np.hypot, sc.xlogy):
        a, b = np.array([1.0, 2.0]), np.array([[3.0], [4.0]])
        np.testing.assert_array_equal(ufunc.outer(leaf(a), b).data, ufunc.outer(a, b))
        assert autograd.gradcheck(ufunc.outer, [a, b])


@pytest.mark.filterwarnings("ignore:'where' used without 'out'")
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: np.nextafter(x, 5.0), r"numpy\.nextafter"),
        (lambda x: np.frompyfunc(lambda a: a + 1, 1, 1)(x), "<lambda>"),
        (lambda x: np.max(x, initial=np.sum(x)), r"the argument initial of numpy\.max"),
        (lambda x: np.var(x, 0, None, None, 0, False, mean=0.5), r"numpy\.var with mean="),
        (lambda x: np.divmod(x, 2.0, where=[True, False]), r"numpy\.divmod with where="),
        (lambda x: np.linspace(x, 1, dtype=np.longdouble), r"numpy\.linspace with these arguments"),
        (lambda x: np.concatenate([x, x], dtype="f4"), r"numpy\.concatenate with dtype="),
        (lambda x: np.average(x, returned=True), r"numpy\.average with these arguments"),
        (lambda x: np.pad(x, 7, mode="reflect", reflect_type="odd"), r"numpy\.pad with these arguments"),
        (lambda x: np.einsum("i->", x, casting="no"), r"numpy\.einsum with casting="),
        (lambda x: np.quantile(x, x[0] / 2), r"numpy\.quantile with these arguments"),
    ],
)
def test_arguments_without_a_rule_are_refused(call, name):
    x = leaf([1.0, 2.0])
    with pytest.raises(TypeError, match=f"{name} has no rule.*register_vjp"):
        call(x)
    with no_grad():
        assert not any(t.requires_grad for t in tensors(call(x)))  # NumPy's result


def test_a_dtype_is_that_of_the_result():
    """Values are converted as NumPy does: the absolute value of a complex number is a float."""
    z = np.array([-1.75 + 0.5j, 0.25 - 2j])
    x = leaf_of(z)
    absolute = np.abs(x, dtype=float)
    assert absolute.data.tolist() == np.abs(z).tolist()
    np.sum(absolute).backward()
    np.testing.assert_allclose(x.grad, z / np.abs(z), rtol=1e-15)


def test_of_two_objects_numpy_returns_one():
    x, objects = leaf([0.5, 1.5]), np.array([2.0, 3.0], object)
    for ufunc in (np.logical_and, np.logical_or):
        with pytest.raises(TypeError, match="of an array of objects has no rule"):
            ufunc(objects, x)
        with no_grad():
            assert ufunc(objects, x).dtype == object
    assert np.logical_and([True, False], x).tolist() == [True, False]


def test_a_registered_function_may_have_an_argument_named_out():
    f = autograd.register_vjp(lambda x, out=1.0: x * out, lambda g, _ans, _x, out=1.0: g * out)
    for call in (lambda x: f(x, out=3.0), lambda x: f(x, 3.0)):
        x = leaf(2.0)
        call(x).backward()
        assert x.grad == 3.0
