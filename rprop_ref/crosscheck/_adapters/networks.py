"""Libraries of networks that bring their own training: OpenCV and FANN."""

from __future__ import annotations

import ctypes
import importlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .._cases.case import Array
from .._comparison.observe import CouldNotRun, Factory


def from_opencv() -> Factory:
    """A factory from the RPROP training of OpenCV's ``ANN_MLP``: a network of one linear neuron.

    Its gradients cannot be chosen, and its training cannot be continued. So each step trains from the start again,
    one iteration longer, towards the minimum of a quadratic in two dimensions (weight and bias). Use
    ``check(from_opencv(), dtypes=["float64"], without=["scripts", "maximize"])``.
    """

    def factory(
        x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool, objective: Any = None
    ) -> _OpenCV:
        return _OpenCV(x0, lr, etas, step_sizes, objective)

    factory.takes_objective = True  # type: ignore[attr-defined]
    return factory


class _OpenCV:
    def __init__(self, x0: Array, lr: float, etas: Any, step_sizes: Any, objective: Any) -> None:
        if x0.shape != (2,) or not hasattr(objective, "a"):
            raise CouldNotRun("a network of one neuron can only minimize quadratics in two dimensions")
        self.x0, self.lr, self.etas, self.step_sizes = x0, lr, etas, step_sizes
        self.target, self.iterations = objective.a, 0

    def step(self, grad: Array, loss: float | None = None) -> Array:
        self.iterations += 1
        return self._trained(self.iterations)

    def _trained(self, iterations: int) -> Array:
        cv2: Any = importlib.import_module("cv2")  # its type stubs lack what is used here
        # Initial weights can only be set through the file format.
        (w, b), (minus, plus), (low, high) = self.x0.tolist(), self.etas, self.step_sizes
        text = _NETWORK.format(
            lr=float(self.lr), minus=minus, plus=plus, low=low, high=high, iterations=iterations, w=w, b=b
        )
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "network.yml")
            file.write_text(text)
            network = cv2.ml.ANN_MLP_load(str(file))
        # The output is w u + b. At u = 1 and u = -1 together, the squared error is smallest at the target.
        w, b = self.target.tolist()
        inputs, outputs = np.array([[1], [-1]], np.float32), np.array([[w + b], [b - w]], np.float32)
        data = cv2.ml.TrainData_create(inputs, cv2.ml.ROW_SAMPLE, outputs)
        flags = cv2.ml.ANN_MLP_UPDATE_WEIGHTS + cv2.ml.ANN_MLP_NO_INPUT_SCALE + cv2.ml.ANN_MLP_NO_OUTPUT_SCALE
        network.train(data, flags)
        return np.array(network.getWeights(1), float).reshape(-1)


def from_fann(library: str | os.PathLike[str]) -> Factory:
    """A factory from FANN's iRprop-: float64.

    Parameters
    ----------
    library : str or path
        The shared library that is made of ``examples/crosscheck/fann_step.c`` and FANN. The factory negates
        gradients to maximize.
    """
    loaded = ctypes.CDLL(os.fspath(library))

    def factory(x0: Array, *, lr: float, etas: Any, step_sizes: Any, maximize: bool) -> _Fann:
        if x0.dtype != np.float64:
            raise CouldNotRun("the library computes in float64")
        return _Fann(loaded.fann_step, x0, lr, np.array([etas, step_sizes], float), maximize)

    return factory


class _Fann:
    def __init__(self, function: Any, x0: Array, lr: float, constants: Array, maximize: bool) -> None:
        self.function, self.constants = function, constants
        self.sign = 1.0 if maximize else -1.0  # of a slope
        self.x, self.slopes = x0.copy(), np.zeros_like(x0)
        with np.errstate(over="ignore"):
            self.step_size = np.full_like(x0, np.float32(lr))

    def step(self, grad: Array, loss: float | None = None) -> Array:
        arrays = (self.x, self.sign * grad, self.slopes, self.step_size, *self.constants)
        self.function(self.x.size, *(ctypes.c_void_p(array.ctypes.data) for array in arrays))
        return self.x.copy()

    @property
    def prev(self) -> Array:
        return -self.slopes


_NETWORK = """%YAML:1.0
---
opencv_ml_ann_mlp:
   format: 3
   layer_sizes: [ 1, 1 ]
   activation_function: IDENTITY
   min_val: 0.
   max_val: 0.
   min_val1: 0.
   max_val1: 0.
   training_params:
      train_method: RPROP
      dw0: {lr!r}
      dw_plus: {plus!r}
      dw_minus: {minus!r}
      dw_min: {low!r}
      dw_max: {high!r}
      term_criteria:
         iterations: {iterations}
   input_scale: [ 1., 0. ]
   output_scale: [ 1., 0. ]
   inv_output_scale: [ 1., 0. ]
   weights:
      - [ {w!r}, {b!r} ]
"""
