"""How functions are compiled that only compiled code calls: as far as it takes to link them into a kernel.

A kernel is optimized, and made machine code, together with all that it calls. Numba would do the same for each
function that it calls, with all that this one calls, which takes a quarter of the time of compiling a kernel.
Another tenth is taken by passes for what these functions do not contain.
"""

from __future__ import annotations

from typing import Any

from numba.core import codegen, compiler, compiler_machinery, typed_passes, untyped_passes

#: Numba's passes, without those that rewrite closures, exceptions, literals and the like, that put a function into
#: another one (the compiler of machine code does so later), or that mark where a reference ends (none is counted).
_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)


class _Part(codegen.JITCodeLibrary):
    """Where Numba puts what it makes of such a function and of those that it calls: no machine code."""

    def _optimize_final_module(self) -> None:
        """Do nothing: each function has been optimized for itself, without which loops over lanes get slow."""

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    @property
    def codegen(self) -> Any:
        """What is then called to `set_env`."""
        return self

    def set_env(self, name: str, env: Any) -> None:
        """Do nothing: it would be written into the machine code, for exceptions, and such functions raise none."""


class _PartNotInlined(_Part):
    """The same for functions that are not to be inlined."""

    def add_ir_module(self, ir_module: Any) -> None:
        for function in ir_module.functions:
            if not function.is_declaration:
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)  # type: ignore[no-untyped-call]


class PartCompiler(compiler.Compiler):
    """Numba's compiler for such functions. They contain numbers, arrays, conditions, loops and calls."""

    _library: Any = _Part

    def compile_extra(self, func: Any) -> Any:
        self.state.library = self._library(self.state.targetctx.codegen(), func.__qualname__)
        return super().compile_extra(func)  # type: ignore[no-untyped-call]

    def define_pipelines(self) -> list[Any]:
        passes: Any = compiler_machinery.PassManager("part")  # type: ignore[no-untyped-call]
        for one in _PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


class NotInlinedCompiler(PartCompiler):
    """The same for functions that are not to be inlined. They need the flag ``forceinline=False``."""

    _library = _PartNotInlined
