"""The 10-5-10 encoder: the benchmark of the paper that introduced Rprop (Riedmiller & Braun 1993).

A network with 10 inputs, 5 hidden units and 10 outputs learns to reproduce ten patterns, each with one unit on.
It has learned them when every output is above 0.6 where it should be on, and below 0.4 where it should be off.
The gradient is written out by hand.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from rprop_ref import Parameter, Rprop
from rprop_ref.rules import RULES

PATTERNS = np.eye(10)
STARTS = 20
MAX_EPOCHS = 1000


def epochs(variant: str, lr: float, seed: int) -> int:
    """Train one network. Return the number of epochs it took, or `MAX_EPOCHS` if it did not learn."""
    rng = np.random.default_rng(seed)
    # The last row is the bias.
    first = Parameter(rng.uniform(-1, 1, (11, 5)))
    second = Parameter(rng.uniform(-1, 1, (6, 10)))
    optimizer = Rprop([first, second], lr=lr, variant=variant)
    ones = np.ones((10, 1))
    for epoch in range(1, MAX_EPOCHS + 1):
        inputs = np.hstack([PATTERNS, ones])
        hidden = np.hstack([expit(inputs @ first.data), ones])
        outputs = expit(hidden @ second.data)
        if np.all(np.where(PATTERNS > 0, outputs > 0.6, outputs < 0.4)):
            return epoch
        error = outputs - PATTERNS
        at_output = error * outputs * (1 - outputs)
        at_hidden = (at_output @ second.data.T * hidden * (1 - hidden))[:, :5]
        second.grad = hidden.T @ at_output
        first.grad = inputs.T @ at_hidden
        optimizer.step(loss=0.5 * np.sum(error**2))
    return MAX_EPOCHS


print(f"Epochs until all 100 outputs are right: the median of {STARTS} starts, and how many got stuck.")
print(f"{'rule':10}{'first step 0.1':>22}{'first step 2':>22}")
for variant in RULES:
    line = f"{variant:10}"
    for lr in (0.1, 2.0):
        counts = [epochs(variant, lr, seed) for seed in range(STARTS)]
        line += f"{np.median(counts):12.1f} ({counts.count(MAX_EPOCHS)} stuck)"
    print(line)
