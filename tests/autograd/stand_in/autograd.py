"""A package called autograd, as thin as can be: the API of HIPS/autograd, computed by NumPy and `rprop_ref.autograd`.

Its own test-suite imports this file in place of the package (`test_hips.py`). A gradient of HIPS/autograd is the
conjugate of one here.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import sys
import types
import warnings

import numpy as np

from rprop_ref import Tensor
from rprop_ref import autograd as ours

warnings.filterwarnings("error", message="Converting a tensor")
# As HIPS/autograd offers them: they need nothing special here.
globals().update(dict=dict, list=list, tuple=tuple, isinstance=isinstance)


def is_tensor(x):
    return isinstance(x, Tensor)


# ---- containers: nested tuples, lists and dicts of numbers and arrays


def leaves(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, (tuple, list)) else [tree]


def rebuilt(tree, values):
    """The tree with the next of `values` in place of each leaf."""
    if isinstance(tree, dict):
        return {key: rebuilt(part, values) for key, part in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)([rebuilt(part, values) for part in tree])
    return next(values)


def variable(x):
    if is_tensor(x) and x.requires_grad:
        return x.copy()
    x = np.asarray(x)
    return Tensor(x * 1.0 if x.dtype.kind in "biu" else x, requires_grad=True)


def as_given(x):
    """A number for a 0-d array, as HIPS/autograd returns; a Tensor only if another gradient needs it."""
    if is_tensor(x) and depth == 0:
        x = x.data
    return x[()] if isinstance(x, np.ndarray) else x


# How many gradients are being computed: the inner ones are recorded.
depth = 0


def make_vjp_of(fun, x):
    """The function's value, and the map from its cotangents to those of its argument."""
    global depth
    variables = [variable(leaf) for leaf in leaves(x)]
    depth += 1
    try:
        value = fun(rebuilt(x, iter(variables)))
    finally:
        depth -= 1
    outputs = leaves(value)

    def vjp(cotangent):
        seeds = leaves(cotangent)
        pairs = [(o, np.conj(s)) for o, s in zip(outputs, seeds, strict=True) if is_tensor(o) and o.requires_grad]
        found = [None] * len(variables)
        if pairs:
            nested = depth > 0 or any(is_tensor(s) and s.requires_grad for s in seeds)
            found = ours.grad(
                [o for o, _ in pairs],
                variables,
                [np.broadcast_to(s, o.shape).astype(o.dtype) for o, s in pairs],
                retain_graph=True,
                create_graph=nested,
                allow_unused=True,
            )
        gradients = [np.zeros(v.shape, v.dtype) if g is None else g for v, g in zip(variables, found, strict=True)]
        return rebuilt(x, iter([as_given(np.conj(g)) for g in gradients]))

    return vjp, rebuilt(value, iter([as_given(o) for o in outputs]))


def unary_to_nary(operator):
    @functools.wraps(operator)
    def nary(fun, argnum=0, *operator_args, **operator_kwargs):
        def call(*args, **kwargs):
            places = [argnum] if isinstance(argnum, int) else argnum

            def unary(x):
                moved = list(args)
                for place, value in zip(places, [x] if isinstance(argnum, int) else x, strict=True):
                    moved[place] = value
                return fun(*moved, **kwargs)

            unary.__name__ = getattr(fun, "__name__", "fun")
            x = args[argnum] if isinstance(argnum, int) else tuple([args[place] for place in places])
            return operator(unary, x, *operator_args, **operator_kwargs)

        return call

    return nary


# ---- differential operators

make_vjp = unary_to_nary(make_vjp_of)


def ones(value):
    return rebuilt(value, iter([np.ones_like(leaf) for leaf in leaves(value)]))


def value_and_grad_of(fun, x):
    vjp, value = make_vjp_of(fun, x)
    if np.size(value) != 1 or np.iscomplexobj(value):
        raise TypeError("the function of grad must return one real number")
    return value, vjp(ones(value))


@unary_to_nary
def grad(fun, x):
    return value_and_grad_of(fun, x)[1]


value_and_grad = unary_to_nary(value_and_grad_of)


@unary_to_nary
def elementwise_grad(fun, x):
    vjp, value = make_vjp_of(fun, x)
    return vjp(ones(value))


deriv = elementwise_grad


@unary_to_nary
def holomorphic_grad(fun, x):
    if not np.iscomplexobj(x):
        warnings.warn("Input to holomorphic_grad is not complex", stacklevel=2)
    return grad(lambda x: np.real(fun(x)))(x)


@unary_to_nary
def grad_and_aux(fun, x):
    vjp, (_, aux) = make_vjp_of(fun, x)
    return vjp((1.0, np.zeros_like(aux))), aux


@unary_to_nary
def jacobian(fun, x):
    vjp, value = make_vjp_of(fun, x)
    rows = [vjp(e.reshape(np.shape(value))) for e in np.eye(np.size(value))]
    return np.reshape(np.stack(rows), np.shape(value) + np.shape(x))


@unary_to_nary
def hessian(fun, x):
    return jacobian(jacobian(fun))(x)


@unary_to_nary
def make_hvp(fun, x):
    return make_vjp_of(grad(fun), x)


def hessian_tensor_product(fun, argnum=0):
    def product(*args):
        *args, v = args
        return grad(lambda *a: np.sum(grad(fun, argnum)(*a) * v), argnum)(*args)

    return product


def tensor_jacobian_product(fun, argnum=0):
    def product(*args):
        *args, v = args
        return jacobian(lambda *a: np.tensordot(v, fun(*a), np.ndim(v)), argnum)(*args)

    return product


@unary_to_nary
def make_jvp(fun, x):
    """The map from a tangent to the value and its derivative, by differentiating the vjp."""

    def jvp(v):
        global depth
        depth += 1
        try:
            tangent, value = make_vjp_of(fun, x)
            at = variable(np.zeros_like(value))
            back = make_vjp_of(tangent, at)[0]
        finally:
            depth -= 1
        return value, back(v)

    return jvp


def make_ggnvp(f, g=lambda x: 0.5 * np.sum(x**2, axis=-1)):
    def make(x):
        vjp, value = make_vjp_of(f, x)
        hvp = make_hvp(g)(value)[0]
        return lambda v: vjp(hvp(make_jvp(f)(x)(v)[1]))

    return make


def checkpoint(fun):
    return fun


def not_offered(*_args, **_kwargs):
    raise NotImplementedError("a part of HIPS/autograd that has no counterpart here")


# ---- rules


def primitive(fun):
    @functools.wraps(fun)
    def call(*args, **kwargs):
        return call.registered(*args, **kwargs)

    call.fun = call.registered = fun
    return call


def defvjp(call, *makers, argnums=None):
    places = range(len(makers)) if argnums is None else argnums
    vjps = [None] * (max(places) + 1)
    for place, maker in zip(places, makers, strict=True):
        if maker is not None:
            vjps[place] = lambda g, ans, *args, maker=maker, **kw: np.conj(maker(ans, *args, **kw)(np.conj(g)))
    call.registered = ours.register_vjp(call.fun, *vjps)


# ---- checks of gradients

STEP = 1e-6
_rng = np.random.default_rng(1)


def scalar_close(a, b):
    return abs(a - b) < 1e-6 or abs(a - b) / abs(a + b) < 1e-6


def random_like(x):
    def draw(leaf):
        shape = np.shape(leaf)
        v = _rng.standard_normal(shape)
        return v + 1j * _rng.standard_normal(shape) if np.iscomplexobj(leaf) else v

    return rebuilt(x, iter([draw(leaf) for leaf in leaves(x)]))


def inner(a, b):
    return sum(float(np.real(np.vdot(x, y))) for x, y in zip(leaves(a), leaves(b), strict=True))


def moved(x, v, h):
    return rebuilt(x, iter([a + h * b for a, b in zip(leaves(x), leaves(v), strict=True)]))


@unary_to_nary
def check_grads(fun, x, modes=("fwd", "rev"), order=2):
    """Compare vjps, and those of the vjps, with central differences along random directions."""
    name = getattr(fun, "__name__", "fun")
    vjp, value = make_vjp_of(fun, x)
    v, cotangent = random_like(x), random_like(value)
    gradient = vjp(cotangent)
    for g, leaf in zip(leaves(gradient), leaves(x), strict=True):
        assert np.shape(g) == np.shape(leaf)
        assert np.iscomplexobj(g) == np.iscomplexobj(leaf)
    change = moved(fun(moved(x, v, STEP / 2)), fun(moved(x, v, -STEP / 2)), -1)
    exact, numeric = inner(moved(v, v, 0), rebuilt(x, iter(map(np.conj, leaves(gradient))))), 0.0
    numeric = inner(rebuilt(value, iter(map(np.conj, leaves(cotangent)))), change) / STEP
    assert scalar_close(numeric, exact), f"(VJP) check of {name} failed: {exact}, and by differences {numeric}"
    if order > 1:

        def vjp_of(x, cotangent):
            return make_vjp_of(fun, x)[0](cotangent)

        vjp_of.__name__ = f"vjp_{name}"
        check_grads(vjp_of, (0, 1), modes, order - 1)(x, random_like(value))


def combo_check(fun, *check_args, **check_kwargs):
    def check(*args, **kwargs):
        for arguments in itertools.product(*args):
            for values in itertools.product(*kwargs.values()):
                keywords = dict(zip(kwargs, values, strict=True))
                check_grads(fun, *check_args, **check_kwargs)(*arguments, **keywords)

    return check


def check_equivalent(a, b):
    for x, y in zip(leaves(a), leaves(b), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_allclose(x, y, 1e-6, 1e-6)


# ---- autograd.numpy: NumPy, but for lists of Tensors, of which NumPy makes an array without asking anyone


def array(x, *args, **kwargs):
    if any(map(is_tensor, leaves(x))):
        return x.copy() if is_tensor(x) else np.stack([array(part) for part in x])
    return np.array(x, *args, **kwargs)


def module(name, **names):
    made = types.ModuleType(f"autograd.{name}")
    made.__dict__.update(names)
    sys.modules[made.__name__] = made
    return made


numpy = module("numpy", **{n: getattr(np, n) for n in dir(np) if n != "__name__"})
numpy.array = array
scipy = module("scipy", special=ours.special, linalg=ours.linalg)
sys.modules |= {f"autograd.numpy.{name}": getattr(np, name) for name in ("random", "linalg", "fft")}
sys.modules |= {f"autograd.scipy.{name}": getattr(scipy, name) for name in ("special", "linalg")}
for _name in ("integrate", "signal", "stats"):
    setattr(scipy, _name, importlib.import_module(f"scipy.{_name}"))
    sys.modules[f"autograd.scipy.{_name}"] = getattr(scipy, _name)
sys.modules["autograd.scipy.stats.multivariate_normal"] = scipy.stats.multivariate_normal
module(
    "test_util",
    check_grads=check_grads,
    combo_check=combo_check,
    scalar_close=scalar_close,
    check_equivalent=check_equivalent,
)
module("core", make_vjp=make_vjp_of, primitive=primitive, vspace=not_offered, primitive_vjps={})
module("misc", const_graph=not_offered, flatten=not_offered)
module("tracer", primitive=primitive, isbox=is_tensor)
module("extend", primitive=primitive, defvjp=defvjp)
module("wrap_util", unary_to_nary=unary_to_nary)
module("builtins", isinstance=isinstance, tuple=tuple, list=list, dict=dict)
