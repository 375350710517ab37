"""Calls of NumPy's and SciPy's functions with generated arguments, checked against the same calls with arrays.

A call of a function with Tensors may end in two ways only: it returns what NumPy returns for arrays, to the bit, and
gradients that agree with finite differences of NumPy's function; or it raises an error. `check` tells which.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import inspect
import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import scipy.special as sc

from rprop_ref import Tensor, autograd, no_grad
from rprop_ref.autograd import linalg, special
from rprop_ref.autograd._traced import kind_of
from rprop_ref.bits import same_bits


class Call(NamedTuple):
    """A function and what it is called with; `Operand` stands for an array, or a Tensor made of it."""

    name: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Operand(NamedTuple):
    """An array in a call. With Tensors it is one that requires a gradient, one that does not, or the array itself."""

    array: Any
    kind: str
    #: Whether the function gets a scalar of NumPy in place of the array, which has no axes then.
    is_scalar: bool = False


#: Functions that print, read, write, or change settings.
LEFT_OUT = {
    *("save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile", "fromregex"),
    *("test", "info", "show_config", "show_runtime", "get_include", "set_printoptions", "seterr", "seterrcall"),
    *(
        "setbufsize",
        "memmap",
        "asmatrix",
        "bmat",
        "matrix",
        "from_dlpack",
        "frompyfunc",
        "errstate",
        "printoptions",
    ),
    *("errprint", "iterable", "geterr", "get_printoptions", "getbufsize", "geterrcall", "nested_iters", "require"),
    *(
        "empty",
        "empty_like",
        "masked_all",
        "masked_all_like",
        "make_mask_descr",
        "format_float_positional",
        "format_float_scientific",
    ),
    *(
        "as_strided",
        "frombuffer",
        "fromstring",
        "isdtype",
        "issubdtype",
        "can_cast",
        "promote_types",
        "typename",
        "mintypecode",
    ),
}

#: Functions of scipy.special that are no ufuncs. (Others overwrite memory if they are called with nonsense.)
SPECIAL = {"logsumexp", "softmax", "log_softmax", "polygamma", "multigammaln", "comb", "perm", "sinc"}

#: Functions that return memory that they have not written if an array is empty.
UNWRITTEN = {"numpy.einsum", *(f"numpy.fft.{name}" for name in ("irfft", "irfft2", "irfftn", "hfft"))}

#: Functions of which LAPACK, or SciPy, may never return if a number is infinite or NaN; norms only for some orders.
FINITE = {f"numpy.linalg.{name}" for name in ("lstsq", "svd", "svdvals", "cond", "pinv", "norm", "matrix_norm")}
FINITE |= {f"scipy.special.{name}" for name in ("hyp0f1", "hyp1f1", "hyp2f1", "hyperu", "kn", "yn", "expn")}
FINITE |= {"numpy.polyfit", "numpy.linalg.matrix_rank"}

#: Functions that read one triangle of a matrix.
SYMMETRIC = {"numpy.linalg.eigh", "numpy.linalg.eigvalsh", "numpy.linalg.cholesky"}
SYMMETRIC |= {"rprop_ref.autograd.linalg.cholesky", "rprop_ref.autograd.linalg.cho_factor"}


def each(names: str, values: list[Any]) -> dict[str, list[Any]]:
    return dict.fromkeys(names.split(), values)


#: Values of arguments by name. Others are drawn from ANY.
VALUES: dict[str, list[Any]] = {
    "axis": [None, 0, 1, -1, -2, (0, 1), (0,)],
    "axes": [None, 0, (0, 1), (-1,), (1, 0), ([0], [0]), 1],
    **each("axis1 axis2 axisa axisb axisc source destination", [0, 1, -1]),
    **each("keepdims endpoint retstep copy subok sparse optimize", [True, False]),
    **each("returned full hermitian overwrite_input density compute_uv", [True, False]),
    **each("full_matrices include_initial upper deg equal_nan assume_unique", [True, False]),
    **each("n k offset start num decimals reps N M", [0, 1, 2, 3, -1]),
    **each("ddof correction", [0, 1, 0.5]),
    **each("shift repeats", [0, 1, 2, -1, (1, 2)]),
    "indices_or_sections": [1, 2, 3, [1], [1, 2]],
    "dtype": [None, float, np.float32, np.float16, int, bool, complex, np.longdouble, object],
    "order": ["C", "F", "A", "K", None],
    "norm": [None, "ortho", "forward", "backward"],
    "mode": ["constant", "full", "same", "valid", "wrap", "clip", "edge", "reflect", "reduced", "raise"],
    "method": ["linear", "lower", "hazen", "median_unbiased"],
    "indexing": ["xy", "ij"],
    "kind": [None, "stable", "quicksort"],
    "casting": ["same_kind", "unsafe", "safe"],
    "UPLO": ["L", "U"],
    "ord": [None, 0, 1, -1, 2, -2, 3, 0.5, np.inf, -np.inf, "fro", "nuc"],
    "q": [0.25, 0.5, [0.1, 0.75], -0.1, 1.5, 50],
    "where": [True, np._NoValue, np.array([True, False, True])],
    "initial": [np._NoValue, None, 1.0],
    "out": [None],
    "s": [None, (2,), (3, 2), (2, 4)],
    "shape": [-1, (3, -1), (2, 3), (3, 3), ()],
    "newshape": [-1, (3, -1)],
    "pad_width": [1, (0, 2), ((1, 0), (0, 2))],
    "edge_order": [1, 2],
    "period": [None, 2.5],
    **each("left right dx nan posinf neginf fill_value constant_values", [None, 1.5, 0]),
    **each("indices obj", [0, 1, [0, 2], np.array([[0, 1], [1, 0]]), [True, False, True]]),
    **each("condition mask", [[True, False, True], np.array([[True], [False]]), [1, 0]]),
    "condlist": [[np.array([True, False, True])]],
    "funclist": [[np.sin, np.cos]],
    **each("func func1d pyfunc", [np.sum, np.sin]),
    "subscripts": ["i->", "ij->i", "ii->i", "ij,jk->ik", "i,i", "...i->..."],
    "bins": [3, [0.0, 1.0, 2.0]],
    "deg": [1, 2, True],
    **each("rcond rtol", [None, 1e-12]),
}
ANY: list[Any] = [0, 1, 2, -1, 0.5, True, None, (1, 0), "C", [0, 1]]
SHAPES = [(), (3,), (3,), (3, 3), (3, 3), (2, 3), (3, 1), (1,), (2, 3, 3), (0,), (0, 3)]
#: What arrays are, each with what it weighs.
DTYPES = {"f8": 6, "c16": 2, "f4": 2, "f2": 1}
KINDS = {"tracked": 8, "untracked": 1, "plain": 2, "list": 1, "integers": 1}
ODD_KINDS = ["masked", "matrix", "objects", "memmap", "labels", "sparse", "longdouble", "units"]


def functions() -> list[tuple[str, Any]]:
    """The public functions of NumPy, and of scipy.special, by name."""
    found: dict[str, Any] = {}
    for module in (np, np.linalg, np.fft, sc, np.ma, np.lib.stride_tricks):
        names = getattr(module, "__all__", dir(module))
        for name in sorted(names):
            function = getattr(module, name, None)
            if module is sc and not isinstance(function, np.ufunc) and name not in SPECIAL:
                continue
            if callable(function) and not isinstance(function, type) and name not in LEFT_OUT:
                found[f"{module.__name__}.{name}"] = function
    for name in WRITERS:
        found[f"numpy.{name}"] = functools.partial(written, getattr(np, name))
    for ufunc in (np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.hypot, np.logaddexp):
        for method in ("reduce", "accumulate", "outer", "reduceat"):
            found[f"numpy.{ufunc.__name__}.{method}"] = getattr(ufunc, method)
        found[f"numpy.{ufunc.__name__}.at"] = functools.partial(written, ufunc.at)
        found[f"numpy.{ufunc.__name__} with where="] = functools.partial(written_where, ufunc)
    for module in (linalg, special):
        for name in module.__all__:
            found[f"{module.__name__}.{name}"] = getattr(module, name)
    for name in sorted(set(dir(np.ndarray)) - set(dir(object))):
        if name not in ("__array__", "__array_ufunc__", "__array_function__", "__class_getitem__", "__dlpack__"):
            found[f"numpy.ndarray.{name}"] = functools.partial(call_method, name)
    return sorted(found.items())


#: Functions, and methods, that write to their first argument.
WRITERS = ("copyto", "put", "putmask", "place", "put_along_axis", "fill_diagonal")
WRITING_METHODS = {"fill", "put", "sort", "partition", "__setitem__"}


def written(write: Any, target: Any, *args: Any, **kwargs: Any) -> Any:
    """An array after a function has written to it."""
    target = np.copy(target)
    write(target, *args, **kwargs)
    return target


def written_where(ufunc: Any, target: Any, x: Any, y: Any, where: Any) -> Any:
    return written(lambda out: ufunc(x, y, out=out, where=where), target)


#: Methods whose results hold no numbers of the array, or that a Tensor has with another meaning, as in torch.
OTHER_MEANING = {
    "data",
    "__array_interface__",
    "__array_struct__",
    "__reduce__",
    "__reduce_ex__",
    "__setstate__",
    "dump",
}
OTHER_MEANING |= {
    "__contains__",
    "__format__",
    "item",
    "tolist",
    "__bool__",
    "ctypes",
    "base",
    "flags",
    "device",
    "dumps",
}
OTHER_MEANING |= {"__float__", "__int__", "__complex__", "__index__", "copy", "__copy__", "__deepcopy__", "tofile"}


def call_method(name: str, x: Any, *args: Any, **kwargs: Any) -> Any:
    if name in OTHER_MEANING or isinstance(x, list):
        raise TypeError(f"{name} has another meaning")
    if name in WRITING_METHODS:
        return written(lambda target: getattr(target, name)(*args, **kwargs), x)
    attribute = getattr(x, name)
    result = attribute(*args, **kwargs) if callable(attribute) else attribute
    if result is NotImplemented:
        raise TypeError(f"{name} is not implemented for these types")
    return result


# -----------------------------------------------------------------------------------------------------------
# Arguments


class Labelled:
    """An array with labels, as those of pandas."""

    def __init__(self, array: Any) -> None:
        self.array = array
        self.dtype, self.shape, self.ndim = array.dtype, array.shape, array.ndim

    def __len__(self) -> int:
        return len(self.array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.asarray(self.array, dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        result = getattr(ufunc, method)(*(x.array if isinstance(x, Labelled) else x for x in inputs), **kwargs)
        return Labelled(result) if isinstance(result, np.ndarray) else result


class Quantity(np.ndarray):
    """An array with a unit, which adds one to all products."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        arrays = [np.asarray(x) if isinstance(x, Quantity) else x for x in inputs]
        result = getattr(ufunc, method)(*arrays, **kwargs)
        return result + 1 if ufunc is np.multiply else result


class Mapped(np.ndarray):
    """A subclass with the arithmetic of every array, as numpy.memmap has."""


def odd(array: Any, kind: str) -> Any:
    if kind == "masked":
        return np.ma.masked_array(array, mask=np.arange(array.size).reshape(array.shape) == 0)
    if kind == "matrix":
        return np.asmatrix(array) if array.ndim <= 2 else array
    if kind == "objects":
        return array.astype(object)
    if kind == "memmap":
        return array.view(Mapped)
    if kind == "labels":
        return Labelled(array)
    if kind == "sparse":
        return scipy.sparse.csr_array(array) if array.ndim == 2 else array
    if kind == "units":
        return array.view(Quantity)
    return array.astype(np.longdouble)


def pick(rng: Any, weights: dict[str, int]) -> str:
    names = list(weights)
    p = np.array([weights[name] for name in names], float)
    return str(names[rng.choice(len(names), p=p / p.sum())])


def numbers(rng: Any, shape: tuple[int, ...], dtype: str) -> Any:
    """An array of distinct numbers of moderate size, and now and then of numbers at the edge, in some layout."""
    kind = rng.integers(12)
    x = rng.uniform(-2, 2, shape)
    if kind < 5:
        x = rng.uniform(0.1, 0.9, shape)
    elif kind == 5:
        x = np.full(shape, 0.5)
    elif kind == 6:
        x = np.sort(x, -1) if shape else x
    elif kind == 7:
        x = rng.choice(np.array([0.0, -0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan]), shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.uniform(-1, 1, shape)
    x = np.asarray(x).astype(dtype)
    layout = rng.integers(5)
    if layout == 0:
        x = np.asfortranarray(x) if x.ndim else x
    elif layout == 1 and x.ndim:
        x = spread(x)
    elif layout == 2 and x.ndim:
        x = np.flip(np.flip(x, 0).copy(), 0)
    return x


def operand(rng: Any, is_first: bool, shape: tuple[int, ...], dtype: str) -> Operand:
    if not is_first and rng.random() < 0.08:
        kind = str(rng.choice(ODD_KINDS))
        return Operand(odd(numbers(rng, shape, "f8"), kind), "plain")
    kind = "tracked" if is_first else pick(rng, KINDS)
    if kind == "integers":
        return Operand(rng.integers(1, 4, shape), "plain")
    x = numbers(rng, shape, dtype)
    if kind == "list":
        return Operand(x.tolist(), "plain")
    return Operand(x, kind, is_scalar=not shape and rng.random() < 0.5)


ARRAY_NAMES = each(
    "a b v m x y z w p u x1 x2 y1 y2 xp fp xi f A B X arr ary array arrays tup seq arys args operands weights values "
    "ar1 ar2 element test_elements fweights aweights choicelist prepend append insert to_begin to_end to_append roots "
    "a_min a_max min max start stop object choices c r t tensor val vals data h delta n_ s_",
    [],
)
SEQUENCES = {"arrays", "tup", "seq", "arys", "choicelist", "choices"}


@functools.cache
def parameters(function: Any) -> tuple[Any, ...]:
    with contextlib.suppress(TypeError, ValueError):
        return tuple(inspect.signature(function).parameters.values())
    return ()


def generate(rng: Any, name: str, function: Any) -> Call:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return _generate_tracked(rng, name, function)


def _generate_tracked(rng: Any, name: str, function: Any) -> Call:
    call = _generate(rng, name, function)
    while not any(o.kind == "tracked" for o in operands_of([call.args, call.kwargs])) or (may_hang(call)):
        call = _generate(rng, name, function)
    if name in SYMMETRIC:
        args = [
            o._replace(array=o.array + np.conj(np.swapaxes(o.array, -1, -2)) + 9 * np.eye(o.array.shape[-1]))
            if isinstance(o, Operand)
            and isinstance(o.array, np.ndarray)
            and o.array.ndim > 1
            and o.array.shape[-1] == o.array.shape[-2]
            else o
            for o in call.args
        ]
        call = call._replace(args=tuple(args))
    return call


def _generate(rng: Any, name: str, function: Any) -> Call:
    """A call of a function, most of whose arguments it takes; some Tensor among them requires a gradient."""
    shape = SHAPES[rng.integers(len(SHAPES))]
    dtype = pick(rng, DTYPES)
    used: list[Operand] = []
    # Which of the arrays is the first that requires a gradient.
    first = int(rng.integers(2))

    def array() -> Operand:
        other = SHAPES[rng.integers(len(SHAPES))] if rng.random() < 0.2 else shape
        used.append(operand(rng, len(used) == first, other, pick(rng, DTYPES) if rng.random() < 0.2 else dtype))
        return used[-1]

    def value(parameter: str) -> Any:
        if parameter in ARRAY_NAMES and not (used and rng.random() < 0.1):
            return [array() for _ in range(rng.integers(1, 4))] if parameter in SEQUENCES else array()
        choices = VALUES.get(parameter, ANY)
        if parameter not in VALUES and rng.random() < 0.4:
            return array()
        return choices[rng.integers(len(choices))]

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    if isinstance(function, np.ufunc):
        args = [array() for _ in range(function.nin)]
        # (Some of scipy.special overwrite memory when called with where= or casting=.)
        if rng.random() < 0.15 and name.startswith("numpy."):
            kwargs = {k: value(k) for k in ("dtype", "casting", "order") if rng.random() < 0.3}
        return Call(name, function, tuple(args), kwargs)
    if name in TEMPLATES and rng.random() < 0.8:
        given, named = TEMPLATES[name](rng, array), {}
        if isinstance(given, tuple):
            given, named = given
        return Call(name, function, tuple(given), named)
    if name.startswith("numpy.ndarray."):
        args = [
            array(),
            *(value(str(rng.choice(["axis", "x", "n", "order", "dtype"]))) for _ in range(rng.integers(3))),
        ]
        if rng.random() < 0.3:
            key = str(rng.choice(["axis", "keepdims", "dtype", "order", "copy", "out", "ddof"]))
            kwargs = {key: value(key)}
        return Call(name, function, tuple(args), kwargs)
    by_position = True
    for p in parameters(function):
        required = p.default is p.empty
        if p.kind is p.VAR_POSITIONAL:
            args += [array() for _ in range(rng.integers(1, 4))]
            by_position = False
        elif p.kind is p.VAR_KEYWORD:
            continue
        elif required or rng.random() < 0.22:
            spelled_out = not required and rng.random() < 0.25
            drawn = p.default if spelled_out else value(p.name)
            if by_position and p.kind is not p.KEYWORD_ONLY and (required or rng.random() < 0.3):
                args.append(drawn)
            else:
                by_position = False
                kwargs[p.name] = drawn
        else:
            by_position = False
    if not parameters(function):
        args = [array(), *(array() for _ in range(rng.integers(2)))]
        if rng.random() < 0.4:
            kwargs = {"axis": value("axis")}
    if not used:
        args = [array(), *args[1:]]
    return Call(name, function, tuple(args), kwargs)


def _einsum(rng: Any, array: Any) -> list[Any]:
    if rng.random() < 0.3:
        return [array(), [0, 1], array(), [1, 2], *[[0, 2]][: rng.integers(2)]]
    subscripts = str(
        rng.choice(["i->", "ij->i", "ii->i", "ij,jk->ik", "i,i", "...i->...", "ij,ij,ij->j", "ij->ji"])
    )
    return [subscripts, *(array() for _ in subscripts.split("->")[0].split(","))]


PADDINGS = ["edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap"]


def _pad(rng: Any, array: Any) -> tuple[list[Any], dict[str, Any]]:
    x, mode = array(), str(rng.choice(PADDINGS))
    width = [1, (0, 2), (2, 1)][rng.integers(3)]
    named: dict[str, Any] = {}
    if mode in ("reflect", "symmetric"):
        named["reflect_type"] = str(rng.choice(["even", "odd"]))
    elif mode == "linear_ramp":
        named["end_values"] = [0.0, (1.0, 2.0)][rng.integers(2)]
    elif mode.startswith("m"):
        named["stat_length"] = [None, 2, (1, 3)][rng.integers(3)]
    return [x, width, mode], named


#: Functions whose signatures do not say what they take: the arguments, or those and the keywords.
TEMPLATES: dict[str, Any] = {
    "numpy.einsum": _einsum,
    "numpy.pad": _pad,
    "numpy.where": lambda rng, array: [rng.random((3,)) < 0.5, array(), array()],
    "numpy.gradient": lambda rng, array: [array(), *[0.5, 2.0][: rng.integers(3)]],
    "numpy.full_like": lambda rng, array: [array(), array()],
    "numpy.take_along_axis": lambda rng, array: [array(), np.array([[0, 1, 0], [1, 1, 0]]), 0],
    "numpy.choose": lambda rng, array: [rng.integers(0, 2, (3,)), [array(), array()]],
    "numpy.linalg.tensorsolve": lambda rng, array: [_regular(array, (2, 3, 6)), _shaped(array, (2, 3))],
    "numpy.linalg.tensorinv": lambda rng, array: [_regular(array, (2, 3, 6)), 2],
    "numpy.bincount": lambda rng, array: [[0, 2, 2], _shaped(array, (3,)), int(rng.integers(5))],
    "numpy.histogram": lambda rng, array: [
        *([0.1, 0.5, 0.9], [3, [0.0, 0.5, 1.0]][rng.integers(2)], None, bool(rng.integers(2))),
        _shaped(array, (3,)),
    ],
    "numpy.piecewise": lambda rng, array: [
        _shaped(array, (3,)),
        [np.array([True, False, False]), np.array([False, False, True])],
        [[np.sin, 2.0], [np.square, np.exp, np.cos]][rng.integers(2)],
    ],
    "numpy.apply_along_axis": lambda rng, array: [[np.sum, np.cumsum, np.diff][rng.integers(3)], -1, array()],
    "numpy.apply_over_axes": lambda rng, array: [
        [np.sum, np.max][rng.integers(2)],
        array(),
        [0, -1][: rng.integers(1, 3)],
    ],
    "numpy.block": lambda rng, array: [[[array(), array()], array()][rng.integers(2) :]],
    # (Which singular values count depends on the precision.)
    "numpy.polyfit": lambda rng, array: [
        _wide(_shaped(array, (5,))),
        _wide(_shaped(array, (5,))),
        int(rng.integers(3)),
    ],
    "numpy.polyint": lambda rng, array: [_shaped(array, (3,)), int(rng.integers(3))],
    "numpy.polyder": lambda rng, array: [_shaped(array, (4,)), int(rng.integers(3))],
    "numpy.put": lambda rng, array: [_shaped(array, (2, 3)), [0, 4, -1], array(), MODES[rng.integers(3)]],
    "numpy.put_along_axis": lambda rng, array: [_shaped(array, (2, 3)), np.array([[0, 2], [1, 0]]), array(), 1],
    "numpy.place": lambda rng, array: [_shaped(array, (3,)), rng.random(3) < 0.5, array()],
    "numpy.putmask": lambda rng, array: [_shaped(array, (3,)), rng.random(3) < 0.5, array()],
    "numpy.ndarray.choose": lambda rng, array: [rng.integers(0, 2, (3,)), array(), array()],
    **{
        f"numpy.{name}.at": lambda rng, array: [
            _shaped(array, (3,)),
            [[0, 2, 0], 1, slice(2)][rng.integers(3)],
            array(),
        ]
        for name in ("add", "subtract", "multiply", "maximum")
    },
    **{
        f"numpy.{name} with where=": lambda rng, array: [
            *(_shaped(array, (2, 3)), array(), array()),
            np.array([True, False, True]),
        ]
        for name in ("add", "subtract", "multiply", "maximum", "minimum", "hypot", "logaddexp")
    },
    "rprop_ref.autograd.linalg.solve_sylvester": lambda rng, array: [
        *(_regular(array, (3, 3)), _regular(array, (2, 2)), _shaped(array, (3, 2))),
    ],
    "rprop_ref.autograd.linalg.cho_solve": lambda rng, array: [
        (_shaped(array, (3, 3)), bool(rng.integers(2))),
        array(),
    ],
}
MODES = ["raise", "wrap", "clip"]


def _shaped(array: Any, shape: tuple[int, ...]) -> Operand:
    """An operand in a shape that a function needs, with numbers repeated."""
    drawn = array()
    if type(drawn.array) is not np.ndarray or not drawn.array.size:
        return drawn
    many = np.resize(drawn.array, shape)
    return drawn._replace(array=many + np.arange(many.size).reshape(shape).astype(many.dtype) / 8)


def _wide(drawn: Operand) -> Operand:
    is_array = type(drawn.array) is np.ndarray and drawn.array.dtype.kind in "fc"
    return drawn._replace(array=widened(drawn.array)) if is_array else drawn


def _regular(array: Any, shape: tuple[int, ...]) -> Operand:
    """Likewise, a square matrix in this shape that is far from singular."""
    drawn = _shaped(array, shape)
    if type(drawn.array) is not np.ndarray or drawn.array.shape != shape:
        return drawn
    return drawn._replace(array=drawn.array + (9 * np.eye(shape[-1])).reshape(shape).astype(drawn.array.dtype))


# -----------------------------------------------------------------------------------------------------------
# Checks


def may_hang(call: Call) -> bool:
    drawn = [*call.args, *call.kwargs.values()]
    if call.name not in FINITE or ("norm" in call.name and not any(type(v) in (int, str) for v in drawn)):
        return False
    arrays = [np.asarray(getattr(o.array, "array", o.array)) for o in operands_of(drawn)]
    return not all(np.isfinite(a).all() for a in arrays if a.dtype.kind in "fc")


def with_arrays(x: Any, arrays: Any) -> Any:
    """The arguments with the next of `arrays` in place of each operand."""
    if isinstance(x, Operand):
        return next(arrays)
    if isinstance(x, dict):
        return {key: with_arrays(v, arrays) for key, v in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x)(with_arrays(v, arrays) for v in x)
    return x


def operands_of(x: Any) -> list[Operand]:
    if isinstance(x, Operand):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [o for v in x for o in operands_of(v)] if isinstance(x, (list, tuple)) else []


def run(call: Call, arrays: list[Any]) -> Any:
    drawn = iter(arrays)
    return call.function(*with_arrays(call.args, drawn), **with_arrays(call.kwargs, drawn))


def copied(x: Any) -> Any:
    """A copy with the same layout."""
    if type(x) is not np.ndarray:
        return x
    if any(stride < 0 for stride in x.strides):
        return np.flip(np.flip(x, 0).copy(), 0)
    return x.copy("K") if x.flags.forc else spread(x)


def spread(x: Any) -> Any:
    """A copy with gaps between the elements."""
    return np.repeat(x, 2, -1)[..., ::2]


def make_array(operand: Operand) -> Any:
    array = copied(operand.array)
    return array[()] if operand.is_scalar else array


def widened(x: Any) -> Any:
    return copied(x).astype(np.complex128 if x.dtype.kind == "c" else np.float64)


def leaves(result: Any) -> list[Any]:
    """The arrays and Tensors of a result."""
    if isinstance(result, (list, tuple)):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]


def same(result: Any, expected: Any) -> bool:
    """Whether a result holds the same as NumPy's."""
    results, expecteds = leaves(result), leaves(expected)
    return len(results) == len(expecteds) and all(map(same_leaf, results, expecteds))


def same_leaf(result: Any, expected: Any) -> bool:
    """Whether a Tensor or array is NumPy's: of the same dtype, shape and bits."""
    if isinstance(result, Tensor):
        if isinstance(expected, np.ndarray) and type(expected) not in (np.ndarray, Mapped):
            return False
        if result._kind != kind_of(expected):
            return False
        result = result.data
    if not isinstance(expected, (np.ndarray, np.generic)):
        return True
    if not isinstance(result, (np.ndarray, np.generic)):
        return False
    a, b = np.asarray(result), np.asarray(expected)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind in "fc" and a.dtype not in (np.longdouble, np.clongdouble):
        return same_bits(a, b)
    return a.dtype == object or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def total(result: Any, cotangents: list[Any]) -> Any:
    """The sum of the products of the outputs and fixed numbers; a Tensor if an output is one that is recorded."""
    parts = [
        np.sum(np.real(np.conj(c) * r)) for c, r in zip(cotangents, leaves(result), strict=True) if c is not None
    ]
    return sum(parts[1:], parts[0]) if parts else None


def is_numeric(x: Any) -> bool:
    return (
        isinstance(x, (float, complex, np.ndarray, np.generic, Tensor))
        and np.asarray(x.data if isinstance(x, Tensor) else x).dtype.kind in "fc"
    )


# How a gradient is computed; all ways must give the same. Without cotangents only the result is wanted.


def by_backward(call: Call, operands: list[Operand], cotangents: list[Any] | None) -> tuple[Any, list[Any]]:
    tensors = make_tensors(operands)
    result = run(call, tensors)
    loss = None if cotangents is None else total(result, cotangents)
    if isinstance(loss, Tensor) and loss.requires_grad:
        loss.backward()
    tracked = [t for t, o in zip(tensors, operands, strict=True) if o.kind == "tracked"]
    return result, [np.zeros_like(t.data) if t.grad is None else t.grad for t in tracked]


def by_value_and_grad(
    call: Call, operands: list[Operand], cotangents: list[Any], nested: bool = False
) -> tuple[None, list[Any]]:
    places = [i for i, o in enumerate(operands) if o.kind == "tracked"]

    def loss(*variables: Any) -> Any:
        values = make_tensors(operands)
        for i, variable in zip(places, variables, strict=True):
            values[i] = variable
        # Depends on each variable, also where the result does not.
        zero = 0.0 * sum(np.sum(np.real(np.where(np.isfinite(v), v, 0))) for v in variables)
        value = total(run(call, values), cotangents)
        return zero if value is None else zero + value

    def inner(*variables: Any) -> Any:
        return autograd.value_and_grad(lambda t: t * loss(*variables))(1.0)[0]

    variables = [make_array(operands[i]) for i in places]
    return None, list(autograd.value_and_grad(inner if nested else loss, range(len(places)))(*variables)[1])


def in_a_thread(call: Call, operands: list[Operand], cotangents: list[Any]) -> tuple[None, list[Any]]:
    def fun(*args: Any, **kwargs: Any) -> Any:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(call.function, *args, **kwargs).result()

    return by_value_and_grad(call._replace(function=fun), operands, cotangents)


WAYS = {
    "backward": by_backward,
    "value_and_grad": by_value_and_grad,
    "nested": functools.partial(by_value_and_grad, nested=True),
    "thread": in_a_thread,
}


def make_tensors(operands: list[Operand]) -> list[Any]:
    return [make_array(o) if o.kind == "plain" else make_tensor(o) for o in operands]


def make_tensor(operand: Operand) -> Tensor:
    tensor = Tensor(copied(operand.array), requires_grad=operand.kind == "tracked")
    tensor._kind = kind_of(make_array(operand))
    return tensor


def check(call: Call, rng: Any, way: str = "backward") -> tuple[str, str]:
    """What became of a call, and why.

    "recorded", "constant" (no output depends on a Tensor, nor changes if it does), "refused", "unclear"
    (the value is NumPy's, but the differences do not settle) or "wrong".
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        # As in torch, outside of value_and_grad.
        warnings.filterwarnings("error", message="Converting a tensor")
        try:
            return _check(call, rng, WAYS[way])
        except Exception as error:
            return "wrong", f"the check failed: {error!r}"


def _refused(error: Exception) -> tuple[str, str]:
    return ("refused" if str(error) else "wrong"), f"{type(error).__name__}: {error}"


def _check(call: Call, rng: Any, compute: Any) -> tuple[str, str]:
    operands = operands_of([call.args, call.kwargs])
    # First, so that what is refused is not computed: some functions of SciPy never end for nonsense, or overwrite memory.
    try:
        result, _ = by_backward(call, operands, None)
    except Exception as error:
        return _refused(error)
    try:
        expected = run(call, [make_array(o) for o in operands])
    except Exception as error:
        expected = error
    if isinstance(expected, TypeError) and any(
        s in str(expected) for s in ("argument", "construct a dtype", "must be str")
    ):
        return "unclear", "the method of arrays has other arguments"
    if isinstance(expected, TypeError) and "is not implemented for these types" in str(expected):
        return "unclear", "the operator asks the other operand then"
    if isinstance(expected, AttributeError):
        return "unclear", "scalars have fewer methods than arrays"
    if isinstance(expected, Exception):
        return "wrong", f"NumPy refuses: {type(expected).__name__}: {expected}"
    if not same(result, expected):
        if call.name in UNWRITTEN and not all(np.size(o.array) for o in operands):
            return "unclear", "NumPy returns memory that it has not written"
        # The square of a complex scalar, for instance, depends on where in memory the result is.
        kept = [run(call, [make_array(o) for o in operands]) for _ in range(100)]
        if not all(same(again, expected) for again in kept):
            return "unclear", "NumPy's own value varies"
        return "wrong", f"the value is {result!r}, of arrays {expected!r}"
    with no_grad():
        try:
            if not same(untracked := run(call, make_tensors(operands)), expected):
                return "wrong", f"without gradients the value is {untracked!r}, of arrays {expected!r}"
        except Exception as error:
            return "refused", f"without gradients: {error}"
    cotangents = [
        rng.uniform(0.5, 1.5, np.shape(e)) * (1 if np.asarray(e).dtype.kind == "f" else 1 + 0.5j)
        if is_numeric(e)
        else None
        for e in leaves(expected)
    ]
    try:
        _, gradients = compute(call, operands, cotangents)
    except Exception as error:
        return _refused(error)
    recorded = any(isinstance(r, Tensor) and r.requires_grad for r in leaves(result))
    compare = functools.partial(
        _compare, call, operands, cotangents, gradients, rng, "recorded" if recorded else "constant"
    )
    found = compare()
    if found[0] == "wrong":
        # Kinks that cancel along one direction do not along another.
        found = next((other for other in (compare() for _ in range(3)) if other[1] == "a kink"), found)
    return found


def _compare(
    call: Call, operands: list[Operand], cotangents: list[Any], gradients: list[Any], rng: Any, outcome: str
) -> tuple[str, str]:
    """Compare gradients with differences of NumPy's function, in double precision, along a random direction."""
    tracked = [i for i, o in enumerate(operands) if o.kind == "tracked"]
    points = [copied(o.array) for o in operands]
    for i in tracked:
        wide = (
            points[i] if points[i].dtype.itemsize >= 8 and points[i].dtype != np.complex64 else widened(points[i])
        )
        if not np.isfinite(wide).all():
            return outcome, ""  # the value was compared
        points[i] = wide
        if wide.size > 1 and (wide == wide.flat[0]).all():
            return "unclear", "all elements are equal"
    directions = {i: rng.uniform(0.5, 1, points[i].shape) * rng.choice([-1, 1], points[i].shape) for i in tracked}
    for i in tracked:
        if points[i].dtype.kind == "c":
            directions[i] = directions[i] * np.exp(1j * rng.uniform(0, 6))
        if call.name in SYMMETRIC and points[i].ndim >= 2:
            # NumPy reads one triangle; the gradient is symmetric, as in torch.
            directions[i] = directions[i] + np.conj(np.swapaxes(directions[i], -1, -2))

    def along(h: float) -> float:
        moved = [copied(p) for p in points]
        for i, direction in directions.items():
            moved[i][...] += h * direction
        result = run(call, moved)
        if any(is_numeric(r) and np.finfo(np.asarray(r).dtype).eps > 1e-10 for r in leaves(result)):
            raise ArithmeticError("the results are rounded too much")
        value = total(result, cotangents)
        return float("nan") if value is None else float(value)

    try:
        at = along(0.0)
        slopes = [(along(h) - at) / h for h in (1e-6, -1e-6, 3e-6, -3e-6)]
    except Exception as error:
        return "unclear", f"differences: {error}"
    gradient = sum(
        float(np.sum(np.real(np.conj(np.asarray(g, points[i].dtype)) * directions[i])))
        for i, g in zip(tracked, gradients, strict=True)
    )
    if all(c is None for c in cotangents):
        return outcome, ""
    constants = [np.asarray(getattr(o.array, "array", o.array)) for o in operands]
    edge = any(c.dtype.kind in "fc" and not np.isfinite(c).all() for c in constants)
    if np.isnan(gradient) and (edge or not any(np.size(e) for e in leaves(run(call, points)))):
        return "unclear", "the gradient is NaN, and a constant is infinite or NaN"
    if any(np.isinf(g).any() for g in gradients) and operands[tracked[0]].array.dtype.itemsize < 8:
        return "unclear", "the gradient leaves the range"
    precision = max(float(np.finfo(operands[i].array.dtype).eps) for i in tracked)
    if not np.isfinite(slopes).all():
        return "unclear", "the differences are not finite"
    size = max(abs(s) for s in slopes)
    # One-sided differences are wrong by the curvature and by rounding; where the sides differ by more, it is a kink.
    low, high = min(slopes), max(slopes)
    tolerance = (
        1e-4 * (1 + size) + 1e-8 * abs(at) + 300 * precision * (size + _scale(gradients)) + 2 * (high - low)
    )
    if high - low > 1e-2 * (1 + size):
        # A kink or a jump: any number between the slopes of the sides.
        return (
            ("unclear", "a kink") if not low - tolerance <= gradient <= high + tolerance else (outcome, "a kink")
        )
    if abs(gradient - (low + high) / 2) <= tolerance:
        return outcome, ""
    return "wrong", f"the gradient is {gradient}, differences give {slopes}"


def _scale(gradients: list[Any]) -> float:
    return max((float(np.max(np.abs(g))) for g in gradients if np.size(g) and np.isfinite(g).all()), default=0.0)
