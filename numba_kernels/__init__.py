"""The flat-array core on the CPU: Rprop steps as Numba kernels.

The modules, from the bottom up:

``_flags``, ``_parts``
    How Numba compiles our functions more quickly.
``_cache``
    The stamp that ties compiled code on disk to its sources; kernels made for one rule.
``_collector``
    Python's garbage collector, paused while something is compiled.
``_processes``
    Whether threads may be used.
``flat``
    One rule on one flat array, sequential or on several threads.
``objective``
    Objectives in machine code, all behind one C function.
``iterate``
    One iteration of `rprop_ref.minimize`, compiled.
``loop``
    The loop of `rprop_ref.minimize` around these two.
``lanes``, ``batched_objective``, ``many_runs``
    Many such loops at once, one in each lane of a block.

They compile `rprop_ref.rules` and the texts in `rprop_ref._core`, and import nothing else of the library.
Importing this package imports NumPy at most; Numba comes with its modules.
"""
