"""The lanes of a block of runs: how many there are, and for how many variables."""

#: Runs in a block. With two variables the whole block fits in the L1 cache.
LANES = 64

#: Runs with more variables go one by one, and are vectorized over the variables.
MAX_VARIABLES = 32
