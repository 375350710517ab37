"""What the five rules do when a gradient changes its sign: one coordinate, step by step.

The gradient is +1 three times, then -1 once, then +1 again; the first step is 0.1.
"""

from __future__ import annotations

import numpy as np

from rprop_ref import Parameter, Rprop

GRADIENTS = (1, 1, 1, -1, 1, 1)
LOSSES = (3.0, 2.0, 1.0, 1.5, 1.2, 1.0)  # the loss rises when the sign changes; iRprop+ looks at this

print("x after each step, from 0:   " + "".join(f"{f'g = {g:+d}':>9}" for g in GRADIENTS))
for variant in ("rprop+", "rprop-", "irprop+", "irprop-", "irprop-go"):
    x = Parameter(np.zeros(1))
    optimizer = Rprop([x], lr=0.1, variant=variant)
    path = []
    for gradient, loss in zip(GRADIENTS, LOSSES, strict=True):
        x.grad = np.array([float(gradient)])
        optimizer.step(loss=loss)
        path.append(x.data.item())
    print(f"{variant:<29}" + "".join(f"{p:9.4f}" for p in path))
