"""Arrays whose arithmetic is not that of an array are refused wherever one can be given."""

from __future__ import annotations

import numpy as np
import pytest

from rprop_ref import Parameter, Rprop, Tensor, autograd, minimize, minimize_many, rprop, starts
from rprop_ref._core.checks import check_plain


class Lengths(np.ndarray):
    """An array with a unit, as those of astropy and unyt are made."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        raise TypeError("metres and numbers do not add up")


class Named(np.ndarray):
    """Has a name, and the arithmetic of every array."""

    name = "w"


class Quantity:
    """As pint makes them: no array, but NumPy turns it into one and drops the unit."""

    def __init__(self, magnitude):
        self._magnitude = magnitude

    @property
    def magnitude(self):
        return self._magnitude

    @property
    def units(self):
        return "metre"

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._magnitude, dtype)


def masked(values):
    return np.ma.masked_array(values, mask=np.arange(np.size(values)).reshape(np.shape(values)) == 0)


REFUSED = {
    "masked": (masked, r"is a masked array, whose mask would be ignored; .* \.filled\(0\)"),
    "matrix": (np.asmatrix, "matrix, whose arithmetic is not that of an array"),
    "units": (lambda v: np.asarray(v).view(Lengths), "Lengths, whose arithmetic is not .* units that you want"),
    "quantity": (Quantity, "Quantity, whose arithmetic is not"),
}


def step_lists(kind, place):
    arrays = {name: np.ones((1, 2)) for name in ("params", "grads", "prevs", "step_sizes")}
    arrays[place] = kind(arrays[place])
    rprop(
        *([a] for a in arrays.values()),
        [np.zeros((), "f4")],
        step_size_min=0,
        step_size_max=1,
        etaminus=0.5,
        etaplus=1.2,
    )


def set_data(kind):
    p = Parameter(np.ones((1, 2)))
    p.data = kind(np.ones((1, 2)))


def set_grad(kind):
    p = Parameter(np.ones((1, 2)))
    p.grad = kind(np.ones((1, 2)))


def set_item(kind):
    t = Tensor(np.ones((1, 2)))
    t[:] = kind(np.ones((1, 2)))


def step_with_state(kind):
    p = Parameter(np.ones((1, 2)))
    p.grad = np.ones((1, 2))
    optimizer = Rprop([p])
    optimizer.step()
    optimizer.state[p]["prev"] = kind(np.ones((1, 2)))
    optimizer.step()


def backward(kind):
    (Tensor(np.ones((1, 2)), requires_grad=True) * 2.0).backward(kind(np.ones((1, 2))))


def bowl(x):
    return float(np.sum(x**2))


X0 = np.ones((1, 2))

#: Where an array can be given.
ENTRIES = {
    "Parameter": lambda kind: Parameter(kind(X0)),
    "Tensor": lambda kind: Tensor(kind(X0)),
    "data": set_data,
    "grad": set_grad,
    "grad of backward": backward,
    "item": set_item,
    "operand": lambda kind: Tensor(X0, requires_grad=True) * kind(X0),
    "value_and_grad": lambda kind: autograd.value_and_grad(np.sum)(kind(X0)),
    "state": step_with_state,
    "x0": lambda kind: minimize(bowl, kind(X0)),
    "bounds": lambda kind: minimize(bowl, X0[0], bounds=kind([[0.0, 1.0], [0.0, 1.0]])),
    "lr": lambda kind: minimize(bowl, X0, lr=kind(X0)),
    "gradient": lambda kind: minimize(bowl, X0, jac=lambda x: kind(2 * x)),
    "gradient with the value": lambda kind: minimize(lambda x: (bowl(x), kind(2 * x)), X0, jac=True),
    "x0s": lambda kind: minimize_many(bowl, kind(X0)),
    "a list of starts": lambda kind: minimize_many(bowl, [kind(X0), X0]),
    "bounds of starts": lambda kind: starts(kind([[0.0, 1.0], [0.0, 1.0]]), 4),
    **{
        place: lambda kind, place=place: step_lists(kind, place)
        for place in ("params", "grads", "prevs", "step_sizes")
    },
}

# Refused before, for another reason: not an array, or a sequence that cannot be read as pairs.
ELSEWHERE = {
    ("quantity", entry)
    for entry in ("data", "grad", "item", "operand", "state", "params", "grads", "prevs", "step_sizes")
} | {("units", "operand")}


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("kind", REFUSED)
def test_it_is_refused_with_advice(kind, entry):
    make, words = REFUSED[kind]
    expected = None if (kind, entry) in ELSEWHERE else words
    with pytest.raises(TypeError, match=expected):
        ENTRIES[entry](make)


def test_a_gradient_that_is_refused_changes_nothing():
    p = Parameter(np.ones(2))
    p.grad = before = np.zeros(2)
    with pytest.raises(TypeError, match="masked array"):
        p.grad = masked(np.ones(2))
    assert p.grad is before


def test_an_objective_that_masks_its_value_is_refused():
    """NumPy turns the masked sum of nothing into 0."""
    with pytest.raises(TypeError, match="value of the objective is a masked array"):
        minimize(lambda x: np.ma.masked_greater(x, 0).sum(), [1.0], jac=lambda x: x)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e not in ("bounds", "bounds of starts")])
def test_subclasses_that_change_no_arithmetic_are_allowed(entry):
    ENTRIES[entry](lambda values: np.asarray(values).view(Named))


def test_a_file_can_be_optimized_in_place(tmp_path):
    file = np.memmap(tmp_path / "w.bin", np.float64, "w+", shape=(3,))
    file[:] = [1.0, 2.0, -1.0]
    p = Parameter(file)
    p.grad = np.memmap(tmp_path / "g.bin", np.float64, "w+", shape=(3,))
    p.grad[:] = 1.0
    Rprop([p], lr=0.5).step()
    assert np.fromfile(tmp_path / "w.bin").tolist() == [0.5, 1.5, -1.5]
    assert minimize(bowl, file, jac=lambda x: 2 * x).success


@pytest.mark.parametrize(
    "value", [1.0, [1, [2.0]], None, "a", np.float32(1), np.zeros(3), np.zeros(3).view(np.recarray)]
)
def test_everything_else_passes(value):
    check_plain(value, "it")
