"""An Rprop in plain Python that the referee can talk to: iRprop- with double parameters.

    python -m rprop_ref crosscheck --cmd "python rprop.py"

The protocol is one JSON object per line, described in docs/crosscheck.md. It is for implementations that run in
another Python than the referee. Otherwise a factory is simpler:
``python -m rprop_ref crosscheck package:factory``.
"""

from __future__ import annotations

import json
import sys
from typing import Any


class Rprop:
    def __init__(
        self, x0: list[float], lr: float, etas: list[float], step_sizes: list[float], maximize: bool
    ) -> None:
        self.x, self.prev, self.step_size = x0, [0.0] * len(x0), [lr] * len(x0)
        self.etas, self.step_sizes, self.direction = etas, step_sizes, -1 if maximize else 1

    def step(self, grad: list[float]) -> list[float]:
        for i, value in enumerate(grad):
            g = self.direction * value
            product = g * self.prev[i]
            factor = self.etas[1] if product > 0 else self.etas[0] if product < 0 else 1.0
            size = self.step_size[i] * factor
            size = max(size, self.step_sizes[0])
            self.step_size[i] = size = min(size, self.step_sizes[1])
            if product < 0:
                g = 0.0
            self.x[i] -= ((g > 0) - (g < 0)) * size
            self.prev[i] = g
        return self.x


def numbers(texts: list[str]) -> list[float]:
    return [float.fromhex(text) for text in texts]


def hexadecimals(values: list[float]) -> list[str]:
    return [value.hex() for value in values]


rprop: Rprop


def answer(question: dict[str, Any]) -> dict[str, Any]:
    global rprop
    op = question["op"]
    if op == "hello":
        return {"protocol": 1, "name": "rprop.py", "dtypes": ["float64"], "has": ["none", "set", "save"]}
    if op == "new":
        etas, step_sizes = numbers(question["etas_hex"]), numbers(question["step_sizes_hex"])
        lr = float.fromhex(question["lr_hex"])
        rprop = Rprop(numbers(question["x0_hex"]), lr, etas, step_sizes, question["maximize"])
    elif op == "set":
        rprop.etas = numbers(question["etas_hex"]) if "etas_hex" in question else rprop.etas
        rprop.step_sizes = (
            numbers(question["step_sizes_hex"]) if "step_sizes_hex" in question else rprop.step_sizes
        )
    elif op == "save":
        return {"state": [hexadecimals(rprop.prev), hexadecimals(rprop.step_size)]}
    elif op == "load":
        rprop.prev, rprop.step_size = map(numbers, question["state"])
    else:
        if question["grad_hex"] is not None:
            rprop.step(numbers(question["grad_hex"]))
        state = {"prev_hex": hexadecimals(rprop.prev), "step_size_hex": hexadecimals(rprop.step_size)}
        return {"x_hex": hexadecimals(rprop.x), **state}
    return {}


def main() -> None:
    for line in sys.stdin:
        question = json.loads(line)
        if question["op"] == "bye":
            break
        # With the id of the question, an answer cannot be mistaken for that to another question.
        print(json.dumps({"id": question["id"], **answer(question)}), flush=True)


if __name__ == "__main__":
    main()
