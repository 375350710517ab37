"""neurolab's Rprop as a client of the referee. neurolab 0.3.5 needs NumPy 1, so it gets its own environment.

    python -m venv old && old/bin/pip install "numpy<2" neurolab
    python -m rprop_ref crosscheck --claim rprop- --cmd "old/bin/python neurolab_client.py"

With the argument "M" it runs neurolab's TrainRpropM. It calls the package's own `learn`, with an array in place of
a network. The protocol is described in docs/crosscheck.md.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from neurolab.train.gd import TrainRprop, TrainRpropM

np.seterr(all="ignore")


def numbers(values: list[str]) -> Any:
    return np.array([float.fromhex(v) for v in values])


def texts(array: Any) -> list[str]:
    return [float(v).hex() for v in array]


TRAINER = TrainRpropM if "M" in sys.argv[1:] else TrainRprop
rule = TRAINER.__new__(TRAINER)  # __init__ needs a network


def answer(question: dict[str, Any]) -> dict[str, Any]:
    op = question["op"]
    if op == "hello":
        return {"protocol": 1, "name": "neurolab", "dtypes": ["float64"], "lacks": ["maximize"]}
    if op == "new":
        rule.x = numbers(question["x0_hex"])
        rule.rate_dec, rule.rate_inc = numbers(question["etas_hex"])
        rule.rate_min, rule.rate_max = numbers(question["step_sizes_hex"])
        rule.grad_prev = np.zeros_like(rule.x)
        rule.rate = np.zeros_like(rule.x) + float.fromhex(question["lr_hex"])
        return {}
    rule.learn(None, numbers(question["grad_hex"]))
    return {"x_hex": texts(rule.x), "step_size_hex": texts(rule.rate), "prev_hex": texts(rule.grad_prev)}


for line in sys.stdin:
    question = json.loads(line)
    if question["op"] == "bye":
        break
    print(json.dumps(answer(question)), flush=True)
