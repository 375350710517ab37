"""What the five rules do when the gradient changes its sign: one coordinate, step by step.

The gradient is +1 three times, -1 once, then +1 again. The first step size is 0.1.
"""

from __future__ import annotations

import numpy as np

from rprop_ref import Parameter, Rprop
from rprop_ref.rules import RULES

GRADIENTS = (1, 1, 1, -1, 1, 1)
LOSSES = (3.0, 2.0, 1.0, 1.5, 1.2, 1.0)  # the loss rises at the sign change; only iRprop+ looks at it

print("x after each step, from 0:   " + "".join(f"{f'g = {g:+d}':>9}" for g in GRADIENTS))
for variant in RULES:
    x = Parameter(np.zeros(1))
    optimizer = Rprop([x], lr=0.1, variant=variant)
    path = []
    for gradient, loss in zip(GRADIENTS, LOSSES, strict=True):
        x.grad = np.array([float(gradient)])
        optimizer.step(loss=loss)
        path.append(x.data.item())
    print(f"{variant:<29}" + "".join(f"{p:9.4f}" for p in path))

print("\nAt the sign change (the loss has risen):")
for variant, rule in RULES.items():
    print(f"{variant:10} the move is {rule.move}; the stored gradient is {rule.memory}")
