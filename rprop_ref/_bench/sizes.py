"""How much the benchmark measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Shapes = Sequence[tuple[int, ...]]

_WIDTH, _LAYERS = 768, 12
#: The 148 parameters of GPT-2 small.
GPT2: Shapes = [
    (50257, _WIDTH),
    (1024, _WIDTH),
    *[
        shape
        for _ in range(_LAYERS)
        for shape in (
            *[(_WIDTH,), (_WIDTH,), (_WIDTH, 3 * _WIDTH), (3 * _WIDTH,), (_WIDTH, _WIDTH), (_WIDTH,)],
            *[(_WIDTH,), (_WIDTH,), (_WIDTH, 4 * _WIDTH), (4 * _WIDTH,), (4 * _WIDTH, _WIDTH), (_WIDTH,)],
        )
    ],
    (_WIDTH,),
    (_WIDTH,),
]

#: The names of the two lists of arrays.
GPT2_SMALL, MANY_SMALL = "GPT-2 small", "10,000 x 64"


@dataclass
class Sizes:
    """How much is measured; `TINY` is for trying out the benchmark itself, in Numba's simulator for instance."""

    #: Lengths of the arrays whose bandwidth is measured.
    bandwidth: Sequence[int] = (1_000_000, 100_000_000, 1_000_000_000)
    #: Length of the one array that is compared with torch's.
    one_array: int = 100_000_000
    #: Lists of arrays that are compared with torch's.
    lists: dict[str, Shapes] = field(default_factory=lambda: {GPT2_SMALL: GPT2, MANY_SMALL: [(64,)] * 10_000})
    #: The lists that are compared with torch.compile's steps; compiling the last may take more time than is left.
    compiled: Sequence[str] = (GPT2_SMALL, MANY_SMALL)
    #: Starts of `minimize_many`, and their iterations.
    starts: int = 1_000_000
    maxiter: int = 10_000
    #: Elements whose bits are compared.
    bits: int = 100_003
    #: Times that each rival is measured, and about how many seconds each time.
    rounds: int = 7
    turn: float = 0.05
    #: Seconds for all parts together.
    time_limit: float = 450.0


TINY = Sizes(
    bandwidth=(100,),
    one_array=50,
    lists={GPT2_SMALL: [(5, 3), (3,), (2,)], MANY_SMALL: [(4,)] * 5},
    starts=4,
    maxiter=30,
    bits=40,
    rounds=1,
    turn=0.0,
)
