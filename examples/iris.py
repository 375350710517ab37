"""A classifier of Fisher's Iris flowers, trained on full batches by each of the five rules.

The loss is plain NumPy; `backward` differentiates it. Half of the flowers train the network, the others test it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rprop_ref import Parameter, Rprop, autograd
from rprop_ref.rules import RULES

# R. A. Fisher, "The use of multiple measurements in taxonomic problems", Annals of Eugenics 7, 1936, table I:
# sepal length and width, petal length and width, two digits each, in millimetres; fifty flowers of each species.
FLOWERS = {
    "Iris setosa": """
        51351402 49301402 47321302 46311502 50361402 54391704 46341403 50341502 44291402 49311501
        54371502 48341602 48301401 43301101 58401202 57441504 54391304 51351403 57381703 51381503
        54341702 51371504 46361002 51331705 48341902 50301602 50341604 52351502 52341402 47321602
        48311602 54341504 52411501 55421402 49311502 50321202 55351302 49361401 44301302 51341502
        50351303 45231303 44321302 50351606 51381904 48301403 51381602 46321402 53371502 50331402
    """,
    "Iris versicolor": """
        70324714 64324515 69314915 55234013 65284615 57284513 63334716 49243310 66294613 52273914
        50203510 59304215 60224010 61294714 56293613 67314414 56304515 58274110 62224515 56253911
        59324818 61284013 63254915 61284712 64294313 66304414 68284814 67305017 60294515 57263510
        55243811 55243710 58273912 60275116 54304515 60344516 67314715 63234413 56304113 55254013
        55264412 61304614 58264012 50233310 56274213 57304212 57294213 62294313 51253011 57284113
    """,
    "Iris virginica": """
        63336025 58275119 71305921 63295618 65305822 76306621 49254517 73296318 67255818 72366125
        65325120 64275319 68305521 57255020 58285124 64325323 65305518 77386722 77266923 60225015
        69325723 56284920 77286720 63274918 67335721 72326018 62284818 61304918 64285621 72305816
        74286119 79386420 64285622 63285115 61265614 77306123 63345624 64315518 60304818 69315421
        67315624 69315123 58275119 68325923 67335725 67305223 63255019 65305220 62345423 59305118
    """,
}
MAX_EPOCHS = 1000
STARTS = 10


def flowers() -> tuple[np.ndarray, np.ndarray]:
    """The measurements, scaled to mean 0 and standard deviation 1, and the species as unit vectors."""
    rows = [[int(code[i : i + 2]) for i in range(0, 8, 2)] for table in FLOWERS.values() for code in table.split()]
    x = np.array(rows, float)
    return (x - x.mean(axis=0)) / x.std(axis=0), np.repeat(np.eye(3), 50, axis=0)


def network(weights: list[Any], x: np.ndarray) -> Any:
    first, bias, second, bias2 = weights
    return np.tanh(x @ first + bias) @ second + bias2


def share_right(weights: list[Parameter], x: np.ndarray, y: np.ndarray) -> float:
    """The share of flowers whose species is recognised."""
    guess = network([w.data for w in weights], x).argmax(axis=1)
    return float(np.mean(guess == y.argmax(axis=1)))


def train(variant: str, seed: int) -> tuple[int, float]:
    """Train until the whole training half is right. Return the epochs, and the share right of the other half."""
    x, y = flowers()
    rng = np.random.default_rng(seed)
    shapes = [(4, 8), (8,), (8, 3), (3,)]
    weights = [Parameter(rng.normal(0, 0.5, shape)) for shape in shapes]
    optimizer = Rprop(weights, lr=0.05, variant=variant)

    def closure() -> Any:
        optimizer.zero_grad()
        scores = network(weights, x[::2])
        loss = np.mean(autograd.logsumexp(scores, axis=1) - np.sum(scores * y[::2], axis=1))
        loss.backward()
        return loss

    for epoch in range(1, MAX_EPOCHS + 1):
        optimizer.step(closure)
        if share_right(weights, x[::2], y[::2]) == 1:
            return epoch, share_right(weights, x[1::2], y[1::2])
    return MAX_EPOCHS, share_right(weights, x[1::2], y[1::2])


print(f"A 4-8-3 network, trained on 75 flowers and tested on the other 75; medians of {STARTS} starts.")
print(f"{'rule':10}{'epochs until all 75 are right':>31}{'share right of the others':>28}")
for variant in RULES:
    epochs, shares = zip(*(train(variant, seed) for seed in range(STARTS)), strict=True)
    print(f"{variant:10}{np.median(epochs):31.1f}{np.median(shares):28.1%}")
