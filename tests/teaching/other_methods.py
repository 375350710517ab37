"""The methods that the explorer lets Rprop race against, written again in Python: one step of one coordinate each."""

from __future__ import annotations

import math


def gd(x, gradients, rate):
    for g in gradients:
        yield x
        x -= rate * g(x)


def momentum(x, gradients, rate, beta):
    velocity = 0.0
    for g in gradients:
        yield x
        velocity = beta * velocity + g(x)
        x -= rate * velocity


def rmsprop(x, gradients, rate, alpha):
    square = 0.0
    for g in gradients:
        yield x
        slope = g(x)
        square = alpha * square + (1 - alpha) * slope * slope
        x -= rate * slope / (math.sqrt(square) + 1e-8)


def adam(x, gradients, rate, beta1, beta2):
    mean = square = 0.0
    left1 = left2 = 1.0
    for g in gradients:
        yield x
        slope = g(x)
        mean = beta1 * mean + (1 - beta1) * slope
        square = beta2 * square + (1 - beta2) * slope * slope
        left1 *= beta1
        left2 *= beta2
        x -= rate * (mean / (1 - left1)) / (math.sqrt(square / (1 - left2)) + 1e-8)
