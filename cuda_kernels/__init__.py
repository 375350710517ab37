"""The flat-array core on the GPU: the same rules as `numba_kernels`, compiled by numba.cuda, with the same bits.

The modules, from the bottom up:

``_cuda``
    The only module that imports ``numba.cuda``: why it may be unavailable, streams, memory.
``_numbers``
    Numbers behind an address, for the compiler (``_compiled``) and for Numba's simulator (``_simulator``).
``arrays``, ``dlpack``
    Arrays on the GPU, of any library: an address with a shape and a dtype.
``flat``
    One rule on one flat array.
``many_arrays``
    Many arrays in one launch, by a table of their addresses.
``iterate``, ``many_runs``
    One whole iteration of `rprop_ref.minimize`; many runs of it, one per thread.
``layout``, ``loss``
    Arrays that are not contiguous; a loss that stays on the GPU.

They import the rules and the iteration that they compile, from `rprop_ref.rules` and `rprop_ref._core`, and
nothing else of the library. Importing this package, or ``arrays``, imports NumPy at most. Under
``NUMBA_ENABLE_CUDASIM=1`` the kernels run in Numba's simulator, on the memory of the host.
"""
