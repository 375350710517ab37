"""Whether threads pay here: found by measuring, since it depends on what else the processors do.

On an idle machine a step of a large array is quicker on all threads. Between two calls of a BLAS it can be a
hundred times slower: the BLAS's threads wait for more work without giving up their processors, and OpenMP waits
for a share whose thread has none. With a quota of processor time, on a machine that others use, or where memory
is the limit, one thread may be as quick. So both ways are tried, again and again, but seldom enough that trials
cost little. The bits are the same either way.
"""

from __future__ import annotations

#: Calls that are compared: the median of so many.
SAMPLES = 3

#: The way that was slower is tried again once the calls have taken so many times what the trial is expected to
#: cost: at first `IMPATIENCE` times, since a trial may have been disturbed, then twice as many after each trial
#: that changes nothing, and `PATIENCE` times at most.
IMPATIENCE, PATIENCE = 4, 64

#: A way that has become so many times slower than the other was is given up for a trial of the other.
ALARM = 2.0


class Pace:
    """The quicker of two ways to make calls of one kind: sequential (False) or parallel (True).

    Before each call `parallel` says which way to take; after it, `note` is told how long the call took.

    Notes
    -----
    The median of `SAMPLES` calls is compared, so that one call that loads a kernel, or is interrupted, does not
    count. In the long run trials cost about ``1 / PATIENCE`` of the time.
    """

    __slots__ = ("_is_trial", "_patience", "_samples", "_typical", "_until_trial", "parallel")

    def __init__(self) -> None:
        #: The way to take next.
        self.parallel = False
        self._typical: list[float] = [0.0, float("inf")]  # seconds of a call, by way
        self._samples: list[float] = []
        self._is_trial = False
        self._patience = IMPATIENCE
        self._until_trial = 0.0  # seconds

    def note(self, seconds: float) -> None:
        """Count a call that was made as `parallel` said."""
        samples = self._samples
        samples.append(seconds)
        this, other = self.parallel, not self.parallel
        best = self._typical[other]
        if len(samples) < SAMPLES and not (self._is_trial and sum(s >= best for s in samples) * 2 > SAMPLES):
            return
        # In a trial that is lost already, the shorter half of the calls may be missing.
        typical = self._typical[this] = sorted(samples)[(len(samples) - 1) // 2]
        self._samples = []
        if not self._is_trial:
            self._until_trial -= sum(samples)
            if self._until_trial <= 0 or typical > ALARM * best:
                self._is_trial = True
                self.parallel = other
            return
        is_won = typical < best
        self._is_trial = False
        self._patience = IMPATIENCE if is_won else min(2 * self._patience, PATIENCE)
        self._until_trial = self._patience * SAMPLES * abs(typical - best)
        if not is_won:
            self.parallel = other
