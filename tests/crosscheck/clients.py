"""A program that speaks the protocol, for tests to break in places."""

from __future__ import annotations

import sys

#: iRprop- in float64, in a few lines. Tests replace SPOIL, TWICE and HAS to break it.
CLIENT = """
import json, sys
def numbers(texts): return [float.fromhex(t) for t in texts]
for line in sys.stdin:
    q = json.loads(line)
    if q["op"] == "hello": a = {"protocol": 1, "name": "small", "dtypes": ["float64"], "has": HAS}
    elif q["op"] == "set": a = {}; etas = numbers(q["etas_hex"]) if "etas_hex" in q else etas
    elif q["op"] == "save": a = {"state": [prev, size]}
    elif q["op"] == "load": (prev, size), a = q["state"], {}
    elif q["op"] == "new":
        x, lr, etas, limits = numbers(q["x0_hex"]), float.fromhex(q["lr_hex"]), numbers(q["etas_hex"]), numbers(q["step_sizes_hex"])
        prev, size, way, a, t = [0.0] * len(x), [lr] * len(x), -1 if q["maximize"] else 1, {}, 0
    elif q["op"] == "bye": break
    else:
        t += 1
        for i, g in enumerate(numbers(q["grad_hex"])):
            g *= way
            p = g * prev[i]
            s = size[i] * (etas[1] if p > 0 else etas[0] if p < 0 else 1.0)
            s = limits[0] if s < limits[0] else s
            size[i] = s = limits[1] if s > limits[1] else s
            g = 0.0 if p < 0 else g
            x[i] -= ((g > 0) - (g < 0)) * s
            prev[i] = g
        a = {"x_hex": [v.hex() for v in x]}
        if t == 3: SPOIL
    if q["op"] == TWICE: print(json.dumps(a), flush=True)
    print(json.dumps(a), flush=True)
"""


def client(tmp_path, spoil="pass", twice=None, has=(), *, repeats_ids=False):
    text = CLIENT.replace("SPOIL", spoil).replace("TWICE", repr(twice)).replace("HAS", repr([*has]))
    if repeats_ids:
        text = text.replace("print(json.dumps(a), flush", "print(json.dumps({**a, 'id': q['id']}), flush")
    file = tmp_path / "client.py"
    file.write_text(text)
    return [sys.executable, str(file)]
