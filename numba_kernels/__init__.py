"""The flat-array core on the CPU: Rprop steps as Numba kernels.

The modules, from the bottom up:

``flat``
    One rule on one flat array, sequential or on several threads.
``iterate``
    One whole iteration of `rprop_ref.minimize`, compiled.
``objective``
    Objectives in machine code, all behind one C function.
``loop``
    The loop of `rprop_ref.minimize` around these two.
``many_runs``
    Many such loops side by side, one in each lane of a block.

``_cache``
    What ties compiled code on disk to its sources.
``_processes``
    Whether threads may be used.

They import the texts that they compile, `rprop_ref.rules` and `rprop_ref._core.iteration`, and nothing else of
the library. Importing this package imports NumPy at most; Numba comes with its modules.
"""
