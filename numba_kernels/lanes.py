"""The lanes of a block of runs: how many there are, and for how many variables."""

#: Runs in a block. With two variables this many, and all that they need, are in the fastest cache.
LANES = 64

#: Runs of more variables than this are run one by one, with the vector instructions along the variables.
MOST_VARIABLES = 32
